import { expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import type { Commit } from '../commit/commit.ts'
import type { ItemName } from '../sync/recall.ts'
import { Recall, type Recaller } from './recall.ts'

const schema = '5c'.repeat(32)
const card: ItemName = { schema, key: 'card' }

/** A commit that changes these items, each building on these. */
const commitOf = (id: string, changed: Record<string, readonly string[]>, bytes = 10): Commit => ({
  id,
  chain: 'c',
  network: '',
  repository: '',
  session: '',
  incarnation: '',
  seq: 0,
  prev: null,
  clock: Number(id.slice(1)),
  policy: { root: { epoch: 0, n: 0, hash: '' }, authority: null },
  atomic: false,
  extended: false,
  signature: new Uint8Array(0),
  bytes: new Uint8Array(bytes),
  changes: Object.entries(changed).map(([key, parents]) => ({
    key,
    parents,
    schema: { name: 'card', version: 1, hash: schema },
    operations: [],
    erased: false,
  })),
})

/** c3 and c2 beside each other after c1, joined by c4, the last that was dropped. */
const history = [
  commitOf('c1', { card: [] }),
  commitOf('c2', { card: ['c1'], other: [] }),
  commitOf('c3', { card: ['c1'] }),
  commitOf('c4', { card: ['c2', 'c3'] }),
]

const scene = (last: ReadonlyMap<string, string> = new Map([['card', 'c4']])) => {
  const adopted: [string, string[]][] = []
  const incidents: string[] = []
  const timers: { readonly ms: number; readonly run: () => void }[] = []
  const held = new Map<string, Commit>()
  const recall = new Recall({
    commit: (id) => held.get(id),
    last: ({ key }) => last.get(key),
    adopt: ({ key }, commits) => adopted.push([key, commits.map(({ id }) => id)]),
    isErased: () => false,
    incident: ({ code, about }) => incidents.push(`${code} ${about}`),
    timer: (ms, run) => {
      const timer = { ms, run }
      timers.push(timer)
      return () => timers.splice(timers.indexOf(timer), 1)
    },
  })
  const peer = (isOfAuthority: boolean) => {
    const asked: string[][] = []
    const recaller: Recaller = { isOfAuthority, recall: (items) => asked.push(items.map(({ key }) => key)) }
    return { asked, recaller }
  }
  return { recall, adopted, incidents, timers, held, peer }
}

test('the history comes from the authority, whole and in causal order', () => {
  const { recall, adopted, incidents, peer } = scene()
  const [server, neighbour] = [peer(true), peer(false)]
  recall.join(neighbour.recaller)
  recall.join(server.recaller)
  recall.want(card)
  recall.want(card)
  expect([server.asked, neighbour.asked]).toEqual([[['card']], []])
  for (const commit of history.toReversed()) recall.collect(server.recaller, commit)
  recall.answered(server.recaller)
  expect(adopted).toEqual([['card', ['c1', 'c2', 'c3', 'c4']]])
  expect(incidents).toEqual(['HistoryDropped card'])
  recall.done(card)
  expect([...recall.wanted]).toEqual([])
})

test('what is here already need not come', () => {
  const { recall, adopted, held, peer } = scene()
  const server = peer(true)
  recall.join(server.recaller)
  recall.want(card)
  for (const commit of history) commit.id === 'c2' ? held.set('c2', commit) : recall.collect(server.recaller, commit)
  recall.answered(server.recaller)
  expect(adopted).toEqual([['card', ['c1', 'c2', 'c3', 'c4']]])
})

test('one commit missing, or one that is not of the item, and nothing is taken', () => {
  for (const missing of history) {
    const { recall, adopted, peer } = scene()
    const server = peer(true)
    recall.join(server.recaller)
    recall.want(card)
    for (const commit of history) if (commit !== missing) recall.collect(server.recaller, commit)
    recall.collect(server.recaller, commitOf(missing.id, { other: missing.changes[0]?.parents ?? [] }))
    recall.answered(server.recaller)
    expect(adopted).toEqual([])
    expect([...recall.wanted]).toEqual([card])
  }
})

test('what nothing leads to is left out', () => {
  const { recall, adopted, peer } = scene()
  const server = peer(true)
  recall.join(server.recaller)
  recall.want(card)
  for (const commit of [...history, commitOf('c5', { card: ['c4'] }), commitOf('c0', { card: [] })])
    recall.collect(server.recaller, commit)
  recall.answered(server.recaller)
  expect(adopted).toEqual([['card', ['c1', 'c2', 'c3', 'c4']]])
})

test('whoever was not asked brings nothing', () => {
  const { recall, adopted, peer } = scene()
  const [server, stranger] = [peer(true), peer(false)]
  recall.join(server.recaller)
  recall.join(stranger.recaller)
  recall.want(card)
  for (const commit of history) recall.collect(stranger.recaller, commit)
  recall.answered(stranger.recaller)
  recall.answered(server.recaller)
  expect(adopted).toEqual([])
})

test('whoever has it is asked after whoever has not, and all again after a while', () => {
  const { recall, adopted, timers, peer } = scene()
  const [server, neighbour] = [peer(true), peer(false)]
  recall.join(neighbour.recaller)
  recall.join(server.recaller)
  recall.want(card)
  recall.answered(server.recaller)
  expect(neighbour.asked).toEqual([['card']])
  recall.answered(neighbour.recaller)
  expect(timers.map(({ ms }) => ms)).toEqual([5_000])
  timers[0]?.run()
  expect(server.asked).toEqual([['card'], ['card']])
  // It goes away in the middle of its answer.
  recall.leave(server.recaller)
  expect(neighbour.asked).toEqual([['card'], ['card']])
  for (const commit of history) recall.collect(neighbour.recaller, commit)
  recall.answered(neighbour.recaller)
  expect(adopted.length).toBe(1)
})

test('questions hold so many items, one after the other', () => {
  const names = Array.from({ length: limits.recallItems + 1 }, (_, index) => `k${index}`)
  const { recall, peer } = scene(new Map(names.map((name) => [name, 'c4'])))
  const server = peer(true)
  for (const key of names) recall.want({ schema, key })
  recall.join(server.recaller)
  expect(server.asked.map(({ length }) => length)).toEqual([limits.recallItems])
  recall.answered(server.recaller)
  expect(server.asked.map(({ length }) => length)).toEqual([limits.recallItems, 1])
})

test('an answer without end is given up', () => {
  const { recall, adopted, incidents, peer } = scene()
  const server = peer(true)
  recall.join(server.recaller)
  recall.want(card)
  for (const commit of history) recall.collect(server.recaller, commit)
  recall.collect(server.recaller, commitOf('c9', { other: [] }, limits.recalledBytes))
  expect(incidents).toEqual(['HistoryDropped card', 'TooLarge history that was asked for'])
  recall.answered(server.recaller)
  expect(adopted).toEqual([])
})

test('who waits for it hears when it is here, that nobody is there, that nobody has it, and that it was closed', async () => {
  const { recall, peer } = scene()
  await expect(recall.bring(card)).rejects.toMatchObject({ code: 'Unreachable' })
  await expect(recall.bring({ schema, key: 'whole' })).resolves.toBe(undefined)
  const server = peer(true)
  recall.join(server.recaller)
  const none = recall.bring(card)
  recall.answered(server.recaller)
  await expect(none).rejects.toMatchObject({ code: 'HistoryDropped' })
  const neighbour = peer(false)
  recall.join(neighbour.recaller)
  const brought = recall.bring(card)
  for (const commit of history) recall.collect(neighbour.recaller, commit)
  recall.answered(neighbour.recaller)
  recall.done(card)
  await expect(brought).resolves.toBe(undefined)
  const last = peer(true)
  recall.join(last.recaller)
  const closed = recall.bring(card)
  recall.close()
  await expect(closed).rejects.toMatchObject({ code: 'Closed' })
})
