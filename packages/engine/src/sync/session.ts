import type { Code } from '../bytes/refusal.ts'
import type { Position } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'
import type { Credit } from './credit.ts'
import type { Filter } from './filter.ts'
import type { Cursor, FilterMessage, Message, Name, SumsMessage, Wanted } from './message.ts'
import type { Recent } from './recent.ts'

/** What the state machine of `step.ts` remembers, takes in and gives out. All of it is plain and read-only. */

/** What each side said of itself before, when it named the repository. */
export interface Meeting {
  /** The peer's position in the authority log; undefined for an empty one. */
  readonly log: Position | undefined
  /** At most so many chains differ on the two sides, as far as checkpoints tell. A hint. */
  readonly moved: number
  /** Where this side stood when it was last level with the peer's store, and knew. The leader's alone. */
  readonly known: Known | undefined
  /** The peer's session, whose own commits it is not sent back. */
  readonly session: string | undefined
}

export interface Known {
  /** All of the peer's commits up to there are held here. */
  readonly cursor: Cursor
  /** So many of this side's commits, in its order, the peer held then. */
  readonly count: number
}

/** What comes in. `open` is first. */
export type Event =
  | ({ readonly kind: 'open' } & Meeting)
  | { readonly kind: 'message'; readonly message: Message }
  /** Newly admitted and durable here: made here, sent by this peer, or come another way. */
  | { readonly kind: 'admitted'; readonly ids: readonly string[]; readonly origin: 'local' | 'peer' | 'other' }
  /** Of what was admitted, what `livePush` gave and was pushed: may be told any time before the next event, but `entries`. */
  | { readonly kind: 'pushed'; readonly ids: readonly string[] }
  /**
   * The pipeline is through with one `admit` effect, whatever came of it, and after the events `admitted` and `refused`
   * for it. `ids` are the commits in it, `waiting` tells that some of them wait for parents.
   */
  | { readonly kind: 'settled'; readonly ids: readonly string[]; readonly waiting: boolean }
  /** What this peer sent was not admitted or could not be stored. */
  | { readonly kind: 'refused'; readonly code: Code; readonly ids: readonly string[] }
  /** The authority log grew; `from`: a new epoch began there, and left out what stood behind. */
  | { readonly kind: 'entries'; readonly from?: number }
  | { readonly kind: 'wake' }
  | { readonly kind: 'close' }

/** What is to be done, in this order. */
export type Effect =
  | { readonly kind: 'send'; readonly message: Message }
  /** Send a push of these commits, with the certificates of their sessions that this peer has not been sent. */
  | {
      readonly kind: 'push'
      readonly round: number
      readonly ids: readonly string[]
      readonly last: boolean
      readonly unknown: readonly number[]
    }
  /** Verify and admit; answered by one event `settled`. */
  | { readonly kind: 'admit'; readonly commits: readonly Uint8Array[]; readonly certificates: readonly Uint8Array[] }
  /** Entries of the authority log, the first of them at place `from`; some may be held already. */
  | { readonly kind: 'deliver'; readonly from: number; readonly entries: readonly Uint8Array[] }
  /** An event `wake` after so many ms. */
  | { readonly kind: 'wake'; readonly after: number }
  /** Both hold the same commits. */
  | { readonly kind: 'level' }
  /** To be remembered for the next meeting with this store: it may be written at any time after what it speaks of. */
  | { readonly kind: 'known'; readonly known: Known }
  /** No progress: quiet until something changes. `missing` are the peer's heads that could not be had. */
  | { readonly kind: 'rest'; readonly missing: readonly string[] }
  /** The peer could not keep what was sent. */
  | { readonly kind: 'refused'; readonly code: Code; readonly ids: readonly string[] }
  | { readonly kind: 'offence'; readonly code: Code; readonly about: string; readonly evidence?: readonly Uint8Array[] }

/**
 *   greeting    hello sent, theirs awaited            following   the follower, until it is level or the leader rests
 *   asking      sketch or filter sent, and awaited    fetching    commits, or a want, awaited
 *   comparing   fingerprint sent, theirs awaited      waiting     for the next round's time
 *   level       equal; commits are pushed live        resting     no progress; quiet
 */
