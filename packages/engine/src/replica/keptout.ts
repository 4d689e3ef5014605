/**
 * Who has to stay away, and for how long, whatever number of new channels it opens. The first few offences cost only the channel they
 * came by; each one more keeps its user or address out for twice as long, up to a longest time. Time without offences makes them forgotten.
 *
 * Behind one address there may be many honest people. So an address is patient for longer than a user, what it has open already stays
 * open, and whoever offends after a login is kept out by name, not by address.
 */

import type { Rate } from './rates.ts'

/** The first time out, ms. */
const first = 1_000

interface Offender {
  count: number
  /** When `count` was true, ms. */
  at: number
  until: number
}

export class KeptOut {
  readonly #rate: Rate
  readonly #longest: number
  readonly #most: number
  /** In the order of their last offence. */
  readonly #offenders = new Map<string, Offender>()

  /** `rate`: the offences that cost nothing more, and how soon they are forgotten. `longest`: ms out. */
  constructor(rate: Rate, longest: number, most: number) {
    this.#rate = rate
    this.#longest = longest
    this.#most = most
  }

  get size(): number {
    return this.#offenders.size
  }

  /** Ms that it has to stay away; 0 when it may come. */
  wait(key: string, now: number): number {
    return Math.max(0, (this.#offenders.get(key)?.until ?? now) - now)
  }

  offended(key: string, now: number): void {
    const { burst, perSecond } = this.#rate
    const before = this.#offenders.get(key) ?? { count: 0, at: now, until: now }
    // Time out is no time without an offence.
    const quiet = Math.max(0, now - Math.max(before.at, before.until))
    const count = Math.max(0, before.count - (quiet / 1_000) * perSecond) + 1
    const out = count <= burst ? 0 : Math.min(this.#longest, first * 2 ** Math.min(Math.ceil(count - burst) - 1, 40))
    this.#offenders.delete(key)
    this.#offenders.set(key, { count, at: now, until: now + out })
    if (this.#offenders.size <= this.#most) return
    const [oldest] = this.#offenders.keys()
    if (oldest !== undefined) this.#offenders.delete(oldest)
  }
}
