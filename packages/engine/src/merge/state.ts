/**
 * An item's value at one version, with what merging needs to go on from it: the stamp of each assignment, the tag of each set element
 * and map entry. Immutable: versions share what they have in common. Applying the same changes in any causal order gives the same
 * state, text apart, which the walker merges.
 */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { limits } from '../bytes/limits.ts'
import type { ItemGraph, Node } from '../graph/item.ts'
import { type Tag, tagOf } from '../commit/operation.ts'
import { isScalar, type Scalar } from '../schema/field.ts'
import { fieldNamed, type Schema } from '../schema/schema.ts'
import { Rope } from './rope.ts'
import { applySplices, type Splice } from './splice.ts'

export interface Register {
  readonly kind: 'register'
  readonly clock: number
  readonly id: string
  readonly value: Scalar
}

export interface Elements {
  readonly kind: 'elements'
  readonly byTag: ReadonlyMap<Tag, Scalar>
}

export interface Entry {
  readonly node: number
  readonly tag: Tag
  readonly clock: number
  readonly id: string
  readonly value: Scalar
}

export interface Entries {
  readonly kind: 'entries'
  /** Per key the puts that no later one replaced; the one with the latest stamp is the value. */
  readonly byKey: ReadonlyMap<string, readonly Entry[]>
}

export interface TextState {
  readonly kind: 'text'
  readonly rope: Rope
}

export type FieldState = Register | Elements | Entries | TextState

export interface ItemState {
  /** Edits that no deletion covers, as node numbers: the item is there while there is one. */
  readonly presence: readonly number[]
  readonly fields: ReadonlyMap<string, FieldState>
}

export const emptyState: ItemState = { presence: [], fields: new Map() }

export const isPresent = (state: ItemState): boolean => state.presence.length > 0

/** Whether stamp (clock, commit id) `a` is later than `b`. */
const isLater = (a: { clock: number; id: string }, b: { clock: number; id: string }): boolean =>
  a.clock > b.clock || (a.clock === b.clock && a.id > b.id)

/** The entry that a map shows for a key. */
export const winner = (entries: readonly Entry[]): Entry | undefined =>
  entries.reduce<Entry | undefined>((best, entry) => (best === undefined || isLater(entry, best) ? entry : best), undefined)

export const ropeOf = (state: ItemState, field: string): Rope => {
  const text = state.fields.get(field)
  return text?.kind === 'text' ? text.rope : Rope.empty
}

/** The splices of a node in a text field, in sequence. Erased text replays at its length. */
export const splicesOf = (node: Node, field: string): Splice[] => {
  const splices: Splice[] = []
  for (const operation of node.operations) {
    if (operation.kind !== 'splice' || operation.field !== field) continue
    const { at, remove, length } = operation
    splices.push({ at, remove, insert: operation.insert ?? '\ufffd'.repeat(length) })
  }
  return splices
}

/**
 * Whether a change can be applied to the value its author saw: every field is in the schema and of the operation's kind, every value is
 * accepted, every splice is inside the text, and the item stays within its limit. A pure function of the change and its past.
 */
export const checkChange = (before: ItemState, node: Node, schema: Schema): Refusal | undefined => {
  const bad = (about: string) => refusal('Inapplicable', about)
  const texts = new Map<string, Splice[]>()
  for (const operation of node.operations) {
    if (operation.kind === 'touch' || operation.kind === 'delete') continue
    const field = fieldNamed(schema, operation.field)
    if (field === undefined) return bad(operation.field)
    switch (operation.kind) {
      case 'assign':
        if (!isScalar(field) || (operation.value !== undefined && !field.accepts(operation.value))) return bad(operation.field)
        break
      case 'add':
        if (field.kind !== 'set' || (operation.value !== undefined && !field.element.accepts(operation.value))) return bad(operation.field)
        break
      case 'put':
        if (field.kind !== 'map' || (operation.entry !== undefined && !field.element.accepts(operation.entry[1]))) {
          return bad(operation.field)
        }
        break
      case 'remove':
        if (field.kind !== 'set') return bad(operation.field)
        break
      case 'drop':
        if (field.kind !== 'map') return bad(operation.field)
        break
      case 'splice': {
        if (field.kind !== 'text') return bad(operation.field)
        if (!texts.has(operation.field)) texts.set(operation.field, splicesOf(node, operation.field))
      }
    }
  }
  for (const [field, splices] of texts) {
    const after = applySplices(ropeOf(before, field), splices)
    if (after === undefined || after.length > limits.itemBytes) return bad(field)
  }
  return undefined
}

