/**
 * Channels straight between replicas, in memory: what WebRTC is to the engine. An offer names a token, the answer repeats it, and both ends
 * open. A test says which pairs no packet gets through between, cuts channels, and counts what was begun.
 */
import type { Channel, PeerTransport } from '@weft-db/engine'
import { type MemoryPair, memoryPair } from './memory-transport.ts'
import { type Begun, bindingOf, Rendezvous } from './rendezvous.ts'
import type { World } from './world.ts'

interface Side extends Begun {
  readonly owner: string
}

interface Joined {
  readonly pair: MemoryPair
  readonly names: readonly [string, string]
}

/** Ms from an answer to two open channels, and until an attempt that no packet gets through for fails. */
const opensAfter = 20
const failsAfter = 3_000

export class PeerExchange {
  readonly #world: World
  readonly #rendezvous = new Rendezvous<Side>((...met) => this.#join(...met))
  readonly #joined = new Set<Joined>()
  readonly #blocked = new Set<string>()
  /** Attempts begun so far, by whose replica. */
  readonly begun = new Map<string, number>()
  /** What a middleman makes of the binding at the end of that name. */
  binding: (token: string, name: string) => Uint8Array = bindingOf

  constructor(world: World) {
    this.#world = world
  }

  /** No packet gets through between the two from now on: attempts fail, and channels end after a while. */
  block(one: string, other: string): void {
    this.#blocked.add(pairOf(one, other))
    this.cut(one, other)
  }

  unblock(one: string, other: string): void {
    this.#blocked.delete(pairOf(one, other))
  }

  /** Ends the channels between the two, or all of one. */
  cut(one: string, other?: string): void {
    for (const joined of [...this.#joined]) {
      if (!joined.names.includes(one) || (other !== undefined && !joined.names.includes(other))) continue
      this.#joined.delete(joined)
      joined.pair.disconnect()
    }
  }

  /** The channels between the two carry nothing more, and neither end is told. */
  freeze(one: string, other: string): void {
    for (const { pair, names } of this.#joined) if (names.includes(one) && names.includes(other)) pair.hold()
  }

  /** Pairs with a channel, in order. */
  get joined(): string[] {
    return [...this.#joined].map(({ names }) => pairOf(...names)).sort()
  }

  transport(name: string): PeerTransport {
    const own = new Set<Side>()
    return {
      attempt: (options, listener) => {
        const begun: Side = { owner: name, listener, options, isOver: false }
        own.add(begun)
        this.begun.set(name, (this.begun.get(name) ?? 0) + 1)
        return this.#rendezvous.attempt(begun, (offer) => this.#world.at(0, 'peer offer', offer))
      },
      stop: async () => {
        for (const begun of own) begun.isOver = true
        own.clear()
        this.cut(name)
      },
    }
  }

  #join(token: string, offered: Side, answered: Side): void {
    const names = [offered.owner, answered.owner] as const
    if (this.#blocked.has(pairOf(...names))) {
      this.#world.at(failsAfter, 'peer fails', () => {
        for (const { isOver, listener } of [offered, answered])
          if (!isOver) listener.failed({ kind: 'blocked', detail: 'no packet came through' })
      })
      return
    }
    this.#world.at(opensAfter, 'peer opens', () => {
      if (offered.isOver || answered.isOver) return
      const pair = memoryPair()
      const open = ({ listener, owner }: Side): ((channel: Channel) => void) => {
        return (channel) => listener.opened(Object.assign(channel, { binding: this.binding(token, owner) }), 'direct')
      }
      pair.a.start(open(offered))
      pair.b.start(open(answered))
      offered.isOver = true
      answered.isOver = true
      this.#joined.add({ pair, names })
      pair.connect()
    })
  }
}

const pairOf = (one: string, other: string): string => [one, other].sort().join(' ')
