/**
 * Which commits are dead by what the authority wrote, and from which of its entries on: voided by a verdict, beyond a fence, under somebody
 * else's founding, or in a branch that lost. One answer for all of them, since they all end a commit in the same way.
 */
import { refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { CommitRow, Head } from '../graph/commits.ts'
import type { Death } from '../trust/authoritylog.ts'
import type { Judging } from './judging.ts'
import type { Pipeline } from './pipeline.ts'

/** What it looks at: a pipeline, or a log that is read without one. */
type Held = Pick<Pipeline, 'commits' | 'log' | 'durableEntries'>

/**
 * Of a forked chain, the branch that checkpoints cover, as far as it is here. Each commit is walked over once: whoever forks a chain of
 * thousands must not have everybody walk it again with every commit.
 */
interface Line {
  /** How many coverings of the chain were looked at. */
  looked: number
  /** What was covered, ascending, each a continuation of the one before. */
  readonly covered: { readonly n: number; readonly head: Head }[]
  readonly ids: Set<string>
  /** Commit beside the line to the number at which its branch left it. */
  readonly left: Map<string, number>
  /** Commits that go on from the end of the line. */
  readonly beyond: Set<string>
}

export class Deaths {
  readonly #pipeline: Held
  readonly #judging: Judging
  readonly #lines = new Map<string, Line>()

  constructor(pipeline: Held, judging: Judging) {
    this.#pipeline = pipeline
    this.#judging = judging
  }

  /** The log is another one. */
  forget(): void {
    this.#lines.clear()
  }

  /** The first death of the commit's changes of these items, as far as the durable log tells. */
  of(commit: Commit, keys: readonly string[]): Death | undefined {
    const { log, durableEntries } = this.#pipeline
    let first: Death | undefined
    // Of two from one entry on, the lost branch is the reason: the same checkpoint may be the first to know that an access ended.
    for (const death of [log.verdictOn(commit, keys), this.#lost(commit), this.#judging.deathOf(commit, log)]) {
      if (death !== undefined && death.from < (first?.from ?? durableEntries)) first = death
    }
    return first
  }

  /** Of a forked chain, the branch that the first checkpoint beyond the fork covers stays; the others are dead from there on. */
  #lost(commit: Commit): Death | undefined {
    if (this.#pipeline.commits.headsOf(commit.chain).length < 2) return undefined
    const line = this.#lineOf(commit.chain)
    const left = this.#leftAt(commit, line)
    // A branch that is covered and not here yet says nothing yet; when it comes, the chain is looked at again.
    const first = left === undefined ? undefined : line.covered.find(({ head }) => head.seq >= left)
    return first && { from: first.n, why: refusal('BranchLost', commit.id) }
  }

  #lineOf(chain: string): Line {
    const { commits, log, durableEntries } = this.#pipeline
    const line: Line = this.#lines.get(chain) ?? {
      looked: 0,
      covered: [],
      ids: new Set(),
      left: new Map(),
      beyond: new Set(),
    }
    this.#lines.set(chain, line)
    const coverings = log.coverings(chain)
    for (; line.looked < coverings.length; line.looked++) {
      const next = coverings[line.looked]
      if (next === undefined || next.n >= durableEntries || !commits.has(next.head.id)) break
      const added: string[] = []
      let at = commits.row(next.head.id)
      for (; at !== undefined && !line.ids.has(at.id); at = at.prev === null ? undefined : commits.row(at.prev))
        added.push(at.id)
      // No authority covers one branch and then another.
      if (at?.id !== line.covered.at(-1)?.head.id) continue
      for (const id of added) line.ids.add(id)
      line.covered.push(next)
      line.beyond.clear()
    }
    return line
  }

  /** The number at which its branch left the line, undefined when it is on it or goes on from its end. */
  #leftAt(commit: Commit, { covered, ids, left, beyond }: Line): number | undefined {
    const last = covered.at(-1)?.head
    if (last === undefined || ids.has(commit.id)) return undefined
    const walked: string[] = []
    let parted: number | undefined
    for (let at: CommitRow | undefined = commit; at !== undefined && parted === undefined; ) {
      if (at.id === last.id || beyond.has(at.id)) {
        for (const id of walked) beyond.add(id)
        return undefined
      }
      const isOn = ids.has(at.id)
      if (!isOn) walked.push(at.id)
      parted = left.get(at.id) ?? (isOn ? at.seq + 1 : at.prev === null ? 0 : undefined)
      at = at.prev === null ? undefined : this.#pipeline.commits.row(at.prev)
    }
    if (parted !== undefined) for (const id of walked) left.set(id, parted)
    return parted
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
