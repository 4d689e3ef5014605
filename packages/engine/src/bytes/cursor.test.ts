import { expect, test } from 'vitest'
import { encodeUtf8 } from './bytes.ts'
import { encode } from './cbor.ts'
import { Cursor, unitsIn } from './cursor.ts'
import { headLength, Sink } from './sink.ts'

const edges = [
  0,
  1,
  23,
  24,
  127,
  128,
  255,
  256,
  16_383,
  16_384,
  65_535,
  65_536,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53 - 1,
]

test('a varint is read as it was written, and in no other form', () => {
  for (const value of edges) {
    const sink = new Sink(1)
    sink.varint(value)
    const bytes = sink.take()
    const cursor = new Cursor(bytes)
    expect([cursor.varint(), cursor.at, cursor.bad]).toEqual([value, bytes.length, false])
    for (let length = 0; length < bytes.length; length++) {
      const cut = new Cursor(bytes, 0, length)
      expect([cut.varint(), cut.bad]).toEqual([0, true])
    }
    const longer = Uint8Array.from([...bytes, 0])
    longer[bytes.length - 1] = (longer[bytes.length - 1] ?? 0) | 128
    const loose = new Cursor(longer)
    expect([loose.varint(), loose.bad]).toEqual([0, true])
  }
  for (const large of [
    [128, 128, 128, 128, 128, 128, 128, 16],
    [255, 255, 255, 255, 255, 255, 255, 127],
    [128, 128, 128, 128, 128, 128, 128, 128, 1],
  ]) {
    const cursor = new Cursor(Uint8Array.from(large))
    expect([cursor.varint(), cursor.bad]).toEqual([0, true])
  }
})

test('a number of either sign is read as it was written', () => {
  for (const value of edges.slice(0, -1).flatMap((edge) => [edge, -edge - 1])) {
    const sink = new Sink(1)
    sink.signed(value)
    expect(new Cursor(sink.view()).signed()).toBe(value)
  }
  const sink = new Sink(1)
  for (const value of [0, -1, 1, -2]) sink.signed(value)
  expect([...sink.view()]).toEqual([0, 1, 2, 3])
})

test('heads, numbers and strings are those of the encoder', () => {
  for (const value of edges) {
    const sink = new Sink(1)
    sink.number(value)
    expect(sink.view()).toEqual(encode(value))
    if (value > 0xffff_ffff) continue
    const cursor = new Cursor(sink.view())
    expect([cursor.head(0), cursor.bad, headLength(value)]).toEqual([value, false, cursor.at])
    expect(new Cursor(sink.view()).head(1)).toBe(0)
  }
  for (const length of [0, 23, 24, 48, 49, 256, 70_000]) {
    const bytes = new Uint8Array(length).fill(7)
    const sink = new Sink(1)
    sink.string(bytes)
    expect(sink.take()).toEqual(encode(bytes))
  }
})

test('a head that is not in its shortest form, or cut, is none', () => {
  for (const bytes of [
    [0x18, 23],
    [0x19, 0, 255],
    [0x1a, 0, 0, 255, 255],
    [0x1b, 0, 0, 0, 1, 0, 0, 0, 0],
    [0x1f],
    [0x18],
    [0x1a, 1, 2, 3],
    [],
  ]) {
    const cursor = new Cursor(Uint8Array.from(bytes))
    expect([cursor.head(0), cursor.bad, cursor.at]).toEqual([0, true, bytes.length])
  }
})

test('an item is passed over whole', () => {
  for (const value of [
    0,
    -1,
    1.5,
    'x'.repeat(300),
    true,
    false,
    null,
    [],
    [
      ['key', 1e300],
      [[-70_000], 'ü'],
    ],
  ]) {
    const bytes = new Uint8Array([...encode(value), 1])
    const cursor = new Cursor(bytes)
    cursor.item()
    expect([cursor.bad, cursor.at]).toEqual([false, bytes.length - 1])
    for (let length = 0; length < bytes.length - 1; length++) {
      const cut = new Cursor(bytes, 0, length)
      cut.item()
      expect(cut.bad).toBe(true)
    }
  }
  for (const value of [new Map(), new Uint8Array(1)]) {
    const cursor = new Cursor(encode([value]))
    cursor.item()
    expect(cursor.bad).toBe(true)
  }
  const deep = new Cursor(new Uint8Array(1_000).fill(0x9a))
  deep.item()
  expect(deep.bad).toBe(true)
})

test('units are those of the text', () => {
  for (const text of ['', 'a', 'ü', '織', '🧵', 'a🧵ü👩‍🚀']) {
    const bytes = encodeUtf8(`x${text}y`)
    expect(unitsIn(bytes, 1, bytes.length - 1)).toBe(text.length)
  }
})

test('room that something large took is given back, and what was taken stays', () => {
  const sink = new Sink(4)
  sink.put(new Uint8Array(100_000).fill(5))
  const taken = sink.take()
  sink.clear()
  sink.put(Uint8Array.of(1, 2))
  const other = new Sink(2)
  other.append(sink)
  expect([taken[0], taken.length, other.take()]).toEqual([5, 100_000, Uint8Array.of(1, 2)])
})
