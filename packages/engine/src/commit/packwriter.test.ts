import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { equalBytes, toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { Cursor } from '../bytes/cursor.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { composeCommit, type Hash, type Header, readCommit, sealCommit } from './commit.ts'
import type { Operation } from './operation.ts'
import type { Packed } from './pack.ts'
import { PackReader } from './packreader.ts'
import { Ring } from './packtable.ts'
import { PackWriter } from './packwriter.ts'
import { stripCommit } from './strip.ts'

const hash: Hash = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())
const context = { network: '11'.repeat(32), repository: '/board/roadmap' }

const writer = () => new PackWriter(context)
const fresh = (records: readonly Packed[]): Uint8Array => writer().pack(records)

const mustComeBack = (records: readonly Packed[]): void => {
  const read = new PackReader(context, hash, { commits: 10_000, bytes: 1e8 }).unpack(fresh(records))
  if (isRefusal(read)) throw new Error(`${read.code}: ${read.about}`)
  expect(read.length).toBe(records.length)
  for (const [at, { id, bytes }] of records.entries()) {
    const other = read[at]
    if (other?.id !== id || !equalBytes(other.bytes, bytes)) throw new Error(`record ${at}: ${toHex(bytes)}`)
  }
}

const listOf = (plain: Plain | undefined): Plain[] => {
  if (!Array.isArray(plain)) throw new Error('not a list')
  return [...plain]
}
const bytesOf = (plain: Plain | undefined): Uint8Array => {
  if (!(plain instanceof Uint8Array)) throw new Error('not bytes')
  return plain
}
const plainOf = (bytes: Uint8Array): Plain => {
  const plain = decode(bytes)
  if (isRefusal(plain)) throw new Error(plain.code)
  return plain
}

/** The record with other parts, and the hashes in its header right again. */
const remade = (bytes: Uint8Array, change: (header: Plain[], changes: Plain[][]) => void): Packed => {
  const [head, signature, list] = listOf(plainOf(bytes))
  const header = listOf(plainOf(bytesOf(head)))
  const changes = listOf(list).map(listOf)
  change(header, changes)
  header[10] = changes.map(([identity, operations, content]) => {
    const last = content instanceof Uint8Array ? hash(content) : bytesOf(listOf(content)[0])
    return hash(new Uint8Array([...hash(bytesOf(identity)), ...hash(bytesOf(operations)), ...last]))
  })
  const headerBytes = encode(header)
  return { id: toHex(hash(headerBytes)), bytes: encode([headerBytes, bytesOf(signature), changes]) }
}

const headerIn = (bytes: Uint8Array): Uint8Array => {
  const cursor = new Cursor(bytes, 1)
  const length = cursor.head(2)
  return bytes.subarray(cursor.at, cursor.at + length)
}

const bytesFor = (text: string): Uint8Array => hash(encode(text))
const digest = (text: string): string => toHex(bytesFor(text))

const someHeader = (seq: number, prev: string | null, clock: number): Header => ({
  ...context,
  session: '77'.repeat(32),
  incarnation: '88'.repeat(8),
  seq,
  prev,
  clock,
  policy: {
    root: { epoch: 0, n: 5, hash: '44'.repeat(32) },
    authority: { epoch: 0, n: 40, hash: '45'.repeat(32) },
  },
  atomic: false,
  extended: false,
})

const schema = { name: 'card', version: 1, hash: '55'.repeat(32) }

/** A chain of commits, each of one change; `write` says what it does to which item. */
const chainOf = (
  count: number,
  write: (at: number) => { key: string; operations: Operation[] },
  isSigned: (at: number) => boolean = () => true,
): Packed[] => {
  const heads = new Map<string, string>()
  let prev: string | null = null
  return Array.from({ length: count }, (_, at) => {
    const { key, operations } = write(at)
    const head = heads.get(key)
    const clock = (1_750_000_000_000 + at * 333) * 256
    const draft = {
      key,
      parents: head === undefined ? [] : [head],
      schema,
      operations,
      salt: bytesFor(`salt ${at}`).subarray(0, 12),
    }
    const composed = composeCommit(someHeader(at, prev, clock), [draft], hash)
    prev = composed.id
    heads.set(key, composed.id)
    return sealCommit(composed, isSigned(at) ? new Uint8Array(64).fill(at) : new Uint8Array(0))
  })
}

const keys = Array.from({ length: 20 }, (_, at) => digest(`key ${at}`).slice(0, 24))
const patch = (at: number): Operation[] => [
  { kind: 'assign', field: 'title', value: `Title of the card, ${at}` },
  { kind: 'assign', field: 'done', value: at % 2 === 0 },
  { kind: 'assign', field: 'place', value: at },
]
const patchText = (at: number): number => encode(`Title of the card, ${at}`).length + 1 + encode(at).length
const plainCommits = (count: number): Packed[] =>
  chainOf(count, (at) => ({ key: keys[at % 20] ?? '', operations: patch(at) }))

