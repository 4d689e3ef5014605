/**
 * Who is here in each repository: what this replica says of its person, what it heard of others, and to whom it passes that on. Each word is
 * signed by its session and goes once to every channel that has the repository, as gossip leads it; it is said again now and then, so that a
 * word that got lost is missed for seconds. Whoever dies is gone when the server, or a neighbour while there is no server, loses the channel to
 * it and nobody else has one. Nothing is stored.
 */
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { type Gone, type Present, type PresentState, presenceBody } from '../mesh/presence.ts'
import type { Certificate } from '../trust/certificate.ts'
import { messageOf } from '../trust/signed.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import type { Connection } from './connection.ts'
import { Listeners } from './listeners.ts'
import type { Runtime, SigningKey } from './ports.ts'
import type { Other, Room } from './presence.ts'
import { Buckets } from './rates.ts'
import { type Readable, reportRead } from './reads.ts'
import type { Reconciler } from './reconciler.ts'
import type { Repository } from './repository.ts'

export interface PresencesParts {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly certificates: Pick<Certificates, 'get'>
  readonly connections: Iterable<Connection>
  readonly isAuthority: boolean
  /** Whether the authority is connected. */
  isOnline(): boolean
  self(): { readonly key: SigningKey; readonly certificate: Certificate } | undefined
  mayRead(repository: Repository, certificate: Certificate): boolean
  /** Whether a word of that session is to go by that channel. */
  leads(reconciler: Reconciler, author: string): boolean
  incident(why: Refusal): void
}

interface Heard {
  readonly word: Present
  readonly certificate: Certificate
  readonly at: number
}

/** Ms between two words of one session, and until one is said again though nothing changed. */
const pause = 50
const again = 10_000
/** Ms after which somebody who was not heard is not here. */
const lease = 25_000
/** Ms that somebody has to contradict whoever says that they are gone. */
const answerTime = 2_000
/** Words by one channel. */
const rate = { burst: 400, perSecond: 100 }

export class Presences {
  readonly #parts: PresencesParts
  readonly #rooms = new Map<Repository, Place>()
  readonly #rates = new Buckets(rate)
  readonly #channels = new WeakMap<Reconciler, string>()
  #names = 0

  constructor(parts: PresencesParts) {
    this.#parts = parts
  }

