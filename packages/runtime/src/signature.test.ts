import { expect, test } from 'vitest'
import { isWellFormed, lowS } from './signature.ts'

const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const half = order / 2n

const bytes = (number: bigint): number[] =>
  Array.from({ length: 32 }, (_, index) => Number((number >> BigInt(8 * (31 - index))) & 255n))
const signature = (r: bigint, s: bigint): Uint8Array => new Uint8Array([...bytes(r), ...bytes(s)])

const point = new Uint8Array(65).fill(4)

test('the lower of s and n - s is taken, and r is left alone', () => {
  const cases = [1n, 2n, 255n, 256n, half - 1n, half, half + 1n, half + 2n, order - 256n, order - 2n, order - 1n]
  for (let bit = 0n; bit < 256n; bit++) cases.push(1n << bit, (1n << bit) - 1n)
  for (const s of cases.filter((value) => value < order)) {
    const given = signature(7n, s)
    expect(lowS(given)).toEqual(signature(7n, s > half ? order - s : s))
    expect(given, 'the argument is left alone').toEqual(signature(7n, s))
  }
})

test('s up to half the order is well formed, and nothing above, nor zero', () => {
  for (const s of [1n, half - 1n, half]) expect(isWellFormed(point, signature(1n, s))).toBe(true)
  for (const s of [0n, half + 1n, order - 1n, order, 2n ** 256n - 1n]) {
    expect(isWellFormed(point, signature(1n, s))).toBe(false)
  }
  expect(isWellFormed(point, signature(0n, 1n))).toBe(false)
})
