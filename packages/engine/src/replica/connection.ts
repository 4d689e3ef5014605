/**
 * One channel to one peer: numbers the frames, proves both sides, carries logins, subscriptions and reconciliation, beats when it has
 * nothing to say, and closes when the peer breaks the rules or falls silent. The grammar opens `wire.ts`.
 */
import { concatBytes, toHex } from '../bytes/bytes.ts'
import type { Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Position } from '../commit/commit.ts'
import type { Certificate } from '../trust/certificate.ts'
import { Backlog } from './backlog.ts'
import { Early } from './early.ts'
import { Handshake, type HandshakeParts, inFrames } from './handshake.ts'
import type { HeldCommits } from './heldcommits.ts'
import { Inquiries } from './inquiries.ts'
import type { Peer } from './peer.ts'
import type { Channel } from './ports.ts'
import type { Payer, Quota } from './quota.ts'
import { type Credits, type Gossips, isOffence, mostOffences, offenceWindow, Reconciler } from './reconciler.ts'
import type { Repository } from './repository.ts'
import type { Request } from './requests.ts'
import type { Sessions } from './sessions.ts'
import { cutName, decodeFrame, encodeFrame, encodeSyncHead, type Frame, type MeshFrame, type Witness } from './wire.ts'

const beatInterval = 15_000
const loginPatience = 30_000
const silence = 45_000

/** What a connection needs of its replica. */
export interface Switchboard extends HandshakeParts {
  /** Whether this replica asks by filters alone. */
  readonly sync: 'bloom' | undefined
  /** The authority's; nobody else counts. */
  readonly quota: Quota | undefined
  /** Both sides proved themselves. */
  proved(connection: Connection): void
  login(method: string, credentials: Plain, peer: Peer, channel: Channel): Promise<Certificate | Refusal>
  certified(bytes: Uint8Array): Promise<void>
  readonly sessions: Sessions
  /** The repository a peer asks for, opened if need be; undefined when it is none that this replica shows to anybody. */
  candidate(path: string, peer: Peer): Repository | undefined
  /** The peer says how far it holds the repository's log. */
  shown(repository: Repository, position: Position | undefined): void
  /** Resolves when it is this peer's turn to bring a repository that is being taken back. */
  turn(connection: Connection, repository: Repository): Promise<void>
  /** Why the peer may not read an open repository. */
  mayRead(repository: Repository, peer: Peer): Refusal | undefined
  /** The entries after the `held` first ones that tell a former reader why they are none any more; none for everybody else. */
  farewell(repository: Repository, peer: Peer, held: number): readonly Uint8Array[]
  /** Whether the access of the peer's session or owner was ended. */
  isRevoked(peer: Peer): boolean
  /** The authority ended this replica's access, and said why. */
  parted(path: string, entries: readonly Uint8Array[]): Promise<void>
  /** The authority lets this replica have the repository now. */
  welcomed(connection: Connection, path: string): void
  /** Resolves with undefined when what was asked is durable. */
  request(method: string, args: Plain, peer: Peer): Promise<Refusal | undefined>
  held(repository: Repository): HeldCommits
  refused(connection: Connection, why: Refusal, about?: string): void
  incident(why: Refusal): void
  level(connection: Connection, reconciler: Reconciler): void
  /** The peer asks for it no more. */
  left(repository: Repository, peer: Peer | undefined): void
  readonly gossips: Gossips
  /** About the mesh; false where this replica takes no part in that. */
  meshed(connection: Connection, frame: MeshFrame): boolean
  closed(connection: Connection): void
}

