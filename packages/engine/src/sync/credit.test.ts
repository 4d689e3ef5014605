import { expect, test } from 'vitest'
import { fullCredit, mostRounds, type Spare, takeBytes, takeRound } from './credit.ts'
import type { Held } from './held.ts'

/** As many commits of 100 bytes as `count` says, each the head of a chain. */
const store = (count: { commits: number }) => {
  let asked = 0
  const held: Pick<Held, 'heads' | 'count' | 'arrival' | 'size'> = {
    *heads() {
      for (let seq = 0; seq < count.commits; seq++) yield { chain: String(seq), seq, id: String(seq) }
    },
    count: () => count.commits,
    arrival: (from, limit) =>
      Array.from({ length: Math.max(0, Math.min(limit, count.commits - from)) }, (_, index) => String(from + index)),
    size: () => {
      asked++
      return 100
    },
  }
  return { held, asked: () => asked }
}

const spare: Spare = { most: 1_000, perSecond: 100 }

test('[S13] what is held is given once, and beyond it what the bucket has, message by message', () => {
  const count = { commits: 20_000 }
  const { held, asked } = store(count)
  let credit = fullCredit
  const take = (bytes: number, now: number, always = false): boolean => {
    const left = takeBytes(credit, bytes, { held, now, spare, always })
    if (left !== undefined) credit = left
    return left !== undefined
  }
  // Little is looked at for little.
  expect(take(300, 0)).toBe(true)
  expect(asked()).toBeLessThan(2_000)
  for (let message = 0; message < 19; message++) expect(take(100_000, 0)).toBe(true)
  expect(take(99_700, 0)).toBe(true)
  expect(credit.given).toBe(2_000_000)
  expect(asked()).toBe(20_000)
  // The bucket: one message may take more than is in it.
  expect(take(900, 0)).toBe(true)
  expect(take(900, 0)).toBe(true)
  expect(take(1, 0)).toBe(false)
  expect(take(1, 8_000)).toBe(false)
  expect(take(1, 8_001)).toBe(true)
  // What is admitted is due as well.
  count.commits += 5
  expect(take(500, 8_001)).toBe(true)
  expect(take(100, 8_001)).toBe(false)
  // What is pushed live is counted and never refused.
  expect(take(100, 8_001, true)).toBe(true)
  expect(take(1, 9_000)).toBe(false)
  // It holds no more than it may, however long nobody asks.
  expect(take(1_500, 1_000_000)).toBe(true)
  expect(take(1, 1_000_000)).toBe(false)
})

test.each([
  [10, 500],
  [5_000, 500],
  [10_000, 1_000],
  [100_000, 10_000],
  [300_000, 15_000],
])('[S13] with %i heads rounds at once, and then one every %i ms', (commits, every) => {
  const { held } = store({ commits })
  let credit = fullCredit
  const take = (now: number): number => {
    const left = takeRound(credit, held, now)
    if (typeof left === 'number') return left
    credit = left
    return 0
  }
  for (let round = 0; round < mostRounds; round++) expect(take(0)).toBe(0)
  expect(take(0)).toBe(every)
  expect(Math.abs(take(every - 10) - 10)).toBeLessThan(2)
  expect(take(every)).toBe(0)
  expect(take(every)).toBe(every)
  for (let round = 0; round < mostRounds; round++) expect(take(100 * every)).toBe(0)
  expect(take(100 * every)).toBe(every)
})
