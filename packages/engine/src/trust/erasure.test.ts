import { expect, test } from 'vitest'
import { Erasures } from './erasure.ts'

const never = Number.POSITIVE_INFINITY
const at = (commit: string, key = 'item') => ({ commit, key })

const erasures = (): Erasures => {
  const made = new Erasures()
  made.append(3, { kind: 'erasure', changes: [], dead: [at('d')], by: 'ada', reason: '' })
  made.append(4, { kind: 'erasure', changes: [at('a'), at('b')], dead: [at('e')], by: 'ada', reason: '' })
  made.append(9, { kind: 'erasure', changes: [at('a'), at('c', 'other')], dead: [], by: 'ada', reason: '' })
  return made
}

test('a change is erased by the first entry that names it, and of its commit nothing else', () => {
  const made = erasures()
  expect([at('a'), at('b'), at('c'), at('c', 'other'), at('d')].map(({ commit, key }) => made.at(commit, key))).toEqual(
    [4, 4, undefined, 9, undefined],
  )
  expect(['a', 'b', 'c', 'd', 'e'].map((commit) => made.concerns(commit))).toEqual([true, true, true, false, false])
  expect([made.isEmpty, new Erasures().isEmpty]).toEqual([false, true])
})

test('what a checkpoint before the newest erasure of its item covers is settled; what is listed does not count', () => {
  const made = erasures()
  const verdict = (commit: string, covered: number, entries = 10, key = 'item') =>
    made.verdict(commit, key, covered, entries)
  expect([verdict('x', 2), verdict('d', 2), verdict('e', 2)]).toEqual([true, false, false])
  // An entry that only lists settles nothing by itself; one that is not durable here says nothing.
  expect([verdict('d', 2, 4), verdict('d', 2, 5), verdict('e', 2, 4)]).toEqual([undefined, false, undefined])
  expect([verdict('x', 6, 9), verdict('x', 6), verdict('x', 9), verdict('x', never)]).toEqual([
    undefined,
    true,
    undefined,
    undefined,
  ])
  expect([verdict('x', 2, 9, 'other'), verdict('x', 2, 10, 'other'), verdict('x', 2, 10, 'third')]).toEqual([
    undefined,
    true,
    undefined,
  ])
})

test('what is cleared says nothing', () => {
  const made = erasures()
  made.clear()
  expect([made.at('a', 'item'), made.concerns('a'), made.verdict('x', 'item', 2, 10), made.isEmpty]).toEqual([
    undefined,
    false,
    undefined,
    true,
  ])
})
