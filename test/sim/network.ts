/**
 * The network between named nodes. A link is two ends of a `Channel`, one line in each direction; a line keeps its messages in order and
 * whole unless a fault is drawn. Messages are opaque bytes. Partitions hold what is on its way and let both ends time out, each in its
 * own time, as TCP and SCTP do; a power failure may be silent, so that only a peer's own patience ends the channel.
 */
import type { Transport } from '@weft-db/engine'
import type { Life } from './life.ts'
import { End } from './link.ts'
import type { Stream } from './random.ts'
import { Acceptor, Dialer, type DialOptions } from './transport.ts'
import { type NetworkFaults, soundNetwork } from './wiring.ts'
import type { World } from './world.ts'

/** What one node gave to the network for another, whether or not it arrived. */
export interface Traffic {
  messages: number
  bytes: number
}

const pair = (from: string, to: string): string => `${from}>${to}`

export class Network {
  faults: NetworkFaults
  readonly world: World
  readonly stream: Stream
  readonly #acceptors = new Map<string, Acceptor>()
  readonly #ends = new Set<End>()
  readonly #blocked = new Map<string, { cuts: number; clogs: number }>()
  readonly #traffic = new Map<string, Traffic>()
  #addresses = 0

  /**
   * Sees every message on its way and says what goes on instead: `[message]` to leave it alone, more to replay, none to withhold. The
   * place of attackers on the path, and of watchers.
   */
  wire: (from: string, to: string, message: Uint8Array, end: object) => readonly Uint8Array[] = (
    _from,
    _to,
    message,
  ) => [message]

  constructor(world: World, faults: NetworkFaults = soundNetwork) {
    this.world = world
    this.stream = world.stream('network')
    this.faults = faults
  }

  /** The client side: dials `to`, and dials again whenever the channel is gone. */
  dialer(life: Life, to: string, options?: DialOptions): Transport {
    return new Dialer(this, life, to, options)
  }

  /** The server side: takes every dial to the name of this life. */
  acceptor(life: Life): Transport {
    return new Acceptor(this, life)
  }

  /** Nothing gets from `from` to `to` until the returned function is called. Dials fail, links may time out, messages wait. */
  cut(from: string, to: string): () => void {
    for (const end of this.#ends) if (end.joins(from, to)) end.doubt()
    return this.#block(from, to, 'cuts')
  }

  /** Messages from `from` to `to` wait until the returned function is called; nothing fails. */
  clog(from: string, to: string): () => void {
    return this.#block(from, to, 'clogs')
  }

  /** Cuts every pair with one node on each side: both ways, or only what goes from left to right. */
  partition(left: readonly string[], right: readonly string[], both = true): () => void {
    const undo = left.flatMap((from) =>
      right.flatMap((to) => [this.cut(from, to), ...(both ? [this.cut(to, from)] : [])]),
    )
    return () => {
      for (const heal of undo) heal()
    }
  }

  /** Undoes every cut and clog. */
  heal(): void {
    this.#blocked.clear()
    for (const end of [...this.#ends]) end.release()
  }

  isCut(from: string, to: string): boolean {
    return (this.#blocked.get(pair(from, to))?.cuts ?? 0) > 0
  }

  isBlocked(from: string, to: string): boolean {
    const block = this.#blocked.get(pair(from, to))
    return block !== undefined && block.cuts + block.clogs > 0
  }

  /** From one node to another, or with names left out over all of them. */
  traffic(from?: string, to?: string): Traffic {
    const sum = { messages: 0, bytes: 0 }
    for (const [name, traffic] of this.#traffic) {
      const [source, target] = name.split('>')
      if ((from !== undefined && from !== source) || (to !== undefined && to !== target)) continue
      sum.messages += traffic.messages
      sum.bytes += traffic.bytes
    }
    return sum
  }

  count(from: string, to: string, bytes: number): void {
    const name = pair(from, to)
    const traffic = this.#traffic.get(name) ?? { messages: 0, bytes: 0 }
    traffic.messages++
    traffic.bytes += bytes
    this.#traffic.set(name, traffic)
  }

  /** Breaks every link between the two: both ends close, and what was on its way is lost. */
  breakLinks(one: string, other: string): void {
    for (const end of [...this.#ends]) if (end.initiator && end.joins(one, other)) end.break()
  }

  /** How long a message takes from now on, ms. */
  flight(): number {
    return this.faults.least + this.stream.exponential(this.faults.delay)
  }

  accepting(name: string): Acceptor | undefined {
    return this.#acceptors.get(name)
  }

  register(name: string, acceptor: Acceptor): void {
    if (this.#acceptors.has(name)) throw new Error(`${name} accepts already`)
    this.#acceptors.set(name, acceptor)
  }

  unregister(name: string, acceptor: Acceptor): void {
    if (this.#acceptors.get(name) === acceptor) this.#acceptors.delete(name)
  }

  /** The two ends of a new link: the dialler's first. */
  link(dialing: Life, accepting: Life): [End, End] {
    const moved = this.stream.chance(this.faults.newAddress)
    const address = moved ? `${dialing.name}:${++this.#addresses}` : dialing.name
    const dialled = new End(this, dialing, accepting.name, accepting.name, true)
    const accepted = new End(this, accepting, dialing.name, address, false)
    dialled.join(accepted)
    accepted.join(dialled)
    this.#ends.add(dialled).add(accepted)
    return [dialled, accepted]
  }

  /** Ends of links that are not yet over. */
  get links(): number {
    return this.#ends.size
  }

  forget(end: End): void {
    this.#ends.delete(end)
  }

  #block(from: string, to: string, kind: 'cuts' | 'clogs'): () => void {
    const name = pair(from, to)
    const block = this.#blocked.get(name) ?? { cuts: 0, clogs: 0 }
    block[kind]++
    this.#blocked.set(name, block)
    let holds = true
    return () => {
      if (!holds) return
      holds = false
      block[kind]--
      for (const end of [...this.#ends]) if (end.joins(from, to)) end.release()
    }
  }
}
