/**
 * One repository from its log: every commit whole, signed by a session that the authority certified, following its chain and its parents;
 * every entry of the authority's log signed, in its place, and true of the commits that are here. What is refused is left out, as a replica
 * that opens the log leaves it out, so what builds on it is named too. The authority's log is read first: it says what is erased.
 */
import { toHex } from '../../bytes/bytes.ts'
import { isRefusal } from '../../bytes/refusal.ts'
import { type Commit, readCommit, signedBytes } from '../../commit/commit.ts'
import { follows, isRun, isSigned } from '../../commit/run.ts'
import { Commits } from '../../graph/commits.ts'
import { type Frame, frameKinds } from '../../log/frame.ts'
import { LogLayout } from '../../log/layout.ts'
import { PackedLogReader } from '../../log/packedlog.ts'
import { AuthorityLog } from '../../trust/authoritylog.ts'
import type { Certificate } from '../../trust/certificate.ts'
import { type Entry, readEntry } from '../../trust/entry.ts'
import { messageOf } from '../../trust/signed.ts'
import { Certificates } from '../certificates.ts'
import { Deaths } from '../deaths.ts'
import { droppedCommits, readFloor } from '../floor.ts'
import { Judging } from '../judging.ts'
import type { Runtime } from '../ports.ts'
import type { Snapshot } from '../snapshot.ts'
import type { LogFile } from './file.ts'
import type { DeadCommit, Tell } from './report.ts'
import { type AuditedRoot, judgeCertificate } from './rootlog.ts'

export interface Contents {
  readonly commits: Commits
  readonly log: AuthorityLog
  readonly layout: LogLayout
  /** What stands in the place of commits that this store dropped; undefined where it has all. */
  readonly floor: Snapshot | undefined
  readonly certificates: ReadonlyMap<string, Certificate>
  readonly covered: number
  readonly dead: readonly DeadCommit[]
  readonly waiting: readonly DeadCommit[]
  readonly forked: readonly string[]
}

export interface Surroundings {
  readonly runtime: Runtime
  readonly root: AuditedRoot
  /**
   * Whether this is the authority's own store. It signs about nothing but what it stores; anybody else may have its entries before the
   * commits that they name.
   */
  readonly isAuthority: boolean
}

export const auditRepository = async (
  path: string,
  file: LogFile,
  surroundings: Surroundings,
  tell: Tell,
): Promise<Contents> => {
  const audit = new RepositoryAudit(path, surroundings, tell)
  const { header } = file
  if (header !== undefined && header.network !== surroundings.root.log.network)
    tell('WrongNetwork', 0, header.network ?? 'none')
  for (const frame of file.frames) if (frame.kind === frameKinds.entry) await audit.takeEntry(frame)
  audit.takeFloor(file.frames.filter(({ kind }) => kind === frameKinds.floor))
  for (const frame of file.frames) await audit.takeOther(frame)
  return audit.end()
}

interface Stored {
  readonly commit: Commit
  readonly offset: number
}

class RepositoryAudit {
  readonly #path: string
  readonly #of: Surroundings
  readonly #tell: Tell
  readonly #commits = new Commits()
  readonly #log: AuthorityLog
  readonly #certificates = new Map<string, Certificate>()
  readonly #forked = new Set<string>()
  readonly #packs: PackedLogReader
  readonly #layout = new LogLayout()
  /** Commits that the next signed one has to vouch for. */
  #run: Stored[] = []
  /** Where the entries stand in the file. */
  readonly #offsets = new Map<Entry, number>()

  constructor(path: string, surroundings: Surroundings, tell: Tell) {
    this.#path = path
    this.#of = surroundings
    this.#tell = tell
    this.#log = new AuthorityLog(path)
    this.#packs = new PackedLogReader(this.#hash)
  }

  async takeOther(frame: Frame): Promise<void> {
    const { kind, offset, payload, end } = frame
    if (kind !== frameKinds.commit) this.#cutRun()
    if (kind === frameKinds.certificate) await this.#takeCertificate(frame)
    const records = this.#packs.records(frame)
    if (!isRefusal(records)) for (const bytes of records) await this.#takeCommit(bytes, offset)
    else if (records.code !== 'LogCorrupt') this.#tell(records.code, offset, records.about)
    if (kind === frameKinds.pack) this.#cutRun()
    this.#layout.add(kind, payload, end, isRefusal(records) ? 0 : records.length)
  }

  #hash = (bytes: Uint8Array): Uint8Array => this.#of.runtime.hash(bytes)

