/**
 * An item's value at one version, with what merging needs to go on from it: the stamp of each assignment, the tag of each set element
 * and map entry. Immutable: versions share what they have in common. Applying the same changes in any causal order gives the same
 * state, text apart, which the walker merges.
 */

import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { type Operation, type Tag, tagOf } from '../commit/operation.ts'
import type { ItemGraph, Node } from '../graph/item.ts'
import { type Field, isScalar, type Scalar, type ScalarField } from '../schema/field.ts'
import { fieldNamed, type Schema } from '../schema/schema.ts'
import { type Entries, type Entry, type FieldState, Fields, type FieldsChange, type Stamp } from './fields.ts'
import { Rope } from './rope.ts'
import { applySplices, type Splice } from './splice.ts'
import { Changing, VersionedMap } from './versioned.ts'

export interface ItemState {
  /** Edits that no deletion covers, as node numbers: the item is there while there is one. */
  readonly presence: readonly number[]
  readonly fields: Fields
}

export const emptyState: ItemState = { presence: [], fields: Fields.empty }

export const isPresent = (state: ItemState): boolean => state.presence.length > 0

const isLater = (a: Stamp, b: Stamp): boolean => a.clock > b.clock || (a.clock === b.clock && a.id > b.id)

/** The entry that a map shows for a key. */
export const winner = (entries: readonly Entry[]): Entry | undefined =>
  entries.reduce<Entry | undefined>(
    (best, entry) => (best === undefined || isLater(entry, best) ? entry : best),
    undefined,
  )

/** The value of a scalar field. */
export const scalarOf = (state: ItemState, name: string, field: ScalarField): Scalar => {
  const held = state.fields.scalar(name)
  return held === undefined ? field.initial : held
}

export const ropeOf = (state: ItemState, field: string): Rope => {
  const text = state.fields.get(field)
  return text?.kind === 'text' ? text.rope : Rope.empty
}

/** What stands for a unit of erased text where somebody saw it: half a pair, which no text holds by itself. */
export const erasedUnit = '\ud800'

/** The text without what was erased. With the flag `u`, a pair is one character. */
export const withoutErased = (text: string): string => text.replace(/\ud800/gu, '')

/** The splices of a node in a text field, in sequence. Erased text replays at its length. */
export const splicesOf = (node: Node, field: string): Splice[] => {
  const splices: Splice[] = []
  for (const operation of node.operations) {
    if (operation.kind !== 'splice' || operation.field !== field) continue
    const { at, remove, length } = operation
    splices.push({ at, remove, insert: operation.insert ?? erasedUnit.repeat(length) })
  }
  return splices
}

/** Beside its strings, what an element or an entry counts for in its field's size. */
const overhead = 8

const unitsOf = (value: Scalar): number => (typeof value === 'string' ? value.length : 0)

/**
 * The size of a field, of which `limits.itemBytes` is the most: UTF-16 units of text, strings and keys, and 8 for each element or entry.
 * Concurrent changes may take it beyond; then a change can be applied that does not make it larger. (A register is bounded by its kind.)
 */
const sizeOf = (field: FieldState | undefined): number =>
  field === undefined || field.kind === 'register' ? 0 : field.kind === 'text' ? field.rope.length : field.size

const isTooLarge = (before: ItemState, after: ItemState): boolean => {
  for (const [name, field] of after.fields) {
    const size = sizeOf(field)
    if (size > limits.itemBytes && size > sizeOf(before.fields.get(name))) return true
  }
  return false
}

/** The key that the entry of that tag was put under, if there is such an entry in the field and its content is not erased. */
const keyOf = (graph: ItemGraph, field: string, tag: Tag): string | undefined => {
  const index = graph.indexOf(tag.slice(0, 64))
  const put = index === undefined ? undefined : graph.node(index).operations[Number(tag.slice(65))]
  return put?.kind === 'put' && put.field === field ? put.entry?.[0] : undefined
}

/** A tag as one field's: a change may name it in two. */
const inField = (field: string, tag: Tag): string => `${field}/${tag}`