export class Connection {
  readonly channel: Channel
  /** What ended it. */
  end = ''
  readonly #board: Switchboard
  readonly #handshake: Handshake
  readonly #reconcilers = new Map<string, Reconciler>()
  readonly #credits: Credits = new Map()
  /** Repository by the tag the peer gave it, and the tag this side gave. */
  readonly #theirTags = new Map<number, string>()
  readonly #theirPaths = new Map<string, Repository>()
  /** What the peer said of a repository when it named it. */
  readonly #theirWords = new Map<string, Subscribe>()
  readonly #myTags = new Map<string, number>()
  /** Repositories the peer did not let this side have: asked for again after another login. */
  readonly #declined = new Set<string>()
  /** Repositories this side denied the peer before it could say why, and the entries that the peer holds of them. */
  readonly #unparted = new Map<string, number>()
  readonly #inquiries: Inquiries
  readonly #early: Early
  readonly #backlog: Backlog
  #sent = 0
  #received = 0
  #peer: Peer | undefined
  #handling: Promise<void> = Promise.resolve()
  #behind = 0
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
    this.#heardAt = board.runtime.elapsed()
    this.#openedAt = this.#heardAt
    channel.listen({
      message: (bytes) => this.#hear(bytes),
      drain: () => {
        for (const reconciler of this.#reconcilers.values()) reconciler.drain()
      },
      closed: (reason) => this.#gone(reason),
    })
    this.#backlog = new Backlog(board.quota, channel.address, () => this.#peer === undefined)
    this.#early = new Early(this.#backlog)
    this.#inquiries = new Inquiries({
      send: (frame) => void this.#send(frame),
      tooFast: () => board.quota?.asks(this.payer),
      request: (method, args, peer) => board.request(method, args, peer),
      incident: (why) => board.incident(why),
    })
    this.#handshake = new Handshake(channel, board, {
      send: (frame) => this.#send(frame),
      object: (why) => this.#object(why),
      refuse: (why) => this.#refuse(why),
      hangUp: (why) => this.#hangUp(why),
      turnAway: (why) => {
        board.refused(this, why)
        this.close(why)
      },
      isClosed: () => this.#closed,
    })
    if (!this.#closed) this.#beat()
  }

  /** The peer, once it proved its key. */
  get peer(): Peer | undefined {
    return this.#peer
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Who is charged for what comes by this channel. */
  get payer(): Payer {
    return { owner: this.#peer?.certificate?.owner, address: this.channel.address }
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
    const { position, store } = repository.pipeline
    this.#send({
      kind: 'subscribe',
      tag,
      path,
      log: position ?? undefined,
      moved: this.#board.held(repository).moved(),
      store,
    })
    if (this.#theirPaths.has(path)) this.#reconcile(repository)
  }

  login(method: string, credentials: Plain): void {
    this.#send({ kind: 'login', method, credentials })
  }

  /** Asks the authority for something. Rejects with the reason, and with `Unreachable` when the channel closes first. */
  request(request: Request): Promise<void> {
    return this.#inquiries.ask(request)
  }

  /** What the peer asked for and may read. */
  get paths(): ReadonlyMap<string, Repository> {
    return this.#theirPaths
  }

  get reconcilers(): ReadonlyMap<string, Reconciler> {
    return this.#reconcilers
  }

  /** Says something about the mesh, or about the peer's account. */
  tell(frame: MeshFrame | Witness): void {
    if (this.#peer !== undefined) this.#send(frame)
  }

  /** The peer got a role: what it was declined it may ask for again. */
  welcome(path: string): void {
    if (!this.#theirPaths.has(path)) this.#send({ kind: 'welcome', path })
  }

  /** Ends the peer's subscription if it may not read the repository any more. */
  reconsider(repository: Repository): void {
    const { path } = repository
    if (this.#peer === undefined) return
    const held = this.#unparted.get(path)
    if (held !== undefined) this.#part(repository, this.#peer, held)
    if (!this.#theirPaths.has(path)) return
    if (this.#board.mayRead(repository, this.#peer) !== undefined)
      this.#deny(repository, this.#peer, Math.max(0, repository.pipeline.durableEntries - repeatedEntries))
  }

  /** The root log grew. */
  offerRoot(entries: readonly Uint8Array[]): void {
    if (this.#peer !== undefined) this.#send({ kind: 'root', entries })
    else this.#grown.push(...entries)
  }

  /** What the root log grew by since this side said what it holds, while the peer had not proved itself. */
  readonly #grown: Uint8Array[] = []

  /** Counts an offence; the third within a minute closes the channel. */
  offend(why: Refusal): void {
    if (!isOffence(why)) return
    const now = this.#board.runtime.elapsed()
    this.#offences = this.#offences.filter((at) => now - at < offenceWindow)
    this.#offences.push(now)
    this.#send({ kind: 'refused', code: why.code, about: cutName(why.about) })
    if (this.#offences.length < mostOffences || this.#closed) return
    this.#board.quota?.offended(this.payer)
    this.close(why)
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

  #partWith(why: Refusal): void {
    this.#refuse(why)
    this.close(why)
  }

  #hangUp(why: Refusal): void {
    if (!this.#closed && why.code !== 'Fault') this.#board.quota?.offended(this.payer)
    this.#partWith(why)
  }

  close(why: Refusal): void {
    if (this.#closed) return
    this.channel.close(why.code)
    this.#gone(why.code)
  }

  #gone(reason: string): void {
    if (this.#closed) return
    this.#closed = true
    this.end = reason
    this.#cancelBeat?.()
    this.#backlog.close()
    for (const reconciler of this.#reconcilers.values()) reconciler.close()
    for (const path of [...this.#theirPaths.keys()]) this.#leave(path)
    this.#inquiries.close()
    this.#board.closed(this)
  }

  #leave(path: string): void {
    const repository = this.#theirPaths.get(path)
    this.#theirWords.delete(path)
    if (repository !== undefined && this.#theirPaths.delete(path)) this.#board.left(repository, this.#peer)
  }

  #send(frame: Frame): Uint8Array {
    return this.#put(encodeFrame(this.#sent, frame))
  }

  /** Sends a frame with the next number, and gives it back. `body`: its end, which others are sent as well, and only while the channel is ready. */
  #put(bytes: Uint8Array, body?: Uint8Array): Uint8Array {
    if (this.#closed) return bytes
    // A peer that asks and does not read would fill the memory with answers.
    if (body === undefined && this.channel.buffered > unreadBytes) {
      this.close(refusal('TooMany', 'answers unread'))
      return bytes
    }
    this.#sent++
    this.#spoke = true
    if (body === undefined) this.channel.send(bytes)
    else if (this.channel.sendJoined === undefined) this.channel.send(concatBytes(bytes, body))
    else this.channel.sendJoined(bytes, body)
    return bytes
  }

  #beat(): void {
    this.#cancelBeat = this.#board.runtime.timer(beatInterval, () => {
      const now = this.#board.runtime.elapsed()
      // Beats alone keep nobody here who does not say who it is.
      if (now - (this.#peer === undefined ? this.#openedAt : this.#heardAt) > silence)
        return this.close(refusal('Silent', this.channel.remote))
      const certificate = this.#peer?.certificate
      if (certificate !== undefined && certificate.expires <= this.#board.clock.now())
        return this.#partWith(refusal('CertificateExpired', certificate.session))
      if (!this.#spoke) this.#send({ kind: 'beat' })
      this.#spoke = false
      this.#beat()
    })
  }

  #hear(bytes: Uint8Array): void {
    if (this.#closed) return
    this.#heardAt = this.#board.runtime.elapsed()
    const { quota } = this.#board
    const tooMuch = this.#peer === undefined ? quota?.hears(this.channel.address, bytes.length) : undefined
    if (tooMuch !== undefined) return this.#hangUp(tooMuch)
    const frame = decodeFrame(bytes, this.#received)
    // A frame of the kind `refused` looks like a refusal itself.
    if (!('kind' in frame)) {
      // Without its number a frame that cannot be read leaves a gap: there is no going on.
      if (frame.code === 'Gap') return this.#hangUp(frame)
      this.#received++
      return this.#object(frame)
    }
    this.#received++
    const isItsTurn = quota === undefined || quota.frame(this.payer) === 0
    if (frame.kind === 'beat' && isItsTurn) return
    // Messages about repositories are taken at once, unless something before them is still being handled.
    if (frame.kind === 'sync' && this.#peer !== undefined && this.#behind === 0 && isItsTurn)
      return this.#sync(frame.tag, frame.message, bytes.length)
    if (this.#behind >= framesBehind || !this.#backlog.queue(bytes.length))
      return this.#hangUp(refusal('TooMany', 'frames waiting'))
    this.#behind++
    this.#handling = this.#handling
      .then(() => (isItsTurn ? undefined : this.#itsTurn()))
      .then(() => this.#handle(frame, bytes))
      // A bug, here or in a login of the app: it costs this channel and no other.
      .catch((error: unknown) => this.#hangUp(refusal('Fault', String(error))))
      .finally(() => {
        this.#behind--
        this.#backlog.dequeue(bytes.length)
      })
  }

  /** Resolves when the user behind this channel may send another frame, or has gone. */
  async #itsTurn(): Promise<void> {
    for (let wait = 1; wait > 0 && !this.#closed; ) {
      wait = this.#board.quota?.frame(this.payer) ?? 0
      if (wait > 0) await new Promise<void>((resolve) => void this.#board.runtime.timer(wait, resolve))
    }
  }

  async #handle(frame: Frame, bytes: Uint8Array): Promise<void> {
    if (this.#closed || frame.kind === 'beat') return
    switch (frame.kind) {
      case 'greet':
        return this.#handshake.greeted(frame, bytes)
      case 'prove':
        return this.#proved(frame)
      case 'refused': {
        const why = refusal(frame.code, frame.about)
        this.#board.refused(this, why)
        if (why.code === 'UnknownRepository' && this.#myTags.has(why.about)) {
          this.#declined.add(why.about)
          this.#drop(why.about)
        }
        // The peer could not read what was sent, so it lacks it: this channel changes bytes, and a new one begins from the start.
        if (isOffence(why) && why.code !== 'TooMany') this.close(why)
        return
      }
      default:
    }
    if (this.#peer === undefined || (!this.#peer.isAuthority && ofAuthority.has(frame.kind)))
      return this.#object(refusal('UnknownMessage', frame.kind))
    switch (frame.kind) {
      case 'login':
        return this.#login(frame.method, frame.credentials, this.#peer)
      case 'certified':
        return this.#board.certified(frame.certificate)
      case 'witness':
        return this.#board.sessions.heard(this, frame.certificates)
      case 'subscribe':
        return this.#subscribed(frame)
      case 'unsubscribe': {
        const path = this.#theirTags.get(frame.tag)
        if (path === undefined) return
        this.#theirTags.delete(frame.tag)
        // With a welcome this side asks again.
        if (this.#myTags.has(path)) this.#declined.add(path)
        this.#leave(path)
        return this.#drop(path)
      }
      case 'request':
        return void this.#inquiries.judge(frame, this.#peer)
      case 'answer':
        return this.#inquiries.answered(frame)
      case 'farewell':
        return this.#board.parted(frame.path, frame.entries)
      case 'welcome':
        return this.#board.welcomed(this, frame.path)
      case 'root': {
        const why = await this.#board.takeRoot(frame.entries, this.#peer.publicKey)
        // They are sent once: what this device could not store comes with the next channel.
        if (why?.code === 'DiskError' || why?.code === 'DiskFull') this.close(why)
        else if (why !== undefined) this.offend(why)
        const peer = this.#peer && this.#handshake.again(this.#peer)
        if (peer === this.#peer || this.#closed) return
        this.#peer = peer
        return this.#board.proved(this)
      }
      case 'sync':
        return this.#sync(frame.tag, frame.message, bytes.length)
      default:
        if (!this.#board.meshed(this, frame)) this.#object(refusal('UnknownMessage', frame.kind))
    }
  }

  #loggingIn: Promise<void> | undefined

  /** Beside everything else: an app's judgement may take its time, or never come. One at a time. */
  #login(method: string, credentials: Plain, peer: Peer): void {
    if (this.#loggingIn !== undefined) return this.#refuse(refusal('TooMany', 'logins at once'))
    const tooFast = this.#board.quota?.logsIn(this.channel.address)
    if (tooFast !== undefined) return this.#refuse(tooFast)
    let cancel = (): void => undefined
    const late = new Promise<Refusal>((resolve) => {
      cancel = this.#board.runtime.timer(loginPatience, () => resolve(refusal('LoginRefused', 'it took too long')))
    })
    const judged = this.#board.login(method, credentials, peer, this.channel).catch((error: unknown) => {
      this.#board.incident(refusal('Fault', `the login ${method} threw: ${String(error)}`))
      return refusal('LoginRefused', 'the server failed at it')
    })
    this.#loggingIn = Promise.race([judged, late]).then((certificate) => {
      cancel()
      this.#loggingIn = undefined
      if (this.#closed) return
      // An answer like any other, for which nobody is to blame.
      if (isRefusal(certificate) && certificate.code === 'MailSent')
        return void this.#send({ kind: 'refused', code: 'MailSent', about: '' })
      if (isRefusal(certificate)) return this.#refuse(certificate)
      this.#peer = { ...peer, certificate }
      this.#send({ kind: 'certified', certificate: certificate.bytes })
      this.#board.sessions.tell(this)
    })
  }

  async #proved(frame: Extract<Frame, { kind: 'prove' }>): Promise<void> {
    const peer = await this.#handshake.proved(frame)
    if (peer === undefined) return
    const out = this.#board.quota?.returns({ owner: peer.certificate?.owner, address: this.channel.address })
    if (out !== undefined) return this.#partWith(out)
    this.#peer = peer
    if (this.#grown.length > 0) this.#send({ kind: 'root', entries: this.#grown.splice(0) })
    this.#board.proved(this)
  }

  #subscribed(frame: Subscribe): void {
    const { tag, path, log } = frame
    const peer = this.#peer
    if (peer === undefined) return
    const hasRoom = this.#theirTags.size < limits.repositoriesPerChannel
    if (!hasRoom || this.#theirTags.has(tag) || this.#theirPaths.has(path))
      return this.#object(refusal('TooMany', 'subscriptions'))
    const repository = this.#board.candidate(path, peer)
    if (repository === undefined) return this.#refuse(refusal('UnknownRepository', path))
    this.#board.shown(repository, log)
    this.#theirTags.set(tag, path)
    this.#theirPaths.set(path, repository)
    this.#theirWords.set(path, frame)
    // Answered when the repository is open: only then is it known what this side holds.
    repository.ready
      .then(
        async () => {
          for (let hasTurn = !repository.recovering; ; hasTurn = true) {
            if (this.#closed || this.#theirTags.get(tag) !== path) return
            if (this.#board.mayRead(repository, peer) !== undefined)
              return this.#deny(repository, peer, (log?.n ?? -1) + 1)
            if (hasTurn) break
            this.#send({ kind: 'refused', code: 'Recovering', about: path })
            await this.#board.turn(this, repository)
          }
          if (this.#myTags.has(path) && !this.#declined.has(path)) this.#reconcile(repository)
          else this.subscribe(repository)
        },
        () => this.#send({ kind: 'refused', code: 'DiskError', about: path }),
      )
      .catch((error: unknown) => this.#hangUp(refusal('Fault', String(error))))
  }

  /** What was kept back, or stands in another epoch, is compared from the start. Who was not answered yet will be. */
  renew({ path }: Repository): void {
    if (!this.#theirPaths.has(path) || !this.#myTags.has(path)) return
    this.#forget(path)
    this.#send({ kind: 'welcome', path })
  }

  #forget(path: string): void {
    const mine = this.#myTags.get(path)
    if (mine !== undefined) {
      this.#myTags.delete(path)
      this.#send({ kind: 'unsubscribe', tag: mine })
    }
    for (const [tag, named] of this.#theirTags) if (named === path) this.#theirTags.delete(tag)
    this.#leave(path)
    this.#drop(path)
  }

  /** Like a repository that does not exist; only whoever could read it before is told why not any more. */
  #deny(repository: Repository, peer: Peer, held: number): void {
    const { path } = repository
    this.#forget(path)
    this.#part(repository, peer, held)
    this.#refuse(refusal('UnknownRepository', path))
  }

  /** Shows a former reader the entries that ended their access, once they are written. */
  #part(repository: Repository, peer: Peer, held: number): void {
    const { path } = repository
    this.#unparted.delete(path)
    const all = this.#board.farewell(repository, peer, held)
    if (all.length === 0 && this.#board.isRevoked(peer) && this.#unparted.size < limits.repositoriesPerChannel)
      this.#unparted.set(path, held)
    for (const entries of inFrames(all)) this.#send({ kind: 'farewell', path, entries })
  }

  /** Ends the reconciliation of a repository. */
  #drop(path: string): void {
    this.#reconcilers.get(path)?.close()
    this.#reconcilers.delete(path)
    this.#early.take(path)
  }

  #reconcile(repository: Repository): void {
    const { path } = repository
    const tag = this.#myTags.get(path)
    const words = this.#theirWords.get(path)
    if (this.#reconcilers.has(path) || tag === undefined || words === undefined || !repository.pipeline.isOpen) return
    const held = this.#board.held(repository)
    const reconciler = new Reconciler({
      repository,
      held,
      runtime: this.#board.runtime,
      certificates: this.#board.certificates,
      leads: this.channel.initiator,
      salt: this.#handshake.salt(path),
      base: this.#board.sync === 'bloom',
      credits: this.#credits,
      packs: { network: this.#board.root.network ?? '', mine: tag, theirs: words.tag },
      link: {
        send: (message) => this.#send({ kind: 'sync', tag, message }),
        sendEncoded: (message) => this.#put(encodeSyncHead(this.#sent, tag), message),
        ready: () => this.channel.buffered < limits.channelHighWater,
        offence: (why) => {
          this.#board.incident(why)
          this.offend(why)
        },
        backlog: this.#backlog,
        tooFast: () => this.#board.quota?.asks(this.payer),
        gate: this.#board.quota?.gate(() => this.payer),
        hangUp: (why) => this.#hangUp(why),
        refused: (why) => this.#board.refused(this, why, path),
        level: () => this.#board.level(this, reconciler),
        known: (known) => this.#peer?.isSelf !== true && repository.pipeline.remember(words.store, known),
        gossips: this.#board.gossips,
        isAuthority: () => this.#peer?.isAuthority === true,
      },
    })
    this.#reconcilers.set(path, reconciler)
    reconciler.open({
      log: words.log,
      moved: words.moved + held.moved(),
      known: repository.pipeline.known.of(toHex(words.store)),
      session: this.#peer?.certificate?.session,
    })
    for (const message of this.#early.take(path)) reconciler.message(message)
  }

  #sync(tag: number, message: Plain, bytes: number): void {
    const path = this.#theirTags.get(tag)
    if (path === undefined) return this.#refuse(refusal('UnknownRepository', String(tag)))
    const reconciler = this.#reconcilers.get(path)
    if (reconciler !== undefined) return reconciler.message(message)
    if (!this.#early.keep(path, message, bytes)) this.#hangUp(refusal('TooMany', 'messages before the answer'))
  }
}

type Subscribe = Extract<Frame, { kind: 'subscribe' }>
/** Entries that a peer whose subscription ends is sent once more, in case they were still on their way. */
const repeatedEntries = 256
/** What reconciliation leaves unsent at most, and some room. */
const unreadBytes = limits.channelHighWater + 2 * limits.frameBytes
const framesBehind = 1_024
/** The authority's word. Anybody holds certificates of others: an old one must not take the place of the one in force. */
const ofAuthority: ReadonlySet<string> = new Set<Frame['kind']>(['certified', 'farewell', 'welcome'])
