import { describe, expect, test } from 'vitest'
import { Cursor } from '../bytes/cursor.ts'
import { deflate, inflate } from '../bytes/deflate.ts'
import { limits } from '../bytes/limits.ts'
import type { Operation } from '../commit/operation.ts'
import { type NewNode, nodeOf } from '../graph/item.ts'
import { boolean, map, number, order, type Scalar, set, string, text } from '../schema/field.ts'
import { schema } from '../schema/schema.ts'
import { MergedItem } from './item.ts'
import { applyMerged, type ItemState, judge, ropeOf, scalarOf } from './state.ts'
import { type StoredCommits, type StoredItem, StoredItems } from './stored.ts'
import { encodeItems } from './storing.ts'

const Thing = schema('thing', 1, {
  title: string(),
  count: number(),
  share: number(),
  done: boolean(),
  place: order(),
  tags: set(string()),
  sums: set(number()),
  marks: map(number()),
  names: map(string()),
  notes: text(),
  more: text(),
})

type Random = (below: number) => number

/** Mulberry32. */
const seeded = (seed: number): Random => {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const pick = <Item>(random: Random, items: readonly Item[]): Item => {
  const item = items[random(items.length)]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}

const words = [
  '',
  'a',
  'bc',
  'def',
  '\u{1f9f5}',
  'x\u{1f9f6}y',
  '\ufeffmark',
  'grüße',
  'a longer one, seen often',
  'w'.repeat(300),
]
const numbers = [
  0,
  1,
  -1,
  127,
  128,
  -5,
  2 ** 31,
  2 ** 32,
  -(2 ** 51),
  2 ** 51 + 1,
  2 ** 53,
  -(2 ** 53),
  0.1,
  1e300,
  -1e-7,
]

/** Commits by number; a number is far from its place, so that none is taken for the other. */
class Commits implements StoredCommits {
  readonly #ids: string[] = []
  readonly #clocks: number[] = []
  readonly #numbers = new Map<string, number>()
  /** Ids that were asked for. */
  asked = 0

  add(random: Random): NewNode {
    const id = Array.from({ length: 64 }, () => '0123456789abcdef'.charAt(random(16))).join('')
    this.#numbers.set(id, this.#ids.length + 1_000)
    this.#ids.push(id)
    this.#clocks.push(random(6))
    return this.again()
  }

  /** Another change of the commit that was added last. */
  again(): NewNode {
    return { id: this.#ids.at(-1) ?? '', clock: this.#clocks.at(-1) ?? 0, parents: [], operations: [], seen: 0 }
  }

  readonly numberOf = (id: string): number => this.#numbers.get(id) ?? -1
  readonly numbersOf = (id: string): readonly number[] => [this.numberOf(id)]

  idOf(number: number): string {
    this.asked++
    return this.#ids[number - 1_000] ?? ''
  }

  clockOf(number: number): number {
    return this.#clocks[number - 1_000] ?? -1
  }
}

const whole = (text: string, at: number): number => (/^[\udc00-\udfff]/.test(text.slice(at)) ? at - 1 : at)

/** What an author who saw `before` may write. */
const someOperations = (random: Random, before: ItemState): Operation[] => {
  const operations: Operation[] = []
  const spliced = new Set<string>()
  for (let left = 1 + random(4); left > 0; left--) {
    const kind = random(12)
    if (kind === 0) operations.push({ kind: 'assign', field: 'title', value: pick(random, words) })
    if (kind === 1) operations.push({ kind: 'assign', field: 'count', value: random(100) })
    if (kind === 2) operations.push({ kind: 'assign', field: 'share', value: pick(random, numbers) })
    if (kind === 3) operations.push({ kind: 'assign', field: 'done', value: random(2) === 0 })
    if (kind === 4) operations.push({ kind: 'add', field: 'tags', value: pick(random, words) })
    if (kind === 5) operations.push({ kind: 'add', field: 'sums', value: pick(random, numbers) })
    if (kind === 6)
      operations.push({ kind: 'put', field: 'marks', entry: [pick(random, words), pick(random, numbers)] })
    if (kind === 7) operations.push({ kind: 'put', field: 'names', entry: [pick(random, words), pick(random, words)] })
    if (kind === 8) {
      const held = before.fields.get('tags')
      const tags = held?.kind === 'elements' ? [...held.byTag.keys()].filter(() => random(2) === 0) : []
      if (tags.length > 0) operations.push({ kind: 'remove', field: 'tags', tags })
    }
    if (kind === 9) {
      const held = before.fields.get('marks')
      const entries = held?.kind === 'entries' ? [...held.byKey.values()].flat().filter(() => random(2) === 0) : []
      if (entries.length > 0) operations.push({ kind: 'drop', field: 'marks', tags: entries.map(({ tag }) => tag) })
    }
    if (kind === 10) {
      const field = pick(random, ['notes', 'more'])
      if (spliced.has(field)) continue
      spliced.add(field)
      const now = ropeOf(before, field).toString()
      const at = whole(now, random(now.length + 1))
      const remove = Math.max(0, whole(now, Math.min(now.length, at + random(4))) - at)
      const insert = pick(random, words)
      if (remove + insert.length > 0)
        operations.push({ kind: 'splice', field, at, remove, length: insert.length, insert })
    }
    if (kind === 11) return random(3) === 0 ? [{ kind: 'delete' }] : [{ kind: 'touch' }]
  }
  return operations
}

const count = (item: MergedItem, change: NewNode): void => expect(item.count(change).refusal).toBe(undefined)

/** An item whose authors saw more or less of each other. */
const someItem = (random: Random, key: string, commits: Commits, isSame: boolean): MergedItem => {
  const item = new MergedItem(key, Thing)
  const changes = random(3) === 0 ? 1 + random(20) : 1
  for (let left = changes; left > 0; left--) {
    const commit = isSame && left === changes ? commits.again() : commits.add(random)
    const heads = item.headsNow
    const some = random(3) === 0 ? heads.filter(() => random(2) === 0) : heads
    const parents = random(8) === 0 ? [] : some.slice(0, limits.parents)
    count(item, { ...commit, parents, operations: someOperations(random, item.at(parents)) })
  }
  return item
}

const storedOf = (item: MergedItem, commits: Commits): StoredItem => ({
  key: item.key,
  changes: item.graph.nodes.map(({ id }) => commits.numberOf(id)),
  heads: item.headsNow,
  state: item.value(),
})

type Sort = <Item>(list: readonly Item[]) => readonly Item[]
const asIs: Sort = (list) => list
/** Where sets and maps stand in the order in which versions were looked at. */
const sorted: Sort = (list) => list.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))

