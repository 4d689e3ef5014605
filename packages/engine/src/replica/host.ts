import type { Refusal } from '../bytes/refusal.ts'
import type { Schema } from '../schema/schema.ts'
import type { Entry } from '../trust/entry.ts'
import type { Identity } from './capture.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import type { Met } from './evidence.ts'
import type { Judging, Person } from './judging.ts'
import type { Origin, Sharing } from './pending.ts'
import type { Runtime } from './ports.ts'
import type { Room } from './presence.ts'
import type { Rejection } from './rejections.ts'
import type { Request } from './requests.ts'
import type { RootLog } from './rootlog.ts'

/** A repository, of which its replica knows more. */
export interface Hosted {
  readonly path: string
}

/** What a repository needs of its replica. */
export interface Host {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  readonly authority: boolean
  /** Commits a second, at most. */
  readonly captureRate: number
  /** Bytes that a log grows by, at least, before a snapshot is made of it. */
  readonly snapshotFrom: number
  /** What the authority covers and is older may be dropped here, ms. */
  readonly offlineWindow: number
  readonly identity: Identity | undefined
  /** Whether what is stored here lasts. */
  readonly lasting: boolean
  /** What the app is, as far as it decides what counts: 32 bytes. */
  readonly app: Uint8Array
  /** Whether another replica of this device keeps what is made here. */
  readonly isBehind: boolean
  schemaHash(schema: Schema): string
  schema(hash: string): Schema | undefined
  readonly judging: Judging
  /** What this device's person wrote does not count. */
  rejected(rejection: Rejection): void
  incident(why: Refusal, repository: string): void
  /** Two things signed for one place. */
  forked(met: Met): void
  /** The repository's log erases content that may be kept beside it. */
  erased(repository: Hosted): void
  /** Its log was read, and nobody knows it yet. */
  opening(repository: Hosted): void
  /** Something about saving or opening changed. */
  progress(repository: Hosted): void
  sharing(repository: Hosted): Sharing
  committed(repository: Hosted): void
  entered(repository: Hosted, entries: readonly Entry[], origin: Origin): void
  refused(repository: Hosted, origin: object, id: string, why: Refusal): void
  /** An entry this replica signed as the authority does not fit its log. */
  misplaced(repository: Hosted, why: Refusal): void
  /** Who is logged in here, as rules see it. */
  readonly person: Person | undefined
  /** The person is logging out: what is edited now would be lost. */
  readonly leaving: boolean
  /** Who is here. */
  room(repository: Hosted): Room
  /** Asks the authority for something. */
  ask(request: Request): Promise<void>
}
