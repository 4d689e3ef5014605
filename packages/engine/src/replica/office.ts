/**
 * What a replica does as the authority: it certifies, judges requests, writes the root log, and lets a new key sign for the one before.
 */
import { equalBytes } from '../bytes/bytes.ts'
import { type Refusal, WeftError } from '../bytes/refusal.ts'
import { keyId } from '../commit/commit.ts'
import type { Statement, Subject } from '../trust/entry.ts'
import { Authority } from './authority.ts'
import type { Certificates } from './certificates.ts'
import { Certifying } from './certifying.ts'
import type { Clock } from './clock.ts'
import type { Judging } from './judging.ts'
import type { Login } from './login.ts'
import type { Runtime, SigningKey } from './ports.ts'
import { Quota } from './quota.ts'
import type { Rates } from './rates.ts'
import { Registrar } from './registrar.ts'
import type { Repository } from './repository.ts'
import type { RootLog } from './rootlog.ts'

export interface OfficeOptions {
  readonly key: SigningKey
  /** The key before this one, which signs it in. */
  readonly previousKey: SigningKey | undefined
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  readonly judging: Judging
  readonly logins: readonly Login[]
  readonly certificateLife: number | undefined
  readonly rates: Partial<Rates>
  /** The newest version there are rules for. */
  readonly newestRules: number
  withRepository<Result>(path: string, use: (repository: Repository) => Promise<Result>): Promise<Result>
  /** Takes entries of the root log as if a peer had shown them. */
  takeRoot(entries: readonly Uint8Array[], publicKey: Uint8Array): Promise<Refusal | undefined>
  /** Stores a certificate before it is given out. */
  storeCertificate(certificate: Uint8Array): Promise<Refusal | undefined>
  incident(why: Refusal, path?: string): void
}

export class Office {
  readonly authority: Authority
  readonly certifying: Certifying
  readonly registrar: Registrar
  readonly quota: Quota
  readonly #of: OfficeOptions
  /** Entries of the root log are signed one after the other. */
  #writing: Promise<unknown> = Promise.resolve()

  constructor(of: OfficeOptions) {
    this.#of = of
    const { runtime, clock, root, certificates, judging } = of
    this.quota = new Quota(of.rates, () => runtime.elapsed())
    this.authority = new Authority(of.key, runtime, root, clock, judging, (why, path) => of.incident(why, path))
    this.certifying = new Certifying({
      authority: this.authority,
      certificates,
      clock,
      quota: this.quota,
      logins: of.logins,
      life: of.certificateLife,
      isRevoked: (person) => root.revokedAt(person) !== undefined,
      store: (certificate) => of.storeCertificate(certificate),
    })
    this.registrar = new Registrar({
      runtime,
      clock,
      authority: this.authority,
      judging,
      certificates,
      withRepository: (path, use) => of.withRepository(path, use),
      revoke: (subject, reason) => this.revoke(subject, reason),
    })
  }

  /** Brings the root log up to this authority's key and rules. Rejects with `WrongKey` or `UnknownRules`. */
  async open(network: string): Promise<void> {
    await this.#rotate(network)
    const { root, newestRules } = this.#of
    const wanted = root.rulesAt(root.size - 1)
    // Whoever serves with older rules than the log names would judge nobody.
    if (newestRules < wanted) throw new WeftError('UnknownRules', `version ${wanted}`)
    if (newestRules > wanted) await this.#mustWrite({ kind: 'rules', version: newestRules })
  }

  /** Lets the key that this authority has now sign for the one it had before, and for good: there is no day on which all must know. */
  async #rotate(network: string): Promise<void> {
    const { key, previousKey, root, runtime } = this.#of
    const mayAdmit = previousKey !== undefined && root.isAuthority(previousKey.publicKey)
    if (!root.isAuthority(key.publicKey)) {
      if (!mayAdmit) throw new WeftError('WrongKey', network)
      await this.#mustWrite({ kind: 'key', publicKey: key.publicKey }, previousKey)
    }
    // Also when the last run ended between the two entries.
    if (!mayAdmit || equalBytes(previousKey.publicKey, key.publicKey)) return
    const signer = keyId(previousKey.publicKey, (bytes) => runtime.hash(bytes))
    await this.#mustWrite({ kind: 'retirement', signer })
  }

  async #mustWrite(statement: Statement, key?: SigningKey): Promise<void> {
    const why = await this.#write(statement, key)
    if (why !== undefined) throw WeftError.of(why)
  }

  /** Once for all: whoever asks for it again and again makes no log grow. */
  revoke(subject: Subject, reason: string): Promise<Refusal | undefined> {
    return this.#write({ kind: 'revocation', subject, reason }, undefined, () => this.#of.root.hasEnded(subject))
  }

  /** Writes the next entry of the root log. Resolves when it is durable, or with the reason why it is not. */
  #write(statement: Statement, key?: SigningKey, isSo = (): boolean => false): Promise<Refusal | undefined> {
    const written = this.#writing.then(async () => {
      if (isSo()) return undefined
      const { bytes } = await this.authority.signRoot(statement, key)
      return this.#of.takeRoot([bytes], this.#of.key.publicKey)
    })
    this.#writing = written.catch(() => undefined)
    return written
  }
}
