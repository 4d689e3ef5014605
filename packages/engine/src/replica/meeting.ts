/** How this replica meets others: as a member of the mesh, as the authority that introduces the members to each other, or not at all. */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Certificate } from '../trust/certificate.ts'
import type { Account } from './account.ts'
import type { Certificates } from './certificates.ts'
import type { Channels } from './channels.ts'
import type { Clock } from './clock.ts'
import type { Connection } from './connection.ts'
import { Gossiping } from './gossiping.ts'
import { Introductions } from './introductions.ts'
import { Listeners } from './listeners.ts'
import { Mesh, type MeshOptions, type Path } from './mesh.ts'
import { Pings } from './pings.ts'
import type { Channel, IceServer, Runtime, SigningKey } from './ports.ts'
import { Presences } from './presences.ts'
import type { Readers } from './readers.ts'
import { type Readable, reportRead } from './reads.ts'
import type { Reconciler } from './reconciler.ts'
import type { Repositories } from './repositories.ts'
import type { Repository } from './repository.ts'
import type { RootLog } from './rootlog.ts'
import type { MeshFrame } from './wire.ts'

export interface MeetingParts {
  readonly options: MeshOptions | undefined
  /** The authority's: the ICE servers for a session. */
  readonly servers: ((session: string) => readonly IceServer[]) | undefined
  readonly runtime: Runtime
  readonly clock: Clock
  readonly certificates: Certificates
  readonly root: RootLog
  readonly account: Account
  readonly repositories: Repositories
  readonly readers: Readers
  readonly connections: Channels
  connect(channel: Channel): Connection
  incident(why: Refusal): void
}

/** The mesh as another replica of this device sees it, which takes part for this one. */
export interface MeshView {
  readonly paths: readonly Path[]
  readonly neighbours: ReadonlyMap<string, readonly string[]>
  readonly server: { readonly roundTrip: number | undefined } | undefined
  measure(): void
}

export class Meeting {
  readonly #parts: MeetingParts
  readonly gossiping: Gossiping
  readonly presences: Presences
  readonly #mesh: Mesh | undefined
  readonly #introductions: Introductions | undefined
  readonly #listeners: Listeners
  readonly #changes: Readable = { subscribe: (listener) => this.onPaths(listener) }
  readonly #pings: Pings
  #telling = false
  #view: MeshView | undefined