/** All that anybody can see of a state. */
const shown = (state: ItemState, sort = asIs): unknown => ({
  presence: state.presence,
  fields: [...state.fields].map(([name, field]) => {
    switch (field.kind) {
      case 'register':
        expect(state.fields.scalar(name)).toBe(field.value)
        return [name, field.value, field.stamp.id, field.stamp.clock]
      case 'text':
        return [name, field.rope.toString(), field.rope.length]
      case 'elements':
        return [name, field.size, sort([...field.byTag])]
      default:
        return [
          name,
          field.size,
          sort([...field.byKey]).map(([key, entries]) => [
            key,
            ...entries.map(({ node, tag, clock, id, value }) => [node, tag, clock, id, value]),
          ]),
        ]
    }
  }),
})

const shownItem = ({ key, changes, heads, state }: StoredItem): unknown => ({
  key,
  changes,
  heads,
  state: shown(state),
})

const read = (bytes: Uint8Array, commits: StoredCommits): StoredItems => {
  const items = StoredItems.read(bytes, commits)
  if (items === undefined) throw new Error('no block')
  return items
}

const all = (items: StoredItems): StoredItem[] => Array.from({ length: items.size }, (_, place) => items.at(place))

const someBlock = (seed: number, size: number): { items: MergedItem[]; stored: StoredItem[]; commits: Commits } => {
  const random = seeded(seed)
  const commits = new Commits()
  commits.add(random)
  const items = Array.from({ length: size }, (_, place) =>
    someItem(random, `${pick(random, ['item-', '\u{1f9f5}', '\u{1f9f6}', ''])}${place}`, commits, random(2) === 0),
  )
  return { items, stored: items.map((item) => storedOf(item, commits)), commits }
}

