import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { type Commit, composeCommit, readCommit, sealCommit } from './commit.ts'
import { fitsRun, follows, gatherRuns, isSigned, unsigned, withoutNeedless } from './run.ts'

const hash = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
const name = (byte: number, length: number): string => byte.toString(16).padStart(2, '0').repeat(length)

/** A chain of so many commits, each signed where `signs` says so. */
const chain = (
  incarnation: number,
  length: number,
  signs: (seq: number) => boolean = () => true,
  parents: readonly (readonly string[])[] = [],
): Commit[] => {
  const made: Commit[] = []
  while (made.length < length) {
    const seq = made.length
    const header = {
      network: name(1, 32),
      repository: '/board/b',
      session: name(2, 32),
      incarnation: name(incarnation, 8),
      seq,
      prev: made.at(-1)?.id ?? null,
      clock: 256 * (seq + 1),
      policy: { root: { epoch: 0, n: 0, hash: name(3, 32) }, authority: null },
      atomic: false,
      extended: false,
    }
    const draft = {
      key: 'item',
      parents: parents[seq] ?? [],
      schema: { name: 'card', version: 1, hash: name(4, 32) },
      operations: [{ kind: 'assign', field: 'title', value: `title ${seq}` }],
      salt: new Uint8Array(12).fill(seq),
    } as const
    const signature = signs(seq) ? new Uint8Array(64).fill(9) : new Uint8Array(0)
    made.push(sealCommit(composeCommit(header, [draft], hash), signature))
  }
  return made
}

const read = (bytes: Uint8Array): Commit => {
  const commit = readCommit(bytes, hash)
  if (isRefusal(commit)) throw new Error(commit.code)
  return commit
}
const gathered = (commits: readonly Commit[]) => {
  const refused: string[] = []
  const runs = [...gatherRuns(commits, ({ id }, { code }) => void refused.push(`${code} ${id}`))]
  return { runs: runs.map((run) => run.length), refused: refused.length }
}

test('without its signature a record reads as the same commit, unsigned', () => {
  const [commit] = chain(1, 1)
  if (commit === undefined) throw new Error('none was made')
  const bare = read(unsigned(commit))
  expect(isSigned(bare)).toBe(false)
  expect({ ...bare, signature: commit.signature, bytes: commit.bytes }).toEqual(commit)
  expect(unsigned(bare)).toEqual(bare.bytes)
})

test('a signature of any other length is none', () => {
  const [commit] = chain(1, 1)
  if (commit === undefined) throw new Error('none was made')
  const at = Buffer.from(commit.bytes).indexOf(Buffer.from(commit.signature))
  for (const length of [1, 63]) {
    const head = length < 24 ? [0x40 + length] : [0x58, length]
    const bytes = Buffer.concat([
      commit.bytes.subarray(0, at - 2),
      Uint8Array.from(head),
      commit.signature.subarray(0, length),
      commit.bytes.subarray(at + 64),
    ])
    const refused = readCommit(bytes, hash)
    expect(isRefusal(refused) && refused.code).toBe('Malformed')
  }
})

test('runs end where a signature is; what nobody vouches for is refused, and what comes after it is not', () => {
  const some = chain(1, 9, (seq) => seq % 3 === 2)
  expect(gathered(some)).toEqual({ runs: [3, 3, 3], refused: 0 })
  expect(gathered(some.slice(0, 8))).toEqual({ runs: [3, 3], refused: 2 })
  expect(gathered([...some.slice(0, 2), ...some.slice(3)])).toEqual({ runs: [3, 3], refused: 2 })
  expect(gathered([...some.slice(0, 2), ...chain(2, 1), ...some.slice(2)])).toEqual({ runs: [1, 1, 3, 3], refused: 2 })
  const [first, second] = chain(1, 2)
  if (first === undefined || second === undefined) throw new Error('two were made')
  expect([follows(second, first), follows(first, second), follows(second, second)]).toEqual([true, false, false])
  expect(gathered(chain(1, limits.runCommits + 1, (seq) => seq === limits.runCommits))).toEqual({
    runs: [],
    refused: limits.runCommits + 1,
  })
  expect([fitsRun(1, limits.runBytes + 1), fitsRun(2, limits.runBytes), fitsRun(2, limits.runBytes + 1)]).toEqual([
    true,
    true,
    false,
  ])
})

test('needless signatures go as far as a run reaches, and never that of an end', () => {
  const signed = (commits: readonly Commit[]): boolean[] =>
    withoutNeedless(commits, () => undefined).map(({ bytes }) => isSigned(read(bytes)))
  expect(signed(chain(1, 3))).toEqual([false, false, true])
  expect(signed([...chain(1, 2), ...chain(2, 2)])).toEqual([false, true, false, true])
  const long = signed(chain(1, 2 * limits.runCommits + 1))
  expect(long.flatMap((one, at) => (one ? [at] : []))).toEqual([
    limits.runCommits - 1,
    2 * limits.runCommits - 1,
    2 * limits.runCommits,
  ])
  // Runs that are held are joined whole or not at all.
  const held = chain(1, 90, (seq) => seq === 39 || seq === 69 || seq === 89)
  expect(signed(held).flatMap((one, at) => (one ? [at] : []))).toEqual([39, 89])
  expect(withoutNeedless(held, () => undefined).map(({ id }) => id)).toEqual(held.map(({ id }) => id))
  expect(withoutNeedless([], () => undefined)).toEqual([])
})

test('what was made apart is not joined over another branch of its chain, which may build on what it would be joined to', () => {
  const branch = name(9, 32)
  const signed = (parents: readonly (readonly string[])[]): boolean[] =>
    // Of a forked chain, whose branches one name stands for, none is told.
    withoutNeedless(
      chain(1, parents.length, () => true, parents),
      () => undefined,
    ).map(({ bytes }) => isSigned(read(bytes)))
  expect(signed([[], [branch], []])).toEqual([true, false, true])
  const [first] = chain(1, 1, () => true)
  expect(signed([[], [first?.id ?? ''], [first?.id ?? '']])).toEqual([false, false, true])
})

test('what was made apart is joined only where it builds on its own chain and on what the first commit names', () => {
  const [foreign, other, own] = [name(7, 32), name(8, 32), name(9, 32)]
  const chainOf = (id: string) => (id === own ? name(2, 32) + name(1, 8) : `chain of ${id}`)
  const signed = (parents: readonly (readonly string[])[]): boolean[] =>
    withoutNeedless(
      chain(1, parents.length, () => true, parents),
      chainOf,
    ).map(({ bytes }) => isSigned(read(bytes)))
  expect(signed([[], [own], [own]])).toEqual([false, false, true])
  expect(signed([[foreign], [foreign, own], []])).toEqual([false, false, true])
  expect(signed([[], [foreign], []])).toEqual([true, false, true])
  expect(signed([[foreign], [], [foreign, other], [other]])).toEqual([false, true, false, true])
  // What its author signed as one stays one.
  const made = chain(1, 3, (seq) => seq === 2, [[], [foreign], [other]])
  expect(withoutNeedless(made, chainOf)).toEqual(made)
})
