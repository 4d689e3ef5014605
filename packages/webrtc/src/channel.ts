/**
 * A data channel as a `Channel`: whole messages in order, made of pieces. It promises that `closed` is told exactly once and nothing after
 * it, that no throw of a listener escapes into the platform (it closes the channel and is reported), and that the data channel never
 * holds more than `highMark`: browsers throw from 16 MiB on, so what is above waits here.
 */
import {
  type Channel,
  type ChannelListener,
  describeRefusal,
  isRefusal,
  limits,
  type Runtime,
  WeftError,
} from '@weft-db/engine'
import { Assembly, cut, endPiece, isEnd, Outbox } from './pieces.ts'

/** What a channel needs of its data channel. */
export interface Pipe {
  /** Bytes given to `send` that the platform still holds. */
  readonly backlog: number
  /** Takes one piece; throws when it cannot. */
  send(piece: Uint8Array<ArrayBuffer>): void
  /** The backlog is above the low mark: call `settle` when it is not any more. */
  watch(): void
  /** Ends the connection now, with what the platform still holds. */
  destroy(): void
}

export interface ChannelOptions {
  readonly remote: string
  readonly initiator: boolean
  readonly binding: Uint8Array
  readonly pipe: Pipe
  readonly timer: Runtime['timer']
  /** A listener threw. */
  readonly report: (error: unknown) => void
}

/** Bytes a data channel holds at most, and at which it is filled again. */
export const highMark = 1_048_576
export const lowMark = 262_144
/** Milliseconds for what was sent before a close to arrive. */
const lingering = 2_000

export class PeerChannel implements Channel {
  readonly remote: string
  readonly initiator: boolean
  readonly binding: Uint8Array
  readonly #pipe: Pipe
  readonly #timer: Runtime['timer']
  readonly #report: (error: unknown) => void
  readonly #outbox = new Outbox()
  readonly #assembly = new Assembly()
  #listener: ChannelListener | undefined
  #state: 'open' | 'ending' | 'over' = 'open'
  #above = false
  /** At least the backlog; asking for that waits for another thread, so it is asked when this reaches a mark. */
  #backlog = 0
  #hurry: (() => void) | undefined

  constructor({ remote, initiator, binding, pipe, timer, report }: ChannelOptions) {
    this.remote = remote
    this.initiator = initiator
    this.binding = binding
    this.#pipe = pipe
    this.#timer = timer
    this.#report = report
  }

  /** At most so many, while they are few. */
  get buffered(): number {
    if (this.#state !== 'open') return 0
    const most = this.#outbox.bytes + this.#backlog
    return most < lowMark ? most : this.#outbox.bytes + this.#look()
  }

  listen(listener: ChannelListener): void {
    if (this.#listener) throw new Error('A channel is listened to once.')
    this.#listener = listener
  }

  send(message: Uint8Array): void {
    if (message.length > limits.frameBytes) throw new WeftError('TooLarge', `a message of ${message.length} bytes`)
    if (this.#state !== 'open') return
    for (const piece of cut(message)) if (this.#outbox.bytes > 0 || !this.#pass(piece)) this.#outbox.push(piece)
    if (this.#above || this.#outbox.bytes + this.#backlog < limits.channelLowWater) return
    if (this.buffered < limits.channelLowWater) return
    this.#above = true
    this.#pipe.watch()
  }

  close(reason: string): void {
    if (this.#state !== 'open') return
    this.#state = 'ending'
    this.#outbox.push(endPiece())
    this.#hurry = this.#timer(lingering, () => this.#pipe.destroy())
    this.#tell((listener) => listener.closed(reason))
    this.#fill()
  }

  /** Closes without waiting for anything. */
  drop(reason: string): void {
    const open = this.#state === 'open'
    this.ended(reason)
    if (open) this.#pipe.destroy()
  }

  /** Hands the channel over. One that nobody listens to afterwards is closed, since its messages would be lost. */
  handOver(onChannel: (channel: Channel) => void): void {
    if (this.#state !== 'open') return
    try {
      onChannel(this)
    } catch (error) {
      this.#report(error)
    }
    if (!this.#listener) this.close('nobody listens')
  }

  /** A piece came; undefined for what is none. */
  deliver(piece: Uint8Array | undefined): void {
    if (this.#state === 'over') return
    // Whoever closes waits for the other end to end the connection: only then has all arrived.
    if (piece && isEnd(piece)) {
      this.ended('the other end closed')
      return this.#pipe.destroy()
    }
    if (this.#state !== 'open') return
    const message = piece && this.#assembly.take(piece)
    if (piece === undefined) this.drop('malformed: text')
    else if (isRefusal(message)) this.drop(`malformed: ${describeRefusal(message)}`)
    else if (message !== undefined) this.#tell((listener) => listener.message(message))
  }

  /** The connection is lost. */
  ended(reason: string): void {
    const open = this.#state === 'open'
    this.#state = 'over'
    this.#hurry?.()
    this.#outbox.clear()
    if (open) this.#tell((listener) => listener.closed(reason))
  }

  /** The backlog fell to the low mark. */
  settle(): void {
    this.#fill()
    if (!this.#above || this.#state !== 'open') return
    if (this.buffered >= limits.channelLowWater) return this.#pipe.watch()
    this.#above = false
    this.#tell((listener) => listener.drain())
  }

  #fill(): void {
    for (let piece = this.#outbox.next; piece && this.#pass(piece); piece = this.#outbox.next) this.#outbox.shift()
  }

  /** Gives a piece to the data channel; false when that holds enough. */
  #pass(piece: Uint8Array<ArrayBuffer>): boolean {
    if (this.#backlog + piece.length > highMark && this.#look() + piece.length > highMark) {
      this.#pipe.watch()
      return false
    }
    try {
      this.#pipe.send(piece)
      this.#backlog += piece.length
    } catch (error) {
      this.ended(`sending failed: ${error instanceof Error ? error.message : String(error)}`)
      this.#pipe.destroy()
    }
    return true
  }

  #look(): number {
    this.#backlog = this.#pipe.backlog
    return this.#backlog
  }

  #tell(run: (listener: ChannelListener) => void): void {
    try {
      if (this.#listener) run(this.#listener)
    } catch (error) {
      this.#report(error)
      this.close('the listener failed')
    }
  }
}
