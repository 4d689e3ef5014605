import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { isPlace, placeBetween } from './place.ts'

const runs = { seed: 20, numRuns: 2000 }
const alphabet = [...'0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz']
const fromBytes = (bytes: readonly number[]) => {
  let next = 0
  return (n: number): Uint8Array => Uint8Array.from({ length: n }, () => bytes[next++ % bytes.length] ?? 0)
}
/** All bytes in turn, by a step that has no part in common with 62. */
const stepping = () => {
  let byte = 7
  return (n: number): Uint8Array => Uint8Array.from({ length: n }, () => (byte = (byte + 89) % 256))
}

const bytes = fc.array(fc.nat(255), { minLength: 2, maxLength: 8 })
/** Few different characters, so that keys share beginnings. */
const place = fc
  .oneof(
    fc.string({ unit: fc.constantFrom('0', '1', '9', 'A', 'Z', 'a', 'z'), minLength: 1, maxLength: 40 }),
    fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength: 6 }),
  )
  .filter(isPlace)

describe('placeBetween', () => {
  test('gives a key strictly between any two', () => {
    fc.assert(
      fc.property(place, place, bytes, (one, other, random) => {
        const [low, high] = one < other ? [one, other] : [other, one]
        const between = placeBetween(low, low === high ? undefined : high, fromBytes(random))
        expect(isPlace(between)).toBe(true)
        expect(between > low).toBe(true)
        if (low !== high) expect(between < high).toBe(true)
        const first = placeBetween(undefined, low, fromBytes(random))
        expect(isPlace(first) && first < low).toBe(true)
      }),
      runs,
    )
  })

  test('gives a key just after the first of two that are equal or the wrong way round', () => {
    fc.assert(
      fc.property(place, place, bytes, (one, other, random) => {
        const [low, high] = one < other ? [one, other] : [other, one]
        const after = placeBetween(high, low, fromBytes(random))
        expect(after.startsWith(high) && after > high && isPlace(after)).toBe(true)
      }),
      runs,
    )
  })

  test.each([
    ['appending', (last: string) => [last, undefined] as const],
    ['prepending', (last: string) => [undefined, last] as const],
    ['going up to one key', (last: string) => [last, 'b'] as const],
    ['going down to one key', (last: string) => ['Z5', last] as const],
  ])('keeps keys short when %s 20,000 times', (_, bounds) => {
    const random = stepping()
    let last = placeBetween('Z5', 'b', random)
    let longest = 0
    for (let count = 0; count < 20_000; count++) {
      const [low, high] = bounds(last)
      const next = placeBetween(low, high, random)
      if (!(isPlace(next) && (low === undefined || next > low) && (high === undefined || next < high))) {
        throw new Error(`${next} between ${low} and ${high}`)
      }
      longest = Math.max(longest, next.length)
      last = next
    }
    expect(longest).toBeLessThanOrEqual(20)
  })

  test('does not take any first letter for the head of a long counter', () => {
    expect(placeBetween(undefined, 'R3', stepping()).length).toBeLessThanOrEqual(6)
    expect(placeBetween('z3', undefined, stepping()).length).toBeLessThanOrEqual(6)
  })

  test('makes different keys from different random bytes', () => {
    const keys = new Set<string>()
    const random = stepping()
    for (let count = 0; count < 100; count++) keys.add(placeBetween('a05', 'a06', random))
    expect(keys.size).toBeGreaterThan(90)
  })

  test('halves between the last two keys two hundred times before it runs out, then repeats a neighbour', () => {
    const random = stepping()
    let [low, high] = ['a05', 'a06']
    let made = 0
    for (; ; made++) {
      const between = placeBetween(low, high, random)
      expect(isPlace(between)).toBe(true)
      if (between === low || between === high) break
      expect(low < between && between < high).toBe(true)
      if (made % 2 === 0) low = between
      else high = between
    }
    expect(made).toBeGreaterThan(200)
  })

  test('repeats the neighbour when nothing short enough lies between', () => {
    const low = `${'a'.repeat(limits.orderLength - 1)}1`
    const high = `${'a'.repeat(limits.orderLength - 1)}2`
    expect(placeBetween(low, high, stepping())).toBe(low)
    expect(placeBetween(low, low, stepping())).toBe(low)
    const least = `${'0'.repeat(limits.orderLength - 1)}1`
    expect(placeBetween(undefined, least, stepping())).toBe(least)
    expect(placeBetween('a'.repeat(limits.orderLength - 1), high, stepping()) < high).toBe(true)
  })
})

test('isPlace knows keys', () => {
  expect(['a', '01', 'zzz', 'x'.repeat(limits.orderLength)].map(isPlace)).toEqual([true, true, true, true])
  expect(['', '0', 'a0', 'a-b', 'ä', 'a\n', 'x'.repeat(limits.orderLength + 1)].some(isPlace)).toBe(false)
})
