/**
 * Verifies everything a store holds, from the authority's key up, without writing anything: files, root log, certificates, commits, the
 * authority's logs, evidence. It promises that no byte of a log or of evidence can differ from what was stored without a problem that names
 * the file; that a log was cut at the end of a frame, or removed, only an earlier report can tell (`since`), because what is left is what
 * once was all. Snapshots are compared with their logs.
 */
import { encodeUtf8, toHex } from '../../bytes/bytes.ts'
import { crc32c } from '../../bytes/crc32c.ts'
import { isRefusal } from '../../bytes/refusal.ts'
import type { Schema } from '../../schema/schema.ts'
import type { AuthorityLog } from '../../trust/authoritylog.ts'
import { rootPath } from '../../trust/entry.ts'
import type { Evidence } from '../../trust/evidence.ts'
import { isRepositoryPath } from '../../trust/rules.ts'
import { evidenceName, isEvidenceName, proveFork } from '../evidence.ts'
import type { Runtime } from '../ports.ts'
import { Schemas } from '../schemas.ts'
import { sealIn } from '../seal.ts'
import { type LogFile, readLog } from './file.ts'
import { People } from './people.ts'
import {
  type AuditedFile,
  type AuditedRepository,
  type AuditReport,
  type AuditSource,
  type Problem,
  problem,
  type Tell,
} from './report.ts'
import { auditRepository, type Contents, contentHash, pathIn } from './repository.ts'
import { type AuditedRoot, auditRoot } from './rootlog.ts'
import { comparePast } from './since.ts'
import { compareSnapshot } from './snapshot.ts'

export interface AuditOptions {
  readonly runtime: Runtime
  /** The network's id, where whoever asks knows it. */
  readonly network?: string
  /** The id of the key that the authority began with, likewise. */
  readonly key?: string
  /** An earlier report of the same store. */
  readonly since?: AuditReport
  /** The app's: values in snapshots are merged anew by these. */
  readonly schemas?: readonly Schema[]
}

interface Listed {
  readonly name: string
  readonly size: number
}

/** How often a file is read again until a frame under way is whole. */
const patience = 10
const logPattern = /^[0-9a-f]{64}\.log$/

export const audit = (source: AuditSource, options: AuditOptions): Promise<AuditReport> =>
  new Audit(source, options).run()

class Audit {
  readonly #source: AuditSource
  readonly #options: AuditOptions
  readonly #runtime: Runtime
  readonly #problems: Problem[] = []
  readonly #notes: string[] = []
  readonly #files: AuditedFile[] = []
  readonly #repositories: AuditedRepository[] = []
  readonly #logs = new Map<string, AuthorityLog>()
  readonly #people = new People()
  readonly #schemas: Schemas
  /** By the name of its log. */
  readonly #snapshots = new Map<string, Listed>()

  constructor(source: AuditSource, options: AuditOptions) {
    this.#source = source
    this.#options = options
    this.#runtime = options.runtime
    this.#schemas = new Schemas(options.schemas ?? [], (bytes) => options.runtime.hash(bytes))
  }