export type Phase =
  | 'new'
  | 'greeting'
  | 'asking'
  | 'fetching'
  | 'comparing'
  | 'waiting'
  | 'following'
  | 'level'
  | 'resting'
  | 'closed'

export interface Session {
  /** True on one side of the channel, false on the other. */
  readonly leads: boolean
  readonly phase: Phase
  /** Keys what stands for heads, and the fingerprints. */
  readonly salt: Uint8Array
  /** Filters alone: the base protocol. */
  readonly base: boolean
  readonly meeting: Meeting
  /** Whether both sides sketch and pack. */
  readonly speaks: boolean
  /** The latest round; and, for the follower, the latest whose fingerprint it answered. */
  readonly round: number
  readonly compared: number

  /** Whether I had no commit at my hello; my last fingerprint sent, and how many commits I held then; theirs before the last comparison. */
  readonly empty: boolean
  readonly count: number
  readonly mine: Uint8Array
  readonly theirs: Uint8Array
  /** The fingerprint that was mine at the last comparison. */
  readonly before: Uint8Array
  /** Commits came in from elsewhere since my last fingerprint; and whether they had when I sent it. */
  readonly moved: boolean
  readonly movedThen: boolean
  /** A round whose fingerprint I owe until the pipeline is through, and theirs. */
  readonly owed: { readonly round: number; readonly fingerprint: Uint8Array } | undefined
  /** `admit` effects that are not settled. */
  readonly unsettled: number

  /** What this round goes by. A cursor round leaves my own commits from a place on to be sent. */
  readonly rung: 'none' | 'cursor' | 'sketch' | 'filter'
  /** The most sums that went either way in this round, or infinity after a vector. */
  readonly sketched: number
  /** How many heads were in my vector. */
  readonly vector: number | undefined
  readonly unsent: number | undefined
  /** Their filter of this round. */
  readonly filter: Filter | undefined
  /** Heads they named in this round, and whether those are all. */
  readonly listed: readonly Name[]
  readonly complete: boolean
  /** Heads I named in this round, and how often each was answered for. */
  readonly offered: readonly Head[]
  readonly answered: ReadonlyMap<number, number>
  /** Wants that came in so far. */
  readonly asked: readonly Wanted[]
  /** Places in `listed` that I asked for; how often; whether the answer is still to come. */
  readonly wanted: readonly number[]
  readonly asks: number
  readonly awaitsPush: boolean
  /** Their want is still to come. */
  readonly awaitsWant: boolean
  /** Chains that the other has, or gets in this round, no further than up to that seq (`lack.ts`). */
  readonly kept: ReadonlyMap<string, number>

  /**
   * Rounds since they were last level; of those, the last ones in which nothing changed; comparisons
   * since the last.
   */
  readonly rounds: number
  readonly idle: number
  readonly comparisons: number
  /** This round: something could not be stored on one of the sides. */
  readonly troubled: boolean
  /** What happens when waiting is over. */
  readonly next: 'ask' | 'compare'
  /** Ms of the next wait. */
  readonly backoff: number
  /** When to act although nothing has come; when the next event `wake` is due. */
  readonly deadline: number | undefined
  readonly timer: number | undefined
  /** What the peer may still cost. */
  readonly credit: Credit
  /** The follower: what begins a round that there was no credit for. */
  readonly postponed: FilterMessage | SumsMessage | undefined

  /** A round is under way here: what is admitted meanwhile is kept in `fresh` and pushed at its end. */
  readonly busy: boolean
  readonly fresh: readonly string[]
  /** Commits that this peer sent or was sent lately. */
  readonly exchanged: Recent
  /** Of those that it sent, the ones that are not held yet: only they can be new here later on and not to the peer. */
  readonly early: Recent
  /** Entries of the authority log that the peer has. */
  readonly logSent: number
  readonly sameEpoch: boolean
  readonly forkShown: boolean
}
