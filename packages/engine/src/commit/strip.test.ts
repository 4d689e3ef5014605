import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { encodeUtf8, toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { type Commit, composeCommit, type Draft, type Header, readCommit, sealCommit, sizeOf } from './commit.ts'
import { idIn, stripCommit } from './strip.ts'

const hash = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest())
const hex = (digit: string, bytes = 32): string => digit.repeat(2 * bytes)

const header: Header = {
  network: hex('1'),
  repository: '/board/roadmap',
  session: hex('2'),
  incarnation: hex('3', 8),
  seq: 0,
  prev: null,
  clock: 5,
  policy: { root: { epoch: 0, n: 0, hash: hex('4') }, authority: null },
  atomic: true,
  extended: false,
}

const draft = (key: string): Draft => ({
  key,
  parents: [],
  schema: { name: 'card', version: 1, hash: hex('5') },
  operations: [
    { kind: 'assign', field: 'title', value: `secret of ${key}` },
    { kind: 'splice', field: 'notes', at: 0, remove: 0, length: 4, insert: `${key}${key}`.padEnd(4, '-') },
    { kind: 'touch' },
  ],
  salt: new Uint8Array(12).fill(key.charCodeAt(0)),
})

const whole = sealCommit(composeCommit(header, [draft('a'), draft('b')], hash), new Uint8Array(64).fill(9))

const holds = ({ bytes }: Commit, text: string): boolean => toHex(bytes).includes(toHex(encodeUtf8(text)))

test('one change loses its content and its salt, everything else stays', () => {
  const stripped = stripCommit(whole, (key) => key === 'a', hash)
  const { changes: _, bytes: __, ...kept } = stripped
  expect(whole).toMatchObject(kept)
  expect(stripped.changes.map(({ erased }) => erased)).toEqual([true, false])
  expect(stripped.changes[1]).toEqual(whole.changes[1])
  expect(stripped.changes[0]?.operations).toEqual([
    { kind: 'assign', field: 'title', value: undefined },
    { kind: 'splice', field: 'notes', at: 0, remove: 0, length: 4, insert: undefined },
    { kind: 'touch' },
  ])
  expect([holds(whole, 'secret of a'), holds(stripped, 'secret of a'), holds(stripped, 'secret of b')]).toEqual([
    true,
    false,
    true,
  ])
  expect(toHex(stripped.bytes)).not.toContain('61'.repeat(12))
  const read = readCommit(stripped.bytes, hash)
  if (isRefusal(read)) throw new Error(read.code)
  expect(read).toEqual(stripped)
})

test('change after change, or all at once, gives the same bytes; nothing to drop gives the same commit', () => {
  const both = stripCommit(whole, () => true, hash)
  const [a, b] = ['a', 'b'].map((first) => {
    const one = stripCommit(whole, (key) => key === first, hash)
    return stripCommit(one, () => true, hash)
  })
  expect([a?.bytes, b?.bytes]).toEqual([both.bytes, both.bytes])
  expect(stripCommit(both, () => true, hash)).toBe(both)
  expect(stripCommit(whole, () => false, hash)).toBe(whole)
})

test('a record says which commit it is, whole or not', () => {
  expect(idIn(whole.bytes, hash)).toBe(whole.id)
  expect(idIn(stripCommit(whole, () => true, hash).bytes, hash)).toBe(whole.id)
  expect(idIn(Uint8Array.of(1, 2), hash)).toBe(undefined)
})

test('of the largest commit with the shortest contents too', () => {
  const parts = (key: string, length: number): Draft => ({
    key,
    parents: [],
    schema: { name: 'card', version: 1, hash: hex('5') },
    operations: length === 0 ? [{ kind: 'touch' }] : [{ kind: 'assign', field: 'title', value: 'x'.repeat(length) }],
    salt: new Uint8Array(12),
  })
  const drafts = Array.from({ length: limits.changes }, (_, index) => parts(`key ${index}`, 0))
  const room = limits.commitBytes - sizeOf(composeCommit(header, drafts, hash))
  const [, ...others] = drafts
  const full = composeCommit(header, [parts('key 0', room - 20), ...others], hash)
  expect(limits.commitBytes - sizeOf(full)).toBeLessThan(40)
  expect(limits.commitBytes - sizeOf(full)).toBeGreaterThanOrEqual(0)
  const commit = sealCommit(full, new Uint8Array(64))
  expect(stripCommit(commit, (key) => key !== 'key 0', hash).bytes.length).toBeGreaterThan(commit.bytes.length)
})
