/** The certificates a replica knows, whichever repository they came with, and the authority's keys that make them good. */

import { equalBytes } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'
import { type Certificate, readCertificate } from '../trust/certificate.ts'
import { messageOf } from '../trust/signed.ts'
import type { Runtime } from './ports.ts'
import type { RootLog } from './rootlog.ts'

/** Who is told of them. */
export interface Meeting {
  /** A certificate is met for the first time since the start. */
  met(certificate: Certificate): void
  /** Another one of its account bears its number. */
  twice(held: Certificate, other: Certificate): void
}

export class Certificates {
  /** Session to the one that holds. */
  readonly #known = new Map<string, Certificate>()
  /** Owner to all of them that were met. */
  readonly #accounts = new Map<string, Certificate[]>()
  readonly #runtime: Runtime
  readonly #root: RootLog
  readonly #ends: Meeting | undefined

  constructor(runtime: Runtime, root: RootLog, ends?: Meeting) {
    this.#runtime = runtime
    this.#root = root
    this.#ends = ends
  }

  get hash(): Hash {
    return this.#runtime.hash
  }

  /** The newest certificate of a session. */
  get(session: string): Certificate | undefined {
    return this.#known.get(session)
  }

  /** The newest certificate of a key, whoever its owner is. */
  ofKey(publicKey: Uint8Array): Certificate | undefined {
    let newest: Certificate | undefined
    for (const certificate of this.#known.values()) {
      if (equalBytes(certificate.publicKey, publicKey) && certificate.issued >= (newest?.issued ?? 0))
        newest = certificate
    }
    return newest
  }

  /** The newest certificate of an owner, whichever session it is for. */
  ofOwner(owner: string): Certificate | undefined {
    let newest: Certificate | undefined
    for (const certificate of this.ofAccount(owner))
      if (certificate.issued >= (newest?.issued ?? 0)) newest = certificate
    return newest
  }

  /** All certificates of an owner that were met, also those that ran out, in no order. */
  ofAccount(owner: string): readonly Certificate[] {
    return this.#accounts.get(owner) ?? []
  }

  #hasMet({ owner, id }: Certificate): boolean {
    return this.ofAccount(owner).some((one) => one.id === id)
  }

  /** Keeps a certificate that was checked before: made here, or read from this replica's own log. */
  keep(certificate: Certificate): void {
    const known = this.#known.get(certificate.session)
    const rank = (one: Certificate): number => (this.isTooLate(one) ? 0 : one.expires)
    if (known === undefined || rank(certificate) > rank(known)) this.#known.set(certificate.session, certificate)
    if (this.#hasMet(certificate)) return
    const account = this.#accounts.get(certificate.owner) ?? []
    const twin = account.find(({ number }) => number === certificate.number)
    account.push(certificate)
    this.#accounts.set(certificate.owner, account)
    if (twin !== undefined) this.#ends?.twice(twin, certificate)
    this.#ends?.met(certificate)
  }

  /**
   * Whether it was issued after its signer was retired: by whoever got hold of the old key. That is for whoever admits to ask, as expiry is;
   * within a certificate's life the old key can name nobody any more.
   */
  isTooLate({ issued, signer }: Certificate): boolean {
    return issued > this.#root.retirementTime(signer) + limits.clockAhead
  }

  /** Forgets one session's certificate, or all of them: they come again with whatever needs them. */
  forget(session?: string): void {
    if (session === undefined) {
      this.#known.clear()
      this.#accounts.clear()
      return
    }
    const owner = this.#known.get(session)?.owner
    this.#known.delete(session)
    if (owner === undefined) return
    const others = this.ofAccount(owner).filter((one) => one.session !== session)
    if (others.length > 0) this.#accounts.set(owner, others)
    else this.#accounts.delete(owner)
  }

  /** Checks a certificate from outside against the root log and keeps it. Expiry is judged by whoever admits, not here. */
  async admit(bytes: Uint8Array): Promise<Certificate | Refusal> {
    const certificate = readCertificate(bytes, this.#runtime.hash)
    if (isRefusal(certificate)) return certificate
    const known = this.#known.get(certificate.session)
    if (known?.id === certificate.id) return known
    if (this.#hasMet(certificate)) return certificate
    const key = this.#root.key(certificate.signer)
    if (certificate.network !== this.#root.network || key === undefined)
      return refusal('BadCertificate', certificate.session)
    const message = messageOf('certificate', certificate.body, this.#runtime.hash)
    if (!(await this.#runtime.verify(key, message, certificate.signature)))
      return refusal('BadCertificate', certificate.session)
    this.keep(certificate)
    return certificate
  }
}
