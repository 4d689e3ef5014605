import { describe, expect, test } from 'vitest'
import type { Change, Commit } from '../commit/commit.ts'
import { Commits, type Head } from './commits.ts'

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

const changeOf = (key: string, parents: readonly string[] = [], rest: Partial<Change> = {}): Change => ({
  key,
  parents: [...parents].sort(),
  schema: { name: 's', version: 1, hash: '00' },
  operations: [],
  erased: false,
  ...rest,
})

const commitOf = (id: string, rest: Partial<Commit> = {}): Commit => ({
  id,
  chain: 'c',
  network: '',
  repository: '',
  session: '',
  incarnation: '',
  seq: 0,
  prev: null,
  clock: 1,
  policy: { root: { epoch: 0, n: 0, hash: '' }, authority: null },
  atomic: false,
  extended: false,
  signature: new Uint8Array(0),
  bytes: new Uint8Array(0),
  changes: [changeOf('item')],
  ...rest,
})

/** The same rules over plain lists. */
class Model {
  durable: Commit[] = []
  staged: Commit[] = []

  get all(): Commit[] {
    return [...this.durable, ...this.staged]
  }

  tips(commits: readonly Commit[]): Head[] {
    return commits
      .filter(({ id }) => !commits.some((other) => other.prev === id))
      .map(({ chain, seq, id }) => ({ chain, seq, id }))
  }

  check(commit: Commit): string | undefined {
    const find = (id: string) => this.all.find((other) => other.id === id)
    if (find(commit.id) !== undefined) return 'BrokenChain'
    if (commit.changes.some(({ erased }) => erased)) return 'NotErased'
    const named = [...(commit.prev === null ? [] : [commit.prev]), ...commit.changes.flatMap(({ parents }) => parents)]
    if (named.some((id) => find(id) === undefined)) return 'MissingParents'
    const prev = commit.prev === null ? undefined : find(commit.prev)
    if (prev !== undefined && (prev.chain !== commit.chain || prev.seq + 1 !== commit.seq)) return 'BrokenChain'
    const [root, authority] = [(one: Commit) => one.policy.root.n, (one: Commit) => one.policy.authority?.n ?? -1]
    const follows = (earlier: Commit): string | undefined => {
      if (commit.clock <= earlier.clock) return 'ClockNotLater'
      return root(commit) < root(earlier) || authority(commit) < authority(earlier) ? 'PolicyBack' : undefined
    }
    if (prev !== undefined && follows(prev) !== undefined) return follows(prev)
    for (const { key, parents } of commit.changes) {
      for (const id of parents) {
        const parent = find(id)
        if (parent === undefined || !parent.changes.some((change) => change.key === key)) return 'BadParents'
        if (follows(parent) !== undefined) return follows(parent)
      }
    }
    return undefined
  }
}

const someCommit = (random: Random, model: Model, made: number): Commit => {
  const pick = <Item>(items: readonly Item[]): Item | undefined => items[random(items.length)]
  const chain = `c${random(3)}`
  const own = model.all.filter((commit) => commit.chain === chain)
  const prev = random(12) === 0 ? pick(model.all) : random(6) === 0 ? pick(own) : own.at(-1)
  const parents = new Set<string>()
  for (let left = random(3); left > 0; left--) {
    const parent = random(20) === 0 ? 'unknown' : pick(model.all)?.id
    if (parent !== undefined) parents.add(parent)
  }
  const position = (n: number) => ({ epoch: 0, n, hash: '' })
  const again = random(25) === 0 ? pick(model.all) : undefined
  const authority = random(3) === 0 ? null : position((made >> 4) + random(2))
  return commitOf(again?.id ?? `id${made}`, {
    chain,
    seq: random(15) === 0 ? random(4) : prev === undefined ? 0 : prev.seq + 1,
    prev: random(20) === 0 ? 'unknown' : (prev?.id ?? null),
    clock: made + 1 - (random(6) === 0 ? random(8) : 0),
    policy: { root: position((made >> 4) + random(2)), authority: random(4) === 0 ? authority : null },
    changes: [
      changeOf(random(5) === 0 ? 'other' : 'item', [...parents], { erased: random(40) === 0 }),
      changeOf('third'),
    ],
  })
}

