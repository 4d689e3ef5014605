/**
 * The commits a replica holds of one repository. What is here is closed under causality: a commit is staged after the one before it in
 * its chain and after its parents, so the tips of the chains name the whole set. A staged commit becomes one of the set when it is
 * durable (`settle`); only then do peers see it. When it could not be stored, it is dropped again (`rollback`).
 */

import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Commit, Position } from '../commit/commit.ts'

/** The last commit of a chain, or of one branch of a forked one. */
export interface Head {
  readonly chain: string
  readonly seq: number
  readonly id: string
}

const before = (a: Position | null, b: Position | null): boolean => {
  if (a === null) return b !== null
  if (b === null) return false
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.n < b.n)
}

export class Commits {
  /** Places in the order of admission. */
  readonly #held = new Map<string, number>()
  readonly #order: Commit[] = []
  /** Tips with what is staged, and without. */
  readonly #staged = new Map<string, Head[]>()
  readonly #tips = new Map<string, Head[]>()
  #durable = 0

  /** How many commits are durable. */
  get size(): number {
    return this.#durable
  }

  /** Whether the commit is here and durable. */
  has(id: string): boolean {
    const index = this.#held.get(id)
    return index !== undefined && index < this.#durable
  }

  /** The commit, durable or staged. */
  get(id: string): Commit | undefined {
    const index = this.#held.get(id)
    return index === undefined ? undefined : this.#order[index]
  }

  /** Place in the order of admission, or -1. */
  indexOf(id: string): number {
    return this.#held.get(id) ?? -1
  }

  /** The durable commit at that place in the order of admission. */
  at(index: number): Commit | undefined {
    return index < this.#durable ? this.#order[index] : undefined
  }

  /**
   * The commit, durable or staged, and those after it up to the one whose signature vouches for it: itself alone where it is signed. What is
   * under one signature was staged together, so it stands together.
   */
  runFrom(id: string): readonly Commit[] {
    const from = this.#held.get(id)
    if (from === undefined) return []
    let to = from
    while (this.#order[to]?.signature.length === 0) to++
    return this.#order.slice(from, to + 1)
  }

  /** Tips of the durable commits. */
  *heads(): Generator<Head> {
    for (const tips of this.#tips.values()) yield* tips
  }

  headsOf(chain: string): readonly Head[] {
    return this.#tips.get(chain) ?? []
  }

  /** The first id that a commit builds on and that is not here, or undefined. */
  missing(commit: Commit): string | undefined {
    return commit.prev !== null && !this.#held.has(commit.prev) ? commit.prev : this.#missingParent(commit)
  }

  #missingParent(commit: Commit): string | undefined {
    for (const change of commit.changes) for (const parent of change.parents) if (!this.#held.has(parent)) return parent
    return undefined
  }

  /**
   * Whether a commit may be admitted: chain, parents, clock and policy. Its bytes and signature were checked before. A parent is a change
   * of the same item, of whatever schema: another version's value may take it in, which is for counting to know. `isErased`: whether the
   * authority erased the change of that item.
   */
  check(commit: Commit, isErased: (commit: string, key: string) => boolean = () => false): Refusal | undefined {
    if (this.#held.has(commit.id)) return refusal('BrokenChain', `${commit.id} is here already`)
    // Anybody can leave a content out, and who has it would never send it again: only the authority erases.
    for (const { erased, key } of commit.changes)
      if (erased && !isErased(commit.id, key)) return refusal('NotErased', `${commit.id} ${key}`)
    // Most commits build on the one that came last, and a look at a large map costs more than all else.
    const newest = this.#order[this.#order.length - 1]
    const isNext = newest !== undefined && commit.prev === newest.id
    const missing = isNext ? this.#missingParent(commit) : this.missing(commit)
    if (missing !== undefined) return refusal('MissingParents', missing)
    const prev = isNext ? newest : commit.prev === null ? undefined : this.get(commit.prev)
    if (prev !== undefined && (prev.chain !== commit.chain || prev.seq + 1 !== commit.seq))
      return refusal('BrokenChain', commit.id)
    if (prev !== undefined) {
      const follows = this.#follows(commit, prev)
      if (follows !== undefined) return follows
    }
    for (const change of commit.changes) {
      for (const id of change.parents) {
        const parent = this.get(id)
        const same = parent?.changes.some((other) => other.key === change.key)
        if (parent === undefined || same !== true) return refusal('BadParents', id)
        const follows = this.#follows(commit, parent)
        if (follows !== undefined) return follows
      }
    }
    return undefined
  }

  #follows(commit: Commit, earlier: Commit): Refusal | undefined {
    if (commit.clock <= earlier.clock) return refusal('ClockNotLater', commit.id)
    const { root, authority } = commit.policy
    if (before(root, earlier.policy.root) || before(authority, earlier.policy.authority))
      return refusal('PolicyBack', commit.id)
    return undefined
  }

  /** The commit of another branch that stands where this one does in their chain. */
  rival(commit: Commit): Commit | undefined {
    for (const tip of this.#staged.get(commit.chain) ?? []) {
      let at = this.get(tip.id)
      while (at !== undefined && at.seq > commit.seq && at.prev !== null) at = this.get(at.prev)
      if (at !== undefined && at.seq === commit.seq && at.id !== commit.id) return at
    }
    return undefined
  }

  /** Stages a commit that `check` accepted. Returns true when it forked its chain. */
  stage(commit: Commit): boolean {
    this.#held.set(commit.id, this.#order.length)
    this.#order.push(commit)
    return advance(this.#staged, commit)
  }

  /** Puts the same commit without its content in its place. */
  replace(stripped: Commit): void {
    const index = this.#held.get(stripped.id)
    if (index !== undefined) this.#order[index] = stripped
  }

  /** Everything staged is durable. Returns it, in order. */
  settle(): Commit[] {
    const settled = this.#order.slice(this.#durable)
    let from = 0
    for (let index = 0; index < settled.length; index++) {
      const [commit, next] = [settled[index], settled[index + 1]]
      if (commit === undefined || (next?.prev === commit.id && next.chain === commit.chain)) continue
      advance(this.#tips, commit, settled[from]?.prev ?? null)
      from = index + 1
    }
    this.#durable = this.#order.length
    return settled
  }

  /** Drops what is staged: all of it, or the last so many. Returns it, in order. */
  rollback(count = this.#order.length - this.#durable): Commit[] {
    const dropped = this.#order.splice(Math.max(this.#durable, this.#order.length - count))
    const chains = new Set(dropped.map(({ chain }) => chain))
    for (const { id } of dropped) this.#held.delete(id)
    for (const chain of chains) {
      const tips = this.#tips.get(chain)
      if (tips === undefined) this.#staged.delete(chain)
      else this.#staged.set(chain, [...tips])
    }
    if (chains.size > 0)
      for (let index = this.#durable; index < this.#order.length; index++) {
        const commit = this.#order[index]
        if (commit !== undefined && chains.has(commit.chain)) advance(this.#staged, commit)
      }
    return dropped
  }
}

/** `from`: what it goes on from, by itself or with those before it. */
const advance = (tips: Map<string, Head[]>, commit: Commit, from = commit.prev): boolean => {
  const head: Head = { chain: commit.chain, seq: commit.seq, id: commit.id }
  const heads = tips.get(commit.chain)
  if (heads === undefined) {
    tips.set(commit.chain, [head])
    return false
  }
  const extended = heads.findIndex((tip) => tip.id === from)
  if (extended >= 0) heads[extended] = head
  else heads.push(head)
  return extended < 0
}
