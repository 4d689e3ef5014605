/** What became durable in a repository, told to every channel that shares it. */
import type { Refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { Entry } from '../trust/entry.ts'
import type { Connection } from './connection.ts'
import type { Origin } from './pipeline.ts'
import type { Repository } from './repository.ts'

export class Forwarding {
  readonly #connections: Iterable<Connection>
  /** Whether this replica is the authority. */
  readonly #welcomes: boolean
  /** How many entries there were when commits or entries were told of last. */
  readonly #entries = new WeakMap<Repository, number>()

  constructor(connections: Iterable<Connection>, welcomes: boolean) {
    this.#connections = connections
    this.#welcomes = welcomes
  }

  committed(repository: Repository, settled: readonly { readonly commit: Commit; readonly origin: Origin }[]): void {
    const { durableEntries } = repository.pipeline
    // Stored together with entries that may end somebody's reading.
    const grew = this.#entries.get(repository) !== durableEntries
    this.#entries.set(repository, durableEntries)
    for (const connection of this.#connections) {
      if (grew) connection.reconsider(repository)
      // Its founder is known by now, and is the only one who reads it until the first entry.
      if (repository.pipeline.durableEntries === 0) connection.reconsider(repository)
      const reconciler = connection.reconciler(repository.path)
      if (reconciler === undefined) continue
      const ids: Record<'local' | 'peer' | 'other', string[]> = { local: [], peer: [], other: [] }
      for (const { commit, origin } of settled) {
        ids[origin === 'local' ? 'local' : origin === reconciler ? 'peer' : 'other'].push(commit.id)
      }
      for (const origin of ['peer', 'local', 'other'] as const)
        if (ids[origin].length > 0) reconciler.admitted(ids[origin], origin)
    }
  }

  /** The entries go to whoever reads; who may read may be others by them. */
  entered(repository: Repository, entries: readonly Entry[]): void {
    const { log, durableEntries } = repository.pipeline
    // What was stored with them and came from elsewhere is told of in its own turn, but goes out with these.
    const from = Math.min(this.#entries.get(repository) ?? durableEntries, entries[0]?.n ?? durableEntries)
    this.#entries.set(repository, durableEntries)
    const fresh = log.entries.slice(from, durableEntries)
    const knew = log.entries[from - 1]?.root?.n ?? -1
    const mayEnd = fresh.some(({ root, statement }) => statement.kind === 'grant' || (root !== null && root.n > knew))
    const moved = entries.flatMap(({ statement }) => (statement.kind === 'grant' ? [statement] : []))
    for (const connection of this.#connections) {
      // Whoever may not read any more gets what ended that as a farewell, and nothing else.
      if (mayEnd) connection.reconsider(repository)
      connection.reconciler(repository.path)?.entries()
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
