/**
 * When to dial again. Delays double from `firstDelay` to `longestDelay`, each stretched by a random part so that the clients of a
 * server that restarts do not return in step. Only a connection that lasted for `settled` starts the doubling anew: a server that
 * accepts and hangs up at once is not hammered at the first delay for ever, as it would be by the client's own reconnection.
 */
export interface Retry {
  /** Milliseconds before the first new attempt; 250. */
  readonly firstDelay?: number
  /** The longest delay, random part included, ms; 10,000. */
  readonly longestDelay?: number
  /** The random part: a delay is stretched by up to this share of itself; 0.5. */
  readonly jitter?: number
  /** A connection that lasted this long was a good one, ms; 10,000. */
  readonly settled?: number
  /** Uniform in [0, 1); `Math.random`. */
  readonly random?: () => number
}

export class Backoff {
  readonly #retry: Required<Retry>
  #failures = 0

  constructor(retry: Retry = {}) {
    this.#retry = { firstDelay: 250, longestDelay: 10_000, jitter: 0.5, settled: 10_000, random: Math.random, ...retry }
  }

  /** Milliseconds to wait, after a connection that lasted `lasted` ms, 0 for one that never was. */
  next(lasted: number): number {
    const { firstDelay, longestDelay, jitter, settled, random } = this.#retry
    if (lasted >= settled) this.#failures = 0
    const delay = Math.min(firstDelay * 2 ** this.#failures, longestDelay / (1 + jitter))
    this.#failures += 1
    return delay * (1 + jitter * random())
  }

  /** The surroundings changed: past failures say nothing about the next attempt. */
  forget(): void {
    this.#failures = 0
  }
}
