import { describe, expect, test } from 'vitest'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { decodeMessage, encodeMessage, type Message, type PackedPush, shortChain, shortId } from './message.ts'

const bytes = (length: number, value = 7) => new Uint8Array(length).fill(value)
const hex = (length: number) => '07'.repeat(length)

const messages: readonly (Message | PackedPush)[] = [
  { kind: 'hello', fingerprint: bytes(8), empty: true, sketch: undefined },
  { kind: 'hello', fingerprint: bytes(8), empty: false, sketch: Uint32Array.of(1, 2, 3) },
  { kind: 'hello', fingerprint: bytes(8), empty: true, sketch: new Uint32Array(0) },
  { kind: 'hello', fingerprint: bytes(8), empty: false, sketch: { place: 70_000, hash: bytes(4) } },
  { kind: 'entries', from: 3, entries: [bytes(5), bytes(0)] },
  { kind: 'filter', round: 1, filter: { salt: bytes(16), count: 10, hashes: 7, bits: bytes(13) } },
  {
    kind: 'heads',
    round: 2,
    more: true,
    heads: [
      { chain: hex(8), seq: 300, id: hex(8) },
      { chain: hex(40), seq: 0, id: hex(32) },
    ],
  },
  { kind: 'heads', round: 2, more: false, heads: [] },
  {
    kind: 'want',
    round: 2,
    more: false,
    wants: [
      { index: 0, held: [] },
      {
        index: 7,
        held: [
          { seq: 1, id: hex(8) },
          { seq: 2, id: hex(32) },
        ],
      },
    ],
  },
  { kind: 'push', round: 0, last: true, unknown: [1, 2], commits: [bytes(9)], certificates: [bytes(3)] },
  { kind: 'fingerprint', round: 4, fingerprint: bytes(8), moved: true, cursor: undefined },
  { kind: 'fingerprint', round: 4, fingerprint: undefined, moved: false, cursor: { place: 9, hash: bytes(4) } },
  { kind: 'sums', round: 1, sums: Uint32Array.of(7) },
  { kind: 'vector', round: 1, bits: bytes(9) },
  {
    kind: 'moved',
    round: 1,
    rest: [5, 6],
    behind: [
      { key: 9, held: 2, id: hex(4) },
      { key: 8, held: 0, id: '' },
    ],
    pushes: true,
  },
  { kind: 'refused', code: 'DiskFull', ids: [hex(32)] },
  { kind: 'rest', round: 9 },
  { kind: 'packed', round: 0, last: false, unknown: [], pack: bytes(40), certificates: [bytes(3)] },
]