/** The block that was deflated as it would stand otherwise. */
const bodyOf = (deflated: Uint8Array): Uint8Array => {
  const cursor = new Cursor(deflated, 1)
  const size = cursor.varint()
  return Uint8Array.from([0, ...(inflate(deflated.subarray(cursor.at), size) ?? [])])
}

const seeds = Array.from({ length: 60 }, (_, seed) => seed)

/** An item of one change by the commit that was added last. */
const single = (key: string, operations: readonly Operation[], commits: Commits): StoredItem => {
  const item = new MergedItem(key, Thing)
  count(item, { ...commits.again(), operations })
  return storedOf(item, commits)
}

const assigned = (fields: Readonly<Record<string, Scalar>>): Operation[] =>
  Object.entries(fields).map(([field, value]) => ({ kind: 'assign', field, value }))

test.each(seeds)('a stored item is what it was: seed %i', (seed) => {
  const { stored, commits } = someBlock(seed, seed % 40)
  const items = read(encodeItems(stored, commits.numbersOf), commits)
  expect(items.size).toBe(stored.length)
  expect(items.keys()).toEqual(stored.map(({ key }) => key))
  for (const place of stored.keys()) {
    const last = stored.length - 1 - place
    expect(shownItem(items.at(last))).toEqual(shownItem(stored[last] ?? items.at(-1)))
  }
  // What was read can be stored again.
  const again = read(encodeItems(all(items), commits.numbersOf), commits)
  expect(all(again).map(shownItem)).toEqual(stored.map(shownItem))
})

test.each(seeds)('later changes make of a stored item what they make of the merged one: seed %i', (seed) => {
  const { items, stored, commits } = someBlock(seed, 12)
  const block = read(encodeItems(stored, commits.numbersOf), commits)
  const random = seeded(seed + 1_000)
  for (const [place, item] of items.entries()) {
    const { state } = block.at(place)
    const before = item.value()
    const { heads } = block.at(place)
    // By somebody who saw all of it, text too.
    const next = nodeOf(
      { ...commits.add(random), parents: heads, operations: someOperations(random, before) },
      item.graph.nodes.length,
    )
    const [merged, mine] = [before, state].map((each) => judge(each, next, item.graph, Thing))
    expect(mine?.refusal).toBe(undefined)
    expect(shown(mine?.after ?? before, sorted)).toEqual(shown(merged?.after ?? before, sorted))
    // By some who saw a part of it.
    const added = Array.from({ length: 3 }, () => {
      const parents = random(3) === 0 ? [] : [random(item.graph.nodes.length)]
      const operations = someOperations(random, item.at(parents))
      count(item, { ...commits.add(random), parents, operations })
      return item.graph.node(item.graph.nodes.length - 1)
    })
    const [theirs, ours] = [before, state].map((each) =>
      shown(applyMerged(each, heads, added, added, item.graph), sorted),
    )
    expect(ours).toEqual(theirs)
  }
})

