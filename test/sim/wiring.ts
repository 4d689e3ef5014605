/** What a link asks of the network it belongs to, and the network's faults. */
import type { Channel } from '@weft-db/engine'
import type { Stream } from './random.ts'
import type { World } from './world.ts'

export interface NetworkFaults {
  /** Every message takes at least `least` and on average `delay` more, ms. */
  readonly least: number
  readonly delay: number
  /** Bytes per ms and direction of a link; null for no end, and then `buffered` is always 0. */
  readonly bandwidth: number | null
  /** Chances per message. A channel's promise is broken by the first four, and the engine has to notice. */
  readonly drop: number
  readonly duplicate: number
  readonly reorder: number
  readonly truncate: number
  /** The link breaks while the message is on its way. */
  readonly break: number
  /** Chance that a dial fails though nothing is cut. */
  readonly refuse: number
  /** Mean time after which an end gives up a link that is cut, ms. */
  readonly patience: number
  /** Chance that the end of a process is not told to its peers. */
  readonly silentDeath: number
  /** Chance that a dialler comes back under another address. */
  readonly newAddress: number
}

export const soundNetwork: NetworkFaults = {
  least: 1,
  delay: 10,
  bandwidth: null,
  drop: 0,
  duplicate: 0,
  reorder: 0,
  truncate: 0,
  break: 0,
  refuse: 0,
  patience: 20_000,
  silentDeath: 0,
  newAddress: 0,
}

export interface Wiring {
  readonly world: World
  readonly stream: Stream
  readonly faults: NetworkFaults
  /** `end`: of the channel that it leaves by. */
  readonly wire: (from: string, to: string, message: Uint8Array, end: object) => readonly Uint8Array[]
  isCut(from: string, to: string): boolean
  isBlocked(from: string, to: string): boolean
  count(from: string, to: string, bytes: number): void
  /** How long a message takes from now on, ms. */
  flight(): number
  /** The link is over. */
  forget(end: Channel): void
}
