/**
 * Two transports joined in memory: `a` dials, `b` accepts, each `connect()` makes one channel on either side. Messages are copied and
 * delivered one a microtask, in order, so that nothing is reentrant and a run depends on nothing but its calls. `hold()` stops both
 * sides from reading: what is sent stays buffered until `release()`.
 */
import { type Channel, type ChannelListener, limits, type Transport, WeftError } from '@weft-db/engine'

export interface MemoryPair {
  readonly a: Transport
  readonly b: Transport
  /** Makes a channel, if both sides are started. */
  connect(): void
  /** Cuts every channel; what was under way is lost. */
  disconnect(): void
  hold(): void
  release(): void
}

export const memoryPair = (): MemoryPair => {
  const links = new Set<[MemoryChannel, MemoryChannel]>()
  const flow = { held: false }
  const sides: { a?: (channel: Channel) => void; b?: (channel: Channel) => void } = {}

  const transport = (side: 'a' | 'b'): Transport => ({
    start(onChannel) {
      if (sides[side]) throw new Error('The transport is started already.')
      sides[side] = onChannel
    },
    async stop() {
      delete sides[side]
      for (const [a, b] of links) (side === 'a' ? a : b).close('stopped')
      links.clear()
    },
  })

  return {
    a: transport('a'),
    b: transport('b'),
    connect() {
      if (!sides.a || !sides.b) return
      const a = new MemoryChannel('b', true, flow)
      const b = new MemoryChannel('a', false, flow)
      a.peer = b
      b.peer = a
      links.add([a, b])
      sides.a(a)
      sides.b(b)
    },
    disconnect() {
      for (const [a, b] of links) {
        a.cut('disconnected')
        b.cut('disconnected')
      }
      links.clear()
    },
    hold() {
      flow.held = true
    },
    release() {
      flow.held = false
      for (const link of links) for (const channel of link) channel.pump()
    },
  }
}

class MemoryChannel implements Channel {
  readonly remote: string
  readonly initiator: boolean
  readonly #flow: { readonly held: boolean }
  readonly #outbox: (Uint8Array | 'end')[] = []
  peer: MemoryChannel | undefined
  #listener: ChannelListener | undefined
  #buffered = 0
  #open = true
  #above = false
  #pumping = false

  constructor(remote: string, initiator: boolean, flow: { readonly held: boolean }) {
    this.remote = remote
    this.initiator = initiator
    this.#flow = flow
  }

  get buffered(): number {
    return this.#open ? this.#buffered : 0
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
  }

  send(message: Uint8Array): void {
    if (message.byteLength > limits.frameBytes)
      throw new WeftError('TooLarge', `a message of ${message.byteLength} bytes`)
    if (!this.#open) return
    this.#outbox.push(message.slice())
    this.#buffered += message.byteLength
    if (this.#buffered >= limits.channelLowWater) this.#above = true
    this.pump()
  }

  close(reason: string): void {
    if (!this.#open) return
    this.#outbox.push('end')
    this.pump()
    this.#end(reason)
  }

  cut(reason: string): void {
    this.#outbox.length = 0
    this.#end(reason)
  }

  pump(): void {
    if (this.#pumping) return
    this.#pumping = true
    queueMicrotask(() => {
      this.#pumping = false
      if (this.#flow.held) return
      const next = this.#outbox.shift()
      if (next === undefined) return
      if (next === 'end') return this.peer?.cut('closed by the peer')
      this.#buffered -= next.byteLength
      this.pump()
      this.peer?.deliver(next)
      if (!this.#open || !this.#above || this.#buffered >= limits.channelLowWater) return
      this.#above = false
      this.#listener?.drain()
    })
  }

  deliver(message: Uint8Array): void {
    if (this.#open) this.#listener?.message(message)
  }

  #end(reason: string): void {
    if (!this.#open) return
    this.#open = false
    this.#listener?.closed(reason)
  }
}
