/** What a repository's pipeline tells, and asks of, whoever it works for. */
import type { Refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { Run } from '../commit/run.ts'
import type { ItemName } from '../sync/recall.ts'
import type { Entry } from '../trust/entry.ts'
import type { Met } from './evidence.ts'
import type { Origin, Sharing, Staged } from './pending.ts'
import type { Restored } from './storedlog.ts'

export interface PipelineEvents {
  readonly sharing: Sharing
  /** The log was opened by this: what it has is counted. */
  restore(stored: Restored): void
  /** Whether a dropped commit had a change of that item. */
  wroteTo(commit: string, key: string): boolean
  /** A commit came that stands where its chain lost others. */
  below(origin: object, commit: Commit): void
  /** What these build on is not here: it may have been dropped. */
  lacking(run: Run): void
  /** All that was dropped of the item is here and durable, in causal order. */
  recalled(item: ItemName, history: readonly Commit[]): void
  /** The log is about to lose content, which is to be nowhere else either. */
  discard(): Promise<void>
  /** A remote commit is durable here: count it. Called in order of admission. */
  count(commit: Commit): void
  /** Commits became durable, in order, and were counted. */
  settled(commits: Staged): void
  /** Entries of the authority log became durable. */
  entries(entries: readonly Entry[], origin: Origin): void
  /** Why a commit may not be the first of all here, by rules; asked by the authority alone. */
  refuseFounding(commit: Commit): Refusal | undefined
  /** What a channel brought was refused. */
  refused(origin: Origin, id: string, why: Refusal): void
  /** Whether this is the authority, which takes back what it lost. */
  recovering(): boolean
  /** Something the app or an operator should know. */
  incident(why: Refusal): void
  /** Two things signed for one place: what proves it is kept. */
  forked(met: Met): void
  /** Storing failed, or works again. */
  storage(problem: Refusal | undefined): void
  /** What this replica made itself cannot stand: a fault, since it was made to fit. */
  rejected(made: { readonly commit: Commit } | { readonly entry: Entry }, why: Refusal): void
}
