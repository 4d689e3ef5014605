import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { WeftError } from '../bytes/refusal.ts'
import { boolean, date, type Field, map, number, order, type ScalarField, set, string, text } from './field.ts'
import { type Fields, fieldNamed, schema } from './schema.ts'

const hashOf = (fields: Fields, name = 'thing', version = 1): string =>
  createHash('sha256')
    .update(schema(name, version, fields).definition)
    .digest('hex')

const all = {
  a: string(),
  b: number(),
  c: boolean(),
  d: date(),
  e: order(),
  f: set(string({ max: 9 })),
  g: map(number({ min: 0, integer: true })),
  h: text(),
}

describe('a definition', () => {
  test('does not depend on the order in which fields and options stand', () => {
    const reversed = Object.fromEntries(Object.entries(all).reverse())
    expect(hashOf(reversed)).toBe(hashOf(all))
    expect(hashOf({ a: number({ min: 1, max: 2 }) })).toBe(hashOf({ a: number({ max: 2, min: 1 }) }))
  })

  test('differs with the name, the version, and anything of any field', () => {
    const fields: Field[] = [
      string(),
      string({ max: 5 }),
      string({ max: 6 }),
      number(),
      number({ min: 5 }),
      number({ max: 5 }),
      number({ integer: true }),
      boolean(),
      date(),
      order(),
      set(string()),
      set(number()),
      map(string()),
      map(string({ max: 5 })),
      text(),
    ]
    const hashes = [
      ...fields.map((field) => hashOf({ a: field })),
      hashOf({ b: string() }),
      hashOf({ a: string() }, 'other'),
      hashOf({ a: string() }, 'thing', 2),
      hashOf({}),
    ]
    expect(new Set(hashes).size).toBe(hashes.length)
  })

  test('is these bytes for ever', () => {
    expect(toHex(schema('t', 1, { n: number({ min: 0 }), s: set(string({ max: 9 })), x: text() }).definition)).toBe(
      '83617401838261' +
        '6e82666e756d626572a1636d696e00' +
        '82617382637365748266737472696e67a1636d617809' +
        '8261788164' +
        '74657874',
    )
  })
})

describe('a schema', () => {
  test.each([
    '',
    'A',
    '1a',
    '_a',
    'a-b',
    'a.b',
    '__proto__',
    'constructor',
    'toString',
    'valueOf',
    'hasOwnProperty',
    'ä',
    'a'.repeat(65),
  ])('has no field %j', (name) => {
    expect(() => schema('thing', 1, Object.fromEntries([[name, string()]]))).toThrow(WeftError)
  })

  test.each(['', 'n'.repeat(limits.nameBytes + 1), '\ud800'])('is not called %j', (name) => {
    expect(() => schema(name, 1, {})).toThrow(WeftError)
  })

  test.each([0, -1, 1.5, Number.NaN, 2 ** 32])('has no version %s', (version) => {
    expect(() => schema('thing', version, {})).toThrow(WeftError)
  })

  test('has no field of its prototype', () => {
    const thing = schema('thing', 1, { a: string() })
    expect(fieldNamed(thing, 'a')?.kind).toBe('string')
    for (const name of ['constructor', '__proto__', 'toString', 'b']) expect(fieldNamed(thing, name)).toBe(undefined)
  })

  test.each([
    () => string({ max: 65_537 }),
    () => string({ max: -1 }),
    () => string({ max: 1.5 }),
    () => number({ min: Number.NaN }),
    () => number({ max: Number.POSITIVE_INFINITY }),
    () => number({ min: -0 }),
    () => number({ min: 2, max: 1 }),
  ])('has no field with limits that cannot be: %s', (make) => {
    expect(make).toThrow(WeftError)
  })
})

/** Whether an app may write the value: it is of the field's type and the field accepts it. */
const takes = (field: ScalarField, value: unknown): boolean => {
  const stored = field.toStored(value)
  return stored !== undefined && field.accepts(stored)
}

describe('fields accept', () => {
  test.each<[string, ScalarField, readonly unknown[], readonly unknown[]]>([
    [
      'strings',
      string({ max: 4 }),
      ['', 'abcd', 'ää', '\u{1f9f5}'],
      ['abcde', 'äää', '\ud83e', '\uddf5\ud83e', 5, null, undefined],
    ],
    ['long strings', string(), ['x'.repeat(65_536)], ['x'.repeat(65_537), '€'.repeat(21_846)]],
    [
      'numbers',
      number(),
      [0, -0, 0.1, Number.MAX_VALUE, Number.MIN_VALUE, -(2 ** 60)],
      [Number.NaN, Number.POSITIVE_INFINITY, '1', 1n, null],
    ],
    ['numbers within bounds', number({ min: -1, max: 2, integer: true }), [-1, 0, 2], [-2, 3, 0.5]],
    ['booleans', boolean(), [true, false], [0, 'true', null]],
    [
      'dates',
      date(),
      [null, new Date(0), new Date(-0), new Date(8.64e15), new Date(-8.64e15)],
      [new Date(Number.NaN), new Date(8.64e15 + 1), 0, '2020', undefined],
    ],
    [
      'places',
      order(),
      ['', 'a0V', 'Zz', 'x'.repeat(limits.orderLength)],
      ['a0', '0', 'a b', 'ä', 'a\n', 'x'.repeat(limits.orderLength + 1), null],
    ],
  ])('%s', (_, field, good, bad) => {
    for (const value of good) expect(takes(field, value), String(value).slice(0, 20)).toBe(true)
    for (const value of bad) expect(takes(field, value), String(value).slice(0, 20)).toBe(false)
  })

  test('what comes from outside by the same rules', () => {
    for (const stored of [-0, Number.NaN, 'x', true]) expect(number().accepts(stored), String(stored)).toBe(false)
    for (const stored of [0.5, 8.64e15 + 2, -0, 'x']) expect(date().accepts(stored), String(stored)).toBe(false)
    expect(date().accepts(8.64e15)).toBe(true)
  })
})