/**
 * `state` with the operations of one more change, all but its text. `linear`: the state is exactly the value the author saw, so that
 * everything in it is in the change's past.
 */
export const applyOperations = (state: ItemState, node: Node, graph: ItemGraph, schema: Schema, linear: boolean): ItemState => {
  if (node.operations.length === 0) return state
  const covers = (index: number): boolean => linear || graph.isAncestor(index, node.index)
  const fields = new Map(state.fields)
  const elements = new Map<string, Map<Tag, Scalar>>()
  const entries = new Map<string, Map<string, readonly Entry[]>>()
  const elementsOf = (field: string): Map<Tag, Scalar> => {
    const open = elements.get(field)
    if (open !== undefined) return open
    const held = fields.get(field)
    const copy = new Map(held?.kind === 'elements' ? held.byTag : [])
    elements.set(field, copy)
    return copy
  }
  const entriesOf = (field: string): Map<string, readonly Entry[]> => {
    const open = entries.get(field)
    if (open !== undefined) return open
    const held = fields.get(field)
    const copy = new Map(held?.kind === 'entries' ? held.byKey : [])
    entries.set(field, copy)
    return copy
  }
  let touched = false
  let deleted = false
  for (const [position, operation] of node.operations.entries()) {
    if (operation.kind === 'delete') {
      deleted = true
      continue
    }
    touched = true
    switch (operation.kind) {
      case 'assign': {
        const held = fields.get(operation.field)
        const field = fieldNamed(schema, operation.field)
        const stamp = { clock: node.clock, id: node.id }
        if (field === undefined || !isScalar(field)) break
        if (held?.kind === 'register' && !isLater(stamp, held)) break
        if (operation.value !== undefined) fields.set(operation.field, { kind: 'register', ...stamp, value: operation.value })
        break
      }
      case 'add':
        if (operation.value !== undefined) elementsOf(operation.field).set(tagOf(node.id, position), operation.value)
        break
      case 'remove':
        for (const tag of operation.tags) elementsOf(operation.field).delete(tag)
        break
      case 'put': {
        if (operation.entry === undefined) break
        const [key, value] = operation.entry
        const byKey = entriesOf(operation.field)
        const beside = (byKey.get(key) ?? []).filter((entry) => !covers(entry.node))
        const tag = tagOf(node.id, position)
        byKey.set(key, [...beside, { node: node.index, tag, clock: node.clock, id: node.id, value }])
        break
      }
      case 'drop': {
        const byKey = entriesOf(operation.field)
        const tags = new Set(operation.tags)
        for (const [key, held] of byKey) {
          const rest = held.filter((entry) => !tags.has(entry.tag))
          if (rest.length === 0) byKey.delete(key)
          else if (rest.length < held.length) byKey.set(key, rest)
        }
      }
    }
  }
  for (const [field, byTag] of elements) fields.set(field, { kind: 'elements', byTag })
  for (const [field, byKey] of entries) fields.set(field, { kind: 'entries', byKey })
  let { presence } = state
  if (touched || deleted) {
    presence = linear ? [] : presence.filter((index) => !covers(index))
    if (touched && !deleted) presence = [...presence, node.index]
  }
  return { presence, fields }
}

export const withText = (state: ItemState, field: string, splices: readonly Splice[]): ItemState => {
  if (splices.length === 0) return state
  const rope = applySplices(ropeOf(state, field), splices)
  // The walker's splices fit by construction; a text that would not fit keeps its last value rather than losing the item.
  if (rope === undefined) return state
  return { presence: state.presence, fields: new Map(state.fields).set(field, { kind: 'text', rope }) }
}
