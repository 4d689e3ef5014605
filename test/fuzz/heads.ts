/**
 * Graphs that are made to be expensive: very many concurrent changes of one item, and ladders of diamonds, on which a search for common
 * ancestors that forgets where it was takes exponential time (CVE-2024-31208). Row C3 of the catalogue. Only times are told; the
 * value is compared with that of another order, so that nothing is fast by being wrong.
 */
import { isDeepStrictEqual } from 'node:util'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import { MergedItem } from '../../packages/engine/src/merge/item.ts'
import { processorTime } from './meter.ts'
import { countAll, type Written } from './permutations.ts'
import { plainly } from './plainly.ts'
import { hash } from './samples.ts'
import { Thing } from './thing.ts'

export interface Shape {
  readonly name: string
  readonly changes: number
  /** ms of the processor to count all of them and to give the value. */
  readonly ms: number
  /** The power of the number of changes that the time grows with, from a fourth of them to all. */
  readonly power: number
}

export interface HeadsReport {
  readonly trials: number
  readonly violations: number
  readonly shapes: readonly Shape[]
  readonly found: readonly string[]
}

const idOf = (name: string): string => toHex(hash(Uint8Array.from(name, (letter) => letter.charCodeAt(0))))

const insert = (text: string, at = 0): Operation => ({
  kind: 'splice',
  field: 'notes',
  at,
  remove: 0,
  length: text.length,
  insert: text,
})

const mixed = (index: number): readonly Operation[] => [
  { kind: 'assign', field: 'title', value: `t${index % 100}` },
  { kind: 'add', field: 'tags', value: `tag ${index % 50}` },
  { kind: 'put', field: 'marks', entry: [`key ${index % 50}`, index] },
]

const assigned = (index: number): readonly Operation[] => [
  { kind: 'assign', field: 'title', value: `t${index % 100}` },
  { kind: 'put', field: 'marks', entry: [`key ${index % 50}`, index] },
]

const root: Written = { id: idOf('root'), clock: 1, parents: [], operations: [insert('root')] }

const heads = (count: number, operations: (index: number) => readonly Operation[]): Written[] => [
  root,
  ...Array.from({ length: count }, (_, index) => ({
    id: idOf(`head ${index}`),
    clock: 2 + (index % 3),
    parents: [root.id],
    operations: operations(index),
  })),
]

/** Each diamond: two changes on the last tip, and one that joins them. */
const ladder = (count: number, operations: (index: number) => readonly Operation[]): Written[] => {
  const changes: Written[] = [root]
  let tip = root.id
  for (let step = 0; step < count; step++) {
    const sides = [idOf(`left ${step}`), idOf(`right ${step}`)]
    for (const [side, id] of sides.entries())
      changes.push({ id, clock: 2 + 2 * step, parents: [tip], operations: operations(2 * step + side) })
    tip = idOf(`join ${step}`)
    changes.push({ id: tip, clock: 3 + 2 * step, parents: sides, operations: [] })
  }
  return changes
}

/** Two chains that take in each other's last change at every step: nothing is ever a merge base for long. */
const braid = (count: number, operations: (index: number) => readonly Operation[]): Written[] => {
  const changes: Written[] = [root]
  let tips = [root.id]
  for (let step = 0; step < count; step++) {
    const next = [idOf(`one ${step}`), idOf(`other ${step}`)]
    for (const [side, id] of next.entries())
      changes.push({ id, clock: 2 + step, parents: tips, operations: operations(2 * step + side) })
    tips = next
  }
  return changes
}

export const shapes: readonly (readonly [name: string, make: (count: number) => Written[]])[] = [
  ['heads, fields of all kinds', (count) => heads(count, mixed)],
  ['heads, text at one place', (count) => heads(count, () => [insert('x', 2)])],
  ['ladder, fields', (count) => ladder(count, assigned)],
  [
    'ladder, a set that grows',
    (count) => ladder(count, (index) => [{ kind: 'add', field: 'tags', value: index % 50 === 0 ? 'a' : 'b' }]),
  ],
  ['ladder, text', (count) => ladder(count, (index) => [insert('x', index % 4)])],
  ['braid, text', (count) => braid(count, (index) => [insert('x', index % 4)])],
]

const timed = (changes: readonly Written[]): { readonly ms: number; readonly item: MergedItem } => {
  const began = processorTime()
  const item = countAll(new MergedItem('card', Thing), changes)
  item.value()
  return { ms: processorTime() - began, item }
}

export interface HeadsOptions {
  /** Heads or diamonds; 10,000 unless told. */
  readonly count?: number
  /** Of the shapes that one; all unless told. */
  readonly shape?: string
}

export const manyHeads = ({ count = 10_000, shape }: HeadsOptions = {}): HeadsReport => {
  const chosen = shapes.filter(([name]) => shape === undefined || name === shape)
  const found: string[] = []
  const reports = chosen.map(([name, make]): Shape => {
    const fourth = timed(make(count / 4)).ms
    const changes = make(count)
    const { ms, item } = timed(changes)
    // Siblings the other way round: a causal order too.
    const other = countAll(new MergedItem('card', Thing), otherOrder(changes))
    if (!isDeepStrictEqual(plainly(item), plainly(other))) found.push(`${name}: two orders, two values`)
    return {
      name,
      changes: changes.length,
      ms: Math.round(ms),
      power: Math.round((Math.log(ms / fourth) / Math.log(4)) * 100) / 100,
    }
  })
  return { trials: chosen.length, violations: found.length, shapes: reports, found }
}

/** Each run of changes with the same parents, backwards. */
const otherOrder = (changes: readonly Written[]): Written[] => {
  const order: Written[] = []
  let run: Written[] = []
  for (const change of changes) {
    if (run[0] !== undefined && run[0].parents.join() !== change.parents.join()) {
      order.push(...run.reverse())
      run = []
    }
    run.push(change)
  }
  return [...order, ...run.reverse()]
}