test('[A6] [A7] [A8] staging, settling and rolling back do what the model does', () => {
  const seen = new Map<string, number>()
  for (let seed = 1; seed <= 150; seed++) {
    const random = seeded(seed)
    const [commits, model] = [new Commits(), new Model()]
    for (let step = 0; step < 60; step++) {
      const message = `seed ${seed}, step ${step}`
      const kind = random(8)
      if (kind === 0) {
        expect(
          commits.settle().map(({ id }) => id),
          message,
        ).toEqual(model.staged.map(({ id }) => id))
        model.durable = model.all
        model.staged = []
      } else if (kind === 1 && random(2) === 0) {
        expect(
          commits.rollback().map(({ id }) => id),
          message,
        ).toEqual(model.staged.map(({ id }) => id))
        model.staged = []
      } else {
        const commit = someCommit(random, model, step)
        const code = commits.check(commit)?.code
        expect(code, message).toBe(model.check(commit))
        seen.set(code ?? 'admitted', (seen.get(code ?? 'admitted') ?? 0) + 1)
        if (code === undefined) {
          const of = (list: readonly Commit[]) => model.tips(list.filter(({ chain }) => chain === commit.chain)).length
          const forks =
            of([...model.all, commit]) > Math.max(1, of(model.all)) ||
            (of(model.all) === 1 && of([...model.all, commit]) > 1)
          expect(commits.stage(commit), message).toBe(forks)
          model.staged.push(commit)
        }
      }
      const byId = (a: Head, b: Head) => (a.id < b.id ? -1 : 1)
      expect([...commits.heads()].sort(byId), message).toEqual(model.tips(model.durable).sort(byId))
      expect(commits.size, message).toBe(model.durable.length)
      for (const [index, { id }] of model.all.entries()) {
        expect([commits.has(id), commits.get(id)?.id, commits.indexOf(id)], message).toEqual([
          index < model.durable.length,
          id,
          index,
        ])
        expect(commits.at(index)?.id, message).toBe(index < model.durable.length ? id : undefined)
      }
    }
  }
  // The histories meet every answer.
  for (const code of [
    'admitted',
    'BrokenChain',
    'MissingParents',
    'BadParents',
    'ClockNotLater',
    'PolicyBack',
    'NotErased',
  ]) {
    expect(seen.get(code) ?? 0, code).toBeGreaterThan(20)
  }
})

describe('admission', () => {
  const held = (...list: Commit[]): Commits => {
    const commits = new Commits()
    for (const commit of list) {
      expect(commits.check(commit)).toBe(undefined)
      commits.stage(commit)
    }
    commits.settle()
    return commits
  }
  const next = (id: string, prev: string, rest: Partial<Commit> = {}) =>
    commitOf(id, { seq: 1, prev, clock: 2, ...rest })

  test('[A6] takes every branch of a chain, also from its first commit: which one counts is for the authority to say', () => {
    const commits = held(commitOf('a'), next('b', 'a'), next('c', 'a'), next('d', 'a'))
    expect(commits.check(next('e', 'a'))).toBe(undefined)
    expect(commits.check(next('f', 'b', { seq: 2, clock: 3 }))).toBe(undefined)
    expect(commits.check(commitOf('z'))).toBe(undefined)
    expect(commits.headsOf('c').map(({ id }) => id)).toEqual(['b', 'c', 'd'])
  })

  test('does not take a commit twice', () => {
    const commits = held(commitOf('a'))
    expect(commits.check(commitOf('a'))?.code).toBe('BrokenChain')
    expect(commits.headsOf('c').length).toBe(1)
  })

  test('[A2] does not take a commit whose content was left out on the way', () => {
    expect(held().check(commitOf('a', { changes: [changeOf('item', [], { erased: true })] }))?.code).toBe('NotErased')
  })

  test('[A7] takes parents of the same item, whatever their schema, and of no other', () => {
    const schema = { name: 's', version: 2, hash: '11' }
    const commits = held(commitOf('a'))
    const of = (change: Change) => commitOf('b', { chain: 'd', clock: 2, changes: [change] })
    expect(commits.check(of(changeOf('item', ['a'], { schema })))).toBe(undefined)
    expect(commits.check(of(changeOf('other', ['a'])))?.code).toBe('BadParents')
  })
})
