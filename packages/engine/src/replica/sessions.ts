/**
 * The sessions of an account, as replicas that met them tell each other. The authority can certify a session for anybody's name: nothing
 * prevents that, and nothing hides it. Whoever meets a certificate tells it to the sessions of its account, and so does an honest
 * authority with what it gives out; each device keeps what it was told of its own account, and the app shows it.
 */

import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { type Certificate, readCertificate } from '../trust/certificate.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import type { Peer } from './peer.ts'
import type { RootLog } from './rootlog.ts'
import type { Witness } from './wire.ts'

/** A session of the account that is logged in here. */
export interface AccountSession {
  /** Its id, hex. */
  readonly session: string
  /** The name that its newest certificate shows to others. */
  readonly name: string
  /** The number of its newest certificate: the account's certificates count from 1 on. */
  readonly number: number
  /** When its first certificate was issued, and when its last one ends: ms since 1970, by the server's clock. */
  readonly since: number
  readonly until: number
  /** Whether it is this device's. */
  readonly this: boolean
  /** Whether its access was ended. */
  readonly ended: boolean
}

/** One end of a channel. */
interface Hearer {
  readonly peer: Peer | undefined
  tell(frame: Witness): void
  offend(why: Refusal): void
}

export interface SessionsParts {
  readonly certificates: Certificates
  readonly clock: Clock
  readonly root: RootLog
  readonly connections: Iterable<Hearer>
  /** The certificate of this device's session. */
  own(): Certificate | undefined
  /** Keeps a certificate of the account for the next start. */
  keep(certificate: Uint8Array): Promise<Refusal | undefined>
  /** There is another session to show. */
  changed(): void
  incident(why: Refusal): void
}

export class Sessions {
  readonly #parts: SessionsParts

  constructor(parts: SessionsParts) {
    this.#parts = parts
  }

  /** Those that this device has met of its account, in the order of their numbers. */
  list(): readonly AccountSession[] {
    const { certificates, root } = this.#parts
    const own = this.#parts.own()
    if (own === undefined) return []
    const sessions = new Map<string, AccountSession>()
    for (const certificate of certificates.ofAccount(own.owner)) {
      const { session, name, number, issued, expires } = certificate
      const known = sessions.get(session)
      sessions.set(session, {
        session,
        ...(known === undefined || number > known.number
          ? { name, number }
          : { name: known.name, number: known.number }),
        since: Math.min(issued, known?.since ?? issued),
        until: Math.max(expires, known?.until ?? expires),
        this: session === own.session,
        ended: root.revokedAt(certificate) !== undefined,
      })
    }
    return [...sessions.values()].sort((a, b) => a.number - b.number || (a.session < b.session ? -1 : 1))
  }

  /** Tells a peer of the certificates of its account that are in force, the newest first, but for the one it showed. */
  tell(connection: Hearer): void {
    const shown = connection.peer?.certificate
    if (shown === undefined) return
    const now = this.#parts.clock.now()
    const others = this.#parts.certificates
      .ofAccount(shown.owner)
      .filter(({ id, expires }) => id !== shown.id && expires > now)
      .sort((a, b) => b.number - a.number)
      .slice(0, limits.certificatesTold)
    if (others.length > 0) connection.tell({ kind: 'witness', certificates: others.map(({ bytes }) => bytes) })
  }

  /** This replica met a certificate. */
  met({ owner, session, bytes }: Certificate): void {
    for (const connection of this.#parts.connections) {
      const shown = connection.peer?.certificate
      if (shown?.owner === owner && shown.session !== session)
        connection.tell({ kind: 'witness', certificates: [bytes] })
    }
    const own = this.#parts.own()
    if (own?.owner !== owner) return
    this.#parts.changed()
    if (session !== own.session) void this.#keep(bytes)
  }

  async #keep(bytes: Uint8Array): Promise<void> {
    const why = await this.#parts.keep(bytes)
    if (why !== undefined) this.#parts.incident(why)
  }

  /** A peer tells of this account. Nobody has a reason to tell of another one. */
  async heard(connection: Hearer, told: readonly Uint8Array[]): Promise<void> {
    const { certificates, incident } = this.#parts
    const own = this.#parts.own()
    if (own === undefined) return
    for (const bytes of told) {
      const read = readCertificate(bytes, certificates.hash)
      const isOwn = isRefusal(read) || read.owner === own.owner
      const answer = isOwn ? await certificates.admit(bytes) : refusal('BadCertificate', read.session)
      if (!isRefusal(answer)) continue
      incident(answer)
      return connection.offend(answer)
    }
  }
}
