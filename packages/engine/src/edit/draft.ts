/**
 * Edits of one item that no commit holds yet, kept over the item's value. When the value moves under them (a remote commit), texts are
 * rebased; everything else stands by itself: an assignment assigns, a removal names the elements it saw.
 */
import { isWellFormed, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Operation, Tag } from '../commit/operation.ts'
import type { FieldState } from '../merge/fields.ts'
import type { Rope } from '../merge/rope.ts'
import { applySplices, type Splice } from '../merge/splice.ts'
import { type ItemState, isPresent, ropeOf, scalarOf, winner } from '../merge/state.ts'
import { isScalar, type Scalar, type ScalarField } from '../schema/field.ts'
import { fieldNamed, type Schema } from '../schema/schema.ts'
import { compose, type Delta, deltaOf, rebase, splicesOf } from './delta.ts'

/** A value its field refused: shown in memory, left out of commits. */
export interface RefusedValue {
  readonly value: unknown
  readonly refusal: Refusal
}

/** What waits, by field. A kind of edit has no map before there is such an edit: most drafts are empty, and most others hold one kind. */
interface Pending {
  assigned?: Map<string, Scalar>
  texts?: Map<string, Delta>
  /** The text with what is pending, for as long as the text under it is the same. */
  shown?: Map<string, { readonly under: Rope; readonly rope: Rope }>
  added?: Map<string, Set<Scalar>>
  removed?: Map<string, Set<Tag>>
  put?: Map<string, Map<string, Scalar>>
  dropped?: Map<string, Set<Tag>>
  presence?: 'touch' | 'delete'
}

export const noRefused: ReadonlyMap<string, RefusedValue> = new Map()

export class Draft {
  readonly schema: Schema
  #pending: Pending | undefined
  #refused: Map<string, RefusedValue> | undefined

  constructor(schema: Schema) {
    this.schema = schema
  }

  /** Nothing here would become part of a commit. */
  get isEmpty(): boolean {
    if (this.#pending === undefined) return true
    const { assigned, texts, added, removed, put, dropped, presence } = this.#pending
    return presence === undefined && [assigned, texts, added, removed, put, dropped].every((map) => !map?.size)
  }

  get refused(): ReadonlyMap<string, RefusedValue> {
    return this.#refused ?? noRefused
  }

  /** What is pending revives an item that another replica deleted meanwhile. */
  isPresent(state: ItemState): boolean {
    const presence = this.#pending?.presence
    if (presence !== undefined) return presence === 'touch'
    return isPresent(state) || this.#operations(state).length > 0
  }

  touch(): void {
    this.#open.presence = 'touch'
  }

  /** What is pending stays and is written before the deletion, so that a restored item has it. */
  delete(): void {
    this.#open.presence = 'delete'
  }

  /** Forgets everything pending, and refused values but those. */
  discard(refused: ReadonlyMap<string, RefusedValue> = noRefused): void {
    this.#pending = undefined
    this.#refused = refused.size === 0 ? undefined : new Map(refused)
  }

  get #open(): Pending {
    this.#pending ??= {}
    return this.#pending
  }

