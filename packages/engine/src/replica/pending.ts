/**
 * Runs of commits that wait for one they build on. The pool is bounded: the oldest gives way, and sync brings it again.
 */
import { limits } from '../bytes/limits.ts'
import type { Commit } from '../commit/commit.ts'
import type { Run } from '../commit/run.ts'

/** Who brought a commit: this replica, or the channel it came through. */
export type Origin = 'local' | object

/** A run on the road. */
export interface Brought {
  readonly run: Run
  readonly origin: Origin
}

/** Commits that are stored together, in order. */
export type Staged = readonly { readonly commit: Commit; readonly origin: Origin }[]

/** What those who share a repository are told of, before it is counted. */
export interface Sharing {
  /** Commits are being stored: what they are sent in may be made meanwhile, and is for nothing when that fails. */
  storing(staged: Staged): void
  /** The same commits became durable, in order. */
  stored(staged: Staged): void
}

interface Waiting {
  run: Run
  readonly origin: Origin
}

export class Pending {
  /** Oldest first. */
  readonly #waiting = new Set<Waiting>()
  /** Id to the runs it is in: somebody may send the end of a run alone, which then waits for the rest. */
  readonly #runsOf = new Map<string, Set<Waiting>>()
  /** Missing id to the runs that wait for it. */
  readonly #waiters = new Map<string, Set<Waiting>>()
  #commits = 0
  #bytes = 0

  has(id: string): boolean {
    return this.#runsOf.has(id)
  }

  /** Whether a run that waits has all commits of this one. */
  includes(run: Run): boolean {
    const [first, ...rest] = run
    const runs = first && this.#runsOf.get(first.id)
    return (
      runs !== undefined && [...runs].some((one) => rest.every(({ id }) => this.#runsOf.get(id)?.has(one) === true))
    )
  }

  get runs(): number {
    return this.#waiting.size
  }

  get commits(): number {
    return this.#commits
  }

  get bytes(): number {
    return this.#bytes
  }

  add(missing: string, { run, origin }: Brought): void {
    if (this.includes(run)) return
    const waiting: Waiting = { run, origin }
    this.#waiting.add(waiting)
    put(this.#waiters, missing, waiting)
    for (const { id, bytes } of run) {
      put(this.#runsOf, id, waiting)
      this.#commits++
      this.#bytes += bytes.length
    }
    for (const oldest of this.#waiting) {
      if (this.#commits <= limits.pendingCommits && this.#bytes <= limits.pendingBytes) break
      this.#remove(oldest)
      for (const other of this.#waiters.keys()) drop(this.#waiters, other, oldest)
    }
  }

  /** What waited for this commit, which waits no more. */
  take(missing: string): Brought[] {
    const waiters = this.#waiters.get(missing)
    if (waiters === undefined) return []
    this.#waiters.delete(missing)
    for (const waiting of waiters) this.#remove(waiting)
    return [...waiters]
  }

  #remove(waiting: Waiting): void {
    this.#waiting.delete(waiting)
    for (const { id, bytes } of waiting.run) {
      drop(this.#runsOf, id, waiting)
      this.#commits--
      this.#bytes -= bytes.length
    }
  }

  /** All commits that wait, the ones that came first first. */
  *all(): Generator<Commit> {
    for (const { run } of this.#waiting) yield* run
  }

  /** Puts what `strip` gives in the place of a waiting commit. */
  strip(id: string, strip: (commit: Commit) => Commit): void {
    for (const waiting of this.#runsOf.get(id) ?? []) {
      waiting.run = waiting.run.map((commit) => {
        if (commit.id !== id) return commit
        const stripped = strip(commit)
        this.#bytes += stripped.bytes.length - commit.bytes.length
        return stripped
      })
    }
  }
}

const put = (sets: Map<string, Set<Waiting>>, key: string, waiting: Waiting): void => {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([waiting]))
  else set.add(waiting)
}

const drop = (sets: Map<string, Set<Waiting>>, key: string, waiting: Waiting): void => {
  const set = sets.get(key)
  if (set?.delete(waiting) && set.size === 0) sets.delete(key)
}
