/**
 * A replica: it opens what this device stores, connects where its transports lead, keeps its repositories level with every peer, and is
 * the authority when it holds the authority's key. An app calls it its database.
 */
import { encodeUtf8, toHex } from '../bytes/bytes.ts'
import type { Plain } from '../bytes/plain.ts'
import { describeRefusal, isRefusal, type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { type Change, type Commit, sessionId } from '../commit/commit.ts'
import type { Schema } from '../schema/schema.ts'
import type { Certificate } from '../trust/certificate.ts'
import { type Entry, rootPath } from '../trust/entry.ts'
import { certifiedOnly, isAllowed, isRepositoryPath, type Rule } from '../trust/rules.ts'
import { Authority } from './authority.ts'
import { Certificates } from './certificates.ts'
import { Clock } from './clock.ts'
import { Connection, type Peer, type Switchboard } from './connection.ts'
import { Listeners } from './listeners.ts'
import type { Login } from './login.ts'
import type { Origin } from './pipeline.ts'
import type { Files, KeyStore, Runtime, SigningKey, Transport } from './ports.ts'
import { type Readable, reportRead } from './reads.ts'
import { HeldCommits } from './reconciler.ts'
import { Repository } from './repository.ts'
import { RootLog } from './rootlog.ts'
import { RootStore } from './rootstore.ts'
import type { Incident, Status } from './status.ts'

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
}

export interface DatabaseOptions {
  readonly schemas: readonly Schema[]
  /** Whoever has a certificate reads and writes, unless told. */
  readonly rules?: readonly Rule[]
  readonly runtime: Runtime
  readonly storage: () => Promise<Storage>
  readonly transports?: readonly Transport[]
  /** The network's id, where an app knows it; else the first server's is taken and kept. */
  readonly network?: string
  /** Makes this replica the authority. */
  readonly authority?: SigningKey
  readonly logins?: readonly Login[]
  /** Commits a second and repository, at most: 3 unless told. */
  readonly captureRate?: number
}

