/** Row C6: a few bytes that say they are gigabytes, and edits that make a field grow without end. */

import { encode, type Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import type { Commit } from '../../../packages/engine/src/commit/commit.ts'
import type { Operation } from '../../../packages/engine/src/commit/operation.ts'
import { poison } from '../../fuzz/poison.ts'
import type { Stream } from '../../sim/random.ts'
import { listOf, rewritten } from '../rewrite.ts'
import { mustHold, type Row } from '../row.ts'
import { Card, hash, Target } from '../target.ts'

const giga = 2 ** 30
const splice = (at: number, remove: number, length: number): Plain => ['notes', 5, at, remove, length]

/** The operations and the content of a change, as anybody can write them; content of null is that of an erased change. */
const claims: Readonly<Record<string, (draws: Stream) => { readonly ops: Plain; readonly content: Plain | null }>> = {
  'a gigabyte in one splice': () => ({ ops: [splice(0, 0, giga)], content: ['x'] }),
  'a gigabyte in one erased splice': () => ({ ops: [splice(0, 0, giga)], content: null }),
  'the longest erased splice': () => ({ ops: [splice(0, 0, 0xffff_ffff)], content: null }),
  'sixteen thousand erased splices': () => ({
    ops: Array.from({ length: limits.operations }, () => splice(0, 0, 4_096)),
    content: null,
  }),
  'an erased splice a little too long': () => ({ ops: [splice(0, 0, limits.commitBytes + 1)], content: null }),
  'a gigabyte removed': () => ({ ops: [splice(0, giga, 1)], content: ['x'] }),
  'far behind the end': () => ({ ops: [splice(giga, 0, 1)], content: ['x'] }),
  'a text that is longer than it says': () => ({ ops: [splice(0, 0, 1)], content: ['xyz'] }),
  'operations without end': () => ({
    ops: Array.from({ length: limits.operations + 1 }, () => ['', 6]),
    content: [],
  }),
  'tags without end': (draws) => ({
    ops: [['tags', 2, Array.from({ length: limits.operations + 1 }, (_, index) => [draws.bytes(32), index % 9])]],
    content: [],
  }),
}

const operationOf = (length: number): Operation => ({
  kind: 'splice',
  field: 'notes',
  at: 0,
  remove: 0,
  length,
  insert: 'x'.repeat(length),
})

const megabyte = 1_048_576

/** C6: the table of claims, a text that grows by a chain of edits as long as it may, and `trials` poison commits. */
export const bombs: Row = async ({ trials: commits, seed }) => {
  const target = await Target.open(seed, { signatures: 'fast' })
  const through = new Set<string>()
  let [trials, violations, slowest] = [0, 0, 0]
  const fail = (what: string): void => {
    violations++
    through.add(what)
  }
  try {
    const person = await target.person()
    await target.offer([], [person.certificate])
    for (const [what, make] of Object.entries(claims)) {
      const right = await target.commit(person)
      const { ops, content } = make(target.draws)
      const written = encode([target.draws.bytes(12), content ?? []])
      const made = await rewritten(right, person, {
        changes: ([first]) => [[first?.[0] ?? new Uint8Array(0), encode(ops), written]],
      })
      // An erased change keeps the hash of its content alone.
      const bytes = content === null ? withoutContent(made.bytes) : made.bytes
      const { commits: held } = target.repository().pipeline
      const refused = await time(() => target.offer([bytes]))
      slowest = Math.max(slowest, refused.milliseconds)
      trials++
      const key = right.changes[0]?.key ?? ''
      const text = target.repository().item(Card, key)?.notes.toString() ?? ''
      const isErased = content === null
      const isBounded = text.length <= limits.commitBytes
      const isTold = refused.value.some((code) => code === 'TooLarge' || code === 'TooMany' || code === 'Malformed')
      // What is erased is refused for its size before anything else is looked at.
      if (!isBounded || (isErased && (held.has(made.id) || !isTold)) || refused.milliseconds > 250) fail(what)
    }
    const key = 'grows'
    let last: Commit | undefined
    const length = 200_000
    for (let edit = 0; edit < 8; edit++) {
      const before: Commit | undefined = last
      last = await target.commit(person, {
        ...(before !== undefined && { after: before }),
        draft: { key, parents: before === undefined ? [] : [before.id], operations: [operationOf(length)] },
      })
      const took = await time(() => target.offer([last ?? new Uint8Array(0)]))
      slowest = Math.max(slowest, took.milliseconds)
      trials++
      const text = target.repository().item(Card, key)?.notes.toString() ?? ''
      if (text.length > limits.itemBytes) fail('a text beyond its limit')
      mustHold(text.length >= Math.min(length * (edit + 1), limits.itemBytes - length), 'nothing grows', violations)
    }
    // Side by side they may take it beyond, once; then nothing adds to it.
    const heads = await Promise.all(
      Array.from({ length: 12 }, () =>
        target.commit(person, { draft: { key: 'wide', operations: [operationOf(length)] } }),
      ),
    )
    await target.offer(heads)
    const more = await target.commit(person, {
      header: { clock: (heads[0]?.clock ?? 0) + 1 },
      draft: {
        key: 'wide',
        parents: heads
          .map(({ id }) => id)
          .sort()
          .slice(0, limits.parents),
        operations: [operationOf(length)],
      },
    })
    const wide = (): number => target.repository().item(Card, 'wide')?.notes.toString().length ?? 0
    const before = wide()
    await target.offer([more])
    trials++
    if (wide() > before) fail('a text beyond its limit grows on')
    mustHold(before > limits.itemBytes, 'the heads do not add up', violations)
  } finally {
    await target.close()
  }
  const { rss } = process.memoryUsage()
  const report = poison({ commits, seed })
  return {
    trials: trials + report.trials,
    violations: violations + report.violations,
    slowestMilliseconds: Math.round(slowest),
    worstPoisonMilliseconds: report.worst,
    grownMegabytes: Math.round((process.memoryUsage().rss - rss) / megabyte),
    through: [...through, ...report.found.map(({ what }) => what)].join('; ').slice(0, 500),
  }
}

const time = async <Value>(
  run: () => Promise<Value>,
): Promise<{ readonly value: Value; readonly milliseconds: number }> => {
  const began = performance.now()
  const value = await run()
  return { value, milliseconds: performance.now() - began }
}

const withoutContent = (bytes: Uint8Array): Uint8Array => {
  const [header, signature, changes] = listOf(bytes)
  const [identity, ops, content] = (changes as readonly (readonly Uint8Array[])[])[0] ?? []
  if (identity === undefined || ops === undefined || content === undefined) throw new Error('a commit without a change')
  return encode([header ?? null, signature ?? null, [[identity, ops, [hash(content)]]]])
}
