/**
 * The clock of a device: world time run through a drift and an offset, which jumps when somebody sets it. It outlives processes and
 * crashes. The monotonic reading drifts too but never jumps.
 */
import type { World } from './world.ts'

/** `drift` 1.1 gains six minutes an hour; `offset` is how far the wall clock is ahead at the start, ms. */
export interface ClockFaults {
  readonly drift: number
  readonly offset: number
}

/** What a right clock shows when the world begins: the first of January 2026. */
export const epoch = 1_767_225_600_000

export class Clock {
  readonly #world: World
  #drift: number
  #offset: number
  #reading = 0
  #since = 0

  constructor(world: World, faults: ClockFaults = { drift: 1, offset: 0 }) {
    this.#world = world
    this.#drift = faults.drift
    this.#offset = faults.offset
  }

  get drift(): number {
    return this.#drift
  }

  /** Wall clock, whole ms since 1970. */
  now(): number {
    return Math.floor(epoch + this.#offset + this.elapsed())
  }

  elapsed(): number {
    return this.#reading + (this.#world.now - this.#since) * this.#drift
  }

  /** Sets the wall clock forward, or back by a negative amount. */
  jump(milliseconds: number): void {
    this.#offset += milliseconds
  }

  /** From now on the clock runs at this speed. */
  setDrift(drift: number): void {
    this.#reading = this.elapsed()
    this.#since = this.#world.now
    this.#drift = drift
  }

  /** How much world time passes while this clock shows so many milliseconds. */
  toWorld(milliseconds: number): number {
    return milliseconds / this.#drift
  }
}
