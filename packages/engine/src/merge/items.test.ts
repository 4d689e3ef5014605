import { expect, test } from 'vitest'
import { refusal } from '../bytes/refusal.ts'
import type { Change, Commit } from '../commit/commit.ts'
import { string } from '../schema/field.ts'
import { schema } from '../schema/schema.ts'
import { MergedItem } from './item.ts'
import { MergedItems } from './items.ts'
import { isPresent } from './state.ts'

const Card = schema('card', 1, { title: string() })

const change = (key: string, title: string): Change => ({
  key,
  parents: [],
  schema: { name: 'card', version: 1, hash: 'cd'.repeat(32) },
  operations: [{ kind: 'touch' }, { kind: 'assign', field: 'title', value: title }],
  erased: false,
})

const commitOf = (id: string, changes: readonly Change[], seen: number): Commit => ({
  network: '00'.repeat(32),
  repository: '/board/one',
  session: '11'.repeat(32),
  incarnation: '22'.repeat(8),
  seq: 0,
  prev: null,
  clock: 7,
  policy: { root: { epoch: 0, n: 0, hash: '00'.repeat(32) }, authority: { epoch: 0, n: seen, hash: '00'.repeat(32) } },
  atomic: false,
  extended: false,
  chain: '11'.repeat(32) + '22'.repeat(8),
  signature: new Uint8Array(64),
  bytes: new Uint8Array(0),
  id,
  changes,
})

test('an item that was kept as its commit is what counting the change makes of it', () => {
  const items = new MergedItems(Card)
  const commit = commitOf('01'.repeat(32), [change('a', 'one'), change('b', 'two')], 4)
  for (const one of commit.changes) items.begin(commit, one, undefined)
  expect([...items.keys()]).toEqual(['a', 'b'])
  const counted = new MergedItem('b', Card)
  counted.count({
    id: commit.id,
    clock: 7,
    parents: [],
    operations: [{ kind: 'touch' }, { kind: 'assign', field: 'title', value: 'two' }],
    seen: 4,
  })
  const merged = items.get('b')
  expect(merged?.value()).toEqual(counted.value())
  expect(merged?.graph.node(0)).toEqual(counted.graph.node(0))
  expect(items.get('b')).toBe(merged)
  expect(items.open('b')).toBe(merged)
  expect([...items].map(([key, { heads }]) => [key, [...heads]])).toEqual([
    ['a', [0]],
    ['b', [0]],
  ])
})

test('a change that the rules refuse is there and counts for nobody', () => {
  const items = new MergedItems(Card)
  const [one, other] = [change('a', 'one'), change('b', 'two')]
  const commit = commitOf('01'.repeat(32), [one, other], 0)
  items.begin(commit, one, refusal('NotAllowed', 'a'))
  items.begin(commit, other, undefined)
  expect([...items].map(([, item]) => isPresent(item.value()))).toEqual([false, true])
  expect(items.get('a')?.graph.node(0).refused).toBe(true)
})

test('what is counted again keeps its place, and an item that somebody holds stays the same one', () => {
  const items = new MergedItems(Card)
  const [one, other] = [change('a', 'one'), change('b', 'two')]
  const commit = commitOf('01'.repeat(32), [one, other], 0)
  for (const each of [one, other]) items.begin(commit, each, undefined)
  const held = items.get('b')
  items.clear()
  expect([...items].map(([key, item]) => [key, isPresent(item.value())])).toEqual([
    ['a', false],
    ['b', false],
  ])
  expect([items.get('b') === held, [...items.keys()].length, items.has('c')]).toEqual([true, 2, false])
})
