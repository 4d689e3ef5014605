import { describe, expect, test } from 'vitest'
import { concatBytes, toHex } from '../bytes/bytes.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { decodeVector, encodeVector, type VectorHead, type VectorShape, vectorBytes, vectorKeyBits } from './vector.ts'

/** mulberry32: below the limit. */
const randomFrom = (seed: number) => (limit: number) => {
  const word = () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return Math.floor(((word() + word() / 2 ** 32) / 2 ** 32) * limit)
}
type Random = ReturnType<typeof randomFrom>

const golomb = (value: number, order: number): string => {
  const bits = (value + 2 ** order).toString(2)
  return '0'.repeat(bits.length - order - 1) + bits
}
const fixed = (value: number, bits: number): string => (bits === 0 ? '' : value.toString(2).padStart(bits, '0'))

/** A slow encoder after the description, in the order that the heads come in and with the orders that it is told. */
const bitsOf = (heads: readonly VectorHead[], shape: VectorShape, gapOrder: number, seqOrder: number): string => {
  let last = 0
  const body = heads.map(({ key, seq, idBits }) => {
    const gap = key - last
    last = key
    const quotient = Math.floor(gap / 2 ** gapOrder)
    return `${'0'.repeat(quotient)}1${fixed(gap % 2 ** gapOrder, gapOrder)}${golomb(seq, seqOrder)}${fixed(idBits, shape.idBits)}`
  })
  return golomb(heads.length, 6) + fixed(gapOrder, 6) + fixed(seqOrder, 5) + body.join('')
}
const pack = (bits: string): Uint8Array => {
  const padded = bits.padEnd(Math.ceil(bits.length / 8) * 8, '0')
  return Uint8Array.from({ length: padded.length / 8 }, (_, i) => Number.parseInt(padded.slice(8 * i, 8 * i + 8), 2))
}

const inOrder = (heads: readonly VectorHead[]) =>
  [...heads].sort((a, b) => a.key - b.key || a.seq - b.seq || a.idBits - b.idBits)

/** Lists of all kinds: few and many, short chains and long, keys spread, crowded and equal. */
const anyHeads = (random: Random, shape: VectorShape, most: number): VectorHead[] => {
  const count = random(most + 1)
  const keyEnd = 2 ** vectorKeyBits(count, shape.round)
  const keys = [keyEnd, keyEnd, Math.min(keyEnd, 4), 1][random(4)] ?? 1
  const seqs = [1, 2, 20, 5_000, 2 ** 32][random(5)] ?? 1
  return Array.from({ length: count }, () => ({
    key: random(10) === 0 ? keyEnd - 1 : random(keys),
    seq: random(20) === 0 ? 2 ** 32 - 1 : random(seqs),
    idBits: random(2 ** shape.idBits),
  }))
}
const anyShape = (random: Random): VectorShape => ({
  round: random(3) === 0 ? random(14) : random(2),
  idBits: [0, 8, 1, 32, 13][random(5)] ?? 0,
})

const decoded = (bytes: Uint8Array, shape: VectorShape, most = 1_000) => {
  const heads = decodeVector(bytes, shape, most)
  return isRefusal(heads) ? heads.code : heads
}

