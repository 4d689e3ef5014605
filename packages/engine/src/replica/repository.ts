/**
 * A repository as an app uses it: items in memory, edited synchronously, captured into signed commits, merged with those of
 * others. It joins the parts (capture, pipeline, counting, saving) and tells the app what changed.
 */

import { fromHex, isWellFormed, toHex, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { type Change, type Commit, clockTicks } from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import type { MergedItem } from '../merge/item.ts'
import { isScalar, type ScalarValue } from '../schema/field.ts'
import type { MapHandle, SetHandle, TextHandle } from '../schema/handle.ts'
import type { Initial, Item, Schema } from '../schema/schema.ts'
import { fieldNamed } from '../schema/schema.ts'
import type { Invitation } from '../trust/authoritylog.ts'
import type { Entry } from '../trust/entry.ts'
import { clockRule, type Rule } from '../trust/rules.ts'
import { Capture, type Identity } from './capture.ts'
import type { Certificates } from './certificates.ts'
import type { Clock } from './clock.ts'
import { type Counted, Counting, type CountingRules, fieldsOf } from './counting.ts'
import { Deaths } from './deaths.ts'
import type { Met } from './evidence.ts'
import { itemClass, liveOf } from './item.ts'
import type { Edit, Judging, Person } from './judging.ts'
import { refuseFounding } from './founding.ts'
import { Listeners } from './listeners.ts'
import { type LastChange, LiveItem, type SavedState } from './live.ts'
import { type Origin, Pipeline } from './pipeline.ts'
import type { Files, Runtime } from './ports.ts'
import { Query } from './query.ts'
import { type Readable, reportRead } from './reads.ts'
import { type Rejection, Rejections } from './rejections.ts'
import { remake, shownBy } from './remake.ts'
import type { Request } from './requests.ts'
import type { RootLog } from './rootlog.ts'
import { Saving } from './saving.ts'
import { type ChangedVerdict, whatIf } from './whatif.ts'

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
  readonly judging: Judging
  /** What this device's person wrote does not count. */
  rejected(rejection: Rejection): void
  incident(why: Refusal, repository: string): void
  /** Two things signed for one place. */
  forked(met: Met): void
  /** Something about saving or opening changed. */
  progress(repository: Repository): void
  committed(repository: Repository, settled: readonly { readonly commit: Commit; readonly origin: Origin }[]): void
  entered(repository: Repository, entries: readonly Entry[], origin: Origin): void
  refused(repository: Repository, origin: object, id: string, why: Refusal): void
  /** An entry this replica signed as the authority does not fit its log. */
  misplaced(repository: Repository, why: Refusal): void
  /** Who is logged in here, as rules see it. */
  readonly person: Person | undefined
  /** The person is logging out: what is edited now would be lost. */
  readonly leaving: boolean
  /** Asks the authority for something. */
  ask(request: Request): Promise<void>
}

/** Somebody with a role. */
export interface Member {
  readonly owner: string
  readonly role: string
  readonly name: string | undefined
}

