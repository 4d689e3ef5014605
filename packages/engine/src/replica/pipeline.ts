/**
 * The one road of a repository's commits, local and remote alike:
 *
 *     local:  capture -> count -> sign ->|
 *     remote: read -> certificate -> verify ->| -> check -> stage -> log -> settle -> peers -> (remote: count)
 *
 * A commit is durable here before any peer sees it, and nothing that could not be stored leaves a trace. One append is under way at a
 * time; what arrives meanwhile goes out with the next.
 *
 * What the authority's log erases is taken out of what is held and of what comes, before anybody sees it, and the log's file is then
 * written anew without it; until that worked it is tried again.
 */

import { concatBytes, fromHex } from '../bytes/bytes.ts'
import { decode, encode } from '../bytes/cbor.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { isBytes } from '../bytes/shape.ts'
import { type Commit, format, type Position } from '../commit/commit.ts'
import type { Run } from '../commit/run.ts'
import { Commits } from '../graph/commits.ts'
import { type Framed, frameKinds } from '../log/frame.ts'
import type { LogLayout } from '../log/layout.ts'
import { type Arrived, PackedLogWriter } from '../log/packedlog.ts'
import type { ItemName } from '../sync/recall.ts'
import type { Known } from '../sync/session.ts'
import { AuthorityLog } from '../trust/authoritylog.ts'
import type { Certificate } from '../trust/certificate.ts'
import type { Entry } from '../trust/entry.ts'
import type { Certificates } from './certificates.ts'
import type { Compacted } from './cleaning.ts'
import { Cleaning } from './cleaning.ts'
import { encodeRecalled } from './floor.ts'
import { Journal } from './journal.ts'
import { KnownStores, storeBytes } from './known.ts'
import { type Brought, type Origin, Pending, type Staged } from './pending.ts'
import type { PipelineEvents } from './pipelineevents.ts'
import type { Files, Runtime } from './ports.ts'
import type { Gate } from './quota.ts'
import { type Received, Reception, whyForeign } from './reception.ts'
import { Rewriting } from './rewriting.ts'
import type { RootLog } from './rootlog.ts'
import type { Snapshot } from './snapshot.ts'
import { StoredLog } from './storedlog.ts'

type Work =
  /** Everything a channel brought in one message is behind this. */
  | { readonly kind: 'mark'; readonly through: () => void }
  | { readonly kind: 'run'; readonly run: Run; readonly origin: Origin }
  | { readonly kind: 'entry'; readonly entry: Entry; readonly origin: Origin }
  | { readonly kind: 'known'; readonly payload: Uint8Array }
  | { readonly kind: 'recall'; readonly item: ItemName; readonly history: readonly Commit[] }

/** The log, and what its next commits may refer to. */
interface Store {
  readonly journal: Journal
  readonly packing: PackedLogWriter
}

/** Work taken into one append; up to twice as much, so that a message is not cut. */
const batchSize = 4_096
const firstRetry = 500
const lastRetry = 30_000

