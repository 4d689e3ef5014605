/**
 * Makes channels straight to other sessions by signals (`mesh/signal.ts`). Of two sessions the one whose id comes first makes the offer, so
 * two that want each other at once do not both begin. What is not signed by a session that may read here, is late, is heard again or belongs
 * to an attempt that is over, is dropped before anything is made.
 */
import { toHex } from '../bytes/bytes.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import {
  attemptBytes,
  type Decline,
  encodeSignalBody,
  mostSignals,
  partsBytes,
  readSignal,
  type Signal,
  type SignalContent,
  sealSignal,
  signalLife,
} from '../mesh/signal.ts'
import type { Certificate } from '../trust/certificate.ts'
import { messageOf } from '../trust/signed.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import type { Attempt, Channel, IceServer, PathFailure, PeerTransport, Runtime, SigningKey } from './ports.ts'

/** What signalling needs of its replica. */
export interface SignallingParts {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly certificates: Certificates
  readonly transport: PeerTransport
  /** Whether this side shows its addresses to nobody. */
  readonly relayOnly: boolean
  servers(): readonly IceServer[]
  /** Who this replica is, once certified. */
  self(): { readonly key: SigningKey; readonly certificate: Certificate } | undefined
  /** Whether that session is in force, and may read something that is open here. */
  mayMeet(certificate: Certificate): boolean
  /** Hands a signal to whoever can bring it there; false when nobody can. */
  carry(to: string, signal: Uint8Array): boolean
  /** A session wanted a channel at that time, ms since 1970: why not, or undefined. */
  asked(session: string, urgent: boolean, at: number): Decline | undefined
  /** No name is proved yet on that channel. */
  opened(session: string, channel: Channel, path: 'direct' | 'relayed'): void
  failed(session: string, why: Decline | PathFailure): void
  incident(why: Refusal): void
}

/** One attempt with one session. */
interface Run {
  readonly attempt: string
  /** None while the other side is asked to begin. */
  end: Attempt | undefined
  /** Signals of this side, and those of the other side that were taken. */
  sent: number
  taken: number
  /** What came before its turn, by number. */
  readonly early: Map<number, readonly Uint8Array[]>
  parts: Uint8Array[]
  cancelGathering: (() => void) | undefined
  cancelPatience: () => void
}

/** The parts of that many ms travel in one signal. */
const gathering = 15
/** Ms from asking to an offer. */
const askPatience = 8_000
/** Signals that are being verified, and those of one session. */
const mostVerifying = 64
/** Signals that hold still and were taken. */
const mostSpent = 4_096

export class Signalling {
  readonly #parts: SignallingParts
  readonly #runs = new Map<string, Run>()
  /** Signals taken, until they expire. */
  readonly #spent = new Map<string, number>()
  readonly #verifying = new Map<string, Promise<void>>()
  #waiting = 0
  /** Signing one after the other keeps the order. */
  #sending: Promise<void> = Promise.resolve()

  constructor(parts: SignallingParts) {
    this.#parts = parts
  }

  /** Sessions with which an attempt is under way. */
  get attempts(): Iterable<string> {
    return this.#runs.keys()
  }

