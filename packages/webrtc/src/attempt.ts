/**
 * This end of one attempt, and the channel it becomes. It promises that its listener hears of either a channel or a failure, once; that no
 * signal of the other end throws or ends it, but for a description that the platform itself cannot use; and that it ends: when no channel
 * came in `patience`, and when the way was lost for longer than `grace`, since a lost way is told seconds before it is given up.
 */
import {
  type Attempt,
  type AttemptListener,
  type AttemptOptions,
  isRefusal,
  limits,
  type PathFailure,
  type Refusal,
  type Runtime,
} from '@weft-db/engine'
import { PeerChannel } from './channel.ts'
import { detailOf, failureOf, type Sight, unseen } from './failure.ts'
import { candidateType, fingerprintOf, type PeerSignal, SignalGate } from './signal.ts'
import type { Agreed, Ending, Lay, Line } from './simple-peer.ts'

export interface Circumstances {
  /** Absent where there is no WebRTC. */
  readonly lay: Lay | undefined
  readonly timer: Runtime['timer']
  /** Milliseconds from the beginning to an open channel. */
  readonly patience: number
  /** Milliseconds for a lost way to come back. */
  readonly grace: number
  /** A listener threw. */
  readonly report: (error: unknown) => void
  /** Told once: nothing is left of it. */
  readonly over: () => void
}

/** What a piece that waits takes beside its bytes. */
const pieceCost = 256

export class PeerAttempt implements Attempt {
  readonly #options: AttemptOptions
  readonly #listener: AttemptListener
  readonly #circumstances: Circumstances
  readonly #gate: SignalGate
  readonly #sight: Sight = unseen()
  readonly #line: Line | undefined
  #channel: PeerChannel | undefined
  /** Pieces that came before this end knew the channel to be open. */
  #early: (Uint8Array | undefined)[] = []
  #earlyCost = 0
  /** The listener hears nothing any more. */
  #silent = false
  /** It has heard of a failure, or will not hear of one. */
  #settled = false
  #impatient: (() => void) | undefined
  #grieving: (() => void) | undefined

  constructor(options: AttemptOptions, listener: AttemptListener, circumstances: Circumstances) {
    this.#options = options
    this.#listener = listener
    this.#circumstances = circumstances
    this.#gate = new SignalGate(options.initiator, options.relayOnly)
    this.#sight.turn = options.servers.some(({ urls }) => urls.some(isTurn))
    this.#sight.relayOnly = options.relayOnly
    const { lay, timer, patience } = circumstances
    if (lay === undefined) {
      this.#sight.supported = false
      this.#impatient = timer(0, () => this.#fail('there is no RTCPeerConnection'))
      return
    }
    this.#impatient = timer(patience, () => this.#fail('no channel in time'))
    this.#line = lay(options, {
      signal: (signal) => this.#release(signal),
      candidateError: (code, url) => {
        if (isTurn(url)) this.#sight.turnErrors.add(code)
      },
      gathered: (some) => this.#gathered(some),
      ice: (state) => this.#way(state),
      open: (agreed) => this.#open(agreed),
      piece: (bytes) => this.#piece(bytes),
      low: () => this.#channel?.settle(),
      gone: (ending) => this.#gone(ending),
    })
  }

  signal(signal: Uint8Array): Refusal | undefined {
    const admitted = this.#gate.admit(signal)
    if (isRefusal(admitted)) {
      this.#sight.refused ||= !this.#sight.answered
      return admitted
    }
    if (admitted.kind === 'candidate') this.#sight.heard += 1
    else {
      this.#sight.answered = true
      this.#sight.refused = false
    }
    this.#line?.signal(admitted)
    return
  }

  end(): void {
    this.#silent = true
    if (!this.#channel) this.#abandon()
  }

  /** The transport stops: nothing is told but that the channel closed. */
  stop(reason: string): void {
    this.#silent = true
    if (this.#channel) this.#channel.close(reason)
    else this.#abandon()
  }

  /** The page goes away. */
  drop(reason: string): void {
    if (this.#channel) this.#channel.drop(reason)
    else {
      this.#sight.died = true
      this.#fail(reason)
    }
    this.#line?.destroy()
  }

  #release(signal: PeerSignal): void {
    this.#sight.gathering = true
    if (signal.kind === 'candidate') {
      const type = candidateType(signal.candidate)
      if (type !== undefined) this.#sight.gathered.add(type)
    }
    const bytes = this.#gate.release(signal)
    if (bytes !== undefined && !this.#silent) this.#tell((listener) => listener.signal(bytes))
  }

  /** Who has no candidates of their own by then cannot be reached, whatever the other end says. */
  #gathered(some: boolean): void {
    this.#sight.complete = true
    if (!some && this.#sight.gathering && this.#sight.gathered.size === 0) this.#fail('nothing was gathered')
  }

  #way(state: RTCIceConnectionState): void {
    if (state === 'connected' || state === 'completed') {
      this.#sight.connected = true
      this.#grieving?.()
      this.#grieving = undefined
    } else if (state === 'disconnected' && this.#channel) {
      this.#grieving ??= this.#circumstances.timer(this.#circumstances.grace, () => {
        this.#channel?.ended('the way to the peer was lost')
        this.#line?.destroy()
      })
    }
  }

  #open({ local, remote, relayed }: Agreed): void {
    if (this.#settled || this.#channel || !this.#line) return
    const { initiator, remote: name } = this.#options
    const [own, other] = [fingerprintOf(local), fingerprintOf(remote)]
    if (!own || !other) {
      this.#sight.died = true
      return this.#fail('the descriptions name no certificates')
    }
    this.#impatient?.()
    const { timer, report } = this.#circumstances
    const binding = Uint8Array.from(initiator ? [...own, ...other] : [...other, ...own])
    const channel = new PeerChannel({ remote: name, initiator, binding, pipe: this.#line, timer, report })
    this.#channel = channel
    channel.handOver(() => this.#listener.opened(channel, relayed ? 'relayed' : 'direct'))
    const early = this.#early
    this.#early = []
    for (const piece of early) channel.deliver(piece)
  }

  #piece(piece: Uint8Array | undefined): void {
    if (this.#channel) return this.#channel.deliver(piece)
    this.#early.push(piece)
    this.#earlyCost += pieceCost + (piece?.length ?? 0)
    if (this.#earlyCost <= limits.strangerQueue) return
    this.#sight.died = true
    this.#fail('too much came before the channel was open')
  }

  #gone({ reason, kind }: Ending): void {
    this.#impatient?.()
    this.#grieving?.()
    this.#channel?.ended(reason)
    if (kind !== 'unreached') this.#sight.died = true
    if (kind === 'refused') this.#sight.refused = true
    this.#fail(reason)
    this.#early = []
    this.#circumstances.over()
  }

  #fail(said: string): void {
    if (this.#settled || this.#channel) return
    const failure: PathFailure = { kind: failureOf(this.#sight), detail: detailOf(this.#sight, said) }
    const silent = this.#silent
    this.#abandon()
    if (!silent) this.#tell((listener) => listener.failed(failure))
  }

  /** No channel comes of it. */
  #abandon(): void {
    this.#settled = true
    this.#silent = true
    this.#early = []
    this.#impatient?.()
    this.#line?.destroy()
    // Without a line nothing is there that could still end.
    if (!this.#line) this.#circumstances.over()
  }

  #tell(run: (listener: AttemptListener) => void): void {
    try {
      run(this.#listener)
    } catch (error) {
      this.#circumstances.report(error)
    }
  }
}

const isTurn = (url: string): boolean => /^turns?:/i.test(url)
