import { limits } from '../bytes/limits.ts'
import type { Head } from '../graph/commits.ts'
import type { Held } from './held.ts'
import {
  itemsPerMessage,
  type Name,
  type Place,
  shortChain,
  shortId,
  shortNameBytes,
  type Wanted,
  wantItemsPerMessage,
} from './message.ts'

/**
 * What to send and what to ask for, given the other's words about its tips. Every chain is walked at most once a tip,
 * however many names a message holds, so that the cost of an answer is bounded by the store and by the message, never
 * by their product.
 */

/** Room for the envelope and for certificates. */
const headroom = 65_536

export const isShort = (name: Place): boolean => name.id.length === 2 * shortNameBytes

/** Whether the name, whole or shortened, is this id's. */
const names = (place: Place, id: string): boolean => (isShort(place) ? shortId(id) : id) === place.id

/**
 * Commits on the way back from a tip to the latest of some places on it; without one of them, to the chain's beginning.
 */
export interface Stretch {
  /** Latest first; without the place itself. */
  readonly ids: readonly string[]
  readonly met: Place | undefined
}

/**
 * Stops below `floor`, where no place can be met any more; the ids are complete only when one was met or the floor is
 * 0.
 */
export const walkBack = (tip: Head, places: readonly Place[], held: Held, floor = 0): Stretch => {
  const bySeq = new Map<number, Place[]>()
  for (const place of places) {
    const same = bySeq.get(place.seq)
    if (same) same.push(place)
    else bySeq.set(place.seq, [place])
  }
  const ids: string[] = []
  let seq = tip.seq
  for (let id: string | undefined = tip.id; id !== undefined && seq >= floor; id = held.previous(id), seq--) {
    const here: string = id
    const met = bySeq.get(seq)?.find((place) => names(place, here))
    if (met) return { ids, met }
    ids.push(here)
  }
  return { ids, met: undefined }
}

export interface Comparison {
  /** Commits that the other lacks for certain: it stands at a place that is held here and is not a tip. */
  readonly push: readonly string[]
  /** Tips that the push brings it to. */
  readonly pushed: ReadonlySet<string>
  /** Of its heads, those that are not held. */
  readonly wants: readonly Wanted[]
  /** Tips that a want names as held, and that may lie before the wanted commit. */
  readonly named: ReadonlySet<string>
}

/** Holds the other's list of heads against the store. */
export const compareHeads = (listed: readonly Name[], held: Held): Comparison => {
  const byChain = new Map<string, { index: number; name: Name }[]>()
  for (const [index, name] of listed.entries()) {
    const same = byChain.get(name.chain)
    if (same) same.push({ index, name })
    else byChain.set(name.chain, [{ index, name }])
  }
  const tipsOf = tipsByName(listed, held)
  const push: string[] = []
  const pushed = new Set<string>()
  const named = new Set<string>()
  const wants: Wanted[] = []
  for (const [chain, names] of byChain) {
    const tips = tipsOf(chain)
    const places = names.map(({ name }) => name)
    const floor = places.reduce((lowest, { seq }) => Math.min(lowest, seq), Number.MAX_SAFE_INTEGER)
    const found = new Set<Place>()
    for (const tip of tips) {
      const { ids, met } = walkBack(tip, places, held, floor)
      if (!met) continue
      found.add(met)
      if (ids.length === 0) continue
      pushed.add(tip.id)
      for (const id of ids) push.push(id)
    }
    for (const { index, name } of names) {
      if (found.has(name)) continue
      for (const tip of tips) if (tip.seq < name.seq) named.add(tip.id)
      wants.push({ index, held: tips.slice(0, limits.locatorIds).map((tip) => placeOf(tip, isShort(name))) })
    }
  }
  return { push: inArrivalOrder(push, held), pushed, wants, named }
}

const tipsByName = (listed: readonly Name[], held: Held): ((chain: string) => readonly Head[]) => {
  const byShortName = new Map<string, Head[]>()
  if (listed.some(isShort)) {
    for (const head of held.heads()) {
      const name = shortChain(head.chain)
      const same = byShortName.get(name)
      if (same) same.push(head)
      else byShortName.set(name, [head])
    }
  }
  return (chain) => (chain.length === 2 * shortNameBytes ? (byShortName.get(chain) ?? []) : held.headsOf(chain))
}

