import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compareBytes, concatBytes, encodeUtf8, equalBytes, fromHex, toHex } from './bytes.ts'
import { decode, encode, type Plain } from './cbor.ts'
import { decodeExactly } from './exact.ts'
import { type GuardLimits, guard } from './guard.ts'
import { limits } from './limits.ts'
import { type Code, isRefusal } from './refusal.ts'

const wide: GuardLimits = { bytes: 4_194_304, depth: 32, nodes: 4_194_304 }

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.string({ unit: 'binary', minLength: 20, maxLength: 90 }),
  fc.string({ minLength: 60, maxLength: 300 }),
  fc.string({ unit: 'binary', minLength: 60, maxLength: 80 }).map((rest) => `\ufeff${rest}`),
  fc.constantFrom('', '__proto__', 'constructor', 'toString', '\ufeff'),
)
const number = fc.oneof(
  fc.integer({ min: -300, max: 300 }),
  fc.integer({ min: -(2 ** 33), max: 2 ** 33 }),
  fc.maxSafeInteger(),
  fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0)),
  fc.constantFrom(
    0,
    23,
    24,
    255,
    256,
    65535,
    65536,
    2 ** 31,
    2 ** 32 - 1,
    2 ** 32,
    -(2 ** 31),
    -(2 ** 32),
    -(2 ** 32) - 1,
    2 ** 64,
    5e-324,
    0.1,
  ),
)
const { plain } = fc.letrec<{ plain: Plain }>((tie) => ({
  plain: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.oneof(fc.constantFrom<Plain>(null, true, false), number, text, fc.uint8Array({ maxLength: 300 })),
    fc.array(tie('plain'), { maxLength: 30 }),
    fc.array(fc.tuple(text, tie('plain')), { maxLength: 30 }).map((entries) => new Map(entries)),
  ),
}))

const accepted = (bytes: Uint8Array, limit = wide): Plain => {
  const value = decode(bytes, limit)
  if (isRefusal(value)) throw new Error(`refused: ${value.code} ${value.about} ${toHex(bytes.subarray(0, 200))}`)
  return value
}

/** mulberry32. */
const randomFrom = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}