  constructor(parts: MeetingParts) {
    this.#parts = parts
    this.#pings = new Pings(parts.runtime)
    const hub = parts.servers !== undefined
    this.gossiping = new Gossiping({
      runtime: parts.runtime,
      hub,
      isOwn: (session) => !hub && session === parts.account.certificate?.session,
      withholds: (connection) => this.#mesh?.distrust(connection),
      heard: (reconciler, word) => this.presences.heard(reconciler, word),
    })
    this.presences = new Presences({
      runtime: parts.runtime,
      clock: parts.clock,
      certificates: parts.certificates,
      connections: parts.connections,
      isAuthority: hub,
      isOnline: () => parts.connections.isOnline,
      self: () => this.#self,
      mayRead: (repository, certificate) => this.#mayRead(repository, certificate),
      leads: (reconciler, author) => this.gossiping.leads(reconciler, author),
      incident: (why) => parts.incident(why),
    })
    this.#listeners = new Listeners((error) => parts.incident(refusal('ListenerThrew', String(error))))
    if (parts.servers !== undefined) this.#introductions = new Introductions(parts.runtime, parts.servers)
    else if (parts.options !== undefined)
      this.#mesh = new Mesh(parts.options, {
        runtime: parts.runtime,
        clock: parts.clock,
        certificates: parts.certificates,
        self: () => this.#self,
        mayMeet: (certificate) => this.#mayMeet(certificate),
        connect: (channel) => parts.connect(channel),
        roundTrip: (connection) => this.#pings.took(connection),
        incident: (why) => parts.incident(why),
        changed: () => this.#tell(),
      })
  }

  /** How each session that was met is reached straight, or why it is not. */
  get paths(): readonly Path[] {
    reportRead(this.#changes)
    return this.#view?.paths ?? this.#mesh?.paths ?? []
  }

  /** Whom each neighbour says it has channels with, by session. */
  get neighbours(): ReadonlyMap<string, readonly string[]> {
    reportRead(this.#changes)
    return this.#view?.neighbours ?? this.#mesh?.neighbours ?? new Map()
  }

  /** Calls back when `paths` or `neighbours` changed, once a microtask. */
  onPaths(listener: () => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Measures how long it takes to every neighbour and to the server, and back: `paths` and `server` tell when it is known. */
  measure(): void {
    if (this.#view !== undefined) return this.#view.measure()
    for (const connection of this.#parts.connections)
      if (connection.peer?.isAuthority === true || this.#mesh?.isLink(connection) === true) this.#pings.send(connection)
  }

  /** The channel to the server, while there is one. */
  get server(): { readonly roundTrip: number | undefined } | undefined {
    reportRead(this.#changes)
    if (this.#view !== undefined) return this.#view.server
    for (const connection of this.#parts.connections)
      if (connection.peer?.isAuthority === true) return { roundTrip: this.#pings.took(connection) }
    return undefined
  }

  /** Shows what another replica sees, or, with undefined, what this one does. */
  mirror(view: MeshView | undefined): void {
    this.#view = view
    this.#tell()
  }

  join(): void {
    this.#mesh?.join()
  }

  get #self(): { readonly key: SigningKey; readonly certificate: Certificate } | undefined {
    const { key, certificate, isCertified } = this.#parts.account
    return key === undefined || certificate === undefined || !isCertified ? undefined : { key, certificate }
  }

  /** The two ends of a channel hold the same of a repository. */
  level(connection: Connection, reconciler: Reconciler): void {
    this.gossiping.level(connection, reconciler)
    this.presences.level(reconciler)
    this.#tell()
  }

  /** Whether to go on with a channel whose two ends proved themselves. */
  proved(connection: Connection): boolean {
    return this.#mesh?.proved(connection) ?? true
  }

  closed(connection: Connection): void {
    this.gossiping.closed(connection)
    this.presences.closed(connection)
    this.#introductions?.remove(connection)
    this.#mesh?.closed(connection)
  }

  /** Takes a frame about the mesh; false where it has no place. */
  heard(connection: Connection, frame: MeshFrame): boolean {
    if (frame.kind === 'ping') connection.tell({ kind: 'pong', number: frame.number })
    if (frame.kind === 'pong') {
      this.#pings.answered(connection, frame.number)
      this.#tell()
    }
    if (frame.kind === 'ping' || frame.kind === 'pong') return true
    const introductions = this.#introductions
    if (introductions === undefined) {
      if (this.#mesh?.heard(connection, frame) !== true) return false
      // The server has a channel with everybody, and need not say so.
      if (frame.kind === 'members') this.gossiping.takesPart(connection, [])
      if (frame.kind === 'neighbours') this.gossiping.takesPart(connection, frame.sessions)
      return true
    }
    if (connection.peer?.certificate === undefined) return false
    if (frame.kind === 'neighbours') this.gossiping.takesPart(connection, frame.sessions)
    if (frame.kind === 'seek') introductions.seek(connection, frame)
    else if (frame.kind === 'carry') introductions.carry(connection, frame)
    return frame.kind !== 'members' && frame.kind !== 'signal'
  }

  /** Takes no part in the mesh any more; who is here stays known. */
  async leave(): Promise<void> {
    await this.#mesh?.stop()
  }

  async stop(): Promise<void> {
    this.presences.stop()
    this.gossiping.stop()
    await this.#mesh?.stop()
  }

  /** Whether a session is in force and may read something that is open here. */
  #mayMeet(certificate: Certificate): boolean {
    for (const repository of this.#parts.repositories) if (this.#mayRead(repository, certificate)) return true
    return false
  }

  #mayRead(repository: Repository, certificate: Certificate): boolean {
    const { readers, root } = this.#parts
    if (root.revokedAt(certificate) !== undefined || !repository.pipeline.isOpen) return false
    const peer = { key: '', publicKey: certificate.publicKey, isAuthority: false, certificate }
    return readers.mayRead(repository, peer) === undefined
  }

  #tell(): void {
    if (this.#telling) return
    this.#telling = true
    void Promise.resolve().then(() => {
      this.#telling = false
      this.#listeners.tell()
    })
  }
}
