/**
 * One channel to one peer: numbers the frames, proves both sides, carries logins, subscriptions and reconciliation, beats when it has
 * nothing to say, and closes when the peer breaks the rules or falls silent. The grammar opens `wire.ts`.
 */
import { encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { sessionId } from '../commit/commit.ts'
import type { Certificate } from '../trust/certificate.ts'
import { messageOf } from '../trust/signed.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import type { Channel, Runtime, SigningKey } from './ports.ts'
import { type HeldCommits, isOffence, mostOffences, offenceWindow, Reconciler } from './reconciler.ts'
import type { Repository } from './repository.ts'
import type { RootLog } from './rootlog.ts'
import { decodeFrame, encodeFrame, type Frame } from './wire.ts'

const beatInterval = 15_000
/** What a login may take before it is refused, ms. */
const loginPatience = 30_000
const silence = 45_000

export interface Peer {
  readonly session: string
  readonly publicKey: Uint8Array
  readonly isAuthority: boolean
  readonly certificate: Certificate | undefined
}

/** What a connection needs of its replica. */
export interface Switchboard {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  /** The key this replica proves itself with, and its certificate as bytes when it has one. */
  readonly proof: { readonly key: SigningKey; readonly certificate: Uint8Array | null }
  /** Entries of the root log the peer has and this replica has not. */
  takeRoot(entries: readonly Uint8Array[], publicKey: Uint8Array): Promise<Refusal | undefined>
  /** Both sides proved themselves. */
  proved(connection: Connection): void
  login(method: string, credentials: Plain, peer: Peer): Promise<Certificate | Refusal>
  certified(bytes: Uint8Array): Promise<void>
  /** The repository for a peer that asks for it, opened if need be; undefined when the peer may not have it. */
  serve(path: string, peer: Peer): Repository | undefined
  held(repository: Repository): HeldCommits
  refused(connection: Connection, why: Refusal, about?: string): void
  incident(why: Refusal): void
  level(repository: Repository, peer: Peer): void
  closed(connection: Connection): void
}

export class Connection {
  readonly channel: Channel
  readonly #board: Switchboard
  readonly #nonce: Uint8Array
  readonly #reconcilers = new Map<string, Reconciler>()
  /** Repository by the tag the peer gave it, and the tag this side gave. */
  readonly #theirTags = new Map<number, string>()
  readonly #theirPaths = new Set<string>()
  readonly #myTags = new Map<string, number>()
  /** Repositories the peer did not let this side have: asked for again after another login. */
  readonly #declined = new Set<string>()
  #sent = 0
  #received = 0
  #peerNonce: Uint8Array | undefined
  #peer: Peer | undefined
  #proving = false
  #handling: Promise<void> = Promise.resolve()
  #behind = 0
  #queued = 0
  #nextTag = 0
  #offences: number[] = []
  #closed = false
  #spoke = false
  #heardAt: number
  readonly #openedAt: number
  #cancelBeat: (() => void) | undefined

  constructor(channel: Channel, board: Switchboard) {
    this.channel = channel
    this.#board = board
    this.#nonce = board.runtime.random(32)
    this.#heardAt = board.runtime.elapsed()
    this.#openedAt = this.#heardAt
    channel.listen({
      message: (bytes) => this.#hear(bytes),
      drain: () => {
        for (const reconciler of this.#reconcilers.values()) reconciler.drain()
      },
      closed: () => this.#gone(),
    })
    this.#send({
      kind: 'greet',
      network: board.root.network ?? null,
      nonce: this.#nonce,
      time: board.clock.now(),
      root: board.root.size,
    })
    this.#beat()
  }

  /** The peer, once it proved its key. */
  get peer(): Peer | undefined {
    return this.#peer
  }

  get isClosed(): boolean {
    return this.#closed
  }

  reconciler(path: string): Reconciler | undefined {
    return this.#reconcilers.get(path)
  }

  /** Asks for a repository, or offers it. Reconciliation begins when both sides named it. */
  subscribe(repository: Repository): void {
    const { path } = repository
    if (this.#peer === undefined || this.#closed || (this.#myTags.has(path) && !this.#declined.delete(path))) return
    if (!this.#myTags.has(path) && this.#myTags.size >= limits.repositoriesPerChannel) return
    const tag = this.#myTags.get(path) ?? this.#nextTag++
    this.#myTags.set(path, tag)
    this.#send({ kind: 'subscribe', tag, path })
    if (this.#theirPaths.has(path)) this.#reconcile(repository)
  }

  login(method: string, credentials: Plain): void {
    this.#send({ kind: 'login', method, credentials })
  }

  /** The root log grew. */
  offerRoot(entries: readonly Uint8Array[]): void {
    if (this.#peer !== undefined) this.#send({ kind: 'root', entries })
  }

  /** Counts an offence; the third within a minute closes the channel. */
  offend(why: Refusal): void {
    if (!isOffence(why)) return
    const now = this.#board.runtime.elapsed()
    this.#offences = this.#offences.filter((at) => now - at < offenceWindow)
    this.#offences.push(now)
    this.#send({ kind: 'refused', code: why.code, about: cutName(why.about) })
    if (this.#offences.length >= mostOffences) this.close(why)
  }

  /** An offence that nobody reported yet. */
  #object(why: Refusal): void {
    this.#board.incident(why)
    this.offend(why)
  }

  /** Not what an honest peer is closed for. */
  #refuse(why: Refusal): void {
    this.#board.incident(why)
    this.#send({ kind: 'refused', code: why.code, about: cutName(why.about) })
  }

  #hangUp(why: Refusal): void {
    this.#refuse(why)
    this.close(why)
  }

  close(why: Refusal): void {
    if (this.#closed) return
    this.channel.close(why.code)
    this.#gone()
  }

  #gone(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancelBeat?.()
    for (const reconciler of this.#reconcilers.values()) reconciler.close()
    this.#board.closed(this)
  }

  #send(frame: Frame): void {
    if (this.#closed) return
    // A peer that asks and does not read would fill the memory with answers.
    if (this.channel.buffered > unreadBytes) return this.close(refusal('TooMany', 'answers unread'))
    this.#spoke = true
    this.channel.send(encodeFrame(this.#sent++, frame))
  }

  #beat(): void {
    this.#cancelBeat = this.#board.runtime.timer(beatInterval, () => {
      const now = this.#board.runtime.elapsed()
      // Beats alone keep nobody here who does not say who it is.
      if (now - (this.#peer === undefined ? this.#openedAt : this.#heardAt) > silence)
        return this.close(refusal('Silent', this.channel.remote))
      if (!this.#spoke) this.#send({ kind: 'beat' })
      this.#spoke = false
      this.#beat()
    })
  }

  #hear(bytes: Uint8Array): void {
    if (this.#closed) return
    this.#heardAt = this.#board.runtime.elapsed()
    const frame = decodeFrame(bytes, this.#received)
    // A frame of the kind `refused` looks like a refusal itself.
    if (!('kind' in frame)) {
      // Without its number a frame that cannot be read leaves a gap: there is no going on.
      if (frame.code === 'Gap') return this.#hangUp(frame)
      this.#received++
      return this.#object(frame)
    }
    this.#received++
    if (frame.kind === 'beat') return
    // Messages about repositories are taken at once, unless something before them is still being handled.
    if (frame.kind === 'sync' && this.#peer !== undefined && this.#behind === 0)
      return this.#sync(frame.tag, frame.message, bytes.length)
    if (this.#behind >= framesBehind || !this.#queue(bytes.length))
      return this.#hangUp(refusal('TooMany', 'frames waiting'))
    this.#behind++
    this.#handling = this.#handling
      .then(() => this.#handle(frame, bytes.length))
      // A bug, here or in a login of the app: it costs this channel and no other.
      .catch((error: unknown) => this.#hangUp(refusal('Fault', String(error))))
      .finally(() => {
        this.#behind--
        this.#queued -= bytes.length
      })
  }

  /** Takes room for what waits. */
  #queue(bytes: number): boolean {
    if (this.#queued + bytes > (this.#peer === undefined ? limits.strangerQueue : limits.channelQueue)) return false
    this.#queued += bytes
    return true
  }

  async #handle(frame: Frame, size: number): Promise<void> {
    if (this.#closed) return
    switch (frame.kind) {
      case 'greet':
        return this.#greeted(frame)
      case 'prove':
        return this.#proved(frame)
      case 'refused': {
        const why = refusal(frame.code, frame.about)
        this.#board.refused(this, why)
        if (why.code === 'UnknownRepository' && this.#myTags.has(why.about)) this.#declined.add(why.about)
        // The peer could not read what was sent, so it lacks it: this channel changes bytes, and a new one begins from the start.
        if (isOffence(why) && why.code !== 'TooMany') this.close(why)
        return
      }
      default:
    }
    if (this.#peer === undefined) return this.#object(refusal('UnknownMessage', frame.kind))
    switch (frame.kind) {
      case 'login':
        return this.#login(frame.method, frame.credentials, this.#peer)
      case 'certified':
        // Anybody holds the certificates of others: an old one must not take the place of the one in force.
        if (!this.#peer.isAuthority) return this.#object(refusal('UnknownMessage', frame.kind))
        return this.#board.certified(frame.certificate)
      case 'subscribe':
        return this.#subscribed(frame.tag, frame.path)
      case 'unsubscribe': {
        const path = this.#theirTags.get(frame.tag)
        if (path === undefined) return
        this.#theirTags.delete(frame.tag)
        this.#theirPaths.delete(path)
        this.#reconcilers.get(path)?.close()
        this.#reconcilers.delete(path)
        this.#forgetEarly(path)
        return
      }
      case 'root': {
        const why = await this.#board.takeRoot(frame.entries, this.#peer.publicKey)
        if (why !== undefined) this.offend(why)
        return
      }
      case 'sync':
        return this.#sync(frame.tag, frame.message, size)
      default:
    }
  }

  #loggingIn: Promise<void> | undefined

  /** Beside everything else: an app's judgement may take its time, or never come. One at a time. */
  #login(method: string, credentials: Plain, peer: Peer): void {
    if (this.#loggingIn !== undefined) return this.#refuse(refusal('TooMany', 'logins at once'))
    let cancel = (): void => undefined
    const late = new Promise<Refusal>((resolve) => {
      cancel = this.#board.runtime.timer(loginPatience, () => resolve(refusal('LoginRefused', 'it took too long')))
    })
    const judged = this.#board.login(method, credentials, peer).catch((error: unknown) => {
      this.#board.incident(refusal('Fault', `the login ${method} threw: ${String(error)}`))
      return refusal('LoginRefused', 'the server failed at it')
    })
    this.#loggingIn = Promise.race([judged, late]).then((certificate) => {
      cancel()
      this.#loggingIn = undefined
      if (this.#closed) return
      if (isRefusal(certificate)) return this.#refuse(certificate)
      this.#peer = { ...peer, certificate }
      this.#send({ kind: 'certified', certificate: certificate.bytes })
    })
  }

  async #greeted(frame: Extract<Frame, { kind: 'greet' }>): Promise<void> {
    if (this.#peerNonce !== undefined) return this.#object(refusal('UnknownMessage', 'greet'))
    this.#peerNonce = frame.nonce
    const { root, proof } = this.#board
    if (frame.network !== null && root.network !== undefined && frame.network !== root.network) {
      const why = refusal('WrongNetwork', frame.network)
      this.#send({ kind: 'refused', code: why.code, about: why.about })
      this.#board.refused(this, why)
      return this.close(why)
    }
    const message = this.#challenge(proof.key.publicKey, frame.nonce, this.#nonce, this.channel.initiator)
    const signature = await proof.key.sign(message)
    const missing = root.after(frame.root)
    this.#peerTime = frame.time
    this.#send({
      kind: 'prove',
      publicKey: proof.key.publicKey,
      certificate: proof.certificate,
      signature,
      root: missing,
    })
  }

  #peerTime = 0

  /** What the side with that key signs: the challenge of the other, its own nonce, its role and the channel's binding. */
  #challenge(publicKey: Uint8Array, challenge: Uint8Array, own: Uint8Array, dialled: boolean): Uint8Array {
    const binding = new Uint8Array(0)
    return messageOf('proof', encode([publicKey, challenge, own, dialled, binding]), (bytes) =>
      this.#board.runtime.hash(bytes),
    )
  }

  async #proved(frame: Extract<Frame, { kind: 'prove' }>): Promise<void> {
    if (this.#peerNonce === undefined || this.#proving) return this.#object(refusal('UnknownMessage', 'prove'))
    this.#proving = true
    const { runtime, root, certificates, clock } = this.#board
    const message = this.#challenge(frame.publicKey, this.#nonce, this.#peerNonce, !this.channel.initiator)
    if (!(await runtime.verify(frame.publicKey, message, frame.signature)))
      return this.#hangUp(refusal('BadProof', this.channel.remote))
    if (frame.root.length > 0) {
      const why = await this.#board.takeRoot(frame.root, frame.publicKey)
      if (why !== undefined) {
        this.#board.refused(this, why)
        return this.close(why)
      }
    }
    const session = sessionId(frame.publicKey, (bytes) => runtime.hash(bytes))
    let certificate: Certificate | undefined
    if (frame.certificate !== null) {
      const read = await certificates.admit(frame.certificate)
      if (isRefusal(read)) this.#refuse(read)
      else if (read.session !== session) return this.#hangUp(refusal('BadProof', this.channel.remote))
      else if (read.expires > clock.now()) certificate = read
      else this.#refuse(refusal('CertificateExpired', session))
    }
    if (this.#closed) return
    const isAuthority = root.isAuthority(frame.publicKey)
    if (isAuthority) clock.correct(this.#peerTime)
    this.#peer = { session, publicKey: frame.publicKey, isAuthority, certificate }
    this.#board.proved(this)
  }

  #subscribed(tag: number, path: string): void {
    const peer = this.#peer
    if (peer === undefined) return
    if (
      this.#theirTags.size >= limits.repositoriesPerChannel ||
      this.#theirTags.has(tag) ||
      this.#theirPaths.has(path)
    ) {
      return this.#object(refusal('TooMany', 'subscriptions'))
    }
    const repository = this.#board.serve(path, peer)
    if (repository === undefined) return this.#refuse(refusal('UnknownRepository', path))
    this.#theirTags.set(tag, path)
    this.#theirPaths.add(path)
    // Answered when the repository is open: only then is it known what this side holds.
    repository.ready
      .then(
        () => {
          if (this.#closed || this.#theirTags.get(tag) !== path) return
          if (this.#myTags.has(path) && !this.#declined.has(path)) this.#reconcile(repository)
          else this.subscribe(repository)
        },
        () => this.#send({ kind: 'refused', code: 'DiskError', about: path }),
      )
      .catch((error: unknown) => this.#hangUp(refusal('Fault', String(error))))
  }

  #reconcile(repository: Repository): void {
    const { path } = repository
    const tag = this.#myTags.get(path)
    if (this.#reconcilers.has(path) || tag === undefined || !repository.pipeline.isOpen) return
    const reconciler = new Reconciler({
      repository,
      held: this.#board.held(repository),
      runtime: this.#board.runtime,
      certificates: this.#board.certificates,
      leads: this.channel.initiator,
      link: {
        send: (message) => this.#send({ kind: 'sync', tag, message }),
        ready: () => this.channel.buffered < limits.channelHighWater,
        offence: (why) => {
          this.#board.incident(why)
          this.offend(why)
        },
        queue: (bytes) => this.#queue(bytes),
        dequeue: (bytes) => {
          this.#queued -= bytes
        },
        hangUp: (why) => this.#hangUp(why),
        refused: (why) => this.#board.refused(this, why, path),
        level: () => {
          if (this.#peer !== undefined) this.#board.level(repository, this.#peer)
        },
      },
    })
    this.#reconcilers.set(path, reconciler)
    reconciler.open()
    for (const { message } of this.#forgetEarly(path)) reconciler.message(message)
  }

  /** Messages about a repository that is not open here yet, and their bytes. */
  readonly #early = new Map<string, { readonly message: Plain; readonly bytes: number }[]>()

  #forgetEarly(path: string): readonly { readonly message: Plain; readonly bytes: number }[] {
    const early = this.#early.get(path) ?? []
    this.#early.delete(path)
    for (const { bytes } of early) this.#queued -= bytes
    return early
  }

  #sync(tag: number, message: Plain, bytes: number): void {
    const path = this.#theirTags.get(tag)
    if (path === undefined) return this.#refuse(refusal('UnknownRepository', String(tag)))
    const reconciler = this.#reconcilers.get(path)
    if (reconciler !== undefined) return reconciler.message(message)
    const early = this.#early.get(path) ?? []
    if (early.length >= earlyMessages || !this.#queue(bytes))
      return this.#hangUp(refusal('TooMany', 'messages before the answer'))
    this.#early.set(path, [...early, { message, bytes }])
  }
}

const earlyMessages = 16
/** What reconciliation leaves unsent at most, and some room. */
const unreadBytes = limits.channelHighWater + 2 * limits.frameBytes
const framesBehind = 1_024

/** Without the half of a character that the cut may leave. */
const cutName = (about: string): string => about.slice(0, 80).replace(/[\ud800-\udbff]$/, '')
