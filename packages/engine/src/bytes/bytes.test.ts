import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  compareBytes,
  concatBytes,
  decodeUtf8,
  encodeUtf8,
  equalBytes,
  fromHex,
  isHex,
  isWellFormed,
  toHex,
  utf8Length,
} from './bytes.ts'
import { crc32c } from './crc32c.ts'

const bytesOf = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))

describe('bytes', () => {
  test('compare in lexicographic, unsigned order; a prefix first', () => {
    const ordered = [[], [0], [0, 0], [0, 255], [1], [127], [128], [255], [255, 0]].map((bytes) =>
      Uint8Array.from(bytes),
    )
    for (const [i, a] of ordered.entries()) {
      for (const [j, b] of ordered.entries()) {
        expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(i - j))
        expect(equalBytes(a, b)).toBe(i === j)
      }
    }
  })

  test('concatenate into bytes of their own', () => {
    const part = Uint8Array.from([1, 2])
    const whole = concatBytes(part, new Uint8Array(0), Uint8Array.from([3]))
    part[0] = 9
    expect([...whole]).toEqual([1, 2, 3])
    expect(concatBytes().length).toBe(0)
  })

  test('ids that are alike but for one byte are told apart, and one that came before is the same', () => {
    const id = Uint8Array.from({ length: 32 }, (_, at) => 7 * at)
    for (let round = 0; round < 2; round++) {
      for (let at = 0; at < id.length; at++) {
        for (const change of [1, 16, 240]) {
          const other = id.slice()
          other[at] = (other[at] ?? 0) ^ change
          expect(toHex(id)).toBe(Buffer.from(id).toString('hex'))
          expect(toHex(other)).toBe(Buffer.from(other).toString('hex'))
        }
      }
    }
  })

  test('hex and back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const hex = toHex(bytes)
        expect(hex).toBe(Buffer.from(bytes).toString('hex'))
        expect(isHex(hex, bytes.length)).toBe(true)
        expect(equalBytes(fromHex(hex), bytes)).toBe(true)
        expect(equalBytes(fromHex(hex.toUpperCase()), bytes)).toBe(true)
      }),
      { seed: 1 },
    )
    for (const wrong of ['0', 'zz', '0g', 'é0', '/0', ':0', '@0', '`0'])
      expect(() => fromHex(wrong), wrong).toThrow(TypeError)
    for (const wrong of ['', '0', 'AA', 'g0', '0/', '0:', 'aaa', '0é', '\u01300'])
      expect(isHex(wrong, 1), wrong).toBe(false)
  })

  test('text: lone surrogates are found, lengths are those of UTF-8', () => {
    for (const wrong of ['\ud800', 'a\udc00', '\udc00\ud800', '\ud800\ud800\udc00', '\ud83d']) {
      expect(isWellFormed(wrong)).toBe(false)
      expect(() => encodeUtf8(wrong)).toThrow(TypeError)
    }
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(isWellFormed(text)).toBe(true)
        const bytes = encodeUtf8(text)
        expect(utf8Length(text)).toBe(bytes.length)
        expect(decodeUtf8(bytes)).toBe(text)
      }),
      { seed: 2 },
    )
    expect(decodeUtf8(encodeUtf8('\ufeffx'))).toBe('\ufeffx')
  })

  test.each([['ff'], ['c080'], ['c1bf'], ['e08080'], ['eda080'], ['f08080af'], ['f4908080'], ['e282'], ['80']])(
    '%s is not UTF-8',
    (hex) => {
      expect(decodeUtf8(fromHex(hex))).toBeUndefined()
    },
  )
})

describe('crc32c', () => {
  test('the vectors of RFC 3720, appendix B.4', () => {
    expect(crc32c(bytesOf('123456789'))).toBe(0xe3069283)
    expect(crc32c(new Uint8Array(0))).toBe(0)
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa)
    expect(crc32c(new Uint8Array(32).fill(255))).toBe(0x62a8ab43)
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e)
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => 31 - i))).toBe(0x113fdb5c)
  })

  test('of many bytes, wherever they begin, is what it is byte by byte', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400, size: 'max' }), fc.nat(9), fc.integer(), (bytes, cut, seed) => {
        const part = bytes.subarray(cut)
        expect(crc32c(part, seed)).toBe(part.reduce((sum, byte) => crc32c(Uint8Array.of(byte), sum), seed >>> 0))
      }),
      { seed: 4, numRuns: 500 },
    )
  })

  test('goes on from a seed at any cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(40), (bytes, cut) => {
        expect(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut)))).toBe(crc32c(bytes))
      }),
      { seed: 3 },
    )
  })
})