const week = 604_800_000

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
  readonly #deaths: Deaths
  readonly #rejections: Rejections
  /** Everything is counted again: nothing of it is news. */
  #recounting = false
  /** Something counted on less than its author had seen. */
  #foreseen = false
  readonly #capture: Capture
  #markReady: () => void = () => undefined
  #failReady: (error: unknown) => void = () => undefined
  #telling = false
  #cancelDue: (() => void) | undefined
  #dueAt = Number.POSITIVE_INFINITY
  #opening: Promise<void> | undefined
  #storing: Refusal | undefined
  #closed = false
  /** Whoever had it has logged out: it shows nothing. */
  #forgotten = false
  readonly #changes: Readable = { subscribe: (listener) => this.onChange(listener) }
  /** True once this replica was level with the authority in this run. */
  synced = false

  constructor(path: string, host: Host) {
    this.path = path
    this.#host = host
    const rules: CountingRules = {
      schema: (hash) => host.schema(hash),
      policyKnown: (commit) => host.root.knows(commit.policy.root) && this.pipeline.knows(commit.policy.authority),
      now: () => host.clock.now(),
      isOwn: (commit) => commit.session === host.identity?.session,
      isDecided: (commit) => this.covers(commit.id) || this.pipeline.log.isVoid(commit.id),
      full: () => host.incident(refusal('TooMany', `${limits.heldChanges} commits that do not count yet`), path),
      undecided: (commit) => host.judging.waits(commit, this.pipeline.log),
      authorize: (commit, edit) => host.judging.write(commit, this.pipeline.log, edit),
    }
    this.counting = new Counting(rules, (counted) => this.#counted(counted))
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
        refuseFounding: (commit) => refuseFounding(commit, rules),
        refused: (origin, id, why) => {
          if (origin !== 'local') host.refused(this, origin, id, why)
        },
        rejected: (made, why) => {
          host.incident(why, path)
          if ('entry' in made) return host.misplaced(this, why)
          this.#saving.drop(made.commit.id, why)
          this.#saving.check()
          host.progress(this)
        },
        incident: (why) => host.incident(why, path),
        forked: (met) => host.forked(met),
        storage: (why) => {
          this.#storing = why
          host.progress(this)
        },
      },
    })
    this.#changeListeners = new Listeners((error) => this.#threw(error))
    this.#saving = new Saving(this.pipeline.commits)
    this.#deaths = new Deaths(this.pipeline, host.judging)
    this.#rejections = new Rejections(path, (rejection) => host.rejected(rejection))
    this.#capture = new Capture({
      runtime: host.runtime,
      clock: host.clock,
      root: host.root,
      pipeline: this.pipeline,
      counting: this.counting,
      saving: this.#saving,
      rate: host.captureRate,
      identity: () => this.#committer(),
      clockOf: (id) => this.pipeline.commits.get(id)?.clock ?? 0,
      refresh: () => this.#refresh(),
      denies: (live, operations) => this.#denies(live, operations),
      dropped: (live, operations, why) => this.#dropped(live, operations, why),
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
    if (this.#forgotten) return null
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
    const ids = live.merged.liveHeads.map((index) => live.merged.graph.node(index).id)
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
    if (this.#forgotten) return undefined
    let last: { id: string; clock: number } | undefined
    for (const index of live.merged.liveHeads) {
      const { id, clock } = live.merged.graph.node(index)
      if (last === undefined || clock > last.clock || (clock === last.clock && id > last.id)) last = { id, clock }
    }
    const session = last === undefined ? undefined : this.#sessionOf(last.id)
    if (last === undefined || session === undefined) return undefined
    const own = this.#host.identity
    const name =
      this.#host.certificates.get(session)?.name ?? (own?.session === session ? own.name : session.slice(0, 8))
    return { session, name, time: Math.floor(last.clock / clockTicks) }
  }

  #sessionOf(id: string): string | undefined {
    return (
      this.pipeline.commits.get(id)?.session ??
      (this.#saving.isUndurable(id) ? this.#host.identity?.session : undefined)
    )
  }

  // Who may do what.

  /** This person's role, as far as this replica knows the authority's log. */
  get role(): string | undefined {
    reportRead(this.#changes)
    const { judging, person } = this.#host
    return judging.whoNow(this.pipeline.log, this.pipeline.durableEntries, person).who.role
  }

  /** Everybody who has a role, by owner. The name is the one of their newest certificate that came here. */
  get members(): readonly Member[] {
    reportRead(this.#changes)
    if (this.#forgotten) return []
    const members = [...this.pipeline.log.roles()].map(([owner, role]) => {
      const name = this.#host.certificates.ofOwner(owner)?.name
      return { owner, role, name }
    })
    return members.sort((a, b) => (a.owner < b.owner ? -1 : 1))
  }

  /**
   * Gives an owner a role, or takes it away (null). Resolves when the server wrote that down; rejects with the reason, with `Unreachable`
   * while the server is. `fences`, true unless told, makes it hold for what they wrote before and did not send yet: use false to promote.
   */
  grant(owner: string, role: string | null, { fences = true }: { fences?: boolean } = {}): Promise<void> {
    return this.#ask({ method: 'grant', path: this.path, owner, role, fences })
  }

  /**
   * Makes an invitation: whoever comes with the code (`db.join(path, code)`) gets the role. `uses`: how many may, 1 unless told. `expires`:
   * ms since 1970, in a week unless told. The server keeps the code's hash alone.
   */
  async invite(role: string, options: { uses?: number; expires?: number } = {}): Promise<string> {
    const { runtime, clock } = this.#host
    const secret = runtime.random(16)
    const { uses = 1, expires = clock.now() + week } = options
    await this.#ask({
      method: 'invite',
      path: this.path,
      secret: toHex(runtime.hash(secret)),
      role,
      expires,
      uses,
    })
    return toHex(secret)
  }

  /** Takes back what can still be used of an invitation, by its code or by the `secret` that `invitations` names. */
  withdraw(invitation: { readonly code: string } | { readonly secret: string }): Promise<void> {
    const { runtime } = this.#host
    const secret = 'code' in invitation ? toHex(runtime.hash(fromHex(invitation.code))) : invitation.secret
    const role = this.pipeline.log.invitation(secret)?.statement.role ?? 'none'
    return this.#ask({ method: 'invite', path: this.path, secret, role, expires: 0, uses: 0 })
  }

  /** Another person may be logged in by now. */
  async #ask(request: Request): Promise<void> {
    this.#mustBeUsable()
    return this.#host.ask(request)
  }

  /** Invitations that somebody may still use. `secret` is the hash of the code, which nobody but whoever made it knows. */
  get invitations(): readonly Invitation[] {
    reportRead(this.#changes)
    return this.pipeline.log.invitations
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
    this.#bumpAll()
    this.#host.progress(this)
  }

  /** The server ended this person's access; the entries say how. */
  async parted(entries: readonly Uint8Array[]): Promise<void> {
    await this.pipeline.receive(this, { certificates: [], commits: [], entries })
    this.bar(refusal('Revoked', this.path))
  }

  /** Something this replica waited for became known: the root log grew, a schema came, time went on. */
  reconsider(): void {
    const { judging } = this.#host
    this.#buryChains((chain) => judging.isRevoked(chain.slice(0, 64)))
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

  /** Closes it for a person who logs out: queries and items that an app holds on to show nothing from here on. */
  async forget(): Promise<void> {
    this.#forgotten = true
    for (const live of this.#live.values()) live.vanish()
    this.#rejections.forget()
    this.#bumpAll()
    await this.close()
  }

  #threw(error: unknown): void {
    this.#host.incident(refusal('ListenerThrew', String(error)), this.path)
  }

  #mustBeUsable(): void {
    if (this.#closed || this.#host.leaving) throw new WeftError('Closed', this.path)
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
    if (this.#forgotten) return []
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
    if (why !== undefined && !this.#recounting) this.#host.incident(why, this.path)
    // Of an atomic commit all changes count or none.
    const keys = commit.atomic ? commit.changes.map(({ key }) => key) : [item.key]
    const death = this.#deaths.of(commit, keys)
    if (death !== undefined && item.void(index, death.from)) this.#foreseen = true
    if (commit.clock <= (this.#host.clock.now() + limits.clockAhead) * clockTicks) this.#host.clock.see(commit.clock)
    const ended = why ?? death?.why
    if (ended !== undefined) this.#reject(commit, item, index, ended)
    // The branch that a checkpoint covered came after the others of its chain.
    if (this.pipeline.commits.headsOf(commit.chain).length > 1) this.#unsure.add(commit.chain)
    const hash = this.#host.schemaHash(item.schema)
    const live = this.#live.get(liveName(item.key, hash))
    if (live === undefined) return this.#bump(hash)
    this.#stale.add(live)
    if (why !== undefined) this.#capture.refused(live)
  }

  /** Own work that does not count is named to the person who did it. */
  #reject(commit: Commit, item: MergedItem, index: number, why: Refusal): void {
    // What is written again is lost to nobody.
    if (commit.session !== this.#host.identity?.session || why.rule === clockRule) return
    this.#saving.refuse(commit.id, why)
    const { key, schema } = item
    const time = Math.floor(commit.clock / clockTicks)
    this.#rejections.add(why, { commit: commit.id, key, schema, time, ...item.outcome(index) })
  }

  /** An edit as it would be judged in a commit made now. */
  #editOf(live: LiveItem, operations: readonly Operation[]): Edit {
    const { merged, key, schema } = live
    return {
      key,
      schema,
      fields: fieldsOf(operations),
      before: merged.value(),
      // Computed only for a rule that looks at it.
      get after() {
        return merged.preview(operations)
      },
    }
  }

  #denies(live: LiveItem, operations: readonly Operation[]): Refusal | undefined {
    const { person, judging, root } = this.#host
    if (person === undefined) return undefined
    const about = `write ${this.path} ${live.schema.name} ${live.key}`
    const n = this.pipeline.durableEntries - 1
    return judging.writing(person, root.size - 1, n, this.pipeline.log, this.#editOf(live, operations), about)
  }

  #dropped(live: LiveItem, operations: readonly Operation[], why: Refusal): void {
    this.#saving.denied(live, why)
    this.#host.incident(why, this.path)
    const { key, schema, before, after } = this.#editOf(live, operations)
    this.#rejections.add(why, { commit: undefined, key, schema, time: this.#host.clock.now(), before, after })
  }

  /** Why changes of a commit do not count, one by one; empty when all of them do. */
  whyDenied(id: string): readonly { readonly schema: string; readonly key: string; readonly why: Refusal }[] {
    const commit = this.pipeline.commits.get(id)
    if (commit === undefined) return []
    const waits = this.counting.waiting.get(id)?.why
    return commit.changes.flatMap((change) => {
      const why = this.#whyNot(commit, change) ?? waits
      return why === undefined ? [] : [{ schema: change.schema.name, key: change.key, why }]
    })
  }

  #whyNot(commit: Commit, { key, schema }: Change): Refusal | undefined {
    const item = this.counting.item(key, schema.hash)
    const index = item?.graph.indexOf(commit.id)
    if (item === undefined || index === undefined) return undefined
    const node = item.graph.node(index)
    const fields = fieldsOf(node.operations)
    if (node.inapplicable) return refusal('Inapplicable', `${schema.name} ${key}`)
    if (node.refused) {
      const edit = { key, schema: item.schema, fields, ...item.outcome(index) }
      const why = this.#host.judging.write(commit, this.pipeline.log, edit)
      return why ?? refusal('NotAllowed', 'another change of the same commit')
    }
    return this.#deaths.of(commit, commit.atomic ? commit.changes.map((one) => one.key) : [key])?.why
  }

  /** Which verdicts these rules would have given otherwise, had they been in force from the first commit on. Costs a replay of all history. */
  whatIf(rules: readonly Rule[]): readonly ChangedVerdict[] {
    const { certificates, clock, judging, root } = this.#host
    const schema = (hash: string): Schema | undefined => this.#host.schema(hash)
    return whatIf({ pipeline: this.pipeline, root, certificates, judging, schema, now: () => clock.now() }, rules)
  }

  /** What somebody who reads the whole history needs beside the commits. */
  get witness(): Pick<Host, 'certificates' | 'judging' | 'root' | 'runtime'> {
    reportRead(this.#changes)
    return this.#host
  }

  /** Own changes that do not count, with their content, oldest first. */
  get rejections(): readonly Rejection[] {
    reportRead(this.#changes)
    return this.#rejections.all
  }

  /** Forked chains that have to be looked at again. */
  readonly #unsure = new Set<string>()

  /** Applies to commits that count already what the authority's logs say of them. */
  #bury(commit: Commit): void {
    for (const change of commit.changes) {
      const item = this.counting.item(change.key, change.schema.hash)
      const index = item?.graph.indexOf(commit.id)
      if (item === undefined || index === undefined) continue
      const keys = commit.atomic ? commit.changes.map(({ key }) => key) : [change.key]
      const death = this.#deaths.of(commit, keys)
      if (death === undefined) continue
      if (item.void(index, death.from)) this.#foreseen = true
      this.#reject(commit, item, index, death.why)
      const live = this.#live.get(liveName(change.key, change.schema.hash))
      if (live !== undefined) this.#stale.add(live)
      this.#bump(change.schema.hash)
    }
  }

  /** The authority did not take the clock of an own commit: what it wrote is written again, under the time as it is known now. */
  #writeAgain(commit: Commit): void {
    const shown = commit.changes.flatMap(({ key, schema: { hash } }) => {
      const schema = this.#host.schema(hash)
      const live = schema === undefined ? undefined : this.#liveItem(key, schema)
      return live === undefined ? [] : [{ live, shown: shownBy(live) }]
    })
    const counted = shown.some(({ live }) => {
      const index = live.merged.graph.indexOf(commit.id)
      return index !== undefined && live.merged.graph.node(index).voided === undefined
    })
    this.#bury(commit)
    this.#refresh()
    // Told of it once already, or opened with the entry: nothing of it is shown.
    if (!counted) return
    this.#capture.restartChain()
    this.#saving.again(commit.id)
    for (const one of shown) remake(one.live, one.shown)
  }

  #buryChains(isConcerned: (chain: string) => boolean): void {
    const chains = new Set<string>()
    for (const head of this.pipeline.commits.heads()) if (isConcerned(head.chain)) chains.add(head.chain)
    for (const chain of chains) for (const commit of this.#deaths.chain(chain)) this.#bury(commit)
  }

  /** What counted on less than its author had seen is counted again, with all that is known now. */
  #settleDeaths(): void {
    if (this.#unsure.size > 0) {
      const unsure = [...this.#unsure]
      this.#unsure.clear()
      for (const chain of unsure) for (const commit of this.#deaths.chain(chain)) this.#bury(commit)
    }
    if (!this.#foreseen) return
    this.#foreseen = false
    this.#recounting = true
    this.counting.recount()
    this.#recounting = false
    this.#foreseen = false
    this.#unsure.clear()
    for (const live of this.#live.values()) this.#stale.add(live)
    this.#bumpAll()
  }

  #refresh(): void {
    if (this.#forgotten) return
    this.#settleDeaths()
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
    this.#bump('')
    this.#host.entered(this, entries, origin)
    this.#saving.check()
    this.#host.progress(this)
  }

  #applyEntry({ statement, n, root }: Entry): void {
    const { certificates, judging } = this.#host
    if (statement.kind === 'verdict') {
      const commit = this.pipeline.commits.get(statement.commit)
      const isOwn = commit?.session === this.#host.identity?.session
      if (commit !== undefined && isOwn && statement.code === 'ClockAhead') this.#writeAgain(commit)
      else if (commit !== undefined) this.#bury(commit)
      this.#host.incident(refusal('Voided', `${statement.rule}: ${statement.reason}`), this.path)
    } else if (statement.kind === 'grant' && (statement.fences || statement.founding)) {
      const { founding, owner } = statement
      this.#buryChains((chain) => founding || certificates.get(chain.slice(0, 64))?.owner === owner)
    }
    const knew = this.pipeline.log.entries[n - 1]?.root?.n ?? -1
    if (root !== null && root.n > knew) this.#buryChains((chain) => judging.isRevoked(chain.slice(0, 64)))
    if (statement.kind === 'checkpoint') {
      const forked = statement.moved.filter(({ chain }) => this.pipeline.commits.headsOf(chain).length > 1)
      for (const { chain } of forked) for (const commit of this.#deaths.chain(chain)) this.#bury(commit)
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
