/**
 * The commits a replica holds of one repository. What is here is closed under causality: a commit is staged after the one before it in
 * its chain and after its parents, so the tips of the chains name the whole set. A staged commit becomes one of the set when it is
 * durable (`settle`); only then do peers see it. When it could not be stored, it is dropped again (`rollback`).
 *
 * The first ones may be left in the log (`LoggedCommits`): most of what is asked of a commit is answered without making it.
 *
 * The beginnings of chains may have been dropped, up to a floor that a checkpoint covers. Of what was dropped those are known by id that
 * something names which is here; of the others nobody can tell what they were. Some at or below a floor may have been kept.
 */

import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { Cite, Cited, LoggedCommits, LoggedRow } from './logged.ts'

/** The last commit of a chain, or of one branch of a forked one. */
export interface Head {
  readonly chain: string
  readonly seq: number
  readonly id: string
}

/** A commit without its changes. */
export type CommitRow = Pick<Commit, 'id' | 'chain' | 'session' | 'seq' | 'prev' | 'clock'>

const sessionDigits = 64
const noIds: readonly string[] = []
const noFloors: ReadonlyMap<string, number> = new Map()

class UnreadCommit implements CommitRow {
  readonly #logged: LoggedCommits
  readonly #index: number

  constructor(logged: LoggedCommits, index: number) {
    this.#logged = logged
    this.#index = index
  }

  get id(): string {
    return this.#logged.idAt(this.#index)
  }

  get chain(): string {
    return this.#logged.chainAt(this.#index)
  }

  get session(): string {
    return this.chain.slice(0, sessionDigits)
  }

  get seq(): number {
    return this.#logged.seqAt(this.#index)
  }

  get prev(): string | null {
    const prev = this.#logged.prevAt(this.#index)
    return prev < 0 ? null : this.#logged.idAt(prev)
  }

  get clock(): number {
    return this.#logged.clockAt(this.#index)
  }
}

/** What is to be known of a commit for another one to build on it. */
interface Ancestor extends Pick<Commit, 'chain' | 'seq' | 'clock'> {
  readonly policy: Cited
}

const before = (a: Cite, b: Cite): boolean => {
  if (a === null) return b !== null
  if (b === null) return false
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.n < b.n)
}

class DroppedAncestor implements Ancestor {
  readonly chain: string
  readonly seq: number
  readonly clock: number
  readonly policy: Cited

  constructor(logged: LoggedCommits, index: number) {
    this.chain = logged.chainAt(index)
    this.seq = logged.seqAt(index)
    this.clock = logged.clockAt(index)
    this.policy = logged.citedAt(index)
  }
}

export class Commits {
  /** Places in the order of admission, of those that are not left in the log. */
  readonly #held = new Map<string, number>()
  /** Behind those that are left in the log. */
  readonly #order: Commit[] = []
  #logged: LoggedCommits | undefined
  /** How many are left in the log. */
  #first = 0
  /** Of those, the ones that lost content since. */
  readonly #replaced = new Map<number, Commit>()
  /** Tips with what is staged, and without. */
  readonly #staged = new Map<string, Head[]>()
  readonly #tips = new Map<string, Head[]>()
  #durable = 0

  /** Begins with what is in the log. To be called before anything else. */
  restore(logged: LoggedCommits): void {
    this.#logged = logged
    this.#first = logged.size
    this.#durable = logged.size
    for (const [chain, tips] of logged.tips()) {
      const heads = tips.map((index) => ({ chain, seq: logged.seqAt(index), id: logged.idAt(index) }))
      this.#tips.set(chain, heads)
      this.#staged.set(chain, [...heads])
    }
  }

  /** How many commits are durable. */
  get size(): number {
    return this.#durable
  }

  /** How many of them were left in the log when it was opened. */
  get logged(): number {
    return this.#first
  }

  /** How many are known by no more than their id and place: the first ones. */
  get dropped(): number {
    return this.#logged?.dropped ?? 0
  }

  /** Whether all that is here of the commit is its id and place. */
  isDropped(id: string): boolean {
    const index = this.indexOf(id)
    return index >= 0 && index < this.dropped
  }

