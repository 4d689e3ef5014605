/** Lines between replicas that a row draws: who has started can be connected with whoever else has, as often as they start again. */
import type { Channel, Transport } from '@weft-db/engine'
import { type MemoryPair, memoryPair } from '../sim/memory-transport.ts'

export class Street {
  readonly #ends = new Map<string, (channel: Channel) => void>()
  readonly #lines = new Map<string, { readonly ends: readonly [string, string]; readonly pair: MemoryPair }>()

  /** The door of one of them. */
  transport(name: string): Transport {
    return {
      start: (onChannel) => {
        this.#ends.set(name, onChannel)
      },
      stop: async () => {
        this.#ends.delete(name)
        this.cut(name)
      },
    }
  }

  /** `from` dials. Nothing where they are connected, or one of them is not there. */
  connect(from: string, to: string): void {
    const [dials, accepts] = [this.#ends.get(from), this.#ends.get(to)]
    const name = [from, to].sort().join(' ')
    if (dials === undefined || accepts === undefined || this.#lines.has(name)) return
    const pair = memoryPair()
    this.#lines.set(name, { ends: [from, to], pair })
    const gone = (): boolean => this.#lines.get(name)?.pair === pair && this.#lines.delete(name)
    pair.a.start((channel) => dials(watched(channel, gone)))
    pair.b.start((channel) => accepts(watched(channel, gone)))
    pair.connect()
  }

  /** All lines of one of them, or the one between two. */
  cut(one: string, other?: string): void {
    for (const [name, { ends, pair }] of [...this.#lines]) {
      if (!ends.includes(one) || (other !== undefined && !ends.includes(other))) continue
      this.#lines.delete(name)
      pair.disconnect()
    }
  }
}

/** The same channel; says when it is closed by whichever side. */
const watched = (channel: Channel, closed: () => void): Channel => ({
  remote: channel.remote,
  initiator: channel.initiator,
  get buffered() {
    return channel.buffered
  },
  send: (bytes) => channel.send(bytes),
  close: (reason) => channel.close(reason),
  listen: (listener) =>
    channel.listen({
      message: (bytes) => listener.message(bytes),
      drain: () => listener.drain(),
      closed: (reason) => {
        closed()
        listener.closed(reason)
      },
    }),
})