  #refuse(name: string, value: unknown, about: string): void {
    this.#refused ??= new Map()
    this.#refused.set(name, { value, refusal: refusal('BadValue', about) })
  }

  /** What the field is now: the pending value, or the one of `state`. */
  scalar(name: string, field: ScalarField, state: ItemState): Scalar {
    const pending = this.#pending?.assigned?.get(name)
    return pending === undefined ? scalarOf(state, name, field) : pending
  }

  assign(name: string, value: unknown, state: ItemState): void {
    const field = this.#fieldOf(name)
    if (!isScalar(field)) throw new TypeError(`${name} is not assigned: use its methods`)
    const stored = field.toStored(value)
    if (stored === undefined || !field.accepts(stored) || isTooLong(stored)) {
      this.#refuse(name, value, `${this.schema.name}.${name}`)
      return
    }
    this.#refused?.delete(name)
    if (scalarOf(state, name, field) === stored) {
      this.#pending?.assigned?.delete(name)
      return
    }
    const pending = this.#open
    pending.assigned ??= new Map()
    pending.assigned.set(name, stored)
  }

  /** In the order of the values: the order in which they came differs from replica to replica. */
  elements(name: string, state: ItemState): Set<Scalar> {
    const removed = this.#pending?.removed?.get(name)
    const held = state.fields.get(name)
    const values = new Set<Scalar>()
    if (held?.kind === 'elements')
      for (const [tag, value] of held.byTag) if (removed?.has(tag) !== true) values.add(value)
    for (const value of this.#pending?.added?.get(name) ?? []) values.add(value)
    return new Set([...values].sort(byValue))
  }

  /** Whether the set holds the stored value; does not cost the size of the set. */
  holds(name: string, stored: Scalar, state: ItemState): boolean {
    if (this.#pending?.added?.get(name)?.has(stored) === true) return true
    const removed = this.#pending?.removed?.get(name)
    return tagsOf(state.fields.get(name), stored).some((tag) => removed?.has(tag) !== true)
  }

  add(name: string, value: unknown, state: ItemState): boolean {
    const stored = this.#element(name, 'set', value)
    if (stored === undefined || this.holds(name, stored, state)) return false
    const pending = this.#open
    pending.added ??= new Map()
    entryOf(pending.added, name, () => new Set<Scalar>()).add(stored)
    return true
  }

  remove(name: string, value: unknown, state: ItemState): boolean {
    const stored = this.#element(name, 'set', value)
    if (stored === undefined || !this.holds(name, stored, state)) return false
    const pending = this.#open
    const added = pending.added?.get(name)
    if (added?.delete(stored) === true && added.size === 0) pending.added?.delete(name)
    pending.removed ??= new Map()
    for (const tag of tagsOf(state.fields.get(name), stored))
      entryOf(pending.removed, name, () => new Set<Tag>()).add(tag)
    return true
  }

  /** The value of one entry. */
  entry(name: string, key: string, state: ItemState): Scalar | undefined {
    const pending = this.#pending?.put?.get(name)?.get(key)
    if (pending !== undefined) return pending
    const held = state.fields.get(name)
    const puts = held?.kind === 'entries' ? (held.byKey.get(key) ?? []) : []
    const dropped = this.#pending?.dropped?.get(name)
    return winner(dropped === undefined ? puts : puts.filter((one) => !dropped.has(one.tag)))?.value
  }

  /** In the order of the keys. */
  entries(name: string, state: ItemState): Map<string, Scalar> {
    const dropped = this.#pending?.dropped?.get(name)
    const held = state.fields.get(name)
    const values = new Map<string, Scalar>()
    if (held?.kind === 'entries') {
      for (const [key, puts] of held.byKey) {
        const put = winner(dropped === undefined ? puts : puts.filter((one) => !dropped.has(one.tag)))
        if (put !== undefined) values.set(key, put.value)
      }
    }
    for (const [key, value] of this.#pending?.put?.get(name) ?? []) values.set(key, value)
    return new Map([...values].sort(([a], [b]) => byValue(a, b)))
  }

  put(name: string, key: string, value: unknown): boolean {
    const stored = this.#element(name, 'map', value)
    if (stored === undefined || typeof key !== 'string' || !isWellFormed(key) || utf8Length(key) > limits.nameBytes) {
      this.#refuse(name, value, `${this.schema.name}.${name}[${String(key).slice(0, 64)}]`)
      return false
    }
    const pending = this.#open
    pending.put ??= new Map()
    entryOf(pending.put, name, () => new Map<string, Scalar>()).set(key, stored)
    return true
  }

  drop(name: string, key: string, state: ItemState): boolean {
    const pending = this.#open
    const put = pending.put?.get(name)
    const wasPut = put?.delete(key) === true
    if (put?.size === 0) pending.put?.delete(name)
    const held = state.fields.get(name)
    const gone = pending.dropped?.get(name)
    const puts = (held?.kind === 'entries' ? (held.byKey.get(key) ?? []) : []).filter(
      (one) => gone?.has(one.tag) !== true,
    )
    if (puts.length === 0) return wasPut
    pending.dropped ??= new Map()
    const dropped = entryOf(pending.dropped, name, () => new Set<Tag>())
    for (const one of puts) dropped.add(one.tag)
    return true
  }

  text(name: string, state: ItemState): Rope {
    const under = ropeOf(state, name)
    const delta = this.#pending?.texts?.get(name)
    if (delta === undefined) return under
    const shown = this.#pending?.shown?.get(name)
    if (shown?.under === under) return shown.rope
    const rope = applySplices(under, splicesOf(delta))
    if (rope === undefined) throw new RangeError(`pending text of ${name} does not fit the value under it`)
    this.#show(name, under, rope)
    return rope
  }

  /** Splices of the text as `text` gives it. */
  splice(name: string, splices: readonly Splice[], state: ItemState): void {
    const rope = applySplices(this.text(name, state), splices)
    if (rope === undefined) throw new RangeError(`the splices do not fit the text of ${name}`)
    const before = this.#pending?.texts?.get(name)
    const delta = deltaOf(splices)
    this.#keep(name, before === undefined ? delta : compose(before, delta))
    this.#show(name, ropeOf(state, name), rope)
  }

  /**
   * Carries the pending text over what changed under it. Returns the splices that take the text shown before to the one shown now.
   */
  rebase(name: string, remote: readonly Splice[]): Splice[] {
    const delta = this.#pending?.texts?.get(name)
    if (delta === undefined) return [...remote]
    const under = deltaOf(remote)
    this.#keep(name, rebase(delta, under, 'after'))
    this.#pending?.shown?.delete(name)
    return splicesOf(rebase(under, delta, 'before'))
  }

  #keep(name: string, delta: Delta): void {
    const pending = this.#open
    pending.texts ??= new Map()
    if (delta.length === 0) pending.texts.delete(name)
    else pending.texts.set(name, delta)
  }

  #show(name: string, under: Rope, rope: Rope): void {
    const pending = this.#open
    pending.shown ??= new Map()
    pending.shown.set(name, { under, rope })
  }

  /**
   * Takes out everything pending, as operations on `state`, the value under the draft.
   */
  take(state: ItemState): Operation[] {
    const operations = this.#operations(state)
    this.#pending = undefined
    return operations
  }

  #operations(state: ItemState): Operation[] {
    const operations: Operation[] = []
    if (this.#pending === undefined) return operations
    const { assigned, texts, added, removed, put, dropped, presence } = this.#pending
    if (presence === 'touch') operations.push({ kind: 'touch' })
    for (const [field, value] of assigned ?? []) operations.push({ kind: 'assign', field, value })
    for (const [field, tags] of removed ?? []) {
      const held = [...tags].filter(isHeldIn(state.fields.get(field)))
      if (held.length > 0) operations.push({ kind: 'remove', field, tags: held })
    }
    for (const [field, values] of added ?? [])
      for (const value of values) operations.push({ kind: 'add', field, value })
    for (const [field, tags] of dropped ?? []) {
      const held = [...tags].filter(isHeldIn(state.fields.get(field)))
      if (held.length > 0) operations.push({ kind: 'drop', field, tags: held })
    }
    for (const [field, entries] of put ?? [])
      for (const entry of entries) operations.push({ kind: 'put', field, entry })
    for (const [field, delta] of texts ?? []) {
      for (const { at, remove, insert } of splicesOf(delta)) {
        operations.push({ kind: 'splice', field, at, remove, length: insert.length, insert })
      }
    }
    // Last, so that no piece of a long change comes after it and brings the item back.
    if (presence === 'delete' && (isPresent(state) || operations.length > 0)) operations.push({ kind: 'delete' })
    return operations
  }

  #fieldOf(name: string) {
    const field = fieldNamed(this.schema, name)
    if (field === undefined) throw new TypeError(`${this.schema.name} has no field ${name}`)
    return field
  }

  #element(name: string, kind: 'set' | 'map', value: unknown): Scalar | undefined {
    const field = this.#fieldOf(name)
    if (field.kind !== kind) throw new TypeError(`${name} is not a ${kind}`)
    const stored = field.element.toStored(value)
    if (stored !== undefined && field.element.accepts(stored) && !isTooLong(stored)) {
      this.#refused?.delete(name)
      return stored
    }
    this.#refuse(name, value, `${this.schema.name}.${name}`)
    return undefined
  }
}

