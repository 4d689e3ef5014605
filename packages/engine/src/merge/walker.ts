import { Heap } from './heap.ts'
import { Replay } from './replay.ts'
import type { Splice } from './splice.ts'
import type { TextHistory } from './text-history.ts'

export type { TextHistory } from './text-history.ts'

/**
 * Which events a merge of texts has to replay. What both versions build on is not touched, and what one author wrote with nobody
 * writing at the same time is taken over as it was written: the weave (see `replay.ts`) is only made for stretches with
 * concurrency, and thrown away at the first version that everything before leads to and everything after builds on.
 *
 * Dead events move such borders: an author who did not know that an event is dead counted positions with its text, so the replay
 * of that author's event has to start before the dead one. So do erased events, whose removals stand; where it is said of events that they
 * are dead, these are among them.
 */

/** The events to replay, ascending, over the text of a version. */
interface Region {
  readonly events: readonly number[]
  /** Holds the events that are in the version `from` already: they are replayed silently. */
  readonly held: ReadonlySet<number>
  /** The version below: all events of the region descend from it. Empty: nothing is below. */
  readonly below: readonly number[]
}

/**
 * The splices, in sequence, that take the text of version `from` to the text of version `from` joined with `to`. Versions are sets
 * of event indexes (heads). The text that results depends on the events alone; how it is cut into splices depends on their numbers.
 */
export function transform(history: TextHistory, from: readonly number[], to: readonly number[]): Splice[] {
  if (to.every((event) => from.includes(event))) return []
  const newest = Math.max(-1, ...from, ...to)
  const dead = history.deadEvents?.filter((event) => event <= newest) ?? scanDead(history, newest)
  let region = regionOf(history, from, to, newest)
  for (;;) {
    const contested = dead.length > 0 ? oldestContested(history, region, dead) : undefined
    if (contested === undefined) break
    region = regionOf(history, from, to, contested - 1)
  }
  return region.events.every((event) => region.held.has(event)) ? [] : replayRegion(history, region, dead)
}

const scanDead = (history: TextHistory, newest: number): number[] => {
  const dead: number[] = []
  for (let event = 0; event <= newest; event++) {
    if (history.dead(event) || history.erased?.(event) === true) dead.push(event)
  }
  return dead
}

/** Whether the author saw a dead or erased event as it is now. */
const sawAsNow = (history: TextHistory, event: number, author: number): boolean =>
  history.dead(event) ? history.deadTo(event, author) : (history.erasedTo?.(event, author) ?? true)

/**
 * The region down to a version that `from` holds, none of it after `newest`, and that all of the region descends from. Walking back in
 * order of admission, that is so when one event is left in the queue, or when what is left are the parents of each event that has
 * any of them as a parent. The second is usual where two people type: neither ever sees one event that holds all before.
 */
const regionOf = (history: TextHistory, from: readonly number[], to: readonly number[], newest: number): Region => {
  const nothing = -1
  const events: number[] = []
  const held = new Set<number>()
  const seen = new Set<number>()
  const queue = new Heap()
  /** How many events of the region have this parent, and how many have just these. */
  const children = new Map<number, number>()
  const families = new Map<string, number>()
  const visit = (event: number, isHeld: boolean): void => {
    if (isHeld) held.add(event)
    if (seen.has(event)) return
    seen.add(event)
    queue.push(event)
  }
  const regionOver = (below: readonly number[]): Region => ({ events: events.reverse(), held, below })
  for (const event of from) visit(event, true)
  for (const event of to) visit(event, false)
  if (from.length === 0) visit(nothing, true)
  for (;;) {
    const event = queue.pop() ?? nothing
    if (event === nothing) return regionOver([])
    if (queue.size === 0 && event <= newest) return regionOver([event])
    events.push(event)
    const parents = history.parents(event)
    for (const parent of parents) {
      visit(parent, held.has(event))
      children.set(parent, (children.get(parent) ?? 0) + 1)
    }
    if (parents.length === 0) visit(nothing, true)
    const family = parents.toSorted((a, b) => a - b).join()
    const size = (families.get(family) ?? 0) + 1
    families.set(family, size)
    const isBelow = (parent: number): boolean => parent <= newest && held.has(parent) && children.get(parent) === size
    if (queue.size === parents.length && parents.every(isBelow)) return regionOver(parents)
  }
}

/** The oldest dead event below the region that some author in the region did not see as dead. */
const oldestContested = (history: TextHistory, region: Region, dead: readonly number[]): number | undefined => {
  if (region.below.length === 0) return undefined
  const reached = reachedDead(history, dead, Math.max(...region.below))
  const below = new Set(region.below.flatMap((event) => [...(reached[event] ?? [])]))
  return dead.find((event) => below.has(event) && region.events.some((author) => !sawAsNow(history, event, author)))
}