/** Tags that the change removes and that the value it names does not hold, undefined for none. */
const ignoredTags = (before: ItemState, node: Node, graph: ItemGraph): ReadonlySet<string> | undefined => {
  let ignored: Set<string> | undefined
  for (const operation of node.operations) {
    if (operation.kind !== 'remove' && operation.kind !== 'drop') continue
    const held = before.fields.get(operation.field)
    for (const tag of operation.tags) {
      const isHeld =
        operation.kind === 'remove'
          ? held?.kind === 'elements' && held.byTag.has(tag)
          : held?.kind === 'entries' &&
            entriesOfTag(held, graph, operation.field, tag).some((entry) => entry.tag === tag)
      if (isHeld) continue
      ignored ??= new Set()
      ignored.add(inField(operation.field, tag))
    }
  }
  return ignored
}

const entriesOfTag = (held: Entries, graph: ItemGraph, field: string, tag: Tag): readonly Entry[] => {
  const key = keyOf(graph, field, tag)
  return key === undefined ? [] : (held.byKey.get(key) ?? [])
}

const checkFields = (operations: readonly Operation[], schema: Schema): Refusal | undefined => {
  for (const operation of operations) {
    if (operation.kind === 'touch' || operation.kind === 'delete') continue
    const field = fieldNamed(schema, operation.field)
    if (field === undefined || !takes(field, operation)) return refusal('Inapplicable', operation.field)
  }
  return undefined
}

/** Whether the operation is one of the field's kind, with a value that it accepts. */
const takes = (field: Field, operation: Operation): boolean => {
  switch (operation.kind) {
    case 'assign':
      return isScalar(field) && (operation.value === undefined || field.accepts(operation.value))
    case 'add':
      return field.kind === 'set' && (operation.value === undefined || field.element.accepts(operation.value))
    case 'put':
      return field.kind === 'map' && (operation.entry === undefined || field.element.accepts(operation.entry[1]))
    case 'remove':
      return field.kind === 'set'
    case 'drop':
      return field.kind === 'map'
    case 'splice':
      return field.kind === 'text'
    default:
      return true
  }
}

/** Whether a change of these operations can be applied to any value, and makes no field larger: then nothing needs to be merged to know it. */
export const appliesAnywhere = (operations: readonly Operation[], schema: Schema): boolean =>
  operations.every(({ kind }) => kind === 'assign' || kind === 'touch' || kind === 'delete') &&
  checkFields(operations, schema) === undefined

/** What becomes of a change, from the value its author saw. */
export interface Judgement {
  readonly refusal: Refusal | undefined
  readonly ignored: ReadonlySet<string> | undefined
  /** The value with the change; without it when it is refused. */
  readonly after: ItemState
}

/**
 * Whether a change can be applied to `before`, the value its author saw: every field is in the schema and of the operation's kind, every
 * value is accepted, every splice is inside the text, and no field grows beyond its limit. A pure function of the change and
 * its past.
 */
export const judge = (before: ItemState, node: Node, graph: ItemGraph, schema: Schema): Judgement => {
  const no = (why: Refusal): Judgement => ({ refusal: why, ignored: undefined, after: before })
  const bad = checkFields(node.operations, schema)
  if (bad !== undefined) return no(bad)
  const ignored = ignoredTags(before, node, graph)
  let after = applyAlone(before, node, ignored, graph)
  for (const field of splicedFields(node)) {
    const rope = applySplices(ropeOf(before, field), splicesOf(node, field), true)
    if (rope === undefined) return no(refusal('Inapplicable', field))
    after = { presence: after.presence, fields: after.fields.with(field, { kind: 'text', rope }) }
  }
  if (node.settled !== true && isTooLarge(before, after)) return no(refusal('Inapplicable', 'more than a field holds'))
  return { refusal: undefined, ignored, after }
}

const noFields: ReadonlySet<string> = new Set()

/** The text fields that a change edits. */
export const splicedFields = (node: Node): ReadonlySet<string> =>
  node.operations.every(({ kind }) => kind !== 'splice')
    ? noFields
    : new Set(node.operations.flatMap((operation) => (operation.kind === 'splice' ? [operation.field] : [])))

