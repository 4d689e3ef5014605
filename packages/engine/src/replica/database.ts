/**
 * A replica: it opens what this device stores, connects where its transports lead, keeps its repositories level with every peer, and is
 * the authority when it holds the authority's key. An app calls it its database.
 */
import { type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import type { Schema } from '../schema/schema.ts'
import type { Certificate } from '../trust/certificate.ts'
import { type Entry, rootPath, type Subject } from '../trust/entry.ts'
import { certifiedOnly, isRepositoryPath, versionsOf } from '../trust/rules.ts'
import { Account } from './account.ts'
import type { LoginOutcome } from './asking.ts'
import type { Identity } from './capture.ts'
import { Certificates } from './certificates.ts'
import { Channels } from './channels.ts'
import { Clock } from './clock.ts'
import type { Connection } from './connection.ts'
import { EvidenceStore, type Met } from './evidence.ts'
import { Forwarding } from './forwarding.ts'
import { Judging } from './judging.ts'
import { Listeners } from './listeners.ts'
import type { Credentials } from './login.ts'
import { logName } from './logname.ts'
import { Logout } from './logout.ts'
import { Meeting } from './meeting.ts'
import { Office } from './office.ts'
import type { Adopted, DatabaseOptions, Storage } from './options.ts'
import type { Origin, Sharing } from './pending.ts'
import type { Files, Runtime } from './ports.ts'
import type { Room } from './presence.ts'
import { Readers } from './readers.ts'
import { type Readable, reportRead } from './reads.ts'
import type { Recovering } from './recovery.ts'
import type { Rejection } from './rejections.ts'
import { Reports } from './reports.ts'
import { Repositories } from './repositories.ts'
import { Repository } from './repository.ts'
import { joinRequest, type Request, revokeRequest } from './requests.ts'
import { RootLog } from './rootlog.ts'
import { RootNews } from './rootnews.ts'
import { RootStore } from './rootstore.ts'
import { Schemas } from './schemas.ts'
import type { AccountSession } from './sessions.ts'
import { appHash } from './snapshot.ts'
import { leastGrowth } from './snapshots.ts'
import { Standing } from './standing.ts'
import type { Incident, Status } from './status.ts'
import { Subscribing } from './subscribing.ts'
import { switchboardOf } from './switchboard.ts'
import { type Belongings, belongingsOf, finishLogout, keptBytes, otherBelongings } from './wipe.ts'

export type { DatabaseOptions, Storage } from './options.ts'

const sessionKey = 'session'

export class Database {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  readonly captureRate: number
  readonly snapshotFrom: number
  readonly offlineWindow: number
  /** Whether it is the authority. */
  readonly authority: boolean
  readonly app: Uint8Array
  readonly judging: Judging
  /** The channels straight to other sessions. */
  readonly mesh: Meeting
  /** Resolves when the device's storage is open. Rejects when another tab or process has it. */
  readonly opened: Promise<void>
  readonly #options: DatabaseOptions
  readonly #schemas: Schemas
  readonly #forwarding: Forwarding
  readonly #repositories: Repositories
  readonly #connections: Channels
  readonly #reports = new Reports()
  /** What makes this replica the authority. */
  readonly #office: Office | undefined
  readonly #readers: Readers
  readonly #standing: Standing
  readonly #account: Account
  readonly #subscribing: Subscribing
  readonly #rootStore: RootStore
  readonly #rootNews: RootNews
  readonly #evidence: EvidenceStore
  #storage: Storage | undefined
  #release: (() => Promise<void>) | undefined
  #cancelConnecting: (() => void) | undefined
  #closing: Promise<void> | undefined
  readonly #logout: Logout
  readonly #logoutListeners = new Listeners(this.#reports.threw)
  readonly #logouts: Readable = { subscribe: (listener) => this.#logoutListeners.add(listener) }

  constructor(options: DatabaseOptions) {
    this.#options = options
    this.runtime = options.runtime
    this.captureRate = options.captureRate ?? 3
    this.snapshotFrom = options.snapshotFrom ?? leastGrowth
    this.offlineWindow = options.offlineWindow ?? Number.POSITIVE_INFINITY
    this.authority = options.authority !== undefined
    this.clock = new Clock(() => options.runtime.now())
    this.root = new RootLog(options.runtime)
    this.certificates = new Certificates(options.runtime, this.root, {
      met: (certificate) => this.#account.sessions.met(certificate),
      twice: (held, other) => this.forked({ kind: 'certificate', held, other }),
    })
    const shared = { runtime: options.runtime, clock: this.clock, root: this.root, certificates: this.certificates }
    const versions = versionsOf(options.rules ?? certifiedOnly)
    this.judging = new Judging((version) => versions.get(version), this.root, this.certificates, {
      report: (why) => this.incident(why),
      twice: options.development ?? false,
    })
    this.#schemas = new Schemas(options.schemas, (bytes) => options.runtime.hash(bytes))
    this.app = appHash(this.#schemas.hashes(), versions, (bytes) => options.runtime.hash(bytes))
    this.#connections = new Channels({
      transports: options.transports ?? [],
      switchboard: () =>
        switchboardOf({
          ...shared,
          account: this.#account,
          sync: options.sync,
          office: this.#office,
          readers: this.#readers,
          repositories: this.#repositories,
          subscribing: this.#subscribing,
          meeting: this.mesh,
          channels: this.#connections,
          standing: this.#standing,
          isClosing: () => this.#closing !== undefined,
          takeRoot: (entries, publicKey) => this.#rootNews.take(entries, publicKey),
          proved: (connection) => this.#proved(connection),
          incident: (why) => this.incident(why),
        }),
      quota: () => this.#office?.quota,
      isClosing: () => this.#closing !== undefined,
      incident: (why) => this.incident(why),
    })
    this.#repositories = new Repositories({
      runtime: options.runtime,
      make: (path) => new Repository(path, this),
      files: () => this.#openableFiles,
      name: (path) => logName(path, this.runtime),
      opened: (repository) => {
        this.#subscribing.everywhere(repository)
        this.mesh.join()
        // The last run may have ended between a commit and its checkpoint.
        this.#office?.authority.cover(repository)
      },
      closing: async (repository) => this.#office?.forget(repository),
      incident: (why, path) => this.incident(why, path),
      fault: (why, path) => {
        this.#standing.fault = why
        this.incident(why, path)
      },
    })
    this.#readers = new Readers(this.#repositories, options.authority !== undefined, this.judging, this.clock)
    this.#evidence = new EvidenceStore(options.runtime, this.root, this.certificates, (...why) => this.incident(...why))
    this.#rootStore = new RootStore(
      options.runtime,
      this.root,
      this.certificates,
      (why) => this.incident(why, rootPath),
      (met) => this.forked(met),
    )
    this.#rootNews = new RootNews({
      root: this.root,
      store: this.#rootStore,
      repositories: this.#repositories,
      connections: this.#connections,
      network: options.network,
      office: () => this.#office,
      incident: (why, path) => this.incident(why, path),
    })
    this.#standing = new Standing({
      host: this,
      connections: this.#connections,
      repositories: this.#repositories,
      storage: () => this.#storage,
      hasExpired: () => this.#account.hasExpired,
      threw: this.#reports.threw,
    })
    this.#account = new Account({
      ...shared,
      connections: this.#connections,
      authority: options.authority,
      keyName: sessionKey,
      keys: () => this.#storage?.keys,
      isLeaving: () => this.#logout.isFrozen,
      isClosed: () => this.#closing !== undefined,
      keep: (bytes) => this.#rootStore.keepCertificate(bytes),
      keepMet: (bytes) => this.#rootStore.keepMet(bytes),
      changed: (isCertified) => {
        if (isCertified) {
          this.#standing.settled()
          for (const connection of this.#connections) this.#subscribing.all(connection)
          this.mesh.join()
        }
        for (const repository of this.#repositories) repository.identityChanged()
        this.#standing.tell()
      },
      tell: () => this.#standing.tell(),
      hangUp: (why) => this.#connections.hangUp(why),
      incident: (why) => this.incident(why, rootPath),
    })
    this.#subscribing = new Subscribing({
      isAuthority: this.authority,
      connections: this.#connections,
      repositories: this.#repositories,
      readers: this.#readers,
      account: this.#account,
      standing: this.#standing,
      incident: (why, path) => this.incident(why, path),
    })
    this.mesh = new Meeting({
      options: options.mesh,
      servers: options.authority && (options.iceServers ?? (() => [])),
      ...shared,
      account: this.#account,
      repositories: this.#repositories,
      readers: this.#readers,
      connections: this.#connections,
      connect: (channel) => this.#connections.take(channel),
      incident: (why) => this.incident(why),
    })
    this.#forwarding = new Forwarding(this.#connections, this.mesh.gossiping, this.authority)
    this.#logout = new Logout({
      runtime: options.runtime,
      belongings: () => this.#belongings,
      others: () => otherBelongings(this.#storage, this.#belongings),
      unacknowledged: () => this.#repositories.unacknowledged(),
      isOpen: (name) => this.#repositories.hasOpen(name),
      send: (path) => void this.repository(path),
      keeping: (use) => this.#rootStore.hold((header) => use(keptBytes(header, this.root.after(0)))),
      part: () => this.#part(),
      anew: () => this.#anew(),
      storage: (why) => {
        if (why !== undefined) this.incident(why)
        this.#standing.fault = why
      },
    })
    if (options.authority !== undefined) {
      this.#office = new Office({
        key: options.authority,
        options,
        ...shared,
        judging: this.judging,
        connections: this.#connections,
        repositories: this.#repositories,
        newestRules: Math.max(0, ...versions.keys()),
        withRepository: (path, use) => this.#repositories.with(path, use),
        takeRoot: (entries, publicKey) => this.#rootNews.take(entries, publicKey),
        storeCertificate: (bytes) => this.#rootStore.keepMet(bytes),
        name: (path) => logName(path, this.runtime),
        incident: (why, path) => this.incident(why, path),
      })
    }
    this.opened = this.#open()
    // Whoever awaits `opened` gets the error; for the others it is in the status.
    this.opened.catch(() => undefined)
  }

  get status(): Status {
    return this.#standing.status
  }

  /** Calls back when the status changed, once a microtask. */
  onStatus(listener: (status: Status) => void): () => void {
    return this.#standing.onStatus(listener)
  }

  /** Refusals and oddities an app or operator may want to show or count. */
  onIncident(listener: (incident: Incident) => void): () => void {
    return this.#reports.incidents.add(listener)
  }

  /** Calls back once for every change of this device's person that will not count, with its content. */
  onRejected(listener: (rejection: Rejection) => void): () => void {
    return this.#reports.rejections.add(listener)
  }

  /** Who is logged in on this device. */
  get session(): { readonly id: string; readonly name: string } | undefined {
    this.#standing.reportRead()
    return this.identity && { id: this.identity.session, name: this.identity.name }
  }

  /**
   * All sessions of the account that is logged in here, as far as the server and other replicas told of them, in the order of their numbers:
   * one that the person does not know was certified without them. `revoke` ends it.
   */
  get sessions(): readonly AccountSession[] {
    this.#standing.reportRead()
    return this.#account.sessions.list()
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
    return this.#account.login(login)
  }

  /**
   * Logs out: afterwards nothing of the person is on this device, neither stored nor in the repositories and items that the app still
   * holds, and the next login begins with a key of its own. The server need not be there. Rejects, with everything as it was, with
   * `Unsynced` when some of what was written here is not at the server yet and `discard` is not true, and with `DiskFull` or `DiskError`
   * when not even that can be stored that the person logs out. A crash in between leaves either a person logged in or nobody.
   */
  async logout({ discard = false }: { discard?: boolean } = {}): Promise<void> {
    await this.opened
    if (this.#office !== undefined) throw new WeftError('NotAuthority', 'the authority does not log out')
    await this.#logout.run(discard).finally(() => {
      this.#repositories.openAll()
    })
  }

  /**
   * Comes by an invitation: whoever has its code gets the role it gives. Resolves when the server wrote that down. Rejects with
   * `InvitationOver`, or `Unreachable` while the server is.
   */
  async join(path: string, code: string): Promise<void> {
    await this.ask(joinRequest(path, code))
  }

  /**
   * Ends the access of a session, or of an owner with all sessions, for good. What they wrote and the authority has counts; what comes
   * later does not. An app ends its own person's sessions only; the authority ends any.
   */
  async revoke(subject: Subject, reason = ''): Promise<void> {
    if (this.#office === undefined) return this.ask(revokeRequest(subject, reason))
    const why = await this.#office.revoke(subject, reason)
    if (why !== undefined) throw WeftError.of(why)
  }

  /** A repository by its path, `/type/name`. The same object every time, until the person logs out. */
  repository(path: string): Repository {
    reportRead(this.#logouts)
    if (!isRepositoryPath(path)) throw new WeftError('BadPath', path)
    if (this.#closing !== undefined) throw new WeftError('Closed', path)
    const repository = this.#repositories.at(path)
    this.#repositories.keep(repository)
    return repository
  }

  /** What proves forks that this device met, as files that `weft evidence` checks: 16 at most, and the same ones in every tab of a browser. */
  async evidence(): Promise<{ readonly name: string; readonly bytes: Uint8Array }[]> {
    await this.opened
    return this.#evidence.list()
  }

  get repositories(): Iterable<Repository> {
    return this.#repositories
  }

  /** What the authority lost and is taking back: of repositories that somebody asked for since it started. */
  get recovering(): readonly Recovering[] {
    return this.#office?.recovery.all ?? []
  }

  /**
   * Goes on with what clients brought so far, of one log (`/sys`: the network's, which comes first) or of all, also of repositories that somebody
   * asks for later. What is lost is written into the log. Rejects with `Recovering` where the network's has to come first.
   */
  async acceptLoss(path?: string): Promise<void> {
    const accept = async (what?: typeof rootPath | Repository) => this.#office?.accept(this.root.network ?? '', what)
    const isOne = path !== undefined && path !== rootPath
    const why = await (isOne ? this.#repositories.with(path, accept) : accept(path))
    if (why !== undefined) throw WeftError.of(why)
  }

  /** How many channels to other devices are open: the server's and those of the mesh, the same number in every tab of a browser. */
  get connections(): number {
    return this.#connections.size
  }

  /**
   * Leaves the server, as if it were away: the mesh goes on, and what is written waits. Logging in, rights and the server's word come with
   * `connect`.
   */
  async disconnect(): Promise<void> {
    await this.opened
    await this.#connections.leave()
  }

  /** Comes back after `disconnect`. */
  connect(): void {
    if (this.#closing === undefined && !this.#logout.isFrozen) this.#connections.start()
  }

  /** Captures and stores what is edited, closes every channel and log. What the disk does not take now is lost. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#office?.stop()
    this.#account.stop()
    this.#repositories.stop()
    await this.opened.catch(() => undefined)
    await this.#logout.close()
    await this.#office?.authority.settled()
    this.#cancelConnecting?.()
    for (const repository of this.#repositories) await this.#attempt(repository.close())
    await this.#repositories.letGo()
    await this.#attempt(this.mesh.stop())
    await this.#connections.stop()
    await this.#attempt(this.#rootStore.close())
    await this.#attempt(this.#evidence.close())
    await this.#attempt(this.#office?.close())
    await this.#release?.()
  }

  async #open(): Promise<void> {
    try {
      this.#storage = await this.#options.storage()
      this.#release = this.#storage.release ?? (await this.#storage.files.lock())
      if (this.#office === undefined) await finishLogout(this.#belongings)
      await this.#openRoot(this.#storage.files)
      await this.#account.open()
    } catch (error) {
      this.#standing.fault =
        error instanceof WeftError ? refusal(error.code, error.about) : refusal('DiskError', String(error))
      this.#repositories.failed(error)
      this.#standing.tell()
      throw error
    }
    if (this.#closing !== undefined) return
    this.#repositories.openAll()
    this.#cancelConnecting = this.runtime.timer(4_000, () => {
      if (this.#standing.connection === 'connecting') this.#standing.connect('offline')
    })
    this.#connections.start()
    this.#standing.tell()
    this.#rootStore.seal()
  }

  /** Whatever goes wrong with one part, the others are closed and forgotten too. */
  readonly #attempt = (part: Promise<void> | undefined): Promise<void> | undefined =>
    part?.catch((error: unknown) => this.incident(refusal('Fault', String(error))))

  /** Where the person's things are. */
  get #belongings(): Belongings {
    return belongingsOf(this.#storage, sessionKey, logName(rootPath, this.runtime))
  }

  /** Ends and forgets what is in memory of the person who logs out. */
  async #part(): Promise<void> {
    this.#account.part()
    this.#standing.settled()
    await this.#attempt(this.mesh.stop())
    await this.#connections.stop()
    const repositories = this.#repositories.clear()
    this.#logoutListeners.tell()
    for (const repository of repositories) await this.#attempt(repository.forget())
    await this.#attempt(this.#evidence.close())
    this.#evidence.forget()
    await this.#attempt(this.#rootStore.letGo())
    this.certificates.forget()
    await this.#account.settled()
    this.#standing.tell()
  }

  /** Goes on with nobody logged in, under another key: nothing but where it comes from ties the next person to the last. */
  async #anew(): Promise<void> {
    await this.#rootStore.open(this.#belongings.files, this.#belongings.rootName, undefined)
    await this.#account.renewKey()
    if (this.#closing === undefined) this.#connections.start()
  }

  async #openRoot(files: Files): Promise<void> {
    const authority = this.#office?.authority
    this.#evidence.open(files)
    const [name, landmarks] = [logName(rootPath, this.runtime), await this.#office?.openLandmarks()]
    await this.#rootStore.open(files, name, authority && (() => authority.genesis()), landmarks)
    const { network } = this.root
    if (network === undefined) return
    if (network !== (this.#options.network ?? network)) throw new WeftError('WrongNetwork', network)
    await this.#office?.open(network)
  }

  /** Where logs can be opened: not before the network is known, nor while somebody logs out. */
  get #openableFiles(): Files | undefined {
    if (this.root.network === undefined || this.#logout.isFrozen || this.#closing !== undefined) return undefined
    return this.#storage?.files
  }

  // What a repository asks of its replica (Host).

  get lasting(): boolean {
    return this.#storage?.lasting ?? false
  }

  /** Whether another replica of this device keeps what is made here. */
  get isBehind(): boolean {
    return false
  }

  /** Goes on as that replica does: with its root log, and with who is logged in there. False while it cannot. */
  async adopt({ root, network, certificate }: Adopted): Promise<boolean> {
    await this.#rootNews.take(root, new Uint8Array(0), network)
    return certificate === undefined || this.#account.adopt(certificate)
  }

  get identity(): Identity | undefined {
    return this.#account.identity
  }

  schemaHash(schema: Schema): string {
    return this.#schemas.hashOf(schema)
  }

  readonly schema = (hash: string): Schema | undefined => this.#schemas.get(hash)

  /** Who is logged in here, as rules see it; undefined before the certificate is here. */
  get person(): Certificate | undefined {
    return this.#account.person
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

  room(repository: Repository): Room {
    return this.mesh.presences.room(repository)
  }

  rejected(rejection: Rejection): void {
    this.#reports.rejections.tell(rejection)
  }

  incident(why: Refusal, repository?: string): void {
    this.#reports.incident(why, repository)
  }

  readonly erased = ({ path, pipeline }: Repository): void => this.#evidence.erase(path, pipeline.log.erasures)

  forked(met: Met): void {
    this.#evidence.keep(met)
  }

  readonly opening = (repository: Repository): void => this.#office?.recovery.opened(repository)

  progress(): void {
    this.#standing.tell()
  }

  readonly sharing = (repository: Repository): Sharing => this.#forwarding.sharing(repository)

  committed(repository: Repository): void {
    this.#office?.authority.cover(repository, this.#forwarding.readers(repository))
  }

  entered(repository: Repository, entries: readonly Entry[], origin: Origin): void {
    this.#forwarding.entered(repository, entries)
    this.#standing.freshness.heard(repository.path, origin)
    if (entries.some(({ statement }) => statement.kind === 'grant')) this.#subscribing.everywhere(repository)
    this.#office?.entered(repository, entries, origin)
  }

  readonly misplaced = (repository: Repository, why: Refusal): void => this.#office?.authority.written(repository, why)

  refused(repository: Repository, origin: object, id: string, why: Refusal): void {
    this.incident(why, repository.path)
    this.#forwarding.refused(repository, origin, id, why)
  }

  #proved(connection: Connection): void {
    const isAuthority = connection.peer?.isAuthority === true
    if (isAuthority) {
      this.#rootNews.offerDropped(connection)
      this.#cancelConnecting?.()
      this.#standing.connect('online')
      // The authority's time is known now, by which clocks are judged.
      for (const repository of this.#repositories) repository.reconsider()
      this.#account.met()
    }
    if (!this.mesh.proved(connection)) return
    this.#account.sessions.tell(connection)
    this.#subscribing.all(connection)
    if (isAuthority) this.mesh.join()
  }
}