describe('messages', () => {
  test.each(messages)('$kind comes back from the wire', (message) => {
    const plain = decode(encode(encodeMessage(message)))
    expect(isRefusal(plain)).toBe(false)
    if (!isRefusal(plain)) expect(decodeMessage(plain)).toEqual(message)
  })

  test('a field more, a field less, or another kind of field is refused', () => {
    const others: readonly Plain[] = [null, true, -1, 0.5, 2 ** 32, 'text', bytes(1), [[]], [null], new Map([['a', 1]])]
    for (const message of messages) {
      const fields = encodeMessage(message)
      if (!Array.isArray(fields)) throw new Error('not a list')
      expect(isRefusal(decodeMessage([...fields, 0])), message.kind).toBe(true)
      expect(isRefusal(decodeMessage(fields.slice(0, -1))), message.kind).toBe(true)
      for (let at = 1; at < fields.length; at++) {
        const taken = others.filter((other) => !isRefusal(decodeMessage(fields.with(at, other))))
        // Another boolean, null for no log, and one byte of filter are what the kind allows.
        const allowed = taken.filter(
          (other) => !(typeof other === 'boolean' || other === null || other instanceof Uint8Array),
        )
        expect(allowed, `${message.kind}, field ${at}`).toEqual([])
        expect(taken.length).toBeLessThanOrEqual(1)
      }
    }
  })

  const name = [bytes(8), 1, bytes(8)]
  const place = [1, bytes(8)]
  test.each<[string, Plain]>([
    ['no list', 7],
    ['an empty list', []],
    ['a kind that is no number', ['hello']],
    ['an unknown kind', [13, 1]],
    ['a negative kind', [-1, 1]],
    ['hello with a long fingerprint', [0, bytes(9), true, null]],
    ['hello with a count', [0, bytes(8), 4, null]],
    ['hello with a broken sum', [0, bytes(8), false, bytes(7)]],
    ['hello with a sum of p', [0, bytes(8), false, Uint8Array.of(0x7f, 0xff, 0xff, 0xff)]],
    ['hello with too many sums', [0, bytes(8), false, bytes(4 * 257)]],
    ['hello with a long cursor', [0, bytes(8), false, [1, bytes(5)]]],
    ['a fingerprint with half a cursor', [6, 1, null, false, [1]]],
    ['sums of round 0', [9, 0, bytes(4)]],
    ['too many sums', [9, 1, bytes(4 * 257)]],
    ['a vector that is no bytes', [10, 1, [1]]],
    ['moved that is cut', [11, 1, bytes(0), [1, 2], false]],
    ['moved with an id of nothing held', [11, 1, bytes(0), [1, 0, bytes(4)], false]],
    ['moved without the id of what is held', [11, 1, bytes(0), [1, 1, bytes(0)], false]],
    ['moved with too many unknown chains', [11, 1, bytes(4 * 128), [], false]],
    [
      'too many chains that moved',
      [11, 1, bytes(0), Array.from({ length: 8_193 }, () => [1, 0, bytes(0)]).flat(), false],
    ],
    ['no entries', [1, 0, []]],
    ['too many entries', [1, 0, Array.from({ length: 8_193 }, () => bytes(0))]],
    ['a filter of round 0', [2, 0, bytes(16), 1, 7, bytes(8)]],
    ['a filter with a short salt', [2, 1, bytes(15), 1, 7, bytes(8)]],
    ['a filter with too many bits', [2, 1, bytes(16), 1, 7, bytes(limits.filterBits / 8 + 1)]],
    ['heads that are cut', [3, 1, false, [...name, bytes(8)]]],
    ['heads with half of a name short', [3, 1, false, [bytes(40), 1, bytes(8)]]],
    ['heads with a name of another length', [3, 1, false, [bytes(9), 1, bytes(9)]]],
    ['no heads and more to come', [3, 1, true, []]],
    ['too many heads', [3, 1, false, Array.from({ length: limits.headsPerMessage + 1 }, () => name).flat()]],
    ['a want without an index', [4, 1, false, [[]]]],
    ['a want that is cut', [4, 1, false, [[0, 1]]]],
    [
      'a want with too many places',
      [4, 1, false, [[0, ...Array.from({ length: limits.locatorIds + 1 }, () => place).flat()]]],
    ],
    ['a want with an id of another length', [4, 1, false, [[0, 1, bytes(9)]]]],
    ['no wants and more to come', [4, 1, true, []]],
    ['too many wants', [4, 1, false, Array.from({ length: limits.headsPerMessage + 1 }, () => [0])]],
    ['a push of texts', [5, 1, true, [], ['commit'], []]],
    ['a push with a negative unknown', [5, 1, true, [-1], [], []]],
    ['refused with an unknown code', [7, 'Whatever', []]],
    ['refused with a code of the prototype', [7, 'constructor', []]],
    ['refused with a short id', [7, 'DiskFull', [bytes(8)]]],
    ['refused with too many ids', [7, 'DiskFull', Array.from({ length: 1_001 }, () => bytes(32))]],
    ['rest of round 0', [8, 0]],
  ])('refuses %s', (_, plain) => {
    expect(isRefusal(decodeMessage(plain))).toBe(true)
  })

  test('short names take 8 bytes: 4 of the session, 4 of the incarnation, 8 of the id', () => {
    const chain = `${'a'.repeat(8)}${'b'.repeat(56)}${'c'.repeat(8)}${'d'.repeat(8)}`
    expect(shortChain(chain)).toBe(`${'a'.repeat(8)}${'c'.repeat(8)}`)
    expect(shortId('0123456789abcdef'.repeat(4))).toBe('0123456789abcdef')
  })
})
