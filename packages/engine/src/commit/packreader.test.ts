import { describe, expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { Sink } from '../bytes/sink.ts'
import type { Hash } from './commit.ts'
import { code, lead, shape } from './pack.ts'
import { PackReader } from './packreader.ts'

const context = { network: '11'.repeat(32), repository: '/board/roadmap' }
const plenty = { commits: 100_000, bytes: 1e9 }

/** Hashes that are all zero let every check be right. */
const zeroHash: Hash = () => new Uint8Array(32)
const readBlindly = (pack: Uint8Array): string => {
  const read = new PackReader(context, zeroHash, plenty).unpack(pack)
  return isRefusal(read) ? read.code : 'read'
}

const zeros = (length: number): number[] => new Array<number>(length).fill(0)
const varint = (value: number): number[] => {
  const sink = new Sink(8)
  sink.varint(value)
  return [...sink.view()]
}
const [newChain, newSchema, newPosition] = [
  [0, 0, ...zeros(40)],
  [0, 1, 0x73, 1, ...zeros(32)],
  [0, 0, 0, ...zeros(32)],
]
const patternItem = shape.textKey | shape.schema
const listedItem = patternItem | shape.listed
const newItem = [listedItem, 1, 0x6b, ...newSchema, ...zeros(12)]
const touch = [1, 6]
const begun = (rest: readonly number[]) => [...newChain, 0, 10, ...rest]
const plainStart = [lead.chain | lead.jump | lead.policy | lead.unsigned, ...begun([...newPosition, 0])]
const made = (...bytes: readonly number[]): Uint8Array => Uint8Array.from([3, ...bytes, 0, 0])
const change = (...bytes: readonly number[]): Uint8Array => made(...plainStart, ...bytes)

describe('a pack made by hand', () => {
  test('is read', () => {
    expect(readBlindly(made())).toBe('read')
    expect(readBlindly(change(...newItem, ...touch))).toBe('read')
    expect(readBlindly(change(...newItem, 1, 5 | code.field | code.inserts, 0, 1, 0x66, 0x61, 0x78))).toBe('read')
    expect(readBlindly(change(...newItem, 2, 0, 1, 0x66, 1, 1 << 3, 1))).toBe('read')
  })

  test('is refused for a form that no writer uses, even where its check is right', () => {
    const { jump, unsigned, policy, many, ticks, other } = lead
    const start = lead.chain | jump | unsigned
    const splice = (flags: number, ...rest: readonly number[]) =>
      change(...newItem, 1, 5 | code.field | flags, 0, 1, 0x66, ...rest)
    const long = (length: number) => [...varint(length), ...new Array<number>(length).fill(0x66)]
    const cases: [string, Uint8Array][] = [
      ['a pack that builds on nothing', made().with(0, 2)],
      ['another version', made().with(0, 5)],
      ['a chain that is not there', made(jump | policy | unsigned, 0, 10, ...newPosition, 0, ...newItem, ...touch)],
      ['a chain by an age of none', made(start | policy, 1, 0, 10, ...newPosition, 0, ...newItem, ...touch)],
      [
        'a session by an age of none',
        made(start | policy, 0, 1, ...zeros(8), 0, 10, ...newPosition, 0, ...newItem, ...touch),
      ],
      [
        'a new chain that goes on',
        made(lead.chain | unsigned | policy, ...newChain, 10, ...newPosition, 0, ...newItem, ...touch),
      ],
      [
        'a seq beyond 32 bits',
        made(
          start | policy,
          ...newChain,
          ...varint(2 ** 32),
          0,
          ...zeros(32),
          10,
          ...newPosition,
          0,
          ...newItem,
          ...touch,
        ),
      ],
      ['a clock below 0', made(start | policy, ...newChain, 0, 1, ...newPosition, 0, ...newItem, ...touch)],
      [
        'a clock of 2^53',
        made(start | policy, ...newChain, 0, ...varint(2 ** 46), ...newPosition, 0, ...newItem, ...touch),
      ],
      ['ticks of 0', made(start | policy | ticks, ...newChain, 0, 10, 0, ...newPosition, 0, ...newItem, ...touch)],
      ['no policy', made(start, ...begun([]), ...newItem, ...touch)],
      ['a root position of none', made(start | policy, ...begun([1, 0]), ...newItem, ...touch)],
      ['an authority position of none', made(start | policy, ...begun([...newPosition, 3]), ...newItem, ...touch)],
      [
        'a lead that goes on to nothing',
        made(start | policy | other, 3, ...begun([...newPosition, 0]), ...newItem, ...touch),
      ],
      [
        'an ext of one byte',
        made(start | policy | other, 2, ...begun([...newPosition, 0]), 1, 0xa0, ...newItem, ...touch),
      ],
      ['a whole record with flags', made(other | 1, 1, 2, 0x83, 0x40)],
      ['a whole record without a header', made(other, 1, 2, 0x83, 0x41)],
      [
        'more than 1,000 changes',
        made(
          start | policy | many,
          ...begun([...newPosition, 0]),
          ...varint(999),
          ...newItem,
          ...touch,
          ...Array.from({ length: 1_000 }, () => [shape.sameItem | shape.listed, ...zeros(12), ...touch]).flat(),
        ),
      ],
      ['no item before', change(shape.sameItem | shape.schema | shape.listed, ...newSchema, ...zeros(12), ...touch)],
      [
        'an item by an age of none',
        change(shape.item | shape.schema | shape.listed, 1, ...newSchema, ...zeros(12), ...touch),
      ],
      ['a key too long', change(listedItem, ...long(257), ...newSchema, ...zeros(12), ...touch)],
      [
        'a hex key too long',
        change(shape.hexKey | shape.schema | shape.listed, ...long(129), ...newSchema, ...zeros(12), ...touch),
      ],
      ['an empty hex key', change(shape.hexKey | shape.schema | shape.listed, 0, ...newSchema, ...zeros(12), ...touch)],
      ['no last commit of an item', change(listedItem | shape.lastOfItem, ...newItem.slice(1), ...touch)],
      [
        'a parent by an age of none',
        change(listedItem | shape.parent, 1, 0x6b, 1, ...newSchema, ...zeros(12), ...touch),
      ],
      [
        'a list of one parent',
        change(listedItem | shape.parents, 1, 0x6b, 1, ...zeros(33), ...newSchema, ...zeros(12), ...touch),
      ],
      [
        '17 parents',
        change(listedItem | shape.parents, 1, 0x6b, 17, ...zeros(17 * 33), ...newSchema, ...zeros(12), ...touch),
      ],
      ['no schema', change(shape.textKey | shape.listed, 1, 0x6b, ...zeros(12), ...touch)],
      ['a schema by an age of none', change(listedItem, 1, 0x6b, 1, ...zeros(12), ...touch)],
      ['no operations', change(...newItem, 0)],
      ['a touch of a field', change(...newItem, 1, 6 | (1 << 3))],
      ['a field by an age of none', change(...newItem, 1, 0 | (1 << 3), 1)],
      ['a far field that is near', change(...newItem, 2, 0, 1, 0x66, 1, 30 << 3, 1, 1)],
      ['a field of no code', change(...newItem, 2, 0, 1, 0x66, 1, 31 << 3, 1, 1)],
      ['a field too long', change(...newItem, 1, 0, ...long(257), 1)],
      ['a value that is no item', change(...newItem, 1, 0, 1, 0x66, 0xff)],
      ['a pattern of none', change(patternItem | shape.pattern, ...newItem.slice(1), 1)],
      [
        'a pattern of splices',
        change(patternItem | shape.newPattern, ...newItem.slice(1), 1, 5 | code.field | code.removes, 0, 1, 0x66, 1),
      ],
      [
        'a pattern too long',
        change(
          patternItem | shape.newPattern,
          ...newItem.slice(1),
          3,
          0,
          ...long(200),
          0,
          ...long(201),
          0,
          ...long(202),
          1,
          1,
          1,
        ),
      ],
      ['a splice of no field', change(...newItem, 1, 5 | code.removes, 1)],
      ['a splice with a flag too many', splice(code.removes | 128, 1)],
      ['a splice that moves nowhere', splice(code.moved | code.removes, 0, 1)],
      ['a splice that removes nothing', splice(code.removes, 0)],
      ['a splice that inserts nothing', splice(code.inserts, 0x60)],
      ['a splice that inserts no text', splice(code.inserts, 1)],
      ['a splice before the text', splice(code.moved | code.removes, 1, 1)],
      ['a splice beyond 32 bits', splice(code.moved | code.removes, ...varint(2 ** 33), 1)],
      ['one byte more', made(...plainStart, ...newItem, ...touch, 0)],
    ]
    expect(cases.filter(([, pack]) => readBlindly(pack) !== 'Malformed').map(([name]) => name)).toEqual([])
  })

  test('with one long list of operations, or of tags, is refused before it is made', () => {
    const erasedItem = [listedItem | shape.erased, 1, 0x6b, ...newSchema, ...zeros(32)]
    const field = new Array<number>(60).fill(0x66)
    const operations = [...varint(2 ** 50), 1, 60, ...field, ...new Array<number>(60_000).fill(1 | (1 << 3))]
    expect(readBlindly(change(...erasedItem, ...operations))).toBe('TooLarge')
    const begun = change(...erasedItem, 1, 4, 60, ...field, ...varint(2 ** 31))
    // Tags of index 0 whose commits are named in full.
    expect(readBlindly(new Uint8Array([...begun.subarray(0, -2), ...zeros(34 * 20_000)]))).toBe('TooLarge')
  })

  test('holds no more commits and no more bytes than it may', () => {
    const more = [lead.unsigned, 2, shape.sameItem | shape.listed, ...zeros(12), ...touch]
    const record = [0x83, 0x40, 0x40, 0x80]
    const plain = [...plainStart, ...newItem, ...touch, ...more, ...more]
    const readWith = (pack: Uint8Array, most: { commits: number; bytes: number }) => {
      const read = new PackReader(context, zeroHash, most).unpack(pack)
      return isRefusal(read) ? read.code : 'read'
    }
    for (const [pack, commits] of [
      [made(...plain), 3],
      [made(...plain, lead.other, 1, record.length, ...record), 4],
    ] as const) {
      const read = new PackReader(context, zeroHash, plenty).unpack(pack)
      if (isRefusal(read)) throw new Error(read.code)
      expect(read.length).toBe(commits)
      if (commits === 4) expect(read[3]?.bytes).toEqual(Uint8Array.from(record))
      const bytes = read.reduce((sum, one) => sum + one.bytes.length, 0)
      expect(readWith(pack, { commits, bytes })).toBe('read')
      expect(readWith(pack, { commits: commits - 1, bytes })).toBe('TooMany')
      for (const less of [1, 5, 900]) expect(readWith(pack, { commits, bytes: bytes - less })).toBe('TooLarge')
    }
  })

  test('that would unfold to gigabytes is refused before it does', () => {
    const key = [...varint(256), ...zeros(256)]
    const fields = Array.from({ length: 7 }, (_, at) => [0, 60, ...new Array<number>(60).fill(0x66 + at)]).flat()
    const values = new Array<number>(7).fill(0xf6)
    const begun = [patternItem | shape.newPattern, ...key, ...newSchema, ...zeros(12), 7, ...fields, ...values]
    const whole = [shape.sameItem | shape.pattern, ...zeros(12), 1, ...values]
    const erased = [shape.sameItem | shape.pattern | shape.erased, ...zeros(32), 1]
    let hashed = 0
    const meter: Hash = (bytes) => {
      hashed += bytes.length
      return new Uint8Array(32)
    }
    const bytes = 2_000_000
    const refusedWith = (commits: number, changes: number, repeated: readonly number[]): string => {
      const sink = new Sink(1_000_000)
      sink.put(made(...plainStart, ...begun).subarray(0, -2))
      for (let times = 0; times < commits; times++) {
        sink.put(Uint8Array.of(lead.unsigned | lead.many, 0, ...varint(changes - 2)))
        for (let left = changes; left > 0; left--) sink.put(Uint8Array.from(repeated))
      }
      sink.put(Uint8Array.of(0, 0))
      hashed = 0
      const read = new PackReader(context, meter, { commits: 100_000, bytes }).unpack(sink.take())
      return isRefusal(read) ? read.code : 'read'
    }
    for (const repeated of [whole, erased]) {
      expect(refusedWith(1, 100, repeated)).toBe('read')
      expect(refusedWith(1, 1_000, repeated)).toBe('TooLarge')
      expect(hashed).toBeLessThan(1.4 * limits.commitBytes)
      expect(refusedWith(400, 100, repeated)).toBe('TooLarge')
      expect(hashed).toBeLessThan(2 * bytes)
    }
  })
})
