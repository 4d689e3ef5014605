/**
 * The one road of a repository's commits, local and remote alike:
 *
 *     local:  capture -> count -> sign ->|
 *     remote: read -> certificate -> verify ->| -> check -> stage -> log -> settle -> (remote: count) -> peers
 *
 * A commit is durable here before any peer sees it, and nothing that could not be stored leaves a trace. One append is under way at a
 * time; what arrives meanwhile goes out with the next.
 *
 * What the authority's log erases is taken out of what is held and of what comes, before anybody sees it, and the log's file is then
 * written anew without it; until that worked it is tried again.
 */

import { concatBytes, fromHex } from '../bytes/bytes.ts'
import { decode, encode } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { isRefusal, type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { isBytes } from '../bytes/shape.ts'
import { type Commit, format, type Position, readCommit, signedBytes } from '../commit/commit.ts'
import { Commits } from '../graph/commits.ts'
import type { Known } from '../sync/session.ts'
import { AuthorityLog } from '../trust/authoritylog.ts'
import { type Certificate, readCertificate } from '../trust/certificate.ts'
import { type Entry, readEntry } from '../trust/entry.ts'
import { messageOf } from '../trust/signed.ts'
import type { Certificates } from './certificates.ts'
import { Cleaning } from './cleaning.ts'
import type { Met } from './evidence.ts'
import { isFirst } from './founding.ts'
import { Journal } from './journal.ts'
import { KnownStores, storeBytes } from './known.ts'
import type { Files, Runtime } from './ports.ts'
import type { Gate } from './quota.ts'
import type { RootLog } from './rootlog.ts'

export const frameKinds = { header: 0, commit: 1, certificate: 2, entry: 3, known: 4 } as const

/** Who brought a commit: this replica, or the channel it came through. */
export type Origin = 'local' | object

export interface PipelineEvents {
  /** A remote commit is durable here: count it. Called in order of admission. */
  count(commit: Commit): void
  /** Commits became durable, in order. */
  settled(commits: readonly { readonly commit: Commit; readonly origin: Origin }[]): void
  /** Entries of the authority log became durable. */
  entries(entries: readonly Entry[], origin: Origin): void
  /** Why a commit may not be the first of all here, by rules; asked by the authority alone. */
  refuseFounding(commit: Commit): Refusal | undefined
  /** What a channel brought was refused. */
  refused(origin: Origin, id: string, why: Refusal): void
  /** Something the app or an operator should know. */
  incident(why: Refusal): void
  /** Two things signed for one place: what proves it is kept. */
  forked(met: Met): void
  /** Storing failed, or works again. */
  storage(problem: Refusal | undefined): void
  /** What this replica made itself cannot stand: a fault, since it was made to fit. */
  rejected(made: { readonly commit: Commit } | { readonly entry: Entry }, why: Refusal): void
}

type Work =
  /** Everything a channel brought in one message is behind this. */
  | { readonly kind: 'mark'; readonly through: () => void }
  | { readonly kind: 'commit'; readonly commit: Commit; readonly origin: Origin }
  | { readonly kind: 'entry'; readonly entry: Entry; readonly origin: Origin }
  | { readonly kind: 'known'; readonly payload: Uint8Array }

interface Pending {
  readonly commit: Commit
  readonly origin: Origin
}

/** Verifications under way at once; more only fills memory. */
const verifyWidth = 64
/** Work taken into one append. */
const batchSize = 4_096
const firstRetry = 500
const lastRetry = 30_000

export class Pipeline {
  readonly path: string
  readonly commits = new Commits()
  readonly log: AuthorityLog
  readonly cleaning: Cleaning
  readonly known = new KnownStores()
  /** Names this log among all copies of the repository. */
  store: Uint8Array
  readonly #runtime: Runtime
  readonly #root: RootLog
  readonly #certificates: Certificates
  readonly #events: PipelineEvents
  /** Whether this replica is the authority: it admits only what a certificate in force signed. */
  readonly #now: (() => number) | undefined
  #journal: Journal | undefined
  /** Sessions whose certificate is in this repository's log. */
  readonly #certified = new Set<string>()
  readonly #work: Work[] = []
  readonly #pending = new Map<string, Pending>()
  /** Missing id to the commits that wait for it. */
  readonly #waiters = new Map<string, Set<string>>()
  #pendingBytes = 0
  #durableEntries = 0
  #running: Promise<void> | undefined
  #closing = false
  #closed = false
  #retry = firstRetry
  #cancelRetry: (() => void) | undefined
  constructor(options: {
    path: string
    runtime: Runtime
    root: RootLog
    certificates: Certificates
    events: PipelineEvents
    /** The authority's time; undefined for everybody else. */
    authorityNow: (() => number) | undefined
  }) {
    this.path = options.path
    this.log = new AuthorityLog(options.path)
    this.cleaning = new Cleaning(options.runtime, this.log, {
      commitKind: frameKinds.commit,
      incident: (why) => this.#events.incident(why),
      again: () => {
        this.#work.push({ kind: 'mark', through: () => undefined })
        this.#start()
      },
    })
    this.store = options.runtime.random(storeBytes)
    this.#runtime = options.runtime
    this.#root = options.root
    this.#certificates = options.certificates
    this.#events = options.events
    this.#now = options.authorityNow
  }

  /** Entries of the authority log that are durable here: only these may be shown to a peer. */
  get durableEntries(): number {
    return this.#durableEntries
  }

  /** The newest entry that is durable here. A commit that cited one which is then not stored would be ahead of those after it. */
  get position(): Position | null {
    const last = this.log.entries[this.#durableEntries - 1]
    return last === undefined ? null : { epoch: last.epoch, n: last.n, hash: last.id }
  }

  /** Whether a durable entry stands at the position. */
  knows(position: Position | null): boolean {
    return position === null || (position.n < this.#durableEntries && this.log.knows(position))
  }

  get isOpen(): boolean {
    return this.#journal !== undefined && !this.#closed
  }

  /** Opens the log and replays it. What this replica stored it verified before, so only structure and hashes are checked again. */
  async open(files: Files, name: string): Promise<void> {
    const network = this.#root.network
    if (network === undefined) throw new Error('a repository is opened after its network is known')
    const fresh = encode([format, fromHex(network), this.path, concatBytes(this.store, this.#runtime.random(8))])
    const onIncident = (why: Refusal): void => this.#events.incident(why)
    const { journal, header, frames, damage } = await Journal.open(files, name, { header: fresh, onIncident })
    this.store = storeIn(header) ?? this.store
    if (this.#closing) {
      await journal.close()
      throw new WeftError('Closed', this.path)
    }
    const { hash } = this.#runtime
    const commits: Commit[] = []
    // What is erased is so from the start, wherever it stands.
    for (const frame of frames) {
      if (frame.kind !== frameKinds.entry) continue
      const entry = readEntry(frame.payload, hash)
      const foreign = !isRefusal(entry) && entry.network !== network ? refusal('WrongNetwork', entry.id) : undefined
      const why = isRefusal(entry) ? entry : (foreign ?? this.log.check(entry, hash))
      if (isRefusal(entry) || (why !== undefined && why !== 'held')) {
        this.#events.incident(isRefusal(why) ? why : refusal('Malformed', this.path))
        continue
      }
      if (why === undefined) this.log.append(entry)
      this.#durableEntries = this.log.entries.length
    }
    const { cleaning } = this
    if (damage.length > 0 && !this.log.erasures.isEmpty) cleaning.due()
    for (const frame of frames) {
      if (frame.kind === frameKinds.certificate) {
        const certificate = readCertificate(frame.payload, hash)
        if (isRefusal(certificate)) this.#events.incident(certificate)
        else {
          this.#certificates.keep(certificate)
          this.#certified.add(certificate.session)
        }
      } else if (frame.kind === frameKinds.known) this.known.read(frame.payload, this.commits.size)
      else if (frame.kind === frameKinds.commit) {
        const read = readCommit(frame.payload, hash)
        const commit = isRefusal(read) ? read : cleaning.strip(read)
        if (commit !== read) cleaning.due()
        if (!isRefusal(commit) && this.commits.get(commit.id) !== undefined) continue
        const why = isRefusal(commit) ? commit : (this.#isForeign(commit) ?? this.#check(commit))
        if (isRefusal(commit) || why !== undefined) {
          this.#events.incident(why ?? refusal('Malformed', this.path))
          continue
        }
        this.commits.stage(commit)
        this.commits.settle()
        commits.push(commit)
      }
    }
    if (cleaning.isDue) await cleaning.run(journal)
    else if (!this.log.erasures.isEmpty) await cleaning.discardAside(journal)
    if (this.#closing) {
      await journal.close()
      throw new WeftError('Closed', this.path)
    }
    // What the authority said of a commit may stand behind it.
    for (const commit of commits) this.#events.count(commit)
    this.#journal = journal
    this.#start()
  }

  /** Puts a signed local commit on the road. Its counting was done at capture. */
  submit(commit: Commit): void {
    this.#work.push({ kind: 'commit', commit, origin: 'local' })
    this.#start()
  }

  /** Puts an entry this replica signed as the authority on the road. */
  submitEntry(entry: Entry): void {
    this.#work.push({ kind: 'entry', entry, origin: 'local' })
    this.#start()
  }

  /** Remembers where this replica stood when it was level with that store. */
  remember(store: Uint8Array, known: Known): void {
    const payload = this.known.remember(store, known)
    if (payload === undefined) return
    this.#work.push({ kind: 'known', payload })
    this.#start()
  }

  #check(commit: Commit): Refusal | undefined {
    return this.commits.check(commit, this.cleaning.isErased)
  }

  /** Takes what these entries erase out of what is held. */
  #erase(entries: readonly { readonly entry: Entry }[]): void {
    const erased = entries.flatMap(({ entry: { statement } }) =>
      statement.kind === 'erasure' ? statement.changes : [],
    )
    for (const { commit: id } of erased) {
      const held = this.commits.get(id)
      const stripped = held && this.cleaning.strip(held)
      if (stripped !== undefined && stripped !== held) this.commits.replace(stripped)
      const waiting = this.#pending.get(id)
      if (waiting === undefined) continue
      const commit = this.cleaning.strip(waiting.commit)
      this.#pending.set(id, { ...waiting, commit })
      this.#pendingBytes += commit.bytes.length - waiting.commit.bytes.length
    }
    // What a crash left aside may hold it as well, so that the file is written anew whatever was held.
    if (erased.length > 0) this.cleaning.due()
  }

  /** Whether nothing was ever written here. */
  get isBlank(): boolean {
    return this.commits.size === 0 && this.log.next === 0
  }

  /** Whether nothing is on the road. */
  get isIdle(): boolean {
    return this.#work.length === 0 && this.#running === undefined
  }

  /**
   * Checks what a channel brought, in the order size, guard, hashes, duplicate, certificate, quota, signature, and puts the good on the
   * road. From the first commit that is over the quota on nothing of the message is taken: it builds on it, and comes again.
   * A channel makes its next call after `onRoad` of the last, so that its order is kept, and need not wait until that is stored: what comes
   * in while one append is under way goes into the next. Resolves when all of it is durable, refused or waiting for parents.
   */
  async receive(
    origin: object,
    received: { certificates: readonly Uint8Array[]; commits: readonly Uint8Array[]; entries: readonly Uint8Array[] },
    onRoad?: () => void,
    gate?: Gate,
  ): Promise<{ readonly ids: readonly string[]; readonly waiting: boolean }> {
    const refuse = (id: string, why: Refusal): void => this.#events.refused(origin, id, why)
    for (const bytes of received.certificates) {
      const certificate = await this.#certificates.admit(bytes)
      if (isRefusal(certificate)) refuse('', certificate)
    }
    for (const bytes of received.entries) {
      const entry = await this.#readEntry(bytes)
      if (isRefusal(entry)) refuse('', entry)
      else this.#work.push({ kind: 'entry', entry, origin })
    }
    const read: Commit[] = []
    const ids: string[] = []
    let founds = this.isBlank
    for (const bytes of received.commits) {
      const commit = readCommit(bytes, this.#runtime.hash)
      if (isRefusal(commit)) {
        refuse('', commit)
        continue
      }
      ids.push(commit.id)
      if (this.commits.get(commit.id) !== undefined || this.#pending.has(commit.id)) continue
      const why = this.#mayStand(commit)
      if (why !== undefined) {
        refuse(commit.id, why)
        continue
      }
      const over = gate?.bring(this.#ownerOf(commit), bytes.length, founds)
      if (over !== undefined) {
        refuse('', over)
        break
      }
      founds = false
      read.push(commit)
    }
    let mustFound = gate !== undefined && this.isBlank
    let bad = 0
    for (let from = 0; from < read.length; from += verifyWidth) {
      const batch = read.slice(from, from + verifyWidth)
      const good = await Promise.all(batch.map((commit) => this.#isSigned(commit)))
      for (const [index, commit] of batch.entries()) {
        const barred = good[index] === true && mustFound ? this.#events.refuseFounding(commit) : undefined
        if (barred !== undefined) refuse(commit.id, barred)
        else if (good[index] === true) {
          // What builds on others waits for them, and founds nothing.
          if (isFirst(commit)) mustFound = false
          gate?.signed(this.#ownerOf(commit), commit.bytes.length)
          this.#work.push({ kind: 'commit', commit, origin })
        } else {
          bad++
          refuse(commit.id, refusal('BadSignature', commit.id))
        }
      }
      // The channel is closed by now: nobody makes this replica verify a thousand signatures more.
      if (bad >= limits.offences) break
    }
    await new Promise<void>((through) => {
      if (this.#closing) return through()
      this.#work.push({ kind: 'mark', through })
      this.#start()
      onRoad?.()
    })
    return { ids, waiting: ids.some((id) => this.#pending.has(id)) }
  }

  #isForeign(commit: Commit): Refusal | undefined {
    if (commit.network !== this.#root.network) return refusal('WrongNetwork', commit.id)
    return commit.repository === this.path ? undefined : refusal('WrongRepository', commit.id)
  }

  #mayStand(commit: Commit): Refusal | undefined {
    const foreign = this.#isForeign(commit)
    if (foreign !== undefined) return foreign
    const certificate = this.#certificates.get(commit.session)
    if (certificate === undefined) return refusal('UnknownSession', commit.session)
    if (this.#now === undefined) return undefined
    if (this.#certificates.isTooLate(certificate)) return refusal('CertificateExpired', commit.session)
    const now = this.#now()
    if (certificate.expires < now) return refusal('CertificateExpired', commit.session)
    // From before the authority's clock was set back.
    return certificate.issued > now + limits.clockAhead ? refusal('ClockAhead', commit.session) : undefined
  }

  #ownerOf(commit: Commit): string {
    return this.#certificates.get(commit.session)?.owner ?? commit.session
  }

  async #isSigned(commit: Commit): Promise<boolean> {
    const certificate = this.#certificates.get(commit.session)
    if (certificate === undefined) return false
    return this.#runtime.verify(certificate.publicKey, signedBytes(commit.id), commit.signature)
  }

  async #readEntry(bytes: Uint8Array): Promise<Entry | Refusal> {
    const entry = readEntry(bytes, this.#runtime.hash)
    if (isRefusal(entry)) return entry
    if (entry.network !== this.#root.network) return refusal('WrongNetwork', entry.id)
    // Whose keys are in force there, and who may do what, the root log says up to there.
    if (entry.root === null || !this.#root.knows(entry.root)) return refusal('Undecided', entry.id)
    const key = this.#root.keyAt(entry.signer, entry.root.n)
    if (key === undefined) return refusal('BadEntry', entry.id)
    const message = messageOf('entry', entry.body, this.#runtime.hash)
    return (await this.#runtime.verify(key, message, entry.signature)) ? entry : refusal('BadSignature', entry.id)
  }

  /** Sets the road going, unless it goes, waits for its next try, or is closed. It never rejects. */
  #start(): void {
    if (this.#running !== undefined || this.#journal === undefined || this.#cancelRetry !== undefined || this.#closed)
      return
    this.#running = this.#run(this.#journal).finally(() => {
      this.#running = undefined
      if (this.#work.length > 0 && !this.#closing) this.#start()
    })
  }

  async #run(journal: Journal): Promise<void> {
    for (let stores = true; stores && this.#work.length > 0; ) {
      try {
        stores = await this.#step(journal)
      } catch (error) {
        this.#events.incident(refusal('Fault', String(error)))
      }
    }
  }

  /** One append. False when storing failed: what is local is kept and tried again later. */
  async #step(journal: Journal): Promise<boolean> {
    const taken = this.#work.splice(0, batchSize)
    const frames: { kind: number; payload: Uint8Array }[] = []
    const staged: { commit: Commit; origin: Origin }[] = []
    const entries: { entry: Entry; origin: Origin }[] = []
    const certified: string[] = []
    const known: Work[] = []
    const marks: (() => void)[] = []
    const certify = (certificate: Certificate | undefined): void => {
      if (certificate === undefined || this.#certified.has(certificate.session)) return
      this.#certified.add(certificate.session)
      certified.push(certificate.session)
      frames.push({ kind: frameKinds.certificate, payload: certificate.bytes })
    }
    for (const work of taken) {
      if (work.kind === 'mark') {
        marks.push(work.through)
        continue
      }
      if (work.kind === 'known') {
        frames.push({ kind: frameKinds.known, payload: work.payload })
        known.push(work)
        continue
      }
      if (work.kind === 'entry') {
        if (this.#stageEntry(work.entry, work.origin)) {
          entries.push(work)
          const { statement } = work.entry
          if (statement.kind === 'grant') certify(this.#certificates.ofOwner(statement.owner))
          frames.push({ kind: frameKinds.entry, payload: work.entry.bytes })
        }
        continue
      }
      for (const ready of this.#stage(work)) {
        const { commit } = ready
        certify(this.#certificates.get(commit.session))
        frames.push({ kind: frameKinds.commit, payload: commit.bytes })
        staged.push(ready)
      }
    }
    try {
      if (frames.length > 0) await journal.append(frames)
    } catch (error) {
      const why = error instanceof StorageError ? refusal(error.code, error.about) : refusal('DiskError', String(error))
      this.commits.rollback()
      this.log.truncate(this.#durableEntries)
      for (const session of certified) this.#certified.delete(session)
      this.#storingFailed(why, staged, entries, known)
      for (const through of marks) through()
      return false
    }
    if (frames.length > 0 && this.#retry !== firstRetry) {
      this.#events.storage(undefined)
      this.#retry = firstRetry
    }
    this.commits.settle()
    this.#durableEntries = this.log.entries.length
    this.#erase(entries)
    try {
      for (const { commit, origin } of staged) if (origin !== 'local') this.#events.count(commit)
      if (staged.length > 0) this.#events.settled(staged)
      const byOrigin = new Map<Origin, Entry[]>()
      for (const { entry, origin } of entries) byOrigin.set(origin, [...(byOrigin.get(origin) ?? []), entry])
      for (const [origin, some] of byOrigin) this.#events.entries(some, origin)
    } finally {
      for (const through of marks) through()
    }
    if (this.cleaning.isDue) await this.cleaning.run(journal)
    return true
  }

  #storingFailed(
    why: Refusal,
    staged: readonly { commit: Commit; origin: Origin }[],
    entries: readonly { entry: Entry; origin: Origin }[],
    known: readonly Work[],
  ): void {
    const kept: Work[] = []
    for (const { commit, origin } of staged) {
      if (origin === 'local') kept.push({ kind: 'commit', commit, origin })
      else this.#events.refused(origin, commit.id, why)
    }
    // Entries come once over a channel, and the next one needs them.
    for (const { entry, origin } of entries) kept.push({ kind: 'entry', entry, origin })
    this.#work.unshift(...kept, ...known)
    if (this.#closing) return
    this.#events.storage(why)
    this.#cancelRetry = this.#runtime.timer(this.#retry, () => {
      this.#cancelRetry = undefined
      this.#start()
    })
    this.#retry = Math.min(this.#retry * 2, lastRetry)
  }

  #stageEntry(entry: Entry, origin: Origin): boolean {
    const why = this.log.check(entry, this.#runtime.hash)
    if (why === 'held') return false
    if (why !== undefined) {
      const held = this.log.entries[entry.n]
      if (why.code === 'LogForked' && held !== undefined) this.#events.forked({ kind: 'log', held, other: entry })
      if (origin === 'local') this.#events.rejected({ entry }, why)
      else this.#events.refused(origin, '', why)
      return false
    }
    this.log.append(entry)
    return true
  }

  /** Stages a commit and whatever waited for it. */
  #stage(work: Pending): Pending[] {
    const ready: Pending[] = []
    const queue = [work]
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { origin } = next
      const commit = this.cleaning.strip(next.commit)
      if (this.commits.get(commit.id) !== undefined) continue
      const why = this.#check(commit)
      if (why?.code === 'MissingParents' && origin !== 'local') {
        this.#wait(why.about, { commit, origin })
        continue
      }
      if (why !== undefined) {
        if (origin === 'local') this.#events.rejected({ commit }, why)
        else this.#events.refused(origin, commit.id, why)
        continue
      }
      if (this.commits.stage(commit)) {
        this.#events.incident(refusal('ChainForked', commit.chain))
        this.#events.forked({ kind: 'chain', held: () => this.commits.rival(commit), other: commit })
      }
      ready.push({ commit, origin })
      for (const id of this.#waiters.get(commit.id) ?? []) {
        const waited = this.#pending.get(id)
        if (waited === undefined) continue
        this.#pending.delete(id)
        this.#pendingBytes -= waited.commit.bytes.length
        queue.push(waited)
      }
      this.#waiters.delete(commit.id)
    }
    return ready
  }

  /** Keeps a commit until the one it builds on is here. The pool is bounded: the oldest gives way, and sync brings it again. */
  #wait(missing: string, work: Pending): void {
    const { commit } = work
    if (this.#pending.has(commit.id)) return
    this.#pending.set(commit.id, work)
    this.#pendingBytes += commit.bytes.length
    const waiters = this.#waiters.get(missing) ?? new Set<string>()
    this.#waiters.set(missing, waiters.add(commit.id))
    for (const [id, oldest] of this.#pending) {
      if (this.#pending.size <= limits.pendingCommits && this.#pendingBytes <= limits.pendingBytes) break
      this.#pending.delete(id)
      this.#pendingBytes -= oldest.commit.bytes.length
      for (const [other, ids] of this.#waiters) if (ids.delete(id) && ids.size === 0) this.#waiters.delete(other)
    }
  }

  /** How many commits wait for parents, and their bytes: bounded by the limits. */
  get pending(): { readonly commits: number; readonly bytes: number } {
    return { commits: this.#pending.size, bytes: this.#pendingBytes }
  }

  /** Stores what is on the road, if the disk takes it at once, and closes the log. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    this.#start()
    await this.#running
    this.#closed = true
    this.cleaning.close()
    for (const work of this.#work.splice(0)) if (work.kind === 'mark') work.through()
    await this.#journal?.close()
  }
}

/** The beginning of what was drawn for a log when it was made. */
const storeIn = (header: Uint8Array | undefined): Uint8Array | undefined => {
  const plain = header && decode(header)
  const drawn = Array.isArray(plain) ? (plain as readonly Plain[])[3] : undefined
  return isBytes(drawn) && drawn.length >= storeBytes ? drawn.slice(0, storeBytes) : undefined
}
