/**
 * Evidence that a replica keeps of the forks it meets: a file each, named by its hash, beside the logs. A fork is shown once and may never
 * be shown again, so what proves it is stored at once. Strangers cause forks of their own chains as they like: one file a session, some of
 * the places for sessions, and the others for what the authority did: one file a log and epoch, because every entry after a fork differs too,
 * and one an account of which two certificates bear one number.
 */
import { fromHex, toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { Run } from '../commit/run.ts'
import { stripCommit } from '../commit/strip.ts'
import type { Certificate } from '../trust/certificate.ts'
import { type Entry, readEntry, rootPath } from '../trust/entry.ts'
import type { Erasures } from '../trust/erasure.ts'
import { type ChainFork, claimsOf, type Evidence, encodeEvidence, type Fork, readEvidence } from '../trust/evidence.ts'
import { messageOf } from '../trust/signed.ts'
import type { Certificates } from './certificates.ts'
import type { File, Files, Runtime } from './ports.ts'
import { RootLog } from './rootlog.ts'

const namePattern = /^evidence-[0-9a-f]{64}\.cbor$/
/** Under this name until all of it is stored. */
const draft = 'evidence.new'

export const isEvidenceName = (name: string): boolean => namePattern.test(name)

export const evidenceName = (bytes: Uint8Array, runtime: Pick<Runtime, 'hash'>): string =>
  `evidence-${toHex(runtime.hash(bytes))}.cbor`

/** What the evidence proves, or why it proves nothing. It needs nothing but the bytes. */
export const proveFork = async (bytes: Uint8Array, runtime: Runtime): Promise<Evidence | Refusal> => {
  const hash = (part: Uint8Array): Uint8Array => runtime.hash(part)
  const evidence = readEvidence(bytes, hash)
  if (isRefusal(evidence)) return evidence
  const { fork, network } = evidence
  const root = new RootLog(runtime)
  for (const entry of evidence.root) {
    const checked = await root.check(entry.bytes, network)
    if (checked === 'held') return refusal('NotEvidence', 'an entry of the root log twice')
    if (isRefusal(checked)) return checked
    root.append(checked)
  }
  if (root.network !== network) return refusal('WrongNetwork', network)
  const session = fork.kind === 'chain' ? fork.certificate.publicKey : undefined
  for (const { signer, message, signature } of claimsOf(evidence, hash)) {
    const key = signer === undefined ? session : root.key(signer)
    if (key === undefined) return refusal('NotEvidence', `the root log does not name the key ${signer}`)
    if (!(await runtime.verify(key, message, signature))) return refusal('BadSignature', fork.kind)
  }
  return evidence
}

/** Two things met for one place. What a peer showed for the second may be anything that could be read. */
export type Met =
  | { readonly kind: 'log'; readonly held: Entry; readonly other: Entry }
  /** Both verified. */
  | { readonly kind: 'certificate'; readonly held: Certificate; readonly other: Certificate }
  /**
   * Each with what vouches for it. `held` walks the chain, which may be long: it is asked once a session, and at once.
   */
  | { readonly kind: 'chain'; readonly held: () => Run; readonly other: Run }

/** There is at most one file a subject. */
const subjectOf = ({ kind, first }: Fork): string =>
  kind === 'chain' ? chainSubject(first.session) : kind === 'log' ? logSubject(first) : accountSubject(first)
const chainSubject = (session: string): string => `chain ${session}`
const accountSubject = ({ owner }: Certificate): string => `account ${owner}`
const logSubject = ({ log, epoch }: Entry): string => `log ${log} ${epoch}`

/** Whose log or repository it is about. */
const pathOf = (fork: Fork): string =>
  fork.kind === 'chain' ? fork.first.repository : fork.kind === 'log' ? fork.first.log : rootPath

/** Forks whose evidence is being written, at most. */
const mostWaiting = 64

export class EvidenceStore {
  readonly #runtime: Runtime
  readonly #root: RootLog
  readonly #certificates: Certificates
  readonly #onIncident: (why: Refusal, repository: string) => void
  #files: Files | undefined
  /** What there is evidence of already. */
  readonly #subjects = new Set<string>()
  readonly #coming = new Set<string>()
  #waiting = 0
  #learned = false
  /** One file is written at a time. */
  #writing: Promise<void> = Promise.resolve()

  constructor(
    runtime: Runtime,
    root: RootLog,
    certificates: Certificates,
    onIncident: (why: Refusal, repository: string) => void,
  ) {
    this.#runtime = runtime
    this.#root = root
    this.#certificates = certificates
    this.#onIncident = onIncident
  }

  /** Where the files are. They are looked at when they are needed, which is hardly ever. */
  open(files: Files): void {
    this.#files = files
  }

  /** What cannot be read counts all the same, so that there are never more files than allowed. */
  async #learn(): Promise<void> {
    if (this.#learned) return
    for (const { name, bytes } of await this.#read()) {
      const evidence = readEvidence(bytes, (part) => this.#runtime.hash(part))
      this.#subjects.add(isRefusal(evidence) ? name : subjectOf(evidence.fork))
    }
    this.#learned = true
  }

  /** Every file of evidence. */
  async list(): Promise<{ readonly name: string; readonly bytes: Uint8Array }[]> {
    await this.#writing
    return this.#read()
  }

  async #read(): Promise<{ readonly name: string; readonly bytes: Uint8Array }[]> {
    const files = this.#files
    const names = (await files?.list())?.filter(isEvidenceName) ?? []
    const kept: { name: string; bytes: Uint8Array }[] = []
    for (const name of names) {
      const file = await files?.open(name, false)
      if (file === undefined) continue
      try {
        kept.push({ name, bytes: await file.read(0, Math.min(await file.size(), limits.evidenceBytes)) })
      } finally {
        await file.close()
      }
    }
    return kept
  }

  /** Keeps the evidence of a fork, if it is one, there is none of its subject, and there is room. */
  keep(met: Met): void {
    const isLog = met.kind === 'log'
    if (isLog && (met.held.epoch !== met.other.epoch || met.held.id === met.other.id)) return
    const isChain = met.kind === 'chain'
    const subject = isLog
      ? logSubject(met.held)
      : isChain
        ? chainSubject(met.other[0]?.session ?? '')
        : accountSubject(met.held)
    // An entry may turn out not to be signed: it does not stand in the way of one that is.
    const isComing = !isLog && this.#coming.has(subject)
    if (this.#subjects.has(subject) || isComing || !this.#hasRoom(isChain) || this.#waiting >= mostWaiting) return
    const seen = isChain ? this.#chainFork(met.held(), met.other) : met
    if (seen === undefined) return
    this.#coming.add(subject)
    this.#waiting++
    this.#writing = this.#writing
      .then(async () => {
        await this.#learn()
        if (this.#subjects.has(subject) || !this.#hasRoom(isChain)) return
        const fork = 'other' in seen ? await this.#forkOf(seen) : seen
        if (fork !== undefined) await this.#write(fork)
      })
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#coming.delete(subject)
        this.#waiting--
      })
  }

  #hasRoom(isChain: boolean): boolean {
    if (this.#subjects.size >= limits.evidenceFiles) return false
    const chains = [...this.#subjects].filter((subject) => subject.startsWith('chain ')).length
    return !isChain || chains < limits.evidenceOfChains
  }

  async #write(fork: Fork): Promise<void> {
    const { network } = this.#root
    if (network === undefined || this.#files === undefined) return
    const bytes = encodeEvidence(fork, this.#rootEntries(), fromHex(network))
    const path = pathOf(fork)
    const name = evidenceName(bytes, this.#runtime)
    const fits = bytes.length <= limits.evidenceBytes
    if (fits) await store(this.#files, name, bytes)
    this.#subjects.add(subjectOf(fork))
    this.#onIncident(fits ? refusal('EvidenceKept', name) : refusal('TooLarge', 'the evidence of a fork'), path)
  }

  #rootEntries(): Entry[] {
    return this.#root.after(0).flatMap((bytes) => {
      const entry = readEntry(bytes, (part) => this.#runtime.hash(part))
      return isRefusal(entry) ? [] : [entry]
    })
  }

  /** Commits were verified when they came. */
  #chainFork([first, ...before]: Run, [second, ...after]: Run): ChainFork | undefined {
    const certificate = first && this.#certificates.get(first.session)
    if (first === undefined || second === undefined || certificate === undefined) return undefined
    const vouchers = new Map([
      [first.id, before],
      [second.id, after],
    ])
    return { kind: 'chain', first, second, vouchers, certificate }
  }

  async #forkOf(met: Exclude<Met, { kind: 'chain' }>): Promise<Fork | undefined> {
    if (met.kind === 'log') return this.#logFork(met.held, met.other)
    return { kind: 'certificate', first: met.held, second: met.other }
  }

  /** What is held was verified when it came; of the other the signature may not have been looked at yet. */
  async #logFork(first: Entry, other: Entry): Promise<Fork | undefined> {
    const key = this.#root.keyAt(other.signer, other.root?.n ?? other.n)
    if (key === undefined || (other.log === rootPath && other.n === 0)) return undefined
    const message = messageOf('entry', other.body, (part) => this.#runtime.hash(part))
    const isSigned = await this.#runtime.verify(key, message, other.signature)
    return isSigned ? { kind: 'log', first, second: other } : undefined
  }

  /** Takes what a repository's log erases out of the evidence, which proves as much without it. */
  erase(path: string, erasures: Erasures): void {
    this.#writing = this.#writing.then(() => this.#erase(path, erasures)).catch((error: unknown) => this.#failed(error))
  }

  async #erase(path: string, erasures: Erasures): Promise<void> {
    const files = this.#files
    if (files === undefined) return
    const hash = (part: Uint8Array): Uint8Array => this.#runtime.hash(part)
    const names = new Set(await files.list())
    if (names.has(draft)) await files.remove(draft)
    for (const { name, bytes } of [...names].some(isEvidenceName) ? await this.#read() : []) {
      const evidence = readEvidence(bytes, hash)
      if (isRefusal(evidence) || evidence.fork.kind !== 'chain' || evidence.fork.first.repository !== path) continue
      const strip = (commit: Commit): Commit =>
        stripCommit(commit, (key) => erasures.at(commit.id, key) !== undefined, hash)
      const { fork } = evidence
      const vouchers = new Map([...(fork.vouchers ?? [])].map(([id, commits]) => [id, commits.map(strip)]))
      const clean: ChainFork = { ...fork, first: strip(fork.first), second: strip(fork.second), vouchers }
      const stripped = encodeEvidence(clean, evidence.root, fromHex(evidence.network))
      const renamed = evidenceName(stripped, this.#runtime)
      if (renamed === name) continue
      await store(files, renamed, stripped)
      await files.remove(name)
      await files.syncNames()
    }
  }

  #failed(error: unknown): void {
    const why = error instanceof WeftError ? refusal(error.code, error.about) : refusal('Fault', String(error))
    this.#onIncident(why, rootPath)
  }

  /** The files are gone. */
  forget(): void {
    this.#subjects.clear()
    this.#learned = false
  }

  /** Resolves when what was met is stored. */
  async close(): Promise<void> {
    await this.#writing
  }
}

/** The file is there whole or not at all. */
const store = async (files: Files, name: string, bytes: Uint8Array): Promise<void> => {
  await files.remove(draft)
  const file = await files.open(draft, true)
  if (file === undefined) throw new Error(`${draft} was not made`)
  try {
    await writeAll(file, bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.rename(draft, name)
  await files.syncNames()
}

const writeAll = async (file: File, bytes: Uint8Array): Promise<void> => {
  for (let written = 0; written < bytes.length; ) {
    const count = await file.write(written, bytes.subarray(written))
    if (count <= 0) throw new Error('nothing was written')
    written += count
  }
}
