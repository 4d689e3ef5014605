import { describe, expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { refusal } from '../bytes/refusal.ts'
import { type Change, type Commit, clockTicks } from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import { isPresent, ropeOf, winner } from '../merge/state.ts'
import { boolean, map, number, set, string, text } from '../schema/field.ts'
import { type Schema, schema } from '../schema/schema.ts'
import { Counting, type CountingRules } from './counting.ts'

const Card = schema('card', 1, {
  title: string(),
  done: boolean(),
  tags: set(string()),
  votes: map(number()),
  notes: text(),
})
const hash = 'cd'.repeat(32)

/** mulberry32 (Tommy Ettinger): small, and good enough to choose with. */
const random = (seed: number) => {
  let state = seed
  const unit = (): number => {
    state += 0x6d2b79f5
    state |= 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const int = (limit: number): number => Math.floor(unit() * limit)
  return {
    int,
    chance: (probability: number): boolean => unit() < probability,
    pick: <Item>(items: readonly Item[]): Item => items[int(items.length)] as Item,
    id: (): string =>
      Array.from({ length: 8 }, () =>
        int(2 ** 32)
          .toString(16)
          .padStart(8, '0'),
      ).join(''),
  }
}

const now = 1_000_000

const rules = (changes: Partial<CountingRules> = {}): CountingRules => ({
  schema: (of) => (of === hash ? Card : undefined),
  policyKnown: () => true,
  now: () => now,
  isOwn: () => false,
  isDecided: () => false,
  full: () => undefined,
  undecided: () => undefined,
  authorize: () => undefined,
  ...changes,
})

const commitOf = (fields: Partial<Commit> & { id: string; changes: readonly Change[] }): Commit => ({
  network: '00'.repeat(32),
  repository: '/board/one',
  session: '11'.repeat(32),
  incarnation: '22'.repeat(8),
  seq: 0,
  prev: null,
  clock: now * clockTicks,
  policy: { root: { epoch: 0, n: 0, hash: '00'.repeat(32) }, authority: null },
  atomic: false,
  extended: false,
  chain: '11'.repeat(32) + '22'.repeat(8),
  signature: new Uint8Array(64),
  bytes: new Uint8Array(0),
  ...fields,
})

const change = (key: string, parents: readonly string[], operations: readonly Operation[], of = hash): Change => ({
  key,
  parents: [...parents].sort(),
  schema: { name: 'card', version: 1, hash: of },
  operations,
  erased: false,
})

const touch: Operation = { kind: 'touch' }

/** Everything there is to see of an item, in an order of its own. */
const shown = (counting: Counting): string => {
  const items = [...(counting.items.get(hash) ?? [])].map(([key, item]) => {
    const state = item.value()
    const fields = [...state.fields].map(([name, field]) => {
      if (field.kind === 'register') return [name, field.value, field.stamp.id]
      if (field.kind === 'elements') return [name, [...field.byTag].sort()]
      if (field.kind === 'text') return [name, field.rope.toString()]
      return [
        name,
        [...field.byKey].map(([entry, puts]) => [entry, winner(puts)?.value, puts.map(({ tag }) => tag).sort()]).sort(),
      ]
    })
    return [key, isPresent(state), fields.sort(), item.heads.map((index) => item.graph.node(index).id).sort()]
  })
  return JSON.stringify(items.sort())
}

/** Commits by several authors who see each other's late, all kinds of fields, some of them dead, in the order they were made. */
const history = (seed: number, length: number, authorize: CountingRules['authorize']): Commit[] => {
  const draw = random(seed)
  const made: Commit[] = []
  const authors = Array.from({ length: 3 }, () => ({
    counting: new Counting(rules({ authorize }), () => undefined),
    seen: 0,
  }))
  let clock = now * clockTicks - 100_000
  while (made.length < length) {
    const author = draw.pick(authors)
    // What an author sees is a prefix: closed under causality.
    const until = author.seen + draw.int(made.length - author.seen + 1)
    for (; author.seen < until; author.seen++) author.counting.count(made[author.seen] as Commit)
    if (author.seen < made.length && draw.chance(0.3)) continue
    const keys = ['a', 'b', 'c'].filter(() => draw.chance(0.5))
    const changes = keys.map((key) => changeBy(draw, author.counting, key))
    if (changes.length === 0) continue
    clock += draw.int(3)
    // Authors with a view of their own may not see each other's newest: they all wait until it was handed out.
    const commit = commitOf({ id: draw.id(), clock: clock + 1, changes, atomic: draw.chance(0.3) })
    clock = commit.clock
    made.push(commit)
  }
  return made
}

const changeBy = (draw: ReturnType<typeof random>, counting: Counting, key: string): Change => {
  const item = counting.item(key, hash)
  const state = item?.value()
  const parents = item?.heads.map((index) => item.graph.node(index).id) ?? []
  const operations: Operation[] = parents.length === 0 ? [touch] : []
  const kinds = 1 + draw.int(3)
  for (let count = 0; count < kinds; count++) {
    const kind = draw.int(9)
    const tags = state?.fields.get('tags')
    const votes = state?.fields.get('votes')
    if (kind === 0) operations.push({ kind: 'assign', field: 'title', value: `title ${draw.int(99)}` })
    else if (kind === 1) operations.push({ kind: 'assign', field: 'done', value: draw.chance(0.5) })
    else if (kind === 2) operations.push({ kind: 'add', field: 'tags', value: draw.pick(['x', 'y']) })
    else if (kind === 3 && tags?.kind === 'elements' && tags.byTag.size > 0) {
      operations.push({ kind: 'remove', field: 'tags', tags: [draw.pick([...tags.byTag.keys()])] })
    } else if (kind === 4) operations.push({ kind: 'put', field: 'votes', entry: [draw.pick(['m', 'n']), draw.int(9)] })
    else if (kind === 5 && votes?.kind === 'entries' && votes.byKey.size > 0) {
      operations.push({
        kind: 'drop',
        field: 'votes',
        tags: draw.pick([...votes.byKey.values()]).map(({ tag }) => tag),
      })
    } else if (kind === 6 && draw.chance(0.2)) operations.push({ kind: 'delete' })
    else if (kind === 7 && draw.chance(0.1))
      operations.push({ kind: 'splice', field: 'notes', at: 9_999, remove: 1, length: 0, insert: '' })
    else if (!operations.some((one) => one.kind === 'splice')) {
      const { length } = state === undefined ? { length: 0 } : ropeOf(state, 'notes')
      const at = draw.int(length + 1)
      const insert = draw.pick(['', 'ab', 'xyz'])
      const remove = insert === '' ? Math.min(1, length - at) : draw.int(Math.min(3, length - at + 1))
      if (remove + insert.length > 0)
        operations.push({ kind: 'splice', field: 'notes', at, remove, length: insert.length, insert })
    }
  }
  return change(key, parents, operations)
}

/** The same commits in another order in which parents come first. */
const permuted = (commits: readonly Commit[], seed: number): Commit[] => {
  const draw = random(seed)
  const left = [...commits]
  const done = new Set<string>()
  const order: Commit[] = []
  while (left.length > 0) {
    const ready = left.filter(({ changes }) =>
      changes.every(({ parents }) => parents.every((parent) => done.has(parent))),
    )
    const next = draw.pick(ready)
    left.splice(left.indexOf(next), 1)
    done.add(next.id)
    order.push(next)
  }
  return order
}

const refusesSome: CountingRules['authorize'] = (commit) =>
  commit.id.startsWith('0') ? refusal('NotAllowed', commit.id) : undefined

describe('order', () => {
  test.each(Array.from({ length: 20 }, (_, seed) => seed))(
    'any order of admission gives the same values (seed %i)',
    (seed) => {
      const commits = history(seed, 60, refusesSome)
      const oracle = new Counting(rules({ authorize: refusesSome }), () => undefined)
      for (const commit of commits) oracle.count(commit)
      for (let other = 0; other < 6; other++) {
        const counting = new Counting(rules({ authorize: refusesSome }), () => undefined)
        for (const commit of permuted(commits, seed * 100 + other)) counting.count(commit)
        expect(counting.waiting.size).toBe(0)
        expect(shown(counting), `seed ${seed}, order ${other}`).toBe(shown(oracle))
      }
    },
  )

  test.each(Array.from({ length: 10 }, (_, seed) => seed))(
    '[V1] what is held and becomes known counts as if it always had (seed %i)',
    (seed) => {
      const commits = history(seed, 40, refusesSome)
      const oracle = new Counting(rules({ authorize: refusesSome }), () => undefined)
      for (const commit of commits) oracle.count(commit)
      const draw = random(seed)
      const unknown = new Set(commits.filter(() => draw.chance(0.3)).map(({ id }) => id))
      const policyKnown = ({ id }: Commit): boolean => !unknown.has(id)
      const counting = new Counting(rules({ authorize: refusesSome, policyKnown }), () => undefined)
      for (const commit of permuted(commits, seed)) counting.count(commit)
      expect(counting.waiting.size).toBeGreaterThan(0)
      while (unknown.size > 0) {
        for (const id of [...unknown]) if (draw.chance(0.5)) unknown.delete(id)
        counting.retry()
      }
      expect(counting.waiting.size).toBe(0)
      expect(shown(counting)).toBe(shown(oracle))
    },
  )
})

describe('what waits', () => {
  const first = commitOf({ id: '01'.repeat(32), changes: [change('a', [], [touch])] })

  test('[V1] [V5] an unknown schema holds its change, its descendants and its atomic siblings, and nothing else', () => {
    const counting = new Counting(rules(), () => undefined)
    const other = 'ef'.repeat(32)
    counting.count(
      commitOf({ id: '02'.repeat(32), changes: [change('a', [], [touch], other), change('b', [], [touch])] }),
    )
    counting.count(
      commitOf({
        id: '03'.repeat(32),
        changes: [change('a', ['02'.repeat(32)], [touch], other), change('c', [], [touch])],
        atomic: true,
      }),
    )
    counting.count(commitOf({ id: '04'.repeat(32), changes: [change('d', [], [touch])] }))
    expect([...counting.items.values()].flatMap((ofSchema) => [...ofSchema.keys()])).toEqual(['b', 'd'])
    expect([...counting.waiting.values()].map(({ why }) => why.code)).toEqual(['UnknownSchema', 'UnknownSchema'])
  })

  test('[V5] an atomic commit is dead as a whole when one change of it is', () => {
    const seen: string[] = []
    const counting = new Counting(rules(), ({ refusal: why }) => void seen.push(why?.code ?? 'alive'))
    const bad: Operation = { kind: 'splice', field: 'notes', at: 5, remove: 1, length: 0, insert: '' }
    counting.count(
      commitOf({
        id: '02'.repeat(32),
        changes: [change('a', [], [touch]), change('b', [], [touch, bad])],
        atomic: true,
      }),
    )
    counting.count(
      commitOf({ id: '03'.repeat(32), changes: [change('c', [], [touch]), change('d', [], [touch, bad])] }),
    )
    expect(seen).toEqual(['Inapplicable', 'Inapplicable', 'alive', 'Inapplicable'])
  })

  test('[V1] a clock ahead counts when its time has come, and its own author never waits', () => {
    const time = { now }
    const ahead = commitOf({
      id: '02'.repeat(32),
      clock: (now + limits.clockAhead + 500) * clockTicks,
      changes: [change('a', [], [touch])],
    })
    const counting = new Counting(rules({ now: () => time.now }), () => undefined)
    counting.count(ahead)
    expect(counting.nextDue()).toBe(now + 500)
    time.now = now + 499
    counting.retry()
    expect(counting.waiting.size).toBe(1)
    time.now = now + 500
    counting.retry()
    expect([counting.waiting.size, counting.nextDue()]).toEqual([0, undefined])
    const own = new Counting(rules({ isOwn: () => true }), () => undefined)
    own.count(ahead)
    expect(own.waiting.size).toBe(0)
    const covered = new Counting(rules({ isDecided: ({ id }) => id === ahead.id }), () => undefined)
    covered.count(ahead)
    expect(covered.waiting.size).toBe(0)
  })

  test('[V1] what waits for a parent is counted with it, without a retry, however deep', () => {
    const known = { on: false }
    const counting = new Counting(rules({ policyKnown: ({ id }) => known.on || id !== first.id }), () => undefined)
    counting.count(first)
    let parent = first.id
    for (let depth = 2; depth < 5_000; depth++) {
      const id = depth.toString(16).padStart(64, '0')
      counting.count(commitOf({ id, clock: first.clock + depth, changes: [change('a', [parent], [touch])] }))
      parent = id
    }
    expect(counting.waiting.size).toBe(4_999)
    known.on = true
    counting.count(first)
    expect(counting.waiting.size).toBe(0)
  })

  test('the pool is bounded, says once that it is full, and loses nothing for a replica that opens again', () => {
    let told = 0
    const known = { on: false }
    const of = (known_: boolean) =>
      new Counting(rules({ policyKnown: () => known_ || known.on, full: () => void told++ }), () => undefined)
    const counting = of(false)
    const commits = Array.from({ length: limits.heldChanges + 20 }, (_, index) =>
      commitOf({ id: index.toString(16).padStart(64, '0'), changes: [change(`item ${index}`, [], [touch])] }),
    )
    for (const commit of commits) counting.count(commit)
    expect([counting.waiting.size, told]).toEqual([limits.heldChanges, 1])
    known.on = true
    counting.retry()
    expect([...(counting.items.get(hash)?.keys() ?? [])]).toHaveLength(limits.heldChanges)
    const again = of(true)
    for (const commit of commits) again.count(commit)
    expect([...(again.items.get(hash)?.keys() ?? [])]).toHaveLength(limits.heldChanges + 20)
  })

  test('an item of a schema this replica has is untouched by one key under another schema', () => {
    const two: Schema = schema('note', 1, { title: string() })
    const counting = new Counting(
      rules({ schema: (of) => (of === hash ? Card : of === 'aa'.repeat(32) ? two : undefined) }),
      () => undefined,
    )
    counting.count(first)
    counting.count(commitOf({ id: '05'.repeat(32), changes: [change('a', [], [touch], 'aa'.repeat(32))] }))
    expect(counting.item('a', hash)?.heads.length).toBe(1)
    expect(counting.item('a', 'aa'.repeat(32))?.heads.length).toBe(1)
  })
})