describe('a vector', () => {
  test('is read back in order, whatever order it was written in', () => {
    for (let seed = 0; seed < 3_000; seed++) {
      const random = randomFrom(seed)
      const shape = anyShape(random)
      const heads = anyHeads(random, shape, seed % 10 === 0 ? 300 : 20)
      const bytes = encodeVector(heads, shape)
      expect(decoded(bytes, shape), `seed ${seed}`).toEqual(inOrder(heads))
      expect(toHex(encodeVector(heads.toReversed(), shape)), `seed ${seed}`).toBe(toHex(bytes))
      // Where it lies in a message makes no difference.
      expect(decoded(concatBytes(Uint8Array.of(7), bytes).subarray(1), shape)).toEqual(inOrder(heads))
    }
  })

  test('is the shortest of what the description allows, and of these the one of the lowest orders', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = randomFrom(seed)
      const shape = { round: random(2), idBits: random(2) * 8 }
      const heads = inOrder(anyHeads(random, shape, 12))
      let best = { gapOrder: 0, seqOrder: 0, bits: Number.POSITIVE_INFINITY }
      for (let gapOrder = 0; gapOrder < 24; gapOrder++) {
        if (heads.some(({ key }) => key / 2 ** gapOrder > 2_000)) continue
        for (let seqOrder = 0; seqOrder < 32; seqOrder++) {
          const bits = bitsOf(heads, shape, gapOrder, seqOrder).length
          if (bits < best.bits) best = { gapOrder, seqOrder, bits }
        }
      }
      const { gapOrder, seqOrder } = best
      expect(toHex(encodeVector(heads, shape)), `seed ${seed}`).toBe(
        toHex(pack(bitsOf(heads, shape, gapOrder, seqOrder))),
      )
      for (const [gaps, seqs] of [
        [gapOrder + 1, seqOrder],
        [gapOrder, seqOrder + 1],
        [gapOrder - 1, seqOrder],
        [gapOrder, seqOrder - 1],
      ] as const) {
        if (gaps < 0 || seqs < 0 || seqs > 31) continue
        expect(decoded(pack(bitsOf(heads, shape, gaps, seqs)), shape), `seed ${seed}`).toBe('NotCanonical')
      }
    }
  })

  test('of no heads is three bytes', () => {
    expect(toHex(encodeVector([], { round: 0, idBits: 0 }))).toBe('800000')
    expect(decoded(Uint8Array.of(0x80, 0, 0), { round: 0, idBits: 8 }, 0)).toEqual([])
    expect(vectorBytes(0, 0, { round: 0, idBits: 0 })).toBe(3)
  })

  test('does not hold what is too long: that is a mistake of the caller', () => {
    const shape = { round: 0, idBits: 8 }
    const head = { key: 1, seq: 1, idBits: 1 }
    for (const wrong of [-1, 0.5, 2 ** 32, Number.NaN]) {
      for (const name of ['key', 'seq', 'idBits']) {
        expect(() => encodeVector([{ ...head, [name]: wrong }], shape)).toThrow(RangeError)
      }
    }
    expect(() => encodeVector([{ ...head, key: 2 ** vectorKeyBits(1, 0) }], shape)).toThrow(RangeError)
    expect(() => encodeVector([{ ...head, idBits: 256 }], shape)).toThrow(RangeError)
  })

  test('has keys so long that few fall together, and longer ones each round, to 52 bits', () => {
    expect([1, 100, 1_000, 10_000].map((count) => vectorKeyBits(count, 0))).toEqual([9, 15, 18, 22])
    expect([0, 1, 2, 3, 7, 8, 50].map((round) => vectorKeyBits(10_000, round))).toEqual([22, 26, 30, 34, 50, 52, 52])
    for (const count of [10, 1_000, 10_000]) {
      const random = randomFrom(count)
      const seen = new Set<number>()
      for (let i = 0; i < count; i++) seen.add(random(2 ** vectorKeyBits(count, 0)))
      expect(count - seen.size).toBeLessThanOrEqual(count / 128)
    }
  })
})

