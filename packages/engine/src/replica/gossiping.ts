/**
 * Gossip of each repository among the channels whose other end takes part in the mesh (`mesh/gossip.ts`): which are sent the commits, and
 * which their ids. A channel takes part once both ends said so and are level; until then, and where the other end never says so, it is sent
 * everything.
 */
import type { Announcement } from '../mesh/announcement.ts'
import { Gossip, shortOf } from '../mesh/gossip.ts'
import type { Gone, Present } from '../mesh/presence.ts'
import type { GossipEffect, GossipEvent } from '../mesh/tree.ts'
import type { Connection } from './connection.ts'
import type { Staged } from './pending.ts'
import type { Runtime } from './ports.ts'
import { wholeNumber } from './random.ts'
import type { Gossips, Reconciler } from './reconciler.ts'
import type { Repository } from './repository.ts'

export interface GossipingParts {
  readonly runtime: Runtime
  /** Whether this replica has channels with everybody. */
  readonly hub: boolean
  /** Whether this device writes as that session, in any of its tabs. */
  isOwn(session: string): boolean
  /** The peer says again and again that it has what it does not send. */
  withholds(connection: Connection): void
  /** Who is here, as a peer says. */
  heard(reconciler: Reconciler, word: Present | Gone): void
}

interface Link {
  readonly connection: Connection
  readonly reconciler: Reconciler
}

interface Round {
  readonly gossip: Gossip
  readonly links: Map<string, Link>
  readonly names: Map<Reconciler, string>
  cancelWake: (() => void) | undefined
}

export class Gossiping implements Gossips {
  readonly #parts: GossipingParts
  readonly #rounds = new Map<Repository, Round>()
  /** Channels that take part, by the name of the link, and whom the peer says it has channels with. */
  readonly #parted = new Map<Connection, readonly string[]>()

  constructor(parts: GossipingParts) {
    this.#parts = parts
  }

