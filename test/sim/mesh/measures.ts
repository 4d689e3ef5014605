/** What is counted while the mesh runs. */

/** How often each whole number came; numbers beyond the last bin count as it. */
export class Histogram {
  readonly #bins: Uint32Array
  #count = 0

  constructor(bins: number) {
    this.#bins = new Uint32Array(bins)
  }

  add(value: number): void {
    const bin = Math.min(this.#bins.length - 1, Math.max(0, Math.round(value)))
    this.#bins[bin] = (this.#bins[bin] ?? 0) + 1
    this.#count++
  }

  /** The least number that this share of the others does not pass. */
  percentile(share: number): number {
    let left = this.#count * share
    for (const [value, times] of this.#bins.entries()) {
      left -= times
      if (left <= 0) return value
    }
    return 0
  }
}

/** Bytes on the wire, as frames of the engine have them. */
export const sizes = {
  frame: 24,
  /** A small edit with header, signature and its part of a certificate. */
  commit: 400,
  shortId: 8,
  session: 32,
  /** One signal: an offer or an answer. */
  signal: 1_200,
} as const

export class Measures {
  readonly hops = new Histogram(256)
  /** Ms from the making of a commit until a replica holds it. */
  readonly delays = new Histogram(120_000)
  /** Commits made, and their receivers that were there. */
  commits = 0
  receivers = 0
  /** Payloads that members received, twice or not; those that reconciliation brought are among them. */
  copies = 0
  reconciled = 0
  /** The same at the server, of the commits made while it was up. */
  serverCommits = 0
  serverCopies = 0
  /** All that members received. */
  bytes = 0
  degreeMax = 0
  grafts = 0
  prunes = 0
  withheld = 0
}
