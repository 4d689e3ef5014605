/**
 * Which commits are dead by what the authority wrote, and from which of its entries on: voided by a verdict, beyond a fence, under somebody
 * else's founding, or in a branch that lost. One answer for all of them, since they all end a commit in the same way.
 */
import { refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { Death } from '../trust/authoritylog.ts'
import type { Judging } from './judging.ts'
import type { Pipeline } from './pipeline.ts'

/** What it looks at: a pipeline, or a log that is read without one. */
type Held = Pick<Pipeline, 'commits' | 'log' | 'durableEntries'>

export class Deaths {
  readonly #pipeline: Held
  readonly #judging: Judging

  constructor(pipeline: Held, judging: Judging) {
    this.#pipeline = pipeline
    this.#judging = judging
  }

  /** The first death of the commit's changes of these items, as far as the durable log tells. */
  of(commit: Commit, keys: readonly string[]): Death | undefined {
    const { log, durableEntries } = this.#pipeline
    let first: Death | undefined
    for (const death of [log.verdictOn(commit.id, keys), this.#judging.deathOf(commit, log), this.#lost(commit)]) {
      if (death !== undefined && death.from < (first?.from ?? durableEntries)) first = death
    }
    return first
  }

  /** Of a forked chain, the branch that the first checkpoint beyond the fork covers stays; the others are dead from there on. */
  #lost(commit: Commit): Death | undefined {
    const { commits, log } = this.#pipeline
    if (commits.headsOf(commit.chain).length < 2) return undefined
    for (const { n, head } of log.coverings(commit.chain)) {
      // A branch that is covered and not here yet says nothing yet; when it comes, the chain is looked at again.
      if (commits.get(head.id) === undefined) continue
      const [later, earlier] = head.seq >= commit.seq ? [head.id, commit] : [commit.id, head]
      if (this.#ancestor(later, earlier.seq) !== earlier.id) return { from: n, why: refusal('BranchLost', commit.id) }
      if (head.seq >= commit.seq) return undefined
    }
    return undefined
  }

  #ancestor(id: string, seq: number): string | undefined {
    let at = this.#pipeline.commits.get(id)
    while (at !== undefined && at.seq > seq && at.prev !== null) at = this.#pipeline.commits.get(at.prev)
    return at?.seq === seq ? at.id : undefined
  }

  /** All commits of a chain that are here, its branches one after the other. */
  *chain(name: string): Generator<Commit> {
    const seen = new Set<string>()
    for (const head of this.#pipeline.commits.headsOf(name)) {
      for (let id: string | null = head.id; id !== null && !seen.has(id); ) {
        const commit: Commit | undefined = this.#pipeline.commits.get(id)
        if (commit === undefined) break
        seen.add(id)
        yield commit
        id = commit.prev
      }
    }
  }
}
