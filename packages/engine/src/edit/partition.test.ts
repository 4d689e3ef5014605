import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { composeCommit, readCommit, sealCommit, sizeOf } from '../commit/commit.ts'
import { type Operation, tagOf } from '../commit/operation.ts'
import { Rope } from '../merge/rope.ts'
import { applySplices } from '../merge/splice.ts'
import { partition } from './partition.ts'

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const field = 'f'.repeat(64)
const position = { epoch: 0xffff_ffff, n: 0xffff_ffff, hash: 'ff'.repeat(32) }

/** The largest commit around one change. */
const commitOf = (operations: readonly Operation[]) =>
  composeCommit(
    {
      network: '00'.repeat(32),
      repository: 'ä'.repeat(128),
      session: '11'.repeat(32),
      incarnation: '22'.repeat(8),
      seq: 0xffff_ffff,
      prev: '33'.repeat(32),
      clock: Number.MAX_SAFE_INTEGER,
      policy: { root: position, authority: position },
      atomic: true,
      extended: false,
    },
    [
      {
        key: 'ä'.repeat(128),
        parents: Array.from({ length: limits.parents }, (_, n) => n.toString(16).padStart(64, '0')),
        schema: { name: 'ä'.repeat(128), version: 0xffff_ffff, hash: '44'.repeat(32) },
        operations,
        salt: new Uint8Array(12),
      },
    ],
    hash,
  )

const fits = (operations: readonly Operation[]): boolean => {
  const commit = commitOf(operations)
  return (
    sizeOf(commit) <= limits.commitBytes && !isRefusal(readCommit(sealCommit(commit, new Uint8Array(64)).bytes, hash))
  )
}

const many = (count: number, make: (index: number) => Operation): Operation[] =>
  Array.from({ length: count }, (_, index) => make(index))
const tag = tagOf('ee'.repeat(32), limits.operations - 1)

test.each<[string, Operation[]]>([
  [
    'many short splices',
    many(20_000, (at) => ({
      kind: 'splice',
      field,
      at: 0xffff_0000 + at,
      remove: 0xffff_ffff,
      length: 1,
      insert: '€',
    })),
  ],
  [
    'long text of three bytes a unit',
    [{ kind: 'splice', field, at: 0, remove: 7, length: 400_000, insert: '€'.repeat(400_000) }],
  ],
  [
    'long text of pairs',
    [{ kind: 'splice', field, at: 0, remove: 7, length: 400_000, insert: '\u{1f9f5}'.repeat(200_000) }],
  ],
  ['the longest strings', many(9, () => ({ kind: 'assign', field, value: '€'.repeat(21_845) }))],
  ['many small elements', many(20_000, (index) => ({ kind: 'add', field, value: index + 0.5 }))],
  ['many entries', many(3_000, (index) => ({ kind: 'put', field, entry: ['€'.repeat(85), `${index}`] }))],
  ['a removal of very many', [{ kind: 'remove', field, tags: Array.from({ length: 30_000 }, () => tag) }]],
  ['a drop of very many', [{ kind: 'drop', field, tags: Array.from({ length: 30_000 }, () => tag) }]],
  ['many removals', many(9_000, () => ({ kind: 'remove', field, tags: [tag] }))],
  ['touches', many(20_000, () => ({ kind: 'touch' }))],
])('%s: every piece fits a commit, and nothing is lost', (_, operations) => {
  const pieces = partition(operations)
  for (const piece of pieces) expect(fits(piece)).toBe(true)
  const joined = pieces.flat()
  const tags = (list: readonly Operation[]) => list.flatMap((operation) => ('tags' in operation ? operation.tags : []))
  expect(tags(joined).length).toBe(tags(operations).length)
  const others = (list: readonly Operation[]) =>
    list.filter(({ kind }) => kind !== 'remove' && kind !== 'drop' && kind !== 'splice')
  expect(others(joined)).toEqual(others(operations))
})

test('pieces made one after the other do what the whole does', () => {
  const unit = fc.constantFrom('a', '€', '\u{1f9f5}')
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit, minLength: 1, maxLength: 3 }), fc.integer({ min: 1, max: 30_000 })), {
        maxLength: 4,
      }),
      (parts) => {
        let length = 9
        const operations = parts.map(([word, times]): Operation => {
          const insert = word.repeat(times)
          const at = length >> 1
          // The text begins with nine letters, so the last of an odd place is never half a pair's place before it grows.
          const splice: Operation = {
            kind: 'splice',
            field,
            at: at === 4 ? 4 : 0,
            remove: at === 4 ? 1 : 0,
            length: insert.length,
            insert,
          }
          length += insert.length
          return splice
        })
        const splices = (list: readonly Operation[]) =>
          list.flatMap((one) =>
            one.kind === 'splice' ? [{ at: one.at, remove: one.remove, insert: one.insert ?? '' }] : [],
          )
        const [whole, pieced] = [operations, partition(operations).flat()].map((list) =>
          applySplices(Rope.from('123456789'), splices(list))?.toString(),
        )
        expect(whole).not.toBe(undefined)
        expect(pieced).toBe(whole)
      },
    ),
    { seed: 3, numRuns: 60 },
  )
})

test('what fits is one piece, and nothing is none', () => {
  const operations: Operation[] = [{ kind: 'touch' }, { kind: 'assign', field, value: 'x' }]
  expect(partition(operations)).toEqual([operations])
  expect(partition([])).toEqual([])
})