test('the items of a commit have one stamp, and nobody asks for its id who does not look', () => {
  const random = seeded(1)
  const commits = new Commits()
  commits.add(random)
  const written = ['a', 'b'].map((key) => single(key, assigned({ title: key, count: 1 }), commits))
  const items = read(encodeItems(written, commits.numbersOf), commits)
  commits.asked = 0
  const stamps = all(items).flatMap(({ state }) =>
    [...state.fields].map(([, field]) => (field.kind === 'register' ? field.stamp : undefined)),
  )
  expect(stamps.length).toBe(4)
  expect(new Set(stamps).size).toBe(1)
  expect(commits.asked).toBe(0)
  const { title } = Thing.fields
  expect(all(items).map(({ state }) => scalarOf(state, 'title', title))).toEqual(['a', 'b'])
  expect(commits.asked).toBe(0)
})

test('the usual items take few bytes besides their keys and values', () => {
  const random = seeded(2)
  const commits = new Commits()
  const written = Array.from({ length: 128 }, (_, place) => {
    if (place % 2 === 0) commits.add(random)
    const key = `item-${place.toString(36).padStart(6, '0')}`
    const title = `Item number ${place} of the list`
    return single(key, assigned({ title, count: place % 21, done: place % 3 === 0 }), commits)
  })
  expect(encodeItems(written, commits.numbersOf).length).toBeLessThan(128 * 12)
})

test('values of every kind, alone and beside others in their field', () => {
  const random = seeded(3)
  const commits = new Commits()
  const long = `${'x'.repeat(500_000)}\u{1f9f5}${'ä'.repeat(499_998)}`
  const columns: Scalar[][] = [[null], [null, true], [true, false], numbers, [0.5, 1.5], [-0, 1], [...words], [long]]
  for (const values of [...columns, columns.flat()]) {
    commits.add(random)
    const written = values.map((value, place) => {
      const one = single(`${place}`, assigned({ title: 'x' }), commits)
      const held = one.state.fields.get('title')
      if (held?.kind !== 'register') throw new Error('no register')
      return { ...one, state: { ...one.state, fields: one.state.fields.with('title', { ...held, value }) } }
    })
    const items = read(encodeItems(written, commits.numbersOf), commits)
    expect(all(items).map(({ state }) => state.fields.scalar('title'))).toEqual(values)
  }
  const splice: Operation = { kind: 'splice', field: 'notes', at: 0, remove: 0, length: long.length, insert: long }
  const items = read(encodeItems([single('a', [splice], commits)], commits.numbersOf), commits)
  expect(ropeOf(items.at(0).state, 'notes').toString() === long).toBe(true)
})

test('an item that was deleted, one without changes, and an empty block', () => {
  const random = seeded(4)
  const commits = new Commits()
  commits.add(random)
  const deleted = single('a', [{ kind: 'delete' }], commits)
  const empty = storedOf(new MergedItem('b', Thing), commits)
  const items = read(encodeItems([deleted, empty, deleted], commits.numbersOf), commits)
  expect(all(items).map(shownItem)).toEqual([deleted, empty, deleted].map(shownItem))
  expect(items.at(0).state.presence).toEqual([])
  expect(read(encodeItems([], commits.numbersOf), commits).keys()).toEqual([])
})

test('what is no item of the block, or names a commit of no change, is a bug', () => {
  const { stored, commits } = someBlock(3, 3)
  const items = read(encodeItems(stored, commits.numbersOf), commits)
  for (const place of [-1, 0.5, 3, Number.NaN]) expect(() => items.at(place)).toThrow(RangeError)
  const two = new MergedItem('a', Thing)
  for (const title of ['one', 'two'])
    count(two, { ...commits.add(seeded(5)), parents: two.headsNow, operations: assigned({ title }) })
  const strange = { ...storedOf(two, commits), changes: [1, 2] }
  expect(() => encodeItems([strange], commits.numbersOf)).toThrow(TypeError)
})

