import { expect, test } from 'vitest'
import { Backoff } from './retry.ts'

const delays = (backoff: Backoff, lasted: readonly number[]): number[] => lasted.map((ms) => backoff.next(ms))
const never = [0, 0, 0, 0, 0, 0, 0]

test('delays double from a quarter of a second and stay within ten seconds, random part included', () => {
  expect(delays(new Backoff({ random: () => 0 }), never)).toEqual([
    250,
    500,
    1000,
    2000,
    4000,
    10_000 / 1.5,
    10_000 / 1.5,
  ])
  const longest = delays(new Backoff({ random: () => 1 }), never)
  expect(longest[0]).toBe(375)
  expect(Math.max(...longest)).toBeCloseTo(10_000)
})

test('a thousand failures later the delay is still the longest', () => {
  const backoff = new Backoff({ random: () => 0, jitter: 0 })
  for (let failure = 0; failure < 2_000; failure += 1) backoff.next(0)
  expect(backoff.next(0)).toBe(10_000)
})

test('only a connection that lasted starts anew: one that is ended at once keeps the delays growing', () => {
  const backoff = new Backoff({ random: () => 0 })
  expect(delays(backoff, [0, 5, 9_999, 10_000, 5])).toEqual([250, 500, 1000, 250, 500])
  backoff.forget()
  expect(backoff.next(0)).toBe(250)
})