const sessionKey = 'session'
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
  /** Resolves when the device's storage is open. Rejects when another tab or process has it. */
  readonly opened: Promise<void>
  readonly #options: DatabaseOptions
  readonly #schemas = new Map<string, Schema>()
  readonly #schemaHashes = new Map<Schema, string>()
  readonly #repositories = new Map<string, Repository>()
  readonly #held = new Map<Repository, HeldCommits>()
  readonly #connections = new Set<Connection>()
  readonly #statusListeners = new Listeners<[Status]>((error) => this.incident(refusal('ListenerThrew', String(error))))
  /** Of a listener of incidents that throws nobody could be told. */
  readonly #incidentListeners = new Listeners<[Incident]>(() => undefined)
  readonly #authority: Authority | undefined
  readonly #rootStore: RootStore
  #storage: Storage | undefined
  #release: (() => Promise<void>) | undefined
  /** What channels are proved with: the authority's key, the stored session's, or one that a login would make the session's. */
  #key: SigningKey | undefined
  #loggedIn = false
  #certificate: Certificate | undefined
  #pendingLogin: { readonly login: Login; resolve(): void; reject(error: WeftError): void } | undefined
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
  /** Repositories whose log could not be opened, until the next try. */
  readonly #reopening = new Map<Repository, () => void>()

  constructor(options: DatabaseOptions) {
    this.#options = options
    this.runtime = options.runtime
    this.captureRate = options.captureRate ?? 3
    this.clock = new Clock(() => options.runtime.now())
    this.root = new RootLog(options.runtime)
    this.certificates = new Certificates(options.runtime, this.root)
    this.#rootStore = new RootStore(options.runtime, this.root, this.certificates, (why) =>
      this.incident(why, rootPath),
    )
    for (const schema of options.schemas) {
      const hash = toHex(options.runtime.hash(schema.definition))
      const other = this.#schemas.get(hash)
      if (other !== undefined && other !== schema)
        throw new WeftError('BadSchema', `${schema.name} ${schema.version} is given twice`)
      this.#schemas.set(hash, schema)
      this.#schemaHashes.set(schema, hash)
    }
    if (options.authority !== undefined) {
      this.#authority = new Authority(options.authority, options.runtime, this.root, this.clock, (why, path) =>
        this.incident(why, path),
      )
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
   * here; rejects with `LoginRefused`. While the server is away it waits. A session certified before needs no login to go on.
   */
  async login(login: Login): Promise<void> {
    await this.opened
    if (this.#key === undefined || this.#authority !== undefined)
      throw new WeftError('NotAuthority', 'the authority does not log in')
    await this.#storage?.keys.save(sessionKey, this.#key)
    if (this.#closing !== undefined) throw new WeftError('Closed', 'login')
    this.#pendingLogin?.reject(new WeftError('LoginRefused', 'another login began'))
    const done = new Promise<void>((resolve, reject) => {
      this.#pendingLogin = { login, resolve, reject }
    })
    this.#loggedIn = true
    for (const connection of this.#connections) this.#offerLogin(connection)
    for (const repository of this.#repositories.values()) repository.identityChanged()
    this.#tell()
    await done
  }

  /** A repository by its path, `/type/name`. The same object every time. */
  repository(path: string): Repository {
    if (!isRepositoryPath(path)) throw new WeftError('BadPath', path)
    if (this.#closing !== undefined) throw new WeftError('Closed', path)
    const held = this.#repositories.get(path)
    if (held !== undefined) return held
    const repository = new Repository(path, this)
    this.#repositories.set(path, repository)
    this.#held.set(repository, new HeldCommits(repository, this.runtime))
    if (this.#failure !== undefined) repository.failed(this.#failure)
    else this.#openRepository(repository)
    return repository
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
    for (const cancel of this.#reopening.values()) cancel()
    this.#pendingLogin?.reject(new WeftError('Closed', 'login'))
    this.#pendingLogin = undefined
    await this.opened.catch(() => undefined)
    this.#cancelConnecting?.()
    // Whatever goes wrong with one part, the others are closed, and the lock last.
    const attempt = (part: Promise<void> | undefined): Promise<void> | undefined =>
      part?.catch((error: unknown) => this.incident(refusal('Fault', String(error))))
    for (const repository of this.#repositories.values()) await attempt(repository.close())
    for (const transport of this.#options.transports ?? []) await attempt(transport.stop())
    for (const connection of [...this.#connections]) connection.close(refusal('Closed', ''))
    await attempt(this.#rootStore.close())
    await this.#release?.()
  }

  // Opening.

  async #open(): Promise<void> {
    try {
      this.#storage = await this.#options.storage()
      this.#release = this.#storage.release ?? (await this.#storage.files.lock())
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
    for (const transport of this.#options.transports ?? []) {
      transport.start((channel) => {
        if (this.#closing === undefined) this.#connections.add(new Connection(channel, this.#switchboard))
        else channel.close('Closed')
      })
    }
    this.#tell()
  }

  async #openSession(): Promise<void> {
    const stored = await this.#storage?.keys.load(sessionKey)
    this.#key = this.#authority?.key ?? stored ?? (await this.runtime.generateKey())
    if (stored === undefined || this.#authority !== undefined) return
    this.#certificate = this.certificates.get(sessionId(stored.publicKey, (bytes) => this.runtime.hash(bytes)))
    this.#loggedIn = this.#certificate !== undefined
  }

  async #openRoot(files: Files): Promise<void> {
    const authority = this.#authority
    await this.#rootStore.open(files, logName(rootPath, this.runtime), authority && (() => authority.genesis()))
    const { network } = this.root
    if (network === undefined) return
    const named = this.#options.network
    if (named !== undefined && network !== named) throw new WeftError('WrongNetwork', network)
    if (authority !== undefined && !this.root.isAuthority(authority.key.publicKey))
      throw new WeftError('WrongKey', network)
  }

  /** Opens its log, as soon as the network is known, and again while the disk does not let it. */
  #openRepository(repository: Repository, wait = firstRetry): void {
    const files = this.#storage?.files
    if (
      files === undefined ||
      this.root.network === undefined ||
      this.#opening.has(repository) ||
      this.#closing !== undefined
    )
      return
    this.#opening.add(repository)
    repository.open(files, logName(repository.path, this.runtime)).then(
      () => {
        for (const connection of this.#connections) if (this.#maySubscribe(connection)) connection.subscribe(repository)
        // The last run may have ended between a commit and its checkpoint.
        this.#authority?.cover(repository)
      },
      (error: unknown) => {
        if (this.#closing !== undefined) return
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
    const session = sessionId(key.publicKey, (bytes) => this.runtime.hash(bytes))
    const wanted = this.#pendingLogin?.login.credentials
    return {
      session,
      key,
      name: this.#certificate?.name ?? (typeof wanted === 'string' ? wanted : session.slice(0, 8)),
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

  /** A pure function of the commit and the logs it cites: the same on every replica. */
  authorize(path: string, commit: Commit, _change: Change): Refusal | undefined {
    const certificate = this.certificates.get(commit.session)
    const who = { session: commit.session, owner: certificate?.owner }
    return this.#allows('write', path, who) ? undefined : refusal('NotAllowed', `write ${path}`)
  }

  #allows(kind: Rule['kind'], path: string, who: { session: string | undefined; owner: string | undefined }): boolean {
    return isAllowed(this.#options.rules ?? certifiedOnly, kind, path, who, (rule, error) =>
      this.incident(refusal('NotAllowed', `the rule ${rule.template} threw: ${String(error)}`), path),
    )
  }

  incident(why: Refusal, repository?: string): void {
    this.#incidentListeners.tell({ ...why, repository, message: describeRefusal(why) })
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

  entered(repository: Repository, _entries: readonly Entry[], origin: Origin): void {
    for (const connection of this.#connections) connection.reconciler(repository.path)?.entries()
    if (origin === 'local') this.#authority?.written(repository)
  }

  misplaced(repository: Repository): void {
    this.#authority?.written(repository)
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
      login: (method, credentials, peer) => this.#judgeLogin(method, credentials, peer),
      certified: (bytes) => this.#certified(bytes),
      serve: (path, peer) => this.#serve(path, peer),
      held: (repository) => this.#heldOf(repository),
      refused: (connection, why, about) => this.#peerRefused(connection, why, about),
      incident: (why) => this.incident(why),
      level: (repository, peer) => {
        if (peer.isAuthority) repository.synced = true
        // The authority holds all of it now, whatever it could not store before.
        if (peer.isAuthority && this.#peerProblem?.path === repository.path) this.#peerProblem = undefined
        this.#tell()
      },
      closed: (connection) => {
        this.#connections.delete(connection)
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

  #rootGrew(founded: boolean, added: readonly Uint8Array[]): void {
    for (const repository of this.#repositories.values()) {
      if (founded) this.#openRepository(repository)
      else repository.reconsider()
    }
    for (const connection of this.#connections) connection.offerRoot(added)
  }

  #maySubscribe(connection: Connection): boolean {
    const { peer } = connection
    if (peer === undefined || connection.isClosed) return false
    // The authority waits to be asked; a session asks once it is certified, and other sessions only when they are.
    if (this.#authority !== undefined) return false
    return this.#certificate !== undefined && (peer.isAuthority || peer.certificate !== undefined)
  }

  #proved(connection: Connection): void {
    const { peer } = connection
    if (peer?.isAuthority === true) {
      this.#cancelConnecting?.()
      this.#setConnection('online')
      // The authority's time is known now, by which clocks are judged.
      for (const repository of this.#repositories.values()) repository.reconsider()
      this.#offerLogin(connection)
    }
    this.#subscribeAll(connection)
  }

  #subscribeAll(connection: Connection): void {
    if (!this.#maySubscribe(connection)) return
    for (const repository of this.#repositories.values())
      if (repository.pipeline.isOpen) connection.subscribe(repository)
  }

  #offerLogin(connection: Connection): void {
    const pending = this.#pendingLogin
    if (pending === undefined || connection.peer?.isAuthority !== true) return
    connection.login(pending.login.method, pending.login.credentials)
  }

  async #judgeLogin(method: string, credentials: Plain, peer: Peer): Promise<Certificate | Refusal> {
    const login = this.#options.logins?.find((one) => one.method === method)
    if (this.#authority === undefined) return refusal('NotAuthority', method)
    if (login === undefined) return refusal('LoginRefused', method)
    const person = await login.check(credentials, peer.session)
    if (isRefusal(person)) return person
    const certificate = await this.#authority.certify(peer.publicKey, person.owner, person.name)
    this.certificates.keep(certificate)
    return certificate
  }

  async #certified(bytes: Uint8Array): Promise<void> {
    const certificate = await this.certificates.admit(bytes)
    const own = this.#key === undefined ? undefined : sessionId(this.#key.publicKey, (key) => this.runtime.hash(key))
    if (isRefusal(certificate) || certificate.session !== own) {
      return this.incident(isRefusal(certificate) ? certificate : refusal('BadCertificate', certificate.session))
    }
    this.#certificate = certificate
    const why = await this.#rootStore.keepCertificate(bytes)
    if (why !== undefined) this.incident(why, rootPath)
    const pending = this.#pendingLogin
    this.#pendingLogin = undefined
    this.#peerProblem = undefined
    for (const connection of this.#connections) this.#subscribeAll(connection)
    for (const repository of this.#repositories.values()) repository.identityChanged()
    this.#tell()
    pending?.resolve()
  }

  #serve(path: string, peer: Peer): Repository | undefined {
    if (this.#authority === undefined) {
      // Peers share what both have open; the authority may show anything this replica asked it for.
      const open = this.#repositories.get(path)
      return open !== undefined && (peer.isAuthority || this.#mayRead(path, peer)) ? open : undefined
    }
    return isRepositoryPath(path) && this.#mayRead(path, peer) ? this.repository(path) : undefined
  }

  #mayRead(path: string, { certificate }: Peer): boolean {
    if (certificate === undefined || certificate.expires < this.clock.now()) return false
    return this.#allows('read', path, { session: certificate.session, owner: certificate.owner })
  }

  #peerRefused({ peer }: Connection, why: Refusal, about?: string): void {
    this.incident(why, about)
    // What a stranger says about this replica is no reason to worry the app. Before anybody proved anything it may be the server.
    if (peer !== undefined && !peer.isAuthority) return
    if (why.code === 'LoginRefused' && peer !== undefined && this.#pendingLogin !== undefined) {
      const { reject } = this.#pendingLogin
      this.#pendingLogin = undefined
      this.#loggedIn = this.#certificate !== undefined
      reject(new WeftError(why.code, why.about))
    }
    // What others cannot keep or may not do is no problem of the authority's own.
    if (this.#authority === undefined) this.#peerProblem = { why, path: about }
    this.#tell()
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
    let problem = this.#refused ?? this.#peerProblem?.why
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
