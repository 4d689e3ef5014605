/** Runs of commits under one signature, on whole replicas: what is taken in, stored, sent on and proved. */
import { isRefusal, limits, proveFork } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { type Commit, readCommit } from '../../packages/engine/src/commit/commit.ts'
import {
  bearsSignature,
  gatherRuns,
  isRun,
  isSigned,
  unsigned,
  withoutNeedless,
} from '../../packages/engine/src/commit/run.ts'
import { HeldCommits } from '../../packages/engine/src/replica/heldcommits.ts'
import { type CommitChange, hash, type Person, Target } from '../attacks/target.ts'
import { board, Card, Lab } from './lab.ts'

const bare = (commit: Commit): Commit => {
  const read = readCommit(unsigned(commit), hash)
  if (isRefusal(read)) throw new Error(read.code)
  return read
}

/** The commits of one chain, one after the other; all signed. */
const chainOf = async (
  target: Target,
  person: Person,
  length: number,
  change: (index: number) => CommitChange = () => ({}),
  from?: Commit,
): Promise<Commit[]> => {
  const chain: Commit[] = from === undefined ? [] : [from]
  const whole = length + chain.length
  while (chain.length < whole) {
    const last = chain.at(-1)
    const { header = {}, ...rest } = change(chain.length)
    const place =
      last === undefined
        ? {}
        : { incarnation: last.incarnation, seq: last.seq + 1, prev: last.id, clock: last.clock + 1 }
    chain.push(await target.commit(person, { ...rest, header: { ...place, ...header } }))
  }
  return from === undefined ? chain : chain.slice(1)
}

/** The same as one run. */
const runOf = (commits: readonly Commit[]): Commit[] =>
  commits.map((commit, index) => (index === commits.length - 1 ? commit : bare(commit)))

const started = async (name: string): Promise<{ target: Target; ada: Person }> => {
  const target = await Target.open(name, { signatures: 'fast' })
  const ada = await target.person()
  await target.offer([], [ada.certificate])
  return { target, ada }
}

test('A10: what is made in one go is signed once, and every replica holds it', async () => {
  const lab = new Lab('in one go')
  const authority = await lab.authority()
  const [ada, bob] = [await lab.join('ada', { captureRate: 1_000 }), await lab.join('bob')]
  const [own, theirs] = [ada.database.repository(board), bob.database.repository(board)]
  await lab.until(() => own.pipeline.isOpen && theirs.pipeline.isOpen)
  const count = 2 * limits.runCommits + 10
  for (let at = 0; at < count; at++) own.transact(() => void own.create(Card, { title: `card ${at}` }))
  await lab.until(() => own.unacknowledged === 0 && theirs.pipeline.commits.size === own.pipeline.commits.size)
  for (const { pipeline } of [own, authority.database.repository(board), theirs]) {
    const held = Array.from({ length: pipeline.commits.size }, (_, index) => pipeline.commits.at(index)).flatMap(
      (commit) => commit ?? [],
    )
    expect(held.filter(isSigned).length).toBe(3)
    const runs = [...gatherRuns(held, ({ id }) => expect(id).toBe(''))]
    expect(runs.flat().length).toBe(count)
  }
  expect(theirs.query(Card).current?.length).toBe(count)
  await lab.until(() => theirs.pipeline.isIdle)
  await bob.database.close()
  const again = (await lab.start('bob')).database.repository(board)
  await lab.until(() => again.pipeline.isOpen)
  expect(again.pipeline.commits.size).toBe(count)
})

test('A10: nothing of a run is taken whose signature is not good, or is not there', async () => {
  const { target, ada } = await started('unvouched')
  const run = runOf(await chainOf(target, ada, 3))
  expect(await target.offer(run.slice(0, 2))).toEqual(['BadSignature', 'BadSignature'])
  expect(await target.offer(run.slice(0, 1))).toEqual(['BadSignature'])
  const [first, second, third] = run
  if (first === undefined || second === undefined || third === undefined) throw new Error('three were made')
  const forged = Uint8Array.from(third.bytes)
  const at = Buffer.from(third.bytes).indexOf(Buffer.from(third.signature))
  forged[at] = (forged[at] ?? 0) ^ 1
  expect(new Set(await target.offer([first, second, forged]))).toEqual(new Set(['BadSignature']))
  // A gap, another order, and somebody else's commit in between.
  expect(await target.offer([first, third])).toContain('BadSignature')
  expect(await target.offer([second, first, third])).toContain('BadSignature')
  const eve = await target.person()
  const other = await target.commit(eve)
  expect(await target.offer([first, second, other, third], [eve.certificate])).toContain('BadSignature')
  expect(run.some((commit) => target.has(commit))).toBe(false)
  expect(await target.offer(run)).toEqual([])
  expect(run.every((commit) => target.has(commit))).toBe(true)
  expect(await target.offer(run)).toEqual([])
  await target.close()
})

test('A10: a run of which one commit cannot stand is refused whole', async () => {
  const { target, ada } = await started('one bad')
  const early = (index: number): CommitChange => (index === 2 ? { header: { clock: 256 } } : {})
  const run = runOf(await chainOf(target, ada, 4, early))
  expect(await target.offer(run)).toEqual(['ClockNotLater'])
  expect(run.some((commit) => target.has(commit))).toBe(false)
  expect(target.held()).toBe(0)
  // What is good of it stands with a signature of its own.
  const good = runOf((await chainOf(target, ada, 2)).slice(0, 2))
  expect(await target.offer(good)).toEqual([])
  await target.close()
})

