/**
 * One connection as a `Channel`, the same on both sides. It promises that `closed` is told exactly once, that nothing follows it, and
 * that no throw of a listener escapes into Socket.IO, where it would end the process: it closes the channel and is reported.
 */
import { type Channel, type ChannelListener, limits, WeftError } from '@weft-db/engine'

/** What a channel needs of its connection. */
export interface Wire {
  readonly remote: string
  /** Absent on the side that dialled. */
  readonly address?: string
  readonly initiator: boolean
  write(message: Uint8Array): void
  /** Both as one message, where that is cheaper than putting them together first. */
  writeJoined?(head: Uint8Array, body: Uint8Array): void
  /** Bytes given to `write` and not yet to the network, packet headers included. */
  backlog(): number
  /** The backlog is above the low mark: call `settle` whenever it may have fallen. */
  watch(): void
  /** Lets go of the connection after what was written. */
  end(reason: string): void
  /** A listener threw. */
  report(error: unknown): void
}

export class SocketChannel implements Channel {
  readonly remote: string
  declare readonly address?: string
  readonly initiator: boolean
  readonly #wire: Wire
  #listener: ChannelListener | undefined
  #open = true
  #above = false

  constructor(wire: Wire) {
    this.remote = wire.remote
    if (wire.address !== undefined) this.address = wire.address
    this.initiator = wire.initiator
    this.#wire = wire
  }

  get buffered(): number {
    return this.#open ? this.#wire.backlog() : 0
  }

  listen(listener: ChannelListener): void {
    if (this.#listener) throw new Error('A channel is listened to once.')
    this.#listener = listener
  }

  send(message: Uint8Array): void {
    if (message.byteLength > limits.frameBytes)
      throw new WeftError('TooLarge', `a message of ${message.byteLength} bytes`)
    if (!this.#open) return
    this.#wire.write(message)
    this.#sent()
  }

  sendJoined(head: Uint8Array, body: Uint8Array): void {
    const { writeJoined } = this.#wire
    if (writeJoined === undefined || head.byteLength + body.byteLength > limits.frameBytes)
      return this.send(joined(head, body))
    if (!this.#open) return
    writeJoined(head, body)
    this.#sent()
  }

  #sent(): void {
    if (this.#above || this.buffered < limits.channelLowWater) return
    this.#above = true
    this.#wire.watch()
  }

  close(reason: string): void {
    if (!this.#open) return
    this.#open = false
    this.#tell((listener) => listener.closed(reason))
    this.#wire.end(reason)
  }

  /** The adapter hands the channel over. One that nobody listens to afterwards is closed, since its messages would be lost. */
  handOver(onChannel: (channel: Channel) => void): void {
    if (!this.#open) return
    try {
      onChannel(this)
    } catch (error) {
      this.#wire.report(error)
    }
    if (!this.#listener) this.close('nobody listens')
  }

  /** The adapter has received a message. */
  deliver(message: Uint8Array): void {
    if (this.#open) this.#tell((listener) => listener.message(message))
  }

  /** The adapter has lost the connection. */
  ended(reason: string): void {
    if (!this.#open) return
    this.#open = false
    this.#tell((listener) => listener.closed(reason))
  }

  /** The backlog may have fallen. Returns whether it is still to be watched. */
  settle(): boolean {
    if (!this.#open || !this.#above) return false
    if (this.buffered >= limits.channelLowWater) return true
    this.#above = false
    this.#tell((listener) => listener.drain())
    return this.#open && this.#above
  }

  #tell(run: (listener: ChannelListener) => void): void {
    try {
      if (this.#listener) run(this.#listener)
    } catch (error) {
      this.#wire.report(error)
      this.close('the listener failed')
    }
  }
}

export const joined = (head: Uint8Array, body: Uint8Array): Uint8Array => {
  const message = new Uint8Array(head.byteLength + body.byteLength)
  message.set(head)
  message.set(body, head.byteLength)
  return message
}

/** Counts what engine.io has accepted and not yet passed on to the socket beneath: each `flush` passes on all of it. */
export class Queue {
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  created(packet: { readonly data?: unknown }): void {
    const { data } = packet
    this.#bytes += typeof data === 'string' ? data.length + 1 : ArrayBuffer.isView(data) ? data.byteLength : 1
  }

  flushed(): void {
    this.#bytes = 0
  }
}

/** The reason of a Socket.IO disconnection, with its cause where one is known. */
export const reasonOf = (reason: string, cause: unknown): string =>
  cause instanceof Error && cause.message !== '' ? `${reason}: ${cause.message}` : reason
