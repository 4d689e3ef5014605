/**
 * How far the changes of a repository are saved: which own commits are not durable here yet, which commits the authority's checkpoints
 * cover, and who waits for either. It is told of commits and entries once they are durable here, and never before.
 */
import { type Refusal, WeftError } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { CommitRow, Commits, Head } from '../graph/commits.ts'
import type { Entry } from '../trust/entry.ts'
import type { LiveItem, SavedState } from './live.ts'
import { reportRead } from './reads.ts'

export type SavedLevel = 'local' | 'authority'

interface Waiter {
  /** The commits asked about; undefined until the item's draft is captured. */
  commits: readonly string[] | undefined
  readonly live: LiveItem
  readonly level: SavedLevel
  resolve(): void
  reject(error: WeftError): void
}

export class Saving {
  readonly #commits: Commits
  /** Chain to the last commit of it that a durable checkpoint covers. */
  readonly #covered = new Map<string, Head>()
  /** Own commits that are not durable yet. */
  readonly #undurable = new Set<string>()
  /** Own commits that are durable here, but not yet where this replica's work is kept. */
  readonly #unkept = new Map<string, Commit>()
  /** Own chains with commits that are not covered, and the number of their last one. */
  readonly #uncovered = new Map<string, number>()
  /** Own commits that never will count as they were meant: for which items, by key, and why. */
  readonly #refused = new Map<string, Map<string, Refusal>>()
  /** Own commits that never will be stored. */
  readonly #dropped = new Map<string, Refusal>()
  readonly #waiters = new Set<Waiter>()
  #session: string | undefined

  readonly #isBehind: () => boolean

  /** `isBehind`: whether another replica of this device keeps what is made here. */
  constructor(commits: Commits, isBehind: () => boolean) {
    this.#commits = commits
    this.#isBehind = isBehind
  }

  /** Own commits that are not in this device's log. */
  get undurable(): number {
    return this.#undurable.size + this.#unkept.size
  }

