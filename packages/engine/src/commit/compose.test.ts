import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concatBytes, fromHex } from '../bytes/bytes.ts'
import { encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { composeCommit, type Draft, format, type Hash, type Header, readCommit, sealCommit } from './commit.ts'
import { encodeOperations, type Operation } from './operation.ts'

const hash: Hash = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())

/** The record of these fields and drafts as the format has it, whatever is in them. */
const recordOf = (fields: Header, drafts: readonly Draft[]): Uint8Array => {
  const parts = drafts.map(({ key, parents, schema, operations, salt }) => {
    const { ops, content } = encodeOperations(operations)
    const identity = [key, parents.map(fromHex), [schema.name, schema.version, fromHex(schema.hash)]]
    return [encode(identity), encode(ops), encode([salt, content])]
  })
  const { root, authority } = fields.policy
  const position = (one: typeof root): Plain => [one.epoch, one.n, fromHex(one.hash)]
  const header = encode([
    format,
    fromHex(fields.network),
    fields.repository,
    fromHex(fields.session),
    fromHex(fields.incarnation),
    fields.seq,
    fields.prev === null ? null : fromHex(fields.prev),
    fields.clock,
    [position(root), authority === null ? null : position(authority)],
    fields.atomic ? 1 : 0,
    parts.map((part) => hash(concatBytes(...part.map(hash)))),
    new Map(),
  ])
  return encode([header, new Uint8Array(64), parts])
}

/** Once in a while another value than a good one: there are so many of them in a commit that about half of all commits have one. */
const mostly = <Value>(good: fc.Arbitrary<Value>, ...bad: readonly unknown[]): fc.Arbitrary<Value> =>
  // What no type lets through is what is to be refused.
  fc.oneof({ weight: 60, arbitrary: good }, { weight: 1, arbitrary: fc.constantFrom(...(bad as Value[])) })
const hex = (bytes: number) =>
  mostly(
    fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((one) => Buffer.from(one).toString('hex')),
    '',
    'a'.repeat(2 * bytes - 1),
    'b'.repeat(2 * bytes + 2),
    'x'.repeat(2 * bytes),
  )
const count = mostly(fc.integer({ min: 0, max: 0xffff_ffff }), -1, 0.5, 0x1_0000_0000, Number.NaN, -0)
const name = mostly(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 60 }),
  '',
  'n'.repeat(limits.nameBytes),
  'é'.repeat(limits.nameBytes / 2 + 1),
  '\ud800',
)
const position = fc.record({ epoch: count, n: count, hash: hex(32) })
const headers: fc.Arbitrary<Header> = fc
  .record({
    network: hex(32),
    repository: name,
    session: hex(32),
    incarnation: hex(8),
    seq: count,
    prev: hex(32),
    unlinked: mostly(fc.constant(false), true),
    clock: mostly(fc.maxSafeInteger().map(Math.abs), -1, 2 ** 53, 1.5),
    policy: fc.record({ root: position, authority: fc.option(position) }),
    atomic: fc.boolean(),
    extended: fc.constant(false),
  })
  .map(({ unlinked, ...header }) => ({ ...header, prev: (header.seq === 0) === unlinked ? header.prev : null }))

const field = mostly(fc.constantFrom('title', 'points', 'f'.repeat(64)), '', 'f'.repeat(65))
const value = mostly(
  fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
  ),
  null,
  undefined,
  -0,
  '\udc00',
  Uint8Array.of(1),
  [],
)
const tag = fc.tuple(hex(32), mostly(fc.nat({ max: 9 }), limits.operations, -1, 'x')).map(([id, at]) => `${id}:${at}`)
const tags = mostly(fc.array(mostly(tag, 'ab', ''), { minLength: 1, maxLength: 3 }), [])
const insert = fc.string({ unit: 'binary', maxLength: 60 })
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constantFrom('assign', 'add'), field, value }),
  fc.record({ kind: fc.constantFrom('remove', 'drop'), field, tags }),
  fc.record({
    kind: fc.constant('put'),
    field,
    entry: mostly(fc.tuple(mostly(name, 1), value), undefined),
  }),
  fc
    .record({ field, at: count, remove: count, insert, other: mostly(fc.constant(undefined), undefined, 'other', '') })
    .map(({ other, ...one }) => ({
      kind: 'splice' as const,
      ...one,
      length: one.insert.length,
      insert: other ?? one.insert,
    })),
  fc.constantFrom({ kind: 'touch' }, { kind: 'delete' }),
) as fc.Arbitrary<Operation>
const draft: fc.Arbitrary<Draft> = fc.record({
  key: name,
  parents: mostly(
    fc.uniqueArray(hex(32), { maxLength: 3 }).map((ids) => ids.sort()),
    ['b'.repeat(64), 'a'.repeat(64)],
    ['a'.repeat(64), 'a'.repeat(64)],
    Array.from({ length: limits.parents + 1 }, (_, at) => at.toString(16).padStart(64, '0')),
  ),
  schema: fc.record({ name, version: count, hash: hex(32) }),
  operations: fc.array(operation, { maxLength: 6 }),
  salt: mostly(fc.uint8Array({ minLength: 12, maxLength: 12 }), new Uint8Array(11)),
})

const attempt = <Result>(run: () => Result): Result | undefined => {
  try {
    return run()
  } catch (error) {
    expect(error).toBeInstanceOf(TypeError)
    return undefined
  }
}

describe('composing', () => {
  test('makes what can be read, byte for byte, and throws on everything else', () => {
    const outcomes = { made: 0, thrown: 0, refused: 0 }
    fc.assert(
      fc.property(headers, fc.array(draft, { maxLength: 3 }), (fields, drafts) => {
        const record = attempt(() => recordOf(fields, drafts))
        const read = record && readCommit(record, hash)
        const unsigned = attempt(() => composeCommit(fields, drafts, hash))
        expect(unsigned !== undefined).toBe(read !== undefined && !isRefusal(read))
        if (unsigned !== undefined) expect(sealCommit(unsigned, new Uint8Array(64)).bytes).toEqual(record)
        outcomes[unsigned !== undefined ? 'made' : record === undefined ? 'thrown' : 'refused']++
      }),
      { seed: 5, numRuns: 1_500 },
    )
    for (const times of Object.values(outcomes)) expect(times, JSON.stringify(outcomes)).toBeGreaterThan(50)
  })

  test('throws on more items in a change than a reader takes', () => {
    const fields = fc.sample(headers, { seed: 3, numRuns: 50 })
    const header = fields.find((one) => attempt(() => composeCommit(one, [good], hash)) !== undefined)
    if (header === undefined) throw new RangeError('no good header among fifty')
    const splices = (length: number): Draft => ({
      ...good,
      operations: Array.from({ length }, () => ({
        kind: 'splice',
        field: 'a',
        at: 0,
        remove: 1,
        length: 0,
        insert: '',
      })),
    })
    // A list, and in it six items for each: 65,536 is the limit.
    expect(isRefusal(readCommit(recordOf(header, [splices(10_922)]), hash))).toBe(false)
    expect(composeCommit(header, [splices(10_922)], hash).changes.length).toBe(1)
    expect(isRefusal(readCommit(recordOf(header, [splices(10_923)]), hash))).toBe(true)
    expect(() => composeCommit(header, [splices(10_923)], hash)).toThrow('TooMany')
  })
})

const good: Draft = {
  key: 'a',
  parents: [],
  schema: { name: 'thing', version: 1, hash: 'a'.repeat(64) },
  operations: [{ kind: 'touch' }],
  salt: new Uint8Array(12),
}
