/**
 * Channels straight between replicas, in memory: what WebRTC is to the engine. An offer names a token, the answer repeats it, and both ends
 * open. A test says which pairs no packet gets through between, cuts channels, and counts what was begun.
 */
import {
  type Attempt,
  type AttemptListener,
  type AttemptOptions,
  type Channel,
  type PeerTransport,
  type Refusal,
  refusal,
} from '@weft-db/engine'
import { type MemoryPair, memoryPair } from './memory-transport.ts'
import type { World } from './world.ts'

interface Begun {
  readonly owner: string
  readonly listener: AttemptListener
  readonly options: AttemptOptions
  isOver: boolean
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
  readonly #offers = new Map<string, Begun>()
  readonly #answers = new Map<string, Begun>()
  readonly #joined = new Set<Joined>()
  readonly #blocked = new Set<string>()
  #tokens = 0
  /** Attempts begun so far, by whose replica. */
  readonly begun = new Map<string, number>()
  /** What a middleman makes of the binding at the end of that name. */
  binding: (token: string, name: string) => Uint8Array = (token) => new TextEncoder().encode(token.padEnd(64, '.'))

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
    const own = new Set<Begun>()
    return {
      attempt: (options, listener) => {
        const begun: Begun = { owner: name, listener, options, isOver: false }
        own.add(begun)
        this.begun.set(name, (this.begun.get(name) ?? 0) + 1)
        return this.#attempt(begun)
      },
      stop: async () => {
        for (const begun of own) begun.isOver = true
        own.clear()
        this.cut(name)
      },
    }
  }

  #attempt(begun: Begun): Attempt {
    if (begun.options.initiator) {
      const token = `${++this.#tokens}`
      this.#offers.set(token, begun)
      this.#world.at(0, 'peer offer', () => {
        if (!begun.isOver) begun.listener.signal(encode(`offer ${token}`))
      })
    }
    return {
      signal: (bytes) => this.#heard(begun, new TextDecoder().decode(bytes)),
      end: () => {
        begun.isOver = true
      },
    }
  }

  #heard(begun: Begun, text: string): Refusal | undefined {
    const [kind, token = ''] = text.split(' ')
    const offered = this.#offers.get(token)
    if (kind !== (begun.options.initiator ? 'answer' : 'offer') || offered === undefined)
      return refusal('Malformed', 'signal')
    if (kind === 'offer') {
      this.#answers.set(token, begun)
      begun.listener.signal(encode(`answer ${token}`))
      return undefined
    }
    const answered = this.#answers.get(token)
    if (answered !== undefined && offered === begun) this.#join(token, offered, answered)
    return undefined
  }

  #join(token: string, offered: Begun, answered: Begun): void {
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
      const open = ({ listener, owner }: Begun): ((channel: Channel) => void) => {
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

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

const pairOf = (one: string, other: string): string => [one, other].sort().join(' ')
