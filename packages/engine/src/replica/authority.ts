/**
 * What the authority alone does: it founds the network, certifies sessions, and writes checkpoints over what it has made durable.
 */
import { toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Head } from '../graph/commits.ts'
import { type Certificate, encodeCertificate, readCertificate } from '../trust/certificate.ts'
import {
  type Entry,
  type EntryBody,
  encodeEntry,
  noNetwork,
  readEntry,
  rootPath,
  type Statement,
} from '../trust/entry.ts'
import { messageOf, sealBody } from '../trust/signed.ts'
import type { Clock } from './clock.ts'
import type { Runtime, SigningKey } from './ports.ts'
import type { Repository } from './repository.ts'
import type { RootLog } from './rootlog.ts'

/** Least time between two checkpoints of a repository, ms; the first change is covered at once. */
const checkpointInterval = 200
/** Until signing is tried again, ms. */
const signingRetry = 1_000

export type Verdict = Extract<Statement, { kind: 'verdict' }>

export class Authority {
  readonly key: SigningKey
  readonly #runtime: Runtime
  readonly #root: RootLog
  readonly #clock: Clock
  readonly #signer: string
  readonly #last = new Map<Repository, number>()
  readonly #scheduled = new Map<Repository, () => void>()
  readonly #writing = new Set<Repository>()
  readonly #verdicts = new Map<Repository, Verdict[]>()
  readonly #onIncident: (why: Refusal, repository: string) => void
  #stopped = false

  constructor(
    key: SigningKey,
    runtime: Runtime,
    root: RootLog,
    clock: Clock,
    onIncident: (why: Refusal, repository: string) => void,
  ) {
    this.#onIncident = onIncident
    this.key = key
    this.#runtime = runtime
    this.#root = root
    this.#clock = clock
    this.#signer = toHex(runtime.hash(key.publicKey))
  }

