import type { Splice } from './splice.ts'

/**
 * What the walker asks about the events of one text. An event is one change; events are numbered in the order of admission, which
 * differs between replicas, so numbers order nothing but work: parents always have smaller ones.
 */
export interface TextHistory {
  parents(event: number): readonly number[]
  splices(event: number): readonly Splice[]
  /** Orders concurrent inserts at one place; the same on every replica. Compared as strings by code unit. */
  tieBreak(event: number): string
  /** Dead now: inserts replay as text already deleted, removals as never made. */
  dead(event: number): boolean
  /**
   * Whether the author of `author` saw `event` as dead when writing (positions in `author`'s splices are then relative to a text
   * without it). Only asked for events with dead(event) true and in the causal past of author.
   */
  deadTo(event: number, author: number): boolean
  /** Erased now: inserts replay as text already deleted, removals stand. A dead event may be erased as well. */
  erased?(event: number): boolean
  /** Whether the author of `author` saw the inserts of `event` as deleted. Only asked for events with erased(event) true, as `deadTo`. */
  erasedTo?(event: number, author: number): boolean
  /**
   * All dead and erased events, ascending. Without it, every call of `transform` asks about every event up to the newest head, so a long
   * history should have it: usually it is an empty array.
   */
  readonly deadEvents?: readonly number[]
}
