/**
 * One repository over one channel: gives the pure machine of `sync` what the store holds, and carries out what it asks for. Messages
 * wait while the channel is full, as effects and not as bytes.
 */

import { encode } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import { deflatePack, inflatePack } from '../commit/deflated.ts'
import type { PackContext } from '../commit/pack.ts'
import { PackReader } from '../commit/packreader.ts'
import { PackWriter } from '../commit/packwriter.ts'
import { bearsSignature, gatherRuns, withoutNeedless } from '../commit/run.ts'
import { type Announcement, decodeAnnouncement, encodeAnnouncement } from '../mesh/announcement.ts'
import { decodePresence, encodePresence, type Gone, type Present } from '../mesh/presence.ts'
import { inFrames } from '../sync/answer.ts'
import { type Credit, spareOfFollower, takeBytes } from '../sync/credit.ts'
import { decodeMessage, type Entries, encodeMessage, itemsPerMessage } from '../sync/message.ts'
import { decodeRecalling, encodeRecalling, type ItemName, type Recalling } from '../sync/recall.ts'
import { isRecent } from '../sync/recent.ts'
import type { Effect, Event, Known, Meeting, Session } from '../sync/session.ts'
import { livePush, start, step } from '../sync/step.ts'
import type { Surroundings } from '../sync/turn.ts'
import type { Certificate } from '../trust/certificate.ts'
import type { Backlog } from './backlog.ts'
import type { Broadcast } from './broadcast.ts'
import type { Certificates } from './certificates.ts'
import type { HeldCommits } from './heldcommits.ts'
import type { Runtime } from './ports.ts'
import type { Gate } from './quota.ts'
import { historyOf } from './recall.ts'
import type { UnpackedFrom } from './reception.ts'
import type { Repository } from './repository.ts'

/** What waits to be sent. */
type Due = Effect | { readonly kind: 'say'; readonly message: Plain }

/** Records that are packed ahead, bytes: more than that is not about latency. */
const preparedBytes = 65_536

/** Words of presence behind what is being received. */
const wordsWaiting = 256

/** Commits that are pushed before the session is told of them. */
const mostUntold = 256

export interface ReconcilerLink {
  send(message: Plain): void
  /** The same of a message that others are sent as well. */
  sendEncoded(message: Uint8Array): void
  /** Whether the channel takes more at the moment. */
  ready(): boolean
  offence(why: Refusal): void
  /** What the peer's commits pass before they are verified; undefined where nobody counts. */
  readonly gate: Gate | undefined
  readonly backlog: Pick<Backlog, 'queue' | 'dequeue'>
  /** Why the peer may not ask for anything now. */
  tooFast(): Refusal | undefined
  /** There is no going on with this channel. */
  hangUp(why: Refusal): void
  /** The peer could not keep what this replica sent. */
  refused(why: Refusal, ids: readonly string[]): void
  level(): void
  /** To be remembered of the peer's store. */
  known(known: Known): void
  readonly gossips: Gossips
  /** Whether the authority is at the other end. */
  isAuthority(): boolean
}

/** Who decides which channels are told of what came to many. */
export interface Gossips {
  announced(reconciler: Reconciler, announcement: Announcement): void
  /** A live push of the peer's is through, and had these in it. */
  received(reconciler: Reconciler, ids: readonly string[]): void
  heard(reconciler: Reconciler, word: Present | Gone): void
  /** The channel carries the repository no more. */
  left(reconciler: Reconciler): void
}

/** What is left of the peer's credit, by repository it asked for before. */
export type Credits = Map<string, Credit>

