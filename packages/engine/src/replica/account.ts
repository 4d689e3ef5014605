/**
 * Who is logged in on this device: the session's key, its certificate, and what is asked of the authority to have one and to keep it. One
 * device belongs to one person at a time: a certificate for somebody else is not taken.
 */
import { equalBytes } from '../bytes/bytes.ts'
import { isRefusal, type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import { keyId } from '../commit/commit.ts'
import type { Certificate } from '../trust/certificate.ts'
import { type Answered, Asking, type LoginOutcome } from './asking.ts'
import type { Identity } from './capture.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import type { Connection } from './connection.ts'
import type { Credentials } from './login.ts'
import type { KeyStore, Runtime, SigningKey } from './ports.ts'
import { Renewal } from './renewal.ts'
import type { RootLog } from './rootlog.ts'
import { Sessions } from './sessions.ts'

export interface AccountOptions {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  readonly connections: Iterable<Connection>
  /** The authority has a key of its own, and never logs in. */
  readonly authority: SigningKey | undefined
  /** The name of the session's key in the key store. */
  readonly keyName: string
  keys(): KeyStore | undefined
  /** Whether somebody who logs in now would come too late. */
  isLeaving(): boolean
  isClosed(): boolean
  /** Keeps the session's certificate for the next start. */
  keep(certificate: Uint8Array): Promise<Refusal | undefined>
  /** Keeps that of another session of the account. */
  keepMet(certificate: Uint8Array): Promise<Refusal | undefined>
  /** The session is certified, or somebody logged in who will be. */
  changed(isCertified: boolean): void
  /** The status is another one. */
  tell(): void
  /** Ends all channels: the server takes them for somebody else's. */
  hangUp(why: Refusal): void
  incident(why: Refusal): void
}

export class Account {
  /** All of the account's. */
  readonly sessions: Sessions
  readonly #of: AccountOptions
  readonly #asking: Asking
  readonly #renewal: Renewal
  #key: SigningKey | undefined
  #loggedIn = false
  #certificate: Certificate | undefined
  /** A login that stores the session's key. */
  #savingKey: Promise<void> | undefined

  constructor(of: AccountOptions) {
    this.#of = of
    this.#asking = new Asking(of.connections)
    this.sessions = new Sessions({
      certificates: of.certificates,
      clock: of.clock,
      root: of.root,
      connections: of.connections,
      own: () => this.person,
      keep: (certificate) => of.keepMet(certificate),
      changed: () => of.tell(),
      incident: (why) => of.incident(why),
    })
    this.#renewal = new Renewal({
      runtime: of.runtime,
      now: () => of.clock.now(),
      certificate: () => (of.authority === undefined ? this.#certificate : undefined),
      ask: () => this.#asking.renew(),
      expired: () => of.tell(),
    })
  }

  /** What channels are proved with: the authority's key, the stored session's, or one that a login would make the session's. */
  get key(): SigningKey | undefined {
    return this.#key
  }

  get certificate(): Certificate | undefined {
    return this.#certificate
  }

  /** Who is logged in here, as rules see it; undefined before the certificate is here. */
  get person(): Certificate | undefined {
    return this.#loggedIn ? this.#certificate : undefined
  }

  /** Whether the certificate in use is in force. */
  get isCertified(): boolean {
    return this.#certificate !== undefined && this.#certificate.expires > this.#of.clock.now()
  }

  get hasExpired(): boolean {
    return this.#certificate !== undefined && !this.isCertified
  }

  get identity(): Identity | undefined {
    const key = this.#key
    if (key === undefined || !this.#loggedIn) return undefined
    const session = this.#certificate?.session ?? keyId(key.publicKey, (bytes) => this.#of.runtime.hash(bytes))
    return { session, key, name: this.#certificate?.name ?? this.#asking.login?.name ?? session.slice(0, 8) }
  }

  /** Reads who was logged in last, once the root log is read. */
  async open(): Promise<void> {
    const stored = await this.#of.keys()?.load(this.#of.keyName)
    this.#key = this.#of.authority ?? stored ?? (await this.#of.runtime.generateKey())
    if (stored === undefined || this.#of.authority !== undefined) return
    this.#certificate = this.#of.certificates.ofKey(stored.publicKey)
    this.#loggedIn = this.#certificate !== undefined
    this.#renewal.check()
  }

  /**
   * Goes on as whoever another replica of this device says is logged in: with the key that it stored, and the certificate when there is one.
   * False where there is no such key.
   */
  async adopt(certificate: Uint8Array | null): Promise<boolean> {
    const key = await this.#of.keys()?.load(this.#of.keyName)
    if (key === undefined || this.#of.isLeaving() || this.#of.isClosed()) return false
    const read = certificate === null ? undefined : await this.#of.certificates.admit(certificate)
    if (isRefusal(read)) this.#of.incident(read)
    else if (read !== undefined && equalBytes(read.publicKey, key.publicKey)) await this.#of.keep(read.bytes)
    // What channels were proved with, they keep.
    const isProved = this.#certificate !== undefined && equalBytes(this.#certificate.publicKey, key.publicKey)
    this.#key = key
    this.#loggedIn = true
    this.#certificate = this.#of.certificates.ofKey(key.publicKey)
    this.#of.changed(this.#certificate !== undefined)
    if (!isProved) this.#of.hangUp(refusal('Superseded', 'another login'))
    return true
  }

  async login(login: Credentials): Promise<LoginOutcome> {
    const key = this.#key
    if (key === undefined || this.#of.authority !== undefined)
      throw new WeftError('NotAuthority', 'the authority does not log in')
    this.#savingKey = this.#of.keys()?.save(this.#of.keyName, key)
    await this.#savingKey
    if (this.#of.isClosed()) throw new WeftError('Closed', 'login')
    if (this.#key !== key || this.#of.isLeaving()) throw new WeftError('Superseded', 'login')
    this.#loggedIn = true
    const done = this.#asking.begin(login)
    this.#of.changed(false)
    return done
  }

  /** The authority is there. */
  met(): void {
    this.#asking.offer()
    this.#renewal.check()
  }

  closed(connection: Connection): void {
    this.#asking.closed(connection)
  }

  /** The authority sent a certificate. */
  async certified(bytes: Uint8Array): Promise<void> {
    const answered = this.#asking.answered()
    if (answered === 'given up') return this.#asking.offer()
    const certificate = await this.#of.certificates.admit(bytes)
    const isOwn =
      !isRefusal(certificate) && this.#key !== undefined && equalBytes(certificate.publicKey, this.#key.publicKey)
    if (isRefusal(certificate) || !isOwn) {
      const why = isRefusal(certificate) ? certificate : refusal('BadCertificate', certificate.session)
      this.#asking.again(answered)
      this.#of.incident(why)
      // The authority sent another one: what lies between alters bytes.
      return this.#of.hangUp(why)
    }
    const { owner } = this.#certificate ?? certificate
    if (certificate.owner !== owner) {
      this.#of.certificates.forget(certificate.session)
      if (typeof answered === 'object') answered.reject(new WeftError('LogOutFirst', owner))
      this.#of.hangUp(refusal('LogOutFirst'))
      return this.#asking.offer()
    }
    this.#certificate = certificate
    const why = await this.#of.keep(bytes)
    if (why !== undefined) this.#of.incident(why)
    this.#renewal.check()
    this.#of.changed(true)
    if (typeof answered === 'object') answered.resolve('certified')
    this.#asking.offer()
  }

  /** The authority's answer to what was asked is no certificate. */
  notCertified(why: Refusal): Answered | undefined {
    const answered = this.#asking.answered()
    this.#loggedIn = this.#certificate !== undefined || this.#asking.login !== undefined
    this.#of.tell()
    if (typeof answered === 'object') {
      if (why.code === 'MailSent') answered.resolve('MailSent')
      else answered.reject(WeftError.of(why))
    }
    this.#asking.offer()
    return answered
  }

  /** Asks for nothing any more. */
  stop(): void {
    this.#renewal.stop()
    this.#asking.stop(new WeftError('Closed', 'login'))
  }

  /** Nobody is logged in any more. */
  part(): void {
    this.#asking.stop(new WeftError('Superseded', 'login'))
    this.#certificate = undefined
    this.#loggedIn = false
    this.#renewal.check()
  }

  /** Resolves when no key is being stored. */
  async settled(): Promise<void> {
    await this.#savingKey?.catch(() => undefined)
  }

  /** Another key, for whoever comes next. */
  async renewKey(): Promise<void> {
    this.#key = await this.#of.runtime.generateKey()
  }
}
