/**
 * Seeded randomness. Everything the simulator draws comes from a named stream that is a function of the seed and the name alone, so that a
 * draw added in one place does not shift the draws of any other. Every method takes a fixed number of draws whatever its arguments
 * are, except `pick` and the like over lists: turning a probability to zero leaves the rest of the stream where it was.
 */
import { hash } from 'node:crypto'

/** sfc32 (Chris Doty-Humphrey's small fast counting generator, PractRand), keyed with SHA-256 of `seed|label`. */
export class Stream {
  readonly seed: string
  readonly label: string
  #a: number
  #b: number
  #c: number
  #counter: number

  constructor(seed: string, label: string) {
    this.seed = seed
    this.label = label
    const key = hash('sha256', `${seed}|${label}`, 'buffer')
    this.#a = key.readInt32LE(0)
    this.#b = key.readInt32LE(4)
    this.#c = key.readInt32LE(8)
    this.#counter = key.readInt32LE(12)
    for (let round = 0; round < 12; round++) this.uint32()
  }

  /** An independent stream named after this one; takes nothing from it. */
  branch(label: string): Stream {
    return new Stream(this.seed, `${this.label}/${label}`)
  }

  uint32(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** In [0, 1), in steps of 2^-32. */
  unit(): number {
    return this.uint32() / 4_294_967_296
  }

  /** A whole number in [0, limit), limit at most 2^32. */
  int(limit: number): number {
    if (!(limit >= 1)) throw new RangeError(`int(${limit}) has nothing to choose from`)
    return Math.floor(this.unit() * limit)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.unit() < probability
  }

  pick<Item>(items: readonly Item[]): Item {
    const index = this.int(items.length)
    if (index in items) return items[index] as Item
    throw new RangeError('pick from a list with holes')
  }

  /** Exponentially distributed with this mean. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.unit())
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length)
    for (let at = 0; at < length; at += 4) {
      const word = this.uint32()
      for (let byte = at; byte < Math.min(at + 4, length); byte++) bytes[byte] = word >>> (8 * (byte - at))
    }
    return bytes
  }

  /** A shuffled copy (Fisher and Yates). */
  shuffle<Item>(items: readonly Item[]): Item[] {
    const pool = [...items]
    const shuffled: Item[] = []
    while (pool.length > 0) shuffled.push(...pool.splice(this.int(pool.length), 1))
    return shuffled
  }
}

export const stream = (seed: string, label: string): Stream => new Stream(seed, label)
