import { describe, expect, test } from 'vitest'
import { stream } from './random.ts'

describe('a stream', () => {
  test('is a function of seed and label', () => {
    const draws = (seed: string, label: string): number[] => {
      const from = stream(seed, label)
      return Array.from({ length: 5 }, () => from.uint32())
    }
    expect(draws('1', 'net')).toEqual(draws('1', 'net'))
    expect(draws('1', 'net')).not.toEqual(draws('2', 'net'))
    expect(draws('1', 'net')).not.toEqual(draws('1', 'disk'))
  })

  test('a branch takes nothing from the stream it is named after', () => {
    const [left, right] = [stream('1', 'a'), stream('1', 'a')]
    left.branch('b').bytes(100)
    expect(left.uint32()).toBe(right.uint32())
    expect(left.branch('b').uint32()).toBe(stream('1', 'a/b').uint32())
  })

  test('a probability of zero or one takes the same draw as any other', () => {
    const [left, right] = [stream('1', 'a'), stream('1', 'a')]
    const drawn = [left.chance(0), left.chance(1), left.chance(0)]
    for (let index = 0; index < 3; index++) right.chance(0.5)
    expect(drawn).toEqual([false, true, false])
    expect(left.uint32()).toBe(right.uint32())
  })

  test('is even: every value of a small range comes about equally often', () => {
    const from = stream('even', 'int')
    const counts = Array.from({ length: 7 }, () => 0)
    for (let index = 0; index < 70_000; index++) {
      const value = from.int(7)
      counts[value] = (counts[value] ?? 0) + 1
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(400)
  })

  test('exponential draws have their mean', () => {
    const from = stream('mean', 'exponential')
    let sum = 0
    for (let index = 0; index < 50_000; index++) sum += from.exponential(3)
    expect(sum / 50_000).toBeCloseTo(3, 1)
    expect(from.exponential(0)).toBeCloseTo(0)
  })

  test('bytes have any length and use every value', () => {
    const from = stream('bytes', 'bytes')
    for (const length of [0, 1, 2, 3, 4, 5, 31]) expect(from.bytes(length).length).toBe(length)
    expect(new Set(from.bytes(20_000)).size).toBe(256)
  })

  test('shuffle keeps what there is and pick chooses from it', () => {
    const from = stream('shuffle', 'shuffle')
    const items = [1, 2, 3, 4, 5, 6]
    const orders = new Set<string>()
    for (let index = 0; index < 5000; index++) {
      const shuffled = from.shuffle(items)
      orders.add(shuffled.join())
      expect([...shuffled].sort()).toEqual(items)
    }
    expect(orders.size).toBeGreaterThan(700)
    expect(new Set(Array.from({ length: 200 }, () => from.pick(items))).size).toBe(6)
    expect(() => from.pick([])).toThrow(RangeError)
  })
})
