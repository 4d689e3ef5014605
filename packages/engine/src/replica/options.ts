/** What a replica is made of: its schemas and rules, where it keeps its logs, how it connects, and, for the authority, its key. */
import type { Schema } from '../schema/schema.ts'
import type { Rules } from '../trust/rules.ts'
import type { Login } from './login.ts'
import type { MeshOptions } from './mesh.ts'
import type { Files, IceServer, KeyStore, Runtime, SigningKey, Transport } from './ports.ts'
import type { Rates } from './rates.ts'

/** Where a replica keeps its logs, as it turned out. */
export interface Storage {
  readonly files: Files
  /** Where the session's key is kept, beside the files. */
  readonly keys: KeyStore
  /** Given when the files are locked already; else they are locked now. */
  readonly release?: () => Promise<void>
  /** What it is called in the status, for example `indexeddb`, `node`, `memory`. */
  readonly mode: string
  /** Whether it outlives this process or page. */
  readonly lasting: boolean
  /** Why it is not the one that was wanted. */
  readonly reason?: string
  /** The app's other stores on this device that nobody has open, locked one at a time: whoever logs out is logged out of them too. */
  readonly others?: () => AsyncIterable<Pick<Storage, 'files' | 'keys'> & { readonly release: () => Promise<void> }>
}

/** What a replica of this device tells another one that works through it. */
export interface Adopted {
  readonly network: string
  /** The root log's entries. */
  readonly root: readonly Uint8Array[]
  /** Of whoever is logged in: null while the authority has not given it, undefined for nobody. */
  readonly certificate: Uint8Array | null | undefined
}

export interface DatabaseOptions {
  readonly schemas: readonly Schema[]
  /** Whoever has a certificate reads and writes, unless told. */
  readonly rules?: Rules
  /** Asks every rule twice and reports one that answers in two ways. */
  readonly development?: boolean
  readonly runtime: Runtime
  readonly storage: () => Promise<Storage>
  readonly transports?: readonly Transport[]
  /** The network's id, where an app knows it; else the first server's is taken and kept. */
  readonly network?: string
  /** Makes this replica the authority. */
  readonly authority?: SigningKey
  /**
   * Where the authority keeps what it must know after it lost its logs: away from them, beside its key. Without it nothing that is lost is
   * missed, and an older copy of the logs forks them.
   */
  readonly landmarks?: Files
  /** Goes on with what clients bring after a loss, though it is known that more there was: what is lost is written into the logs. */
  readonly acceptsLoss?: boolean
  /** The authority's key before this one: it signs the new one in, once, and signs nothing afterwards. */
  readonly previousAuthority?: SigningKey
  /** Ways to log in, as the authority: one for each method. */
  readonly logins?: readonly Login[]
  /** How long a certificate that the authority gives lasts, ms: 30 days unless told, and at most. */
  readonly certificateLife?: number
  /** Commits a second and repository, at most: 3 unless told. */
  readonly captureRate?: number
  /** Bytes that a log grows by, at least, before a snapshot is made of it, from which it is opened: 65,536 unless told. */
  readonly snapshotFrom?: number
  /**
   * Offline window, ms: what the authority covers and is older goes from this device, but for what the items came to; the authority keeps it. Who was
   * away for longer is merged all the same, once the authority can be asked. Everything is kept unless told.
   */
  readonly offlineWindow?: number
  /** Channels straight to other sessions; none unless told. */
  readonly mesh?: MeshOptions
  /** STUN and TURN servers for a session, as the authority names them; asked whenever it introduces somebody, since credentials may be short-lived. */
  readonly iceServers?: (session: string) => readonly IceServer[]
  /** `'bloom'`: replicas that this one dials compare by filters alone, the base protocol. */
  readonly sync?: 'bloom'
  /** How much one user and one address may have of the authority: `defaultRates` where not told. */
  readonly rates?: Partial<Rates>
}