  /** Commits of the chain up to that place were dropped, all but some; -1 for none. */
  floorOf(chain: string): number {
    return this.#logged?.floorOf(chain) ?? -1
  }

  /** Whether the commit stands where its chain lost others: then it was dropped itself, or is of a branch that nobody follows. */
  isBelowFloor({ chain, seq }: Pick<Commit, 'chain' | 'seq'>): boolean {
    return this.dropsAny && seq <= this.floorOf(chain)
  }

  /** Whether the beginning of any chain was dropped. */
  get dropsAny(): boolean {
    return (this.#logged?.floors.size ?? 0) > 0
  }

  /** By chain, the last commit that was dropped. */
  floorHeads(): ReadonlyMap<string, string> {
    return this.#logged?.floorHeads() ?? new Map()
  }

  /** The latest clock of a dropped commit that is known; undefined where nothing was dropped. */
  get droppedClock(): number | undefined {
    return this.dropped === 0 ? undefined : this.#logged?.droppedClock
  }

  get floors(): ReadonlyMap<string, number> {
    return this.#logged?.floors ?? noFloors
  }

  /** Whether the commit is here and durable. */
  has(id: string): boolean {
    const index = this.indexOf(id)
    return index >= 0 && index < this.#durable
  }

  /** The commit, durable or staged; undefined where it was dropped. */
  get(id: string): Commit | undefined {
    const index = this.indexOf(id)
    return index < 0 ? undefined : this.#commit(index)
  }

  /** Place in the order of admission, or -1. */
  indexOf(id: string): number {
    return this.#held.get(id) ?? this.#logged?.indexOf(id) ?? -1
  }

  /** The durable commit at that place in the order of admission; undefined where it was dropped: all from `dropped` on are here. */
  at(index: number): Commit | undefined {
    return index < this.#durable ? this.#commit(index) : undefined
  }

  #commit(index: number): Commit | undefined {
    const logged = this.#logged
    if (logged === undefined || index >= this.#first) return this.#order[index - this.#first]
    return this.#replaced.get(index) ?? logged.commit(index)
  }

  /** What is known of the commit without reading it, durable or staged. */
  row(id: string): CommitRow | undefined {
    const index = this.indexOf(id)
    const logged = this.#logged
    if (index < 0) return undefined
    return logged !== undefined && index < this.#first
      ? new UnreadCommit(logged, index)
      : this.#order[index - this.#first]
  }

  /** What a snapshot keeps of the durable commit at that place. */
  loggedRow(index: number): LoggedRow | undefined {
    const logged = this.#logged
    if (logged !== undefined && index < this.#first) return logged.row(index)
    const commit = index < this.#durable ? this.#order[index - this.#first] : undefined
    if (commit === undefined) return undefined
    const { id, chain, seq, clock, bytes, signature } = commit
    const prev = commit.prev === null ? -1 : this.indexOf(commit.prev)
    return { id, chain, prev, seq, clock, bytes: bytes.length, isSigned: signature.length > 0 }
  }

  /** What is left of the commit, durable or staged, where it is dropped. */
  droppedRow(id: string): LoggedRow | undefined {
    const index = this.indexOf(id)
    const row = this.row(id)
    if (row === undefined) return undefined
    const policy = this.#commit(index)?.policy ?? this.#logged?.citedAt(index)
    const { chain, seq, clock } = row
    return { id, chain, prev: -1, seq, clock, bytes: 0, isSigned: false, policy }
  }

  /** The number of the commit as a dropped one, -1 where it is none: it may be here all the same. */
  droppedIndexOf(id: string): number {
    return this.#logged?.droppedIndexOf(id) ?? -1
  }

  /** Where in which chain the durable commit at that place stands, and the bytes of its record: of those that are in the log without reading one. */
  standingAt(index: number): { readonly chain: string; readonly seq: number; readonly bytes: number } | undefined {
    if (index >= this.#durable) return undefined
    const logged = this.#logged
    if (logged !== undefined && index < this.#first)
      return { chain: logged.chainAt(index), seq: logged.seqAt(index), bytes: logged.bytesAt(index) }
    const commit = this.#order[index - this.#first]
    return commit && { chain: commit.chain, seq: commit.seq, bytes: commit.bytes.length }
  }

  /** The clock of the commit at that place. */
  clockAt(index: number): number {
    return index < this.#first ? (this.#logged?.clockAt(index) ?? 0) : (this.#order[index - this.#first]?.clock ?? 0)
  }

  /** The id of the durable commit at that place in the order of admission. */
  idAt(index: number): string | undefined {
    if (index >= this.#durable) return undefined
    return index < this.#first ? this.#logged?.idAt(index) : this.#order[index - this.#first]?.id
  }

  /** Bytes of its record, 0 where it is not here. */
  lengthOf(id: string): number {
    const index = this.indexOf(id)
    if (index < 0) return 0
    const commit = index < this.#first ? this.#replaced.get(index) : this.#order[index - this.#first]
    return commit?.bytes.length ?? this.#logged?.bytesAt(index) ?? 0
  }

  /** Whether it is here and signed itself. */
  isSigned(id: string): boolean {
    const index = this.indexOf(id)
    return index >= 0 && this.#isSignedAt(index)
  }

  #isSignedAt(index: number): boolean {
    if (index < this.#first) return this.#logged?.isSignedAt(index) === true
    return this.#order[index - this.#first]?.signature.length !== 0
  }

  /** Ids of the commits that follow it and that it needs to be vouched for: none where it is signed, or not here. */
  vouchersOf(id: string): readonly string[] {
    const index = this.indexOf(id)
    if (index < 0 || this.#isSignedAt(index)) return noIds
    const ids: string[] = []
    for (let next = index + 1; ; next++) {
      const commit = next < this.#first ? this.#logged?.idAt(next) : this.#order[next - this.#first]?.id
      if (commit !== undefined) ids.push(commit)
      if (commit === undefined || this.#isSignedAt(next)) return ids
    }
  }

  /**
   * The commit, durable or staged, and those after it up to the one whose signature vouches for it: itself alone where it is signed. What is
   * under one signature was staged together, so it stands together.
   */
  runFrom(id: string): readonly Commit[] {
    const run: Commit[] = []
    for (let index = this.indexOf(id), ended = index < 0; !ended; index++) {
      const commit = this.#commit(index)
      if (commit !== undefined) run.push(commit)
      ended = commit === undefined || commit.signature.length > 0
    }
    return run
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
    return commit.prev !== null && this.indexOf(commit.prev) < 0 ? commit.prev : this.#missingParent(commit)
  }

  #missingParent(commit: Commit): string | undefined {
    for (const change of commit.changes)
      for (const parent of change.parents) if (this.indexOf(parent) < 0) return parent
    return undefined
  }

  /**
   * Whether a commit may be admitted: chain, parents, clock and policy. Its bytes and signature were checked before. A parent is a change
   * of the same item, of whatever schema: another version's value may take it in, which is for counting to know. `isErased`: whether the
   * authority erased the change of that item. `wroteTo`: whether a dropped commit is known to have had a change of
   * that item. Of one that is not nobody can tell: it is as if it were not here.
   */
  check(
    commit: Commit,
    isErased: (commit: string, key: string) => boolean = () => false,
    wroteTo: (commit: string, key: string) => boolean = () => true,
  ): Refusal | undefined {
    if (this.indexOf(commit.id) >= 0) return refusal('BrokenChain', `${commit.id} is here already`)
    if (this.isBelowFloor(commit)) return refusal('HistoryDropped', commit.id)
    // Anybody can leave a content out, and who has it would never send it again: only the authority erases.
    for (const { erased, key } of commit.changes)
      if (erased && !isErased(commit.id, key)) return refusal('NotErased', `${commit.id} ${key}`)
    // Most commits build on the one that came last, and a look at a large map costs more than all else.
    const newest = this.#order[this.#order.length - 1]
    const isNext = newest !== undefined && commit.prev === newest.id
    const missing = isNext ? this.#missingParent(commit) : this.missing(commit)
    if (missing !== undefined) return refusal('MissingParents', missing)
    const prev = isNext ? newest : commit.prev === null ? undefined : this.#ancestor(commit.prev)
    if (prev !== undefined && (prev.chain !== commit.chain || prev.seq + 1 !== commit.seq))
      return refusal('BrokenChain', commit.id)
    if (prev !== undefined) {
      const follows = this.#follows(commit, prev)
      if (follows !== undefined) return follows
    }
    for (const { key, parents } of commit.changes) {
      for (const id of parents) {
        const parent = this.#ancestor(id)
        if (parent instanceof DroppedAncestor) {
          if (!wroteTo(id, key)) return refusal('MissingParents', id)
        } else if (parent?.changes.some((other) => other.key === key) !== true) return refusal('BadParents', id)
        const follows = this.#follows(commit, parent)
        if (follows !== undefined) return follows
      }
    }
    return undefined
  }

  #ancestor(id: string): Commit | DroppedAncestor | undefined {
    const index = this.indexOf(id)
    if (index < 0) return undefined
    const logged = this.#logged
    return this.#commit(index) ?? (logged && new DroppedAncestor(logged, index))
  }

  #follows(commit: Commit, earlier: Ancestor): Refusal | undefined {
    if (commit.clock <= earlier.clock) return refusal('ClockNotLater', commit.id)
    const { root, authority } = commit.policy
    if (before(root, earlier.policy.root) || before(authority, earlier.policy.authority))
      return refusal('PolicyBack', commit.id)
    return undefined
  }

  /** The commit of another branch that stands where this one does in their chain. */
  rival(commit: Commit): Commit | undefined {
    for (const tip of this.#staged.get(commit.chain) ?? []) {
      let at = this.row(tip.id)
      while (at !== undefined && at.seq > commit.seq && at.prev !== null) at = this.row(at.prev)
      if (at !== undefined && at.seq === commit.seq && at.id !== commit.id) return this.get(at.id)
    }
    return undefined
  }

  /** Stages a commit that `check` accepted. Returns true when it forked its chain. */
  stage(commit: Commit): boolean {
    this.#held.set(commit.id, this.#first + this.#order.length)
    this.#order.push(commit)
    return advance(this.#staged, commit)
  }

  /**
   * Keeps a commit that stands at or below the floor of its chain, and is known to be one of those that were there. Nothing is asked of what it
   * builds on.
   */
  keep(commit: Commit): void {
    if (this.indexOf(commit.id) >= this.dropped) return
    this.#held.set(commit.id, this.#first + this.#order.length)
    this.#order.push(commit)
    this.#keepTip(this.#staged, commit)
  }

  /** What is named as the tip of its chain may be here as well. */
  #keepTip(tips: Map<string, Head[]>, commit: Commit): void {
    const isTip = commit.seq === this.floorOf(commit.chain) && !tips.has(commit.chain)
    if (isTip) advance(tips, commit)
  }

  /** Puts the same commit without its content in its place. */
  replace(stripped: Commit): void {
    const index = this.indexOf(stripped.id)
    if (index >= this.#first) this.#order[index - this.#first] = stripped
    else if (index >= 0) this.#replaced.set(index, stripped)
  }

  /** Everything staged is durable. Returns it, in order. */
  settle(): Commit[] {
    const settled = this.#order.slice(this.#durable - this.#first)
    let from = 0
    for (let index = 0; index < settled.length; index++) {
      const [commit, next] = [settled[index], settled[index + 1]]
      if (commit !== undefined && this.isBelowFloor(commit)) {
        this.#keepTip(this.#tips, commit)
        from = index + 1
        continue
      }
      if (commit === undefined || (next?.prev === commit.id && next.chain === commit.chain)) continue
      advance(this.#tips, commit, settled[from]?.prev ?? null)
      from = index + 1
    }
    this.#durable = this.#first + this.#order.length
    return settled
  }

  /** Drops what is staged: all of it, or the last so many. Returns it, in order. */
  rollback(count = this.#order.length): Commit[] {
    const durable = this.#durable - this.#first
    const dropped = this.#order.splice(Math.max(durable, this.#order.length - count))
    const chains = new Set(dropped.map(({ chain }) => chain))
    for (const { id } of dropped) this.#held.delete(id)
    for (const chain of chains) {
      const tips = this.#tips.get(chain)
      if (tips === undefined) this.#staged.delete(chain)
      else this.#staged.set(chain, [...tips])
    }
    if (chains.size > 0)
      for (let index = durable; index < this.#order.length; index++) {
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
