import type { Position } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'

/**
 * What reconciliation asks of the store, read-only. All of it speaks of what is durable: a commit that may still be
 * lost is not held. Each answer costs what it returns, but `heads` and `fingerprint`, which may cost the number of
 * tips.
 */
export interface Held {
  /** The tips of all chains; of a forked chain, each branch's. */
  heads(): Iterable<Head>
  headsOf(chain: string): readonly Head[]
  /** The first 8 bytes of SHA-256 over a chain's name, as two numbers, little-endian: whoever makes chains cannot choose it. */
  digest(chain: string): readonly [number, number]
  /**
   * Commits of the chain up to this seq are held without content: they cannot be sent, and all but some of them are not even known by id. -1 where there are
   * none. The tip is known even so, and the commit at the floor where something follows it.
   */
  floorOf(chain: string): number
  /** Commits that are known by id: those that are whole, and a few that were dropped, at the beginning of the order of admission. */
  count(): number
  has(id: string): boolean
  /** Whether a commit that is known is held without content. */
  isDropped(id: string): boolean
  /** The commit before a held one in its chain; undefined for the first, and for the one at the floor. */
  previous(id: string): string | undefined
  /** What a whole commit builds on: the one before it and its parents. Reads the commit. */
  builtOn(id: string): readonly string[]
  /** The commits after a held one up to the one whose signature vouches for it; none where it is signed itself. */
  vouchers(id: string): readonly string[]
  /** Where a commit stands that is known by id. */
  placeOf(id: string): { readonly chain: string; readonly seq: number } | undefined
  /** Place of a held commit in the order of admission, which is closed under causality. */
  arrivalIndex(id: string): number
  /** Ids in the order of admission: up to `limit` of them, from place `from`. */
  arrival(from: number, limit: number): readonly string[]
  /** Bytes that sending a held commit takes, with its session's certificate where it is the first of its chain. */
  size(id: string): number
  /** `fingerprint(heads)`, 32 bytes; kept by the store until its tips change. */
  fingerprint(): Uint8Array
  /** A hash of the first so many ids in the order of admission, `prefixBytes` long; undefined beyond what is held. */
  prefixHash(place: number): Uint8Array | undefined
  /** Position of the newest entry of the repository's authority log; undefined while it is empty. */
  logPosition(): Position | undefined
  /** Where the first epoch after that one begins; undefined where there is none. */
  epochAfter(epoch: number): number | undefined
  /** Hash (hex) of the entry at place n, and the bytes of all from there on. The first place is 0. */
  logHash(n: number): string | undefined
  entriesFrom(n: number): readonly Uint8Array[]
}