  async run(): Promise<AuditReport> {
    const listed = [...(await this.#source.list())].sort((a, b) => (a.name < b.name ? -1 : 1))
    const rootName = `${toHex(this.#runtime.hash(encodeUtf8(rootPath)))}.log`
    const ofRoot = listed.find(({ name }) => name === rootName)
    const root = await this.#auditRoot(ofRoot)
    const isAuthority = root.own.length === 0
    for (const file of listed)
      if (kindOf(file.name) === 'snapshot') this.#snapshots.set(file.name.slice(0, -'.snapshot'.length), file)
    const [logs, others] = [true, false].map((isLog) =>
      listed.filter((file) => file !== ofRoot && logPattern.test(file.name) === isLog),
    )
    for (const file of logs ?? []) await this.#auditRepository(file, root, isAuthority)
    // What is erased of evidence the logs say.
    for (const file of others ?? []) await this.#auditOther(file, root)
    for (const snapshot of this.#snapshots.values()) this.#unused(snapshot, 'there is no log that it could be of')
    for (const { owner, number, session } of this.#people.twice.values())
      this.#tell(null)('NumberTwice', null, `number ${number} of ${owner}, session ${session}`)
    const report: Omit<AuditReport, 'ok' | 'problems' | 'notes'> = {
      network: root.log.network ?? null,
      keys: root.keys,
      root: { entries: root.log.size, position: root.log.position },
      files: this.#files,
      repositories: this.#repositories,
      people: this.#people.list(),
    }
    await this.#compare(report)
    return { ok: this.#problems.length === 0, ...report, notes: this.#notes, problems: this.#problems }
  }

  #tell(file: string | null): Tell {
    return (code, offset, about) => this.#problems.push(problem(code, file, offset, about))
  }

  async #auditRoot(file: Listed | undefined): Promise<AuditedRoot> {
    const { network, key } = this.#options
    const log = file && (await this.#readLog(file, this.#tell(file.name)))
    const tell = this.#tell(file?.name ?? null)
    const root = await auditRoot(log, this.#runtime, tell)
    if (root.log.network === undefined) tell('LogMissing', null, file === undefined ? '' : 'the file is damaged')
    else if (network !== undefined && network !== root.log.network) tell('WrongNetwork', null, root.log.network)
    const [first] = root.keys
    if (key !== undefined && first !== undefined && first.id !== key) tell('WrongKey', null, first.id)
    for (const certificate of [...root.own, ...root.met]) this.#people.certified(certificate)
    return root
  }

  /** Reads a log; a frame that is under way in a store that is in use is waited for. */
  async #readLog({ name, size }: Listed, tell: Tell): Promise<LogFile & { readonly bytes: Uint8Array }> {
    const bytes = await this.#source.read(name, size)
    const hash = (part: Uint8Array): Uint8Array => this.#runtime.hash(part)
    if (bytes.length < size) tell('HistoryLost', bytes.length, `${size - bytes.length} bytes while it was read`)
    const { later } = this.#source
    const silent = readLog(name, bytes, hash, () => undefined, true)
    let isGrowing = false
    for (let times = 0; later !== undefined && silent.good < bytes.length && !isGrowing && times < patience; times++) {
      const again = await later(name)
      isGrowing = readLog(name, again, hash, () => undefined, true).good > silent.good
      if (again.length < silent.good) break
    }
    if (isGrowing) this.#notes.push(`${name}: the frame at byte ${silent.good} was being written, and is left out.`)
    const file = readLog(name, bytes, hash, tell, isGrowing)
    const path = file.header?.path ?? pathIn(file, this.#runtime) ?? null
    this.#files.push({
      name,
      kind: 'log',
      path,
      size: bytes.length,
      hash: contentHash(bytes, this.#runtime),
      frames: file.frames.length,
    })
    return { ...file, bytes }
  }

  async #auditRepository(listed: Listed, root: AuditedRoot, isAuthority: boolean): Promise<void> {
    const from = this.#problems.length
    const tell = this.#tell(listed.name)
    const file = await this.#readLog(listed, tell)
    const path = file.header?.path ?? pathIn(file, this.#runtime)
    if (path === undefined || root.log.network === undefined) return
    if (!isRepositoryPath(path)) return tell('BadPath', 0, path)
    const surroundings = { runtime: this.#runtime, root, isAuthority }
    const contents = await auditRepository(path, file, surroundings, tell)
    for (const chain of contents.forked)
      this.#notes.push(`${path}: the chain ${chain} was forked: its session's key is in use in two places.`)
    this.#people.wrote(path, contents)
    this.#logs.set(listed.name, contents.log)
    const problems = this.#problems.slice(from)
    this.#repositories.push({ ...summary(path, listed.name, contents), problems })
    const snapshot = this.#snapshots.get(listed.name)
    if (snapshot === undefined) return
    this.#snapshots.delete(listed.name)
    if (problems.length > 0) this.#unused(snapshot, 'something is wrong with its log')
    else
      await this.#compareSnapshot(snapshot, file.bytes, root, (size) => {
        if (size === file.good) return Promise.resolve(contents)
        const before = { ...file, frames: file.frames.filter(({ end }) => end <= size) }
        // All of it was verified, and nothing was wrong.
        const verify = (): Promise<boolean> => Promise.resolve(true)
        const runtime = { ...this.#runtime, verify }
        return auditRepository(path, before, { ...surroundings, runtime }, () => undefined)
      })
  }

  async #compareSnapshot(
    snapshot: Listed,
    log: Uint8Array,
    root: AuditedRoot,
    contents: (size: number) => Promise<Contents>,
  ): Promise<void> {
    const bytes = await this.#source.read(snapshot.name, snapshot.size)
    const schema = (hash: string): Schema | undefined => this.#schemas.get(hash)
    const hash = (of: Schema): string => this.#schemas.hashOf(of)
    const found = await compareSnapshot(bytes, { log, root: root.log, contents, schema, hash })
    if (found === 'same') return
    if ('unused' in found) this.#unused(snapshot, found.unused)
    else this.#tell(snapshot.name)('SnapshotWrong', null, found.wrong)
  }

  #unused({ name }: Listed, why: string): void {
    this.#notes.push(`${name} is not used: ${why}. It is a cache, and may be deleted.`)
  }

  async #auditOther({ name, size }: Listed, root: AuditedRoot): Promise<void> {
    const bytes = await this.#source.read(name, size)
    const tell = this.#tell(name)
    const kind = kindOf(name)
    const hash = contentHash(bytes, this.#runtime)
    this.#files.push({ name, kind, path: null, size: bytes.length, hash, frames: 0 })
    if (kind === 'evidence') {
      if (name !== evidenceName(bytes, this.#runtime)) tell('WrongName', 0, name)
      const evidence = await proveFork(bytes, this.#runtime)
      if (isRefusal(evidence)) tell(evidence.code, 0, evidence.about)
      else if (evidence.network !== root.log.network) tell('WrongNetwork', 0, evidence.network)
      else this.#notes.push(`${name} proves a fork: run weft evidence on it.`)
      if (!isRefusal(evidence)) this.#auditErased(evidence, tell)
    } else if (kind === 'torn')
      this.#notes.push(`${name}: what a crash left of a write that was never acknowledged. It may be deleted.`)
    else if (kind === 'seal') await this.#auditSeal({ name, size }, bytes)
    else if (kind === 'copy') this.#notes.push(`${name}: a copy that was not finished. The next start replaces it.`)
    else if (kind === 'logout')
      this.#notes.push(`${name}: a logout that was under way. The next start ends it, and removes what is here.`)
    else if (kind === 'mark')
      this.#notes.push(`${name}: this store was restored from a backup, of the time in the file.`)
    else if (kind === 'stray') tell('StrayFile', null, name)
  }

  async #auditSeal(file: Listed, bytes: Uint8Array): Promise<void> {
    const known = sealIn(bytes)
    const log = file.name.slice(0, -'.seal'.length)
    const { size } = this.#files.find(({ name }) => name === log) ?? { size: 0 }
    if (known === undefined) return this.#unused(file, 'it cannot be read')
    // There is a byte at least in what one is of.
    const isOf = known.size <= size && crc32c(await this.#source.read(log, known.size)) === known.checksum
    if (!isOf) this.#unused(file, 'there is no log that it could be of')
  }

  #auditErased({ fork }: Evidence, tell: Tell): void {
    if (fork.kind !== 'chain') return
    const file = this.#repositories.find(({ path }) => path === fork.first.repository)?.file
    const erasures = file === undefined ? undefined : this.#logs.get(file)?.erasures
    for (const { id, changes } of [fork.first, fork.second])
      for (const { key, erased } of changes)
        if (!erased && erasures?.at(id, key) !== undefined) tell('ErasedContent', 0, `${id} ${key}`)
  }

  async #compare(now: Omit<AuditReport, 'ok' | 'problems' | 'notes'>): Promise<void> {
    const { since } = this.#options
    if (since === undefined) return
    const read = (name: string, size: number): Promise<Uint8Array> => this.#source.read(name, size)
    const present = { report: now, logs: this.#logs, read }
    for (const { file, about } of await comparePast(since, present, this.#runtime))
      this.#tell(file)('HistoryLost', null, about)
  }
}

const kindOf = (name: string): AuditedFile['kind'] => {
  if (isEvidenceName(name)) return 'evidence'
  if (/^=(lock|draft)\./.test(name)) return 'lock'
  if (logPattern.test(name.replace(/\.torn$/, '')) && name.endsWith('.torn')) return 'torn'
  if (logPattern.test(name.replace(/\.snapshot$/, '')) && name.endsWith('.snapshot')) return 'snapshot'
  if (logPattern.test(name.replace(/\.seal$/, '')) && name.endsWith('.seal')) return 'seal'
  if (name === 'logout') return 'logout'
  if (name === 'restored') return 'mark'
  if (name === 'evidence.new' || name === 'logout.new' || (name.endsWith('.new') && logPattern.test(name.slice(0, -4))))
    return 'copy'
  return 'stray'
}

const summary = (path: string, file: string, contents: Contents): Omit<AuditedRepository, 'problems'> => ({
  path,
  file,
  commits: contents.commits.size,
  entries: contents.log.entries.length,
  position: contents.log.position,
  covered: contents.covered,
  dead: contents.dead,
  waiting: contents.waiting,
})
