/**
 * Merged items as a snapshot keeps them, a block of them at a time. A block is read where it is: reading it finds where its items stand, and
 * an item is decoded when somebody asks for it. What items have in common (names, kinds and order of fields, equal strings, the
 * beginnings of keys) stands once in a block. No id is made before somebody looks at one: nearly nobody does.
 *
 *     block    = 0, body | 1, bytes of body, body deflated (RFC 1951)
 *     body     = items, list of column, list of shape, per item [key shares], per item [key adds], per item [first change],
 *                per item [bytes of row], list of bytes: what keys add, list of bytes: all strings, rows
 *     column   = list of bytes: name, kind, least whole number, list of length of string
 *     shape    = 0 | 1 for items of one change, list of place of column
 *     row      = place of shape, unless it is for one change [items of history], values
 *     history  = changes, per change but the first [change - the one before], nodes: heads, nodes: presence,
 *                0 where each register says its node | 1 + node of all registers
 *     nodes    = 0 for the last change alone | 1 + how many, per node [node - the one before]
 *
 * A list has its length in front. Numbers are varints, differences and least whole numbers signed ones; lengths of strings and what keys
 * share and add are UTF-16 units. A register, a text, an element or a key of a map is written as its column's kind says: a string as 1 + its place
 * in the column, or 0 and its bytes when it is long; a whole number as what it is above the column's least one.
 */
import { decodeUtf8 } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { type Inflate, inflate } from '../bytes/deflate.ts'
import { limits } from '../bytes/limits.ts'
import { type Tag, tagOf } from '../commit/operation.ts'
import type { Scalar } from '../schema/field.ts'
import { type Entry, Fields, type Held, type Order, orderOf, type Stamp, type Stamps } from './fields.ts'
import { Rope } from './rope.ts'
import type { ItemState } from './state.ts'
import { VersionedMap } from './versioned.ts'

/** An item as a snapshot keeps it: all its changes count, none is refused, voided, erased or inapplicable. */
export interface StoredItem {
  readonly key: string
  /** Numbers of the commits of its changes, in the order they were counted: node n of its graph is change n. */
  readonly changes: readonly number[]
  /** Nodes (places in `changes`) without children. */
  readonly heads: readonly number[]
  /** Presence and the entries' nodes are places in `changes` too. */
  readonly state: ItemState
}

/** The commits that stored items refer to by number. */
export interface StoredCommits {
  idOf(number: number): string
  clockOf(number: number): number
  /** The platform's, where it has one. */
  readonly inflate?: Inflate | undefined
}

/** What stands in a column. */
export const kinds = {
  /** Any scalar, each behind a byte that says what it is. */
  scalar: 0,
  string: 1,
  whole: 2,
  float: 3,
  boolean: 4,
  text: 5,
  elements: 6,
  entries: 7,
} as const

/** What stands behind the byte of a scalar. */
export const scalars = { null: 0, false: 1, true: 2, float: 3, string: 4, whole: 5 } as const

/** Whether a block is deflated. */
export const forms = { asIs: 0, deflated: 1 } as const

interface Column {
  readonly kind: number
  readonly least: number
  /** Where its strings begin among those of the block, and how many there are. */
  readonly from: number
  readonly strings: number
}

interface Shape {
  readonly isSingle: boolean
  readonly order: Order
  readonly columns: readonly Column[]
  readonly isAllRegisters: boolean
  /** As many values as columns: a copy has no room for more. */
  readonly nothing: readonly Held[]
  readonly unstamped: Stamps
}

const onlyFirst: readonly number[] = [0]

/** Of all that a commit assigned in a block. */
class LateStamp implements Stamp {
  readonly number: number
  readonly commits: StoredCommits

  constructor(number: number, commits: StoredCommits) {
    this.number = number
    this.commits = commits
  }

  get id(): string {
    return this.commits.idOf(this.number)
  }

  get clock(): number {
    return this.commits.clockOf(this.number)
  }
}

class LateEntry implements Entry {
  readonly node: number
  readonly value: Scalar
  readonly stamp: Stamp
  readonly position: number

  constructor(node: number, value: Scalar, stamp: Stamp, position: number) {
    this.node = node
    this.value = value
    this.stamp = stamp
    this.position = position
  }

