/**
 * A replica without disk, channels or signatures: bytes are read, checked, staged and counted by the parts that do it in a real one, in the
 * same order. Nothing is caught here, so whatever one of them throws comes out.
 */
import { isRefusal, type Refusal, refusal } from '../../packages/engine/src/bytes/refusal.ts'
import { type Commit, readCommit } from '../../packages/engine/src/commit/commit.ts'
import { Commits } from '../../packages/engine/src/graph/commits.ts'
import type { MergedItem } from '../../packages/engine/src/merge/item.ts'
import { Counting } from '../../packages/engine/src/replica/counting.ts'
import type { Schema } from '../../packages/engine/src/schema/schema.ts'
import { hash } from './samples.ts'

export interface Verdict {
  readonly commit: string
  readonly n: number
}

/** The time of all replicas, ms. */
export const now = 1_700_000_000_000

export class BareReplica {
  readonly commits = new Commits()
  readonly counting: Counting
  /** Of the changes counted, those that count for nothing, by commit. */
  readonly refused = new Map<string, Refusal>()
  readonly #verdicts: Verdict[] = []
  #foreseen = false

  constructor(schemas: ReadonlyMap<string, Schema>) {
    this.counting = new Counting(
      {
        schema: (name) => schemas.get(name),
        policyKnown: ({ policy: { root, authority } }) =>
          root.n === 0 &&
          root.epoch === 0 &&
          (authority === null || (authority.epoch === 0 && authority.n < this.#verdicts.length)),
        now: () => now,
        isOwn: () => false,
        isDecided: () => false,
        full: () => undefined,
        undecided: () => undefined,
        // A rule that looks at what its author saw and at what they made of it.
        authorize: (commit, { before, after }) => {
          const title = before.fields.get('title')
          const isLocked = title?.kind === 'register' && title.value === 'locked'
          return isLocked && before.fields.get('notes') !== after.fields.get('notes')
            ? refusal('NotAllowed', commit.id)
            : undefined
        },
      },
      ({ item, commit, index, refusal: why }) => {
        if (why !== undefined) this.refused.set(commit.id, why)
        else this.refused.delete(commit.id)
        const verdict = this.#verdicts.find((one) => one.commit === commit.id)
        if (verdict !== undefined && item.void(index, verdict.n)) this.#foreseen = true
      },
    )
  }

  /** The commit, admitted and counted as far as it can be; or why not. */
  receive(bytes: Uint8Array): Commit | Refusal {
    const commit = readCommit(bytes, hash)
    if (isRefusal(commit)) return commit
    const why = this.commits.check(commit)
    if (why !== undefined) return why
    this.commits.stage(commit)
    this.commits.settle()
    this.counting.count(commit)
    this.#settle()
    return commit
  }

  /** The next verdict of the authority; the commit need not be here. */
  enter(verdict: Verdict): void {
    this.#verdicts.push(verdict)
    for (const { key, schema } of this.commits.get(verdict.commit)?.changes ?? []) {
      const item = this.counting.item(key, schema.hash)
      const index = item?.graph.indexOf(verdict.commit)
      if (item !== undefined && index !== undefined && item.void(index, verdict.n)) this.#foreseen = true
    }
    this.#settle()
    this.counting.retry()
    this.#settle()
  }

  #settle(): void {
    if (!this.#foreseen) return
    this.#foreseen = false
    this.counting.recount()
    this.#foreseen = false
  }

  *items(): Generator<readonly [name: string, item: MergedItem]> {
    for (const [schema, ofSchema] of this.counting.items)
      for (const [key, item] of ofSchema) yield [`${schema} ${key}`, item]
  }
}