/** A state that is being made: fields are copied when first written. */
class Making {
  readonly fields: FieldsChange
  #elements: Map<string, { readonly byTag: Changing<Scalar>; size: number }> | undefined
  #entries: Map<string, { readonly byKey: Changing<readonly Entry[]>; size: number }> | undefined

  constructor(state: ItemState) {
    this.fields = state.fields.change()
  }

  assign(field: string, stamp: Stamp, value: Scalar): void {
    const held = this.fields.get(field)
    // Of one change the last assignment counts.
    if (held?.kind === 'register' && held.stamp.id !== stamp.id && !isLater(stamp, held.stamp)) return
    this.fields.set(field, { kind: 'register', stamp, value })
  }

  add(field: string, tag: Tag, value: Scalar): void {
    const elements = this.#elementsOf(field)
    elements.byTag.set(tag, value)
    elements.size += overhead + unitsOf(value)
  }

  remove(field: string, tag: Tag): void {
    const elements = this.#elementsOf(field)
    const value = elements.byTag.get(tag)
    if (value === undefined) return
    elements.byTag.set(tag, undefined)
    elements.size -= overhead + unitsOf(value)
  }

  /** Puts an entry beside those under its key that `keeps` says stay. */
  put(field: string, key: string, entry: Entry | undefined, keeps: (entry: Entry) => boolean): void {
    const entries = this.#entriesOf(field)
    const held = entries.byKey.get(key) ?? []
    const kept = held.filter(keeps)
    for (const one of held) if (!keeps(one)) entries.size -= entrySize(key, one)
    if (entry !== undefined) {
      kept.push(entry)
      entries.size += entrySize(key, entry)
    }
    entries.byKey.set(key, kept.length === 0 ? undefined : kept)
  }

  /** Nodes of the entries under a key. */
  nodesOf(field: string, key: string): Set<number> {
    return new Set(
      this.#entriesOf(field)
        .byKey.get(key)
        ?.map((entry) => entry.node),
    )
  }

  finish(presence: readonly number[]): ItemState {
    for (const [field, { byTag, size }] of this.#elements ?? [])
      this.fields.set(field, { kind: 'elements', byTag: byTag.finish(), size })
    for (const [field, { byKey, size }] of this.#entries ?? [])
      this.fields.set(field, { kind: 'entries', byKey: byKey.finish(), size })
    return { presence, fields: this.fields.finish() }
  }

  #elementsOf(field: string) {
    const open = this.#elements?.get(field)
    if (open !== undefined) return open
    const held = this.fields.get(field)
    const copy =
      held?.kind === 'elements'
        ? { byTag: new Changing(held.byTag), size: held.size }
        : { byTag: new Changing(VersionedMap.empty<Scalar>()), size: 0 }
    this.#elements ??= new Map()
    this.#elements.set(field, copy)
    return copy
  }

  #entriesOf(field: string) {
    const open = this.#entries?.get(field)
    if (open !== undefined) return open
    const held = this.fields.get(field)
    const copy =
      held?.kind === 'entries'
        ? { byKey: new Changing(held.byKey), size: held.size }
        : { byKey: new Changing(VersionedMap.empty<readonly Entry[]>()), size: 0 }
    this.#entries ??= new Map()
    this.#entries.set(field, copy)
    return copy
  }
}

const entrySize = (key: string, entry: Entry): number => overhead + key.length + unitsOf(entry.value)

const none: readonly number[] = []
/** Most items have one change. */
const onlyFirst: readonly number[] = [0]

const deletes = (node: Node): boolean => node.operations.some((operation) => operation.kind === 'delete')

