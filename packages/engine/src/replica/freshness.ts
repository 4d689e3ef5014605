/**
 * How fresh this replica's view of the authority's logs is. With the server away its word comes through peers, and one who keeps it back
 * cannot be told from one who has none: but a replica knows when it heard of the server last, and says so when that is long ago. The logs
 * come from every neighbour alike (S1), so a single honest one makes the view fresh. Nothing is asked for: it looks at what came.
 */
import { limits } from '../bytes/limits.ts'
import type { Entry } from '../trust/entry.ts'
import type { Clock } from './clock.ts'
import type { Peer } from './peer.ts'
import type { Runtime } from './ports.ts'

/** The last word of the authority, which is too old. */
export interface AuthStale {
  /** The latest time that the authority signed, in any log that is open here: ms since 1970, 0 for none. */
  readonly heard: number
  /** The session that brought it in this run, undefined for the authority itself or this device's store. */
  readonly from: string | undefined
}

export interface FreshnessParts {
  readonly runtime: Pick<Runtime, 'timer'>
  readonly clock: Pick<Clock, 'now'>
  /** The authority is never behind itself. */
  readonly authority: boolean
  readonly connections: Iterable<{
    readonly peer: Peer | undefined
    reconciler(path: string): object | undefined
  }>
  readonly repositories: Iterable<{
    readonly pipeline: { readonly log: { readonly entries: readonly Pick<Entry, 'time'>[] } }
  }>
  changed(): void
}

export class Freshness {
  readonly #of: FreshnessParts
  #from: string | undefined
  #stale: AuthStale | undefined
  /** The latest time heard when the wait began. */
  #before = 0
  #cancel: (() => void) | undefined

  constructor(of: FreshnessParts) {
    this.#of = of
  }

  /** Undefined while the view is fresh, or nobody is here who could bring anything. */
  get stale(): AuthStale | undefined {
    return this.#stale
  }

  /** Channels came or went. */
  look(): void {
    if (this.#of.authority) return
    if (!this.#isAmongPeers()) this.#stop()
    else if (this.#cancel === undefined) this.#wait()
  }

  /** Entries of a repository's log came. */
  heard(path: string, origin: unknown): void {
    if (this.#of.authority) return
    for (const connection of this.#of.connections)
      if (connection.reconciler(path) === origin) this.#from = connection.peer?.certificate?.session
    if (this.#stale === undefined || !this.#isFresh()) return
    this.#set(undefined)
    this.#wait()
  }

  #stop(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#set(undefined)
  }

  #wait(): void {
    this.#cancel?.()
    this.#before = this.#newest()
    this.#cancel = this.#of.runtime.timer(limits.authorityStale, () => {
      this.#cancel = undefined
      if (!this.#isAmongPeers()) return this.#stop()
      this.#set(this.#isFresh() ? undefined : { heard: this.#newest(), from: this.#from })
      this.#wait()
    })
  }

  /** Something newer came, and it is of now: old entries one at a time are no news. */
  #isFresh(): boolean {
    const newest = this.#newest()
    return newest > this.#before && this.#of.clock.now() - newest <= limits.authorityStale
  }

  #newest(): number {
    let newest = 0
    for (const { pipeline } of this.#of.repositories) newest = Math.max(newest, pipeline.log.entries.at(-1)?.time ?? 0)
    return newest
  }

  #isAmongPeers(): boolean {
    let others = 0
    for (const { peer } of this.#of.connections) {
      if (peer?.isAuthority === true) return false
      if (peer !== undefined && peer.isSelf !== true) others++
    }
    return others > 0
  }

  #set(stale: AuthStale | undefined): void {
    if (stale?.heard === this.#stale?.heard && (stale === undefined) === (this.#stale === undefined)) return
    this.#stale = stale
    this.#of.changed()
  }
}