describe('what is left out', () => {
  test('of a commit that was erased', () => {
    const records = plainCommits(3)
    const erased = records.map(({ bytes }) => {
      const read = readCommit(bytes, hash)
      if (isRefusal(read)) throw new Error(read.code)
      return stripCommit(read, () => true, hash)
    })
    mustComeBack(erased)
    expect(fresh(erased).length).toBeLessThan(fresh(records).length + 3 * 20)
  })

  test('of a signed commit of three fields on a warm channel', () => {
    const records = plainCommits(41)
    const long = writer()
    long.pack(records.slice(0, 40))
    const length = long.pack(records.slice(40)).length
    expect(length - patchText(40)).toBeLessThanOrEqual(64 + 12 + 10)
    expect(length).toBeLessThanOrEqual(150)
  })

  test('of a run of 100 with one signature', () => {
    const records = chainOf(
      100,
      (at) => ({ key: keys[at % 20] ?? '', operations: patch(at) }),
      (at) => at === 99,
    )
    const text = records.reduce((sum, _, at) => sum + patchText(at), 0)
    const size = fresh(records).length
    expect((size - text) / 100).toBeLessThanOrEqual(28)
  })

  test('of 1,000 letters typed', () => {
    const records = chainOf(
      1_000,
      (at) => ({
        key: keys[0] ?? '',
        operations: [{ kind: 'splice', field: 'notes', at, remove: 0, length: 1, insert: 'x' }],
      }),
      (at) => at % 64 === 63 || at === 999,
    )
    mustComeBack(records)
    expect(fresh(records).length / 1_000).toBeLessThanOrEqual(22)
  })

  test('nothing that another version or another repository says', () => {
    const [first] = plainCommits(1)
    if (first === undefined) throw new Error('no commit')
    const withHeader = (field: number, value: Plain) =>
      remade(first.bytes, (header) => {
        header[field] = value
      })
    const withPart = (part: number, bytes: Uint8Array) =>
      remade(first.bytes, (_, changes) => {
        for (const change of changes) change[part] = bytes
      })
    const withOperations = (operations: Plain, ...values: Plain[]) => {
      const { bytes } = withPart(1, encode(operations))
      return remade(bytes, (_, changes) => {
        for (const change of changes) change[2] = encode([new Uint8Array(12), values])
      })
    }
    const salt = new Uint8Array(12)
    const odd = [
      ...(
        [
          [0, 2],
          [2, '/board/other'],
          [4, new Uint8Array(7)],
          [4, 'x'.repeat(8)],
          [5, 1.5],
          [6, salt],
          [6, new Uint8Array(32)],
          [7, -1],
          [7, 2 ** 60],
          [8, []],
          [9, 7],
          [11, []],
        ] as const
      ).map(([field, value]) => withHeader(field, value)),
      withHeader(5, 1),
      withHeader(11, new Map([['later', new Map([['and', 1.5]])]])),
      withOperations([['title', 9]]),
      withOperations([['', 9]]),
      withOperations([['title', 9]], 'x'),
      withOperations([['', 0]], 'x'),
      withOperations([['title', 6]]),
      withOperations('text'),
      withOperations([]),
      withOperations([['title', 0, 1]], 'x'),
      withOperations([['title', 2]]),
      withOperations([['title', 2, []]]),
      withOperations([['title', 2, [], 1]]),
      withOperations([['title', 2, [[salt, 1]]]]),
      withOperations([['title', 5, 0, 1]]),
      withOperations([['title', 5, 0, 1, 0, 0]]),
      withOperations([['title', 5, 0, 0, 0]]),
      withOperations([['title', 5, 0, 0, 3]], 'ab'),
      withOperations([['title', 5, 0, 0, 3]], '🧵x'),
      withOperations([['title', 5, 0, 0, 3]], 3),
      withOperations([[1, 2]]),
      ...[
        7,
        [],
        ['salt', []],
        [salt, [1, 2, 3, 4]],
        [salt, [1, 2]],
        [salt, [new Map(), 1, 2]],
        [salt, [1, 2, 3], 4],
      ].map((content) => withPart(2, encode(content))),
      withPart(2, new Uint8Array([0x82, 0x4c, ...salt, 0x84, 1, 2, 3])),
      ...[
        ['x'.repeat(300), [], ['card', 1, new Uint8Array(32)]],
        ['x', [], ['card', 1]],
        ['x', [salt], ['card', 1, new Uint8Array(32)]],
      ].map((identity) => withPart(0, encode(identity))),
      { id: first.id, bytes: encode([new Uint8Array(0), new Uint8Array(64), []]) },
      { id: first.id, bytes: Uint8Array.of(0x83, 0x40) },
    ].map(({ bytes }) => ({ bytes, id: toHex(hash(headerIn(bytes))) }))
    const records = odd.flatMap((other) => [first, other])
    mustComeBack(records)
  })

  test('nothing where names have the same hash, the operations are many, or a number of a chain is missing', () => {
    const seen = new Map<number, string>()
    const twins: string[] = []
    while (twins.length === 0) {
      const key = digest(`twin ${seen.size}`).slice(0, 8)
      let sum = 0x811c9dc5
      for (const byte of encode(key)) sum = Math.imul(sum ^ byte, 0x01000193)
      const twin = seen.get(sum)
      if (twin !== undefined && twin !== key) twins.push(key, twin)
      seen.set(sum, key)
    }
    const fields = (at: number): Operation[] =>
      Array.from({ length: 9 }, (_, place) => ({ kind: 'assign', field: `${'f'.repeat(60)}${place}`, value: at }))
    const records = chainOf(8, (at) => ({ key: twins[at % 2] ?? '', operations: at % 4 < 2 ? patch(at) : fields(at) }))
    const last = records[7]
    if (last === undefined) throw new Error('no commit')
    const gap = remade(last.bytes, (header) => {
      header[5] = 8
    })
    const all = [...records.slice(0, 7), gap]
    mustComeBack(all)
  })

  test('nothing of what is not in a table', () => {
    const ring = new Ring(4, true)
    for (let byte = 0; byte < 6; byte++) {
      ring.add({ bytes: Uint8Array.of(byte) })
      expect([0, 1, 4, 5, 2 ** 40].map((age) => ring.at(age)?.bytes[0])).toEqual([
        undefined,
        byte,
        byte > 2 ? byte - 3 : undefined,
        undefined,
        undefined,
      ])
    }
    expect([0, 1, 2, 3, 4, 5].map((byte) => ring.find(Uint8Array.of(9, byte), 1))).toEqual([0, 0, 4, 3, 2, 1])
  })
})