  /** Made when somebody looks at it or is heard in it. */
  room(repository: Repository): Place {
    const known = this.#rooms.get(repository)
    if (known !== undefined) return known
    const room = new Place(repository, this.#parts)
    this.#rooms.set(repository, room)
    return room
  }

  heard(reconciler: Reconciler, word: Present | Gone): void {
    const name = this.#channels.get(reconciler) ?? `${this.#names++}`
    this.#channels.set(reconciler, name)
    if (this.#rates.take(name, 1, this.#parts.runtime.elapsed()) > 0) return
    this.room(reconciler.repository).heard(reconciler, word)
  }

  /** Both ends hold the same: the other one is told who is here. */
  level(reconciler: Reconciler): void {
    this.#rooms.get(reconciler.repository)?.tellAll(reconciler)
  }

  /** The channel to a session is gone. */
  closed(connection: Connection): void {
    const session = connection.peer?.certificate?.session
    if (session === undefined || connection.peer?.isAuthority === true) return
    for (const other of this.#parts.connections)
      if (other !== connection && other.peer?.certificate?.session === session) return
    for (const room of this.#rooms.values()) room.lost(session)
  }

  /** Forgets everybody. */
  stop(): void {
    for (const room of this.#rooms.values()) room.stop()
    this.#rooms.clear()
  }
}

/** Of one repository. */
export class Place implements Room {
  readonly #repository: Repository
  readonly #parts: PresencesParts
  readonly #others = new Map<string, Heard>()
  /** Words that are being verified, and the latest of each session that waits for its turn. */
  readonly #verifying = new Map<string, { readonly from: Reconciler; readonly word: Present } | undefined>()
  readonly #listeners: Listeners
  readonly #changes: Readable = { subscribe: (listener) => this.onChange(listener) }
  #state: PresentState
  #number = 0
  #saidAt = Number.NEGATIVE_INFINITY
  #said: Present | undefined
  #cancelSaying: (() => void) | undefined
  #cancelExpiry: (() => void) | undefined
  #isOver = false

  constructor(repository: Repository, parts: PresencesParts) {
    this.#repository = repository
    this.#parts = parts
    this.#listeners = new Listeners((error) => parts.incident(refusal('ListenerThrew', String(error))))
  }

  get others(): readonly Other[] {
    reportRead(this.#changes)
    const others: Other[] = []
    for (const { word, certificate } of this.#others.values()) {
      const { session, owner, name } = certificate
      if (word.state !== undefined) others.push({ session, owner, name, state: word.state })
    }
    return others
  }

  onChange(listener: () => void): () => void {
    return this.#listeners.add(listener)
  }

  /** Says it to all, at once or when the pause is over. Undefined: not here any more. */
  set(state: PresentState): void {
    if (state === undefined && this.#state === undefined) return
    this.#state = state
    this.#sayAfter(Math.max(0, this.#saidAt + pause - this.#parts.runtime.elapsed()))
  }

  #sayAfter(ms: number): void {
    this.#cancelSaying?.()
    this.#cancelSaying = this.#parts.runtime.timer(ms, () => void this.#say())
  }

  async #say(): Promise<void> {
    const self = this.#parts.self()
    if (this.#isOver || self === undefined) return
    const { runtime, clock } = this.#parts
    this.#saidAt = runtime.elapsed()
    // Sessions outlive processes, and numbers go on with the time.
    this.#number = Math.max(this.#number + 1, clock.now())
    const { session, network } = self.certificate
    const said = { session, number: this.#number, state: this.#state }
    if (this.#state !== undefined) this.#sayAfter(again)
    const body = presenceBody(network, this.#repository.path, said)
    const signature = await self.key.sign(messageOf('presence', body, (bytes) => runtime.hash(bytes)))
    if (said.number !== this.#number) return
    this.#said = { kind: 'present', ...said, signature }
    this.#spread(this.#said, undefined)
  }

  /** To one that came, everybody who is here. */
  tellAll(reconciler: Reconciler): void {
    if (this.#said?.state !== undefined) reconciler.present(this.#said)
    for (const { word } of this.#others.values()) if (word.state !== undefined) reconciler.present(word)
  }

  heard(from: Reconciler, word: Present | Gone): void {
    const self = this.#parts.self()?.certificate.session
    if (word.session === self) {
      // Another tab of this browser speaks for the same person: the last word of any of them is theirs.
      if (word.kind === 'present' && this.#isOfSelf(from)) return this.set(word.state)
      // Somebody lost the channel to this replica, which is still here.
      if (word.kind === 'gone' && this.#said?.state !== undefined && word.number >= this.#said.number)
        this.#sayAfter(pause)
      return
    }
    if (word.kind === 'gone') return this.#gone(word.session, word.number, from)
    if (word.number <= (this.#others.get(word.session)?.word.number ?? -1)) return
    if (this.#verifying.has(word.session)) {
      this.#verifying.set(word.session, { from, word })
      return
    }
    if (this.#others.size + this.#verifying.size >= limits.presences) return
    this.#verifying.set(word.session, undefined)
    void this.#verify(from, word)
  }

  async #verify(from: Reconciler, word: Present): Promise<void> {
    const { certificates, runtime, clock, mayRead } = this.#parts
    const certificate = certificates.get(word.session)
    // Its certificate comes with what it writes, or by whoever passes this on.
    const isReader =
      certificate !== undefined &&
      certificate.expires > clock.now() &&
      word.number <= clock.now() + limits.clockAhead &&
      mayRead.call(this.#parts, this.#repository, certificate)
    if (isReader) {
      const body = presenceBody(certificate.network, this.#repository.path, word)
      const message = messageOf('presence', body, (bytes) => runtime.hash(bytes))
      if (await runtime.verify(certificate.publicKey, message, word.signature)) this.#take(from, word, certificate)
      else this.#parts.incident(refusal('BadSignature', word.session))
    }
    const next = this.#verifying.get(word.session)
    this.#verifying.delete(word.session)
    if (next !== undefined && !this.#isOver) this.heard(next.from, next.word)
  }

  #take(from: Reconciler, word: Present, certificate: Certificate): void {
    if (this.#isOver || word.number <= (this.#others.get(word.session)?.word.number ?? -1)) return
    const before = this.#others.get(word.session)?.word.state
    this.#others.set(word.session, { word, certificate, at: this.#parts.runtime.elapsed() })
    this.#spread(word, from)
    this.#expireLater()
    if (before !== undefined || word.state !== undefined) this.#listeners.tell()
  }

  /** The channel to it is gone here. */
  lost(session: string): void {
    const number = this.#others.get(session)?.word.number
    // With the server here it knows best who is.
    if (number !== undefined && (this.#parts.isAuthority || !this.#parts.isOnline()))
      this.#gone(session, number, undefined)
  }

  #gone(session: string, number: number, from: Reconciler | undefined, isSure = false): void {
    const heard = this.#others.get(session)
    if (heard === undefined || heard.word.state === undefined || heard.word.number > number) return
    if (from !== undefined && this.#parts.isOnline() && !from.isOfAuthority) return
    // Whoever has a channel to it knows better, and lets it say so.
    const straight = this.#channelOf(session)
    if (straight !== undefined && !isSure) {
      straight.present({ kind: 'gone', session, number })
      // A channel outlives its peer by many seconds: whoever is there answers with a newer word.
      this.#parts.runtime.timer(answerTime, () => {
        if (!this.#isOver) this.#gone(session, number, from, true)
      })
      return
    }
    this.#others.set(session, { ...heard, word: { ...heard.word, state: undefined } })
    this.#spread({ kind: 'gone', session, number }, from)
    this.#listeners.tell()
  }

  #channelOf(session: string): Reconciler | undefined {
    for (const { isClosed, peer, reconcilers } of this.#parts.connections)
      if (!isClosed && peer?.certificate?.session === session) return reconcilers.get(this.#repository.path)
    return undefined
  }

  #spread(word: Present | Gone, from: Reconciler | undefined): void {
    for (const connection of this.#parts.connections) {
      const reconciler = connection.reconcilers.get(this.#repository.path)
      if (reconciler === undefined || reconciler === from) continue
      if (from === undefined || connection.peer?.isSelf === true || this.#parts.leads(reconciler, word.session))
        reconciler.present(word)
    }
  }

  #isOfSelf(from: Reconciler): boolean {
    for (const { peer, reconcilers } of this.#parts.connections)
      if (peer?.isSelf === true && reconcilers.get(this.#repository.path) === from) return true
    return false
  }

  #expireLater(): void {
    this.#cancelExpiry ??= this.#parts.runtime.timer(lease / 2, () => {
      this.#cancelExpiry = undefined
      const now = this.#parts.runtime.elapsed()
      let ended = false
      for (const [session, { at, word }] of this.#others) {
        if (now - at < lease) continue
        this.#others.delete(session)
        ended ||= word.state !== undefined
      }
      if (this.#others.size > 0) this.#expireLater()
      if (ended) this.#listeners.tell()
    })
  }

  stop(): void {
    this.#isOver = true
    this.#cancelSaying?.()
    this.#cancelExpiry?.()
    const had = this.#others.size > 0
    this.#others.clear()
    if (had) this.#listeners.tell()
  }
}