test('A10: a run waits as one for what any of it builds on, and stands together in the order of admission', async () => {
  const { target, ada } = await started('waiting')
  const eve = await target.person()
  await target.offer([], [eve.certificate])
  const parent = await target.commit(eve)
  const key = parent.changes[0]?.key ?? ''
  const builds = (index: number): CommitChange =>
    index === 1 ? { draft: { key, parents: [parent.id] }, header: { clock: parent.clock + 100 } } : {}
  const run = runOf(await chainOf(target, ada, 3, builds))
  expect(await target.offer(run)).toEqual([])
  const { commits, pending } = target.repository().pipeline
  expect([commits.size, pending.commits]).toEqual([0, 3])
  await target.offer(run)
  expect(pending.commits).toBe(3)
  await target.offer([parent])
  expect([commits.size, pending.commits, pending.bytes]).toEqual([4, 0, 0])
  expect(run.map(({ id }) => commits.indexOf(id))).toEqual([1, 2, 3])
  expect(commits.runFrom(run[0]?.id ?? '').map(({ id }) => id)).toEqual(run.map(({ id }) => id))
  await target.close()
})

test('runCommits and runBytes: more than limits.runCommits, or limits.runBytes, under one signature is refused', async () => {
  const { target, ada } = await started('too long')
  const chain = await chainOf(target, ada, limits.runCommits + 1)
  expect(new Set(await target.offer(runOf(chain)))).toEqual(new Set(['TooMany']))
  expect(target.held()).toBe(0)
  expect(await target.offer(runOf(chain.slice(0, -1)))).toEqual([])
  const eve = await target.person()
  const text = 'x'.repeat(200_000)
  const large = await chainOf(target, eve, 3, () => ({
    draft: { operations: [{ kind: 'splice', field: 'notes', at: 0, remove: 0, length: text.length, insert: text }] },
  }))
  expect(large.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeGreaterThan(limits.runBytes)
  expect(new Set(await target.offer(runOf(large), [eve.certificate]))).toEqual(new Set(['TooLarge']))
  expect(await target.offer(runOf(large.slice(0, 2)))).toEqual([])
  expect(large.slice(0, 2).every((commit) => target.has(commit))).toBe(true)
  await target.close()
})

test('a fork inside runs is proved by what vouches for either side', async () => {
  const { target, ada } = await started('fork')
  const [base] = await chainOf(target, ada, 1)
  if (base === undefined) throw new Error('one was made')
  const [one, other] = [await chainOf(target, ada, 3, undefined, base), await chainOf(target, ada, 2, undefined, base)]
  await target.offer([base])
  expect(await target.offer(runOf(one))).toEqual([])
  await target.offer(runOf(other))
  const [kept, ...rest] = await target.database.evidence()
  if (kept === undefined) throw new Error('no evidence was kept')
  expect(rest).toEqual([])
  const proved = await proveFork(kept.bytes, target.runtime)
  if (isRefusal(proved) || proved.fork.kind !== 'chain') throw new Error('it proves nothing')
  expect([proved.fork.first.id, proved.fork.second.id]).toEqual([one[0]?.id, other[0]?.id].sort())
  expect(isSigned(proved.fork.first) || isSigned(proved.fork.second)).toBe(false)
  for (let at = 0; at < kept.bytes.length; at += 7) {
    const changed = Uint8Array.from(kept.bytes)
    changed[at] = (changed[at] ?? 0) ^ 4
    expect(isRefusal(await proveFork(changed, target.runtime))).toBe(true)
  }
  await target.close()
})

test('A10: what a branch of a forked chain made apart is not joined over the other branch, or two runs would wait for each other', async () => {
  const { target, ada } = await started('forked and joined')
  const [base] = await chainOf(target, ada, 1)
  if (base === undefined) throw new Error('one was made')
  const on = (parent: Commit) => () => ({
    header: { clock: parent.clock + 1 },
    draft: { key: 'shared', parents: [parent.id] },
  })
  const [first] = await chainOf(target, ada, 1, () => ({ draft: { key: 'shared' } }), base)
  if (first === undefined) throw new Error('one was made')
  const [between] = await chainOf(target, ada, 1, on(first), base)
  if (between === undefined) throw new Error('one was made')
  const [second] = await chainOf(target, ada, 1, on(between), first)
  if (second === undefined) throw new Error('one was made')
  for (const commit of [base, first, between, second]) await target.offer([commit])
  expect([first, between, second].filter((commit) => !target.has(commit))).toEqual([])
  const held = new HeldCommits(target.repository(), target.runtime)
  const sent = withoutNeedless([base, first, second], (id) => held.linearChainOf(id))
  expect(sent.map(({ bytes }) => bearsSignature(bytes))).toEqual([false, true, true])
  await target.close()
})

test('isRun: the last alone is signed, and each follows the one before', async () => {
  const { target, ada } = await started('is run')
  const chain = await chainOf(target, ada, 3)
  expect(isRun(runOf(chain))).toBe(true)
  expect(isRun(chain)).toBe(false)
  expect(isRun(runOf(chain).slice(0, 2))).toBe(false)
  expect(isRun([])).toBe(false)
  const [first, , third] = runOf(chain)
  if (first === undefined || third === undefined) throw new Error('three were made')
  expect(isRun([first, third])).toBe(false)
  await target.close()
})