const placeOf = (place: Place, short: boolean): Place => ({ seq: place.seq, id: short ? shortId(place.id) : place.id })

/** Wants of these names again, now with places at distance 1, 2, 4, 8 ... from each tip, and the chain's first. */
export const withLocators = (indices: readonly number[], listed: readonly Name[], held: Held): Wanted[] => {
  const tipsOf = tipsByName(listed, held)
  const byChain = new Map<string, readonly Place[]>()
  return indices.flatMap((index) => {
    const name = listed[index]
    if (name === undefined) return []
    const places = byChain.get(name.chain) ?? locator(tipsOf(name.chain), isShort(name), held)
    byChain.set(name.chain, places)
    return [{ index, held: places }]
  })
}

const locator = (tips: readonly Head[], short: boolean, held: Held): readonly Place[] => {
  const places: Place[] = []
  const share = Math.floor(limits.locatorIds / Math.max(1, tips.length))
  for (const tip of tips) {
    let next = 1
    let taken = 0
    let seq = tip.seq
    for (let id = held.previous(tip.id); id !== undefined && taken < share; id = held.previous(id)) {
      seq--
      if (tip.seq - seq < next && seq !== 0) continue
      next *= 2
      taken++
      places.push(placeOf({ seq, id }, short))
    }
  }
  return places
}

/** What a want asks for, of the tip it names; undefined when it names places and none of them lies before the tip. */
export const answerWant = (want: Wanted, tip: Head, held: Held): readonly string[] | undefined => {
  const { ids, met } = walkBack(tip, want.held, held)
  return met || want.held.length === 0 ? ids : undefined
}

/** Parents first, each once: the order of admission is closed under causality. */
export const inArrivalOrder = (ids: Iterable<string>, held: Held): string[] =>
  [...new Set(ids)].sort((a, b) => held.arrivalIndex(a) - held.arrivalIndex(b))

/** Cuts ids into messages that fit a frame, each commit with what vouches for it. */
export const inFrames = (ids: readonly string[], held: Pick<Held, 'vouchers' | 'size'>): string[][] => {
  const taken = new Set<string>()
  const runs: string[][] = []
  for (const id of ids) {
    if (taken.has(id)) continue
    const run = [id, ...held.vouchers(id)]
    for (const one of run) taken.add(one)
    runs.push(run)
  }
  const weigh = (run: readonly string[]): number => run.reduce((sum, id) => sum + held.size(id), 0)
  return cut(runs, limits.frameBytes - headroom, weigh, itemsPerMessage, (run) => run.length).map((some) => some.flat())
}

export const entriesInFrames = (entries: readonly Uint8Array[]): Uint8Array[][] =>
  cut(entries, limits.frameBytes - headroom, (entry) => entry.length + 5, itemsPerMessage)

export const wantsInMessages = (wants: readonly Wanted[]): Wanted[][] =>
  cut(wants, wantItemsPerMessage, (want) => 2 + 2 * want.held.length, limits.headsPerMessage)

export const headsInMessages = (heads: readonly Name[]): Name[][] =>
  cut(heads, limits.headsPerMessage, () => 1, limits.headsPerMessage)

/**
 * Pieces of items whose weights add up to at most `most`, and whose numbers to at most `count`; an item that is too heavy alone stands
 * alone.
 */
const cut = <Item>(
  items: readonly Item[],
  most: number,
  weigh: (item: Item) => number,
  count: number,
  number: (item: Item) => number = () => 1,
): Item[][] => {
  const pieces: Item[][] = []
  let piece: Item[] = []
  let weight = 0
  let numbered = 0
  for (const item of items) {
    const added = weigh(item)
    if (piece.length > 0 && (weight + added > most || numbered + number(item) > count)) {
      pieces.push(piece)
      piece = []
      weight = 0
      numbered = 0
    }
    piece.push(item)
    weight += added
    numbered += number(item)
  }
  if (piece.length > 0) pieces.push(piece)
  return pieces
}
