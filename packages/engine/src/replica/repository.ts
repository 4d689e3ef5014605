/**
 * A repository as an app uses it: items in memory, edited synchronously, captured into signed commits, merged with those of
 * others. It joins the parts (capture, pipeline, counting, saving) and tells the app what changed.
 */

import { isWellFormed, toHex, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { type Commit, clockTicks } from '../commit/commit.ts'
import type { Initial, Item, Schema } from '../schema/schema.ts'
import type { Entry } from '../trust/entry.ts'
import type { Rule } from '../trust/rules.ts'
import { Capture, type Identity } from './capture.ts'
import { Changes } from './changes.ts'
import { Counting } from './counting.ts'
import { countingRules } from './countingrules.ts'
import { Due } from './due.ts'
import { refuseFounding } from './founding.ts'
import type { Host } from './host.ts'
import { Items } from './items.ts'
import type { LastChange, LiveItem, LiveOwner } from './live.ts'
import { lastChangeOf } from './members.ts'
import type { Origin, Staged } from './pending.ts'
import { Pipeline } from './pipeline.ts'
import type { Files } from './ports.ts'
import { Presence, type PresenceFields } from './presence.ts'
import { Query } from './query.ts'
import { reportRead } from './reads.ts'
import { Recall } from './recall.ts'
import { Reckoning } from './reckoning.ts'
import type { Rejection } from './rejections.ts'
import { restore } from './restore.ts'
import { Rights, type RightsParts } from './rights.ts'
import { Saving } from './saving.ts'
import type { Restored } from './storedlog.ts'
import { type Unmerged, unmergedIn } from './unmerged.ts'
import { Upkeep } from './upkeep.ts'
import type { ChangedVerdict } from './whatif.ts'

export class Repository extends Rights {
  readonly path: string
  readonly pipeline: Pipeline
  readonly counting: Counting
  /** What was dropped here and is needed again. */
  readonly recalling: Recall
  /** Resolves when what this device holds of the repository is in memory. */
  readonly ready: Promise<void>
  protected readonly rights: RightsParts
  readonly #host: Host
  readonly #items: Items
  readonly #saving: Saving
  readonly #reckoning: Reckoning
  readonly #capture: Capture
  readonly #upkeep: Upkeep
  #markReady: () => void = () => undefined
  #failReady: (error: unknown) => void = () => undefined
  #opening: Promise<void> | undefined
  #storing: Refusal | undefined
  #closed = false
  /** Whoever had it has logged out: it shows nothing. */
  #forgotten = false
  readonly #changes = new Changes((error) => this.#threw(error))
  readonly #due: Due
  /** True once this replica was level with the authority in this run. */
  synced = false
  /** At the authority: what it lost of the repository is being taken back, and nothing of it is shown. */
  recovering = false

  constructor(path: string, host: Host) {
    super()
    this.path = path
    this.#host = host
    this.rights = {
      host,
      changes: this.#changes,
      keyOf: (item) => this.#items.own(item).key,
      mustBeUsable: () => this.#mustBeUsable(),
      isForgotten: () => this.#forgotten,
    }
    const rules = countingRules(host, this)
    this.counting = new Counting(rules, (counted) => this.#reckoning.counted(counted))
    this.pipeline = new Pipeline({
      path,
      runtime: host.runtime,
      root: host.root,
      certificates: host.certificates,
      isCopy: () => host.isBehind,
      authorityNow: host.authority ? () => host.clock.now() : undefined,
      events: {
        restore: (stored) => this.#restore(stored),
        wroteTo: (commit, key) => this.counting.wroteTo(commit, key),
        below: (origin, commit) => this.recalling.collect(origin, commit),
        lacking: (run) => this.counting.lacking(run, this.recalling),
        recalled: (item, history) => {
          this.#reckoning.recalled(item, history)
          this.recalling.done(item)
          this.#refresh()
        },
        discard: () => this.#upkeep.discard(),
        count: (commit) => this.counting.count(commit),
        sharing: host.sharing(this),
        settled: (settled) => this.#settled(settled),
        entries: (entries, origin) => this.#entered(entries, origin),
        refuseFounding: (commit) => host.judging.founding(commit, this.pipeline.log) ?? refuseFounding(commit, rules),
        refused: (origin, id, why) => origin !== 'local' && host.refused(this, origin, id, why),
        rejected: (made, why) => {
          host.incident(why, path)
          if ('entry' in made) return host.misplaced(this, why)
          this.#saving.drop(made.commit.id, why)
          this.#saving.check()
          host.progress(this)
        },
        recovering: () => this.recovering,
        incident: (why) => host.incident(why, path),
        forked: (met) => host.forked(met),
        storage: (why) => {
          if (why !== undefined && this.#storing === undefined) host.incident(why, path)
          this.#storing = why
          host.progress(this)
        },
      },
    })
    this.recalling = new Recall({
      commit: (id) => this.pipeline.commits.get(id),
      isErased: (commit, key) => this.pipeline.cleaning.isErased(commit, key),
      last: ({ schema, key }) => this.counting.items.get(schema)?.floorOf(key)?.last.id,
      adopt: (item, history) => this.pipeline.recall(item, history),
      incident: (why) => host.incident(why, path),
      timer: (ms, run) => host.runtime.timer(ms, run),
    })
    this.#upkeep = new Upkeep(host, this.pipeline, this.counting)
    this.#due = new Due(host.runtime, host.clock, () => this.reconsider())
    this.#items = new Items(this.counting, (schema) => host.schemaHash(schema), this.#liveOwner)
    this.#saving = new Saving(this.pipeline.commits, () => host.isBehind)
    this.#reckoning = new Reckoning({
      pipeline: this.pipeline,
      counting: this.counting,
      saving: this.#saving,
      judging: host.judging,
      certificates: host.certificates,
      root: host.root,
      clock: host.clock,
      person: () => host.person,
      session: () => host.identity?.session,
      schema: (hash) => host.schema(hash),
      schemaHash: (schema) => host.schemaHash(schema),
      live: (key, schema) => this.#items.open(key, schema),
      moved: (key, hash, isRefused) => this.#moved(key, hash, isRefused),
      allMoved: () => {
        this.#items.allMoved()
        this.#changes.tellAll(this.counting.items.keys())
      },
      refresh: () => this.#refresh(),
      restartChain: () => this.#capture.restartChain(),
      erased: () => host.erased(this),
      incident: (why) => host.incident(why, path),
      rejected: (rejection) => host.rejected(rejection),
    })
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
      denies: (live, operations) => this.#reckoning.denies(live, operations),
      dropped: (live, operations, why) => this.#reckoning.dropped(live, operations, why),
      incident: (why) => host.incident(why, path),
      progress: () => host.progress(this),
    })
    this.ready = new Promise((resolve, reject) => {
      this.#markReady = resolve
      this.#failReady = reject
    })
    // A failure that nobody asks about is in the status.
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
    this.#upkeep.in(files, name)
    try {
      await this.pipeline.open(files, name, () => this.#upkeep.load())
    } catch (error) {
      if (!(error instanceof StorageError)) this.failed(error)
      else this.#storing = refusal(error.code, error.about)
      this.#host.progress(this)
      throw error
    }
    this.#storing = undefined
    this.#items.allMoved()
    this.#hadEntries = this.pipeline.log.next > 0
    for (const entry of this.pipeline.log.entries.slice(this.#restored)) this.#applyEntry(entry)
    if (!this.pipeline.log.erasures.isEmpty) this.#host.erased(this)
    this.counting.erased(this.pipeline.log.entries, this.recalling)
    this.#saving.setSession(this.#host.identity?.session)
    // A commit may stand before the entry it cites.
    this.counting.retry()
    this.#refresh()
    this.#due.by(this.counting.nextDue())
    this.#changes.tellAll(this.counting.items.keys())
    this.#host.opening(this)
    this.#markReady()
    this.#upkeep.stored()
    this.#capture.schedule()
    this.#host.progress(this)
  }

  /** Entries of the log that are in the snapshot. */
  #restored = 0

  #restore(stored: Restored): void {
    this.#restored = stored.entries
    this.#upkeep.used(stored)
    const [host, pipeline, counting] = [this.#host, this.pipeline, this.counting]
    restore(stored, { host, pipeline, counting, saving: this.#saving, reckoning: this.#reckoning })
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
    const { key = toHex(this.#host.runtime.random(12)) } = options
    if (key === '' || !isWellFormed(key) || utf8Length(key) > limits.nameBytes)
      throw new WeftError('BadItemKey', key.slice(0, 32))
    const live = this.#items.open(key, schema)
    const isNew = live.draft.isEmpty && !live.isPresent
    live.touch()
    try {
      this.#items.fill(live, values as Record<string, unknown>)
    } catch (error) {
      if (isNew && !this.#capture.inTransaction) live.discard(new Map())
      throw error
    }
    // The facade was made by the class of this very schema.
    return this.#items.facade(live) as Item<S>
  }

  /** The item of that key: undefined while the repository opens, null when it is not there or deleted. */
  item<S extends Schema>(schema: S, key: string): Item<S> | null | undefined {
    const hash = this.#host.schemaHash(schema)
    reportRead(this.#changes)
    if (this.#forgotten) return null
    const held = this.#items.find(key, hash)
    if (held === undefined && !this.pipeline.isOpen) return undefined
    if (held === undefined && this.counting.items.get(hash)?.has(key) !== true) return null
    const live = held ?? this.#items.open(key, schema)
    reportRead(live)
    return live.isPresent ? (this.#items.facade(live) as Item<S>) : null
  }

  /** Deletes an item. An edit made elsewhere at the same time brings it back. */
  delete(item: object): void {
    this.#items.own(item).delete()
  }

  /** Brings a deleted item back as it was. */
  restore(item: object): void {
    this.#items.own(item).touch()
  }

  /** The items of a schema: filter, sort, subscribe. */
  query<S extends Schema>(schema: S): Query<S> {
    const hash = this.#host.schemaHash(schema)
    return new Query(
      {
        items: <T extends Schema>(of: T) =>
          this.#forgotten ? [] : this.pipeline.isOpen ? this.#items.all(of) : undefined,
        version: () => this.#changes.version(hash),
        changes: this.#changes,
      },
      schema,
    )
  }

  /** Calls back once a microtask after anything in the repository changed. */
  onChange(listener: () => void): () => void {
    return this.#changes.subscribe(listener)
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

  /** Own commits that the replica which keeps them has not said to hold yet: the last one of each chain. */
  get unkept(): readonly string[] {
    return this.#saving.unkept.map(({ id }) => id)
  }

  /** It holds this commit, and all of its chain before it. */
  kept(id: string): void {
    const waiting = this.#saving.unkept.find((commit) => commit.id === id)
    this.#saving.kept(id)
    if (waiting !== undefined) this.#tellSaved(waiting)
    this.#host.progress(this)
  }

  #lastChange(live: LiveItem): LastChange | undefined {
    reportRead(live)
    if (this.#forgotten) return undefined
    const { certificates, identity } = this.#host
    const sessionOf = (id: string): string | undefined =>
      this.pipeline.commits.row(id)?.session ?? (this.#saving.isUndurable(id) ? identity?.session : undefined)
    return lastChangeOf(live, sessionOf, certificates, identity)
  }

  /**
   * When this device dropped history: what was written before, ms since 1970, is here as what it came to and no more. Undefined while everything is here.
   */
  get droppedBefore(): number | undefined {
    reportRead(this.#changes)
    const clock = this.pipeline.commits.droppedClock
    return clock === undefined ? undefined : Math.floor(clock / clockTicks) + 1
  }

  /** What others wrote beside history that this device dropped: it is merged once that came back from the server, by itself. */
  get unmerged(): readonly Unmerged[] {
    reportRead(this.#changes)
    if (this.#forgotten || !this.pipeline.commits.dropsAny) return []
    return unmergedIn(this.pipeline, this.counting, this.#host.certificates)
  }

  /**
   * Brings back what this device dropped of an item's history, from the server or whoever has it: for looking at it. Resolves at once where nothing was
   * dropped. Rejects with `Unreachable` while nobody can be asked, and with `HistoryDropped` where nobody who is there has it.
   */
  recall(item: object): Promise<void> {
    const { key, schemaHash } = this.#items.own(item)
    return this.recalling.bring({ schema: schemaHash, key })
  }

  /** Why the server does not let this person have the repository, once it said so. */
  get barred(): Refusal | undefined {
    reportRead(this.#changes)
    return this.#barred
  }

  #barred: Refusal | undefined

  /** The server does or does not let this replica have it. */
  bar(why: Refusal | undefined): void {
    if (why === undefined && this.#barred === undefined) return
    // What a farewell said is more than that there is no such repository.
    if (why?.code === 'UnknownRepository' && this.#barred !== undefined) return
    this.#barred = why
    this.#changes.tellAll(this.counting.items.keys())
    this.#host.progress(this)
  }

  /** The server ended this person's access; the entries say how. */
  async parted(entries: readonly Uint8Array[]): Promise<void> {
    await this.pipeline.receive(this, { certificates: [], commits: [], entries })
    this.bar(refusal('Revoked', this.path))
  }

  /** Something this replica waited for became known: the root log grew, a schema came, time went on. */
  reconsider(): void {
    const { dropped } = this.#host.root
    if (dropped.length > this.#dropped) this.#reckoning.renew()
    this.#dropped = dropped.length
    this.#reckoning.revoked()
    this.counting.retry()
    this.#refresh()
    this.#due.by(this.counting.nextDue())
    this.#capture.schedule()
    this.#host.progress(this)
  }

  /** How much of the root log was left out by a newer epoch when commits were judged last. */
  #dropped = 0

  /** The session is known now, or another: what is dirty may be captured, and own commits count whatever their clock. */
  identityChanged(): void {
    this.#saving.setSession(this.#host.identity?.session)
    this.reconsider()
    this.#capture.schedule()
  }

  async close(): Promise<void> {
    const sealed = this.#capture.close()
    this.#closed = true
    this.#due.stop()
    await sealed
    this.recalling.close()
    await this.#upkeep.closing()
    await this.pipeline.close()
    await this.#opening?.catch(() => undefined)
    await this.#upkeep.close(!this.#forgotten)
    const closed = new WeftError('Closed', this.path)
    this.#saving.close(closed)
    this.#failReady(closed)
  }

  /** Closes it for a person who logs out: queries and items that an app holds on to show nothing from here on. */
  async forget(): Promise<void> {
    this.#forgotten = true
    this.#items.vanish()
    this.#reckoning.forget()
    this.#changes.tellAll(this.counting.items.keys())
    await this.close()
  }

  #threw(error: unknown): void {
    this.#host.incident(refusal('ListenerThrew', String(error)), this.path)
  }

  #mustBeUsable(): void {
    if (this.#closed || this.#host.leaving) throw new WeftError('Closed', this.path)
  }

  get #liveOwner(): LiveOwner {
    return {
      merged: ({ key, schema, schemaHash }) => this.counting.open(key, schemaHash, schema),
      needed: (one) => this.#items.needed(one),
      editing: (one) => {
        this.#mustBeUsable()
        this.#capture.editing(one)
      },
      threw: (error) => this.#threw(error),
      dirty: (one) => this.#capture.edited(one),
      changed: (one) => this.#changes.tell(one.schemaHash),
      saved: async (one, level) => {
        if (this.#closed) throw new WeftError('Closed', this.path)
        if (level === 'local' && !this.#host.lasting) throw new WeftError('NoStorage', this.path)
        return this.#saving.wait(one, level)
      },
      savedState: (one) => this.#saving.stateOf(one, this.#host.lasting),
      lastChange: (one) => this.#lastChange(one),
    }
  }

  /** Who else has it open, and what they say of themselves: `presence({ caret: number() })`. */
  presence<F extends PresenceFields>(fields: F): Presence<F> {
    this.#mustBeUsable()
    return new Presence(fields, this.#host.room(this))
  }

  /** Why changes of a commit do not count, one by one; empty when all of them do. */
  whyDenied(id: string): readonly { readonly schema: string; readonly key: string; readonly why: Refusal }[] {
    return this.#reckoning.whyDenied(id)
  }

  /** Which verdicts these rules would have given otherwise, had they been in force from the first commit on. Costs a replay of all history. */
  whatIf(rules: readonly Rule[]): readonly ChangedVerdict[] {
    return this.#reckoning.whatIf(rules)
  }

  /** What somebody who reads the whole history needs beside the commits. */
  get witness(): Pick<Host, 'certificates' | 'judging' | 'root' | 'runtime'> {
    reportRead(this.#changes)
    return this.#host
  }

  /** Own changes that do not count, with their content, oldest first. */
  get rejections(): readonly Rejection[] {
    reportRead(this.#changes)
    return this.#reckoning.rejections
  }

  #moved(key: string, hash: string, isRefused: boolean): void {
    const live = this.#items.find(key, hash)
    if (live !== undefined) {
      this.#items.moved(live)
      if (isRefused) this.#capture.refused(live)
    }
    this.#changes.tell(hash)
  }

  #refresh(): void {
    if (this.#forgotten) return
    this.#reckoning.settle()
    this.#items.refresh()
  }

  #settled(settled: Staged): void {
    for (const { commit } of settled) this.#reckoning.settled(commit)
    this.#refresh()
    for (const { commit } of settled) {
      this.#saving.durable(commit)
      this.#tellSaved(commit)
    }
    this.#due.by(this.counting.nextDue())
    this.#host.committed(this)
    this.#saving.check()
    this.#upkeep.stored()
    this.#host.progress(this)
  }

  #entered(entries: readonly Entry[], origin: Origin): void {
    try {
      const begun = entries.find(({ statement, n }) => statement.kind === 'epoch' || (n === 0 && this.#hadEntries))
      if (begun !== undefined) this.#renew(begun.n)
      this.#hadEntries = true
      for (const entry of entries) this.#applyEntry(entry)
      this.#reckoning.erased(entries)
      this.counting.erased(entries, this.recalling)
      this.counting.retry()
      this.#refresh()
    } finally {
      this.#changes.tell()
      this.#host.entered(this, entries, origin)
    }
    this.#saving.check()
    this.#capture.schedule()
    this.#host.progress(this)
  }

  #hadEntries = false

  /** A new epoch left out what stood from `n` on: what that said is forgotten. */
  #renew(n: number): void {
    this.#saving.renew(this.pipeline.log.entries.slice(0, n))
    this.#reckoning.renew()
  }

  #applyEntry(entry: Entry): void {
    const { statement } = entry
    this.#reckoning.entered(entry)
    if (statement.kind !== 'checkpoint') return
    for (const id of this.#saving.checkpoint(statement.moved)) this.#tellSaved(this.pipeline.commits.get(id))
  }

  #tellSaved(commit: Commit | undefined): void {
    for (const change of commit?.changes ?? []) this.#items.find(change.key, change.schema.hash)?.tellSaved()
  }

  /** Who commits here; undefined while nobody can. */
  #committer(): Identity | undefined {
    const { identity, certificates, root } = this.#host
    if (!this.pipeline.isOpen || this.#closed || identity === undefined || root.position === null) return undefined
    // Rules judge the owner whom the certificate names: before it is here, this replica would judge otherwise than all others.
    if (certificates.get(identity.session) === undefined || !this.#host.judging.knowsRules) return undefined
    // What is built on a clock far ahead would be ahead as well: first the authority says what becomes of it.
    const latest = (this.#host.clock.now() + limits.clockAhead) * clockTicks
    const { log, durableEntries } = this.pipeline
    return this.#saving.endsAfter(latest, (id) => log.isVoid(id, durableEntries)) ? undefined : identity
  }
}
