import { expect, test } from 'vitest'
import { isRecent, type Recent, withRecent } from './recent.ts'

const idsFrom = (from: number, count: number): string[] =>
  Array.from({ length: count }, (_, index) => String(from + index))

test.each([1, 3, 100, 255, 256, 257, 5_000])('remembers the last ones, %i at a time', (stride) => {
  let recent: Recent = []
  let next = 0
  while (next < 20_000) {
    const earlier = recent
    const sizes = earlier.map((ids) => ids.size)
    recent = withRecent(recent, idsFrom(next, stride))
    expect(earlier.map((ids) => ids.size)).toEqual(sizes)
    next += stride
    const size = recent.reduce((sum, ids) => sum + ids.size, 0)
    expect(size).toBeLessThanOrEqual(2_048)
    expect(size).toBeGreaterThanOrEqual(Math.min(next, 1_536))
    expect(recent.length).toBeLessThanOrEqual(40)
  }
  expect(idsFrom(next - 1_536, 1_536).every((id) => isRecent(recent, id))).toBe(true)
  expect(isRecent(recent, '0')).toBe(false)
})

test('copies each id a few times, not once for every one that follows', () => {
  let recent: Recent = []
  let copied = 0
  for (let next = 0; next < 10_000; next++) {
    const before = new Set(recent)
    recent = withRecent(recent, [String(next)])
    for (const ids of recent) if (!before.has(ids)) copied += ids.size
  }
  expect(copied).toBeLessThan(10_000 * 12)
})
