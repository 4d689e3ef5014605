/**
 * Merging is a function of the set of changes: every order in which up to seven concurrent changes can come, and random graphs in random
 * causal orders, give one value. Row C5 of the catalogue.
 */
import { isDeepStrictEqual } from 'node:util'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import { MergedItem } from '../../packages/engine/src/merge/item.ts'
import { type Stream, stream } from '../sim/random.ts'
import { plainly } from './plainly.ts'
import { fittingOperations, Thing } from './thing.ts'

export interface Written {
  readonly id: string
  readonly clock: number
  readonly parents: readonly string[]
  readonly operations: readonly Operation[]
}

export interface PermutationsReport {
  /** Orders whose value was compared. */
  readonly trials: number
  readonly violations: number
  readonly seed: string
  readonly graphs: number
  readonly seconds: number
  readonly found: readonly string[]
}

const mostHeads = 7
const mostFindings = 10

export const countAll = (item: MergedItem, changes: Iterable<Written>): MergedItem => {
  for (const { id, clock, parents, operations } of changes)
    item.count({ id, clock, parents: parents.map((parent) => item.graph.indexOf(parent) ?? -1), operations, seen: -1 })
  return item
}

const newItem = (): MergedItem => new MergedItem('card', Thing)

/** Every order of a list, by exchanges (Heap 1963). The list given is one list, in another order each time. */
function* ordersOf<One>(list: readonly One[]): Generator<readonly One[]> {
  const order = [...list]
  const counters = order.map(() => 0)
  yield order
  for (let at = 1; at < order.length; ) {
    const counter = counters[at] ?? 0
    if (counter >= at) {
      counters[at++] = 0
      continue
    }
    const from = at % 2 === 0 ? 0 : counter
    const [one, other] = [order[from], order[at]]
    // Both are in range.
    if (one !== undefined && other !== undefined) {
      order[from] = other
      order[at] = one
    }
    yield order
    counters[at] = counter + 1
    at = 1
  }
}

const written = (draw: Stream, item: MergedItem, parents: readonly number[], clock: number): Written => ({
  id: toHex(draw.bytes(32)),
  clock,
  parents: parents.map((index) => item.graph.node(index).id),
  operations: fittingOperations(draw, item.at(parents)),
})

/** Changes on a shared past, none of which knows of another. */
const concurrent = (draw: Stream, count: number): { past: Written[]; heads: Written[] } => {
  const item = newItem()
  const past: Written[] = []
  for (let clock = 1; clock <= 3; clock++) {
    const change = written(draw, item, [...item.heads], clock)
    past.push(change)
    countAll(item, [change])
  }
  const base = [...item.heads]
  // Few clocks, so that ids decide too.
  const heads = Array.from({ length: count }, () => written(draw, item, base, 4 + draw.int(2)))
  return { past, heads }
}

/** Changes whose authors saw any one, two or three of those before them. */
const graphOf = (draw: Stream): Written[] => {
  const item = newItem()
  const changes: Written[] = []
  const count = 4 + draw.int(7)
  for (let index = 0; index < count; index++) {
    const seen = draw.shuffle(changes.map((_, place) => place)).slice(0, draw.int(4))
    const clock = 1 + Math.max(0, ...seen.map((place) => changes[place]?.clock ?? 0)) + draw.int(2)
    const change = written(draw, item, seen, clock)
    changes.push(change)
    countAll(item, [change])
  }
  return changes
}

const causalOrder = (draw: Stream, changes: readonly Written[]): Written[] => {
  const order: Written[] = []
  const placed = new Set<string>()
  const left = [...changes]
  while (left.length > 0) {
    const ready = left.filter(({ parents }) => parents.every((parent) => placed.has(parent)))
    const next = draw.pick(ready)
    left.splice(left.indexOf(next), 1)
    order.push(next)
    placed.add(next.id)
  }
  return order
}

export const permutations = ({
  graphs,
  seed,
}: {
  readonly graphs: number
  readonly seed: string
}): PermutationsReport => {
  const began = performance.now()
  const found: string[] = []
  let trials = 0
  const compare = (name: string, one: MergedItem, other: MergedItem): void => {
    trials++
    const [value, otherValue] = [plainly(one), plainly(other)]
    if (!isDeepStrictEqual(value, otherValue))
      found.push(`${name}: ${JSON.stringify(value)} and ${JSON.stringify(otherValue)}`)
  }
  for (let count = 2; count <= mostHeads && found.length < mostFindings; count++) {
    const { past, heads } = concurrent(stream(seed, `heads ${count}`), count)
    const first = countAll(newItem(), [...past, ...heads])
    for (const order of ordersOf(heads)) {
      compare(`${count} heads, seed ${seed}`, first, countAll(newItem(), [...past, ...order]))
      if (found.length >= mostFindings) break
    }
  }
  for (let graph = 0; graph < graphs && found.length < mostFindings; graph++) {
    const draw = stream(seed, `graph ${graph}`)
    const changes = graphOf(draw)
    const first = countAll(newItem(), changes)
    for (let times = 0; times < 2; times++) {
      const other = newItem()
      // Read now and then on the way, so that what is cached differs.
      for (const change of causalOrder(draw, changes)) {
        countAll(other, [change])
        if (draw.chance(0.2)) other.value()
      }
      compare(`graph ${graph}, seed ${seed}`, first, other)
    }
  }
  const seconds = Math.round(performance.now() - began) / 1000
  return { trials, violations: found.length, seed, graphs, seconds, found }
}