/** What no commit has room for, whatever the field allows. */
const isTooLong = (stored: Scalar): boolean =>
  typeof stored === 'string' && stored.length > longestBytes / 3 && utf8Length(stored) > longestBytes

const longestBytes = limits.commitBytes / 2

const indexes = new WeakMap<ReadonlyMap<Tag, Scalar>, ReadonlyMap<Scalar, readonly Tag[]>>()

/** The tags of a value in a set. Values of states never change, so the index of one is made once. */
const tagsOf = (held: FieldState | undefined, stored: Scalar): readonly Tag[] => {
  if (held?.kind !== 'elements') return []
  let index = indexes.get(held.byTag)
  if (index === undefined) {
    const made = new Map<Scalar, Tag[]>()
    for (const [tag, value] of held.byTag) entryOf(made, value, () => []).push(tag)
    index = made
    indexes.set(held.byTag, made)
  }
  return index.get(stored) ?? []
}

const entryOf = <Key, Value>(map: Map<Key, Value>, name: Key, make: () => Value): Value => {
  const held = map.get(name)
  if (held !== undefined) return held
  const made = make()
  map.set(name, made)
  return made
}

/** Within one kind as it compares, else by the name of the kind. */
const byValue = (a: Scalar, b: Scalar): number => {
  const [one, other] = [typeof a, typeof b]
  if (one !== other) return one < other ? -1 : 1
  return a === b || a === null || b === null ? 0 : a < b ? -1 : 1
}

/** Tags that are still there: what another replica removed meanwhile needs no second removal. */
const isHeldIn = (state: FieldState | undefined): ((tag: Tag) => boolean) => {
  if (state?.kind === 'elements') return (tag) => state.byTag.has(tag)
  if (state?.kind === 'entries') {
    const held = new Set([...state.byKey.values()].flatMap((entries) => entries.map((entry) => entry.tag)))
    return (tag) => held.has(tag)
  }
  return () => false
}
