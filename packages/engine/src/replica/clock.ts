/**
 * The hybrid logical clock of a replica: wall time in ms times 256, moved past every clock it has seen. Wall time is corrected by what
 * the authority says, so that a device with a wrong clock writes commits that count.
 */
import { clockTicks } from '../commit/commit.ts'

export class Clock {
  readonly #wall: () => number
  #correction = 0
  #last = 0

  constructor(wall: () => number) {
    this.#wall = wall
  }

  /** ms since 1970, as the authority sees it when it was ever heard. */
  now(): number {
    return Math.max(0, Math.round(this.#wall() + this.#correction))
  }

  /** The authority said it is `time` now. */
  correct(time: number): void {
    this.#correction = time - this.#wall()
  }

  /** A later clock than any seen: for a commit. */
  next(): number {
    this.#last = Math.max(this.now() * clockTicks, this.#last + 1)
    return this.#last
  }

  /** What this replica wrote was too far ahead: the next clock is of the time again. */
  restart(): void {
    this.#last = 0
  }

  /** A commit that counts has this clock. */
  see(clock: number): void {
    if (clock > this.#last) this.#last = clock
  }
}