  /** The last of each chain whose commits another replica of this device is to keep and did not say to. */
  get unkept(): readonly Commit[] {
    const last = new Map<string, Commit>()
    for (const commit of this.#unkept.values()) last.set(commit.chain, commit)
    return [...last.values()]
  }

  /** It keeps this commit, and so all of its chain before it. */
  kept(id: string): void {
    const last = this.#unkept.get(id)
    if (last === undefined) return
    for (const { id: held, chain, seq } of [...this.#unkept.values()])
      if (chain === last.chain && seq <= last.seq) this.#unkept.delete(held)
    this.check()
  }

  #isKept(id: string): boolean {
    return this.#commits.has(id) && !this.#unkept.has(id)
  }

  /** Own commits that no checkpoint covers. What never will count waits for nothing. */
  get unacknowledged(): number {
    let count = this.#undurable.size
    for (const [chain, seq] of this.#uncovered) count += seq - (this.#covered.get(chain)?.seq ?? -1)
    for (const [id, refused] of this.#refused) {
      const { chain, seq, changes } = this.#commits.get(id) ?? { chain: '', seq: 0, changes: [] }
      if (refused.size < changes.length) continue
      if (seq > (this.#covered.get(chain)?.seq ?? -1) && seq <= (this.#uncovered.get(chain) ?? -1)) count--
    }
    return count
  }

  isUndurable(id: string): boolean {
    return this.#undurable.has(id)
  }

  /** Whose commits are own ones. Costs the number of chains. */
  setSession(session: string | undefined): void {
    this.#session = session
    this.#uncovered.clear()
    if (session === undefined) return
    for (const head of this.#commits.heads()) if (head.chain.startsWith(session)) this.#extend(head.chain, head.seq)
  }

  /** An own commit is made. */
  made(id: string): void {
    this.#undurable.add(id)
  }

  durable(commit: Commit): void {
    if (this.#undurable.delete(commit.id) && this.#isBehind()) this.#unkept.set(commit.id, commit)
    if (commit.session === this.#session) this.#extend(commit.chain, commit.seq)
  }

  #extend(chain: string, seq: number): void {
    const last = Math.max(seq, this.#uncovered.get(chain) ?? -1)
    if (last > (this.#covered.get(chain)?.seq ?? -1)) this.#uncovered.set(chain, last)
  }

  /** Gives the commits here that are covered by it and were not before. */
  checkpoint(moved: readonly Head[]): readonly string[] {
    const fresh: string[] = []
    for (const head of moved) {
      const before = this.#covered.get(head.chain)?.seq ?? -1
      this.#covered.set(head.chain, head)
      if (head.seq >= (this.#uncovered.get(head.chain) ?? -1)) this.#uncovered.delete(head.chain)
      for (let id: string | null = head.id; id !== null; ) {
        const commit: CommitRow | undefined = this.#commits.row(id)
        if (commit === undefined || commit.seq <= before) break
        fresh.push(commit.id)
        id = commit.prev
      }
    }
    return fresh
  }

  /** What checkpoints cover in a log that was just opened: nobody waits for anything yet. */
  restore(covered: ReadonlyMap<string, Head>): void {
    for (const [chain, head] of covered) this.#covered.set(chain, head)
  }

  /** Entries were left out: these are what is left. */
  renew(entries: readonly Entry[]): void {
    this.#covered.clear()
    this.setSession(this.#session)
    for (const { statement } of entries) if (statement.kind === 'checkpoint') this.checkpoint(statement.moved)
  }

  /** Whether a checkpoint of the authority covers the commit, and it is durable here as well. */
  covers(id: string): boolean {
    const commit = this.#commits.row(id)
    const covered = commit === undefined ? undefined : this.#covered.get(commit.chain)
    if (commit === undefined || covered === undefined || covered.seq < commit.seq || !this.#isKept(id)) return false
    // Of a chain that forked the checkpoint covers one branch, which need not be here yet.
    if (!this.#commits.has(covered.id)) return false
    if (this.#commits.headsOf(commit.chain).length <= 1) return true
    let at: string | null = covered.id
    for (
      let next = this.#commits.row(at);
      next !== undefined && next.seq > commit.seq;
      next = at === null ? undefined : this.#commits.row(at)
    ) {
      at = next.prev
    }
    return at === id
  }

  /** What an own commit was meant to do to that item will never count. */
  refuse(id: string, key: string, why: Refusal): void {
    this.#refused.set(id, (this.#refused.get(id) ?? new Map<string, Refusal>()).set(key, why))
  }

  /** What somebody else's commit did to that item does not count any more: nobody waits for it. */
  buried(id: string, key: string): void {
    for (const waiter of this.#waiters) {
      if (waiter.live.key !== key || waiter.commits?.includes(id) !== true) continue
      const left = waiter.commits.filter((other) => other !== id)
      waiter.commits = left.length > 0 ? left : undefined
    }
  }

  /** What the commit was meant to do is in a commit that is to come. */
  again(id: string): void {
    for (const waiter of this.#waiters) if (waiter.commits?.includes(id) === true) waiter.commits = undefined
  }

  /** Whether an own chain ends in a commit with a later clock that neither a checkpoint covers nor `isVoid` knows. */
  endsAfter(clock: number, isVoid: (id: string) => boolean): boolean {
    for (const chain of this.#uncovered.keys())
      for (const { id } of this.#commits.headsOf(chain))
        if ((this.#commits.row(id)?.clock ?? 0) > clock && !isVoid(id)) return true
    return false
  }

  /** Where the item's newest changes stand. `lasting`: whether what is stored here is. */
  stateOf(live: LiveItem, lasting: boolean): SavedState {
    reportRead(live)
    if (!live.draft.isEmpty) return 'draft'
    const ids = live.merged.liveHeads.map((index) => live.merged.nameOf(index).id)
    if (ids.every((id) => this.covers(id))) return 'authority'
    return lasting && ids.every((id) => this.#isKept(id)) ? 'local' : 'draft'
  }

  /** What was edited will be in no commit. */
  denied(live: LiveItem, why: Refusal): void {
    for (const waiter of this.#waiters) {
      if (waiter.live !== live || waiter.commits !== undefined) continue
      this.#waiters.delete(waiter)
      waiter.reject(WeftError.of(why))
    }
  }

  /** The commit will never be stored. */
  drop(id: string, why: Refusal): void {
    this.#undurable.delete(id)
    this.#dropped.set(id, why)
  }

  wait(live: LiveItem, level: SavedLevel): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.add({ commits: undefined, live, level, resolve, reject })
      this.check()
    })
  }

  /** Settles who waits no longer. Called when drafts are captured whole, and when something became durable. */
  check(): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.commits === undefined) {
        if (!waiter.live.draft.isEmpty) continue
        const { merged } = waiter.live
        waiter.commits = merged.liveHeads.map((index) => merged.nameOf(index).id)
      }
      const { level, commits, live } = waiter
      const refused = commits
        .map(
          (id) => this.#dropped.get(id) ?? (level === 'authority' ? this.#refused.get(id)?.get(live.key) : undefined),
        )
        .find((why) => why !== undefined)
      if (refused !== undefined) {
        this.#waiters.delete(waiter)
        waiter.reject(WeftError.of(refused))
      } else if (commits.every((id) => (level === 'local' ? this.#isKept(id) : this.covers(id)))) {
        this.#waiters.delete(waiter)
        waiter.resolve()
      }
    }
  }

  close(error: WeftError): void {
    for (const waiter of this.#waiters) waiter.reject(error)
    this.#waiters.clear()
  }
}
