/**
 * An item as an app holds it: the merged value and, over it, the edits that no commit holds yet. Reading and writing a field is
 * synchronous. When the value moves (a remote commit, a verdict), pending text is rebased and editors are told the difference.
 */
import { WeftError } from '../bytes/refusal.ts'
import type { SchemaName } from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import { Draft, type RefusedValue } from '../edit/draft.ts'
import { diffText } from '../merge/diff.ts'
import { MergedItem } from '../merge/item.ts'
import type { Look } from '../merge/items.ts'
import type { Rope } from '../merge/rope.ts'
import type { Splice } from '../merge/splice.ts'
import { emptyState, type ItemState, isPresent, scalarOf } from '../merge/state.ts'
import type { Scalar, ScalarField, ScalarValue } from '../schema/field.ts'
import type { TextChange } from '../schema/handle.ts'
import type { Item, Schema } from '../schema/schema.ts'
import { Listeners } from './listeners.ts'
import { reportRead } from './reads.ts'
import type { Grouped } from './weakvalues.ts'

/** Where a change of an item stands: only in memory, in this device's log, or under a checkpoint of the authority. */
export type SavedState = 'draft' | 'local' | 'authority'

/** The latest change that counts at an item. `time`: ms since 1970. */
export interface LastChange {
  readonly session: string
  readonly name: string
  readonly time: number
}

export interface LiveOwner {
  merged(live: LiveItem): MergedItem
  /** From now on it may not go while nobody holds it. */
  needed(live: LiveItem): void
  saved(live: LiveItem, level: 'local' | 'authority'): Promise<void>
  savedState(live: LiveItem): SavedState
  lastChange(live: LiveItem): LastChange | undefined
  /** The item is about to be edited. Throws `Closed` when that is too late. */
  editing(live: LiveItem): void
  /** A listener threw. */
  threw(error: unknown): void
  /** The item has something to commit. */
  dirty(live: LiveItem): void
  /** What the item shows changed. */
  changed(live: LiveItem): void
}

export class LiveItem implements Grouped {
  readonly key: string
  readonly schema: Schema
  /** The schema as commits name it. */
  readonly named: SchemaName
  readonly owner: LiveOwner
  /** What an app holds of it, once it does. */
  facade: Item | undefined
  /** Those that stay with it. */
  group: object | undefined
  #merged: MergedItem | undefined
  #listeners: Listeners | undefined
  #textListeners: Map<string, Listeners<[TextChange]>> | undefined
  #draft: Draft | undefined
  /** Undefined where they are of a graph that is gone. */
  #heads: readonly number[] | undefined
  #state: ItemState

  /** `merged`: the item, or what it is while nobody asks for its changes. */
  constructor(key: string, schema: Schema, named: SchemaName, owner: LiveOwner, merged: MergedItem | Look) {
    this.key = key
    this.schema = schema
    this.named = named
    this.owner = owner
    const isMerged = merged instanceof MergedItem
    this.#merged = isMerged ? merged : undefined
    this.#state = isMerged ? merged.value() : merged.state
    this.#heads = isMerged ? merged.headsNow : merged.heads
  }

  get merged(): MergedItem {
    this.#merged ??= this.owner.merged(this)
    return this.#merged
  }

