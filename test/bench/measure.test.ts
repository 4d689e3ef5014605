import { expect, test } from 'vitest'
import { cpuOf, interleaved, median, quantile } from './measure.ts'

test('a quantile lies between the values next to it', () => {
  const values = [40, 10, 30, 20]
  expect([quantile(values, 0), quantile(values, 0.5), quantile(values, 1)]).toEqual([10, 25, 40])
  expect(quantile([1, 2, 3, 4, 5], 0.95)).toBeCloseTo(4.8)
  expect(median([7])).toBe(7)
  expect(values).toEqual([40, 10, 30, 20])
  expect(() => median([])).toThrow(RangeError)
})

test('engines take turns, every other round backwards, and one at a time', async () => {
  const turns: string[] = []
  let running = 0
  const engine = (name: string) => async (round: number) => {
    expect(running++).toBe(0)
    turns.push(`${name}${round}`)
    await Promise.resolve()
    running--
    return `${name}${round}`
  }
  const results = await interleaved(3, new Map(['a', 'b', 'c'].map((name) => [name, engine(name)])))
  expect(turns).toEqual(['a0', 'b0', 'c0', 'c1', 'b1', 'a1', 'a2', 'b2', 'c2'])
  expect(results.get('b')).toEqual(['b0', 'b1', 'b2'])
})

test('processor time is that of the run', () => {
  const began = performance.now()
  let turns = 0
  const spent = cpuOf(() => {
    while (performance.now() - began < 20) turns++
  })
  expect(turns).toBeGreaterThan(0)
  expect(spent).toBeGreaterThan(0)
})
