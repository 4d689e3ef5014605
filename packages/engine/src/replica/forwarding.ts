/** What became durable in a repository, told to every channel that shares it. */
import type { Refusal } from '../bytes/refusal.ts'
import type { Entry } from '../trust/entry.ts'
import { Broadcast, fewestChannels } from './broadcast.ts'
import type { Connection } from './connection.ts'
import type { Gossiping } from './gossiping.ts'
import type { HeldCommits } from './heldcommits.ts'
import type { Origin, Sharing, Staged } from './pending.ts'
import type { Reconciler } from './reconciler.ts'
import type { Repository } from './repository.ts'

/** Ids of what is stored together: made here, brought by channels, all of it; and those channels. */
interface Shares {
  readonly local: readonly string[]
  readonly others: Staged
  readonly other: readonly string[]
  readonly all: readonly string[]
  readonly origins: ReadonlySet<Origin>
}

export class Forwarding {
  readonly #connections: Iterable<Connection>
  readonly #gossiping: Gossiping
  /** Whether this replica is the authority. */
  readonly #welcomes: boolean
  /** How many entries there were when commits or entries were told of last. */
  readonly #entries = new WeakMap<Repository, number>()
  readonly #shares = new WeakMap<Staged, Shares>()
  /** Channels that shared it when something was committed last, and what is held of it. */
  readonly #readers = new WeakMap<Repository, { readonly count: number; readonly held: HeldCommits | undefined }>()
  readonly #broadcasts = new WeakMap<Repository, Broadcast>()

  constructor(connections: Iterable<Connection>, gossiping: Gossiping, welcomes: boolean) {
    this.#connections = connections
    this.#gossiping = gossiping
    this.#welcomes = welcomes
  }

  sharing(repository: Repository): Sharing {
    return {
      storing: (staged) => this.#prepare(repository, staged),
      stored: (staged) => this.#committed(repository, staged),
    }
  }

  /** Packs what is being stored, while the disk works, for whoever will be sent it if it is stored. */
  #prepare(repository: Repository, storing: Staged): void {
    const { all, origins, others } = this.#sharesOf(storing)
    // Where many were told last time, many will be.
    const readers = this.#readers.get(repository)
    if (readers !== undefined && readers.count >= fewestChannels)
      return this.#broadcast(repository, all, readers.count, readers.held)?.prepare()
    const channels: Reconciler[] = []
    for (const connection of this.#connections) {
      const reconciler = connection.reconciler(repository.path)
      // Whether gossip sends it what others made is not known yet.
      if (reconciler !== undefined && (others.length === 0 || !this.#gossiping.has(reconciler)))
        channels.push(reconciler)
    }
    const broadcast = this.#broadcast(repository, all, channels.length, channels[0]?.held)
    if (broadcast !== undefined) broadcast.prepare()
    else for (const reconciler of channels) if (!origins.has(reconciler)) reconciler.prepare(all)
  }

  #sharesOf(staged: Staged): Shares {
    const known = this.#shares.get(staged)
    if (known !== undefined) return known
    const local = staged.filter(({ origin }) => origin === 'local').map(({ commit }) => commit.id)
    const others = staged.filter(({ origin }) => origin !== 'local')
    const other = others.map(({ commit }) => commit.id)
    const all = local.length === 0 ? other : other.length === 0 ? local : staged.map(({ commit }) => commit.id)
    const shares = { local, others, other, all, origins: new Set(others.map(({ origin }) => origin)) }
    this.#shares.set(staged, shares)
    return shares
  }

