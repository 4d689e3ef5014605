/**
 * An item as an app holds it: the merged value and, over it, the edits that no commit holds yet. Reading and writing a field is
 * synchronous. When the value moves (a remote commit, a verdict), pending text is rebased and editors are told the difference.
 */
import { WeftError } from '../bytes/refusal.ts'
import { Draft } from '../edit/draft.ts'
import { diffText } from '../merge/diff.ts'
import type { Rope } from '../merge/rope.ts'
import { emptyState, type ItemState } from '../merge/state.ts'
import type { MergedItem } from '../merge/item.ts'
import type { Splice } from '../merge/splice.ts'
import { isScalar, type Scalar, type ScalarValue } from '../schema/field.ts'
import { reportRead } from './reads.ts'
import type { TextChange } from '../schema/handle.ts'
import { fieldNamed, type Schema } from '../schema/schema.ts'

/** Where a change of an item stands: only in memory, in this device's log, or under a checkpoint of the authority. */
export type SavedState = 'draft' | 'local' | 'authority'

/** The latest change that counts at an item. `time`: ms since 1970. */
export interface LastChange {
  readonly session: string
  readonly name: string
  readonly time: number
}

export interface LiveOwner {
  saved(live: LiveItem, level: 'local' | 'authority'): Promise<void>
  savedState(live: LiveItem): SavedState
  lastChange(live: LiveItem): LastChange | undefined
  /** The item has something to commit. */
  dirty(live: LiveItem): void
  /** What the item shows changed. */
  changed(live: LiveItem): void
}

export class LiveItem {
  readonly key: string
  readonly schema: Schema
  readonly schemaHash: string
  readonly merged: MergedItem
  readonly draft: Draft
  readonly owner: LiveOwner
  readonly #listeners = new Set<() => void>()
  readonly #textListeners = new Map<string, Set<(change: TextChange) => void>>()
  #heads: readonly number[] = []
  #state: ItemState = emptyState

  constructor(merged: MergedItem, schemaHash: string, owner: LiveOwner) {
    this.key = merged.key
    this.schema = merged.schema
    this.schemaHash = schemaHash
    this.merged = merged
    this.draft = new Draft(merged.schema)
    this.owner = owner
    this.#state = merged.value()
    this.#heads = [...merged.heads]
  }

  get state(): ItemState {
    return this.#state
  }

  get isPresent(): boolean {
    return this.draft.isPresent(this.#state)
  }

  /** Takes the merged value in. `quiet`: it only moved by this item's own edits, so nothing that is shown changes. */
  refresh(quiet = false): void {
    const { state, texts } = this.merged.since(this.#heads, this.#state)
    if (state === this.#state) {
      this.#heads = [...this.merged.heads]
      return
    }
    this.#state = state
    this.#heads = [...this.merged.heads]
    if (quiet) return
    for (const [field, splices] of texts) {
      const shown = this.draft.rebase(field, splices)
      if (shown.length > 0) this.#tellText(field, { splices: shown, origin: 'remote' })
    }
    this.#tell()
  }

  scalar(name: string): ScalarValue {
    reportRead(this)
    const refused = this.draft.refused.get(name)
    // What the schema refused stays visible as it was given; its type is the app's own doing.
    if (refused !== undefined) return refused.value as ScalarValue
    const field = fieldNamed(this.schema, name)
    if (field === undefined || !isScalar(field)) throw new TypeError(`${this.schema.name} has no scalar field ${name}`)
    return field.toValue(this.draft.scalar(name, field, this.#state))
  }

  assign(name: string, value: unknown): void {
    this.edit(() => this.draft.assign(name, value, this.#state))
  }

  elements(name: string): Set<Scalar> {
    reportRead(this)
    return this.draft.elements(name, this.#state)
  }

  entries(name: string): Map<string, Scalar> {
    reportRead(this)
    return this.draft.entries(name, this.#state)
  }

  text(name: string): Rope {
    reportRead(this)
    return this.draft.text(name, this.#state)
  }

  splice(name: string, splices: readonly Splice[]): void {
    if (splices.length === 0) return
    this.edit(() => this.draft.splice(name, splices, this.#state))
    this.#tellText(name, { splices, origin: 'local' })
  }

  /** Makes an edit of the draft. Throws `ItemDeleted` on an item that is not there. */
  edit(change: () => void): void {
    if (!this.isPresent) throw new WeftError('ItemDeleted', `${this.schema.name} ${this.key}`)
    change()
    this.owner.dirty(this)
    this.#tell()
  }

  delete(): void {
    if (!this.isPresent) return
    this.draft.delete()
    this.owner.dirty(this)
    this.#tell()
  }

  /** Makes the item be there, new or again. */
  touch(): void {
    if (this.isPresent) return
    this.draft.touch()
    this.owner.dirty(this)
    this.#tell()
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  subscribeText(name: string, listener: (change: TextChange) => void): () => void {
    const listeners = this.#textListeners.get(name) ?? new Set()
    this.#textListeners.set(name, listeners.add(listener))
    return () => void listeners.delete(listener)
  }

  /** Drops the draft: the item shows its merged value again. */
  discard(): void {
    const before = new Map<string, string>()
    for (const name of this.#textListeners.keys()) before.set(name, this.draft.text(name, this.#state).toString())
    this.draft.discard()
    for (const [name, text] of before) {
      const splices = diffText(text, this.draft.text(name, this.#state).toString())
      if (splices.length > 0) this.#tellText(name, { splices, origin: 'remote' })
    }
    this.#tell()
  }

  /** Its saved state changed, not its value. */
  tellSaved(): void {
    for (const listener of [...this.#listeners]) listener()
  }

  #tell(): void {
    this.owner.changed(this)
    for (const listener of [...this.#listeners]) listener()
  }

  #tellText(name: string, change: TextChange): void {
    for (const listener of [...(this.#textListeners.get(name) ?? [])]) listener(change)
  }
}
