/** What a replica tells an app about itself: how it stands, and what happened behind its back. */
import type { Code } from '../bytes/refusal.ts'
import type { AuthStale } from './freshness.ts'

export interface Incident {
  readonly code: Code
  readonly about: string
  readonly repository: string | undefined
  /** The catalogue's sentence and remedy. */
  readonly message: string
}

export interface Status {
  readonly connection: 'connecting' | 'online' | 'offline'
  readonly storage: string
  readonly storageReason: string | undefined
  /** Items and commits not yet in this device's log. */
  readonly unsaved: number
  /** Own changes that no checkpoint of the authority covers. */
  readonly unacknowledged: number
  /** Set while only peers are here and none of them brings a word of the authority that is newer than this. */
  readonly authStale: AuthStale | undefined
  readonly problem: { readonly code: Code; readonly message: string } | undefined
}