  #committed(repository: Repository, settled: Staged): void {
    const { log, durableEntries } = repository.pipeline
    // Stored together with entries that may end somebody's reading, or erase what is kept to be sent.
    const told = this.#entries.get(repository)
    const grew = told !== durableEntries
    this.#entries.set(repository, durableEntries)
    if (grew) this.#forget(repository, log.entries.slice(told, durableEntries))
    const channels: Reconciler[] = []
    for (const connection of this.#connections) {
      // With no entry its founder is known by now, and is the only one who reads it until the first one.
      if (grew || durableEntries === 0) connection.reconsider(repository)
      const reconciler = connection.reconciler(repository.path)
      if (reconciler !== undefined) channels.push(reconciler)
    }
    const { local, others, other, all, origins } = this.#sharesOf(settled)
    const held = channels[0]?.held
    const broadcast = this.#broadcast(repository, all, channels.length, held)
    for (const reconciler of channels) {
      const isOrigin = origins.has(reconciler)
      if (isOrigin) {
        const brought = others.filter(({ origin }) => origin === reconciler).map(({ commit }) => commit.id)
        reconciler.admitted(brought, 'peer', broadcast)
      }
      if (this.#gossiping.has(reconciler)) continue
      if (local.length > 0) reconciler.admitted(local, 'local', broadcast)
      const rest = isOrigin
        ? others.filter(({ origin }) => origin !== reconciler).map(({ commit }) => commit.id)
        : other
      if (rest.length > 0) reconciler.admitted(rest, 'other', broadcast)
    }
    broadcast?.pushed()
    this.#gossiping.spread(repository, local, others)
    if (this.readers(repository) !== channels.length) this.#readers.set(repository, { count: channels.length, held })
  }

  /** How many channels shared the repository when something was committed last. */
  readers(repository: Repository): number {
    return this.#readers.get(repository)?.count ?? 0
  }

  /** What makes one message for all of these channels, where they are many. */
  #broadcast(
    repository: Repository,
    ids: readonly string[],
    channels: number,
    held: HeldCommits | undefined,
  ): Broadcast | undefined {
    const one = repository.pipeline.commits.get(ids[0] ?? '')
    let broadcast = this.#broadcasts.get(repository)
    if (held === undefined || one === undefined || channels < fewestChannels) {
      broadcast?.stop()
      return undefined
    }
    broadcast ??= new Broadcast({ network: one.network, repository: repository.path })
    this.#broadcasts.set(repository, broadcast)
    broadcast.offer(ids, held, repository.pipeline.commits)
    return broadcast
  }

  /** What was erased is kept nowhere. */
  #forget(repository: Repository, entries: readonly Entry[]): void {
    if (entries.some(({ statement }) => statement.kind === 'erasure')) this.#broadcasts.get(repository)?.stop()
  }

  /** The entries go to whoever reads; who may read may be others by them. */
  entered(repository: Repository, entries: readonly Entry[]): void {
    const { log, durableEntries } = repository.pipeline
    // What was stored with them and came from elsewhere is told of in its own turn, but goes out with these.
    const from = Math.min(this.#entries.get(repository) ?? durableEntries, entries[0]?.n ?? durableEntries)
    this.#entries.set(repository, durableEntries)
    this.#forget(repository, entries)
    const fresh = log.entries.slice(from, durableEntries)
    const knew = log.entries[from - 1]?.root?.n ?? -1
    const mayEnd = fresh.some(({ root, statement }) => statement.kind === 'grant' || (root !== null && root.n > knew))
    const moved = entries.flatMap(({ statement }) => (statement.kind === 'grant' ? [statement] : []))
    for (const connection of this.#connections) {
      // Whoever may not read any more gets what ended that as a farewell, and nothing else.
      if (mayEnd) connection.reconsider(repository)
      connection.reconciler(repository.path)?.entries(entries.find(({ statement }) => statement.kind === 'epoch')?.n)
      const owner = connection.peer?.certificate?.owner
      const isWelcome = moved.some((one) => one.owner === owner && one.role !== null)
      if (isWelcome && this.#welcomes) connection.welcome(repository.path)
    }
  }

  /** What a channel brought was refused. */
  refused(repository: Repository, origin: object, id: string, why: Refusal): void {
    for (const connection of this.#connections) {
      const reconciler = connection.reconciler(repository.path)
      if (reconciler !== origin) continue
      reconciler?.refused(why, id === '' ? [] : [id])
      connection.offend(why)
    }
  }
}