describe('encode and decode', () => {
  test('any value comes back, and its bytes pass the guard', () => {
    fc.assert(
      fc.property(plain, (value) => {
        const bytes = encode(value)
        expect(guard(bytes, wide)).toBeUndefined()
        expect(accepted(bytes)).toEqual(value)
        expect(decodeExactly(bytes)).toEqual(value)
        expect(equalBytes(encode(accepted(bytes)), bytes)).toBe(true)
      }),
      { seed: 11, numRuns: 2_000 },
    )
  })

  test.each<[Plain, string]>([
    [0, '00'],
    [23, '17'],
    [24, '1818'],
    [255, '18ff'],
    [256, '190100'],
    [65536, '1a00010000'],
    [2 ** 32 - 1, '1affffffff'],
    [2 ** 32, 'fb41f0000000000000'],
    [-1, '20'],
    [-24, '37'],
    [-25, '3818'],
    [-256, '38ff'],
    [-257, '390100'],
    [-65537, '3a00010000'],
    [-(2 ** 31) - 1, '3a80000000'],
    [-(2 ** 32), '3affffffff'],
    [-(2 ** 32) - 1, 'fbc1f0000000100000'],
    [0.5, 'fb3fe0000000000000'],
    [null, 'f6'],
    [true, 'f5'],
    [false, 'f4'],
    ['', '60'],
    ['a', '6161'],
    ['é', '62c3a9'],
    [[], '80'],
    [[1, [2]], '82018102'],
    [new Uint8Array(0), '40'],
    [Uint8Array.of(1, 2), '420102'],
    [new Map(), 'a0'],
    [
      new Map([
        ['b', 1],
        ['aa', 2],
        ['a', 3],
      ]),
      'a361610361620162616102',
    ],
  ])('%j is %s', (value, hex) => {
    expect(toHex(encode(value))).toBe(hex)
    expect(accepted(fromHex(hex))).toEqual(value)
  })

  test('keys are sorted by their encoding, not by UTF-16', () => {
    const map = new Map<string, Plain>([
      ['\u{10000}', 1],
      ['\uffee\uffee', 2],
      ['\uffeeA', 3],
      ['', 4],
      ['zz', 5],
      ['b', 6],
    ])
    const keys = [...(accepted(encode(map)) as Map<string, Plain>).keys()]
    expect(keys).toEqual([...map.keys()].sort((a, b) => compareBytes(encode(a), encode(b))))
    expect(keys.indexOf('\uffeeA')).toBeLessThan(keys.indexOf('\u{10000}'))
  })

  test('maps out of order inside maps out of order cost no more than their size', () => {
    let nested: Plain = 1
    for (let i = 0; i < limits.depth; i++)
      nested = new Map<string, Plain>([
        ['b', nested],
        ['a', 0],
      ])
    expect(accepted(encode(nested))).toEqual(nested)
  })

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['undefined in a list', [undefined]],
    ['a hole', new Array(1)],
    ['NaN', Number.NaN],
    ['-0', -0],
    ['infinity', Number.POSITIVE_INFINITY],
    ['bigint', 1n],
    ['symbol', Symbol('x')],
    ['function', () => 1],
    ['an object', {}],
    ['a date', new Date(0)],
    ['a set', new Set()],
    ['a float array', new Float32Array(1)],
    ['a lone surrogate', '\ud800'],
    ['a lone surrogate as key', new Map([['\ud800', 1]])],
    ['a number as key', new Map([[1, 1]])],
    ['undefined in a map', new Map([['a', undefined]])],
  ])('throws on %s', (_, value) => {
    expect(() => encode(value as Plain)).toThrow(TypeError)
  })

  test('throws on a cycle and on what the guard would find too deep, and takes what it would not', () => {
    const cycle: Plain[] = []
    cycle.push(cycle)
    expect(() => encode(cycle)).toThrow(TypeError)
    const nest = (depth: number) => {
      let value: Plain = 1
      for (let i = 0; i < depth; i++) value = [value]
      return value
    }
    expect(accepted(encode(nest(limits.depth)))).toEqual(nest(limits.depth))
    expect(() => encode(nest(limits.depth + 1))).toThrow(TypeError)
  })

  test('encoded bytes are their own', () => {
    const first = encode('first')
    const kept = toHex(first)
    for (let i = 0; i < 5_000; i++) encode(`other ${i}`)
    expect(toHex(first)).toBe(kept)
    expect(first.constructor).toBe(Uint8Array)
    expect(first.buffer.byteLength).toBe(first.length)
  })

  test('byte strings come as plain views into the input, whatever class it has', () => {
    const input = Buffer.from(encode([Uint8Array.of(1, 2, 3)]))
    const [bytes] = accepted(input) as [Uint8Array]
    expect(bytes.constructor).toBe(Uint8Array)
    expect(bytes.buffer).toBe(input.buffer)
    expect(Object.keys(input).length).toBe(input.length)
    expect(toHex(encode([Buffer.from([1, 2, 3])]))).toBe('8143010203')
  })
})

const nested = (initial: number, levels: number) => new Uint8Array(levels).fill(initial)
const bignum = concatBytes(fromHex('c25a00080000'), new Uint8Array(524_288).fill(255))
const manyEmpty = concatBytes(fromHex('9a000f4240'), new Uint8Array(1_000_000).fill(0x80))

