/**
 * This replica's place in the mesh: channels straight to other sessions, beside the one to the server. Which, the topology decides
 * (`mesh/topology.ts`); how they are made, signalling (`signalling.ts`). A channel of the mesh is a channel like any other: both ends prove
 * their keys on it, over what only this very connection has, and nothing of a repository passes before. One that turns out to lead to
 * somebody else is closed.
 */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { TopologyEffect, TopologyEvent } from '../mesh/overlay.ts'
import type { Decline } from '../mesh/signal.ts'
import { Topology } from '../mesh/topology.ts'
import type { Certificate } from '../trust/certificate.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import type { Connection } from './connection.ts'
import { Introductions } from './introductions.ts'
import type { Channel, IceServer, PathFailure, PeerTransport, Runtime, SigningKey } from './ports.ts'
import { wholeNumber } from './random.ts'
import { Signalling } from './signalling.ts'
import type { MeshFrame } from './wire.ts'

/** How a replica takes part. */
export interface MeshOptions {
  readonly transport: PeerTransport
  /** `relay`: peers learn no address of this device; everything goes by TURN servers. */
  readonly mode: 'direct' | 'relay'
}

/** What the mesh needs of its replica. */
export interface MeshParts {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly certificates: Certificates
  /** Who this replica is, once certified. */
  self(): { readonly key: SigningKey; readonly certificate: Certificate } | undefined
  /** Whether that session may read something that is open here. */
  mayMeet(certificate: Certificate): boolean
  connect(channel: Channel): Connection
  /** Ms to the other end and back. */
  roundTrip(connection: Connection): number | undefined
  incident(why: Refusal): void
  /** Who is a neighbour, or how one is reached, changed. */
  changed(): void
}

/** A channel of the mesh, or what became of the last attempt to make one. */
export interface Path {
  readonly session: string
  readonly name: string
  /** `none`: there is no channel now, and the two go on through the server or through others. */
  readonly kind: 'direct' | 'relayed' | 'connecting' | 'none'
  readonly failure: Decline | PathFailure | undefined
  /** Ms to the peer and back, by the last `measure`. */
  readonly roundTrip: number | undefined
  /** Whether both hold the same of everything they share, as far as they told each other. */
  readonly isLevel: boolean
}

interface Link {
  readonly session: string
  readonly path: 'direct' | 'relayed'
  readonly connection: Connection
  isProved: boolean
  /** ms since 1970 */
  readonly since: number
  /** Whom the peer has channels with, as it says. */
  neighbours: readonly string[]
}

/** What was asked no later than so many ms after a channel was made may have been under way before. */
const justMade = 1_000
/** Failures remembered, to be told. */
const mostFailures = 64

export class Mesh {
  readonly #options: MeshOptions
  readonly #parts: MeshParts
  readonly #signalling: Signalling
  readonly #carrying: Introductions
  readonly #links = new Map<Connection, Link>()
  readonly #failures = new Map<string, Decline | PathFailure>()
  #topology: Topology | undefined
  #server: Connection | undefined
  #servers: readonly IceServer[] = []
  #told: readonly string[] = []
  #answer: Decline | undefined
  #cancelWake: (() => void) | undefined

