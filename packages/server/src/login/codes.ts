/**
 * Codes that were sent and not used yet. Every table is bounded by the number of codes, which is bounded: in all, for an address, for an
 * asker. When an address has had its share, those codes still serve, and whoever reads its mail has them: nobody is locked out by a
 * stranger who asks for mails to them.
 */

export const mostCodes = 10_000
/** Mails within one lifetime. */
export const mostForAddress = 3
export const mostForAsker = 20
/** A code that was used serves the same key so much longer, ms: the answer may have been lost on the way. */
export const grace = 60_000

interface Outstanding {
  /** Undefined when no mail went: it is counted for the asker all the same, who must not see the difference. */
  address: string | undefined
  readonly asker: string
  readonly expires: number
  used?: { readonly key: string; readonly until: number }
}

export class OutstandingCodes {
  readonly #lifetime: number
  readonly #now: () => number
  /** By the hash of the code, in the order in which they expire. */
  readonly #codes = new Map<string, Outstanding>()
  readonly #addresses = new Map<string, number>()
  readonly #askers = new Map<string, number>()

  constructor({ lifetime, now }: { readonly lifetime: number; readonly now: () => number }) {
    this.#lifetime = lifetime
    this.#now = now
  }

  get size(): number {
    this.#sweep()
    return this.#codes.size
  }

  /** Addresses and askers that are counted at the moment. */
  get counted(): number {
    this.#sweep()
    return this.#addresses.size + this.#askers.size
  }

  get isFull(): boolean {
    return this.size >= mostCodes
  }

  mayAsk(asker: string): boolean {
    this.#sweep()
    return (this.#askers.get(asker) ?? 0) < mostForAsker
  }

  /** Counts for the asker. False when the address has had its share: no mail may go then, and the code serves nobody. */
  add(hash: string, address: string, asker: string): boolean {
    const mayGo = (this.#addresses.get(address) ?? 0) < mostForAddress
    this.#codes.set(hash, { address: mayGo ? address : undefined, asker, expires: this.#now() + this.#lifetime })
    if (mayGo) count(this.#addresses, address, 1)
    count(this.#askers, asker, 1)
    return mayGo
  }

  /** The address that the code was sent to. Used up by it, but for the same key for a moment. */
  redeem(hash: string, key: string): string | undefined {
    this.#sweep()
    const code = this.#codes.get(hash)
    const now = this.#now()
    if (code === undefined) return undefined
    if (code.used !== undefined && (code.used.key !== key || now >= code.used.until)) return undefined
    code.used ??= { key, until: now + grace }
    return code.address
  }

  /** It was never sent. */
  unsent(hash: string): void {
    const code = this.#codes.get(hash)
    if (code?.address === undefined) return
    count(this.#addresses, code.address, -1)
    code.address = undefined
  }

  #sweep(): void {
    const now = this.#now()
    for (const [hash, { expires, asker }] of this.#codes) {
      if (expires > now) return
      this.unsent(hash)
      this.#codes.delete(hash)
      count(this.#askers, asker, -1)
    }
  }
}

const count = (counts: Map<string, number>, name: string, change: number): void => {
  const next = (counts.get(name) ?? 0) + change
  if (next > 0) counts.set(name, next)
  else counts.delete(name)
}
