/**
 * The capture loop of a repository: takes what is edited out of the items and puts it into signed commits, the first change at the end of
 * the microtask and then at most so many a second. It is the one place where this replica's own chain grows.
 */
import { toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import {
  type Draft as ChangeDraft,
  type Commit,
  composeCommit,
  type Policy,
  type Position,
  sizeOf,
  type UnsignedCommit,
  unsealedCommit,
} from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import { noRefused, type RefusedValue } from '../edit/draft.ts'
import { partition, weightOf } from '../edit/partition.ts'
import type { Rope } from '../merge/rope.ts'
import type { Clock } from './clock.ts'
import type { Counting } from './counting.ts'
import type { LiveItem } from './live.ts'
import type { Pipeline } from './pipeline.ts'
import type { Runtime, SigningKey } from './ports.ts'
import type { RootLog } from './rootlog.ts'
import type { Saving } from './saving.ts'
import { Sealing } from './sealing.ts'

export interface Identity {
  readonly session: string
  readonly key: SigningKey
  readonly name: string
}

/** What capturing needs of its repository. */
export interface Captured {
  readonly runtime: Runtime
  readonly clock: Clock
  readonly root: RootLog
  readonly pipeline: Pipeline
  readonly counting: Counting
  readonly saving: Saving
  /** Commits a second, at most. */
  readonly rate: number
  /** Whose commits they are; undefined while none can be made. */
  identity(): Identity | undefined
  /** Takes in what was counted. */
  refresh(): void
  incident(why: Refusal): void
  /** Why the rules deny the edit to whoever makes it; what is denied goes into no commit. */
  denies(live: LiveItem, operations: readonly Operation[]): Refusal | undefined
  /** The edit was denied and dropped. */
  dropped(live: LiveItem, operations: readonly Operation[], why: Refusal): void
  /** Something about saving changed. */
  progress(): void
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

export class Capture {
  readonly #of: Captured
  readonly #dirty = new Set<LiveItem>()
  readonly #sealing: Sealing
  /** Items whose own change was refused while it was captured: what they showed is not what they are. */
  readonly #refusedLive = new Set<LiveItem>()
  /** Values that schemas had refused before the transaction under way. */
  readonly #refusedBefore = new Map<LiveItem, ReadonlyMap<string, RefusedValue>>()
  #incarnation: string | undefined
  #chainSession: string | undefined
  #seq = 0
  #prev: Pick<Commit, 'id' | 'clock'> | null = null
  #policy: Policy | undefined
  #lastCapture = Number.NEGATIVE_INFINITY
  #cancelCapture: (() => void) | undefined
  #captureQueued = false
  #inTransaction = false
  #problem: Refusal | undefined

  constructor(of: Captured) {
    this.#of = of
    this.#sealing = new Sealing(of.runtime, {
      sealed: (run) => of.pipeline.submit(run),
      problem: (why) => {
        if (why !== undefined) of.incident(why)
        this.#problem = why
        of.progress()
      },
    })
  }

  /** Items with edits that are in no commit. */
  get dirty(): number {
    return this.#dirty.size
  }

  /** Why signing does not work at the moment. */
  get problem(): Refusal | undefined {
    return this.#problem
  }

  get inTransaction(): boolean {
    return this.#inTransaction
  }

  /** The item is about to be edited. */
  editing(live: LiveItem): void {
    if (this.#inTransaction && !this.#refusedBefore.has(live))
      this.#refusedBefore.set(live, live.draft.refused.size === 0 ? noRefused : new Map(live.draft.refused))
  }

  /** The item was edited. */
  edited(live: LiveItem): void {
    this.#dirty.add(live)
    this.#of.progress()
    if (!this.#inTransaction) this.schedule()
  }

  /** A change of the item, just captured or not, does not count as it was meant. */
  refused(live: LiveItem): void {
    this.#refusedLive.add(live)
  }

  /** Begins another chain: what this one would go on from has a clock far ahead of the time. */
  restartChain(): void {
    this.#incarnation = undefined
    this.#of.clock.restart()
  }

  /** Captures what is left and signs what can be signed. */
  async close(): Promise<void> {
    this.flush()
    await this.#sealing.close()
  }

  /** Captures what is dirty at once, whatever the rate. */
  flush(): void {
    this.#cancelCapture?.()
    this.#cancelCapture = undefined
    this.#capture()
  }

  /**
   * Runs `change` and commits what it edited at once, as one atomic commit: all of it counts or none. When it throws, or a field refuses
   * a value (`BadValue`), or it does not fit one commit (`TooLarge`), nothing of it stays. What was edited before goes into a commit of
   * its own. Throws `NotReady` before the repository is open and somebody is logged in.
   */
  transact(change: () => void): void {
    if (this.#inTransaction) return change()
    if (this.#of.identity() === undefined) throw new WeftError('NotReady', this.#of.pipeline.path)
    this.flush()
    this.#inTransaction = true
    try {
      const returned: unknown = change()
      if (returned instanceof Promise)
        throw new TypeError('a transaction is over when its function returns: it cannot be async')
      this.#inTransaction = false
      this.#commitTransaction()
    } catch (error) {
      this.#inTransaction = false
      const edited = [...this.#dirty]
      this.#dirty.clear()
      for (const live of edited) live.discard(this.#refusedBefore.get(live) ?? noRefused)
      throw error
    } finally {
      this.#refusedBefore.clear()
    }
  }

  #commitTransaction(): void {
    // Nobody tells of a remote commit in between, but what was counted is taken in before anything is taken out.
    this.#of.refresh()
    const keys = new Set<string>()
    for (const live of this.#dirty) {
      for (const [name, refused] of live.draft.refused) {
        if (this.#refusedBefore.get(live)?.get(name) !== refused) throw new WeftError('BadValue', refused.refusal.about)
      }
      if (!live.draft.isEmpty && keys.size === keys.add(live.key).size)
        throw new WeftError('BadItemKey', `${live.key}, of two schemas`)
    }
    const taken = this.#take()
    const edits = taken.map(({ live, pieces: [first = [], ...more] }) => ({
      live,
      operations: more.length === 0 ? first : [first, ...more].flat(),
    }))
    const denied = edits
      .map(({ live, operations }) => this.#of.denies(live, operations))
      .find((why) => why !== undefined)
    const fits =
      edits.length <= limits.changes && edits.every(({ operations }) => operations.length <= limits.operations)
    if (edits.length > 0 && (denied !== undefined || !fits || !this.#commit(edits, true))) {
      for (const { live, shown } of taken) {
        this.#dirty.delete(live)
        live.discard(this.#refusedBefore.get(live) ?? noRefused, shown)
      }
      throw denied === undefined ? new WeftError('TooLarge', 'a transaction is one commit') : WeftError.of(denied)
    }
    this.#captured(taken)
  }

  /** Captures in its time what is dirty, if commits can be made. */
  schedule(): void {
    if (
      this.#captureQueued ||
      this.#cancelCapture !== undefined ||
      this.#dirty.size === 0 ||
      this.#of.identity() === undefined
    )
      return
    const wait = 1000 / this.#of.rate - (this.#of.runtime.elapsed() - this.#lastCapture)
    if (wait > 0) {
      this.#cancelCapture = this.#of.runtime.timer(wait, () => {
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
      this.#of.incident(refusal('Fault', String(error)))
      this.#of.progress()
    }
  }

  /** Takes out everything dirty. */
  #take(): Taken[] {
    const taken: Taken[] = []
    for (const live of this.#dirty) {
      const shown = live.shown()
      const pieces = partition(live.take())
      if (pieces.length > 0) taken.push({ live, pieces, shown })
    }
    this.#dirty.clear()
    return taken
  }

  /** Puts everything dirty into commits: one, unless it is too much for one. */
  #capture(): void {
    if (this.#dirty.size === 0 || this.#of.identity() === undefined) return
    this.#of.refresh()
    const taken = this.#take()
    for (let piece = 0; taken.some(({ pieces }) => piece < pieces.length); piece++) {
      let edits: Edit[] = []
      const keys = new Set<string>()
      let weight = 0
      for (const { live, pieces } of taken) {
        const operations = pieces[piece]
        if (operations === undefined || this.#isDenied(live, operations)) continue
        const added = 256 + weightOf(operations)
        // A change is named by commit and key: two schemas may have a key in common, one commit not.
        if (
          edits.length >= limits.changes ||
          keys.has(live.key) ||
          (edits.length > 0 && weight + added > limits.commitBytes / 2)
        ) {
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

  #isDenied(live: LiveItem, operations: readonly Operation[]): boolean {
    const why = this.#of.denies(live, operations)
    if (why === undefined) return false
    this.#refusedLive.add(live)
    this.#of.dropped(live, operations, why)
    return true
  }

  /** All that was taken out is in commits. */
  #captured(taken: readonly Taken[]): void {
    if (taken.length > 0) this.#lastCapture = this.#of.runtime.elapsed()
    for (const { live, shown } of taken) if (this.#refusedLive.has(live)) live.reshow(shown)
    this.#refusedLive.clear()
    this.#of.saving.check()
    this.#of.progress()
  }

  /** One commit, or, when the bytes are too many for one, one for each half. */
  #commitOrSplit(edits: readonly Edit[]): void {
    if (this.#commit(edits, false)) return
    const half = Math.ceil(edits.length / 2)
    if (half === edits.length) {
      // No value a field takes is so long; were it, the rest must not be lost with it.
      this.#of.incident(refusal('TooLarge', `${edits[0]?.live.schema.name} ${edits[0]?.live.key}`))
      for (const { live } of edits) this.#refusedLive.add(live)
      return
    }
    this.#commitOrSplit(edits.slice(0, half))
    this.#commitOrSplit(edits.slice(half))
  }

  /** Composes, counts, signs and submits one commit. False, with nothing done, when it is too large. */
  #commit(edits: readonly Edit[], atomic: boolean): boolean {
    const identity = this.#of.identity()
    if (identity === undefined) return false
    for (const { live } of edits) this.#joinHeads(live, identity)
    const drafts = edits.map(({ live, operations }) => this.#draft(live, operations))
    const unsigned = this.#compose(drafts, atomic, identity.session)
    if (sizeOf(unsigned) > limits.commitBytes) return false
    this.#send(unsigned, identity.key)
    for (const { live } of edits) live.refresh(true)
    return true
  }

  #draft(live: LiveItem, operations: readonly Operation[]): ChangeDraft {
    const heads = live.merged.liveHeads.map((index) => live.merged.nameOf(index))
    // Of heads that are not stored yet as well: the clock may have been set back since.
    for (const { clock } of heads) this.#of.clock.see(clock)
    const parents = heads.map(({ id }) => id).sort((a, b) => (a < b ? -1 : 1))
    const salt = this.#of.runtime.random(12)
    return { key: live.key, parents, schema: live.named, operations, salt }
  }

  /** More heads than a change may name are joined by empty changes first. */
  #joinHeads(live: LiveItem, identity: Identity): void {
    while (live.merged.liveHeads.length > limits.parents) {
      const draft = this.#draft(live, [])
      this.#send(
        this.#compose([{ ...draft, parents: draft.parents.slice(0, limits.parents) }], false, identity.session),
        identity.key,
      )
    }
  }

  #compose(drafts: readonly ChangeDraft[], atomic: boolean, session: string): UnsignedCommit {
    const { runtime, root, clock, pipeline } = this.#of
    if (this.#incarnation === undefined || this.#chainSession !== session) {
      this.#incarnation = toHex(runtime.random(8))
      this.#chainSession = session
      this.#seq = 0
      this.#prev = null
    }
    const { network, position } = root
    if (network === undefined || position === null) throw new Error('a commit is made after the network is known')
    // All repositories share the clock: another one may have set it back.
    if (this.#prev !== null) clock.see(this.#prev.clock)
    const header = {
      network,
      repository: pipeline.path,
      session,
      incarnation: this.#incarnation,
      seq: this.#seq,
      prev: this.#prev?.id ?? null,
      clock: clock.next(),
      policy: this.#policyAt(position, pipeline.position),
      atomic,
      extended: false,
    }
    return composeCommit(header, drafts, (bytes) => runtime.hash(bytes))
  }

  /** The same object for commits with the same one. */
  #policyAt(root: Position, authority: Position | null): Policy {
    if (root.hash !== this.#policy?.root.hash || authority?.hash !== this.#policy.authority?.hash)
      this.#policy = { root, authority }
    return this.#policy
  }

  #send(unsigned: UnsignedCommit, key: SigningKey): void {
    this.#seq = unsigned.fields.seq + 1
    this.#prev = { id: unsigned.id, clock: unsigned.fields.clock }
    this.#of.saving.made(unsigned.id)
    this.#of.counting.count(unsealedCommit(unsigned))
    this.#sealing.add(unsigned, key)
  }
}
