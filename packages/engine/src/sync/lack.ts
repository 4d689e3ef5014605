import type { Head } from '../graph/commits.ts'
import type { Held } from './held.ts'

/** Commits that are read for one message: a peer that asks for much again and again is to cost no more than that. The next round goes on from there. */
export const mostLooks = 8_192

/**
 * What the other side lacks of what is held here, gathered chain by chain, and what of it can be sent: of a chain whose beginning
 * was dropped only what follows a place at or above the floor, and nothing that builds on what the other neither has nor is sent. The rest it
 * is for somebody else to bring, who has it whole: sent all the same it would wait there, be thrown away and be sent again.
 */
export class Lack {
  readonly #held: Held
  readonly #ids: string[] = []
  readonly #later = new Set<string>()
  readonly #kept: Map<string, number>

  /** `kept`: what was found out before in the same round. */
  constructor(held: Held, kept: ReadonlyMap<string, number> = new Map()) {
    this.#held = held
    this.#kept = new Map(kept)
  }

  /** Chains that the other has, or gets, no further than up to that seq; -1 for nothing. */
  get kept(): ReadonlyMap<string, number> {
    return this.#kept
  }

  /** These follow what the other has of their chain. */
  add(ids: Iterable<string>): void {
    for (const id of ids) this.#ids.push(id)
  }

  /** So do these, and the other is going to ask for them itself. */
  addLater(ids: Iterable<string>): void {
    for (const id of ids) this.#later.add(id)
  }

  /** The other has the chain up to `seq`, and what follows is not all here. */
  keep(chain: string, seq: number): void {
    this.#kept.set(chain, Math.max(seq, this.#kept.get(chain) ?? -1))
  }

  /** The other has nothing of the chains of these tips: those with a floor are kept. */
  keepOf(tips: Iterable<Head>): void {
    for (const { chain } of tips) if (this.#held.floorOf(chain) >= 0) this.keep(chain, -1)
  }

  /** What to send of what was gathered, or of these ids: parents first, each once. */
  sendable(ids: Iterable<string> = this.#ids): readonly string[] {
    const held = this.#held
    if (this.#kept.size === 0) return inArrivalOrder(ids, held)
    let looks = 0
    // Where a commit is left out, so is the rest of its chain, unread.
    return inArrivalOrder([...ids, ...this.#later], held).filter((id) => {
      if (this.#isThere(id) && looks++ < mostLooks && held.builtOn(id).every((one) => this.#isThere(one)))
        return !this.#later.has(id)
      const place = held.placeOf(id)
      if (place !== undefined) this.#kept.set(place.chain, Math.min(place.seq - 1, this.#seqOf(place.chain)))
      return false
    })
  }

  /** What was dropped and is not even known by id may be of any chain. */
  #isThere(id: string): boolean {
    const place = this.#held.placeOf(id)
    return place !== undefined && place.seq <= this.#seqOf(place.chain)
  }

  #seqOf(chain: string): number {
    return this.#kept.get(chain) ?? Number.POSITIVE_INFINITY
  }
}

/** Parents first, each once: the order of admission is closed under causality. */
const inArrivalOrder = (ids: Iterable<string>, held: Held): string[] =>
  [...new Set(ids)].sort((a, b) => held.arrivalIndex(a) - held.arrivalIndex(b))
