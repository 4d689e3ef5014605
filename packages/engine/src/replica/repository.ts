/**
 * A repository as an app uses it: items in memory, edited synchronously, captured into signed commits. The capture loop takes the first
 * change at the end of the microtask and then at most three commits a second.
 */
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import {
  type Change,
  type Commit,
  composeCommit,
  chainName,
  type Draft as ChangeDraft,
  type Policy,
  sizeOf,
  type UnsignedCommit,
} from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import type { RefusedValue } from '../edit/draft.ts'
import { partition, weightOf } from '../edit/partition.ts'
import type { Rope } from '../merge/rope.ts'
import { isWellFormed, toHex, utf8Length } from '../bytes/bytes.ts'
import type { Initial, Item, Schema } from '../schema/schema.ts'
import { fieldNamed } from '../schema/schema.ts'
import { isScalar, type ScalarValue } from '../schema/field.ts'
import type { MapHandle, SetHandle, TextHandle } from '../schema/handle.ts'
import type { Entry } from '../trust/entry.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import { Counting, type Counted } from './counting.ts'
import { itemClass, liveOf } from './item.ts'
import { Listeners } from './listeners.ts'
import { type LastChange, LiveItem, type SavedState } from './live.ts'
import { type Origin, Pipeline } from './pipeline.ts'
import type { Files, Runtime, SigningKey } from './ports.ts'
import { Query } from './query.ts'
import { type Readable, reportRead } from './reads.ts'
import type { RootLog } from './rootlog.ts'
import { Saving } from './saving.ts'
import { Sealing } from './sealing.ts'

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
  /** An entry this replica signed as the authority does not fit its log. */
  misplaced(repository: Repository): void
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
  readonly #changeListeners: Listeners
  readonly #saving: Saving
  readonly #sealing: Sealing
  /** Items whose own change was refused while it was captured: what they showed is not what they are. */
  readonly #refusedLive = new Set<LiveItem>()
  /** Values that schemas had refused before the transaction under way. */
  readonly #refusedBefore = new Map<LiveItem, ReadonlyMap<string, RefusedValue>>()
  #markReady: () => void = () => {}
  #failReady: (error: unknown) => void = () => {}
  #incarnation: string | undefined
  #chainSession: string | undefined
  #seq = 0
  #prev: string | null = null
  #lastCapture = Number.NEGATIVE_INFINITY
  #cancelCapture: (() => void) | undefined
  #captureQueued = false
  #inTransaction = false
  #telling = false
  #cancelDue: (() => void) | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #opening: Promise<void> | undefined
  #signing: Refusal | undefined
  #storing: Refusal | undefined
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
        full: () => host.incident(refusal('TooMany', `${limits.heldChanges} commits that do not count yet`), path),
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
          if (origin !== 'local') host.refused(this, origin, id, why)
        },
        rejected: (made, why) => {
          host.incident(why, path)
          if ('entry' in made) return host.misplaced(this)
          this.#saving.drop(made.commit.id, why)
          this.#saving.check()
          host.progress(this)
        },
        incident: (why) => host.incident(why, path),
        storage: (why) => {
          this.#storing = why
          host.progress(this)
        },
      },
    })
    this.#changeListeners = new Listeners((error) => this.#threw(error))
    this.#saving = new Saving(this.pipeline.commits)
    this.#sealing = new Sealing(host.runtime, {
      sealed: (commit) => this.pipeline.submit(commit),
      problem: (why) => {
        if (why !== undefined) host.incident(why, path)
        this.#signing = why
        host.progress(this)
      },
    })
    this.ready = new Promise((resolve, reject) => {
      this.#markReady = resolve
      this.#failReady = reject
    })
    // Opening is awaited by whoever asks; a failure that nobody asks about is in the status.
    this.ready.catch(() => undefined)
  }

  /** Why opening, signing or storing does not work at the moment. */
  get problem(): Refusal | undefined {
    return this.#storing ?? this.#signing
  }

  /**
   * Opens the repository's log, once the network is known. Rejects with a `StorageError` when that may be tried again, and with `Closed`
   * when it was closed meanwhile; after anything else it stays closed.
   */
  open(files: Files, name: string): Promise<void> {
    this.#opening ??= this.#open(files, name).finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #open(files: Files, name: string): Promise<void> {
    try {
      await this.pipeline.open(files, name)
    } catch (error) {
      if (!(error instanceof StorageError)) this.failed(error)
      else this.#storing = refusal(error.code, error.about)
      this.#host.progress(this)
      throw error
    }
    this.#storing = undefined
    for (const live of this.#live.values()) this.#stale.add(live)
    for (const entry of this.pipeline.log.entries) this.#applyEntry(entry)
    this.#saving.setSession(this.#host.identity?.session)
    // A commit may stand before the entry it cites.
    this.counting.retry()
    this.#refresh()
    this.#scheduleDue()
    this.#bumpAll()
    this.#markReady()
    this.#scheduleCapture()
    this.#host.progress(this)
  }

  /** It will never open. */
  failed(error: unknown): void {
    this.#failReady(error)
  }

  /**
   * Makes an item. Its key is random unless given; a given key makes two creations of it one item, and the values are written over those
   * it has. Throws `BadItemKey` for a key that is not 1 to 256 bytes of UTF-8.
   */
  create<S extends Schema>(schema: S, values: Initial<S> = {} as Initial<S>, options: { key?: string } = {}): Item<S> {
    this.#mustBeUsable()
    const { key = this.#newKey() } = options
    if (key === '' || !isWellFormed(key) || utf8Length(key) > limits.nameBytes) throw new WeftError('BadItemKey', key.slice(0, 32))
    const live = this.#liveItem(key, schema)
    const isNew = live.draft.isEmpty && !live.isPresent
    live.touch()
    const item = this.#facade(live)
    try {
      for (const [name, value] of Object.entries(values as Record<string, unknown>)) {
        if (value !== undefined) this.#initialise(live, item, name, value)
      }
    } catch (error) {
      if (isNew && !this.#inTransaction) live.discard(new Map())
      throw error
    }
    // The facade was made by the class of this very schema.
    return item as Item<S>
  }

  #initialise(live: LiveItem, item: Item, name: string, value: unknown): void {
    const field = fieldNamed(live.schema, name)
    if (field === undefined) throw new TypeError(`${live.schema.name} has no field ${name}`)
    if (isScalar(field)) return live.assign(name, value)
    // The handle is the one of the field's kind, and judges what the app's types did not.
    const handle: unknown = Reflect.get(item, name)
    if (field.kind === 'text') return (handle as TextHandle).replace(String(value))
    if (field.kind === 'set') for (const element of value as Iterable<ScalarValue>) (handle as SetHandle<ScalarValue>).add(element)
    else for (const [key, element] of Object.entries(value as object)) (handle as MapHandle<ScalarValue>).set(key, element)
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
    this.#own(item).delete()
  }

  /** Brings a deleted item back as it was. */
  restore(item: object): void {
    this.#own(item).touch()
  }

  #own(item: object): LiveItem {
    const live = liveOf(item)
    if (this.#live.get(liveName(live.key, live.schemaHash)) !== live) throw new TypeError(`not an item of ${this.path}`)
    return live
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
    return this.#changeListeners.add(listener)
  }

  /**
   * Runs `change` and commits what it edited at once, as one atomic commit: all of it counts or none. When it throws, or a field refuses
   * a value (`BadValue`), or it does not fit one commit (`TooLarge`), nothing of it stays. What was edited before goes into a commit of
   * its own. Throws `NotReady` before the repository is open and somebody is logged in.
   */
  transact(change: () => void): void {
    this.#mustBeUsable()
    if (this.#inTransaction) return change()
    if (!this.#canCommit()) throw new WeftError('NotReady', this.path)
    this.flush()
    this.#inTransaction = true
    try {
      const returned: unknown = change()
      if (returned instanceof Promise) throw new TypeError('a transaction is over when its function returns: it cannot be async')
      this.#inTransaction = false
      this.#commitTransaction()
    } catch (error) {
      this.#inTransaction = false
      const edited = [...this.#dirty]
      this.#dirty.clear()
      for (const live of edited) live.discard(this.#refusedBefore.get(live) ?? new Map())
      throw error
    } finally {
      this.#refusedBefore.clear()
    }
  }

  #commitTransaction(): void {
    // Nobody tells of a remote commit in between, but what was counted is taken in before anything is taken out.
    this.#refresh()
    const keys = new Set<string>()
    for (const live of this.#dirty) {
      for (const [name, refused] of live.draft.refused) {
        if (this.#refusedBefore.get(live)?.get(name) !== refused) throw new WeftError('BadValue', refused.refusal.about)
      }
      if (!live.draft.isEmpty && keys.size === keys.add(live.key).size) throw new WeftError('BadItemKey', `${live.key}, of two schemas`)
    }
    const taken = this.#take()
    const edits = taken.map(({ live, pieces }) => ({ live, operations: pieces.flat() }))
    const fits = edits.length <= limits.changes && edits.every(({ operations }) => operations.length <= limits.operations)
    if (edits.length > 0 && (!fits || !this.#commit(edits, true))) {
      for (const { live, shown } of taken) {
        this.#dirty.delete(live)
        live.discard(this.#refusedBefore.get(live) ?? new Map(), shown)
      }
      throw new WeftError('TooLarge', 'a transaction is one commit')
    }
    this.#captured(taken)
  }

  #savedState(live: LiveItem): SavedState {
    reportRead(live)
    if (!live.draft.isEmpty) return 'draft'
    const ids = live.merged.heads.map((index) => live.merged.graph.node(index).id)
    if (ids.every((id) => this.#saving.covers(id))) return 'authority'
    return this.#host.lasting && ids.every((id) => this.pipeline.commits.has(id)) ? 'local' : 'draft'
  }

  /** Whether a checkpoint of the authority covers the commit. */
  covers(id: string): boolean {
    return this.#saving.covers(id)
  }

  /** Own commits that no checkpoint covers yet, and drafts not in a commit. */
  get unacknowledged(): number {
    return this.#dirty.size + this.#saving.unacknowledged
  }

  /** Items and commits that are not in this device's log yet. */
  get unsaved(): number {
    return this.#dirty.size + this.#saving.undurable
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
    return this.pipeline.commits.get(id)?.session ?? (this.#saving.isUndurable(id) ? this.#host.identity?.session : undefined)
  }

  /** Something this replica waited for became known: the root log grew, a schema came, time went on. */
  reconsider(): void {
    this.counting.retry()
    this.#refresh()
    this.#scheduleDue()
    this.#host.progress(this)
  }

  /** The session is known now, or another: what is dirty may be captured, and own commits count whatever their clock. */
  identityChanged(): void {
    this.#saving.setSession(this.#host.identity?.session)
    this.reconsider()
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
    await this.#sealing.close()
    await this.pipeline.close()
    await this.#opening?.catch(() => undefined)
    const closed = new WeftError('Closed', this.path)
    this.#saving.close(closed)
    this.#failReady(closed)
  }

  #threw(error: unknown): void {
    this.#host.incident(refusal('ListenerThrew', String(error)), this.path)
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
      editing: (one) => {
        this.#mustBeUsable()
        if (this.#inTransaction && !this.#refusedBefore.has(one)) this.#refusedBefore.set(one, new Map(one.draft.refused))
      },
      threw: (error) => this.#threw(error),
      dirty: (one) => {
        this.#dirty.add(one)
        this.#host.progress(this)
        if (!this.#inTransaction) this.#scheduleCapture()
      },
      changed: (one) => this.#bump(one.schemaHash),
      saved: async (one, level) => {
        if (this.#closed) throw new WeftError('Closed', this.path)
        if (level === 'local' && !this.#host.lasting) throw new WeftError('NoStorage', this.path)
        return this.#saving.wait(one, level)
      },
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

  #counted({ item, commit, index, refusal: why }: Counted): void {
    this.#host.clock.see(commit.clock)
    if (why !== undefined) this.#host.incident(why, this.path)
    if (why !== undefined && commit.session === this.#host.identity?.session) this.#saving.refuse(commit.id, why)
    // Entries of the authority travel ahead of commits: a verdict may have waited for this one.
    const verdict = this.pipeline.log.verdictOn(commit.id, item.key)
    if (verdict !== undefined && verdict < this.pipeline.durableEntries) item.void(index, verdict)
    const hash = this.#host.schemaHash(item.schema)
    const live = this.#live.get(liveName(item.key, hash))
    if (live === undefined) return this.#bump(hash)
    this.#stale.add(live)
    if (why !== undefined) this.#refusedLive.add(live)
  }

  #refresh(): void {
    for (const live of this.#stale) live.refresh()
    this.#stale.clear()
  }

  #settled(settled: readonly { readonly commit: Commit; readonly origin: Origin }[]): void {
    this.#refresh()
    for (const { commit } of settled) {
      this.#saving.durable(commit)
      this.#tellSaved(commit)
    }
    this.#scheduleDue()
    this.#host.committed(this, settled)
    this.#saving.check()
    this.#host.progress(this)
  }

  #entered(entries: readonly Entry[], origin: Origin): void {
    for (const entry of entries) this.#applyEntry(entry)
    this.counting.retry()
    this.#refresh()
    this.#host.entered(this, entries, origin)
    this.#saving.check()
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
    this.#saving.checkpoint(statement.moved)
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
    if (due === undefined || due >= this.#dueAt || this.#closed) return
    this.#cancelDue?.()
    this.#dueAt = due
    const wait = Math.max(0, Math.ceil(due - this.#host.clock.now())) + 1
    this.#cancelDue = this.#host.runtime.timer(Math.min(wait, 3_600_000), () => {
      this.#dueAt = Number.POSITIVE_INFINITY
      this.#cancelDue = undefined
      this.reconsider()
    })
  }

  #bump(hash: string): void {
    this.#versions.set(hash, (this.#versions.get(hash) ?? 0) + 1)
    if (this.#telling) return
    this.#telling = true
    // Listeners cannot throw here.
    void Promise.resolve().then(() => {
      this.#telling = false
      this.#changeListeners.tell()
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
        this.#captureSafely()
      })
      return
    }
    this.#captureQueued = true
    void Promise.resolve().then(() => {
      this.#captureQueued = false
      this.#captureSafely()
    })
  }

  /** Where no caller would hear of it. */
  #captureSafely(): void {
    try {
      this.#capture()
    } catch (error) {
      this.#host.incident(refusal('Fault', String(error)), this.path)
      this.#host.progress(this)
    }
  }

  /** Takes out everything dirty. */
  #take(): Taken[] {
    const taken: Taken[] = []
    for (const live of this.#dirty) {
      const shown = live.shown()
      const pieces = partition(live.draft.take(live.state))
      if (pieces.length > 0) taken.push({ live, pieces, shown })
    }
    this.#dirty.clear()
    return taken
  }

  /** Puts everything dirty into commits: one, unless it is too much for one. */
  #capture(): void {
    if (this.#dirty.size === 0 || !this.#canCommit()) return
    this.#refresh()
    const taken = this.#take()
    for (let piece = 0; taken.some(({ pieces }) => piece < pieces.length); piece++) {
      let edits: Edit[] = []
      const keys = new Set<string>()
      let weight = 0
      for (const { live, pieces } of taken) {
        const operations = pieces[piece]
        if (operations === undefined) continue
        const added = 256 + weightOf(operations)
        // A change is named by commit and key: two schemas may have a key in common, one commit not.
        if (edits.length >= limits.changes || keys.has(live.key) || (edits.length > 0 && weight + added > limits.commitBytes / 2)) {
          this.#commitOrSplit(edits)
          edits = []
          keys.clear()
          weight = 0
        }
        edits.push({ live, operations })
        keys.add(live.key)
        weight += added
      }
      if (edits.length > 0) this.#commitOrSplit(edits)
    }
    this.#captured(taken)
  }

  /** All that was taken out is in commits. */
  #captured(taken: readonly Taken[]): void {
    if (taken.length > 0) this.#lastCapture = this.#host.runtime.elapsed()
    for (const { live, shown } of taken) if (this.#refusedLive.has(live)) live.reshow(shown)
    this.#refusedLive.clear()
    this.#saving.check()
    this.#host.progress(this)
  }

  /** One commit, or, when the bytes are too many for one, one for each half. */
  #commitOrSplit(edits: readonly Edit[]): void {
    if (this.#commit(edits, false)) return
    const half = Math.ceil(edits.length / 2)
    if (half === edits.length) {
      // No value a field takes is so long; were it, the rest must not be lost with it.
      this.#host.incident(refusal('TooLarge', `${edits[0]?.live.schema.name} ${edits[0]?.live.key}`), this.path)
      for (const { live } of edits) this.#refusedLive.add(live)
      return
    }
    this.#commitOrSplit(edits.slice(0, half))
    this.#commitOrSplit(edits.slice(half))
  }

  /** Composes, counts, signs and submits one commit. False, with nothing done, when it is too large. */
  #commit(edits: readonly Edit[], atomic: boolean): boolean {
    const identity = this.#host.identity
    if (identity === undefined) return false
    for (const { live } of edits) this.#joinHeads(live)
    const drafts = edits.map(({ live, operations }) => this.#draft(live, operations))
    const unsigned = this.#compose(drafts, atomic, identity.session)
    if (sizeOf(unsigned) > limits.commitBytes) return false
    this.#send(unsigned, identity.key)
    for (const { live } of edits) live.refresh(true)
    return true
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
    this.#saving.made(unsigned.id)
    const chain = chainName(unsigned.fields.session, unsigned.fields.incarnation)
    const provisional: Commit = { ...unsigned.fields, id: unsigned.id, chain, changes: unsigned.changes, signature: noBytes, bytes: noBytes }
    this.counting.count(provisional)
    this.#sealing.add(unsigned, key)
  }
}

interface Edit {
  readonly live: LiveItem
  readonly operations: readonly Operation[]
}

interface Taken {
  readonly live: LiveItem
  readonly pieces: readonly (readonly Operation[])[]
  /** The texts somebody follows, as they were shown with it. */
  readonly shown: ReadonlyMap<string, Rope>
}

const noBytes = new Uint8Array(0)
const liveName = (key: string, schemaHash: string): string => `${schemaHash}/${key}`