  async #takeCertificate({ payload, offset }: Frame): Promise<void> {
    const { root, runtime } = this.#of
    const certificate = await judgeCertificate(payload, root.log, runtime, (code, about) =>
      this.#tell(code, offset, about),
    )
    if (certificate !== undefined) this.#certificates.set(certificate.session, certificate)
  }

  async #takeCommit(bytes: Uint8Array, offset: number): Promise<void> {
    const commit = readCommit(bytes, this.#hash)
    if (isRefusal(commit)) return this.#tell(commit.code, offset, commit.about || 'a commit')
    if (commit.network !== this.#of.root.log.network) return this.#tell('WrongNetwork', offset, commit.id)
    if (commit.repository !== this.#path) return this.#tell('WrongRepository', offset, commit.id)
    if (this.#commits.isBelowFloor(commit)) return this.#keep(commit, offset)
    const certificate = this.#certificates.get(commit.session)
    if (certificate === undefined) return this.#tell('UnknownSession', offset, `${commit.session} of ${commit.id}`)
    const before = this.#run.at(-1)?.commit
    if (before !== undefined && !follows(commit, before)) this.#cutRun()
    this.#run.push({ commit, offset })
    if (!isSigned(commit)) return
    const run = this.#run
    this.#run = []
    const { verify } = this.#of.runtime
    const isWhole =
      isRun(run.map((one) => one.commit)) &&
      (await verify(certificate.publicKey, signedBytes(commit.id), commit.signature))
    for (const one of run)
      if (isWhole) this.#takeIn(one)
      else this.#tell('BadSignature', one.offset, one.commit.id)
  }

  /** What stayed of commits that were dropped. That it was one of them is in what was dropped. */
  #keep(commit: Commit, offset: number): void {
    this.#checkErased(commit, offset)
    this.#commits.keep(commit)
    this.#commits.settle()
  }

  /** What nobody vouches for. */
  #cutRun(): void {
    for (const { commit, offset } of this.#run) this.#tell('BadSignature', offset, commit.id)
    this.#run = []
  }

  #takeIn({ commit, offset }: Stored): void {
    if (this.#commits.get(commit.id) !== undefined) return this.#tell('Repeated', offset, commit.id)
    this.#checkErased(commit, offset)
    const why = this.#commits.check(commit, this.#isErased)
    if (why !== undefined) return this.#tell(why.code, offset, `${commit.id}: ${why.about}`)
    if (this.#commits.stage(commit)) this.#forked.add(commit.chain)
    this.#commits.settle()
  }

  readonly #isErased = (id: string, key: string): boolean => this.#log.erasures.at(id, key) !== undefined

  #checkErased(commit: Commit, offset: number): void {
    for (const { key, erased } of commit.changes)
      if (!erased && this.#isErased(commit.id, key)) this.#tell('ErasedContent', offset, `${commit.id} ${key}`)
  }

  #floor: Snapshot | undefined

  /** What was dropped ends where a checkpoint says. */
  takeFloor(frames: readonly Frame[]): void {
    const [first] = frames
    if (first === undefined) return
    this.#floor = readFloor(frames)
    const dropped = this.#floor && droppedCommits(this.#floor)
    if (dropped === undefined) return this.#tell('LogCorrupt', first.offset, 'what stands for dropped commits')
    this.#commits.restore(dropped)
    for (const [chain, id] of dropped.floorHeads())
      if (!this.#log.coversUpTo({ id, chain, seq: dropped.floorOf(chain) }))
        this.#tell('MissingCommit', first.offset, `${id}: what was dropped ends with it, and no checkpoint covers it`)
  }

  async takeEntry({ payload, offset }: Frame): Promise<void> {
    const { root, runtime } = this.#of
    const entry = readEntry(payload, this.#hash)
    if (isRefusal(entry)) return this.#tell(entry.code, offset, entry.about)
    const about = `${entry.log} ${entry.epoch}/${entry.n}`
    if (entry.network !== root.log.network) return this.#tell('WrongNetwork', offset, about)
    const known = entry.root
    const key = known === null ? undefined : root.log.keyAt(entry.signer, known.n)
    if (known === null || key === undefined) return this.#tell('BadEntry', offset, `${about}: an unknown key`)
    if (!(await runtime.verify(key, messageOf('entry', entry.body, this.#hash), entry.signature)))
      return this.#tell('BadSignature', offset, about)
    if (!root.log.knows(known))
      return this.#tell('BadEntry', offset, `${about}: it names an entry of the root log that is not here`)
    const why = this.#log.check(entry, this.#hash)
    if (why === 'held') return
    if (why !== undefined) return this.#tell(why.code, offset, why.about)
    this.#log.append(entry)
    this.#offsets.set(entry, offset)
  }

  end(): Contents {
    this.#cutRun()
    for (const { from, to } of this.#packs.holes)
      this.#tell('LogCorrupt', from, `bytes ${from} to ${to}: commits that cannot be read without what is lost`)
    for (const entry of this.#log.entries) this.#checkNamed(entry)
    const [dead, waiting] = this.#judge()
    return {
      commits: this.#commits,
      log: this.#log,
      layout: this.#layout,
      floor: this.#floor,
      certificates: this.#certificates,
      covered: this.#countCovered(),
      dead,
      waiting,
      forked: [...this.#forked],
    }
  }

  /** What an entry names has to be here. */
  #checkNamed(entry: Entry): void {
    const { statement, n } = entry
    const offset = this.#offsets.get(entry) ?? null
    if (statement.kind === 'checkpoint') {
      for (const { chain, seq, id } of statement.moved) {
        const commit = this.#commits.get(id)
        if (commit === undefined) this.#missing(offset, id)
        else if (commit.chain !== chain || commit.seq !== seq)
          this.#tell('BadEntry', offset, `checkpoint ${n} puts the commit ${id} elsewhere`)
      }
    } else if (statement.kind === 'verdict') this.#checkChange(offset, statement.commit, statement.key)
    else if (statement.kind === 'erasure')
      for (const { commit, key } of [...statement.changes, ...statement.dead]) this.#checkChange(offset, commit, key)
  }

  #checkChange(offset: number | null, id: string, key: string | null): void {
    const commit = this.#commits.get(id)
    if (commit === undefined) this.#missing(offset, id)
    else if (key !== null && !commit.changes.some((change) => change.key === key))
      this.#tell('BadEntry', offset, `the commit ${id} does not change the item ${key}`)
  }

  #missing(offset: number | null, id: string): void {
    if (this.#of.isAuthority) this.#tell('MissingCommit', offset, id)
  }

  #countCovered(): number {
    let count = 0
    for (const head of this.#log.covered.values()) {
      for (let commit = this.#commits.get(head.id); commit !== undefined; count++)
        commit = commit.prev === null ? undefined : this.#commits.get(commit.prev)
    }
    return count
  }

  /** What is dead by what the authority's logs say, and what cannot count yet. What the app's rules say takes the app. */
  #judge(): [dead: DeadCommit[], waiting: DeadCommit[]] {
    const dead: DeadCommit[] = []
    const waiting: DeadCommit[] = []
    const { root, runtime } = this.#of
    const certificates = new Certificates(runtime, root.log)
    for (const certificate of this.#certificates.values()) certificates.keep(certificate)
    const judging = new Judging(() => undefined, root.log, certificates, { report: () => undefined, twice: false })
    const held = { commits: this.#commits, log: this.#log, durableEntries: this.#log.entries.length }
    const deaths = new Deaths(held, judging)
    for (let index = 0; index < this.#commits.size; index++) {
      const commit = this.#commits.at(index)
      if (commit === undefined) continue
      const owner = this.#certificates.get(commit.session)?.owner ?? null
      const waits = this.#waits(commit)
      if (waits !== undefined) waiting.push({ commit: commit.id, owner, key: null, ...waits })
      const keys = commit.changes.map(({ key }) => key)
      const revoked = owner === null ? undefined : root.log.revokedAt({ session: commit.session, owner })
      if (revoked !== undefined && root.log.cited(commit.policy.root) >= revoked) {
        const reason = `its author knew entry ${revoked} of the root log, which ended the access`
        dead.push({ commit: commit.id, owner, key: null, code: 'Revoked', reason })
        continue
      }
      // Of an atomic commit all changes count or none.
      const groups = commit.atomic ? [keys] : keys.map((key) => [key])
      const died = groups.map((group) => deaths.of(commit, group))
      const isWhole = died.every((death) => death !== undefined && death.from === died[0]?.from)
      for (const [place, death] of died.entries()) {
        if (death === undefined || (isWhole && place > 0)) continue
        const { code, about, reason = about } = death.why
        const key = isWhole ? null : (keys[place] ?? null)
        dead.push({ commit: commit.id, owner, key, code, reason: `${reason}, from entry ${death.from} on` })
      }
    }
    return [dead, waiting]
  }

  #waits(commit: Commit): { readonly code: DeadCommit['code']; readonly reason: string } | undefined {
    const { root, authority } = commit.policy
    if (commit.extended) return { code: 'UnknownFormat', reason: 'a field of its header is not known' }
    if (!this.#of.root.log.knows(root))
      return { code: 'BadEntry', reason: `entry ${root.n} of the root log is not here` }
    if (this.#log.knows(authority)) return undefined
    return { code: 'BadEntry', reason: `entry ${authority?.n} of the repository's log is not here` }
  }
}

/** A path out of what the file holds, when its header is lost. */
export const pathIn = (file: LogFile, runtime: Runtime): string | undefined => {
  const hash = (bytes: Uint8Array): Uint8Array => runtime.hash(bytes)
  const packs = new PackedLogReader(hash)
  for (const frame of file.frames) {
    const records = packs.records(frame)
    const [record] = isRefusal(records) ? [] : records
    const commit = record && readCommit(record, hash)
    if (commit !== undefined && !isRefusal(commit)) return commit.repository
    const entry = frame.kind === frameKinds.entry ? readEntry(frame.payload, hash) : undefined
    if (entry !== undefined && !isRefusal(entry)) return entry.log
  }
  return undefined
}

/** The file's content, as reports compare it. */
export const contentHash = (bytes: Uint8Array, runtime: Runtime): string => toHex(runtime.hash(bytes))
