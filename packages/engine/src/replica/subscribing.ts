/**
 * What this replica asks of its peers: everything it has open of the authority, and of another session what that session may read as well, so
 * that nobody learns the name of a repository that is none of theirs. The authority waits to be asked.
 */
import type { Refusal } from '../bytes/refusal.ts'
import type { Account } from './account.ts'
import type { Connection } from './connection.ts'
import type { Readers } from './readers.ts'
import type { Repositories } from './repositories.ts'
import type { Repository } from './repository.ts'
import type { Standing } from './standing.ts'

export interface SubscribingParts {
  readonly isAuthority: boolean
  readonly connections: Iterable<Connection>
  readonly repositories: Repositories
  readonly readers: Readers
  readonly account: Account
  readonly standing: Standing
  incident(why: Refusal, path: string | undefined): void
}

export class Subscribing {
  readonly #parts: SubscribingParts

  constructor(parts: SubscribingParts) {
    this.#parts = parts
  }

  /** To everything that is open, where the peer is one to ask. */
  all(connection: Connection): void {
    for (const repository of this.#parts.repositories) this.to(repository, connection)
  }

  /** The repository opened, or others may read it now. */
  everywhere(repository: Repository): void {
    for (const connection of this.#parts.connections) this.to(repository, connection)
  }

  to(repository: Repository, connection: Connection): void {
    const { isAuthority, account, readers } = this.#parts
    const { peer } = connection
    // A session asks once it is certified, and other sessions only when they are.
    if (isAuthority || peer === undefined || connection.isClosed) return
    // Of two tabs the one that works through the other asks.
    if (peer.isSelf === true) {
      if (connection.channel.initiator && repository.pipeline.isOpen) connection.subscribe(repository)
      return
    }
    if (!account.isCertified) return
    if (!peer.isAuthority && peer.certificate === undefined) return
    if (repository.pipeline.isOpen && readers.mayRead(repository, peer) === undefined) connection.subscribe(repository)
  }

  /** A peer refused something: what the app is to know of it. */
  refused({ peer }: Connection, why: Refusal, about?: string): void {
    const { account, standing, repositories, isAuthority } = this.#parts
    if (why.code === 'MailSent' && peer?.isAuthority === true) {
      account.notCertified(why)
      return
    }
    this.#parts.incident(why, about)
    // What a stranger says about this replica is no reason to worry the app. Before anybody proved anything it may be the server.
    if (peer !== undefined && !peer.isAuthority) return
    if (why.code === 'LoginRefused' && peer !== undefined && account.notCertified(why) === 'renewal') return
    if (why.code === 'UnknownRepository' && peer !== undefined) repositories.get(why.about)?.bar(why)
    // What others cannot keep or may not do is no problem of the authority's own.
    if (!isAuthority) standing.refusedBy(why, about ?? (why.code === 'Recovering' ? why.about : undefined))
    standing.tell()
  }
}
