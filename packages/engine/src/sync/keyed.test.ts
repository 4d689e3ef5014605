import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { fromHex, toHex } from '../bytes/bytes.ts'
import { halfSipHash, hexWord, keysOf } from './keyed.ts'
import { prime } from './sums.ts'

/**
 * From the vectors published with the reference implementation (github.com/veorq/SipHash, vectors.h: hsip32 and hsip64), those
 * of whole words: key 00 01 .. 07, messages 00 01 02 .. of 0, 4, 8 .. 60 bytes.
 */
const published = [
  ['a9359f5b', '218d1f59b9b83cc8'],
  ['2a6e4689', 'd5e78a175be52ea1'],
  ['d0b8848f', 'edfee820bce4858c'],
  ['57f0872f', '7bc71f9faef5c799'],
  ['d9b5ac84', '7336aad25f7bf3b5'],
  ['e34d1045', '1bf52b0a6feea7db'],
  ['27400c63', '70741045ae3fa6f1'],
  ['b0644000', '2d925ffb1e0016b5'],
  ['fee72112', '28709d46d811626c'],
  ['e75cc6ec', '86d67a40ec4276dc'],
  ['b6bc1840', '5b38c81c67c8ae4c'],
  ['7705d548', '1e30f3ad27dcb15a'],
  ['69e12ce3', 'a9eaa8c04ba93e3e'],
  ['3b85f3d4', '02445a7998f550e1'],
  ['a5c5b940', 'a1a492f942f15f1d'],
  ['d4e76c73', 'd6762890bf26e460'],
] as const

/** Little-endian whatever the machine is. */
const wordsOf = (bytes: Uint8Array): Uint32Array => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(4 * i, true))
}
const hexOf = (words: Uint32Array): string => {
  const bytes = new Uint8Array(4 * words.length)
  for (const [i, word] of words.entries()) new DataView(bytes.buffer).setUint32(4 * i, word, true)
  return toHex(bytes)
}

const sha256 = (text: string) => new Uint8Array(createHash('sha256').update(text).digest())
const saltOf = (text: string) => sha256(text).slice(0, 16)
const digests = Array.from({ length: 4_000 }, (_, i) => wordsOf(sha256(`chain ${i}`).slice(0, 8)))
const each = <Result>(make: (first: number, second: number) => Result): Result[] =>
  digests.map(([first = 0, second = 0]) => make(first, second))

test('HalfSipHash-2-4 gives the published tags', () => {
  for (const [length, [short, wide]] of published.entries()) {
    const message = wordsOf(Uint8Array.from({ length: 4 * length }, (_, i) => i))
    const key = { first: 0x03020100, second: 0x07060504 }
    const tag = new Uint32Array(1)
    halfSipHash(key, message, tag)
    expect(hexOf(tag), `${length} words`).toBe(short)
    const wideTag = new Uint32Array(2)
    halfSipHash(key, message, wideTag)
    expect(hexOf(wideTag), `${length} words`).toBe(wide)
  }
})

test('keys are what another implementation of the hash computes from salt, round and use', () => {
  const salt = wordsOf(saltOf('a session'))
  const [salt0 = 0, salt1 = 0, salt2 = 0, salt3 = 0] = salt
  const tagOf = (use: number, message: Uint32Array, width: number) => {
    const subkey = new Uint32Array(2)
    halfSipHash({ first: salt0, second: salt1 }, Uint32Array.of(salt2, salt3, 7, use), subkey)
    const [first = 0, second = 0] = subkey
    const tag = new Uint32Array(width)
    halfSipHash({ first, second }, message, tag)
    return tag
  }
  const keys = keysOf(saltOf('a session'), 7)
  for (const digest of digests.slice(0, 100)) {
    const [first = 0, second = 0] = digest
    const [sum = 0] = tagOf(0, digest, 1)
    expect(keys.sumKey(first, second)).toBe((sum % (prime - 1)) + 1)
    const [high = 0, low = 0] = tagOf(1, digest, 2)
    const wide = (BigInt(high) << 32n) | BigInt(low)
    for (const bits of [1, 8, 31, 32, 33, 45, 52]) {
      expect(keys.vectorKey(first, second, bits), `${bits} bits`).toBe(Number(wide >> BigInt(64 - bits)))
    }
    const [id = 0] = tagOf(2, digest, 1)
    for (const bits of [1, 8, 32])
      expect(keys.idBits(first, second, bits)).toBe(Number(BigInt(id) >> BigInt(32 - bits)))
  }
})

test('these keys were computed by an implementation in another language', () => {
  const keys = keysOf(
    Uint8Array.from({ length: 16 }, (_, i) => i),
    3,
  )
  const [first, second] = [0xf3f2f1f0, 0xf7f6f5f4]
  expect(keys.sumKey(first, second)).toBe(1414213243)
  expect(keys.vectorKey(first, second, 52)).toBe(2528620038700866)
  expect(keys.idBits(first, second, 8)).toBe(217)
})

test('a sum key is 1 to p - 1, and all of them are spread evenly', () => {
  const keys = each(keysOf(saltOf('spread'), 0).sumKey)
  expect(keys.every((key) => Number.isInteger(key) && key >= 1 && key < prime)).toBe(true)
  expect(new Set(keys).size).toBeGreaterThan(digests.length - 2)
  const sixteenths = new Array<number>(16).fill(0)
  for (const key of keys) sixteenths[Math.floor((16 * key) / prime)]! += 1 // of 16, since a key is less than p
  for (const count of sixteenths) expect(Math.abs(count - digests.length / 16)).toBeLessThan(90)
})

test('chains mined to fall together in one round are apart in the next, and under any other salt', () => {
  const together = (salt: string, round: number) => {
    const byKey = new Map<number, number>()
    return each((first, second) => keysOf(saltOf(salt), round).vectorKey(first, second, 14)).flatMap((key, i) => {
      const earlier = byKey.get(key)
      byKey.set(key, i)
      return earlier === undefined ? [] : [[earlier, i] as const]
    })
  }
  const mined = together('known', 0)
  expect(mined.length).toBeGreaterThan(200)
  for (const [salt, round] of [
    ['known', 1],
    ['known', 2 ** 31],
    ['other', 0],
  ] as const) {
    const again = new Set(together(salt, round).map(String))
    expect(mined.filter((pair) => again.has(String(pair))).length, `${salt} ${round}`).toBeLessThan(3)
  }
})

test('every byte of the salt and every bit of the round counts', () => {
  const seen = new Set<string>()
  const see = (salt: Uint8Array, round: number) => {
    const keys = keysOf(salt, round)
    seen.add([keys.sumKey(1, 2), keys.vectorKey(1, 2, 52), keys.idBits(1, 2, 32)].join())
  }
  const salt = saltOf('one')
  see(salt, 0)
  for (let bit = 0; bit < 32; bit++) see(salt, (1 << bit) >>> 0)
  for (let at = 0; at < 16; at++) see(salt.with(at, (salt[at] ?? 0) ^ 1), 0)
  expect(seen.size).toBe(49)
  expect(() => keysOf(salt.slice(1), 0)).toThrow(RangeError)
})

test('hex words are little-endian', () => {
  for (const digest of digests.slice(0, 100)) {
    const hex = hexOf(digest)
    expect([hexWord(hex, 0), hexWord(hex, 8)]).toEqual([...digest])
  }
  expect(hexWord(toHex(fromHex('ff0f90a9')), 0)).toBe(0xa9900fff)
})