  constructor(options: MeshOptions, parts: MeshParts) {
    this.#options = options
    this.#parts = parts
    this.#carrying = new Introductions(parts.runtime, () => [])
    this.#signalling = new Signalling({
      runtime: parts.runtime,
      clock: parts.clock,
      certificates: parts.certificates,
      transport: options.transport,
      relayOnly: options.mode === 'relay',
      servers: () => this.#servers,
      self: () => parts.self(),
      mayMeet: (certificate) => parts.mayMeet(certificate),
      carry: (to, signal) => this.#carry(to, signal),
      asked: (session, urgent, at) => this.#asked(session, urgent, at),
      opened: (session, channel, path) => this.#opened(session, channel, path),
      failed: (session, why) => this.#failed(session, why),
      incident: (why) => parts.incident(why),
    })
  }

  /** Channels, attempts and failures. */
  get paths(): Path[] {
    const paths = new Map<string, Path>()
    const add = (session: string, path: Pick<Path, 'kind'> & Partial<Path>): void => {
      const name = this.#parts.certificates.get(session)?.name ?? ''
      paths.set(session, { session, name, failure: undefined, roundTrip: undefined, isLevel: false, ...path })
    }
    for (const [session, failure] of this.#failures) add(session, { kind: 'none', failure })
    for (const session of this.#signalling.attempts) add(session, { kind: 'connecting' })
    for (const { session, path, isProved, connection } of this.#links.values()) {
      if (!isProved) continue
      const isLevel = [...connection.reconcilers.values()].every((reconciler) => reconciler.isLevel)
      add(session, { kind: path, roundTrip: this.#parts.roundTrip(connection), isLevel })
    }
    return [...paths.values()]
  }

  isLink(connection: Connection): boolean {
    return this.#links.get(connection)?.isProved === true
  }

  /** The sessions that each neighbour says it has channels with. */
  get neighbours(): ReadonlyMap<string, readonly string[]> {
    return new Map([...this.#links.values()].map(({ session, neighbours }) => [session, neighbours]))
  }

  /** The server is here, or something more is shared: asks it for others, once it knows what of this replica's they could share. */
  join(): void {
    const self = this.#parts.self()?.certificate.session
    const server = this.#server?.peer
    if (self === undefined || server === undefined) return
    this.#topology ??= new Topology(self)
    this.#take({ kind: 'server here', session: server.key })
  }

  /** Both sides of a channel proved themselves: whether to go on with it. */
  proved(connection: Connection): boolean {
    const { peer } = connection
    const link = this.#links.get(connection)
    if (link === undefined) {
      if (peer?.isAuthority !== true) return true
      this.#server = connection
      this.#tell(connection)
      return true
    }
    if (peer?.certificate?.session !== link.session) {
      this.#parts.incident(refusal('WrongPeer', link.session))
      connection.close(refusal('WrongPeer', link.session))
      return false
    }
    link.isProved = true
    // A peer that came back in a new life has a channel that nobody answers.
    for (const other of [...this.#links.values()])
      if (other !== link && other.session === link.session) other.connection.close(refusal('Superseded', link.session))
    this.#failures.delete(link.session)
    this.#carrying.add(link.session, connection)
    this.#take({ kind: 'linked', session: link.session })
    this.#tell(connection)
    this.#parts.changed()
    return true
  }

  closed(connection: Connection): void {
    if (this.#server === connection) {
      this.#server = undefined
      this.#take({ kind: 'server away' })
    }
    const link = this.#links.get(connection)
    if (link === undefined) return
    this.#links.delete(connection)
    this.#carrying.remove(connection)
    if (!link.isProved) {
      this.#failed(link.session, { kind: 'broke', detail: 'the channel closed before both ends had proved their keys' })
      return
    }
    const isReplaced = [...this.#links.values()].some(({ session, isProved }) => isProved && session === link.session)
    if (!isReplaced) {
      this.#remember(link.session, { kind: 'broke', detail: connection.end })
      this.#take({ kind: 'unlinked', session: link.session, reason: 'gone' })
    }
    this.#parts.changed()
  }

  /** Takes a frame about the mesh; false when it has no place on that channel. */
  heard(connection: Connection, frame: MeshFrame): boolean {
    const link = this.#links.get(connection)
    const isServer = connection.peer?.isAuthority === true
    switch (frame.kind) {
      case 'members':
        if (!isServer) return false
        this.#servers = frame.servers
        this.#take({ kind: 'introduced', sessions: frame.sessions, members: Math.max(0, frame.total - 1) })
        return true
      case 'neighbours':
        if (link === undefined) return isServer
        link.neighbours = frame.sessions
        this.#take({ kind: 'neighbours', link: link.session, sessions: frame.sessions })
        this.#parts.changed()
        return true
      case 'signal':
        if (link === undefined && !isServer) return false
        this.#signalling.heard(frame.session, frame.signal)
        return true
      case 'carry':
        if (link === undefined) return false
        this.#carrying.carry(connection, frame)
        return true
      default:
        return false
    }
  }

  /** The peer says again and again that it has what it does not send. */
  distrust(connection: Connection): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    this.#parts.incident(refusal('Withheld', link.session))
    this.#take({ kind: 'distrusted', session: link.session })
  }

  /** Ends every channel of the mesh and every attempt. */
  async stop(): Promise<void> {
    this.#cancelWake?.()
    this.#topology = undefined
    this.#told = []
    this.#failures.clear()
    this.#signalling.stop()
    for (const { connection } of [...this.#links.values()]) connection.close(refusal('Closed', ''))
    await this.#options.transport.stop()
  }

  #take(event: TopologyEvent): void {
    const { runtime } = this.#parts
    const effects = this.#topology?.step(event, {
      now: runtime.elapsed(),
      random: (below) => wholeNumber(runtime, below),
    })
    for (const effect of effects ?? []) this.#carryOut(effect)
  }

  #carryOut(effect: TopologyEffect): void {
    switch (effect.kind) {
      case 'seek': {
        const met = [...this.#links.values()].map(({ session }) => session)
        this.#server?.tell({ kind: 'seek', count: effect.count, met })
        return
      }
      case 'dial':
      case 'ask':
        this.#signalling.connect(effect.session, effect.lonely)
        this.#parts.changed()
        return
      case 'accept':
        this.#answer = undefined
        return
      case 'decline':
        this.#answer = 'full'
        return
      case 'drop':
        for (const { session, connection } of [...this.#links.values()]) {
          if (session !== effect.session) continue
          this.#carrying.remove(connection)
          this.#links.delete(connection)
          connection.close(refusal('TooMany', 'neighbours'))
        }
        this.#parts.changed()
        return
      case 'tell':
        this.#told = effect.sessions
        if (this.#server !== undefined) this.#tell(this.#server)
        for (const { connection, isProved } of this.#links.values()) if (isProved) this.#tell(connection)
        return
      case 'wake':
        this.#cancelWake?.()
        this.#cancelWake = this.#parts.runtime.timer(effect.after, () => this.#take({ kind: 'wake' }))
    }
  }

  #tell(connection: Connection): void {
    if (this.#topology !== undefined) connection.tell({ kind: 'neighbours', sessions: this.#told })
  }

  #asked(session: string, urgent: boolean, at: number): Decline | undefined {
    if (this.#topology === undefined) return 'unable'
    // It would not ask if it had the channel that this side has.
    for (const link of [...this.#links.values()])
      if (link.session === session && at > link.since + justMade) link.connection.close(refusal('Superseded', session))
    this.#answer = undefined
    this.#take({ kind: 'asked', session, lonely: urgent })
    return this.#answer
  }

  /** By the server, and by every neighbour that is one of the other's: what comes twice is taken once. */
  #carry(to: string, signal: Uint8Array): boolean {
    const frame = { kind: 'carry', session: to, signal } as const
    const ways = [...this.#links.values()].filter(({ isProved, neighbours }) => isProved && neighbours.includes(to))
    this.#server?.tell(frame)
    for (const { connection } of ways.slice(0, this.#server === undefined ? 2 : 1)) connection.tell(frame)
    return this.#server !== undefined || ways.length > 0
  }

  #opened(session: string, channel: Channel, path: 'direct' | 'relayed'): void {
    const connection = this.#parts.connect(channel)
    this.#links.set(connection, {
      session,
      path,
      connection,
      since: this.#parts.clock.now(),
      isProved: false,
      neighbours: [],
    })
    // Lost as it greeted: that was told before there was a link.
    if (connection.isClosed) this.closed(connection)
  }

  #remember(session: string, why: Decline | PathFailure): void {
    this.#failures.delete(session)
    this.#failures.set(session, why)
    const [oldest] = this.#failures.keys()
    if (this.#failures.size > mostFailures && oldest !== undefined) this.#failures.delete(oldest)
  }

  #failed(session: string, why: Decline | PathFailure): void {
    this.#remember(session, why)
    if (why === 'full') this.#take({ kind: 'busy', session })
    else {
      const isUnanswered = typeof why === 'object' && why.kind === 'no answer'
      this.#take({ kind: 'failed', session, why: isUnanswered ? 'unanswered' : 'unreachable' })
    }
    this.#parts.changed()
  }
}