/** For each event up to `newest`: itself and its ancestors, as far as they are dead. Most share one set. */
const reachedDead = (history: TextHistory, dead: readonly number[], newest: number): readonly ReadonlySet<number>[] => {
  const none: ReadonlySet<number> = new Set()
  const isDead = new Set(dead)
  const reached: ReadonlySet<number>[] = []
  for (let event = 0; event <= newest; event++) {
    let set = none
    for (const parent of history.parents(event)) set = union(set, reached[parent] ?? none)
    reached.push(isDead.has(event) ? new Set([...set, event]) : set)
  }
  return reached
}

const union = (first: ReadonlySet<number>, second: ReadonlySet<number>): ReadonlySet<number> => {
  if (first === second) return first
  const [small, large] = first.size < second.size ? [first, second] : [second, first]
  for (const event of small) if (!large.has(event)) return new Set([...large, ...small])
  return large
}

/**
 * For each event of the region, whether the region can be cut after it: all events up to it lead to it, all later ones build on
 * it, and the later authors agree with the present on which of the earlier ones are dead.
 */
const cutsOf = (history: TextHistory, { events }: Region, dead: readonly number[]): boolean[] => {
  const places = new Map(events.map((event, place) => [event, place]))
  const placeOf = (event: number): number => places.get(event) ?? -1
  const hasChild = new Array<boolean>(events.length).fill(false)
  let heads = 0
  const cuts = events.map((event) => {
    for (const parent of history.parents(event).map(placeOf)) {
      if (parent < 0 || hasChild[parent]) continue
      hasChild[parent] = true
      heads--
    }
    heads++
    return heads === 1
  })
  let reach = events.length
  for (let place = events.length - 1; place >= 0; place--) {
    if (reach < place) cuts[place] = false
    const parents = history.parents(events[place] as number)
    reach = Math.min(reach, parents.length === 0 ? -1 : Math.min(...parents.map(placeOf)))
  }
  for (const event of dead) {
    const place = places.get(event)
    const cut = place === undefined ? -1 : cuts.indexOf(true, place)
    if (place === undefined || cut < 0) continue
    let author = events.length - 1
    while (author > cut && sawAsNow(history, event, events[author] as number)) author--
    if (author > cut) cuts.fill(false, place, author)
  }
  return cuts
}

const replayRegion = (history: TextHistory, region: Region, dead: readonly number[]): Splice[] => {
  const { events, held, below } = region
  const splices: Splice[] = []
  const isDead = new Set(dead)
  const cuts = cutsOf(history, region, dead)
  const emit = (at: number, remove: number, insert: string): void => {
    const last = splices.at(-1)
    // Typing on, and replacing: one splice for what lies side by side.
    if (last && at === last.at + last.insert.length) {
      splices[splices.length - 1] = { at: last.at, remove: last.remove + remove, insert: last.insert + insert }
    } else {
      splices.push({ at, remove, insert })
    }
  }
  let overText = below.length > 0
  for (let start = 0; start < events.length; ) {
    let end = cuts.indexOf(true, start) + 1
    if (end === 0) end = events.length
    const only = events[start] as number
    const isGone = isDead.has(only) && (history.dead(only) || held.has(only))
    if (end === start + 1 && (isGone || !isDead.has(only))) {
      if (!held.has(only) && !isGone) splices.push(...history.splices(only))
    } else {
      const segment = events.slice(start, end)
      const replay = new Replay(history, overText, emit)
      const steps = new Map<number, number>()
      for (const event of replayOrder(history, segment, held)) {
        const parents = history.parents(event).flatMap((parent) => steps.get(parent) ?? [])
        steps.set(event, steps.size)
        replay.step(event, parents, held.has(event))
      }
    }
    overText = true
    start = end
  }
  return splices
}

/**
 * The order of the replay: what `from` holds first, and each branch to its end before the next one, so that the replay seldom goes back
 * and forth between branches, however their events arrived.
 */
const replayOrder = (history: TextHistory, events: readonly number[], held: ReadonlySet<number>): number[] => {
  const missing = new Map<number, number>()
  const children = new Map<number, number[]>()
  for (const event of events) missing.set(event, 0)
  for (const event of events) {
    for (const parent of new Set(history.parents(event))) {
      if (!missing.has(parent)) continue
      missing.set(event, (missing.get(event) ?? 0) + 1)
      const list = children.get(parent)
      if (list) list.push(event)
      else children.set(parent, [event])
    }
  }
  const order: number[] = []
  const quiet: number[] = []
  const loud: number[] = []
  const ready = (event: number): void => {
    if (held.has(event)) quiet.push(event)
    else loud.push(event)
  }
  for (let index = events.length - 1; index >= 0; index--) {
    const event = events[index] as number
    if (missing.get(event) === 0) ready(event)
  }
  for (;;) {
    const event = quiet.pop() ?? loud.pop()
    if (event === undefined) return order
    order.push(event)
    for (const child of children.get(event)?.toReversed() ?? []) {
      const left = (missing.get(child) ?? 0) - 1
      missing.set(child, left)
      if (left === 0) ready(child)
    }
  }
}
