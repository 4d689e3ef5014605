/**
 * What the tabs of a browser say to each other. In the hall, which all of them hear, they find the one that leads; with it each has a line
 * of its own. A line carries questions, each answered once; what the leader tells of itself; and a channel, over which the two replicas
 * sync as any two do.
 *
 *     seek    a tab looks for the leader, and listens at the line it names
 *     coming  somebody leads and is awake, and has not opened the store yet
 *     lead    the leader takes that line; without one, it tells everybody that it leads now
 */
import type { Code, Credentials, LoginOutcome, Path, Request, Status } from '@weft-db/engine'

export type HallMessage =
  | { readonly kind: 'seek'; readonly tab: string; readonly line: string }
  | { readonly kind: 'coming' }
  | { readonly kind: 'lead'; readonly leader: string; readonly line: string | null }

/** What a tab may ask the other end of its line. */
export interface Questions {
  /** A file as the leader stores it; null for none. */
  readonly read: { readonly ask: { readonly name: string }; readonly answer: Uint8Array | null }
  /** The root log's entries. */
  readonly root: { readonly ask: null; readonly answer: readonly Uint8Array[] }
  /** Every file of evidence. */
  readonly evidence: {
    readonly ask: null
    readonly answer: readonly { readonly name: string; readonly bytes: Uint8Array }[]
  }
  /** Answered when the leader stores that commit. */
  readonly keep: { readonly ask: { readonly path: string; readonly id: string }; readonly answer: null }
  readonly login: { readonly ask: Credentials; readonly answer: LoginOutcome }
  readonly logout: { readonly ask: { readonly discard: boolean }; readonly answer: null }
  readonly request: { readonly ask: Request; readonly answer: null }
  readonly connect: { readonly ask: { readonly online: boolean }; readonly answer: null }
  readonly measure: { readonly ask: null; readonly answer: null }
  /** The leader's: answered when it stores all that was written here. */
  readonly handOver: { readonly ask: null; readonly answer: null }
  /** Whether the other end is awake. */
  readonly wake: { readonly ask: null; readonly answer: null }
}

export type Topic = keyof Questions

/** What the leader tells whenever something of it changed. */
export interface Tidings {
  readonly status: Status
  readonly lasting: boolean
  /** Channels to other devices. */
  readonly connections: number
  /** ms since 1970, as the authority sees it. */
  readonly now: number
  readonly network: string | undefined
  readonly session: { readonly id: string; readonly name: string } | undefined
  /** The public key of whoever is logged in. */
  readonly key: Uint8Array | undefined
  readonly certificate: Uint8Array | null
  readonly paths: readonly Path[]
  readonly neighbours: ReadonlyMap<string, readonly string[]>
  readonly server: { readonly roundTrip: number | undefined } | undefined
  readonly repositories: readonly {
    readonly path: string
    readonly synced: boolean
    /** Own changes that the authority has not acknowledged. */
    readonly unacknowledged: number
    readonly barred: { readonly code: Code; readonly about: string } | undefined
  }[]
}

export type LineMessage =
  | { readonly kind: 'ask'; readonly number: number; readonly topic: Topic; readonly ask: unknown }
  | { readonly kind: 'answer'; readonly number: number; readonly answer: unknown }
  | { readonly kind: 'failed'; readonly number: number; readonly code: Code; readonly about: string }
  | { readonly kind: 'tidings'; readonly tidings: Tidings }
  | { readonly kind: 'dial'; readonly call: number }
  | { readonly kind: 'frame'; readonly call: number; readonly bytes: Uint8Array }
  | { readonly kind: 'took'; readonly call: number; readonly bytes: number }
  | { readonly kind: 'hangup'; readonly call: number; readonly reason: string }
  | { readonly kind: 'bye' }