  /** Begins to make a channel to a session, unless that is under way. `urgent`: this side has no other. */
  connect(session: string, urgent: boolean): void {
    const self = this.#parts.self()?.certificate.session
    if (self === undefined || self === session || this.#runs.has(session)) return
    const attempt = toHex(this.#parts.runtime.random(attemptBytes))
    const run = this.#newRun(session, attempt)
    if (self < session) this.#begin(session, run, true)
    else {
      run.cancelPatience = this.#parts.runtime.timer(askPatience, () => this.#fail(session, run, noAnswer))
      this.#send(session, run, { kind: 'ask', urgent })
    }
  }

  /** Gives up what is under way with a session. */
  abandon(session: string): void {
    const run = this.#runs.get(session)
    if (run === undefined) return
    this.#send(session, run, { kind: 'no', reason: 'gave up' })
    this.#drop(session, run)
  }

  stop(): void {
    for (const [session, run] of [...this.#runs]) this.#drop(session, run)
    this.#spent.clear()
  }

  /** A signal came, stamped by its carrier with the session that sent it. */
  heard(from: string, bytes: Uint8Array): void {
    const signal = readSignal(bytes)
    if (isRefusal(signal)) return this.#parts.incident(signal)
    if (signal.from !== from || this.#waiting >= mostVerifying || !this.#isForNow(signal)) return
    this.#waiting++
    const turn = (this.#verifying.get(from) ?? Promise.resolve())
      .then(() => this.#verify(signal))
      .then((isGood) => {
        if (isGood) this.#take(signal)
      })
      .catch((error: unknown) => this.#parts.incident(refusal('Fault', String(error))))
      .finally(() => {
        this.#waiting--
        if (this.#verifying.get(from) === turn) this.#verifying.delete(from)
      })
    this.#verifying.set(from, turn)
  }

  /** What costs nothing to see: whether it is for this session, in its time, and new. */
  #isForNow(signal: Signal): boolean {
    const self = this.#parts.self()?.certificate
    const now = this.#parts.clock.now()
    if (self === undefined || signal.to !== self.session || signal.network !== self.network) return false
    return signal.expires > now && signal.expires <= now + 2 * signalLife && !this.#spent.has(nameOf(signal))
  }

  async #verify(signal: Signal): Promise<boolean> {
    const { certificates, runtime, clock, mayMeet } = this.#parts
    const certificate = await certificates.admit(signal.certificate)
    const isTheirs = !isRefusal(certificate) && certificate.session === signal.from
    if (!isTheirs || certificate.expires <= clock.now() || certificates.isTooLate(certificate)) {
      this.#parts.incident(refusal('BadSignal', signal.from))
      return false
    }
    // A stranger is told nothing, not even that somebody is here.
    if (!mayMeet.call(this.#parts, certificate)) return false
    const message = messageOf('signal', signal.body, (bytes) => runtime.hash(bytes))
    const isSigned = await runtime.verify(certificate.publicKey, message, signal.signature)
    if (!isSigned) this.#parts.incident(refusal('BadSignal', signal.from))
    return isSigned && this.#isForNow(signal)
  }

  #take(signal: Signal): void {
    const now = this.#parts.clock.now()
    for (const [name, expires] of this.#spent) {
      if (expires > now && this.#spent.size < mostSpent) break
      this.#spent.delete(name)
    }
    this.#spent.set(nameOf(signal), signal.expires)
    const { from, attempt, content, number, expires } = signal
    const at = expires - signalLife
    const run = this.#runs.get(from)
    switch (content.kind) {
      case 'ask':
        // Where an attempt is under way, its offer is the answer.
        if (run !== undefined || this.#offers(from) === false) return
        if (this.#welcomes(from, attempt, content.urgent, at)) this.#begin(from, this.#newRun(from, attempt), true)
        return
      case 'no':
        // Where both ends tried, this one will see as much of why as the other did.
        if (run?.attempt === attempt && (content.reason !== 'gave up' || run.end === undefined))
          this.#fail(from, run, content.reason)
        return
      case 'path':
        if (run?.attempt === attempt && run.end !== undefined) return this.#deliver(from, run, number, content.parts)
        // Only an offer begins, it comes first, and the session that comes first makes it.
        if (number !== 0 || this.#offers(from) === true) return
        if (run !== undefined) {
          this.#drop(from, run)
          // Asked for, or begun anew by the other side.
          return this.#begun(from, attempt, content.parts)
        }
        if (this.#welcomes(from, attempt, false, at)) this.#begun(from, attempt, content.parts)
    }
  }

  /** Whether this side makes the offer. */
  #offers(session: string): boolean | undefined {
    const self = this.#parts.self()?.certificate.session
    return self === undefined ? undefined : self < session
  }

  #welcomes(session: string, attempt: string, urgent: boolean, at: number): boolean {
    const reason = this.#parts.asked(session, urgent, at)
    if (reason === undefined) return true
    const run = this.#newRun(session, attempt)
    this.#send(session, run, { kind: 'no', reason })
    this.#drop(session, run)
    return false
  }

  #begun(session: string, attempt: string, parts: readonly Uint8Array[]): void {
    const run = this.#newRun(session, attempt)
    this.#begin(session, run, false)
    this.#deliver(session, run, 0, parts)
  }

  #newRun(session: string, attempt: string): Run {
    const run: Run = {
      attempt,
      end: undefined,
      sent: 0,
      taken: 0,
      early: new Map(),
      parts: [],
      cancelGathering: undefined,
      cancelPatience: () => undefined,
    }
    this.#runs.set(session, run)
    return run
  }

  #begin(session: string, run: Run, initiator: boolean): void {
    const { transport, relayOnly, servers } = this.#parts
    const isOver = (): boolean => this.#runs.get(session) !== run
    run.end = transport.attempt(
      { remote: session, initiator, relayOnly, servers: servers.call(this.#parts) },
      {
        signal: (part) => {
          if (isOver()) return
          run.parts.push(part)
          run.cancelGathering ??= this.#parts.runtime.timer(gathering, () => this.#sendParts(session, run))
        },
        opened: (channel, path) => {
          if (isOver()) return channel.close('another attempt took its place')
          // What is still to be told the other side needs to open its end.
          this.#sendParts(session, run)
          this.#forget(session, run)
          this.#parts.opened(session, channel, path)
        },
        failed: (failure) => {
          if (isOver()) return
          this.#send(session, run, { kind: 'no', reason: failure.kind === 'unsupported' ? 'unable' : 'gave up' })
          this.#fail(session, run, failure)
        },
      },
    )
    if (isOver()) run.end.end()
  }

  /** Hands over what came, in order. */
  #deliver(session: string, run: Run, number: number, parts: readonly Uint8Array[]): void {
    if (number < run.taken || run.early.size >= mostSignals) return
    run.early.set(number, parts)
    for (let next = run.early.get(run.taken); next !== undefined; next = run.early.get(run.taken)) {
      run.early.delete(run.taken++)
      for (const part of next) {
        const why = run.end?.signal(part)
        if (why !== undefined) this.#parts.incident({ ...why, about: `${why.about} of ${session}` })
        if (this.#runs.get(session) !== run) return
      }
    }
  }

  #sendParts(session: string, run: Run): void {
    run.cancelGathering?.()
    run.cancelGathering = undefined
    while (run.parts.length > 0) {
      let bytes = 0
      const fits = run.parts.findIndex((part) => {
        bytes += part.length + 8
        return bytes > partsBytes
      })
      const parts = run.parts.splice(0, fits < 0 ? run.parts.length : Math.max(1, fits))
      this.#send(session, run, { kind: 'path', parts })
    }
  }

  #send(to: string, run: Run, content: SignalContent): void {
    const { runtime, clock, carry } = this.#parts
    const number = run.sent++
    if (number > mostSignals) return
    this.#sending = this.#sending
      .then(async () => {
        const self = this.#parts.self()
        if (self === undefined) return
        const { key, certificate } = self
        const expires = clock.now() + signalLife
        const { network, session: from } = certificate
        const body = encodeSignalBody({ network, from, to, attempt: run.attempt, number, expires, content })
        const signature = await key.sign(messageOf('signal', body, (bytes) => runtime.hash(bytes)))
        const isOnItsWay = carry.call(this.#parts, to, sealSignal(body, signature, certificate.bytes))
        if (!isOnItsWay && this.#runs.get(to) === run) this.#fail(to, run, noWay)
      })
      .catch((error: unknown) => this.#parts.incident(refusal('Fault', String(error))))
  }

  #fail(session: string, run: Run, why: Decline | PathFailure): void {
    if (this.#runs.get(session) !== run) return
    this.#drop(session, run)
    this.#parts.failed(session, why)
  }

  #drop(session: string, run: Run): void {
    this.#forget(session, run)
    run.end?.end()
  }

  #forget(session: string, run: Run): void {
    if (this.#runs.get(session) === run) this.#runs.delete(session)
    run.cancelGathering?.()
    run.cancelPatience()
  }
}

const noAnswer: PathFailure = { kind: 'no answer', detail: 'the offer that was asked for did not come' }
const noWay: PathFailure = { kind: 'no answer', detail: 'nobody could carry the signal' }

const nameOf = ({ from, attempt, number, content }: Signal): string => `${from} ${attempt} ${number} ${content.kind}`
