import { expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { few, mostLinks, wantedLinks } from './degree.ts'

test('all are linked while they are few, six from then on, and more where a sudden death would leave somebody alone', () => {
  for (let members = 0; members <= few; members++) expect(wantedLinks(members)).toBe(members)
  expect([9, 31, 100, 300, 1_000, 3_000, 10_000].map(wantedLinks)).toEqual([6, 6, 7, 8, 9, 10, 11])
  for (const members of [31, 104, 348, 1_161, 3_870]) {
    expect(0.7 * members * 0.3 ** wantedLinks(members)).toBeLessThanOrEqual(0.016)
    expect(wantedLinks(members + 1)).toBe(wantedLinks(members) + 1)
  }
})

test('the number is bounded whatever the server says', () => {
  for (const members of [1e6, 1e12, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY]) {
    expect(wantedLinks(members)).toBe(12)
    expect(mostLinks(members)).toBe(limits.meshLinks)
  }
  for (let members = 0; members < 20_000; members += 7) {
    expect(mostLinks(members)).toBeGreaterThanOrEqual(wantedLinks(members) + 4)
    expect(mostLinks(members)).toBeLessThanOrEqual(limits.meshLinks)
  }
})
