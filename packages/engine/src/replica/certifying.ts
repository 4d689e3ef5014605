/**
 * How the authority answers who logs in: by the app's ways to log in, or, for a session that is certified already, by its certificate. A
 * certificate is for the key that the channel proved, whatever the credentials are.
 */
import type { Plain } from '../bytes/plain.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { sessionId } from '../commit/commit.ts'
import type { Certificate } from '../trust/certificate.ts'
import type { Authority } from './authority.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import { type Login, type Person, renewalMethod } from './login.ts'
import type { Peer } from './peer.ts'
import type { Channel } from './ports.ts'
import type { Quota } from './quota.ts'

export interface CertifyingOptions {
  readonly authority: Pick<Authority, 'certify'>
  readonly certificates: Pick<Certificates, 'keep' | 'hash' | 'ofAccount'>
  readonly clock: Pick<Clock, 'now'>
  readonly quota: Quota | undefined
  readonly logins: readonly Login[]
  /** How long a certificate lasts, ms; as long as it may unless told. */
  readonly life: number | undefined
  isRevoked(person: { readonly session: string; readonly owner: string }): boolean
  /** No number up to this one is given: they may be another server's that was lost. */
  numbersFrom(): number
  /** Stores what is given out, so that no number is given twice. */
  store(certificate: Uint8Array, number: number): Promise<Refusal | undefined>
}

export class Certifying {
  readonly #of: CertifyingOptions
  readonly #logins = new Map<string, Login>()
  /** Owner to the last number taken for a certificate that was not given out. */
  readonly #taken = new Map<string, number>()

  /** Throws a `TypeError` for two logins of one method. */
  constructor(of: CertifyingOptions) {
    this.#of = of
    for (const login of of.logins) {
      if (this.#logins.has(login.method) || login.method === renewalMethod)
        throw new TypeError(`the login method ${login.method} is given twice, or is not an app's to give`)
      this.#logins.set(login.method, login)
    }
  }

  async judge(method: string, credentials: Plain, peer: Peer, channel: Channel): Promise<Certificate | Refusal> {
    if (method === renewalMethod) return this.#renew(peer, channel)
    const login = this.#logins.get(method)
    if (login === undefined)
      return refusal('LoginRefused', `ways to log in here: ${[...this.#logins.keys()].join(', ') || 'none'}`)
    const person = await login.check(credentials, peer.key, channel.address)
    return isRefusal(person) ? person : this.#certify(peer, person, channel)
  }

  /** The next certificate of a session that showed one in force. Who asks before half of its life is over keeps it. */
  async #renew(peer: Peer, channel: Channel): Promise<Certificate | Refusal> {
    const { certificate } = peer
    const now = this.#of.clock.now()
    if (certificate === undefined || certificate.expires <= now) return refusal('LoginRefused', 'nothing to renew')
    if (!this.#of.isRevoked(certificate) && now < certificate.issued + (certificate.expires - certificate.issued) / 2)
      return certificate
    return this.#certify(peer, certificate, channel)
  }

  async #certify(peer: Peer, { owner, name }: Person, { address }: Channel): Promise<Certificate | Refusal> {
    const { authority, certificates, quota, life } = this.#of
    const session = sessionId(peer.publicKey, owner, certificates.hash)
    if (this.#of.isRevoked({ session, owner })) return refusal('LoginRefused', 'the access of this account was ended')
    const tooFast = quota?.certifies(owner, address, peer.certificate === undefined)
    if (tooFast !== undefined) return tooFast
    const number = this.#take(owner)
    const certificate = await authority.certify(peer.publicKey, { owner, name }, number, life)
    const why = await this.#of.store(certificate.bytes, number)
    if (why !== undefined) return refusal('LoginRefused', `the server cannot store it: ${why.code}`)
    certificates.keep(certificate)
    if (this.#taken.get(owner) === number) this.#taken.delete(owner)
    return certificate
  }

  /** A number that none of the account bears or may yet bear. One whose certificate failed on its way is not used again. */
  #take(owner: string): number {
    let last = Math.max(this.#taken.get(owner) ?? 0, this.#of.numbersFrom())
    for (const { number } of this.#of.certificates.ofAccount(owner)) last = Math.max(last, number)
    this.#taken.set(owner, last + 1)
    return last + 1
  }
}