  get tag(): Tag {
    return tagOf(this.stamp.id, this.position)
  }

  get id(): string {
    return this.stamp.id
  }

  get clock(): number {
    return this.stamp.clock
  }
}

const damage = (): RangeError => new RangeError('a stored item is damaged')

const float = new DataView(new ArrayBuffer(8))

/** The items of one block. */
export class StoredItems {
  readonly size: number
  readonly #commits: StoredCommits
  readonly #cursor: Cursor
  readonly #shapes: readonly Shape[]
  /** Per item the number of its first change. */
  readonly #first: Float64Array
  /** Where rows begin, and where the last one ends. */
  readonly #rows: Uint32Array
  readonly #keyUnits: Uint32Array
  readonly #keyBytes: Uint8Array
  #keys: readonly string[] | undefined
  /** Where strings begin in their text, and where the last one ends. */
  readonly #units: Uint32Array
  readonly #textBytes: Uint8Array
  #text: string | undefined
  /** Strings that were met. */
  #strings: (string | undefined)[] = []
  #stamps: Map<number, LateStamp> | undefined
  #lastStamp: LateStamp | undefined

  private constructor(cursor: Cursor, commits: StoredCommits) {
    const size = takeCount(cursor)
    const lengths: number[] = []
    const names: string[] = []
    const columns: Column[] = []
    for (let left = takeCount(cursor); left > 0 && !cursor.bad; left--) {
      names.push(takeText(cursor))
      const kind = cursor.byte()
      const least = cursor.signed()
      const strings = takeCount(cursor)
      columns.push({ kind, least, from: lengths.length, strings })
      for (let more = strings; more > 0; more--) lengths.push(cursor.varint())
      if (kind > kinds.entries) cursor.fail()
    }
    const shapes: Shape[] = []
    for (let left = takeCount(cursor); left > 0 && !cursor.bad; left--) shapes.push(takeShape(cursor, names, columns))
    this.#keyUnits = new Uint32Array(2 * size)
    for (let at = 0; at < 2 * size; at++) this.#keyUnits[at] = cursor.varint()
    this.#first = new Float64Array(size)
    for (let place = 0, number = 0; place < size; place++) {
      number += cursor.signed()
      this.#first[place] = number
    }
    const rows = new Uint32Array(size + 1)
    let end = 0
    for (let place = 0; place < size; place++) {
      end += cursor.varint()
      rows[place + 1] = end
    }
    this.#keyBytes = takeBytes(cursor)
    this.#textBytes = takeBytes(cursor)
    this.#units = new Uint32Array(lengths.length + 1)
    let units = 0
    for (let place = 0; place < lengths.length; place++) {
      units += lengths[place] ?? 0
      this.#units[place + 1] = units
    }
    if (end !== cursor.end - cursor.at || units > this.#textBytes.length) cursor.fail()
    if (!cursor.bad) for (let place = 0; place <= size; place++) rows[place] = cursor.at + (rows[place] ?? 0)
    this.#rows = rows
    this.#shapes = shapes
    this.#cursor = cursor
    this.#commits = commits
    this.size = size
  }

  /** Undefined where the bytes are no block. Keeps them. */
  static read(bytes: Uint8Array, commits: StoredCommits): StoredItems | undefined {
    const cursor = cursorOf(bytes, commits.inflate ?? inflate)
    if (cursor === undefined) return undefined
    const items = new StoredItems(cursor, commits)
    return cursor.bad ? undefined : items
  }

  /** Throws a RangeError where they are damaged. */
  keys(): readonly string[] {
    this.#keys ??= this.#readKeys()
    return this.#keys
  }

  #readKeys(): readonly string[] {
    const text = decodeUtf8(this.#keyBytes)
    if (text === undefined) throw damage()
    const keys: string[] = []
    let last = ''
    let from = 0
    for (let place = 0; place < this.size; place++) {
      const shared = this.#keyUnits[place] ?? 0
      const to = from + (this.#keyUnits[this.size + place] ?? 0)
      if (shared > last.length || to > text.length || shared + to - from > limits.nameBytes) throw damage()
      const added = text.slice(from, to)
      last = shared === 0 ? added : last.slice(0, shared) + added
      keys.push(last)
      from = to
    }
    if (from !== text.length) throw damage()
    return keys
  }

  /** Throws a RangeError where the item is damaged, or where there is none. */
  at(place: number): StoredItem {
    const key = this.keys()[place]
    const from = this.#rows[place]
    const end = this.#rows[place + 1]
    const first = this.#first[place]
    if (key === undefined || from === undefined || end === undefined || first === undefined)
      throw new RangeError(`no stored item ${place}`)
    const cursor = this.#cursor
    cursor.bad = false
    cursor.at = from
    const shape = this.#shapes[cursor.varint()]
    if (shape === undefined) throw damage()
    const item = shape.isSingle ? this.#single(key, first, shape) : this.#several(key, first, shape)
    if (cursor.bad || cursor.at !== end) throw damage()
    return item
  }

  #single(key: string, first: number, shape: Shape): StoredItem {
    const changes = [first]
    return { key, changes, heads: onlyFirst, state: { presence: onlyFirst, fields: this.#fields(shape, changes, 1) } }
  }

  #several(key: string, first: number, shape: Shape): StoredItem {
    const cursor = this.#cursor
    const count = takeCount(cursor)
    const changes: number[] = []
    for (let number = first; changes.length < count && !cursor.bad; ) {
      changes.push(number)
      if (changes.length < count) number += cursor.signed()
    }
    const heads = takeNodes(cursor, count)
    const presence = takeNodes(cursor, count)
    const fields = this.#fields(shape, changes, cursor.varint())
    // A copy has no room for more.
    return { key, changes: changes.slice(), heads, state: { presence, fields } }
  }

  /** `all`: 1 + node of all registers; 0 where each of them says its own. */
  #fields(shape: Shape, changes: readonly number[], all: number): Fields {
    const { columns } = shape
    const held = shape.nothing.slice()
    const stamps = all > 0 && shape.isAllRegisters ? undefined : shape.unstamped.slice()
    for (let place = 0; place < columns.length; place++) {
      const column = columns[place]
      if (column === undefined) continue
      if (stamps !== undefined && isRegister(column.kind))
        stamps[place] = this.#stampBy(all > 0 ? all - 1 : this.#cursor.varint(), changes)
      held[place] = this.#value(column, changes)
    }
    return new Fields(shape.order, held, stamps ?? this.#stampBy(all - 1, changes))
  }

  #value(column: Column, changes: readonly number[]): Held {
    const cursor = this.#cursor
    switch (column.kind) {
      case kinds.string:
        return this.#string(column)
      case kinds.whole:
        return column.least + cursor.varint()
      case kinds.boolean:
        return takeBoolean(cursor)
      case kinds.float:
        return takeFloat(cursor)
      case kinds.scalar:
        return this.#scalar(column)
      case kinds.text:
        return { kind: 'text', rope: Rope.from(this.#string(column)) }
      case kinds.elements: {
        const byTag = new Map<string, Scalar>()
        const size = cursor.varint()
        for (let left = takeCount(cursor); left > 0 && !cursor.bad; left--) {
          const stamp = this.#stampBy(cursor.varint(), changes)
          byTag.set(tagOf(stamp.id, cursor.varint()), this.#scalar(column))
        }
        return { kind: 'elements', byTag: VersionedMap.of(byTag), size }
      }
      default: {
        const byKey = new Map<string, readonly Entry[]>()
        const size = cursor.varint()
        for (let left = takeCount(cursor); left > 0 && !cursor.bad; left--) {
          const key = this.#string(column)
          const entries: Entry[] = []
          for (let more = takeCount(cursor); more > 0 && !cursor.bad; more--) {
            const node = cursor.varint()
            const position = cursor.varint()
            entries.push(new LateEntry(node, this.#scalar(column), this.#stampBy(node, changes), position))
          }
          byKey.set(key, entries.slice())
        }
        return { kind: 'entries', byKey: VersionedMap.of(byKey), size }
      }
    }
  }

  #scalar(column: Column): Scalar {
    const cursor = this.#cursor
    switch (cursor.byte()) {
      case scalars.null:
        return null
      case scalars.false:
        return false
      case scalars.true:
        return true
      case scalars.float:
        return takeFloat(cursor)
      case scalars.string:
        return this.#string(column)
      case scalars.whole:
        return column.least + cursor.varint()
      default:
        throw damage()
    }
  }

  #string(column: Column): string {
    const cursor = this.#cursor
    const place = cursor.varint()
    if (place === 0) return takeText(cursor)
    if (place > column.strings) throw damage()
    return this.#strings[column.from + place - 1] ?? this.#newString(column.from + place - 1)
  }

  /** All strings are decoded as one text: a piece of it costs less than a decoder's call. */
  #newString(place: number): string {
    if (this.#text === undefined) {
      this.#text = decodeUtf8(this.#textBytes)
      this.#strings = new Array<string | undefined>(this.#units.length - 1).fill(undefined)
    }
    const to = this.#units[place + 1] ?? 0
    if (this.#text === undefined || to > this.#text.length) throw damage()
    const string = this.#text.slice(this.#units[place], to)
    this.#strings[place] = string
    return string
  }

  #stampBy(node: number, changes: readonly number[]): LateStamp {
    const number = changes[node]
    if (number === undefined) throw damage()
    return this.#stampOf(number)
  }

  #stampOf(number: number): LateStamp {
    if (this.#lastStamp?.number === number) return this.#lastStamp
    this.#stamps ??= new Map()
    const known = this.#stamps.get(number)
    const stamp = known ?? new LateStamp(number, this.#commits)
    if (known === undefined) this.#stamps.set(number, stamp)
    this.#lastStamp = stamp
    return stamp
  }
}

const isRegister = (kind: number): boolean => kind < kinds.text

/** At the body of the block; undefined where there is none. */
const cursorOf = (bytes: Uint8Array, inflated: Inflate): Cursor | undefined => {
  const cursor = new Cursor(bytes)
  const form = cursor.byte()
  if (form === forms.asIs) return cursor
  const size = cursor.varint()
  if (cursor.bad || form !== forms.deflated) return undefined
  const body = inflated(bytes.subarray(cursor.at), size)
  return body && new Cursor(body)
}

/** Of things that take a byte each at least. */
const takeCount = (cursor: Cursor): number => {
  const count = cursor.varint()
  return count > cursor.end - cursor.at ? cursor.fail() : count
}

const takeBytes = (cursor: Cursor): Uint8Array => {
  const length = cursor.varint()
  const from = cursor.skip(length)
  return cursor.bad ? new Uint8Array(0) : cursor.bytes.subarray(from, from + length)
}

const takeText = (cursor: Cursor): string => {
  const text = decodeUtf8(takeBytes(cursor))
  if (text === undefined) cursor.fail()
  return text ?? ''
}

const takeBoolean = (cursor: Cursor): boolean => {
  const byte = cursor.byte()
  if (byte > 1) cursor.fail()
  return byte === 1
}

const takeFloat = (cursor: Cursor): number => {
  const from = cursor.skip(8)
  if (cursor.bad) return 0
  for (let at = 0; at < 8; at++) float.setUint8(at, cursor.bytes[from + at] ?? 0)
  const value = float.getFloat64(0)
  return Number.isFinite(value) ? value : cursor.fail()
}

const takeNodes = (cursor: Cursor, changes: number): readonly number[] => {
  const form = cursor.varint()
  if (form === 0) return changes === 1 ? onlyFirst : [changes - 1]
  const nodes: number[] = []
  for (let node = 0; nodes.length < form - 1 && !cursor.bad; ) {
    node += cursor.signed()
    if (node < 0 || node >= changes) cursor.fail()
    nodes.push(node)
  }
  return nodes.slice()
}

const takeShape = (cursor: Cursor, allNames: readonly string[], allColumns: readonly Column[]): Shape => {
  const isSingle = takeBoolean(cursor)
  const names: string[] = []
  const columns: Column[] = []
  for (let left = takeCount(cursor); left > 0 && !cursor.bad; left--) {
    const place = cursor.varint()
    const [name, column] = [allNames[place], allColumns[place]]
    if (name === undefined || column === undefined) cursor.fail()
    else {
      names.push(name)
      columns.push(column)
    }
  }
  if (new Set(names).size < names.length) cursor.fail()
  return {
    isSingle,
    order: orderOf(cursor.bad ? [] : names),
    columns,
    isAllRegisters: columns.length > 0 && columns.every(({ kind }) => isRegister(kind)),
    nothing: columns.map(() => null),
    unstamped: columns.map(() => undefined),
  }
}