  /** The other end takes part, and has channels with those. */
  takesPart(connection: Connection, sessions: readonly string[]): void {
    const isNew = !this.#parted.has(connection)
    this.#parted.set(connection, sessions)
    const link = nameOf(connection)
    if (link === undefined) return
    for (const [repository, round] of this.#rounds)
      if (round.links.has(link)) this.#step(repository, round, { kind: 'neighbours', link, sessions })
    if (isNew)
      for (const reconciler of connection.reconcilers.values())
        if (reconciler.isLevel) this.level(connection, reconciler)
  }

  /** The two ends hold the same. */
  level(connection: Connection, reconciler: Reconciler): void {
    const sessions = this.#parted.get(connection)
    const link = nameOf(connection)
    if (sessions === undefined || link === undefined) return
    const { repository } = reconciler
    const round = this.#rounds.get(repository) ?? {
      gossip: new Gossip(this.#parts.hub),
      links: new Map(),
      names: new Map(),
      cancelWake: undefined,
    }
    this.#rounds.set(repository, round)
    const before = round.links.get(link)
    if (before?.reconciler === reconciler) return
    if (before !== undefined) round.names.delete(before.reconciler)
    round.links.set(link, { connection, reconciler })
    round.names.set(reconciler, link)
    this.#step(repository, round, { kind: 'linked', link, server: connection.peer?.isAuthority === true })
    this.#step(repository, round, { kind: 'neighbours', link, sessions })
  }

  /** The channel carries that repository no more. */
  left(reconciler: Reconciler): void {
    const { repository } = reconciler
    const round = this.#rounds.get(repository)
    const link = round?.names.get(reconciler)
    if (round === undefined || link === undefined) return
    round.names.delete(reconciler)
    if (round.links.get(link)?.reconciler !== reconciler) return
    round.links.delete(link)
    this.#step(repository, round, { kind: 'unlinked', link })
    if (round.links.size > 0) return
    round.cancelWake?.()
    this.#rounds.delete(repository)
  }

  closed(connection: Connection): void {
    this.#parted.delete(connection)
  }

  /** Whether that channel is told by gossip. */
  has(reconciler: Reconciler): boolean {
    return this.#rounds.get(reconciler.repository)?.names.has(reconciler) ?? false
  }

  /** Whether a word of that session's presence is to be passed on by that channel: where the tree leads, unless the author does it. */
  leads(reconciler: Reconciler, author: string): boolean {
    const round = this.#rounds.get(reconciler.repository)
    const name = round?.names.get(reconciler)
    if (round === undefined || name === undefined) return this.#parts.hub
    const connection = round.links.get(name)?.connection
    if (connection === undefined || name === author || reconciler.isOfAuthority) return false
    return round.gossip.links.get(name)?.eager === true && this.#parted.get(connection)?.includes(author) !== true
  }

  heard(reconciler: Reconciler, word: Present | Gone): void {
    this.#parts.heard(reconciler, word)
  }

  /** These were made here, and those came: both are durable. */
  spread(repository: Repository, local: readonly string[], others: Staged): void {
    const round = this.#rounds.get(repository)
    if (round === undefined) return
    const fromTabs = others.filter(
      ({ commit, origin }) =>
        origin !== 'local' && !round.names.has(origin as Reconciler) && this.#parts.isOwn(commit.session),
    )
    const made = [...local, ...fromTabs.map(({ commit }) => commit.id)]
    if (made.length > 0) this.#step(repository, round, { kind: 'made', ids: made }, 'local')
    const outside: { id: string; author: string }[] = []
    const brought = new Map<string, { id: string; author: string; fresh: boolean }[]>()
    for (const staged of others) {
      if (fromTabs.includes(staged)) continue
      const { commit, origin } = staged
      const link = origin === 'local' ? undefined : round.names.get(origin as Reconciler)
      if (link === undefined) outside.push({ id: commit.id, author: commit.session })
      else {
        const list = brought.get(link) ?? []
        brought.set(link, list)
        list.push({ id: commit.id, author: commit.session, fresh: true })
      }
    }
    for (const [link, commits] of brought) this.#step(repository, round, { kind: 'received', link, commits })
    if (outside.length > 0) this.#step(repository, round, { kind: 'brought', commits: outside })
  }

  /** A live push is through, and had these in it. */
  received(reconciler: Reconciler, ids: readonly string[]): void {
    const { repository } = reconciler
    const round = this.#rounds.get(repository)
    const link = round?.names.get(reconciler)
    if (round === undefined || link === undefined) return
    const commits = ids.flatMap((id) => {
      const commit = repository.pipeline.commits.get(id)
      return commit === undefined ? [] : { id, author: commit.session, fresh: false }
    })
    this.#step(repository, round, { kind: 'received', link, commits })
  }

  announced(reconciler: Reconciler, announcement: Announcement): void {
    const { repository } = reconciler
    const round = this.#rounds.get(repository)
    const link = round?.names.get(reconciler)
    if (round === undefined || link === undefined) return
    if (announcement.kind === 'prune') this.#step(repository, round, { kind: 'pruned', link })
    else if (announcement.kind === 'graft')
      this.#step(repository, round, { kind: 'grafted', link, ids: announcement.ids })
    else this.#step(repository, round, { kind: 'told', link, ids: announcement.ids })
  }

  stop(): void {
    for (const { cancelWake } of this.#rounds.values()) cancelWake?.()
    this.#rounds.clear()
  }

  #step(repository: Repository, round: Round, event: GossipEvent, origin: 'local' | 'other' = 'other'): void {
    const { runtime } = this.#parts
    const effects = round.gossip.step(event, {
      now: runtime.elapsed(),
      random: (below) => wholeNumber(runtime, below),
    })
    // The server last: a neighbour is one hop away, and writing to a socket may take longer than all the rest.
    const later: GossipEffect[] = []
    const told: GossipEffect[] = []
    for (const effect of effects) {
      const link = effect.kind === 'wake' ? undefined : round.links.get(effect.link)
      if (link?.connection.peer?.isAuthority !== true) this.#carryOut(repository, round, effect, origin)
      else (effect.kind === 'have' ? told : later).push(effect)
    }
    for (const effect of later) this.#carryOut(repository, round, effect, origin)
    if (told.length > 0) void this.#tellAfterwards(repository, round, told)
  }

  /** What the server is told of it has already: first those here who wait for what came hear of it, which they do within a microtask. */
  async #tellAfterwards(repository: Repository, round: Round, effects: readonly GossipEffect[]): Promise<void> {
    await undefined
    await undefined
    for (const effect of effects) this.#carryOut(repository, round, effect, 'other')
  }

  #carryOut(repository: Repository, round: Round, effect: GossipEffect, origin: 'local' | 'other'): void {
    if (effect.kind === 'wake') {
      round.cancelWake?.()
      round.cancelWake = this.#parts.runtime.timer(effect.after, () => this.#step(repository, round, { kind: 'wake' }))
      return
    }
    const link = round.links.get(effect.link)
    if (link === undefined) return
    const { reconciler, connection } = link
    switch (effect.kind) {
      case 'push':
        return reconciler.admitted(effect.ids, origin, undefined)
      case 'have':
        reconciler.withheld()
        return reconciler.announce({ kind: 'have', ids: effect.ids.map(shortOf) })
      case 'prune':
        return reconciler.announce({ kind: 'prune' })
      case 'graft':
        return reconciler.announce({ kind: 'graft', ids: effect.ids.map(shortOf) })
      case 'withholds':
        this.#parts.withholds(connection)
    }
  }
}

/** A link's name: the authority's key, or the peer's session. */
export const nameOf = ({ peer }: Connection): string | undefined =>
  peer?.isAuthority === true ? peer.key : peer?.certificate?.session
