/**
 * A repository as an app uses it: items in memory, edited synchronously, captured into signed commits. The capture loop takes the first
 * change at the end of the microtask and then at most three commits a second.
 */
import { limits } from '../bytes/limits.ts'
import { type Code, type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import {
  type Change,
  type Commit,
  composeCommit,
  chainName,
  type Draft as ChangeDraft,
  type Policy,
  sealCommit,
  signedBytes,
  sizeOf,
  type UnsignedCommit,
} from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import { partition } from '../edit/partition.ts'
import { toHex } from '../bytes/bytes.ts'
import type { Initial, Item, Schema } from '../schema/schema.ts'
import { fieldNamed } from '../schema/schema.ts'
import { isScalar } from '../schema/field.ts'
import type { Entry } from '../trust/entry.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import { Counting, type Counted } from './counting.ts'
import { itemClass, liveOf } from './item.ts'
import { type LastChange, LiveItem, type SavedState } from './live.ts'
import { type Origin, Pipeline } from './pipeline.ts'
import type { Files, Runtime, SigningKey } from './ports.ts'
import { Query } from './query.ts'
import { type Readable, reportRead } from './reads.ts'
import type { RootLog } from './rootlog.ts'

/** What a repository needs of its replica. */
export interface Host {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  readonly authority: boolean
  /** Commits a second, at most. */
  readonly captureRate: number
  readonly identity: { readonly session: string; readonly key: SigningKey; readonly name: string } | undefined
  /** Whether what is stored here lasts. */
  readonly lasting: boolean
  schemaHash(schema: Schema): string
  schema(hash: string): Schema | undefined
  authorize(path: string, commit: Commit, change: Change): Refusal | undefined
  incident(why: Refusal, repository: string): void
  /** Something about saving or opening changed. */
  progress(repository: Repository): void
  committed(repository: Repository, settled: readonly { readonly commit: Commit; readonly origin: Origin }[]): void
  entered(repository: Repository, entries: readonly Entry[], origin: Origin): void
  refused(repository: Repository, origin: object, id: string, why: Refusal): void
}

interface Waiter {
  /** The commits asked about; undefined until the item's draft is captured. */
  commits: readonly string[] | undefined
  readonly live: LiveItem
  readonly level: 'local' | 'authority'
  resolve(): void
  reject(error: WeftError): void
}

export class Repository {
  readonly path: string
  readonly pipeline: Pipeline
  readonly counting: Counting
  /** Resolves when what this device holds of the repository is in memory. */
  readonly ready: Promise<void>
  readonly #host: Host
  readonly #live = new Map<string, LiveItem>()
  readonly #facades = new Map<LiveItem, Item>()
  readonly #makers = new Map<string, (of: LiveItem) => Item>()
  readonly #dirty = new Set<LiveItem>()
  readonly #stale = new Set<LiveItem>()
  readonly #versions = new Map<string, number>()
  readonly #changeListeners = new Set<() => void>()
  readonly #waiters = new Set<Waiter>()
  /** Own commits that are not durable yet. */
  readonly #undurable = new Set<string>()
  #markReady: () => void = () => {}
  #failReady: (error: unknown) => void = () => {}
  #incarnation: string | undefined
  #chainSession: string | undefined
  #seq = 0
  #prev: string | null = null
  #sealing: Promise<void> = Promise.resolve()
  #lastCapture = Number.NEGATIVE_INFINITY
  #cancelCapture: (() => void) | undefined
  #captureQueued = false
  #inTransaction = false
  #telling = false
  #cancelDue: (() => void) | undefined
  #closed = false
  readonly #changes: Readable = { subscribe: (listener) => this.onChange(listener) }
  /** True once this replica was level with the authority in this run. */
  synced = false

  constructor(path: string, host: Host) {
    this.path = path
    this.#host = host
    this.counting = new Counting(
      {
        schema: (hash) => host.schema(hash),
        policyKnown: (commit) => host.root.knows(commit.policy.root) && this.pipeline.knows(commit.policy.authority),
        now: () => host.clock.now(),
        isOwn: (commit) => commit.session === host.identity?.session,
        authorize: (commit, change) => host.authorize(path, commit, change),
      },
      (counted) => this.#counted(counted),
    )
    this.pipeline = new Pipeline({
      path,
      runtime: host.runtime,
      root: host.root,
      certificates: host.certificates,
      authorityNow: host.authority ? () => host.clock.now() : undefined,
      events: {
        count: (commit) => this.counting.count(commit),
        settled: (settled) => this.#settled(settled),
        entries: (entries, origin) => this.#entered(entries, origin),
        refused: (origin, id, why) => {
          if (origin === 'local') host.incident(why, path)
          else host.refused(this, origin, id, why)
        },
        incident: (why) => host.incident(why, path),
        storage: (why) => {
          this.problem = why
          host.progress(this)
        },
      },
    })
    this.ready = new Promise((resolve, reject) => {
      this.#markReady = resolve
      this.#failReady = reject
    })
    // Opening is awaited by whoever asks; a failure that nobody asks about is in the status.
    this.ready.catch(() => undefined)
  }

  /** Why storing does not work at the moment. */
  problem: Refusal | undefined

  /** Opens the repository's log. Called once, when the network is known. */
  async open(files: Files, name: string): Promise<void> {
    try {
      await this.pipeline.open(files, name)
    } catch (error) {
      this.#failReady(error)
      throw error
    }
    for (const live of this.#live.values()) this.#stale.add(live)
    for (const entry of this.pipeline.log.entries) this.#applyEntry(entry)
    // A commit may stand before the entry it cites.
    this.counting.retry()
    this.#refresh()
    this.#scheduleDue()
    this.#bumpAll()
    this.#markReady()
    this.#scheduleCapture()
    this.#host.progress(this)
  }

  /** Makes an item. Its key is random unless given; a given key makes two creations of it one item. */
  create<S extends Schema>(schema: S, values: Initial<S> = {} as Initial<S>, options: { key?: string } = {}): Item<S> {
    this.#mustBeUsable()
    const live = this.#liveItem(options.key ?? this.#newKey(), schema)
    live.touch()
    const item = this.#facade(live)
    for (const [name, value] of Object.entries(values as Record<string, unknown>)) {
      if (value === undefined) continue
      this.#initialise(live, name, value)
    }
    // The facade was made by the class of this very schema.
    return item as Item<S>
  }

  #initialise(live: LiveItem, name: string, value: unknown): void {
    const field = fieldNamed(live.schema, name)
    if (field === undefined) throw new TypeError(`${live.schema.name} has no field ${name}`)
    if (isScalar(field)) live.assign(name, value)
    else if (field.kind === 'text') live.splice(name, value === '' ? [] : [{ at: 0, remove: 0, insert: String(value) }])
    else if (field.kind === 'set') for (const element of value as Iterable<unknown>) live.edit(() => live.draft.add(name, element, live.state))
    else for (const [key, element] of Object.entries(value as object)) live.edit(() => live.draft.put(name, key, element))
  }

  /** The item of that key: undefined while the repository opens, null when it is not there or deleted. */
  item<S extends Schema>(schema: S, key: string): Item<S> | null | undefined {
    const hash = this.#host.schemaHash(schema)
    reportRead(this.#changes)
    if (!this.pipeline.isOpen && this.#live.get(liveName(key, hash)) === undefined) return undefined
    if (this.counting.item(key, hash) === undefined) return null
    const live = this.#liveItem(key, schema)
    reportRead(live)
    return live.isPresent ? (this.#facade(live) as Item<S>) : null
  }

  /** Deletes an item. An edit made elsewhere at the same time brings it back. */
  delete(item: object): void {
    this.#mustBeUsable()
    liveOf(item).delete()
  }

  /** Brings a deleted item back as it was. */
  restore(item: object): void {
    this.#mustBeUsable()
    liveOf(item).touch()
  }

  /** The items of a schema: filter, sort, subscribe. */
  query<S extends Schema>(schema: S): Query<S> {
    const hash = this.#host.schemaHash(schema)
    return new Query(
      {
        items: <T extends Schema>(of: T) => this.#items(of),
        version: () => this.#versions.get(hash) ?? 0,
        changes: this.#changes,
      },
      schema,
    )
  }

  /** Calls back once a microtask after anything in the repository changed. */
  onChange(listener: () => void): () => void {
    this.#changeListeners.add(listener)
    return () => void this.#changeListeners.delete(listener)
  }

  /**
   * Runs `change` and commits what it edited at once, as one atomic commit: all of it counts or none. When it throws, or a field refuses
   * a value, or it does not fit one commit, nothing of it stays. What was edited before goes into a commit of its own.
   */
  transact(change: () => void): void {
    this.#mustBeUsable()
    if (this.#inTransaction) return change()
    if (!this.#canCommit()) throw new WeftError('Closed', `${this.path} is not open yet: await its ready`)
    this.#capture()
    this.#inTransaction = true
    try {
      change()
      for (const live of this.#dirty) {
        const [refused] = live.draft.refused
        if (refused !== undefined) throw new WeftError('BadValue', refused[1].refusal.about)
      }
      const taken = this.#take()
      if (taken.length > limits.changes || taken.some(({ pieces }) => pieces.length > 1)) throw this.#tooLarge(taken)
      // What was put in and taken out again leaves nothing to commit, and a commit without a change is malformed.
      if (taken.length > 0) {
        const edits = taken.map(({ live, pieces }) => ({ live, operations: pieces[0] ?? [] }))
        if (this.#commit(edits, true) === undefined) throw this.#tooLarge(taken)
      }
    } catch (error) {
      for (const live of this.#dirty) live.discard()
      throw error
    } finally {
      this.#inTransaction = false
      this.#dirty.clear()
    }
    this.#lastCapture = this.#host.runtime.elapsed()
  }

  #tooLarge(taken: readonly Taken[]): WeftError {
    for (const { live } of taken) live.discard()
    return new WeftError('TooLarge', 'a transaction is one commit')
  }

  /** Resolves when every change of the item made so far is saved at that level; rejects when it never will be. */
  #saved(live: LiveItem, level: 'local' | 'authority'): Promise<void> {
    if (level === 'local' && !this.#host.lasting) return Promise.reject(new WeftError('NoStorage', this.path))
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { commits: undefined, live, level, resolve, reject }
      this.#waiters.add(waiter)
      this.#checkWaiters()
    })
  }

  #savedState(live: LiveItem): SavedState {
    reportRead(live)
    if (!live.draft.isEmpty) return 'draft'
    const ids = live.merged.heads.map((index) => live.merged.graph.node(index).id)
    if (ids.every((id) => this.covers(id))) return 'authority'
    return this.#host.lasting && ids.every((id) => this.pipeline.commits.has(id)) ? 'local' : 'draft'
  }

  /** Whether a checkpoint of the authority covers the commit. */
  covers(id: string): boolean {
    const { commits, log } = this.pipeline
    const commit = commits.get(id)
    const covered = commit === undefined ? undefined : log.covered.get(commit.chain)
    if (commit === undefined || covered === undefined || covered.seq < commit.seq) return false
    if (commits.headsOf(commit.chain).length <= 1) return true
    let at: string | null = covered.id
    for (let next = commits.get(covered.id); next !== undefined && next.seq > commit.seq; next = at === null ? undefined : commits.get(at)) {
      at = next.prev
    }
    return at === id
  }

  /** Own commits that no checkpoint covers yet, and drafts not in a commit. */
  get unacknowledged(): number {
    const session = this.#host.identity?.session
    if (session === undefined) return this.#dirty.size
    let count = this.#undurable.size
    for (const head of this.pipeline.commits.heads()) {
      if (!head.chain.startsWith(session)) continue
      count += head.seq - (this.pipeline.log.covered.get(head.chain)?.seq ?? -1)
    }
    return count + this.#dirty.size
  }

  /** Items and commits that are not in this device's log yet. */
  get unsaved(): number {
    return this.#dirty.size + this.#undurable.size
  }

  /** The latest change that counts at the item: who made it and when. */
  #lastChange(live: LiveItem): LastChange | undefined {
    reportRead(live)
    let last: { id: string; clock: number } | undefined
    for (const index of live.merged.heads) {
      const { id, clock } = live.merged.graph.node(index)
      if (last === undefined || clock > last.clock || (clock === last.clock && id > last.id)) last = { id, clock }
    }
    const session = last === undefined ? undefined : this.#sessionOf(last.id)
    if (last === undefined || session === undefined) return undefined
    const own = this.#host.identity
    const name = this.#host.certificates.get(session)?.name ?? (own?.session === session ? own.name : session.slice(0, 8))
    return { session, name, time: Math.floor(last.clock / 256) }
  }

  #sessionOf(id: string): string | undefined {
    return this.pipeline.commits.get(id)?.session ?? (this.#undurable.has(id) ? this.#host.identity?.session : undefined)
  }

  /** Something this replica waited for became known: the root log grew, a schema came, time went on. */
  reconsider(): void {
    this.#cancelDue?.()
    this.#cancelDue = undefined
    this.counting.retry()
    this.#refresh()
    this.#scheduleDue()
  }

  /** The session is known now, or another: what is dirty may be captured. */
  identityChanged(): void {
    this.#scheduleCapture()
  }

  /** Captures what is dirty at once, whatever the rate. */
  flush(): void {
    this.#cancelCapture?.()
    this.#cancelCapture = undefined
    this.#capture()
  }

  async close(): Promise<void> {
    this.flush()
    this.#closed = true
    this.#cancelDue?.()
    await this.#sealing
    await this.pipeline.close()
    for (const waiter of this.#waiters) waiter.reject(new WeftError('Closed', this.path))
    this.#waiters.clear()
  }

  #mustBeUsable(): void {
    if (this.#closed) throw new WeftError('Closed', this.path)
  }

  #newKey(): string {
    return toHex(this.#host.runtime.random(12))
  }

  #liveItem(key: string, schema: Schema): LiveItem {
    const hash = this.#host.schemaHash(schema)
    const name = liveName(key, hash)
    const held = this.#live.get(name)
    if (held !== undefined) return held
    const live = new LiveItem(this.counting.open(key, hash, schema), hash, {
      dirty: (one) => {
        this.#dirty.add(one)
        this.#host.progress(this)
        if (!this.#inTransaction) this.#scheduleCapture()
      },
      changed: (one) => this.#bump(one.schemaHash),
      saved: (one, level) => this.#saved(one, level),
      savedState: (one) => this.#savedState(one),
      lastChange: (one) => this.#lastChange(one),
    })
    this.#live.set(name, live)
    return live
  }

  #facade(live: LiveItem): Item {
    const held = this.#facades.get(live)
    if (held !== undefined) return held
    const make = this.#makers.get(live.schemaHash) ?? itemClass(live.schema)
    this.#makers.set(live.schemaHash, make)
    const item = make(live)
    this.#facades.set(live, item)
    return item
  }

  #items<S extends Schema>(schema: S): Item<S>[] | undefined {
    if (!this.pipeline.isOpen) return undefined
    const hash = this.#host.schemaHash(schema)
    const items: Item<S>[] = []
    for (const [key, versions] of this.counting.items) {
      if (!versions.has(hash)) continue
      const live = this.#liveItem(key, schema)
      // The facade was made by the class of this very schema.
      if (live.isPresent) items.push(this.#facade(live) as Item<S>)
    }
    return items
  }

  #counted({ item, commit, refusal: why }: Counted): void {
    this.#host.clock.see(commit.clock)
    if (why !== undefined) this.#host.incident(why, this.path)
    const hash = this.#host.schemaHash(item.schema)
    const live = this.#live.get(liveName(item.key, hash))
    if (live !== undefined) this.#stale.add(live)
    else this.#bump(hash)
  }

  #refresh(): void {
    for (const live of this.#stale) live.refresh()
    this.#stale.clear()
  }

  #settled(settled: readonly { readonly commit: Commit; readonly origin: Origin }[]): void {
    this.counting.retry()
    this.#refresh()
    for (const { commit } of settled) {
      this.#undurable.delete(commit.id)
      this.#tellSaved(commit)
    }
    this.#scheduleDue()
    this.#host.committed(this, settled)
    this.#checkWaiters()
    this.#host.progress(this)
  }

  #entered(entries: readonly Entry[], origin: Origin): void {
    for (const entry of entries) this.#applyEntry(entry)
    this.counting.retry()
    this.#refresh()
    this.#host.entered(this, entries, origin)
    this.#checkWaiters()
    this.#host.progress(this)
  }

  #applyEntry({ statement, n }: Entry): void {
    if (statement.kind === 'verdict') {
      const commit = this.pipeline.commits.get(statement.commit)
      for (const change of commit?.changes ?? []) {
        if (statement.key !== null && statement.key !== change.key) continue
        const item = this.counting.item(change.key, change.schema.hash)
        const index = item?.graph.indexOf(statement.commit)
        if (item === undefined || index === undefined) continue
        item.void(index, n)
        const live = this.#live.get(liveName(change.key, change.schema.hash))
        if (live !== undefined) this.#stale.add(live)
      }
      this.#host.incident(refusal('Voided', `${statement.rule}: ${statement.reason}`), this.path)
    }
    if (statement.kind !== 'checkpoint') return
    for (const head of statement.moved) {
      for (let commit = this.pipeline.commits.get(head.id); commit !== undefined; ) {
        this.#tellSaved(commit)
        commit = commit.prev === null || commit.seq <= this.#told(commit.chain) ? undefined : this.pipeline.commits.get(commit.prev)
      }
      this.#toldUpTo.set(head.chain, head.seq)
    }
  }

  readonly #toldUpTo = new Map<string, number>()

  #told(chain: string): number {
    return this.#toldUpTo.get(chain) ?? -1
  }

  #tellSaved(commit: Commit): void {
    for (const change of commit.changes) this.#live.get(liveName(change.key, change.schema.hash))?.tellSaved()
  }

  #scheduleDue(): void {
    const due = this.counting.nextDue()
    if (due === undefined || this.#cancelDue !== undefined || this.#closed) return
    const wait = Math.max(0, Math.ceil(due - this.#host.clock.now())) + 1
    this.#cancelDue = this.#host.runtime.timer(Math.min(wait, 3_600_000), () => this.reconsider())
  }

  #bump(hash: string): void {
    this.#versions.set(hash, (this.#versions.get(hash) ?? 0) + 1)
    if (this.#telling) return
    this.#telling = true
    void Promise.resolve().then(() => {
      this.#telling = false
      for (const listener of [...this.#changeListeners]) listener()
    })
  }

  #bumpAll(): void {
    for (const versions of this.counting.items.values()) for (const hash of versions.keys()) this.#bump(hash)
    this.#bump('')
    for (const [hash, version] of this.#versions) this.#versions.set(hash, version + 1)
  }

  #canCommit(): boolean {
    const { identity, certificates, root } = this.#host
    if (!this.pipeline.isOpen || this.#closed || identity === undefined || root.position === null) return false
    // Rules judge the owner whom the certificate names: before it is here, this replica would judge otherwise than all others.
    return certificates.get(identity.session) !== undefined
  }

  #scheduleCapture(): void {
    if (this.#captureQueued || this.#cancelCapture !== undefined || this.#dirty.size === 0 || !this.#canCommit()) return
    const wait = 1000 / this.#host.captureRate - (this.#host.runtime.elapsed() - this.#lastCapture)
    if (wait > 0) {
      this.#cancelCapture = this.#host.runtime.timer(wait, () => {
        this.#cancelCapture = undefined
        this.#capture()
      })
      return
    }
    this.#captureQueued = true
    void Promise.resolve().then(() => {
      this.#captureQueued = false
      this.#capture()
    })
  }

  #take(): Taken[] {
    const taken: Taken[] = []
    for (const live of this.#dirty) {
      const pieces = partition(live.draft.take(live.state))
      if (pieces.length > 0) taken.push({ live, pieces })
    }
    return taken
  }

  /** Puts everything dirty into commits: one, unless it is too much for one. */
  #capture(): void {
    if (this.#dirty.size === 0 || !this.#canCommit()) return
    this.#refresh()
    const taken = this.#take()
    this.#dirty.clear()
    if (taken.length === 0) return this.#host.progress(this)
    this.#lastCapture = this.#host.runtime.elapsed()
    for (let piece = 0; taken.some(({ pieces }) => piece < pieces.length); piece++) {
      let edits: Edit[] = []
      let weight = 0
      for (const { live, pieces } of taken) {
        const operations = pieces[piece]
        if (operations === undefined) continue
        edits.push({ live, operations })
        weight += operations.length === 1 ? 1 : 4 + operations.length
        if (edits.length >= limits.changes || weight >= 2_000) {
          this.#commitOrSplit(edits)
          edits = []
          weight = 0
        }
      }
      if (edits.length > 0) this.#commitOrSplit(edits)
    }
    this.#host.progress(this)
  }

  /** One commit, or, when the bytes are too many for one, one for each half. */
  #commitOrSplit(edits: readonly Edit[]): void {
    if (this.#commit(edits, false) !== undefined) return
    const half = Math.ceil(edits.length / 2)
    if (half === edits.length) throw new RangeError(`one piece of ${edits[0]?.live.key} does not fit a commit`)
    this.#commitOrSplit(edits.slice(0, half))
    this.#commitOrSplit(edits.slice(half))
  }

  /** Composes, counts, signs and submits one commit. Undefined, with nothing done, when it is too large. */
  #commit(edits: readonly Edit[], atomic: boolean): UnsignedCommit | undefined {
    const identity = this.#host.identity
    if (identity === undefined) return undefined
    for (const { live } of edits) this.#joinHeads(live)
    const drafts = edits.map(({ live, operations }) => this.#draft(live, operations))
    const unsigned = this.#compose(drafts, atomic, identity.session)
    if (sizeOf(unsigned) > limits.commitBytes) return undefined
    this.#send(unsigned, identity.key)
    for (const { live } of edits) live.refresh(true)
    this.#checkWaiters()
    return unsigned
  }

  #draft(live: LiveItem, operations: readonly Operation[]): ChangeDraft {
    const { graph } = live.merged
    const { name, version } = live.schema
    const parents = graph.heads.map((index) => graph.node(index).id).sort((a, b) => (a < b ? -1 : 1))
    const salt = this.#host.runtime.random(12)
    return { key: live.key, parents, schema: { name, version, hash: live.schemaHash }, operations, salt }
  }

  /** More heads than a change may name are joined by empty changes first. */
  #joinHeads(live: LiveItem): void {
    const identity = this.#host.identity
    while (identity !== undefined && live.merged.heads.length > limits.parents) {
      const draft = this.#draft(live, [])
      this.#send(this.#compose([{ ...draft, parents: draft.parents.slice(0, limits.parents) }], false, identity.session), identity.key)
    }
  }

  #compose(drafts: readonly ChangeDraft[], atomic: boolean, session: string): UnsignedCommit {
    const { runtime, root, clock } = this.#host
    if (this.#incarnation === undefined || this.#chainSession !== session) {
      this.#incarnation = toHex(runtime.random(8))
      this.#chainSession = session
      this.#seq = 0
      this.#prev = null
    }
    const { network, position } = root
    if (network === undefined || position === null) throw new Error('a commit is made after the network is known')
    const policy: Policy = { root: position, authority: this.pipeline.position }
    const header = {
      network,
      repository: this.path,
      session,
      incarnation: this.#incarnation,
      seq: this.#seq,
      prev: this.#prev,
      clock: clock.next(),
      policy,
      atomic,
      extended: false,
    }
    return composeCommit(header, drafts, (bytes) => runtime.hash(bytes))
  }

  #send(unsigned: UnsignedCommit, key: SigningKey): void {
    this.#seq = unsigned.fields.seq + 1
    this.#prev = unsigned.id
    this.#undurable.add(unsigned.id)
    const chain = chainName(unsigned.fields.session, unsigned.fields.incarnation)
    const provisional: Commit = { ...unsigned.fields, id: unsigned.id, chain, changes: unsigned.changes, signature: noBytes, bytes: noBytes }
    this.counting.count(provisional)
    const signature = key.sign(signedBytes(unsigned.id))
    this.#sealing = this.#sealing.then(async () => this.pipeline.submit(sealCommit(unsigned, await signature)))
  }

  #checkWaiters(): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.commits === undefined) {
        if (!waiter.live.draft.isEmpty) continue
        const { merged } = waiter.live
        waiter.commits = merged.heads.map((index) => merged.graph.node(index).id)
      }
      const { commits } = this.pipeline
      const done = waiter.commits.every((id) => (waiter.level === 'local' ? commits.has(id) : this.covers(id)))
      if (!done) continue
      this.#waiters.delete(waiter)
      waiter.resolve()
    }
  }

  /** Rejects what waits for commits that never will be saved. */
  rejectWaiters(id: string, code: Code, about: string): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.commits?.includes(id) !== true) continue
      this.#waiters.delete(waiter)
      waiter.reject(new WeftError(code, about))
    }
  }
}

interface Edit {
  readonly live: LiveItem
  readonly operations: readonly Operation[]
}

interface Taken {
  readonly live: LiveItem
  readonly pieces: readonly (readonly Operation[])[]
}

const noBytes = new Uint8Array(0)
const liveName = (key: string, schemaHash: string): string => `${schemaHash}/${key}`