export class Pipeline {
  readonly path: string
  readonly commits = new Commits()
  readonly log: AuthorityLog
  readonly cleaning: Cleaning
  readonly rewriting: Rewriting
  readonly known = new KnownStores()
  /** Where the frames of the log are; undefined where that cannot be told by what is in memory. */
  layout: LogLayout | undefined
  /** Names this log among all copies of the repository. */
  store: Uint8Array
  readonly #runtime: Runtime
  readonly #root: RootLog
  readonly #certificates: Certificates
  readonly #events: PipelineEvents
  readonly #isCopy: () => boolean
  #store: Store | undefined
  /** Sessions whose certificate is in this repository's log. */
  readonly #certified = new Set<string>()
  readonly #work: Work[] = []
  /** What waits for parents: bounded by the limits. */
  readonly pending = new Pending()
  readonly #reception: Reception
  /** Packs that are on the road, by their first record. */
  readonly #arrived = new Map<Uint8Array, Arrived>()
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
    /** Whether the log is a copy that another replica of this device goes on with. */
    isCopy: () => boolean
  }) {
    this.#isCopy = options.isCopy
    this.path = options.path
    this.log = new AuthorityLog(options.path)
    this.cleaning = new Cleaning(options.runtime, this.log, {
      incident: (why) => this.#events.incident(why),
      again: () => this.#mark(),
    })
    this.rewriting = new Rewriting(this.cleaning, {
      discard: () => {
        this.layout = undefined
        return this.#events.discard()
      },
      soon: () => this.#mark(),
    })
    this.store = options.runtime.random(storeBytes)
    this.#runtime = options.runtime
    this.#root = options.root
    this.#certificates = options.certificates
    this.#events = options.events
    this.#reception = new Reception({
      path: this.path,
      runtime: this.#runtime,
      root: this.#root,
      certificates: this.#certificates,
      commits: this.commits,
      pending: this.pending,
      now: options.authorityNow,
      isBlank: () => this.isBlank && !this.#events.recovering(),
      isReceipted: ({ chain, seq }) => this.#events.recovering() && seq <= (this.log.covered.get(chain)?.seq ?? -1),
      isRecovering: () => this.#events.recovering(),
      refuseFounding: (commit) => this.#events.refuseFounding(commit),
      refused: (origin, id, why) => this.#events.refused(origin, id, why),
      below: (origin, commit) => this.#events.below(origin, commit),
      take: (brought) => this.#work.push({ kind: 'run', ...brought }),
      takeEntry: (entry, origin) => this.#work.push({ kind: 'entry', entry, origin }),
      through: () =>
        new Promise((through) => {
          if (this.#closing) return through()
          this.#work.push({ kind: 'mark', through })
          this.#start()
        }),
    })
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
    return position === null || (this.log.placeOf(position) ?? this.#durableEntries) < this.#durableEntries
  }

  get isOpen(): boolean {
    return this.#store !== undefined && !this.#closed
  }

  /** Opens the log and takes in what it holds. `load`: what an earlier opening came to, if it is of this very app. */
  async open(files: Files, name: string, load?: () => Promise<Snapshot | undefined>): Promise<void> {
    const network = this.#root.network
    if (network === undefined) throw new Error('a repository is opened after its network is known')
    const fresh = encode([format, fromHex(network), this.path, concatBytes(this.store, this.#runtime.random(8))])
    const onIncident = (why: Refusal): void => this.#events.incident(why)
    let snapshot: Snapshot | undefined
    const known = async (): Promise<Snapshot | undefined> => {
      snapshot = await load?.()
      return snapshot
    }
    const opened = await Journal.open(files, name, { header: fresh, known, onIncident })
    const { journal } = opened
    if (!this.#isCopy()) this.store = storeIn(opened.header) ?? this.store
    if (this.#closing) {
      await journal.close()
      throw new WeftError('Closed', this.path)
    }
    const { cleaning } = this
    const read = new StoredLog({
      path: this.path,
      network,
      hash: this.#runtime.hash,
      commits: this.commits,
      log: this.log,
      cleaning,
      known: this.known,
      certificates: this.#certificates,
      certified: this.#certified,
      refuse: (commit) => whyForeign(commit, this.#root, this.path) ?? this.commits.check(commit, cleaning.isErased),
      incident: onIncident,
    }).read(opened, snapshot, name)
    this.#durableEntries = this.log.entries.length
    this.layout = read.layout
    this.rewriting.hasRecalled = (read.restored?.recalled.length ?? 0) > 0
    const packing = new PackedLogWriter({ network, repository: this.path })
    if (cleaning.isDue) await this.rewriting.clean(journal, packing)
    else if (!this.log.erasures.isEmpty) await cleaning.discardAside(journal)
    if (this.#closing) {
      await journal.close()
      throw new WeftError('Closed', this.path)
    }
    if (read.restored !== undefined) this.#events.restore(read.restored)
    // What the authority said of a commit may stand behind it.
    for (const commit of read.commits) this.#events.count(commit)
    for (const { missing, run } of read.waiting) {
      // What came back stands behind it.
      if (this.commits.indexOf(missing) >= this.commits.dropped) this.#work.push({ kind: 'run', run, origin: read })
      else this.pending.add(missing, { run, origin: read })
      this.#events.lacking(run)
    }
    this.#store = { journal, packing }
    this.#start()
  }

  /** Writes the log anew without what is dropped, once all that is on the road is stored. Resolves with whether that worked, or was given up. */
  compact(compacted: Compacted): Promise<boolean> {
    return this.rewriting.compact(compacted)
  }

  /** Puts the history of an item on the road that was dropped here, and is known to be all of it. */
  recall(item: ItemName, history: readonly Commit[]): void {
    this.#work.push({ kind: 'recall', item, history })
    this.#start()
  }

  /** Lets the road be gone once, though nothing is on it. */
  #mark(): void {
    this.#work.push({ kind: 'mark', through: () => undefined })
    this.#start()
  }

  /** Puts commits of this replica on the road. Their counting was done at capture. */
  submit(run: Run): void {
    this.#work.push({ kind: 'run', run, origin: 'local' })
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
    return this.commits.check(commit, this.cleaning.isErased, this.#events.wroteTo)
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
      this.pending.strip(id, (commit) => this.cleaning.strip(commit))
    }
    // What a crash left aside may hold it as well, so that the file is written anew whatever was held.
    if (erased.length > 0) this.cleaning.due()
  }

  /** Whether nothing was ever written here. */
  get isBlank(): boolean {
    return this.commits.size === 0 && this.log.next === 0
  }

  /** What the log is to whoever makes a snapshot of it; undefined while something is on the road, or some of it says nothing. */
  get stored(): { readonly layout: LogLayout; readonly checksum: number } | undefined {
    const { layout } = this
    const journal = this.#store?.journal
    if (layout === undefined || journal === undefined || !this.isIdle || this.cleaning.isPending) return undefined
    return journal.size === layout.end ? { layout, checksum: journal.checksum } : undefined
  }

  /** Whether nothing is on the road. */
  get isIdle(): boolean {
    return this.#work.length === 0 && this.#running === undefined
  }

  /** Takes in what a channel brought: see `Reception.receive`. */
  receive(
    origin: object,
    received: Received,
    onRoad?: () => void,
    gate?: Gate,
  ): Promise<{ readonly ids: readonly string[]; readonly waiting: boolean }> {
    const first = received.unpacked?.records[0]?.bytes
    if (first === undefined || received.unpacked === undefined)
      return this.#reception.receive(origin, received, onRoad, gate)
    const { pack, records } = received.unpacked
    this.#arrived.set(first, { pack, records: records.map(({ bytes }) => bytes) })
    return this.#reception.receive(origin, received, onRoad, gate).finally(() => this.#arrived.delete(first))
  }

  /** Sets the road going, unless it goes, waits for its next try, or is closed. It never rejects. */
  #start(): void {
    if (this.#running !== undefined || this.#store === undefined || this.#cancelRetry !== undefined || this.#closed)
      return
    this.#running = this.#run(this.#store).finally(() => {
      this.#running = undefined
      if (this.#work.length > 0 && !this.#closing) this.#start()
    })
  }

  async #run(store: Store): Promise<void> {
    for (let stores = true; stores && this.#work.length > 0; ) {
      try {
        stores = await this.#step(store)
      } catch (error) {
        this.#events.incident(refusal('Fault', String(error)))
      }
    }
  }

  /** One append. False when storing failed: what is local is kept and tried again later. */
  async #step({ journal, packing }: Store): Promise<boolean> {
    let count = Math.min(batchSize, this.#work.length)
    while (count < this.#work.length && count < 2 * batchSize && this.#work[count - 1]?.kind !== 'mark') count++
    const taken = this.#work.splice(0, count)
    const frames: (Framed & { readonly commits?: number })[] = []
    /** Commits that are next in the log. */
    let commits: Commit[] = []
    const pack = (): void => {
      frames.push(...packing.write(commits, (first) => this.#arrived.get(first)))
      commits = []
    }
    const brought: Brought[] = []
    const recalled: Extract<Work, { kind: 'recall' }>[] = []
    const entries: { entry: Entry; origin: Origin }[] = []
    const certified: string[] = []
    const known: Work[] = []
    /** What an entry of a new epoch leaves out comes back when it cannot be stored. */
    const standing = taken.some((work) => work.kind === 'entry' && this.log.leavesOut(work.entry))
      ? [...this.log.entries]
      : undefined
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
      if (work.kind === 'recall') {
        for (const commit of work.history) {
          if (this.commits.indexOf(commit.id) >= this.commits.dropped) continue
          const kept = this.cleaning.strip(commit)
          this.commits.keep(kept)
          certify(this.#certificates.get(kept.session))
          commits.push(kept)
        }
        pack()
        frames.push({ kind: frameKinds.recalled, payload: encodeRecalled(work.item) })
        recalled.push(work)
        continue
      }
      if (work.kind === 'known') {
        pack()
        frames.push({ kind: frameKinds.known, payload: work.payload })
        known.push(work)
        continue
      }
      if (work.kind === 'entry') {
        if (this.#stageEntry(work.entry, work.origin)) {
          entries.push(work)
          const { statement } = work.entry
          if (statement.kind === 'grant') certify(this.#certificates.ofOwner(statement.owner))
          pack()
          frames.push({ kind: frameKinds.entry, payload: work.entry.bytes })
        }
        continue
      }
      for (const ready of this.#stage(work)) {
        for (const commit of ready.run) {
          certify(this.#certificates.get(commit.session))
          commits.push(commit)
        }
        brought.push(ready)
      }
    }
    pack()
    const staged = brought.flatMap(({ run, origin }) => run.map((commit) => ({ commit, origin })))
    // What an entry of this very append erases is nowhere yet.
    const prepares = staged.length > 0 && entries.length === 0
    try {
      if (frames.length > 0) {
        const ends = await journal.append(frames, () => prepares && this.#prepare(staged))
        for (const [index, { kind, payload, commits: count = 0 }] of frames.entries())
          this.layout?.add(kind, payload, ends[index] ?? 0, count)
      }
    } catch (error) {
      const why = error instanceof StorageError ? refusal(error.code, error.about) : refusal('DiskError', String(error))
      packing.reset()
      this.commits.rollback()
      this.log.truncate(standing === undefined ? this.#durableEntries : 0)
      for (const entry of standing ?? []) this.log.append(entry)
      for (const session of certified) this.#certified.delete(session)
      this.#storingFailed(why, brought, entries, [...recalled, ...known])
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
      if (staged.length > 0) this.#events.sharing.stored(staged)
    } finally {
      this.#settle(staged, entries, marks)
    }
    for (const { item, history } of recalled) this.#recalled(item, history)
    await this.rewriting.step(journal, packing)
    return true
  }

  /** The item is counted again, and what waited for a commit that is here now goes on. */
  #recalled(item: ItemName, history: readonly Commit[]): void {
    this.rewriting.hasRecalled = true
    this.#events.recalled(
      item,
      history.flatMap(({ id }) => this.commits.get(id) ?? []),
    )
    for (const { id } of history)
      for (const waited of this.pending.take(id)) this.#work.push({ kind: 'run', ...waited })
  }

  #prepare(staged: Staged): void {
    try {
      this.#events.sharing.storing(staged)
    } catch (error) {
      this.#events.incident(refusal('Fault', String(error)))
    }
  }

  #settle(
    staged: Staged,
    entries: readonly { readonly entry: Entry; readonly origin: Origin }[],
    marks: readonly (() => void)[],
  ): void {
    try {
      for (const { commit, origin } of staged) if (origin !== 'local') this.#events.count(commit)
      if (staged.length > 0) this.#events.settled(staged)
      const byOrigin = new Map<Origin, Entry[]>()
      for (const { entry, origin } of entries) byOrigin.set(origin, [...(byOrigin.get(origin) ?? []), entry])
      for (const [origin, some] of byOrigin) this.#events.entries(some, origin)
    } finally {
      for (const through of marks) through()
    }
  }

  #storingFailed(
    why: Refusal,
    staged: readonly Brought[],
    entries: readonly { entry: Entry; origin: Origin }[],
    known: readonly Work[],
  ): void {
    const kept: Work[] = []
    for (const { run, origin } of staged) {
      if (origin === 'local') kept.push({ kind: 'run', run, origin })
      else for (const { id } of run) this.#events.refused(origin, id, why)
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
    const [first, ...others] = this.log.entries.slice(entry.n)
    if (first !== undefined) {
      const last = others.at(-1) ?? first
      this.#events.incident(
        refusal('EpochLost', `${this.path} from ${first.epoch}/${first.n} to ${last.epoch}/${last.n}`),
      )
    }
    this.log.append(entry)
    return true
  }

  /** Stages a run and whatever waited for it. */
  #stage(work: Brought): Brought[] {
    const ready: Brought[] = []
    const queue = [work]
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const run: Commit[] = []
      // What is here stands behind all it builds on.
      for (const commit of next.run)
        if (run.length > 0 || this.commits.get(commit.id) === undefined) run.push(this.cleaning.strip(commit))
      const brought = { run, origin: next.origin }
      if (run.length === 0 || !this.#stageRun(brought)) continue
      ready.push(brought)
      if (this.pending.runs > 0) for (const { id } of run) queue.push(...this.pending.take(id))
    }
    return ready
  }

  /** The commit of another branch in the place of this one, and what vouches for it. */
  #rival(commit: Commit): Run {
    const rival = this.commits.rival(commit)
    return rival === undefined ? [] : this.commits.runFrom(rival.id)
  }

  /** All of it or nothing: what is under one signature stands together. */
  #stageRun(brought: Brought): boolean {
    const { run, origin } = brought
    const forks: Commit[] = []
    let staged = 0
    for (const commit of run) {
      const why = this.#check(commit)
      if (why === undefined) {
        if (this.commits.stage(commit)) forks.push(commit)
        staged++
        continue
      }
      this.commits.rollback(staged)
      if (why.code === 'MissingParents' && origin !== 'local') {
        this.pending.add(why.about, brought)
        if (this.commits.dropsAny) this.#events.lacking(run)
      } else if (origin === 'local') for (const one of run) this.#events.rejected({ commit: one }, why)
      else this.#events.refused(origin, commit.id, why)
      return false
    }
    for (const commit of forks) {
      this.#events.incident(refusal('ChainForked', commit.chain))
      const other = run.slice(run.indexOf(commit))
      this.#events.forked({ kind: 'chain', held: () => this.#rival(commit), other })
    }
    return true
  }

  /** Stores what is on the road, if the disk takes it at once, and closes the log. */
  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    this.#cancelRetry?.()
    this.#cancelRetry = undefined
    this.#start()
    await this.#running
    this.rewriting.close()
    this.#closed = true
    this.cleaning.close()
    for (const work of this.#work.splice(0)) if (work.kind === 'mark') work.through()
    await this.#store?.journal.close()
  }
}

/** The beginning of what was drawn for a log when it was made. */
const storeIn = (header: Uint8Array | undefined): Uint8Array | undefined => {
  const plain = header && decode(header)
  const drawn = Array.isArray(plain) ? (plain as readonly Plain[])[3] : undefined
  return isBytes(drawn) && drawn.length >= storeBytes ? drawn.slice(0, storeBytes) : undefined
}
