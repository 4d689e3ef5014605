/**
 * Brings sessions together that may read the same repository, and carries their signals: the authority for all who are connected to it, and
 * every neighbour for its own neighbours, so that the mesh goes on without the authority. A signal is stamped with the session that proved
 * itself on the channel it came by; what is in it is nobody's business but the receiver's.
 */
import { limits } from '../bytes/limits.ts'
import type { Connection } from './connection.ts'
import type { IceServer, Runtime } from './ports.ts'
import { wholeNumber } from './random.ts'
import { Buckets } from './rates.ts'
import type { MeshFrame } from './wire.ts'

/** Signals and questions of one session. A channel takes about five signals each way. */
const signalRate = { burst: 200, perSecond: 10 }
const seekRate = { burst: 20, perSecond: 1 }
/** Random members that are looked at for each one that is wanted, before all are. */
const tries = 8
/** Members that are looked at when chance finds too few. */
const mostLooked = 2_048

export class Introductions {
  readonly #runtime: Runtime
  /** For a session, at the time. None where this replica is no authority. */
  readonly #servers: (session: string) => readonly IceServer[]
  /** Who takes part in the mesh, by session, and all of them to draw from. */
  readonly #places = new Map<string, number>()
  readonly #members: Connection[] = []
  readonly #seeks = new Buckets(seekRate)
  readonly #signals = new Buckets(signalRate)

  constructor(runtime: Runtime, servers: (session: string) => readonly IceServer[]) {
    this.#runtime = runtime
    this.#servers = servers
  }

  get size(): number {
    return this.#members.length
  }

  /** The channel of a session that takes part. */
  of(session: string): Connection | undefined {
    return this.#members[this.#places.get(session) ?? -1]
  }

  /** A session takes part, by that channel from now on. */
  add(session: string, connection: Connection): void {
    const place = this.#places.get(session)
    if (place !== undefined) this.#members[place] = connection
    else {
      this.#places.set(session, this.#members.length)
      this.#members.push(connection)
    }
  }

  remove(connection: Connection): void {
    const session = connection.peer?.certificate?.session
    const place = session === undefined ? undefined : this.#places.get(session)
    if (session === undefined || place === undefined || this.#members[place] !== connection) return
    this.#places.delete(session)
    const last = this.#members.pop()
    const name = last?.peer?.certificate?.session
    if (last === undefined || last === connection || name === undefined) return
    this.#members[place] = last
    this.#places.set(name, place)
  }

  /** Names others that may read what this one may. */
  seek(connection: Connection, { count, met }: Extract<MeshFrame, { kind: 'seek' }>): void {
    const session = connection.peer?.certificate?.session
    if (session === undefined) return
    this.add(session, connection)
    if (this.#seeks.take(session, 1, this.#runtime.elapsed()) > 0) return
    const passed = new Set([session, ...met])
    const found = new Set<string>()
    const look = (other: Connection | undefined): void => {
      const name = other?.peer?.certificate?.session
      if (other === undefined || name === undefined || passed.has(name) || found.size >= count) return
      passed.add(name)
      if (meet(connection, other)) found.add(name)
    }
    const wanted = Math.min(count, limits.meshIntroduced)
    for (let left = wanted * tries; left > 0 && found.size < wanted; left--)
      look(this.#members[wholeNumber(this.#runtime, this.size)])
    // Few share anything with this one, or there are few: chance alone would miss them.
    const start = wholeNumber(this.#runtime, this.size)
    for (let step = 0; step < Math.min(this.size, mostLooked) && found.size < wanted; step++)
      look(this.#members[(start + step) % this.size])
    connection.tell({ kind: 'members', total: this.size, sessions: [...found], servers: this.#servers(session) })
  }

  /** Brings a signal to the session it is for, when both may read something that this replica shares with both. */
  carry(connection: Connection, { session: to, signal }: Extract<MeshFrame, { kind: 'carry' }>): void {
    const from = connection.peer?.certificate?.session
    const other = this.of(to)
    if (from === undefined || other === undefined || !meet(connection, other)) return
    if (this.#signals.take(from, 1, this.#runtime.elapsed()) > 0) return
    other.tell({ kind: 'signal', session: from, signal })
  }
}

/** Whether both asked for a repository here that they may read. */
const meet = (one: Connection, other: Connection): boolean => {
  if (one.isClosed || other.isClosed) return false
  for (const path of one.paths.keys()) if (other.paths.has(path)) return true
  return false
}
