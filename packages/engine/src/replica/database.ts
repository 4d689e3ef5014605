/**
 * A replica: it opens what this device stores, connects where its transports lead, keeps its repositories level with every peer, and is
 * the authority when it holds the authority's key. An app calls it its database.
 */
import { encodeUtf8, equalBytes, fromHex, toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { describeRefusal, isRefusal, type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { type Commit, keyId } from '../commit/commit.ts'
import type { Schema } from '../schema/schema.ts'
import type { Certificate } from '../trust/certificate.ts'
import { type Entry, rootPath, type Statement, type Subject } from '../trust/entry.ts'
import { certifiedOnly, isRepositoryPath, type Rules, versionsOf } from '../trust/rules.ts'
import { type Answered, Asking, type LoginOutcome } from './asking.ts'
import { Authority } from './authority.ts'
import { Certificates } from './certificates.ts'
import { Certifying } from './certifying.ts'
import { Clock } from './clock.ts'
import { Connection, type Peer, type Switchboard } from './connection.ts'
import { EvidenceStore, type Met } from './evidence.ts'
import { Guests } from './guests.ts'
import { Judging } from './judging.ts'
import { Listeners } from './listeners.ts'
import { Logout } from './logout.ts'
import type { Credentials, Login } from './login.ts'
import type { Origin } from './pipeline.ts'
import type { Files, KeyStore, Runtime, SigningKey, Transport } from './ports.ts'
import { Quota } from './quota.ts'
import type { Rates } from './rates.ts'
import { type Readable, reportRead } from './reads.ts'
import { HeldCommits } from './reconciler.ts'
import { Registrar } from './registrar.ts'
import type { Rejection } from './rejections.ts'
import { Renewal } from './renewal.ts'
import { Repository } from './repository.ts'
import type { Request } from './requests.ts'
import { RootLog } from './rootlog.ts'
import { RootStore } from './rootstore.ts'
import type { Incident, Status } from './status.ts'
import { type Belongings, finishLogout, keptBytes } from './wipe.ts'

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
  /** The authority's key before this one: it signs the new one in, once, and signs nothing afterwards. */
  readonly previousAuthority?: SigningKey
  /** Ways to log in, as the authority: one for each method. */
  readonly logins?: readonly Login[]
  /** How long a certificate that the authority gives lasts, ms: 30 days unless told, and at most. */
  readonly certificateLife?: number
  /** Commits a second and repository, at most: 3 unless told. */
  readonly captureRate?: number
  /** How much one user and one address may have of the authority: `defaultRates` where not told. */
  readonly rates?: Partial<Rates>
}

const sessionKey = 'session'
/** Entries that a former reader is sent at once, bytes; the rest when they ask again. */
const farewellMost = 8 * limits.frameBytes
/** Between two tries to open a log, ms. */
const firstRetry = 500
const lastRetry = 30_000

/** A log's file: names are hashes, so that no path decides where bytes go. */
export const logName = (path: string, runtime: Runtime): string => `${toHex(runtime.hash(encodeUtf8(path)))}.log`

export class Database {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  readonly captureRate: number
  readonly judging: Judging
  /** Resolves when the device's storage is open. Rejects when another tab or process has it. */
  readonly opened: Promise<void>
  readonly #options: DatabaseOptions
  readonly #schemas = new Map<string, Schema>()
  readonly #schemaHashes = new Map<Schema, string>()
  readonly #repositories = new Map<string, Repository>()
  readonly #held = new Map<Repository, HeldCommits>()
  readonly #connections = new Set<Connection>()
  readonly #statusListeners = new Listeners<[Status]>((error) => this.incident(refusal('ListenerThrew', String(error))))
  readonly #rejectionListeners = new Listeners<[Rejection]>((error) =>
    this.incident(refusal('ListenerThrew', String(error))),
  )
  /** Of a listener of incidents that throws nobody could be told. */
  readonly #incidentListeners = new Listeners<[Incident]>(() => undefined)
  /** The newest version this replica has rules for. */
  readonly #newestRules: number
  readonly #authority: Authority | undefined
  readonly #certifying: Certifying | undefined
  readonly #registrar: Registrar | undefined
  readonly #quota: Quota | undefined
  readonly #rootStore: RootStore
  readonly #evidence: EvidenceStore
  #storage: Storage | undefined
  #release: (() => Promise<void>) | undefined
  /** What channels are proved with: the authority's key, the stored session's, or one that a login would make the session's. */
  #key: SigningKey | undefined
  #loggedIn = false
  #certificate: Certificate | undefined
  readonly #asking: Asking
  readonly #renewal: Renewal
  #connection: Status['connection'] = 'connecting'
  #cancelConnecting: (() => void) | undefined
  #refused: Refusal | undefined
  /** What a peer refused last, and the repository it was about. */
  #peerProblem: { readonly why: Refusal; readonly path: string | undefined } | undefined
  #status: Status | undefined
  readonly #statusChanges: Readable = { subscribe: (listener) => this.onStatus(listener) }
  #telling = false
  #closing: Promise<void> | undefined
  /** Why nothing could be opened. */
  #failure: unknown
  readonly #opening = new Set<Repository>()
  readonly #guests = new Guests((repository) => this.#letGo(repository))
  readonly #logout: Logout
  /** A login that stores the session's key. */
  #savingKey: Promise<void> | undefined
  readonly #logoutListeners = new Listeners((error) => this.incident(refusal('ListenerThrew', String(error))))
  readonly #logouts: Readable = { subscribe: (listener) => this.#logoutListeners.add(listener) }
  /** Repositories that are being closed, while the replica is not. */
  readonly #lettingGo = new Map<string, Promise<void>>()
  /** Repositories whose log could not be opened, until the next try. */
  readonly #reopening = new Map<Repository, () => void>()

  constructor(options: DatabaseOptions) {
    this.#options = options
    this.runtime = options.runtime
    this.captureRate = options.captureRate ?? 3
    this.clock = new Clock(() => options.runtime.now())
    this.root = new RootLog(options.runtime)
    this.certificates = new Certificates(options.runtime, this.root)
    const versions = versionsOf(options.rules ?? certifiedOnly)
    this.#newestRules = Math.max(0, ...versions.keys())
    this.judging = new Judging((version) => versions.get(version), this.root, this.certificates, {
      report: (why) => this.incident(why),
      twice: options.development ?? false,
    })
    this.#evidence = new EvidenceStore(options.runtime, this.root, this.certificates, (why, path) =>
      this.incident(why, path),
    )
    this.#rootStore = new RootStore(
      options.runtime,
      this.root,
      this.certificates,
      (why) => this.incident(why, rootPath),
      (met) => this.forked(met),
    )
    this.#asking = new Asking(this.#connections)
    this.#renewal = new Renewal({
      runtime: options.runtime,
      now: () => this.clock.now(),
      certificate: () => (this.#authority === undefined ? this.#certificate : undefined),
      ask: () => this.#asking.renew(),
      expired: () => this.#tell(),
    })
    this.#logout = new Logout({
      runtime: options.runtime,
      belongings: () => this.#belongings,
      others: () => this.#otherStores(),
      unacknowledged: () => {
        for (const { path, unsaved, unacknowledged } of this.#repositories.values())
          if (unsaved + unacknowledged > 0) return path
        return undefined
      },
      isOpen: (name) =>
        [...this.#repositories.values()].some(
          ({ path, pipeline }) => pipeline.isOpen && name === logName(path, this.runtime),
        ),
      send: (path) => void this.repository(path),
      keeping: (use) => this.#rootStore.hold((header) => use(keptBytes(header, this.root.after(0)))),
      part: () => this.#part(),
      anew: () => this.#anew(),
      storage: (why) => {
        if (why !== undefined) this.incident(why)
        this.#refused = why
        this.#tell()
      },
    })
    for (const schema of options.schemas) {
      const hash = toHex(options.runtime.hash(schema.definition))
      const other = this.#schemas.get(hash)
      if (other !== undefined && other !== schema)
        throw new WeftError('BadSchema', `${schema.name} ${schema.version} is given twice`)
      this.#schemas.set(hash, schema)
      this.#schemaHashes.set(schema, hash)
    }
    if (options.authority !== undefined) {
      this.#quota = new Quota(options.rates ?? {}, () => options.runtime.elapsed())
      const authority = new Authority(
        options.authority,
        options.runtime,
        this.root,
        this.clock,
        this.judging,
        (why, path) => this.incident(why, path),
      )
      this.#authority = authority
      this.#certifying = new Certifying({
        authority,
        certificates: this.certificates,
        clock: this.clock,
        quota: this.#quota,
        logins: options.logins ?? [],
        life: options.certificateLife,
        isRevoked: (person) => this.root.revokedAt(person) !== undefined,
      })
      this.#registrar = new Registrar({
        runtime: options.runtime,
        clock: this.clock,
        authority,
        judging: this.judging,
        certificates: this.certificates,
        withRepository: (path, use) => this.#withRepository(path, use),
        revoke: (subject, reason) => this.#writeRoot({ kind: 'revocation', subject, reason }),
      })
    }
    this.opened = this.#open()
    // Whoever awaits `opened` gets the error; for the others it is in the status.
    this.opened.catch(() => undefined)
  }

  // What an app uses.

  get status(): Status {
    reportRead(this.#statusChanges)
    this.#status ??= this.#makeStatus()
    return this.#status
  }

  /** Calls back when the status changed, once a microtask. */
  onStatus(listener: (status: Status) => void): () => void {
    return this.#statusListeners.add(listener)
  }

  /** Refusals and oddities an app or operator may want to show or count. */
  onIncident(listener: (incident: Incident) => void): () => void {
    return this.#incidentListeners.add(listener)
  }

  /** Calls back once for every change of this device's person that will not count, with its content. */
  onRejected(listener: (rejection: Rejection) => void): () => void {
    return this.#rejectionListeners.add(listener)
  }

  /** Who is logged in on this device. */
  get session(): { readonly id: string; readonly name: string } | undefined {
    reportRead(this.#statusChanges)
    const { identity } = this
    return identity === undefined ? undefined : { id: identity.session, name: identity.name }
  }

  /** The network's id, once known. */
  get network(): string | undefined {
    return this.root.network
  }

  /**
   * Logs in: makes a session on this device if there is none, and asks the server for its certificate. Resolves when the certificate is
   * here, or the answer that more is to come; rejects with `LoginRefused`. While the server is away it waits. A session certified before
   * needs no login to go on, and is certified anew by itself while it meets the server now and then.
   */
  async login(login: Credentials): Promise<LoginOutcome> {
    await this.opened
    await this.#logout.over()
    const key = this.#key
    if (key === undefined || this.#authority !== undefined)
      throw new WeftError('NotAuthority', 'the authority does not log in')
    this.#savingKey = this.#storage?.keys.save(sessionKey, key)
    await this.#savingKey
    if (this.#closing !== undefined) throw new WeftError('Closed', 'login')
    if (this.#key !== key || this.#logout.isFrozen) throw new WeftError('Superseded', 'login')
    this.#loggedIn = true
    const done = this.#asking.begin(login)
    for (const repository of this.#repositories.values()) repository.identityChanged()
    this.#tell()
    return done
  }

  /**
   * Logs out: afterwards nothing of the person is on this device, neither stored nor in the repositories and items that the app still
   * holds, and the next login begins with a key of its own. The server need not be there. Rejects, with everything as it was, with
   * `Unsynced` when some of what was written here is not at the server yet and `discard` is not true, and with `DiskFull` or `DiskError`
   * when not even that can be stored that the person logs out. A crash in between leaves either a person logged in or nobody.
   */
  async logout({ discard = false }: { discard?: boolean } = {}): Promise<void> {
    await this.opened
    if (this.#authority !== undefined) throw new WeftError('NotAuthority', 'the authority does not log out')
    await this.#logout.run(discard).finally(() => {
      for (const repository of this.#repositories.values()) this.#openRepository(repository)
    })
  }

  /**
   * Comes by an invitation: whoever has its code gets the role it gives. Resolves when the server wrote that down. Rejects with
   * `InvitationOver`, or `Unreachable` while the server is.
   */
  async join(path: string, code: string): Promise<void> {
    if (!isRepositoryPath(path)) throw new WeftError('BadPath', path)
    if (!/^(?:[0-9a-f]{2}){16,64}$/.test(code)) throw new WeftError('InvitationOver', path)
    await this.ask({ method: 'join', path, secret: fromHex(code) })
  }

  /**
   * Ends the access of a session, or of an owner with all sessions, for good. What they wrote and the authority has counts; what comes
   * later does not. An app ends its own person's sessions only; the authority ends any.
   */
  async revoke(subject: Subject, reason = ''): Promise<void> {
    if (this.#authority !== undefined) {
      const why = await this.#writeRoot({ kind: 'revocation', subject, reason })
      if (why !== undefined) throw WeftError.of(why)
    } else if ('session' in subject) await this.ask({ method: 'revoke', session: subject.session, reason })
    else throw new WeftError('NotAuthority', `revoke ${subject.owner}`)
  }

  /** A repository by its path, `/type/name`. The same object every time, until the person logs out. */
  repository(path: string): Repository {
    reportRead(this.#logouts)
    if (!isRepositoryPath(path)) throw new WeftError('BadPath', path)
    if (this.#closing !== undefined) throw new WeftError('Closed', path)
    const repository = this.#repositoryAt(path)
    this.#guests.keep(repository)
    return repository
  }

  #repositoryAt(path: string): Repository {
    const held = this.#repositories.get(path)
    if (held !== undefined) return held
    const repository = new Repository(path, this)
    this.#repositories.set(path, repository)
    this.#held.set(repository, new HeldCommits(repository, this.runtime))
    if (this.#failure !== undefined) repository.failed(this.#failure)
    else this.#openRepository(repository)
    return repository
  }

  /** What proves forks that this replica met, as files that `weft evidence` checks: 16 at most. */
  async evidence(): Promise<{ readonly name: string; readonly bytes: Uint8Array }[]> {
    await this.opened
    return this.#evidence.list()
  }

  get repositories(): Iterable<Repository> {
    return this.#repositories.values()
  }

  /** How many channels are open. */
  get connections(): number {
    return this.#connections.size
  }

  /** Captures and stores what is edited, closes every channel and log. What the disk does not take now is lost. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#authority?.stop()
    this.#renewal.stop()
    for (const cancel of this.#reopening.values()) cancel()
    this.#asking.stop(new WeftError('Closed', 'login'))
    await this.opened.catch(() => undefined)
    await this.#logout.close()
    this.#cancelConnecting?.()
    // Whatever goes wrong with one part, the others are closed, and the lock last.
    const attempt = (part: Promise<void> | undefined): Promise<void> | undefined =>
      part?.catch((error: unknown) => this.incident(refusal('Fault', String(error))))
    for (const repository of this.#repositories.values()) await attempt(repository.close())
    await Promise.all(this.#lettingGo.values())
    for (const transport of this.#options.transports ?? []) await attempt(transport.stop())
    for (const connection of [...this.#connections]) connection.close(refusal('Closed', ''))
    await attempt(this.#rootStore.close())
    await attempt(this.#evidence.close())
    await this.#release?.()
  }

  // Opening.

  async #open(): Promise<void> {
    try {
      this.#storage = await this.#options.storage()
      this.#release = this.#storage.release ?? (await this.#storage.files.lock())
      if (this.#authority === undefined) await finishLogout(this.#belongings)
      await this.#openRoot(this.#storage.files)
      await this.#openSession()
    } catch (error) {
      this.#failure = error
      this.#refused =
        error instanceof WeftError ? refusal(error.code, error.about) : refusal('DiskError', String(error))
      for (const repository of this.#repositories.values()) repository.failed(error)
      this.#tell()
      throw error
    }
    if (this.#closing !== undefined) return
    for (const repository of this.#repositories.values()) this.#openRepository(repository)
    this.#cancelConnecting = this.runtime.timer(4_000, () => {
      if (this.#connection === 'connecting') this.#setConnection('offline')
    })
    this.#startTransports()
    this.#tell()
  }

  #startTransports(): void {
    for (const transport of this.#options.transports ?? []) {
      transport.start((channel) => {
        const tooFast = this.#quota?.connects(channel.address)
        if (tooFast !== undefined) this.incident(tooFast)
        if (this.#closing !== undefined || tooFast !== undefined) channel.close(tooFast?.code ?? 'Closed')
        else this.#connections.add(new Connection(channel, this.#switchboard))
      })
    }
  }

  /** Where the person's things are. */
  get #belongings(): Belongings {
    const storage = this.#storage
    if (storage === undefined) throw new Error('nobody logs out before the store is open')
    return { ...storage, keyName: sessionKey, rootName: logName(rootPath, this.runtime) }
  }

  async *#otherStores(): AsyncGenerator<Belongings & { release(): Promise<void> }, void, undefined> {
    const { keyName, rootName } = this.#belongings
    for await (const other of this.#storage?.others?.() ?? []) yield { ...other, keyName, rootName }
  }

  /** Ends and forgets what is in memory of the person who logs out. */
  async #part(): Promise<void> {
    // Whatever goes wrong with one part, the others are forgotten too.
    const attempt = (part: Promise<void> | undefined): Promise<void> | undefined =>
      part?.catch((error: unknown) => this.incident(refusal('Fault', String(error))))
    this.#asking.stop(new WeftError('Superseded', 'login'))
    this.#certificate = undefined
    this.#loggedIn = false
    this.#peerProblem = undefined
    this.#renewal.check()
    for (const transport of this.#options.transports ?? []) await attempt(transport.stop())
    for (const connection of [...this.#connections]) connection.close(refusal('Closed', ''))
    const repositories = [...this.#repositories.values()]
    this.#repositories.clear()
    this.#held.clear()
    for (const cancel of this.#reopening.values()) cancel()
    this.#reopening.clear()
    this.#opening.clear()
    this.#logoutListeners.tell()
    for (const repository of repositories) await attempt(repository.forget())
    await attempt(this.#evidence.close())
    this.#evidence.forget()
    await attempt(this.#rootStore.letGo())
    this.certificates.forget()
    await this.#savingKey?.catch(() => undefined)
    this.#tell()
  }

  /** Goes on with nobody logged in, under another key: nothing but where it comes from ties the next person to the last. */
  async #anew(): Promise<void> {
    await this.#rootStore.open(this.#belongings.files, this.#belongings.rootName, undefined)
    this.#key = await this.runtime.generateKey()
    if (this.#closing === undefined) this.#startTransports()
  }

  async #openSession(): Promise<void> {
    const stored = await this.#storage?.keys.load(sessionKey)
    this.#key = this.#authority?.key ?? stored ?? (await this.runtime.generateKey())
    if (stored === undefined || this.#authority !== undefined) return
    this.#certificate = this.certificates.ofKey(stored.publicKey)
    this.#loggedIn = this.#certificate !== undefined
    this.#renewal.check()
  }

  async #openRoot(files: Files): Promise<void> {
    const authority = this.#authority
    this.#evidence.open(files)
    await this.#rootStore.open(files, logName(rootPath, this.runtime), authority && (() => authority.genesis()))
    const { network } = this.root
    if (network === undefined) return
    const named = this.#options.network
    if (named !== undefined && network !== named) throw new WeftError('WrongNetwork', network)
    if (authority === undefined) return
    await this.#rotate(authority.key, network)
    const [mine, wanted] = [this.#newestRules, this.root.rulesAt(this.root.size - 1)]
    // Whoever serves with older rules than the log names would judge nobody.
    if (mine < wanted) throw new WeftError('UnknownRules', `version ${wanted}`)
    if (mine > wanted) await this.#mustWriteRoot({ kind: 'rules', version: mine })
  }

  /** Lets the key that this authority has now sign for the one it had before, and for good: there is no day on which all must know. */
  async #rotate({ publicKey }: SigningKey, network: string): Promise<void> {
    if (this.root.isAuthority(publicKey)) return
    const previous = this.#options.previousAuthority
    if (previous === undefined || !this.root.isAuthority(previous.publicKey)) throw new WeftError('WrongKey', network)
    await this.#mustWriteRoot({ kind: 'key', publicKey }, previous)
    await this.#mustWriteRoot({
      kind: 'retirement',
      signer: keyId(previous.publicKey, (bytes) => this.runtime.hash(bytes)),
    })
  }

  async #mustWriteRoot(statement: Statement, key?: SigningKey): Promise<void> {
    const why = await this.#writeRoot(statement, key)
    if (why !== undefined) throw WeftError.of(why)
  }

  /** Opens its log, as soon as the network is known, and again while the disk does not let it. */
  #openRepository(repository: Repository, wait = firstRetry): void {
    const files = this.#storage?.files
    if (
      files === undefined ||
      this.root.network === undefined ||
      this.#opening.has(repository) ||
      this.#logout.isFrozen ||
      this.#closing !== undefined
    )
      return
    this.#opening.add(repository)
    const name = logName(repository.path, this.runtime)
    // One at a time has a file, and the one that was let go may still be storing.
    const busy = this.#lettingGo.get(repository.path)
    const opened = busy === undefined ? repository.open(files, name) : busy.then(() => repository.open(files, name))
    opened.then(
      () => {
        for (const connection of this.#connections) if (this.#maySubscribe(connection)) connection.subscribe(repository)
        // The last run may have ended between a commit and its checkpoint.
        this.#authority?.cover(repository)
      },
      (error: unknown) => {
        if (this.#closing !== undefined || this.#repositories.get(repository.path) !== repository) return
        if (!(error instanceof StorageError)) {
          this.#refused = refusal('Fault', String(error))
          return this.incident(this.#refused, repository.path)
        }
        this.incident(refusal(error.code, error.about), repository.path)
        const cancel = this.runtime.timer(wait, () => {
          this.#reopening.delete(repository)
          this.#opening.delete(repository)
          this.#openRepository(repository, Math.min(2 * wait, lastRetry))
        })
        this.#reopening.set(repository, cancel)
      },
    )
  }

  /** Closes a repository that no peer asks for and the app does not hold. Whoever asks for it next opens it anew. */
  #letGo(repository: Repository): void {
    const { path } = repository
    if (this.#closing !== undefined || this.#repositories.get(path) !== repository) return
    this.#repositories.delete(path)
    this.#held.delete(repository)
    this.#opening.delete(repository)
    this.#reopening.get(repository)?.()
    this.#reopening.delete(repository)
    this.#authority?.forget(repository)
    const closed = (this.#lettingGo.get(path) ?? Promise.resolve())
      .then(() => repository.close())
      .catch((error: unknown) => this.incident(refusal('Fault', String(error)), path))
      .finally(() => {
        if (this.#lettingGo.get(path) === closed) this.#lettingGo.delete(path)
      })
    this.#lettingGo.set(path, closed)
  }

  // What a repository asks of its replica (Host).

  get authority(): boolean {
    return this.#authority !== undefined
  }

  get lasting(): boolean {
    return this.#storage?.lasting ?? false
  }

  get identity(): { readonly session: string; readonly key: SigningKey; readonly name: string } | undefined {
    const key = this.#key
    if (key === undefined || !this.#loggedIn) return undefined
    const session = this.#certificate?.session ?? keyId(key.publicKey, (bytes) => this.runtime.hash(bytes))
    return {
      session,
      key,
      name: this.#certificate?.name ?? this.#asking.login?.name ?? session.slice(0, 8),
    }
  }

  schemaHash(schema: Schema): string {
    const hash = this.#schemaHashes.get(schema)
    if (hash === undefined)
      throw new WeftError('BadSchema', `${schema.name} ${schema.version} is not among the schemas of open()`)
    return hash
  }

  schema(hash: string): Schema | undefined {
    return this.#schemas.get(hash)
  }

  /** Who is logged in here, as rules see it; undefined before the certificate is here. */
  get person(): Certificate | undefined {
    return this.#loggedIn ? this.#certificate : undefined
  }

  /** Asks the authority, whatever it takes. */
  async ask(request: Request): Promise<void> {
    for (const connection of this.#connections)
      if (connection.peer?.isAuthority === true && !connection.isClosed) return connection.request(request)
    throw new WeftError('Unreachable', request.method)
  }

  get leaving(): boolean {
    return this.#logout.isFrozen
  }

  rejected(rejection: Rejection): void {
    this.#rejectionListeners.tell(rejection)
  }

  incident(why: Refusal, repository?: string): void {
    this.#incidentListeners.tell({ ...why, repository, message: describeRefusal(why) })
  }

  forked(met: Met): void {
    this.#evidence.keep(met)
  }

  progress(_repository: Repository): void {
    this.#tell()
  }

  committed(repository: Repository, settled: readonly { readonly commit: Commit; readonly origin: Origin }[]): void {
    for (const connection of this.#connections) {
      const reconciler = connection.reconciler(repository.path)
      if (reconciler === undefined) continue
      const ids: Record<'local' | 'peer' | 'other', string[]> = { local: [], peer: [], other: [] }
      for (const { commit, origin } of settled) {
        ids[origin === 'local' ? 'local' : origin === reconciler ? 'peer' : 'other'].push(commit.id)
      }
      for (const origin of ['peer', 'local', 'other'] as const)
        if (ids[origin].length > 0) reconciler.admitted(ids[origin], origin)
    }
    this.#authority?.cover(repository)
  }

  entered(repository: Repository, entries: readonly Entry[], origin: Origin): void {
    const { entries: log } = repository.pipeline.log
    const knew = log[(entries[0]?.n ?? 0) - 1]?.root?.n ?? -1
    const knowsMore = entries.some(({ root }) => root !== null && root.n > knew)
    const moved = entries.flatMap(({ statement }) => (statement.kind === 'grant' ? [statement] : []))
    for (const connection of this.#connections) {
      connection.reconciler(repository.path)?.entries()
      if (moved.length > 0 || knowsMore) connection.reconsider(repository)
      const owner = connection.peer?.certificate?.owner
      const welcome = moved.some((one) => one.owner === owner && one.role !== null)
      if (welcome && this.#authority !== undefined) connection.welcome(repository.path)
    }
    if (origin === 'local') this.#authority?.written(repository)
  }

  misplaced(repository: Repository, why: Refusal): void {
    this.#authority?.written(repository, why)
  }

  refused(repository: Repository, origin: object, id: string, why: Refusal): void {
    this.incident(why, repository.path)
    for (const connection of this.#connections) {
      const reconciler = connection.reconciler(repository.path)
      if (reconciler !== origin) continue
      reconciler?.refused(why, id === '' ? [] : [id])
      connection.offend(why)
    }
  }

  // Channels.

  get #switchboard(): Switchboard {
    const { runtime, clock, root, certificates } = this
    const key = this.#key
    if (key === undefined) throw new Error('channels are made after the store is open')
    return {
      runtime,
      clock,
      root,
      certificates,
      proof: { key, certificate: this.#certificate?.bytes ?? null },
      takeRoot: (entries, publicKey) => this.#takeRoot(entries, publicKey),
      proved: (connection) => this.#proved(connection),
      quota: this.#quota,
      login: async (method, credentials, peer, channel) =>
        this.#certifying?.judge(method, credentials, peer, channel) ?? refusal('NotAuthority', method),
      certified: (bytes) => this.#certified(bytes),
      candidate: (path, peer) => this.#candidate(path, peer),
      mayRead: (repository, peer) => this.#mayRead(repository, peer),
      isRevoked: ({ certificate }) => certificate !== undefined && this.root.revokedAt(certificate) !== undefined,
      farewell: (repository, peer, held) => this.#farewell(repository, peer, held),
      parted: (path, entries) => this.#parted(path, entries),
      welcomed: (connection, path) => this.#welcomed(connection, path),
      request: async (method, args, peer) =>
        this.#registrar?.request(method, args, peer.certificate) ?? refusal('NotAuthority', method),
      held: (repository) => this.#heldOf(repository),
      refused: (connection, why, about) => this.#peerRefused(connection, why, about),
      incident: (why) => this.incident(why),
      level: (repository, peer) => {
        if (peer.isAuthority) {
          repository.synced = true
          repository.bar(undefined)
        }
        // The authority holds all of it now, whatever it could not store before.
        if (peer.isAuthority && this.#peerProblem?.path === repository.path) this.#peerProblem = undefined
        this.#tell()
      },
      left: (repository) => {
        if (this.#authority !== undefined) this.#guests.left(repository)
      },
      closed: (connection) => {
        this.#connections.delete(connection)
        this.#asking.closed(connection)
        if (this.#closing === undefined && !this.#isOnline) this.#setConnection('offline')
      },
    }
  }

  get #isOnline(): boolean {
    for (const { peer, isClosed } of this.#connections) if (peer?.isAuthority === true && !isClosed) return true
    return false
  }

  #heldOf(repository: Repository): HeldCommits {
    const held = this.#held.get(repository) ?? new HeldCommits(repository, this.runtime)
    this.#held.set(repository, held)
    return held
  }

  async #takeRoot(entries: readonly Uint8Array[], publicKey: Uint8Array): Promise<Refusal | undefined> {
    const known = this.root.network
    const { added, refused } = await this.#rootStore.take(entries, publicKey, this.#options.network)
    if (refused !== undefined) this.incident(refused, rootPath)
    if (added.length > 0) this.#rootGrew(known === undefined, added)
    return refused
  }

  /** Writes the next entry of the root log. Resolves when it is durable, or with the reason why it is not. */
  #writeRoot(statement: Statement, key?: SigningKey): Promise<Refusal | undefined> {
    const authority = this.#authority
    if (authority === undefined) return Promise.resolve(refusal('NotAuthority', statement.kind))
    const written = this.#writingRoot.then(async () => {
      const { bytes } = await authority.signRoot(statement, key)
      return this.#takeRoot([bytes], authority.key.publicKey)
    })
    this.#writingRoot = written.catch(() => undefined)
    return written
  }

  /** Entries of the root log are signed one after the other. */
  #writingRoot: Promise<unknown> = Promise.resolve()

  async #withRepository<Result>(path: string, use: (repository: Repository) => Promise<Result>): Promise<Result> {
    const repository = this.#repositoryAt(path)
    this.#guests.came(repository)
    try {
      await repository.ready
      return await use(repository)
    } finally {
      this.#guests.left(repository)
    }
  }

  #rootGrew(founded: boolean, added: readonly Uint8Array[]): void {
    for (const repository of this.#repositories.values()) {
      if (founded) this.#openRepository(repository)
      else repository.reconsider()
      if (!founded) for (const connection of this.#connections) connection.reconsider(repository)
      this.#authority?.cover(repository)
    }
    for (const connection of this.#connections) connection.offerRoot(added)
  }

  #maySubscribe(connection: Connection): boolean {
    const { peer } = connection
    if (peer === undefined || connection.isClosed) return false
    // The authority waits to be asked; a session asks once it is certified, and other sessions only when they are.
    if (this.#authority !== undefined) return false
    return this.#isCertified && (peer.isAuthority || peer.certificate !== undefined)
  }

  #proved(connection: Connection): void {
    const { peer } = connection
    if (peer?.isAuthority === true) {
      this.#cancelConnecting?.()
      this.#setConnection('online')
      // The authority's time is known now, by which clocks are judged.
      for (const repository of this.#repositories.values()) repository.reconsider()
      this.#asking.offer()
      this.#renewal.check()
    }
    this.#subscribeAll(connection)
  }

  #subscribeAll(connection: Connection): void {
    if (!this.#maySubscribe(connection)) return
    for (const repository of this.#repositories.values())
      if (repository.pipeline.isOpen) connection.subscribe(repository)
  }

  async #certified(bytes: Uint8Array): Promise<void> {
    const answered = this.#asking.answered()
    if (answered === 'given up') return this.#asking.offer()
    const certificate = await this.certificates.admit(bytes)
    const isOwn =
      !isRefusal(certificate) && this.#key !== undefined && equalBytes(certificate.publicKey, this.#key.publicKey)
    if (isRefusal(certificate) || !isOwn) {
      const why = isRefusal(certificate) ? certificate : refusal('BadCertificate', certificate.session)
      if (typeof answered === 'object') answered.reject(new WeftError(why.code, why.about))
      this.#loggedIn = this.#certificate !== undefined || this.#asking.login !== undefined
      return this.incident(why)
    }
    const { owner } = this.#certificate ?? certificate
    if (certificate.owner !== owner) {
      this.certificates.forget(certificate.session)
      if (typeof answered === 'object') answered.reject(new WeftError('LogOutFirst', owner))
      // The server takes this channel for the other person's by now.
      for (const connection of [...this.#connections]) connection.close(refusal('LogOutFirst', ''))
      return this.#asking.offer()
    }
    this.#certificate = certificate
    const why = await this.#rootStore.keepCertificate(bytes)
    if (why !== undefined) this.incident(why, rootPath)
    this.#peerProblem = undefined
    this.#renewal.check()
    for (const connection of this.#connections) this.#subscribeAll(connection)
    for (const repository of this.#repositories.values()) repository.identityChanged()
    this.#tell()
    if (typeof answered === 'object') answered.resolve('certified')
    this.#asking.offer()
  }

  #candidate(path: string, { certificate }: Peer): Repository | undefined {
    // Peers share what both have open.
    if (this.#authority === undefined) return this.#repositories.get(path)
    if (!isRepositoryPath(path) || certificate === undefined) return undefined
    const repository = this.#repositoryAt(path)
    this.#guests.came(repository)
    return repository
  }

  #mayRead({ pipeline }: Repository, { certificate, isAuthority }: Peer): Refusal | undefined {
    // The authority may show anything this replica asked it for.
    if (isAuthority) return undefined
    if (certificate === undefined) return refusal('UnknownSession', pipeline.path)
    if (certificate.expires < this.clock.now()) return refusal('CertificateExpired', certificate.session)
    return this.judging.read(pipeline.log, pipeline.durableEntries, certificate)
  }

  #farewell({ pipeline }: Repository, { certificate }: Peer, held: number): readonly Uint8Array[] {
    const { log, durableEntries } = pipeline
    if (this.#authority === undefined || certificate === undefined) return []
    const ended = this.judging.endedAt(log, durableEntries, certificate)
    if (ended === undefined) return []
    const entries: Uint8Array[] = []
    let room = farewellMost
    for (const { bytes } of log.entries.slice(held, ended + 1)) {
      room -= bytes.length + 8
      if (room < 0) break
      entries.push(bytes)
    }
    return entries
  }

  async #parted(path: string, entries: readonly Uint8Array[]): Promise<void> {
    await this.#repositories.get(path)?.parted(entries)
  }

  #welcomed(connection: Connection, path: string): void {
    const repository = this.#repositories.get(path)
    if (repository?.pipeline.isOpen === true && this.#maySubscribe(connection)) connection.subscribe(repository)
  }

  #peerRefused({ peer }: Connection, why: Refusal, about?: string): void {
    if (why.code === 'MailSent' && peer?.isAuthority === true) {
      this.#notCertified(why)
      return
    }
    this.incident(why, about)
    // What a stranger says about this replica is no reason to worry the app. Before anybody proved anything it may be the server.
    if (peer !== undefined && !peer.isAuthority) return
    if (why.code === 'LoginRefused' && peer !== undefined && this.#notCertified(why) === 'renewal') return
    if (why.code === 'UnknownRepository' && peer !== undefined) this.#repositories.get(why.about)?.bar(why)
    // What others cannot keep or may not do is no problem of the authority's own.
    if (this.#authority === undefined) this.#peerProblem = { why, path: about }
    this.#tell()
  }

  /** The authority's answer to what was asked is no certificate. */
  #notCertified(why: Refusal): Answered | undefined {
    const answered = this.#asking.answered()
    this.#loggedIn = this.#certificate !== undefined || this.#asking.login !== undefined
    this.#tell()
    if (typeof answered === 'object') {
      if (why.code === 'MailSent') answered.resolve('MailSent')
      else answered.reject(new WeftError(why.code, why.about))
    }
    this.#asking.offer()
    return answered
  }

  /** Whether the certificate in use is in force. */
  get #isCertified(): boolean {
    return this.#certificate !== undefined && this.#certificate.expires > this.clock.now()
  }

  // Status.

  #setConnection(connection: Status['connection']): void {
    if (connection === this.#connection) return
    this.#connection = connection
    if (connection === 'online') this.#peerProblem = undefined
    this.#tell()
  }

  #makeStatus(): Status {
    let unsaved = 0
    let unacknowledged = 0
    const expired = this.#certificate !== undefined && !this.#isCertified ? refusal('CertificateExpired') : undefined
    let problem = this.#refused ?? expired ?? this.#peerProblem?.why
    for (const repository of this.#repositories.values()) {
      unsaved += repository.unsaved
      unacknowledged += repository.unacknowledged
      problem = repository.problem ?? problem
    }
    const storage = this.#storage
    return {
      connection: this.#connection,
      storage: storage?.mode ?? 'opening',
      storageReason: storage?.reason,
      unsaved,
      unacknowledged,
      problem: problem === undefined ? undefined : { code: problem.code, message: describeRefusal(problem) },
    }
  }

  #tell(): void {
    this.#status = undefined
    if (this.#telling) return
    this.#telling = true
    // Listeners cannot throw here.
    void Promise.resolve().then(() => {
      this.#telling = false
      this.#statusListeners.tell(this.status)
    })
  }
}