const refused: readonly [string, string | Uint8Array, Code][] = [
  ['no bytes', '', 'Malformed'],
  ['two items', '0101', 'Malformed'],
  ['an integer cut short', '1901', 'Malformed'],
  ['0 in two bytes', '1800', 'NotCanonical'],
  ['23 in two bytes', '1817', 'NotCanonical'],
  ['255 in three bytes', '1900ff', 'NotCanonical'],
  ['65535 in five bytes', '1a0000ffff', 'NotCanonical'],
  ['-24 in two bytes', '3817', 'NotCanonical'],
  ['-256 in three bytes', '3900ff', 'NotCanonical'],
  ['a 64-bit integer', '1b0000000100000000', 'NotCanonical'],
  ['a negative 64-bit integer', '3b0000000100000000', 'NotCanonical'],
  ['the largest 64-bit integer', '1bffffffffffffffff', 'NotCanonical'],
  ['reserved 28', '1c', 'Malformed'],
  ['reserved 30', '9e', 'Malformed'],
  ['an indefinite integer', '1f', 'Malformed'],
  ['bytes cut short', '4301', 'Malformed'],
  ['bytes with a long length', '580101', 'NotCanonical'],
  ['bytes of 2^31', '5a8000000000', 'Malformed'],
  ['bytes of 2^64 - 1', '5bffffffffffffffff00', 'NotCanonical'],
  ['indefinite bytes', '5f4101ff', 'NotCanonical'],
  ['text cut short', '6261', 'Malformed'],
  ['text with a long length', '780161', 'NotCanonical'],
  ['text of 2^31', '7a8000000061', 'Malformed'],
  ['indefinite text', '7f6161ff', 'NotCanonical'],
  ['a lone continuation byte', '6180', 'Malformed'],
  ['overlong UTF-8 of two bytes', '62c080', 'Malformed'],
  ['overlong UTF-8 of three bytes', '63e09f80', 'Malformed'],
  ['overlong UTF-8 of four bytes', '64f08f8080', 'Malformed'],
  ['a surrogate in UTF-8', '63eda080', 'Malformed'],
  ['above U+10FFFF', '64f4908080', 'Malformed'],
  ['UTF-8 cut at the end of its text', '8261c361a9', 'Malformed'],
  ['an array cut short', '8201', 'Malformed'],
  ['an array with a long length', '980101', 'NotCanonical'],
  ['an array of 2^31', '9a8000000001', 'Malformed'],
  ['an indefinite array', '9f01ff', 'NotCanonical'],
  ['a map cut short', 'a16161', 'Malformed'],
  ['a map of 2^31', 'ba80000000616101', 'Malformed'],
  ['a map of 2^32 - 1', 'baffffffff616101', 'Malformed'],
  ['an indefinite map', 'bf616101ff', 'NotCanonical'],
  ['a number as key', 'a10101', 'NotCanonical'],
  ['bytes as key', 'a1416101', 'NotCanonical'],
  ['a list as key', 'a18001', 'NotCanonical'],
  ['a tagged key', 'a1c0616101', 'NotCanonical'],
  ['keys out of order', 'a2616201616101', 'NotCanonical'],
  ['a longer key first', 'a262616101616201', 'NotCanonical'],
  ['a key twice', 'a2616101616102', 'NotCanonical'],
  ['__proto__ twice', 'a2695f5f70726f746f5f5f01695f5f70726f746f5f5f02', 'NotCanonical'],
  ['an inner key twice', '81a2616180616101', 'NotCanonical'],
  ['a time tag', 'c000', 'NotCanonical'],
  ['a bignum tag', 'c24101', 'NotCanonical'],
  ['a bignum of 512 KiB', bignum, 'NotCanonical'],
  ['the self-describing tag', 'd9d9f700', 'NotCanonical'],
  ['a record of cbor-x', 'd9dfff8419e0008161610102', 'NotCanonical'],
  ['a shared value', 'd81c80', 'NotCanonical'],
  ['undefined', 'f7', 'NotCanonical'],
  ['simple 16', 'f0', 'NotCanonical'],
  ['simple 255', 'f8ff', 'NotCanonical'],
  ['false in two bytes', 'f814', 'NotCanonical'],
  ['a half float', 'f93c00', 'NotCanonical'],
  ['a single float', 'fa3fc00000', 'NotCanonical'],
  ['a double cut short', 'fb3ff00000000000', 'Malformed'],
  ['1 as a double', 'fb3ff0000000000000', 'NotCanonical'],
  ['-2^32 as a double', 'fbc1f0000000000000', 'NotCanonical'],
  ['2^32 - 1 as a double', 'fb41efffffffe00000', 'NotCanonical'],
  ['0 as a double', 'fb0000000000000000', 'NotCanonical'],
  ['-0', 'fb8000000000000000', 'NotCanonical'],
  ['infinity', 'fb7ff0000000000000', 'NotCanonical'],
  ['-infinity', 'fbfff0000000000000', 'NotCanonical'],
  ['NaN', 'fb7ff8000000000000', 'NotCanonical'],
  ['a break', 'ff', 'Malformed'],
  ['a break in a list', '81ff', 'Malformed'],
  ['depth 33', concatBytes(nested(0x81, 33), Uint8Array.of(0)), 'TooDeep'],
  ['depth 10^6 of lists', concatBytes(nested(0x81, 1_000_000), Uint8Array.of(0)), 'TooDeep'],
  ['depth 10^6 of indefinite lists', nested(0x9f, 1_000_000), 'NotCanonical'],
  ['depth 10^6 of tags', nested(0xc1, 1_000_000), 'NotCanonical'],
  ['a million empty lists', manyEmpty, 'TooMany'],
  ['more bytes than the limit', new Uint8Array(limits.frameBytes + 1), 'TooLarge'],
]