/** Applies a change's operations, all but text and presence. `put` enters an entry. */
const applyTo = (
  making: Making,
  node: Node,
  ignored: ReadonlySet<string> | undefined,
  graph: ItemGraph,
  put: (field: string, key: string, entry: Entry) => void,
): void => {
  for (const [position, operation] of node.operations.entries()) {
    switch (operation.kind) {
      case 'assign':
        if (operation.value !== undefined) making.assign(operation.field, node, operation.value)
        break
      case 'add':
        if (operation.value !== undefined) making.add(operation.field, tagOf(node.id, position), operation.value)
        break
      case 'remove':
        for (const tag of operation.tags)
          if (ignored?.has(inField(operation.field, tag)) !== true) making.remove(operation.field, tag)
        break
      case 'put': {
        if (operation.entry === undefined) break
        const [key, value] = operation.entry
        put(operation.field, key, {
          node: node.index,
          tag: tagOf(node.id, position),
          clock: node.clock,
          id: node.id,
          value,
        })
        break
      }
      case 'drop':
        for (const tag of operation.tags) {
          const key =
            ignored?.has(inField(operation.field, tag)) === true ? undefined : keyOf(graph, operation.field, tag)
          if (key !== undefined) making.put(operation.field, key, undefined, (entry) => entry.tag !== tag)
        }
    }
  }
}

/** `state`, exactly the value the author saw, with the operations of the change, all but its text. */
export const applyAlone = (
  state: ItemState,
  node: Node,
  ignored: ReadonlySet<string> | undefined,
  graph: ItemGraph,
): ItemState => {
  if (node.operations.length === 0) return state
  const making = new Making(state)
  applyTo(making, node, ignored, graph, (field, key, entry) => making.put(field, key, entry, () => false))
  return making.finish(deletes(node) ? none : node.index === 0 ? onlyFirst : [node.index])
}

/**
 * `state`, the value at `from`, with the operations of the changes `added`, all but their text: everything that a version holds beyond
 * `from`, ascending; `alive` are those that are not dead.
 */
export const applyMerged = (
  state: ItemState,
  from: readonly number[],
  added: readonly Node[],
  alive: readonly Node[],
  graph: ItemGraph,
): ItemState => {
  const effective = alive.filter((node) => node.operations.length > 0)
  if (effective.length === 0) return state
  const making = new Making(state)
  const puts = new Map<string, Map<string, number[]>>()
  for (const node of effective) {
    applyTo(making, node, node.ignored, graph, (field, key, entry) => {
      making.put(field, key, entry, (other) => other.node !== node.index)
      const byKey = puts.get(field) ?? new Map<string, number[]>()
      puts.set(field, byKey.set(key, [...(byKey.get(key) ?? []), node.index]))
    })
  }
  // A put hides the puts under its key that are in its past, also when it was dropped itself.
  for (const [field, byKey] of puts) {
    for (const [key, nodes] of byKey) {
      const hidden = graph.ancestorsAmong(making.nodesOf(field, key), nodes)
      if (hidden.size > 0) making.put(field, key, undefined, (entry) => !hidden.has(entry.node))
    }
  }
  return making.finish(mergedPresence(state.presence, from, added, effective, graph))
}

/** The edits that no later one covers, of those in `presence` and the new ones. */
const mergedPresence = (
  presence: readonly number[],
  from: readonly number[],
  added: readonly Node[],
  effective: readonly Node[],
  graph: ItemGraph,
): number[] => {
  const isEffective = new Set(effective.map((node) => node.index))
  const covered = new Set<number>()
  for (const node of added.toReversed()) {
    if (isEffective.has(node.index) || covered.has(node.index)) for (const parent of node.parents) covered.add(parent)
  }
  // Heads of `from` are covered only by children among the added; what lies deeper is looked for.
  const heads = new Set(from)
  const deeper = new Set(presence.filter((index) => !heads.has(index) && !covered.has(index)))
  if (deeper.size > 0) for (const index of graph.ancestorsAmong(deeper, covered)) covered.add(index)
  const edits = effective.filter((node) => !deletes(node)).map((node) => node.index)
  return [...presence, ...edits].filter((index) => !covered.has(index))
}

export const withText = (state: ItemState, field: string, splices: readonly Splice[]): ItemState => {
  if (splices.length === 0) return state
  const rope = applySplices(ropeOf(state, field), splices, true)
  // The walker's splices fit by construction; a text that would not fit keeps its last value rather than losing the item.
  if (rope === undefined) return state
  return { presence: state.presence, fields: state.fields.with(field, { kind: 'text', rope }) }
}
