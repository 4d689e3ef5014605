/**
 * What peers say of the root log, and who is told of it here: the repositories, whose commits may count otherwise now, and the other peers. What a
 * new epoch left out goes back to the authority, since it may have ended somebody's access.
 */
import type { Refusal } from '../bytes/refusal.ts'
import { rootPath } from '../trust/entry.ts'
import type { Channels } from './channels.ts'
import type { Connection } from './connection.ts'
import type { Office } from './office.ts'
import type { Repositories } from './repositories.ts'
import type { RootLog } from './rootlog.ts'
import type { RootStore } from './rootstore.ts'

export interface RootNewsParts {
  readonly root: RootLog
  readonly store: RootStore
  readonly repositories: Repositories
  readonly connections: Channels
  /** The network that the app named. */
  readonly network: string | undefined
  /** Where this replica is the authority. */
  office(): Office | undefined
  incident(why: Refusal, path: string): void
}

export class RootNews {
  readonly #of: RootNewsParts

  constructor(of: RootNewsParts) {
    this.#of = of
  }

  /** Takes entries that somebody showed who proved that key. Resolves with the reason why one was refused. */
  async take(
    entries: readonly Uint8Array[],
    publicKey: Uint8Array,
    network = this.#of.network,
  ): Promise<Refusal | undefined> {
    const { root, store } = this.#of
    const known = root.network
    const { added, ended, refused } = await store.take(entries, publicKey, network)
    if (refused !== undefined) this.#of.incident(refused, rootPath)
    // Before anything is signed that goes by it.
    this.#of.office()?.shown(added.length, ended, publicKey)
    if (added.length > 0) this.#grew(known === undefined, added)
    return refused
  }

  #grew(founded: boolean, added: readonly Uint8Array[]): void {
    const { repositories, connections } = this.#of
    for (const repository of repositories) {
      if (founded) repositories.open(repository)
      else repository.reconsider()
      if (!founded) for (const connection of connections) connection.reconsider(repository)
      this.#of.office()?.authority.cover(repository)
    }
    for (const connection of connections) {
      connection.offerRoot(added)
      this.offerDropped(connection)
    }
  }

  /** The authority is to know what it left out. */
  offerDropped(connection: Connection): void {
    if (connection.peer?.isAuthority !== true) return
    const { missed } = this.#of.root
    if (missed.length > 0) connection.offerRoot(missed)
  }
}