describe('[A1] the guard', () => {
  test.each(refused)('refuses %s', (_, input, code) => {
    const bytes = typeof input === 'string' ? fromHex(input) : input
    expect(guard(bytes)?.code).toBe(code)
    const value = decode(bytes)
    expect(isRefusal(value) && value.code).toBe(code)
  })

  test('every prefix of good bytes is refused, and so is every byte after them', () => {
    const bytes = encode(
      new Map<string, Plain>([
        ['a', [1, 2.5, 'text', Uint8Array.of(1, 2, 3), null]],
        ['b', new Map([['c', 70_000]])],
      ]),
    )
    for (let length = 0; length < bytes.length; length++)
      expect(guard(bytes.subarray(0, length))?.code).toBe('Malformed')
    expect(guard(concatBytes(bytes, Uint8Array.of(0)))?.code).toBe('Malformed')
  })

  test('limits are met exactly', () => {
    expect(guard(concatBytes(nested(0x81, 32), Uint8Array.of(0)))).toBeUndefined()
    expect(guard(fromHex('83010203'), { bytes: 4, depth: 1, nodes: 4 })).toBeUndefined()
    expect(guard(fromHex('83010203'), { bytes: 3, depth: 1, nodes: 4 })?.code).toBe('TooLarge')
    expect(guard(fromHex('83010203'), { bytes: 4, depth: 0, nodes: 4 })?.code).toBe('TooDeep')
    expect(guard(fromHex('83010203'), { bytes: 4, depth: 1, nodes: 3 })?.code).toBe('TooMany')
    expect(guard(fromHex('a16161f4'), { bytes: 4, depth: 1, nodes: 2 })?.code).toBe('TooMany')
  })

  test('a __proto__ key is a key like any other', () => {
    const value = accepted(fromHex('a1695f5f70726f746f5f5fa1617801'))
    expect(value).toEqual(new Map([['__proto__', new Map([['x', 1]])]]))
    expect(Object.prototype).not.toHaveProperty('x')
  })

  test('200,000 mutated inputs: what is accepted re-encodes to itself', () => {
    const seed = 7
    const random = randomFrom(seed)
    const below = (limit: number) => Math.floor(random() * limit)
    const corpus = [
      ...fc
        .sample(plain, { seed, numRuns: 300 })
        .map(encode)
        .filter((bytes) => bytes.length < 400),
      encode([`\ufeff${'x'.repeat(70)}`, 1]),
    ]
    const interesting = [
      0, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1f, 0x20, 0x40, 0x60, 0x80, 0x81, 0xa0, 0xa1, 0xc2, 0xd9, 0xef, 0xf4, 0xf6,
      0xf7, 0xf9, 0xfb, 0xff,
    ]
    let kept = 0
    for (let i = 0; i < 200_000; i++) {
      let bytes = new Uint8Array(corpus[below(corpus.length)] ?? [0])
      for (let edits = below(3) + 1; edits > 0; edits--) {
        const at = below(bytes.length)
        const byte = below(2) ? below(256) : (interesting[below(interesting.length)] ?? 0)
        switch (below(4)) {
          case 0:
            bytes[at] = byte
            break
          case 1:
            bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8))
            break
          case 2:
            bytes = concatBytes(bytes.subarray(0, at), Uint8Array.of(byte), bytes.subarray(at))
            break
          default:
            bytes = concatBytes(bytes.subarray(0, at), bytes.subarray(at + below(4)))
        }
      }
      const value = decode(bytes, wide)
      if (isRefusal(value)) continue
      kept++
      if (!equalBytes(encode(value), bytes)) throw new Error(`seed ${seed}, input ${i}: ${toHex(bytes)}`)
    }
    expect(kept).toBeGreaterThan(5_000)
  }, 30_000)
})

test('text of the length where cbor-x changes its way keeps a byte order mark', () => {
  for (let length = 55; length < 75; length++) {
    for (const value of [`\ufeff${'x'.repeat(length)}`, `\ufeff\ufeff${'x'.repeat(length)}`, 'x'.repeat(length)]) {
      expect(accepted(encode([value]))).toEqual([value])
      expect(encodeUtf8(value).length).toBeGreaterThanOrEqual(length)
    }
  }
})
