/**
 * A repository as an app uses it: items in memory, edited synchronously, captured into signed commits, merged with those of
 * others. It joins the parts (capture, pipeline, counting, saving) and tells the app what changed.
 */

import { isWellFormed, toHex, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import type { Change, Commit } from '../commit/commit.ts'
import { isScalar, type ScalarValue } from '../schema/field.ts'
import type { MapHandle, SetHandle, TextHandle } from '../schema/handle.ts'
import type { Initial, Item, Schema } from '../schema/schema.ts'
import { fieldNamed } from '../schema/schema.ts'
import type { Entry } from '../trust/entry.ts'
import { Capture, type Identity } from './capture.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import { type Counted, Counting } from './counting.ts'
import { itemClass, liveOf } from './item.ts'
import { Listeners } from './listeners.ts'
import { type LastChange, LiveItem, type SavedState } from './live.ts'
import { type Origin, Pipeline } from './pipeline.ts'
import type { Files, Runtime } from './ports.ts'
import { Query } from './query.ts'
import { type Readable, reportRead } from './reads.ts'
import type { RootLog } from './rootlog.ts'
import { Saving } from './saving.ts'

/** What a repository needs of its replica. */
export interface Host {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly certificates: Certificates
  readonly authority: boolean
  /** Commits a second, at most. */
  readonly captureRate: number
  readonly identity: Identity | undefined
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
  readonly #stale = new Set<LiveItem>()
  readonly #versions = new Map<string, number>()
  readonly #changeListeners: Listeners
  readonly #saving: Saving
  readonly #capture: Capture
  #markReady: () => void = () => undefined
  #failReady: (error: unknown) => void = () => undefined
  #telling = false
  #cancelDue: (() => void) | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #opening: Promise<void> | undefined
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
        isCovered: (commit) => this.covers(commit.id),
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
    this.#capture = new Capture({
      runtime: host.runtime,
      clock: host.clock,
      root: host.root,
      pipeline: this.pipeline,
      counting: this.counting,
      saving: this.#saving,
      rate: host.captureRate,
      identity: () => this.#committer(),
      refresh: () => this.#refresh(),
      incident: (why) => host.incident(why, path),
      progress: () => host.progress(this),
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
    return this.#storing ?? this.#capture.problem
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
    this.#capture.schedule()
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
    if (key === '' || !isWellFormed(key) || utf8Length(key) > limits.nameBytes)
      throw new WeftError('BadItemKey', key.slice(0, 32))
    const live = this.#liveItem(key, schema)
    const isNew = live.draft.isEmpty && !live.isPresent
    live.touch()
    const item = this.#facade(live)
    try {
      for (const [name, value] of Object.entries(values as Record<string, unknown>)) {
        if (value !== undefined) this.#initialise(live, item, name, value)
      }
    } catch (error) {
      if (isNew && !this.#capture.inTransaction) live.discard(new Map())
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
    if (field.kind === 'set')
      for (const element of value as Iterable<ScalarValue>) (handle as SetHandle<ScalarValue>).add(element)
    else
      for (const [key, element] of Object.entries(value as object)) (handle as MapHandle<ScalarValue>).set(key, element)
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
    this.#capture.transact(change)
  }

  /** Captures what is dirty at once, whatever the rate. */
  flush(): void {
    this.#capture.flush()
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
    return this.#capture.dirty + this.#saving.unacknowledged
  }

  /** Items and commits that are not in this device's log yet. */
  get unsaved(): number {
    return this.#capture.dirty + this.#saving.undurable
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
    const name =
      this.#host.certificates.get(session)?.name ?? (own?.session === session ? own.name : session.slice(0, 8))
    return { session, name, time: Math.floor(last.clock / 256) }
  }

  #sessionOf(id: string): string | undefined {
    return (
      this.pipeline.commits.get(id)?.session ??
      (this.#saving.isUndurable(id) ? this.#host.identity?.session : undefined)
    )
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
    this.#capture.schedule()
  }

  async close(): Promise<void> {
    const sealed = this.#capture.close()
    this.#closed = true
    this.#cancelDue?.()
    await sealed
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
        this.#capture.editing(one)
      },
      threw: (error) => this.#threw(error),
      dirty: (one) => this.#capture.edited(one),
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
    const keys = commit.atomic ? commit.changes.map(({ key }) => key) : [item.key]
    const [verdict] = keys.flatMap((key) => this.pipeline.log.verdictOn(commit.id, key) ?? []).sort((a, b) => a - b)
    if (verdict !== undefined && verdict < this.pipeline.durableEntries) item.void(index, verdict)
    const hash = this.#host.schemaHash(item.schema)
    const live = this.#live.get(liveName(item.key, hash))
    if (live === undefined) return this.#bump(hash)
    this.#stale.add(live)
    if (why !== undefined) this.#capture.refused(live)
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
        // Of an atomic commit all changes count or none.
        if (statement.key !== null && statement.key !== change.key && commit?.atomic !== true) continue
        const item = this.counting.item(change.key, change.schema.hash)
        const index = item?.graph.indexOf(statement.commit)
        if (item === undefined || index === undefined) continue
        item.void(index, n)
        const live = this.#live.get(liveName(change.key, change.schema.hash))
        if (live !== undefined) this.#stale.add(live)
      }
      const why = refusal('Voided', `${statement.rule}: ${statement.reason}`)
      if (commit !== undefined && commit.session === this.#host.identity?.session) this.#saving.refuse(commit.id, why)
      this.#host.incident(why, this.path)
    }
    if (statement.kind !== 'checkpoint') return
    this.#saving.checkpoint(statement.moved)
    for (const head of statement.moved) {
      for (let commit = this.pipeline.commits.get(head.id); commit !== undefined; ) {
        this.#tellSaved(commit)
        commit =
          commit.prev === null || commit.seq <= this.#told(commit.chain)
            ? undefined
            : this.pipeline.commits.get(commit.prev)
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

  /** Who commits here; undefined while nobody can. */
  #committer(): Identity | undefined {
    const { identity, certificates, root } = this.#host
    if (!this.pipeline.isOpen || this.#closed || identity === undefined || root.position === null) return undefined
    // Rules judge the owner whom the certificate names: before it is here, this replica would judge otherwise than all others.
    return certificates.get(identity.session) === undefined ? undefined : identity
  }

  #bumpAll(): void {
    for (const versions of this.counting.items.values()) for (const hash of versions.keys()) this.#bump(hash)
    this.#bump('')
    for (const [hash, version] of this.#versions) this.#versions.set(hash, version + 1)
  }
}

const liveName = (key: string, schemaHash: string): string => `${schemaHash}/${key}`