describe('damage', () => {
  /** Reads what can be read; other errors than those of damage go through. */
  const tryAll = (bytes: Uint8Array, commits: StoredCommits): 'no block' | 'damaged' | 'read' => {
    const items = StoredItems.read(bytes, commits)
    if (items === undefined) return 'no block'
    let outcome: 'damaged' | 'read' = 'read'
    for (let place = 0; place < items.size; place++) {
      try {
        shownItem(items.at(place))
      } catch (error) {
        if (!(error instanceof RangeError)) throw error
        outcome = 'damaged'
      }
    }
    return outcome
  }
  const { stored, commits } = someBlock(7, 16)
  const deflated = encodeItems(stored, commits.numbersOf)
  const body = bodyOf(deflated)

  test('a block that ends early is none', () => {
    expect([deflated[0], tryAll(deflated, commits), tryAll(body, commits)]).toEqual([1, 'read', 'read'])
    for (const block of [deflated, body])
      for (let length = 0; length < block.length; length++)
        expect(tryAll(block.subarray(0, length), commits)).toBe('no block')
  })

  test('other bits are refused in one of two ways, or are another value', () => {
    const random = seeded(8)
    const outcomes = new Map<string, number>()
    for (let times = 0; times < 1_000; times++) {
      const block = (times % 4 === 0 ? deflated : body).slice()
      for (let flips = 1 + random(2); flips > 0; flips--) {
        const at = random(block.length)
        block[at] = (block[at] ?? 0) ^ (1 << random(8))
      }
      const outcome = tryAll(block, commits)
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
    }
    expect([...outcomes.keys()].sort()).toEqual(['damaged', 'no block', 'read'])
  })

  test('a string of another field, and a row that ends elsewhere, are damage', () => {
    const insert: Operation = { kind: 'splice', field: 'notes', at: 0, remove: 0, length: 2, insert: 'cd' }
    const both = encodeItems([single('a', [...assigned({ title: 'ab' }), insert], commits)], commits.numbersOf)
    // Its row: the shape, the first string of each column.
    expect([both[0], ...both.subarray(-3)]).toEqual([0, 0, 1, 1])
    both[both.length - 2] = 2
    expect(tryAll(both, commits)).toBe('damaged')

    const two = encodeItems(
      ['ab', 'cd'].map((title) => single(title, assigned({ title }), commits)),
      commits.numbersOf,
    )
    // The lengths of two rows of two bytes, before two texts of four.
    const lengths = two.length - 4 - 5 - 5 - 2
    expect([two[0], two[lengths], two[lengths + 1], tryAll(two, commits)]).toEqual([0, 2, 2, 'read'])
    two[lengths] = 3
    two[lengths + 1] = 1
    expect(tryAll(two, commits)).toBe('damaged')
    const items = StoredItems.read(two, commits)
    expect(() => items?.at(0)).toThrow(RangeError)
  })

  test('noise and promises of much are no block', () => {
    const random = seeded(9)
    let none = 0
    for (let times = 0; times < 1_000; times++) {
      const noise = Uint8Array.from({ length: random(64) }, () => random(256))
      noise[0] = random(2)
      if (tryAll(noise, commits) === 'no block') none++
    }
    expect(none).toBeGreaterThan(990)
    const promise = [0xff, 0xff, 0xff, 0xff, 0x7f]
    expect(tryAll(Uint8Array.from([0, ...promise]), commits)).toBe('no block')
    expect(tryAll(Uint8Array.from([1, ...promise, 0]), commits)).toBe('no block')
    const zeroes = deflate(new Uint8Array(100_000), 1_000) ?? new Uint8Array(0)
    expect(tryAll(Uint8Array.from([1, ...promise, ...zeroes]), commits)).toBe('no block')
  })

  test('a key is no longer than limits.nameBytes', () => {
    const one = (key: string) => single(key, [{ kind: 'touch' }], commits)
    const long = 'k'.repeat(limits.nameBytes)
    expect(read(encodeItems([one(long), one(`${long.slice(1)}x`)], commits.numbersOf), commits).keys().length).toBe(2)
    const longer = read(encodeItems([{ ...one('k'), key: `${long}k` }], commits.numbersOf), commits)
    expect(() => longer.at(0)).toThrow(RangeError)
  })
})
