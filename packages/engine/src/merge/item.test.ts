import { describe, expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { refusal } from '../bytes/refusal.ts'
import { type Operation, tagOf } from '../commit/operation.ts'
import { boolean, date, map, number, order, set, string, text } from '../schema/field.ts'
import { schema } from '../schema/schema.ts'
import { MergedItem } from './item.ts'
import { Oracle, type Plainly, type Written } from './oracle.ts'
import { applySplices } from './splice.ts'
import { type ItemState, isPresent, ropeOf, winner } from './state.ts'

const Thing = schema('thing', 1, {
  title: string({ max: 8 }),
  count: number(),
  done: boolean(),
  due: date(),
  place: order(),
  tags: set(string()),
  marks: map(number()),
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

const newId = (random: Random): string =>
  Array.from({ length: 64 }, () => '0123456789abcdef'.charAt(random(16))).join('')

/** The state without node numbers. */
const plainly = (item: MergedItem, state: ItemState): Omit<Plainly, 'tags' | 'texts'> => {
  const fields: Record<string, unknown> = {}
  for (const name of Thing.names) {
    const held = state.fields.get(name)
    const sorted = (list: unknown[][]) => list.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
    if (held?.kind === 'register') fields[name] = [held.value, held.stamp.id]
    if (held?.kind === 'elements' && held.byTag.size > 0) fields[name] = sorted([...held.byTag])
    if (held?.kind === 'entries' && held.byKey.size > 0) {
      fields[name] = sorted(
        [...held.byKey].flatMap(([key, entries]) => entries.map(({ tag, value }) => [key, tag, value])),
      )
    }
    if (held?.kind === 'text' && held.rope.length > 0) fields[name] = held.rope.toString()
    if (held?.kind === 'elements')
      expect(held.size).toBe([...held.byTag.values()].reduce<number>((sum, value) => sum + 8 + String(value).length, 0))
    if (held?.kind === 'entries') {
      expect(held.size).toBe(
        [...held.byKey].reduce((sum, [key, entries]) => sum + entries.length * (8 + key.length), 0),
      )
    }
  }
  return { presence: state.presence.map((index) => item.graph.node(index).id).sort(), fields }
}

const visible = ({ presence, fields }: Plainly) => ({ presence, fields })

const words = ['a', 'bc', 'def', '\u{1f9f5}', 'x\u{1f9f6}y']

/** What an author might write on the value before it, and now and then what no honest author writes. */
const someOperations = (random: Random, oracle: Oracle, before: Plainly): Operation[] => {
  const hostile = random(12) === 0
  const operations: Operation[] = []
  const texts: Record<string, string> = { ...before.texts }
  const anyTag = (): string =>
    tagOf(oracle.changes.length > 0 ? pick(random, oracle.changes).id : newId(random), random(3))
  const heldTags = (name: string): string[] =>
    [...before.tags].flatMap((tag) => (tag.startsWith(`${name} `) ? [tag.slice(name.length + 1)] : []))
  for (let left = 1 + random(3); left > 0; left--) {
    const kind = random(13)
    if (kind === 0)
      operations.push({ kind: 'assign', field: 'title', value: hostile ? 'far too long' : pick(random, words) })
    if (kind === 1)
      operations.push({ kind: 'assign', field: 'count', value: random(4) === 0 ? undefined : random(100) })
    if (kind === 2)
      operations.push({
        kind: 'assign',
        field: pick(random, ['done', hostile ? 'tags' : 'done']),
        value: random(2) === 0,
      })
    if (kind === 3) operations.push({ kind: 'assign', field: 'due', value: random(2) === 0 ? null : random(1e9) })
    if (kind === 4 || kind === 5)
      operations.push({ kind: 'add', field: 'tags', value: random(6) === 0 ? undefined : pick(random, words) })
    if (kind === 6) {
      const tags = random(4) === 0 ? [anyTag(), anyTag()] : heldTags('tags').filter(() => random(2) === 0)
      if (tags.length > 0) operations.push({ kind: 'remove', field: 'tags', tags })
    }
    if (kind === 7 || kind === 8) {
      operations.push({
        kind: 'put',
        field: 'marks',
        entry: random(8) === 0 ? undefined : [pick(random, ['k', 'l']), random(50)],
      })
    }
    if (kind === 9) {
      const tags = random(4) === 0 ? [anyTag(), anyTag()] : heldTags('marks').filter(() => random(2) === 0)
      if (tags.length > 0) operations.push({ kind: 'drop', field: 'marks', tags })
    }
    if (kind === 10 || kind === 11) {
      const field = pick(random, ['notes', 'notes', 'more'])
      const now = texts[field] ?? ''
      const whole = (at: number) => (/^[\udc00-\udfff]/.test(now.slice(at)) ? at - 1 : at)
      const at = hostile ? random(now.length + 3) : whole(random(now.length + 1))
      const end = hostile ? at + random(3) : Math.max(at, whole(Math.min(now.length, at + random(4))))
      const inserted = random(3) === 0 && end > at ? '' : pick(random, words)
      operations.push({
        kind: 'splice',
        field,
        at,
        remove: end - at,
        length: inserted.length,
        insert: inserted,
      })
      texts[field] = now.slice(0, at) + inserted + now.slice(end)
    }
    if (kind === 12) operations.push(random(2) === 0 ? { kind: 'delete' } : { kind: 'touch' })
  }
  return operations
}

/** Authors edit what they see, take in what others have, and learn of some verdicts. */
const someHistory = (
  seed: number,
  count: number,
  withDead: boolean,
  withErased = false,
): { oracle: Oracle; random: Random; whole: Map<string, Written> } => {
  const random = seeded(seed)
  const oracle = new Oracle(Thing)
  const authors = Array.from({ length: 2 + random(3) }, () => ({ heads: [] as readonly string[], seen: -1 }))
  const whole = new Map<string, Written>()
  let verdicts = 0
  while (oracle.changes.length < count) {
    const author = pick(random, authors)
    if (random(3) === 0) {
      const other = pick(random, authors)
      const all = [...new Set([...author.heads, ...other.heads])]
      // Not every author is so kind as to leave out what other parents build on.
      const isLoose = random(10) === 0
      author.heads = isLoose
        ? all
        : all.filter((head) => !all.some((one) => one !== head && oracle.past([one]).has(head)))
      author.seen = Math.max(author.seen, other.seen)
      continue
    }
    if (withDead && oracle.changes.length > 0 && random(4) === 0) {
      const { id } = pick(random, oracle.changes)
      if (!oracle.verdicts.has(id)) oracle.void(id, verdicts++)
      if (random(3) > 0) author.seen = verdicts - 1
    }
    if (withErased && oracle.changes.length > 0 && random(4) === 0) {
      oracle.erase(pick(random, oracle.changes).id, verdicts++)
      if (random(2) > 0) author.seen = verdicts - 1
    }
    const clocks = oracle.changes.filter(({ id }) => author.heads.includes(id)).map(({ clock }) => clock)
    const before = oracle.value(author.heads, author.seen)
    const change: Written = {
      id: newId(random),
      clock: Math.max(0, ...clocks) + 1 + random(3),
      parents: [...author.heads].sort(),
      operations: random(15) === 0 ? [] : someOperations(random, oracle, before),
      seen: author.seen,
      refused: withDead && random(15) === 0,
    }
    oracle.add(change)
    whole.set(change.id, change)
    author.heads = [change.id]
  }
  return { oracle, random, whole }
}

const deny = () => refusal('NotAllowed')

const countAll = (item: MergedItem, changes: readonly Written[]): void => {
  for (const change of changes) countOne(item, change)
}

const countOne = (item: MergedItem, { refused, ...change }: Written): void => {
  const parents = change.parents.map((parent) => item.graph.indexOf(parent) ?? -1)
  item.count({ ...change, parents }, refused === true ? deny : undefined)
}

const indices = (item: MergedItem, ids: readonly string[]): number[] => ids.map((id) => item.graph.indexOf(id) ?? -1)

/** The changes in another order that their parents allow. */
const reordered = (random: Random, changes: readonly Written[]): Written[] => {
  const open = [...changes]
  const done = new Set<string>()
  const ordered: Written[] = []
  while (open.length > 0) {
    const ready = open.filter(({ parents }) => parents.every((parent) => done.has(parent)))
    const next = pick(random, ready)
    open.splice(open.indexOf(next), 1)
    done.add(next.id)
    ordered.push(next)
  }
  return ordered
}

const compare = (seed: number, count: number, withDead: boolean, withErased = false): void => {
  const { oracle, random } = someHistory(seed, count, withDead, withErased)
  const whole = visible(oracle.value(oracle.heads()))
  for (let round = 0; round < 3; round++) {
    const message = `seed ${seed}, round ${round}`
    const item = new MergedItem('key', Thing)
    const asks = round === 0 ? 0 : round === 1 ? 1 : 2
    const late = [...oracle.verdicts].sort((a, b) => a[1] - b[1])
    let older: { heads: readonly number[]; state: ItemState } = { heads: [], state: item.value() }
    const follow = (): void => {
      const { state, texts } = item.since(older.heads, older.state)
      for (const field of ['notes', 'more']) {
        const moved = applySplices(ropeOf(older.state, field), texts.get(field) ?? [])
        expect(moved?.toString(), `${message}: since, ${field}`).toBe(ropeOf(state, field).toString())
      }
      older = { heads: [...item.heads], state }
    }
    const rule = (all: boolean): void => {
      for (const verdict of [...late]) {
        const index = item.graph.indexOf(verdict[0])
        if (index === undefined || (!all && random(2) === 0)) continue
        late.splice(late.indexOf(verdict), 1)
        item.void(index, verdict[1])
      }
    }
    for (const change of reordered(random, oracle.changes)) {
      countOne(item, change)
      if (random(3) === 0) rule(false)
      if (asks === 1 || (asks === 2 && random(3) === 0)) follow()
    }
    rule(true)
    follow()
    expect(plainly(item, item.value()), message).toEqual(whole)
    const fresh = new MergedItem('key', Thing)
    countAll(fresh, oracle.changes)
    for (const [id, position] of oracle.verdicts) fresh.void(fresh.graph.indexOf(id) ?? -1, position)
    for (const tested of [item, fresh]) {
      for (const { id } of oracle.changes) {
        const index = tested.graph.indexOf(id) ?? -1
        expect(tested.graph.node(index).inapplicable, `${message}: inapplicable`).toBe(!oracle.isApplicable(id))
        expect(plainly(tested, tested.before(index)), `${message}: before`).toEqual(visible(oracle.before(id)))
      }
      for (let ask = 0; ask < 3; ask++) {
        const heads = [...new Set([pick(random, oracle.changes).id, pick(random, oracle.changes).id])]
        expect(plainly(tested, tested.at(indices(tested, heads))), `${message}: at`).toEqual(
          visible(oracle.value(heads)),
        )
      }
    }
    expect(plainly(fresh, fresh.value()), message).toEqual(whole)
  }
}

describe('the value of an item', () => {
  test('[M1] [M2] [M3] [M4] [M5] [M6] [V2] is what the oracle says, in any order of admission, at any version, whenever it was asked for', () => {
    for (let seed = 1; seed <= 250; seed++) compare(seed, 3 + (seed % 12), false)
  })

  test('[V4] [V6] is so with dead changes, whenever their verdicts came', () => {
    for (let seed = 1; seed <= 250; seed++) compare(seed, 3 + (seed % 12), true)
  })

  test('is so with erased changes, whoever had seen them and whatever they removed', () => {
    for (let seed = 1; seed <= 500; seed++) compare(seed, 3 + (seed % 14), seed % 2 === 0, true)
  })

  test('is what it was, without what was erased: the same as with the content held and marked as deleted', () => {
    let compared = 0
    for (let seed = 1; seed <= 1_000; seed++) {
      const { oracle, whole } = someHistory(seed, 3 + (seed % 14), seed % 2 === 0, true)
      const held = new Oracle(Thing)
      for (const { id, refused, erased } of oracle.changes) {
        const change = whole.get(id)
        if (change !== undefined) held.add({ ...change, refused, erased })
      }
      for (const [id, position] of oracle.verdicts) held.void(id, position)
      const settled = oracle.changes.filter((change) => change.settled === true && !change.refused)
      for (const { id } of settled) expect(oracle.isApplicable(id), `seed ${seed}: settled`).toBe(true)
      // An unsettled change may be judged otherwise by whoever holds the content.
      if (oracle.changes.some(({ id }) => oracle.isNever(id) !== held.isNever(id))) continue
      const item = new MergedItem('key', Thing)
      countAll(item, oracle.changes)
      for (const [id, position] of oracle.verdicts) item.void(item.graph.indexOf(id) ?? -1, position)
      for (const field of ['notes', 'more']) {
        const text = ropeOf(item.value(), field).toString()
        expect(text, `seed ${seed}`).toBe(held.value(held.heads()).texts[field])
        expect(text, `seed ${seed}`).not.toMatch(/\p{Surrogate}/u)
        if (oracle.changes.some(({ erased }) => erased !== undefined)) compared++
      }
    }
    expect(compared).toBeGreaterThan(1_000)
  })

  test('is the same in every order of admission there is', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const { oracle } = someHistory(seed, 4 + (seed % 3), true, seed % 2 === 0)
      const whole = visible(oracle.value(oracle.heads()))
      const walk = (ordered: readonly Written[], left: readonly Written[]): void => {
        if (left.length === 0) {
          const item = new MergedItem('key', Thing)
          countAll(item, ordered)
          for (const [id, position] of oracle.verdicts) item.void(item.graph.indexOf(id) ?? -1, position)
          expect(plainly(item, item.value()), `seed ${seed}`).toEqual(whole)
        }
        for (const next of left) {
          if (left.some((other) => next.parents.includes(other.id))) continue
          walk(
            [...ordered, next],
            left.filter((other) => other !== next),
          )
        }
      }
      walk([], oracle.changes)
    }
  })
})

/** A history by hand. Ids are one hex digit over and over, clocks count up. */
const itemOf = (changes: Record<string, { on: string; does: Operation[]; seen?: number }>) => {
  const item = new MergedItem('key', Thing)
  let clock = 0
  const refusals: Record<string, string | undefined> = {}
  for (const [name, { on, does, seen = -1 }] of Object.entries(changes)) {
    const parents = [...on].map((parent) => item.graph.indexOf(parent.repeat(64)) ?? -1)
    refusals[name] = item.count({ id: name.repeat(64), clock: ++clock, parents, operations: does, seen }).refusal?.about
  }
  return { item, refusals, at: (name: string) => item.graph.indexOf(name.repeat(64)) ?? -1 }
}
const tag = (name: string, index = 0) => tagOf(name.repeat(64), index)
const titles = (item: MergedItem) => {
  const held = item.value().fields.get('title')
  return held?.kind === 'register' ? held.value : undefined
}

describe('rules', () => {
  const add: Operation = { kind: 'add', field: 'tags', value: 'x' }
  const put = (value: number): Operation => ({ kind: 'put', field: 'marks', entry: ['k', value] })
  const insert = (value: string, at = 0): Operation => ({
    kind: 'splice',
    field: 'notes',
    at,
    remove: 0,
    length: value.length,
    insert: value,
  })

  test('[M5] a removal that names an element its author did not see does nothing, in either order', () => {
    const remove: Operation = { kind: 'remove', field: 'tags', tags: [tag('a')] }
    const first = itemOf({ a: { on: '', does: [add] }, b: { on: '', does: [remove] } }).item
    const second = itemOf({ b: { on: '', does: [remove] }, a: { on: '', does: [add] } }).item
    for (const item of [first, second]) expect(plainly(item, item.value()).fields).toEqual({ tags: [[tag('a'), 'x']] })
  })

  test('[M5] so does a drop, and one that names what stands in another field', () => {
    const drop: Operation = { kind: 'drop', field: 'marks', tags: [tag('a'), tag('a', 1)] }
    const first = itemOf({ a: { on: '', does: [put(1), add] }, b: { on: '', does: [drop] } }).item
    const second = itemOf({ b: { on: '', does: [drop] }, a: { on: '', does: [put(1), add] } }).item
    for (const item of [first, second]) {
      expect(plainly(item, item.value()).fields).toEqual({ marks: [['k', tag('a'), 1]], tags: [[tag('a', 1), 'x']] })
    }
    const wrong = itemOf({
      a: { on: '', does: [put(1)] },
      b: { on: 'a', does: [{ kind: 'remove', field: 'tags', tags: [tag('a')] }] },
    }).item
    expect(plainly(wrong, wrong.value()).fields).toEqual({ marks: [['k', tag('a'), 1]] })
  })

  test('a tag named in the wrong field and in the right one is removed from the right one', () => {
    const does: Operation[] = [
      { kind: 'remove', field: 'tags', tags: [tag('a')] },
      { kind: 'drop', field: 'marks', tags: [tag('a')] },
    ]
    const { item } = itemOf({ a: { on: '', does: [put(1)] }, b: { on: 'a', does } })
    expect(plainly(item, item.value()).fields).toEqual({})
  })

  test('of two writes of one change to one place the last counts, alone and merged', () => {
    const does: Operation[] = [
      { kind: 'assign', field: 'title', value: 'one' },
      { kind: 'assign', field: 'title', value: 'two' },
      put(1),
      put(2),
    ]
    const alone = itemOf({ a: { on: '', does } }).item
    const merged = itemOf({ b: { on: '', does: [add] }, a: { on: '', does } }).item
    for (const item of [alone, merged]) {
      expect(titles(item)).toBe('two')
      const marks = item.value().fields.get('marks')
      expect(marks?.kind === 'entries' && winner(marks.byKey.get('k') ?? [])?.value).toBe(2)
      expect(marks?.kind === 'entries' && marks.byKey.get('k')?.length).toBe(1)
    }
  })

  test('[V4] a change that cites a verdict is judged as its author saw it, also when it was counted before the verdict', () => {
    const gone: Operation = { kind: 'splice', field: 'notes', at: 0, remove: 3, length: 0, insert: '' }
    // c builds on b, which removes all; its author knew that b is void and wrote at the end of what b removed.
    const { item, refusals, at } = itemOf({
      a: { on: '', does: [insert('abc')] },
      b: { on: 'a', does: [gone] },
      c: { on: 'b', does: [insert('d', 3)], seen: 7 },
      d: { on: 'c', does: [insert('e', 4)], seen: 7 },
    })
    expect(refusals).toEqual({ a: undefined, b: undefined, c: 'notes', d: 'notes' })
    item.void(at('b'), 7)
    expect(ropeOf(item.value(), 'notes').toString()).toBe('abcde')
  })

  test('[V4] the verdict with the lower position stands, whichever came first', () => {
    const history = {
      a: { on: '', does: [insert('abc')] },
      b: { on: 'a', does: [insert('d', 3)] },
      c: { on: 'b', does: [insert('e', 3)], seen: 4 },
    }
    for (const positions of [
      [4, 9],
      [9, 4],
    ]) {
      const { item, at } = itemOf(history)
      for (const position of positions) item.void(at('b'), position)
      expect(ropeOf(item.before(at('c')), 'notes').toString()).toBe('abc')
    }
  })

  test('[M6] an edit that its author made without knowing of a deletion revives; one that knew restores', () => {
    const touch: Operation = { kind: 'touch' }
    const deleted = itemOf({ a: { on: '', does: [touch] }, b: { on: 'a', does: [{ kind: 'delete' }] } }).item
    expect(isPresent(deleted.value())).toBe(false)
    const revived = itemOf({
      a: { on: '', does: [touch] },
      b: { on: 'a', does: [{ kind: 'delete' }] },
      c: { on: 'a', does: [add] },
    }).item
    expect(isPresent(revived.value())).toBe(true)
    const joined = itemOf({
      a: { on: '', does: [touch] },
      b: { on: 'a', does: [{ kind: 'delete' }] },
      c: { on: 'b', does: [] },
    }).item
    expect(isPresent(joined.value())).toBe(false)
  })

  test('[V2] no field grows beyond its limit; what concurrent edits took beyond it can still shrink', () => {
    const half = 'x'.repeat(limits.itemBytes / 2)
    const { refusals } = itemOf({
      a: { on: '', does: [insert(half)] },
      b: { on: 'a', does: [insert(half)] },
      c: { on: 'a', does: [insert('y')] },
      d: { on: 'b', does: [insert('z')] },
      e: { on: 'bc', does: [insert('z')] },
      f: { on: 'bc', does: [{ kind: 'splice', field: 'notes', at: 0, remove: 1, length: 1, insert: 'z' }] },
    })
    expect(refusals).toMatchObject({
      a: undefined,
      b: undefined,
      c: undefined,
      d: 'more than a field holds',
      e: 'more than a field holds',
      f: undefined,
    })
    const long = 'x'.repeat(65_000)
    const adds = (count: number): Operation[] =>
      Array.from({ length: count }, () => ({ kind: 'add', field: 'tags', value: long }))
    const sets = itemOf({ a: { on: '', does: adds(16) }, b: { on: 'a', does: adds(1) }, c: { on: '', does: adds(17) } })
    expect(sets.refusals).toEqual({ a: undefined, b: 'more than a field holds', c: 'more than a field holds' })
  })

  test('[V6] what is refused for another reason does nothing, also when a verdict has it judged anew', () => {
    const { item, at } = itemOf({ a: { on: '', does: [insert('abc')] } })
    item.count({ id: 'b'.repeat(64), clock: 9, parents: [0], operations: [insert('no')], seen: 5 }, deny)
    expect(ropeOf(item.value(), 'notes').toString()).toBe('abc')
    item.void(at('a'), 5)
    expect(ropeOf(item.value(), 'notes').toString()).toBe('')
    expect(item.graph.node(1).refused).toBe(true)
  })
})

describe('large graphs', () => {
  const idOf = (index: number): string => index.toString(16).padStart(64, '0')
  const does = (index: number): Operation[] => [
    { kind: 'assign', field: 'count', value: index },
    { kind: 'put', field: 'marks', entry: ['k', index] },
    { kind: 'add', field: 'tags', value: `t${index}` },
  ]

  test('ten thousand concurrent heads', () => {
    const item = new MergedItem('key', Thing)
    const count = 10_000
    for (let index = 0; index < count; index++) {
      item.count({ id: idOf(index), clock: 5, parents: index === 0 ? [] : [0], operations: does(index), seen: -1 })
    }
    const { presence, fields } = item.value()
    expect(presence.length).toBe(count - 1)
    const [held, tags] = [fields.get('count'), fields.get('tags')]
    expect(held?.kind === 'register' && held.value).toBe(count - 1)
    expect(tags?.kind === 'elements' && tags.byTag.size).toBe(count)
  }, 60_000)

  test('a ladder of ten thousand diamonds, and a verdict at its foot', () => {
    const item = new MergedItem('key', Thing)
    const rungs = 10_000
    const letter = (index: number): Operation => ({
      kind: 'splice',
      field: 'notes',
      at: 0,
      remove: 0,
      length: 1,
      insert: String(index % 10),
    })
    let [next, feet] = [0, [] as number[]]
    const add = (parents: number[], operations: Operation[]): number =>
      item.count({ id: idOf(next), clock: ++next, parents, operations, seen: -1 }).node.index
    for (let rung = 0; rung < rungs; rung++) feet = [add([add(feet, [letter(1)]), add(feet, [letter(2)])], [letter(3)])]
    expect(ropeOf(item.value(), 'notes').length).toBe(3 * rungs)
    item.void(1, 4)
    expect(ropeOf(item.value(), 'notes').length).toBe(3 * rungs - 1)
  }, 60_000)
})
