/** What a peer sent and this side cannot hold yet: it becomes new here when its parents come by another way, and is not new to that peer. */
import { expect, test } from 'vitest'
import type { Session } from '../../packages/engine/src/sync/session.ts'
import { livePush } from '../../packages/engine/src/sync/step.ts'
import { chainOf, commitAfter, grow, Pair, payload, Store } from './pair.ts'

/** Level, and the follower was pushed the child of a commit that nobody sent. */
const orphaned = () => {
  const stores = [new Store(), new Store()] as const
  const before = grow(stores, 'one', 3)
  const pair = new Pair(...stores, 1)
  pair.open()
  pair.run(false)
  expect(pair.phases).toBe('level,level')
  const parent = commitAfter(chainOf('one'), before)
  const child = commitAfter(chainOf('one'), parent)
  const push = { kind: 'push', round: 0, last: false, unknown: [], certificates: [] } as const
  pair.give(1, { kind: 'message', message: { ...push, commits: [payload(child)] } })
  pair.work(1)
  return { pair, parent, child, follower: pair.sides[1] }
}

test('[S8] what a peer sent ahead of its parents is not sent back to it when they come by another way', () => {
  const { pair, parent, child, follower } = orphaned()
  pair.run(false)
  pair.lines.length = 0
  const admitted = follower.store.admit([parent])
  expect(admitted).toEqual([parent.id, child.id])
  const { sent } = follower
  pair.give(1, { kind: 'admitted', ids: admitted, origin: 'other' })
  expect(pair.lines[0]).toBe('< push 0: 1 commit')
  expect(follower.sent).toBe(sent + 1)
})

test('[S8] nor when a round is under way at that moment', () => {
  const { pair, parent, follower } = orphaned()
  pair.run(false)
  follower.session = { ...follower.session, busy: true }
  pair.give(1, { kind: 'admitted', ids: follower.store.admit([parent]), origin: 'other' })
  expect(follower.session.fresh).toEqual([parent.id])
})

test('[S8] nor by one message for many', () => {
  const { parent, child, follower } = orphaned()
  const level: Session = { ...follower.session, busy: false }
  expect(livePush(level, [parent.id, child.id])).toEqual([parent.id])
})

test('what a peer sent and is held is remembered as exchanged alone', () => {
  const { pair, follower } = orphaned()
  const early = follower.session.early.flatMap((ids) => [...ids])
  pair.run(false)
  const next = commitAfter(chainOf('two'), undefined)
  pair.write(0, next)
  pair.run(false)
  expect(follower.store.has(next.id)).toBe(true)
  expect(follower.session.early.flatMap((ids) => [...ids])).toEqual(early)
})