describe('bytes from a stranger', () => {
  test('cut short anywhere, or followed by anything, are refused', () => {
    for (let seed = 0; seed < 200; seed++) {
      const random = randomFrom(seed)
      const shape = anyShape(random)
      const bytes = encodeVector(anyHeads(random, shape, 20), shape)
      for (let end = 0; end < bytes.length; end++) {
        expect(decoded(bytes.subarray(0, end), shape), `seed ${seed}, ${end} bytes`).toBeTypeOf('string')
      }
      for (const more of [0, 1, 255]) {
        expect(decoded(concatBytes(bytes, Uint8Array.of(more)), shape), `seed ${seed}`).toBe('NotCanonical')
      }
    }
  })

  test('are one list in one way: with any bit turned they are refused, or another list', () => {
    for (let seed = 0; seed < 150; seed++) {
      const random = randomFrom(seed)
      const shape = anyShape(random)
      const heads = anyHeads(random, shape, 12)
      const bytes = encodeVector(heads, shape)
      for (let bit = 0; bit < 8 * bytes.length; bit++) {
        const turned = bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (128 >> (bit & 7)))
        const read = decoded(turned, shape)
        if (typeof read === 'string') continue
        expect(read, `seed ${seed}, bit ${bit}`).not.toEqual(inOrder(heads))
        expect(toHex(encodeVector(read, shape)), `seed ${seed}, bit ${bit}`).toBe(toHex(turned))
      }
    }
  })

  test('of any kind are refused, or are the encoding of what was read', () => {
    let read = 0
    for (let seed = 0; seed < 30_000; seed++) {
      const random = randomFrom(seed)
      const shape = { round: random(2), idBits: random(2) * 8 }
      // Half of them begin like a vector of few heads.
      const start = random(2) === 0 ? '' : golomb(random(3), 6) + fixed(random(12), 6) + fixed(random(6), 5)
      const rest = Array.from({ length: random(80) }, () => random(2)).join('')
      const bytes = pack(start + rest)
      const heads = decoded(bytes, shape)
      if (typeof heads === 'string') continue
      read++
      expect(toHex(encodeVector(heads, shape)), `seed ${seed}`).toBe(toHex(bytes))
    }
    expect(read).toBeGreaterThan(30)
  })

  test('do not name more heads than asked for, nor than there is room for, nor keys and seqs beyond their ends', () => {
    const shape = { round: 0, idBits: 0 }
    const two = [
      { key: 1, seq: 3, idBits: 0 },
      { key: 500, seq: 9, idBits: 0 },
    ]
    const bytes = encodeVector(two, shape)
    expect(decoded(bytes, shape, 2)).toEqual(two)
    expect(decoded(bytes, shape, 1)).toBe('TooLarge')
    expect(decoded(pack(golomb(2 ** 30, 6) + '0'.repeat(40)), shape, 2 ** 31)).toBe('Malformed')
    for (const zeros of [0, 1, 2, 3, 4, 5, 9, 1_000]) {
      expect(decoded(new Uint8Array(zeros), shape), `${zeros} zeros`).toBeTypeOf('string')
    }
    const beyond = { key: 2 ** vectorKeyBits(1, 0), seq: 0, idBits: 0 }
    expect(decoded(pack(bitsOf([beyond], shape, 8, 0)), shape)).toBe('Malformed')
    expect(decoded(pack(bitsOf([{ key: 1, seq: 2 ** 32, idBits: 0 }], shape, 0, 31)), shape)).toBe('Malformed')
  })

  test('out of order are refused', () => {
    const shape = { round: 0, idBits: 8 }
    const orders = (heads: readonly VectorHead[]) => {
      const read = []
      for (let gap = 0; gap < 8; gap++) {
        for (let seq = 0; seq < 8; seq++) read.push(decoded(pack(bitsOf(heads, shape, gap, seq)), shape))
      }
      return read.filter((one) => typeof one !== 'string').length
    }
    const [a, b, c] = [
      { key: 5, seq: 3, idBits: 9 },
      { key: 5, seq: 4, idBits: 1 },
      { key: 5, seq: 4, idBits: 2 },
    ]
    expect(orders([a, b, c])).toBe(1)
    expect(orders([c, c])).toBe(1)
    for (const wrong of [
      [b, a],
      [c, b],
      [a, c, b],
    ])
      expect(orders(wrong)).toBe(0)
  })
})

/** Lengths of so many chains that hold so many commits. */
const laws = {
  zipf: (i: number) => 1 / (i + 1),
  equal: () => 1,
  exponential: (i: number) => -Math.log(1 - (((i + 1) * 0.618034) % 1)),
}

test('a vector takes 1.7 to 2.9 bytes a chain, and about what was estimated', () => {
  for (const [name, law] of Object.entries(laws)) {
    for (const count of [1, 4, 10, 100, 1_000, 10_000]) {
      for (const shape of [
        { round: 0, idBits: 0 },
        { round: 1, idBits: 8 },
      ]) {
        const random = randomFrom(count)
        const weights = Array.from({ length: count }, (_, i) => law(i))
        const share = 100_000 / weights.reduce((sum, weight) => sum + weight)
        const lengths = weights.map((weight) => Math.max(1, Math.round(weight * share)))
        const heads = lengths.map((length) => ({
          key: random(2 ** vectorKeyBits(count, shape.round)),
          seq: length - 1,
          idBits: random(2 ** shape.idBits),
        }))
        const { length } = encodeVector(heads, shape)
        const label = `${count} chains, ${name}, round ${shape.round}: ${length} bytes`
        if (shape.round === 0 && count >= 100) {
          expect(length / count, label).toBeGreaterThan(1.6)
          expect(length / count, label).toBeLessThan(2.9)
        }
        const commits = lengths.reduce((sum, one) => sum + one)
        const estimate = vectorBytes(count, commits, shape)
        expect(Math.abs(estimate - length), `${label}, estimated ${estimate}`).toBeLessThanOrEqual(
          1 + length / (name === 'zipf' ? 8 : 16),
        )
      }
    }
  }
})
