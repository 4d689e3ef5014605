/**
 * What a meeting may cost in bytes beside its payload, from what differs: the constant parts, and a price for each rung by the kinds of
 * things in its messages. It knows the sizes of fields and which rung is the cheapest, and nothing of the machine.
 */
import { filterBytes } from '../../../packages/engine/src/sync/filter.ts'
import { vectorBytes } from '../../../packages/engine/src/sync/vector.ts'
import type { Replica } from './replica.ts'

/** What differs between two replicas, by chains. */
export interface Difference {
  /** Chains whose tips differ. */
  readonly chains: number
  /** Of those, where each side is behind: chains it holds the beginning of, and chains it has never seen. */
  readonly behind: readonly [number, number]
  readonly unknown: readonly [number, number]
  /** Bytes of the commits that each side lacks. */
  readonly lacking: readonly [number, number]
  /** Neither side is behind in some chain, or one holds several branches. */
  readonly forked: boolean
}

export const differenceOf = (a: Replica, b: Replica): Difference => {
  const behind: [number, number] = [0, 0]
  const unknown: [number, number] = [0, 0]
  let forked = false
  for (const chain of new Set([...a.tips.keys(), ...b.tips.keys()])) {
    const [mine, theirs] = [a.headsOf(chain), b.headsOf(chain)]
    if (mine.length > 1 || theirs.length > 1) forked = true
    const [tip, other] = [mine[0], theirs[0]]
    if (tip === undefined) unknown[0]++
    else if (other === undefined) unknown[1]++
    else if (tip.id !== other.id) {
      if (a.has(other.id)) behind[1]++
      else if (b.has(tip.id)) behind[0]++
      else forked = true
    }
  }
  const weigh = (to: Replica, from: Replica) =>
    from.order.reduce((sum, id) => sum + (to.has(id) ? 0 : from.size(id)), 0)
  return {
    chains: behind[0] + behind[1] + unknown[0] + unknown[1],
    behind,
    unknown,
    lacking: [weigh(a, b), weigh(b, a)],
    forked,
  }
}

/** Both hellos without a sketch: number, fingerprint, two flags. */
const hellos = 2 * 13
/** The two fingerprints at the end, with a cursor in the answer. */
const ending = 14 + 14
/** Without the payload: number, round, `last`, three lists. */
const pushPrice = 9
/** Number, round and the list's own head. */
const sumsPrice = 6
const movedPrice = 10
/** Key, seq and the beginning of an id. */
const askPrice = 13
const sumPrice = 4
const cursorPrice = 11
/** Chain, seq and id in a list of heads; index, seq and id in a want. */
const headPrice = 21
const wantPrice = 14
const filterPrice = 26
const listPrice = 6
const frame = 980_000

const pushes = (bytes: number): number => (bytes === 0 ? 0 : pushPrice * Math.ceil(bytes / frame))

export interface Beginning {
  /** Held by neither side: `empty`; at a place that holds: `cursor`; with so many sums, in the hello or after a cursor that does not hold. */
  readonly by: 'empty' | 'cursor' | 'filters' | { readonly sums: number; readonly after: 'hello' | 'cursor' }
  /** Filter rounds that were needed: a false hit, or keys that fell together, cost one more. How many there may be is another law. */
  readonly filters: number
  /** Bytes of a sketch in the hello to somebody who speaks filters alone, or who holds nothing: the leader cannot know that. */
  readonly wasted: number
}

/** `difference` is taken before the meeting; side 0 leads. */
export const estimate = (
  sides: readonly [Replica, Replica],
  difference: Difference,
  { by, filters, wasted }: Beginning,
): number => {
  const paid = pushes(difference.lacking[0]) + pushes(difference.lacking[1])
  const sketched =
    by === 'cursor' ? cursorPrice : typeof by === 'object' && by.after === 'hello' ? 2 + sumPrice * by.sums : 0
  if (difference.chains === 0) return hellos + sketched + wasted
  const further = Math.max(0, filters - (by === 'filters' ? 1 : 0)) * laterFilter(sides)
  if (by === 'empty') return hellos + wasted + paid + ending + further
  if (by === 'cursor') return hellos + cursorPrice + movedPrice + paid + pushPrice + ending + further
  if (by === 'filters') return hellos + wasted + firstFilter(sides, difference) + paid + ending + further
  return hellos + (by.after === 'cursor' ? cursorPrice : 0) + sketch(sides, difference, by) + paid + ending + further
}

/** Sums tell half as many chains as there are; what they do not tell is told by more of them, or a vector where that is shorter. */
const sketch = (
  sides: readonly [Replica, Replica],
  { chains, behind, unknown }: Difference,
  first: { readonly sums: number; readonly after: 'hello' | 'cursor' },
): number => {
  let sums = first.sums
  let bytes = sumPrice * sums + (first.after === 'hello' ? 2 : sumsPrice)
  // Whose turn it is to answer.
  let at: 0 | 1 = first.after === 'hello' ? 1 : 0
  let vector = false
  while (2 * chains + 1 > sums && !vector) {
    const more = sums < 64 ? 64 : sums < 256 ? 256 : undefined
    const all = vectorBytes(sides[at].heads().length, sides[at].count(), { round: 1, idBits: 0 })
    vector = more === undefined || all < sumPrice * more
    bytes += sumsPrice + (vector ? all : sumPrice * (more ?? 0))
    sums = more ?? sums
    at = at === 0 ? 1 : 0
  }
  const never = vector ? unknown[at] * (askPrice - 6) : unknown[at] * sumPrice
  return bytes + movedPrice + behind[at] * askPrice + never + pushPrice
}

const firstFilter = (sides: readonly [Replica, Replica], { behind, unknown }: Difference): number =>
  bothFilters(sides) +
  listPrice +
  headPrice * (behind[0] + behind[1] + unknown[0]) +
  (behind[0] + unknown[0] === 0 ? 0 : listPrice + wantPrice * behind[0] + 4 * unknown[0] + pushPrice) +
  (unknown[1] === 0 ? 0 : 2 * listPrice + (headPrice + 4) * unknown[1] + pushPrice) +
  pushPrice

const bothFilters = (sides: readonly [Replica, Replica]): number =>
  2 * filterPrice + filterBytes(sides[0].heads().length) + filterBytes(sides[1].heads().length)

/** A round for the few that the one before left over, with its comparison. */
const laterFilter = (sides: readonly [Replica, Replica]): number =>
  bothFilters(sides) + 4 * listPrice + 2 * (headPrice + wantPrice) + 2 * pushPrice + ending