  /** Whether somebody has to be told of it, or it has what is in no commit: then it stays, whoever holds it. */
  get isNeeded(): boolean {
    if (this.#draft !== undefined || (this.#listeners?.size ?? 0) > 0) return true
    for (const { size } of this.#textListeners?.values() ?? []) if (size > 0) return true
    return false
  }

  /** All is counted again, and the graph is another one where nobody has the item. */
  recounted(): void {
    if (this.#merged === undefined) this.#heads = undefined
  }

  get schemaHash(): string {
    return this.named.hash
  }

  /** What is edited and in no commit; made when it is asked for, since most items have nothing of it. */
  get draft(): Draft {
    if (this.#draft === undefined) {
      this.#draft = new Draft(this.schema)
      this.owner.needed(this)
    }
    return this.#draft
  }

  /** What the item shows is read through this: its own draft, or one without edits that all items of the schema share. */
  get #edits(): Draft {
    return this.#draft ?? withoutEdits(this.schema)
  }

  /** Takes out everything pending, as operations. */
  take(): Operation[] {
    const operations = this.draft.take(this.#state)
    if (this.draft.refused.size === 0) this.#draft = undefined
    return operations
  }

  get state(): ItemState {
    return this.#state
  }

  get isPresent(): boolean {
    return this.#draft === undefined ? isPresent(this.#state) : this.#draft.isPresent(this.#state)
  }

  /** Takes the merged value in. `quiet`: it only moved by this item's own edits, so nothing that is shown changes. */
  refresh(quiet = false): void {
    const { state, texts } = this.merged.since(this.#heads, this.#state)
    this.#heads = this.merged.headsNow
    if (state === this.#state) return
    this.#state = state
    if (quiet) return
    // All texts move before anybody is told: a listener may read any of them.
    const changes = [...texts].map(([field, splices]) => [field, this.draft.rebase(field, splices)] as const)
    for (const [field, shown] of changes)
      if (shown.length > 0) this.#tellText(field, { splices: shown, origin: 'remote' })
    this.#tell()
  }

  scalar(name: string, field: ScalarField): ScalarValue {
    reportRead(this)
    if (this.#draft === undefined) return field.toValue(scalarOf(this.#state, name, field))
    const refused = this.#draft.refused.get(name)
    // What the schema refused stays visible as it was given; its type is the app's own doing.
    if (refused !== undefined) return refused.value as ScalarValue
    return field.toValue(this.#draft.scalar(name, field, this.#state))
  }

  assign(name: string, value: unknown): void {
    this.#begin()
    this.draft.assign(name, value, this.#state)
    this.#end()
  }

  elements(name: string): Set<Scalar> {
    reportRead(this)
    return this.#edits.elements(name, this.#state)
  }

  entries(name: string): Map<string, Scalar> {
    reportRead(this)
    return this.#edits.entries(name, this.#state)
  }

  text(name: string): Rope {
    reportRead(this)
    return this.#edits.text(name, this.#state)
  }

  /** Whether a set holds the stored value. */
  hasElement(name: string, stored: Scalar): boolean {
    reportRead(this)
    return this.#edits.holds(name, stored, this.#state)
  }

  /** One entry of a map. */
  entry(name: string, key: string): Scalar | undefined {
    reportRead(this)
    return this.#edits.entry(name, key, this.#state)
  }

  splice(name: string, splices: readonly Splice[]): void {
    if (splices.length === 0) return
    this.#begin()
    this.draft.splice(name, splices, this.#state)
    this.#end(() => this.#tellText(name, { splices, origin: 'local' }))
  }

  /** Makes an edit of the draft. Throws `ItemDeleted` on an item that is not there, `Closed` when the repository is closed. */
  edit(change: () => void): void {
    this.#begin()
    change()
    this.#end()
  }

  #begin(): void {
    this.owner.editing(this)
    if (!this.isPresent) throw new WeftError('ItemDeleted', `${this.schema.name} ${this.key}`)
  }

  #end(tellMore?: () => void): void {
    this.owner.dirty(this)
    tellMore?.()
    this.#tell()
  }

  delete(): void {
    if (!this.isPresent) return
    this.owner.editing(this)
    this.draft.delete()
    this.#end()
  }

  /** Makes the item be there, new or again. */
  touch(): void {
    if (this.isPresent) return
    this.owner.editing(this)
    this.draft.touch()
    this.#end()
  }

  subscribe(listener: () => void): () => void {
    this.#listeners ??= new Listeners((error) => this.owner.threw(error))
    const stop = this.#listeners.add(listener)
    this.owner.needed(this)
    return stop
  }

  subscribeText(name: string, listener: (change: TextChange) => void): () => void {
    this.#textListeners ??= new Map()
    const listeners = this.#textListeners.get(name) ?? new Listeners<[TextChange]>((error) => this.owner.threw(error))
    this.#textListeners.set(name, listeners)
    const stop = listeners.add(listener)
    this.owner.needed(this)
    return stop
  }

  /** The texts that somebody follows, as they are shown now. */
  shown(): ReadonlyMap<string, Rope> {
    if (this.#textListeners === undefined) return noTexts
    const shown = new Map<string, Rope>()
    for (const [name, { size }] of this.#textListeners)
      if (size > 0) shown.set(name, this.draft.text(name, this.#state))
    return shown
  }

  /** Tells of the difference from what was shown. */
  reshow(before: ReadonlyMap<string, Rope>): void {
    for (const [name, text] of before) {
      const splices = diffText(text.toString(), this.draft.text(name, this.#state).toString())
      if (splices.length > 0) this.#tellText(name, { splices, origin: 'remote' })
    }
    this.#tell()
  }

  /** Drops the draft: the item shows its merged value again, and of values its schema refused only those. */
  discard(refused: ReadonlyMap<string, RefusedValue>, before = this.shown()): void {
    this.draft.discard(refused)
    this.reshow(before)
  }

  /** Shows nothing any more: whoever might read it has logged out. */
  vanish(): void {
    const before = this.shown()
    this.#state = emptyState
    this.discard(new Map(), before)
  }

  /** Its saved state changed, not its value. */
  tellSaved(): void {
    const listeners = this.#listeners
    if (listeners !== undefined) this.#say(() => listeners.tell())
  }

  #tell(): void {
    this.owner.changed(this)
    this.tellSaved()
  }

  #tellText(name: string, change: TextChange): void {
    const listeners = this.#textListeners?.get(name)
    if (listeners !== undefined) this.#say(() => listeners.tell(change))
  }

  /** What is being told, and what comes after it. */
  #sayings: (() => void)[] | undefined

  /** One after the other: what a listener changes is told when everybody heard of the change before. */
  #say(saying: () => void): void {
    if (this.#sayings !== undefined) return void this.#sayings.push(saying)
    this.#sayings = [saying]
    for (let next = this.#sayings.shift(); next !== undefined; next = this.#sayings.shift()) next()
    this.#sayings = undefined
  }
}

const blank = new WeakMap<Schema, Draft>()

/** Never edited: whoever edits asks for the item's own. */
const withoutEdits = (schema: Schema): Draft => {
  const known = blank.get(schema) ?? new Draft(schema)
  blank.set(schema, known)
  return known
}

const noTexts: ReadonlyMap<string, Rope> = new Map()