  /** The first entry of the root log: it makes the network. */
  async genesis(): Promise<Entry> {
    return this.#sign({
      network: noNetwork,
      log: rootPath,
      epoch: 0,
      n: 0,
      prev: null,
      root: null,
      time: this.#clock.now(),
      signer: this.#signer,
      statement: { kind: 'genesis', publicKey: this.key.publicKey, name: this.#runtime.random(16) },
    })
  }

  /** A certificate for a session that proved its key on the channel it asked through. */
  async certify(publicKey: Uint8Array, owner: string, name: string): Promise<Certificate> {
    const { network } = this.#root
    if (network === undefined) throw new Error('the authority certifies after its network is founded')
    const issued = this.#clock.now()
    const body = encodeCertificate({
      network,
      publicKey,
      owner,
      name,
      issued,
      expires: issued + limits.certificateLife,
      serial: toHex(this.#runtime.random(16)),
      signer: this.#signer,
    })
    const signature = await this.key.sign(messageOf('certificate', body, this.#runtime.hash))
    const certificate = readCertificate(sealBody(body, signature, this.#runtime.hash).bytes, this.#runtime.hash)
    if (isRefusal(certificate)) throw new Error(`made a certificate that is ${certificate.code}`)
    return certificate
  }

  /** Covers what became durable: at once when it is long since the last checkpoint, else when the interval is over. */
  cover(repository: Repository): void {
    if (this.#stopped || this.#scheduled.has(repository) || this.#writing.has(repository)) return
    const since = this.#runtime.elapsed() - (this.#last.get(repository) ?? Number.NEGATIVE_INFINITY)
    if (since >= checkpointInterval) this.#write(repository)
    else this.#schedule(repository, checkpointInterval - since)
  }

  #schedule(repository: Repository, wait: number): void {
    const cancel = this.#runtime.timer(wait, () => {
      this.#scheduled.delete(repository)
      this.#write(repository)
    })
    this.#scheduled.set(repository, cancel)
  }

  /** One entry at a time: the next is signed when the one before is durable, so that no place in the log is signed twice. */
  #write(repository: Repository): void {
    if (this.#stopped || this.#writing.has(repository) || !repository.pipeline.isOpen) return
    const statement = this.#verdict(repository) ?? this.#checkpoint(repository)
    if (statement === undefined) return
    this.#writing.add(repository)
    this.#last.set(repository, this.#runtime.elapsed())
    this.#next(repository, statement).then(
      (entry) => repository.pipeline.submitEntry(entry),
      (error: unknown) => {
        this.#onIncident(refusal('SigningFailed', String(error)), repository.path)
        if (statement.kind === 'verdict') this.#verdicts.get(repository)?.unshift(statement)
        this.#writing.delete(repository)
        if (!this.#stopped) this.#schedule(repository, signingRetry)
      },
    )
  }

  #checkpoint(repository: Repository): Statement | undefined {
    const moved = this.#moved(repository)
    if (moved.length === 0) return undefined
    const headsRoot = repository.pipeline.log.rootWith(moved, (bytes) => this.#runtime.hash(bytes))
    return { kind: 'checkpoint', headsRoot, stateRoot: null, moved }
  }

  /** The next verdict that may be written. What a checkpoint covered meanwhile is receipted: history is corrected by new commits. */
  #verdict(repository: Repository): Verdict | undefined {
    const verdicts = this.#verdicts.get(repository) ?? []
    for (let verdict = verdicts.shift(); verdict !== undefined; verdict = verdicts.shift()) {
      if (!repository.covers(verdict.commit)) return verdict
      this.#onIncident(refusal('Receipted', verdict.commit), repository.path)
    }
    return undefined
  }

  /** The entry written last is durable, or has no place in the log. */
  written(repository: Repository): void {
    this.#writing.delete(repository)
    if ((this.#verdicts.get(repository)?.length ?? 0) > 0) this.#write(repository)
    else this.cover(repository)
  }

  /** Voids a change that no checkpoint covers: all of a commit when `key` is null. Refused when one covers it. */
  void(repository: Repository, verdict: Verdict): Refusal | undefined {
    if (repository.covers(verdict.commit)) return refusal('Receipted', verdict.commit)
    this.#verdicts.set(repository, [...(this.#verdicts.get(repository) ?? []), verdict])
    this.#write(repository)
    return undefined
  }

  /** Chains whose durable tip is beyond what is covered. Of a forked chain, the branch that is covered already, else the first to come. */
  #moved(repository: Repository): Head[] {
    const { commits, log } = repository.pipeline
    const moved = new Map<string, Head>()
    for (const head of commits.heads()) {
      const covered = log.covered.get(head.chain)
      if (moved.has(head.chain) || (covered !== undefined && covered.seq >= head.seq)) continue
      if (
        covered !== undefined &&
        commits.headsOf(head.chain).length > 1 &&
        !this.#continues(repository, head, covered)
      )
        continue
      moved.set(head.chain, head)
      if (moved.size === limits.headsPerMessage) break
    }
    return [...moved.values()]
  }

  #continues(repository: Repository, head: Head, covered: Head): boolean {
    let at = repository.pipeline.commits.get(head.id)
    while (at !== undefined && at.seq > covered.seq && at.prev !== null) at = repository.pipeline.commits.get(at.prev)
    return at?.id === covered.id
  }

  async #next(repository: Repository, statement: Statement): Promise<Entry> {
    const { log } = repository.pipeline
    const { network, position } = this.#root
    if (network === undefined || position === null) throw new Error('the authority writes after its network is founded')
    const last = log.position
    return this.#sign({
      network,
      log: repository.path,
      epoch: last?.epoch ?? 0,
      n: log.next,
      prev: last?.hash ?? null,
      root: position,
      time: this.#clock.now(),
      signer: this.#signer,
      statement,
    })
  }

  async #sign(body: EntryBody): Promise<Entry> {
    const bytes = encodeEntry(body)
    const signature = await this.key.sign(messageOf('entry', bytes, this.#runtime.hash))
    const entry = readEntry(sealBody(bytes, signature, this.#runtime.hash).bytes, this.#runtime.hash)
    if (isRefusal(entry)) throw new Error(`made an entry that is ${entry.code}`)
    return entry
  }

  stop(): void {
    this.#stopped = true
    for (const cancel of this.#scheduled.values()) cancel()
    this.#scheduled.clear()
  }
}
