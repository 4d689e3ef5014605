/** How a replica stands, put together from its parts when somebody looks, and told once a microtask. */
import { describeRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { Freshness, type FreshnessParts } from './freshness.ts'
import { Listeners } from './listeners.ts'
import type { Storage } from './options.ts'
import { type Readable, reportRead } from './reads.ts'
import type { Repository } from './repository.ts'
import type { Status } from './status.ts'

export interface StandingOptions {
  readonly host: Pick<FreshnessParts, 'runtime' | 'clock' | 'authority'>
  readonly connections: FreshnessParts['connections']
  readonly repositories: Iterable<Repository>
  storage(): Storage | undefined
  /** Whether the session has a certificate that is not in force any more. */
  hasExpired(): boolean
  threw(error: unknown): void
}

export class Standing {
  /** Of the view that this replica has of the authority's logs. */
  readonly freshness: Freshness
  readonly #of: StandingOptions
  readonly #listeners: Listeners<[Status]>
  readonly #changes: Readable = { subscribe: (listener) => this.onStatus(listener) }
  #connection: Status['connection'] = 'connecting'
  #fault: Refusal | undefined
  /** What a peer refused last, and the repository it was about. */
  #peerProblem: { readonly why: Refusal; readonly path: string | undefined } | undefined
  #status: Status | undefined
  #telling = false

  constructor(of: StandingOptions) {
    this.#of = of
    this.#listeners = new Listeners((error) => of.threw(error))
    const { runtime, clock, authority } = of.host
    const { connections, repositories } = of
    this.freshness = new Freshness({
      runtime,
      clock,
      authority,
      connections,
      repositories,
      changed: () => this.tell(),
    })
  }

  get status(): Status {
    this.reportRead()
    this.#status ??= this.#make()
    return this.#status
  }

  /** Somebody looked at what changes with the status. */
  reportRead(): void {
    reportRead(this.#changes)
  }

  onStatus(listener: (status: Status) => void): () => void {
    return this.#listeners.add(listener)
  }

  get connection(): Status['connection'] {
    return this.#connection
  }

  connect(connection: Status['connection']): void {
    if (connection === this.#connection) return
    this.#connection = connection
    if (connection === 'online') this.#peerProblem = undefined
    this.tell()
  }

  /** What does not work on this device, or works again. */
  set fault(why: Refusal | undefined) {
    this.#fault = why
    this.tell()
  }

  refusedBy(why: Refusal, path: string | undefined): void {
    this.#peerProblem = { why, path }
  }

  /** What a peer refused is settled: all of it, or what was about that repository. A server that recovers says so itself when it has (`whole`). */
  settled(path?: string, whole = false): void {
    if (path !== undefined && this.#peerProblem?.path !== path) return
    if (path === undefined || whole || this.#peerProblem?.why.code !== 'Recovering') this.#peerProblem = undefined
  }

  /** Something of it changed. */
  tell(): void {
    this.#status = undefined
    if (this.#telling) return
    this.#telling = true
    // Listeners cannot throw here.
    void Promise.resolve().then(() => {
      this.#telling = false
      this.#listeners.tell(this.status)
    })
  }

  #make(): Status {
    let unsaved = 0
    let unacknowledged = 0
    const expired = this.#of.hasExpired() ? refusal('CertificateExpired') : undefined
    let problem = this.#fault ?? expired ?? this.#peerProblem?.why
    for (const repository of this.#of.repositories) {
      unsaved += repository.unsaved
      unacknowledged += repository.unacknowledged
      problem = repository.problem ?? problem
    }
    const storage = this.#of.storage()
    return {
      connection: this.#connection,
      storage: storage?.mode ?? 'opening',
      storageReason: storage?.reason,
      unsaved,
      unacknowledged,
      authStale: this.freshness.stale,
      problem: problem === undefined ? undefined : { code: problem.code, message: describeRefusal(problem) },
    }
  }
}
