/**
 * What the authority alone does: it founds the network, certifies sessions, and writes checkpoints over what it has made durable.
 */
import { toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Head } from '../graph/commits.ts'
import { type Certificate, encodeCertificate, readCertificate } from '../trust/certificate.ts'
import { encodeEntry, type Entry, type EntryBody, noNetwork, readEntry, rootPath, type Statement } from '../trust/entry.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { messageOf, sealBody } from '../trust/signed.ts'
import type { Clock } from './clock.ts'
import type { Runtime, SigningKey } from './ports.ts'
import type { Repository } from './repository.ts'
import type { RootLog } from './rootlog.ts'

/** Least time between two checkpoints of a repository, ms; the first change is covered at once. */
const checkpointInterval = 200

export class Authority {
  readonly key: SigningKey
  readonly #runtime: Runtime
  readonly #root: RootLog
  readonly #clock: Clock
  readonly #signer: string
  readonly #last = new Map<Repository, number>()
  readonly #scheduled = new Map<Repository, () => void>()
  readonly #writing = new Set<Repository>()
  readonly #verdicts = new Map<Repository, Extract<Statement, { kind: 'verdict' }>[]>()

  constructor(key: SigningKey, runtime: Runtime, root: RootLog, clock: Clock) {
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
    if (this.#scheduled.has(repository) || this.#writing.has(repository)) return
    const since = this.#runtime.elapsed() - (this.#last.get(repository) ?? Number.NEGATIVE_INFINITY)
    if (since >= checkpointInterval) return void this.#checkpoint(repository)
    const cancel = this.#runtime.timer(checkpointInterval - since, () => {
      this.#scheduled.delete(repository)
      void this.#checkpoint(repository)
    })
    this.#scheduled.set(repository, cancel)
  }

  /** One entry at a time: the next is signed when the one before is durable. */
  async #checkpoint(repository: Repository): Promise<void> {
    if (this.#writing.has(repository)) return
    const { log } = repository.pipeline
    const [verdict] = this.#verdicts.get(repository)?.splice(0, 1) ?? []
    const moved = verdict === undefined ? this.#moved(repository) : []
    if (verdict === undefined && moved.length === 0) return
    this.#writing.add(repository)
    this.#last.set(repository, this.#runtime.elapsed())
    const headsRoot = (): string => log.rootWith(moved, (bytes) => this.#runtime.hash(bytes))
    const statement: Statement = verdict ?? { kind: 'checkpoint', headsRoot: headsRoot(), stateRoot: null, moved }
    repository.pipeline.submitEntry(await this.#next(repository, statement))
  }

  /** The entry written last is durable. */
  written(repository: Repository): void {
    this.#writing.delete(repository)
    this.cover(repository)
  }

  /** Voids a change that no checkpoint covers: all of a commit when `key` is null. */
  void(repository: Repository, verdict: Extract<Statement, { kind: 'verdict' }>): void {
    this.#verdicts.set(repository, [...(this.#verdicts.get(repository) ?? []), verdict])
    void this.#checkpoint(repository)
  }

  /** Chains whose durable tip is beyond what is covered. Of a forked chain, the branch that is covered already, else the first to come. */
  #moved(repository: Repository): Head[] {
    const { commits, log } = repository.pipeline
    const moved = new Map<string, Head>()
    for (const head of commits.heads()) {
      const covered = log.covered.get(head.chain)
      if (moved.has(head.chain) || (covered !== undefined && covered.seq >= head.seq)) continue
      if (covered !== undefined && commits.headsOf(head.chain).length > 1 && !this.#continues(repository, head, covered)) continue
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
    for (const cancel of this.#scheduled.values()) cancel()
    this.#scheduled.clear()
  }
}