export class Reconciler {
  readonly repository: Repository
  readonly held: HeldCommits
  readonly #runtime: Runtime
  readonly #surroundings: { now: number } & Surroundings
  readonly #certificates: Certificates
  readonly #link: ReconcilerLink
  /** Sessions whose certificate this peer was sent. */
  readonly #introduced = new Set<string>()
  readonly #outbox: Due[] = []
  /** The pack of the message that is being taken. */
  #unpacked: UnpackedFrom | undefined
  readonly #packs: PackContext & { readonly sends: boolean; readonly receives: boolean }
  readonly #writer: PackWriter
  #broadcast: Broadcast | undefined
  /** Place in the stream of the broadcast; undefined when the last pack was this channel's own. */
  #place: number | undefined
  #reader: PackReader
  readonly #credits: Credits
  #session: Session
  #receiving: Promise<void> = Promise.resolve()
  #cancelWake: (() => void) | undefined
  #closed = false
  isLevel = false

  constructor(options: {
    repository: Repository
    held: HeldCommits
    runtime: Runtime
    certificates: Certificates
    leads: boolean
    /** 16 bytes, the same on both sides of the channel and nowhere else. */
    salt: Uint8Array
    /** Filters alone. */
    base: boolean
    /** Of this channel. */
    credits: Credits
    /** The network, hex, and the tags under which either side names the repository. */
    packs: { readonly network: string; readonly mine: number; readonly theirs: number }
    link: ReconcilerLink
  }) {
    this.repository = options.repository
    this.held = options.held
    this.#runtime = options.runtime
    this.#surroundings = {
      now: 0,
      random: (length) => options.runtime.random(length),
      hash: (bytes) => options.runtime.hash(bytes),
    }
    this.#certificates = options.certificates
    this.#link = options.link
    this.#credits = options.credits
    this.#session = start(options.leads, options.salt, options.base, options.credits.get(options.repository.path))
    const { network, mine, theirs } = options.packs
    this.#packs = {
      network,
      repository: options.repository.path,
      sends: mine < tabledTags,
      receives: theirs < tabledTags,
    }
    this.#writer = new PackWriter(this.#packs)
    this.#reader = this.#newReader()
  }

  open(meeting: Meeting): void {
    this.#take({ kind: 'open', ...meeting })
    this.repository.recalling.join(this)
  }

  message(plain: Plain): void {
    const announcement = decodeAnnouncement(plain)
    if (announcement !== undefined) {
      if (isRefusal(announcement)) this.#link.offence(announcement)
      else this.#link.gossips.announced(this, announcement)
      return
    }
    const presence = decodePresence(plain)
    if (presence !== undefined) {
      if (isRefusal(presence)) this.#link.offence(presence)
      else this.#hearLater(presence)
      return
    }
    const recalling = decodeRecalling(plain)
    if (recalling !== undefined) {
      if (isRefusal(recalling)) this.#link.offence(recalling)
      else this.#recalling(recalling)
      return
    }
    const message = decodeMessage(plain)
    if (isRefusal(message)) return this.#link.offence(message)
    if (message.kind !== 'packed') return this.#take({ kind: 'message', message })
    if (!this.#packs.receives) this.#reader = this.#newReader()
    const pack = inflatePack(message.pack)
    const records = isRefusal(pack) ? pack : this.#reader.unpack(pack)
    // Nothing that comes after it could be read.
    if (isRefusal(records)) return this.#link.hangUp(records)
    const { pack: _pack, ...push } = message
    this.#unpacked = { pack: message.pack, records }
    this.#take({ kind: 'message', message: { ...push, kind: 'push', commits: records.map(({ bytes }) => bytes) } })
    this.#unpacked = undefined
  }

  /** Asks for the history of items. One question at a time. */
  recall(items: readonly ItemName[]): void {
    if (!this.#closed) this.#link.send(encodeRecalling({ kind: 'recall', number: this.#recalls++, items }))
  }

  #recalls = 0

  #recalling(message: Recalling): void {
    if (message.kind === 'recalled') {
      // Behind what was pushed before.
      void this.#receiving.then(() => this.#closed || this.repository.recalling.answered(this))
      return
    }
    const { number, items } = message
    const isFree = this.#link.tooFast() === undefined && this.#outbox.length === 0
    const ids = isFree ? this.#credited(historyOf(items, this.repository, this.held)) : undefined
    for (const some of inFrames(ids ?? [], this.held))
      this.#carryOut({ kind: 'push', round: 0, ids: some, last: false, unknown: [] })
    this.#queue({ kind: 'say', message: encodeRecalling({ kind: 'recalled', number, whole: ids !== undefined }) })
  }

  /** What is asked for twice is paid for as anything else is (`sync/credit.ts`). */
  #credited(ids: readonly string[] | undefined): readonly string[] | undefined {
    const bytes = (ids ?? []).reduce((sum, id) => sum + this.held.size(id), 0)
    const terms = { held: this.held, now: this.#runtime.elapsed(), spare: spareOfFollower, always: false }
    const credit = takeBytes(this.#session.credit, bytes, terms)
    if (credit === undefined) return undefined
    this.#session = { ...this.#session, credit }
    return ids
  }

  /** Words of presence that wait. */
  #words = 0

  /** Behind the certificate that came ahead of it. One that is lost is said again. */
  #hearLater(word: Present | Gone): void {
    if (this.#words >= wordsWaiting) return
    this.#words++
    void this.#receiving.then(() => {
      this.#words--
      if (!this.#closed) this.#link.gossips.heard(this, word)
    })
  }

  #newReader(): PackReader {
    const hash = (bytes: Uint8Array): Uint8Array => this.#runtime.hash(bytes)
    return new PackReader(this.#packs, hash, { commits: itemsPerMessage, bytes: limits.frameBytes })
  }

  /** Packs commits that are being stored, so that they go out as soon as they are. */
  prepare(ids: readonly string[]): void {
    this.#dropPrepared()
    if (this.repository.recovering) return
    const { speaks, busy, early } = this.#session
    if (this.#closed || !speaks || busy || !this.#packs.sends || this.#outbox.length > 0) return
    const commits: Commit[] = []
    let bytes = 0
    for (const id of ids) {
      const commit = this.repository.pipeline.commits.get(id)
      if (commit === undefined || isRecent(early, id) || !this.#introduced.has(commit.session)) return
      bytes += commit.bytes.length
      if (bytes > preparedBytes) return
      commits.push(commit)
    }
    const records = withoutNeedless(commits, (id) => this.held.linearChainOf(id))
    if (records.length < ids.length) return
    if (this.#place !== undefined) this.#writer.reset()
    this.#place = undefined
    const push = { kind: 'packed', round: 0, last: false, unknown: [], certificates: [] } as const
    this.#prepared = { ids, encoded: encode(encodeMessage({ ...push, pack: this.#writer.pack(records) })) }
  }

  #prepared: { readonly ids: readonly string[]; readonly encoded: Uint8Array } | undefined

  /** What was packed and is not sent the peer knows nothing of. */
  #dropPrepared(): void {
    if (this.#prepared !== undefined) this.#writer.reset()
    this.#prepared = undefined
  }

  /** `broadcast`: where many are told. */
  admitted(ids: readonly string[], origin: 'local' | 'peer' | 'other', broadcast: Broadcast | undefined): void {
    if (this.repository.recovering && origin !== 'peer') return
    this.#broadcast = broadcast
    if (origin !== 'peer' && broadcast !== undefined && this.#outbox.length === 0 && this.#link.ready()) {
      const fresh = livePush(this.#session, ids)
      if (fresh !== undefined && !this.#closed && this.#pushShared(fresh)) {
        for (const id of fresh) this.#pushed.push(id)
        if (this.#pushed.length >= mostUntold) this.#tellPushed()
        return
      }
    }
    if (origin !== 'peer') this.#sendAhead(ids)
    this.#take({ kind: 'admitted', ids, origin })
    if (this.#outbox.length === 0) this.#ahead = undefined
  }

  /** Sent before the session was told of it: its push is not to be sent again. */
  #ahead: readonly string[] | undefined

  /** What was packed for this peer goes out before the session is told of it, where all that comes of telling is that it goes out. */
  #sendAhead(ids: readonly string[]): void {
    const { speaks, busy, early } = this.#session
    if (this.#closed || !speaks || busy || this.#outbox.length > 0 || !this.#link.ready()) return
    const prepared = this.#prepared
    if (prepared === undefined || !areSame(prepared.ids, ids) || ids.some((id) => isRecent(early, id))) return
    this.#prepared = undefined
    this.#ahead = ids
    this.#link.sendEncoded(prepared.encoded)
  }

  /** The peer is told of commits otherwise, or need not be. */
  withheld(): void {
    this.#take({ kind: 'pushed', ids: [] })
  }

  /** Gossip for the peer, which it understands when it took part itself. */
  announce(announcement: Announcement): void {
    if (this.repository.recovering) return
    if (!this.#closed && this.#link.ready()) this.#link.send(encodeAnnouncement(announcement))
  }

  /** Who is here, for a peer that understands it, with the certificate that it may lack. Said again soon, so it may get lost. */
  present(word: Present | Gone): void {
    if (this.#closed || !this.#session.speaks || !this.#link.ready() || this.repository.recovering) return
    const certificate = word.kind === 'present' ? this.#certificates.get(word.session) : undefined
    if (certificate !== undefined) this.#introduce([certificate])
    this.#link.send(encodePresence(word))
  }

  get isOfAuthority(): boolean {
    return this.#link.isAuthority()
  }

  /** Commits that went out without a step. */
  readonly #pushed: string[] = []

  #tellPushed(): void {
    if (this.#pushed.length > 0) this.#session = this.#step({ kind: 'pushed', ids: this.#pushed.splice(0) }).session
  }

  /** The log grew; `from` its newest epoch began there, and left out what the peer may have been sent. */
  entries(from?: number): void {
    this.#take(from === undefined ? { kind: 'entries' } : { kind: 'entries', from })
  }

  refused(why: Refusal, ids: readonly string[]): void {
    this.#take({ kind: 'refused', code: why.code, ids })
  }

  drain(): void {
    this.#flush()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#cancelWake?.()
    this.#link.gossips.left(this)
    this.repository.recalling.leave(this)
    this.#outbox.length = 0
    this.#tellPushed()
    this.#session = this.#step({ kind: 'close' }).session
    const [oldest] = this.#credits.keys()
    if (this.#credits.size >= limits.repositoriesPerChannel && oldest !== undefined) this.#credits.delete(oldest)
    this.#credits.set(this.repository.path, this.#session.credit)
  }

  #step(event: Event): ReturnType<typeof step> {
    this.#surroundings.now = this.#runtime.elapsed()
    return step(this.#session, event, this.held, this.#surroundings)
  }

  #take(event: Event): void {
    if (this.#closed) return
    if (event.kind !== 'entries') this.#tellPushed()
    this.#isLive = event.kind === 'message' && event.message.kind === 'push' && event.message.round === 0
    const { session, effects } = this.#step(event)
    this.#session = session
    for (const effect of effects) this.#carryOut(effect)
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'send':
      case 'push':
        this.#queue(effect)
        break
      case 'admit':
        this.#receive(effect.commits, effect.certificates, [])
        break
      case 'deliver':
        this.#receive([], [], effect.entries)
        break
      case 'wake':
        this.#cancelWake?.()
        this.#cancelWake = this.#runtime.timer(effect.after, () => this.#take({ kind: 'wake' }))
        break
      case 'level':
        this.isLevel = true
        this.#link.level()
        break
      case 'known':
        this.#link.known(effect.known)
        break
      case 'refused':
        this.#link.refused(refusal(effect.code), effect.ids)
        break
      case 'offence':
        // Whether the authority forked its log is for the signature to say: the pipeline judges the entry that came.
        if (effect.code === 'LogForked') this.#receive([], [], effect.evidence?.slice(1) ?? [])
        else this.#link.offence(refusal(effect.code, effect.about))
        break
      case 'rest':
        this.isLevel = false
    }
  }

  #queue(due: Due): void {
    if (this.#outbox.length >= limits.unsentMessages) return this.#link.hangUp(refusal('TooMany', 'messages unsent'))
    this.#outbox.push(due)
    this.#flush()
  }

  /** What is being taken is a live push. */
  #isLive = false

  #receive(commits: readonly Uint8Array[], certificates: readonly Uint8Array[], entries: readonly Uint8Array[]): void {
    const isLive = this.#isLive
    const bytes = [...commits, ...certificates, ...entries].reduce((sum, one) => sum + one.length, 0)
    const fits = this.#link.backlog.queue(bytes)
    const unpacked = commits.length > 0 ? this.#unpacked : undefined
    // Certificates are sent once, and few: they are taken all the same.
    const kept = fits ? commits : []
    // One after the other, so that what this channel brings is admitted in its order.
    this.#receiving = this.#receiving.then(() => {
      if (this.#closed) return undefined
      return new Promise<void>((onRoad) => {
        const stored = this.repository.pipeline.receive(
          this,
          { commits: kept, certificates, entries, ...(unpacked !== undefined && { unpacked }) },
          onRoad,
          this.#link.gate,
        )
        const told = stored.then((outcome) => {
          if (fits) this.#link.backlog.dequeue(bytes)
          else this.#take({ kind: 'refused', code: 'TooMany', ids: [] })
          if (commits.length > 0 || certificates.length > 0) this.#take({ kind: 'settled', ...outcome })
          if (isLive && !this.#closed) this.#link.gossips.received(this, outcome.ids)
        })
        told.catch((error: unknown) => {
          this.#link.hangUp(refusal('Fault', String(error)))
          onRoad()
        })
      })
    })
  }

  #flush(): void {
    while (this.#outbox.length > 0 && this.#link.ready()) {
      const effect = this.#outbox.shift()
      if (effect?.kind === 'send') {
        if (effect.message.kind === 'entries') this.#sendEntries(effect.message)
        else this.#link.send(encodeMessage(effect.message))
      } else if (effect?.kind === 'say') this.#link.send(effect.message)
      else if (effect?.kind === 'push') this.#push(effect)
    }
  }

  /** Who was given a role has a name to the others before writing anything: the certificates go ahead of the entries. */
  #sendEntries(message: Entries): void {
    if (this.repository.recovering) return
    const { log } = this.repository.pipeline
    this.#introduce(
      log.entries
        .slice(message.from, message.from + message.entries.length)
        .flatMap(({ statement }) =>
          statement.kind === 'grant' ? (this.#certificates.ofOwner(statement.owner) ?? []) : [],
        ),
    )
    this.#link.sendEncoded(this.held.encoded(message))
  }

  /** Sends those certificates that this peer was not sent. */
  #introduce(all: readonly Certificate[]): void {
    let certificates: Uint8Array[] = []
    let bytes = 0
    const send = (): void => {
      if (certificates.length === 0) return
      this.#link.send(encodeMessage({ kind: 'push', round: 0, last: false, unknown: [], commits: [], certificates }))
      certificates = []
      bytes = 0
    }
    for (const certificate of all) {
      if (this.#introduced.has(certificate.session)) continue
      if (bytes + certificate.bytes.length + 8 > pushBytes) send()
      bytes += certificate.bytes.length + 8
      this.#introduced.add(certificate.session)
      certificates.push(certificate.bytes)
    }
    send()
  }

  /** Sends what others are sent as well, where that brings these commits. */
  #pushShared(ids: readonly string[]): boolean {
    if (!this.#session.speaks || !this.#packs.sends) return false
    const share = this.#broadcast?.share(ids, this.#place)
    if (share === undefined) return false
    for (const session of share.sessions) {
      if (this.#introduced.has(session)) continue
      const certificate = this.#certificates.get(session)
      if (certificate !== undefined) this.#introduce([certificate])
    }
    this.#dropPrepared()
    for (const message of share.messages) this.#link.sendEncoded(message)
    this.#place = share.place
    return true
  }

  /**
   * The commits of one effect, with the certificates this peer lacks: one message, or more where certificates make it too long, each cut
   * where a signature is held.
   */
  #push({ round, ids: due, last, unknown }: Extract<Effect, { kind: 'push' }>): void {
    // Who may read what is being taken back is not known yet.
    const ids = this.repository.recovering ? [] : due
    if (round === 0 && ids.length < due.length) return
    if (round === 0 && this.#ahead !== undefined && areSame(this.#ahead, ids)) {
      this.#ahead = undefined
      return
    }
    const prepared = this.#prepared
    if (round === 0 && prepared !== undefined && areSame(prepared.ids, ids)) {
      this.#prepared = undefined
      return this.#link.sendEncoded(prepared.encoded)
    }
    if (round === 0 && this.#pushShared(ids)) return
    this.#dropPrepared()
    let commits: Commit[] = []
    let certificates: Uint8Array[] = []
    let bytes = 0
    const send = (rest: { readonly last: boolean; readonly unknown: readonly number[] }): void => {
      const records = withoutNeedless(commits, (id) => this.held.linearChainOf(id))
      if (this.#session.speaks && commits.length > 0) {
        if (!this.#packs.sends || this.#place !== undefined) this.#writer.reset()
        this.#place = undefined
        const signed = records.reduce((count, { bytes }) => count + (bearsSignature(bytes) ? 1 : 0), 0)
        const pack = deflatePack(this.#writer.pack(records), deflatedFrom, signed)
        this.#link.send(encodeMessage({ kind: 'packed', round, ...rest, pack, certificates }))
      } else {
        this.#link.send(
          encodeMessage({ kind: 'push', round, ...rest, commits: records.map((record) => record.bytes), certificates }),
        )
      }
      commits = []
      certificates = []
      bytes = 0
    }
    const held = ids.flatMap((id) => this.repository.pipeline.commits.get(id) ?? [])
    for (const run of gatherRuns(held, () => undefined)) {
      const [first] = run
      const certificate = first && this.#certificates.get(first.session)
      const introduces = certificate !== undefined && !this.#introduced.has(certificate.session)
      const size =
        run.reduce((sum, commit) => sum + commit.bytes.length + 8, 0) + (introduces ? certificate.bytes.length + 8 : 0)
      if (commits.length > 0 && bytes + size > pushBytes) send({ last: false, unknown: [] })
      bytes += size
      if (introduces) {
        this.#introduced.add(certificate.session)
        certificates.push(certificate.bytes)
      }
      commits.push(...run)
    }
    send({ last, unknown })
  }
}

const areSame = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((id, index) => id === others[index])

/** Repositories of a channel whose packs build on those before them, since that takes memory; packs of others stand alone. */
const tabledTags = 64
/** Packs of fewer bytes travel as they are: a push of what somebody just typed is not kept waiting. */
const deflatedFrom = 8_192
/** What fits a frame beside its own fields. */
const pushBytes = limits.frameBytes - 65_536

/** Refusals that an honest peer never causes; three within a minute close the channel. */
export const isOffence = (why: Refusal): boolean => offences.has(why.code)

const offences = new Set<Refusal['code']>([
  'TooLarge',
  'TooDeep',
  'TooMany',
  'NotCanonical',
  'Malformed',
  'UnknownMessage',
  'WrongNetwork',
  'WrongRepository',
  'BadHash',
  'BadSignature',
  'BrokenChain',
  'BadParents',
  'ClockNotLater',
  'PolicyBack',
  'BadCertificate',
  'BadEntry',
  'BadProof',
])

export const offenceWindow = 60_000
export const mostOffences = limits.offences
