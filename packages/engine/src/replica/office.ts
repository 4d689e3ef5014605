/**
 * What a replica does as the authority: it certifies, judges requests, writes the root log, lets a new key sign for the one before, and
 * takes back what it lost.
 */
import { equalBytes } from '../bytes/bytes.ts'
import { type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import { keyId } from '../commit/commit.ts'
import { type Entry, rootPath, type Statement, type Subject } from '../trust/entry.ts'
import { Authority } from './authority.ts'
import type { Certificates } from './certificates.ts'
import { Certifying } from './certifying.ts'
import type { Clock } from './clock.ts'
import type { Connection } from './connection.ts'
import type { Judging } from './judging.ts'
import { Landmarks } from './landmarks.ts'
import type { DatabaseOptions } from './options.ts'
import type { Origin } from './pending.ts'
import type { Runtime, SigningKey } from './ports.ts'
import { Quota } from './quota.ts'
import { Recovery } from './recovery.ts'
import { Registrar } from './registrar.ts'
import type { Repository } from './repository.ts'
import type { RootLog } from './rootlog.ts'

export interface OfficeOptions {
  readonly key: SigningKey
  readonly options: Pick<
    DatabaseOptions,
    'previousAuthority' | 'logins' | 'certificateLife' | 'rates' | 'landmarks' | 'acceptsLoss'
  >
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  readonly judging: Judging
  readonly connections: Iterable<Connection>
  readonly repositories: Iterable<Repository>
  /** The newest version there are rules for. */
  readonly newestRules: number
  withRepository<Result>(path: string, use: (repository: Repository) => Promise<Result>): Promise<Result>
  /** Takes entries of the root log as if a peer had shown them. */
  takeRoot(entries: readonly Uint8Array[], publicKey: Uint8Array): Promise<Refusal | undefined>
  /** Stores a certificate before it is given out. */
  storeCertificate(certificate: Uint8Array): Promise<Refusal | undefined>
  /** A log's file. */
  name(path: string): string
  incident(why: Refusal, path?: string): void
}

/** So long nobody brought anything of the root log, ms. */
const quiet = 10_000

export class Office {
  readonly authority: Authority
  readonly certifying: Certifying
  readonly registrar: Registrar
  readonly quota: Quota
  readonly recovery: Recovery
  #landmarks: Landmarks | undefined
  readonly #of: OfficeOptions
  /** Entries of the root log are signed one after the other. */
  #writing: Promise<unknown> = Promise.resolve()

  constructor(of: OfficeOptions) {
    this.#of = of
    const { runtime, clock, root, certificates, judging } = of
    const { logins, certificateLife, rates, landmarks, acceptsLoss } = of.options
    this.quota = new Quota(rates ?? {}, () => runtime.elapsed())
    this.recovery = new Recovery({
      runtime,
      connections: of.connections,
      repositories: of.repositories,
      acceptsLoss: acceptsLoss ?? false,
      rootPosition: () => root.position,
      name: (path) => of.name(path),
      write: (repository) => this.authority.cover(repository),
      incident: (why, path) => of.incident(why, path),
    })
    this.authority = new Authority(
      of.key,
      runtime,
      root,
      clock,
      judging,
      (why, path) => of.incident(why, path),
      landmarks && this.recovery,
    )
    this.certifying = new Certifying({
      authority: this.authority,
      certificates,
      clock,
      quota: this.quota,
      logins: logins ?? [],
      life: certificateLife,
      isRevoked: (person) => root.revokedAt(person) !== undefined,
      numbersFrom: () => this.#landmarks?.numbersFrom ?? 0,
      store: async (certificate, number) => {
        const why = await of.storeCertificate(certificate)
        if (why === undefined) this.#landmarks?.gave(number)
        return why
      },
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

  /** What is kept beside the key; undefined where nothing is. Rejects with a `StorageError`. */
  async openLandmarks(): Promise<Landmarks | undefined> {
    const { options, runtime } = this.#of
    if (options.landmarks !== undefined)
      this.#landmarks = await Landmarks.open(options.landmarks, runtime, (why) => this.#of.incident(why))
    this.recovery.landmarks = this.#landmarks
    return this.#landmarks
  }

  /** Entries of a repository's log became durable. */
  entered(repository: Repository, entries: readonly Entry[], origin: Origin): void {
    this.recovery.entered(repository, entries, origin)
    if (origin === 'local') this.authority.written(repository)
  }

  /** The repository is being closed, and may be as soon as this resolves. */
  async forget(repository: Repository): Promise<void> {
    this.recovery.forget(repository)
    await this.authority.forget(repository)
  }

  stop(): void {
    this.#cancelRoot?.()
    this.authority.stop()
    this.recovery.stop()
  }

  async close(): Promise<void> {
    await this.#landmarks?.close()
  }

  /**
   * Brings the root log up to this authority's key and rules. Rejects with `WrongKey` or `UnknownRules`. Where nobody knows how far it went, it
   * is left as it is until whoever runs the server gives up what does not come back.
   */
  async open(network: string): Promise<void> {
    if (!this.recovery.isRootLost) return this.#bringUp(network)
    this.#of.incident(refusal('Recovering', rootPath), rootPath)
    if (this.#of.options.acceptsLoss === true) this.#waitForRoot(network, this.#of.root.size)
  }

  #cancelRoot: (() => void) | undefined

  #waitForRoot(network: string, size: number): void {
    const { runtime, root } = this.#of
    this.#cancelRoot = runtime.timer(quiet, () => {
      if (root.size > size) return this.#waitForRoot(network, root.size)
      void this.#beginRoot(network).then((why) => why && this.#of.incident(why, rootPath))
    })
  }

  /**
   * Goes on with what clients brought: of the root log, of one repository that is open, or of all. The root log comes first. Resolves with
   * the reason why not.
   */
  async accept(network: string, what?: typeof rootPath | Repository): Promise<Refusal | undefined> {
    if (this.recovery.isRootLost) {
      const why = typeof what === 'object' ? refusal('Recovering', rootPath) : await this.#beginRoot(network)
      if (why !== undefined) return why
    }
    if (what !== rootPath) await this.recovery.accept(what)
    return undefined
  }

  /** Begins an epoch of the root log. The key that was in force where it ends signs it. */
  async #beginRoot(network: string): Promise<Refusal | undefined> {
    const { root, options } = this.#of
    const key = [this.#of.key, options.previousAuthority].find((one) => one && root.isAuthority(one.publicKey))
    if (key === undefined) return refusal('WrongKey', network)
    const reason = 'the server lost what it had stored'
    const why = await this.#write({ kind: 'epoch', lost: null, reason }, key, () => !this.recovery.isRootLost)
    if (why !== undefined) return why
    this.#of.incident(refusal('EpochLost', rootPath), rootPath)
    const failed = await this.#bringUp(network).catch((error: unknown) => error)
    for (const repository of this.#of.repositories) this.authority.cover(repository)
    if (failed === undefined) return undefined
    if (!(failed instanceof WeftError)) throw failed
    return refusal(failed.code, failed.about)
  }

  /**
   * What peers showed of the root log: entries of this authority's that it did not have (`added`), and what others took away that it left out
   * when it began an epoch. That is taken away again.
   */
  shown(added: number, ended: readonly Statement[], publicKey: Uint8Array): void {
    if (added > 0 && !equalBytes(publicKey, this.#of.key.publicKey)) void this.recovery.doubt()
    for (const statement of ended) {
      const { root } = this.#of
      const isSo = (): boolean =>
        statement.kind === 'revocation'
          ? root.hasEnded(statement.subject)
          : statement.kind === 'retirement' && this.#signsBy(statement.signer)
      void this.#write(statement, undefined, isSo).then((why) => why && this.#of.incident(why, rootPath))
    }
  }

  #signsBy(id: string): boolean {
    return keyId(this.#of.key.publicKey, (bytes) => this.#of.runtime.hash(bytes)) === id
  }

  async #bringUp(network: string): Promise<void> {
    await this.#rotate(network)
    const { root, newestRules } = this.#of
    const wanted = root.rulesAt(root.size - 1)
    // Whoever serves with older rules than the log names would judge nobody.
    if (newestRules < wanted) throw new WeftError('UnknownRules', `version ${wanted}`)
    if (newestRules > wanted) await this.#mustWrite({ kind: 'rules', version: newestRules })
  }

  /** Lets the key that this authority has now sign for the one it had before, and for good: there is no day on which all must know. */
  async #rotate(network: string): Promise<void> {
    const { key, root, runtime, options } = this.#of
    const previousKey = options.previousAuthority
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
  async revoke(subject: Subject, reason: string): Promise<Refusal | undefined> {
    if (this.recovery.isRootLost) return refusal('Recovering', rootPath)
    return this.#write({ kind: 'revocation', subject, reason }, undefined, () => this.#of.root.hasEnded(subject))
  }

  /** Writes the next entry of the root log. Resolves when it is durable, or with the reason why it is not. */
  #write(statement: Statement, key?: SigningKey, isSo = (): boolean => false): Promise<Refusal | undefined> {
    const written = this.#writing.then(async () => {
      if (isSo()) return undefined
      const begun = statement.kind === 'epoch' ? this.#landmarks?.anew : undefined
      const { bytes } = await this.authority.signRoot(statement, key, begun)
      return this.#of.takeRoot([bytes], this.#of.key.publicKey)
    })
    this.#writing = written.catch(() => undefined)
    return written
  }
}
