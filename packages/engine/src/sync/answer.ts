import { limits } from '../bytes/limits.ts'
import type { Head } from '../graph/commits.ts'
import type { Held } from './held.ts'
import type { Lack } from './lack.ts'
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
 * What to send and what to ask for, given the other's words about its tips. Every chain is walked at most twice a tip,
 * however many names a message holds, so that the cost of an answer is bounded by the store and by the message, never
 * by their product.
 *
 * Of a chain with a floor nobody can tell whether what the other names below it is one of the commits that were dropped: it is neither
 * asked for nor walked to.
 */

/** Room for the envelope and for certificates. */
const headroom = 65_536

export const isShort = (name: Place): boolean => name.id.length === 2 * shortNameBytes

/** Whether the name, whole or shortened, is this id's. */
const names = (place: Place, id: string): boolean => (isShort(place) ? shortId(id) : id) === place.id

/**
 * Commits on the way back from a tip to the latest of some places on it; without one of them, to the chain's beginning, or to its floor.
 */
export interface Stretch {
  /** Latest first; without the place itself. */
  readonly ids: readonly string[]
  readonly met: Place | undefined
}

/**
 * Stops below `lowest`, where no place can be met any more; the ids are complete only when one was met, or when `lowest` is 0 and the chain
 * has no floor.
 */
export const walkBack = (tip: Head, places: readonly Place[], held: Held, lowest = 0): Stretch => {
  const bySeq = new Map<number, Place[]>()
  for (const place of places) {
    const same = bySeq.get(place.seq)
    if (same) same.push(place)
    else bySeq.set(place.seq, [place])
  }
  const ids: string[] = []
  let seq = tip.seq
  for (let id: string | undefined = tip.id; id !== undefined && seq >= lowest; id = held.previous(id), seq--) {
    const here: string = id
    const met = bySeq.get(seq)?.find((place) => names(place, here))
    if (met) return { ids, met }
    ids.push(here)
  }
  return { ids, met: undefined }
}

export interface Comparison {
  /** Tips that the push brings it to, or that nothing brings it to from here. */
  readonly told: ReadonlySet<string>
  /** Of its heads, those that are not held. */
  readonly wants: readonly Wanted[]
  /** Tips that a want names as held, and that may lie before the wanted commit. */
  readonly named: ReadonlySet<string>
}

/**
 * Holds the other's list of heads against the store, and gathers what the other lacks for certain: it stands at a place that is held here and is
 * not a tip.
 */
export const compareHeads = (listed: readonly Name[], held: Held, lack: Lack): Comparison => {
  const byChain = new Map<string, { index: number; name: Name }[]>()
  for (const [index, name] of listed.entries()) {
    const same = byChain.get(name.chain)
    if (same) same.push({ index, name })
    else byChain.set(name.chain, [{ index, name }])
  }
  const tipsOf = tipsByName(listed, held)
  const told = new Set<string>()
  const named = new Set<string>()
  const wants: Wanted[] = []
  for (const [chain, names] of byChain) {
    const tips = tipsOf(chain)
    const places = names.map(({ name }) => name)
    const lowest = places.reduce((least, { seq }) => Math.min(least, seq), Number.MAX_SAFE_INTEGER)
    const found = new Set<Place>()
    for (const tip of tips) {
      const { ids, met } = walkBack(tip, places, held, lowest)
      if (met) {
        found.add(met)
        lack.add(ids)
        if (ids.length > 0) told.add(tip.id)
      } else {
        const below = places.filter(({ seq }) => seq <= held.floorOf(tip.chain))
        for (const { seq } of below) lack.keep(tip.chain, seq)
        if (below.length > 0) told.add(tip.id)
      }
    }
    const wanted = names.filter(
      ({ name }) => !found.has(name) && tips.every(({ chain }) => name.seq > held.floorOf(chain)),
    )
    const known = wanted.length === 0 ? [] : knownOf(tips, held)
    for (const { index, name } of wanted) {
      for (const tip of tips) if (tip.seq < name.seq) named.add(tip.id)
      wants.push({ index, held: known.map((place) => placeOf(place, isShort(name))) })
    }
  }
  return { told, wants, named }
}

/** What a want names at first: the tips, and where their chain has a floor the commit there, since nothing before it can be of use. */
const knownOf = (tips: readonly Head[], held: Held): readonly Place[] =>
  tips
    .flatMap((tip): Place[] => {
      const floor = held.floorOf(tip.chain)
      if (tip.seq <= floor || floor < 0) return [tip]
      let id: string | undefined = tip.id
      for (let { seq } = tip; seq > floor && id !== undefined; seq--) id = held.previous(id)
      return id === undefined ? [tip] : [tip, { seq: floor, id }]
    })
    .slice(0, limits.locatorIds)

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

/** Of these tips, those of whose chains none is listed. */
export const unlisted = (tips: readonly Head[], listed: readonly Name[]): readonly Head[] => {
  const chains = new Set(listed.map(({ chain }) => chain))
  return tips.filter(({ chain }) => !chains.has(chain) && !chains.has(shortChain(chain)))
}

const placeOf = (place: Place, short: boolean): Place => ({ seq: place.seq, id: short ? shortId(place.id) : place.id })

/**
 * Wants of these names again, now with places at distance 1, 2, 4, 8 ... from each tip, and the chain's first. Of a chain with a floor all that
 * can be of use was named.
 */
export const withLocators = (indices: readonly number[], listed: readonly Name[], held: Held): Wanted[] => {
  const tipsOf = tipsByName(listed, held)
  const byChain = new Map<string, readonly Place[]>()
  return indices.flatMap((index) => {
    const name = listed[index]
    if (name === undefined || tipsOf(name.chain).some(({ chain }) => held.floorOf(chain) >= 0)) return []
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

/**
 * Gathers what a want asks for, of the tip it names. False when it names places none of which is known, and others may be; below the floor none
 * is.
 */
export const answerWant = (want: Wanted, tip: Head, held: Held, lack: Lack): boolean => {
  const { ids, met } = walkBack(tip, want.held, held)
  const floor = held.floorOf(tip.chain)
  if (!met && want.held.some(({ seq }) => seq > floor)) return false
  if (met || floor < 0) lack.add(ids)
  else
    lack.keep(
      tip.chain,
      want.held.reduce((last, { seq }) => Math.max(last, seq), -1),
    )
  return true
}

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
