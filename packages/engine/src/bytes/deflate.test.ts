import { constants, deflateRawSync, inflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { concatBytes, encodeUtf8 } from './bytes.ts'
import { deflate, inflate } from './deflate.ts'
import { limits } from './limits.ts'

/** Mulberry32 (Tommy Ettinger). */
const draw = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

/** Of few words, with some noise between them. */
const wordy = (length: number, seed: number): Uint8Array => {
  const int = draw(seed)
  const words = ['warp', 'weft', 'shuttle ', 'heddle, ', 'a loom ', '织']
  const parts: Uint8Array[] = []
  for (let left = length; left > 0; ) {
    const part = int(6) === 0 ? Uint8Array.of(int(256), int(256)) : encodeUtf8(words[int(words.length)] ?? '')
    parts.push(part.subarray(0, left))
    left -= part.length
  }
  return concatBytes(...parts)
}

test('what was deflated is what any inflate reads, and comes back', () => {
  for (const length of [1, 2, 100, 511, 512, 513, 1_000, 4_095, 4_096, 32_767, 32_768, 33_000, 70_000, 600_000]) {
    const bytes = wordy(length, length)
    const short = deflate(bytes, 2 * length + 100)
    if (short === undefined) throw new Error(`${length} bytes`)
    expect(Buffer.from(inflateRawSync(short)).equals(bytes)).toBe(true)
    expect(Buffer.from(inflate(short, length) ?? []).equals(bytes)).toBe(true)
    if (length > 4_000) expect(short.length).toBeLessThan(length / 2)
  }
})

test('what others deflated, in any of their ways, is inflated', () => {
  const bytes = wordy(50_000, 7)
  const { Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE } = constants
  for (const level of [0, 1, 9])
    for (const strategy of [0, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE])
      expect(Buffer.from(inflate(deflateRawSync(bytes, { level, strategy }), bytes.length) ?? []).equals(bytes)).toBe(
        true,
      )
})

test('nothing comes of what would be longer than asked', () => {
  const bytes = Uint8Array.from({ length: 1_000 }, draw(1).bind(undefined, 256))
  expect(deflate(bytes, 875)).toBe(undefined)
  const short = deflate(wordy(1_000, 1), 1_000)?.length ?? 0
  expect(deflate(wordy(1_000, 1), short)?.length).toBe(short)
  expect(deflate(wordy(1_000, 1), short - 1)).toBe(undefined)
})

describe('nothing is inflated of', () => {
  const bytes = wordy(3_000, 3)
  const short = deflate(bytes, 3_000) ?? new Uint8Array(0)

  test('another size than was said', () => {
    for (const size of [0, 1, 2_999, 3_001, 100_000]) expect(inflate(short, size)).toBe(undefined)
  })

  test('a stream that is cut, or has something behind it', () => {
    for (let length = 0; length < short.length; length++)
      expect(inflate(short.subarray(0, length), bytes.length)).toBe(undefined)
    expect(inflate(concatBytes(short, Uint8Array.of(0)), bytes.length)).toBe(undefined)
  })

  test('noise; it never throws', () => {
    const int = draw(9)
    for (let times = 0; times < 1_000; times++) {
      const noise = Uint8Array.from({ length: int(60) }, () => int(256))
      expect(inflate(noise, int(200))?.length ?? 0).toBeLessThanOrEqual(200)
    }
  })

  test('a bomb, and neither room nor time is given to it', () => {
    const bomb = deflateRawSync(new Uint8Array(250 * limits.frameBytes))
    expect(bomb.length).toBeLessThan(limits.frameBytes)
    const begun = process.cpuUsage()
    for (let times = 0; times < 10; times++) expect(inflate(bomb, limits.frameBytes)).toBe(undefined)
    // Ten bombs of 250 MB: inflating one of them takes this long.
    expect(process.cpuUsage(begun).user / 1e6).toBeLessThan(1)
    expect(inflate(Uint8Array.of(3, 0), limits.frameBytes)).toBe(undefined)
  })
})
