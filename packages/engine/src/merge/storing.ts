/** Writes blocks of merged items; `stored.ts` says what they look like. Two passes: the first sees what items have in common, the second writes. */
import { encodeUtf8 } from '../bytes/bytes.ts'
import { deflate } from '../bytes/deflate.ts'
import { Sink } from '../bytes/sink.ts'
import type { Scalar } from '../schema/field.ts'
import type { FieldState, Stamp } from './fields.ts'
import { forms, kinds, type StoredItem, scalars } from './stored.ts'

/** Strings of more units stand alone: who keeps another string of the block would keep them as well. */
const longString = 256
/** Whole numbers up to here stay exact when they are told from each other. */
const mostWhole = 2 ** 51

const isWhole = (value: number): boolean =>
  Number.isInteger(value) && Math.abs(value) <= mostWhole && !Object.is(value, -0)

/** The fields of one name and kind in all items of a block. */
class WrittenColumn {
  readonly name: string
  readonly kind: FieldState['kind']
  readonly place: number
  /** What registers hold, by the kind that has room for it. */
  readonly #met = new Set<number>()
  #least = Number.POSITIVE_INFINITY
  readonly strings = new Map<string, number>()

  constructor(name: string, kind: FieldState['kind'], place: number) {
    this.name = name
    this.kind = kind
    this.place = place
  }

  see(field: FieldState): void {
    if (field.kind === 'register') this.#seeValue(field.value)
    else if (field.kind === 'elements') for (const value of field.byTag.values()) this.#seeValue(value)
    else if (field.kind === 'entries')
      for (const entries of field.byKey.values()) for (const { value } of entries) this.#seeValue(value)
  }

  #seeValue(value: Scalar): void {
    const kind = kindOf(value)
    this.#met.add(kind)
    if (typeof value === 'number' && kind === kinds.whole && value < this.#least) this.#least = value
  }

  get stored(): number {
    if (this.kind !== 'register') return kinds[this.kind]
    const [kind] = this.#met
    return this.#met.size === 1 && kind !== undefined ? kind : kinds.scalar
  }

  get least(): number {
    return Number.isFinite(this.#least) ? this.#least : 0
  }
}

const kindOf = (value: Scalar): number => {
  if (typeof value === 'string') return kinds.string
  if (typeof value === 'number') return isWhole(value) ? kinds.whole : kinds.float
  return typeof value === 'boolean' ? kinds.boolean : kinds.scalar
}

interface WrittenShape {
  readonly place: number
  readonly isSingle: boolean
  readonly columns: readonly WrittenColumn[]
}

/**
 * The bytes of a block. `numbersOf` gives what a commit may be called, by its id: a dropped one that is here all the same has two numbers. Throws a TypeError on a lone surrogate in a string, and on an
 * item whose value names a commit that none of its changes is of.
 */
export const encodeItems = (items: readonly StoredItem[], numbersOf: (id: string) => readonly number[]): Uint8Array => {
  const block = new Block(numbersOf)
  for (const item of items) block.see(item)
  for (const item of items) block.write(item)
  const body = block.finish()
  const short = deflate(body, body.length - 4)
  const sink = new Sink(8 + (short ?? body).length)
  sink.byte(short === undefined ? forms.asIs : forms.deflated)
  if (short !== undefined) sink.varint(body.length)
  sink.put(short ?? body)
  return sink.copy()
}

class Block {
  readonly #numbersOf: (id: string) => readonly number[]
  readonly #columns = new Map<string, WrittenColumn>()
  readonly #shapes = new Map<string, WrittenShape>()
  readonly #shapeOf: WrittenShape[] = []
  #lastShape: WrittenShape | undefined
  readonly #shares: number[] = []
  readonly #adds: string[] = []
  readonly #firsts: number[] = []
  readonly #lengths: number[] = []
  readonly #rows = new Sink(4_096)
  #lastKey = ''
  #lastFirst = 0

  constructor(numbersOf: (id: string) => readonly number[]) {
    this.#numbersOf = numbersOf
  }

  /** The first pass. */
  see(item: StoredItem): void {
    const last = this.#lastShape
    const isSingle = item.changes.length === 1 && isOnlyLast(item.heads, 1) && isOnlyLast(item.state.presence, 1)
    let isLast = last !== undefined && last.isSingle === isSingle
    const columns: WrittenColumn[] = []
    for (const [name, field] of item.state.fields) {
      const guess = last?.columns[columns.length]
      const isGuess = guess !== undefined && guess.name === name && guess.kind === field.kind
      const column = isGuess ? guess : this.#columnOf(name, field.kind)
      isLast &&= isGuess
      column.see(field)
      columns.push(column)
    }
    if (last === undefined || !isLast || last.columns.length !== columns.length)
      this.#lastShape = this.#shape(isSingle, columns)
    if (this.#lastShape !== undefined) this.#shapeOf.push(this.#lastShape)
  }

  #columnOf(name: string, kind: FieldState['kind']): WrittenColumn {
    const id = `${kind} ${name}`
    const known = this.#columns.get(id)
    if (known !== undefined) return known
    const column = new WrittenColumn(name, kind, this.#columns.size)
    this.#columns.set(id, column)
    return column
  }

  #shape(isSingle: boolean, columns: readonly WrittenColumn[]): WrittenShape {
    const id = `${isSingle} ${columns.map(({ place }) => place).join()}`
    const known = this.#shapes.get(id)
    if (known !== undefined) return known
    const shape = { place: this.#shapes.size, isSingle, columns }
    this.#shapes.set(id, shape)
    return shape
  }

  /** The second pass, of the same items in the same order. */
  write(item: StoredItem): void {
    const shape = this.#shapeOf[this.#lengths.length]
    if (shape === undefined) throw new TypeError('an item of the second pass that was not in the first')
    const shared = sharedUnits(this.#lastKey, item.key)
    this.#shares.push(shared)
    this.#adds.push(item.key.slice(shared))
    this.#lastKey = item.key
    const first = item.changes[0] ?? this.#lastFirst
    this.#firsts.push(first - this.#lastFirst)
    this.#lastFirst = first

    const rows = this.#rows
    const from = rows.length
    rows.varint(shape.place)
    const nodes = new Nodes(item.changes, this.#numbersOf)
    const one = shape.isSingle ? 0 : this.#writeHistory(item, nodes)
    let place = 0
    for (const [, field] of item.state.fields) {
      const column = shape.columns[place++]
      if (column === undefined) continue
      if (one === undefined && field.kind === 'register') rows.varint(nodes.ofStamp(field.stamp))
      this.#writeField(column, field, nodes)
    }
    this.#lengths.push(rows.length - from)
  }

  /** The node of all registers; undefined where each of them says its own. */
  #writeHistory(item: StoredItem, nodes: Nodes): number | undefined {
    const rows = this.#rows
    const { changes, heads, state } = item
    rows.varint(changes.length)
    for (let place = 1; place < changes.length; place++) rows.signed((changes[place] ?? 0) - (changes[place - 1] ?? 0))
    this.#writeNodes(heads, changes.length)
    this.#writeNodes(state.presence, changes.length)
    let one: number | undefined
    for (const [, field] of state.fields) {
      if (field.kind !== 'register') continue
      const node = nodes.ofStamp(field.stamp)
      if (one !== undefined && node !== one) {
        rows.varint(0)
        return undefined
      }
      one = node
    }
    rows.varint(one === undefined ? 0 : 1 + one)
    return one
  }

  #writeNodes(list: readonly number[], changes: number): void {
    if (isOnlyLast(list, changes)) return this.#rows.varint(0)
    this.#rows.varint(1 + list.length)
    let last = 0
    for (const node of list) {
      this.#rows.signed(node - last)
      last = node
    }
  }

  #writeField(column: WrittenColumn, field: FieldState, nodes: Nodes): void {
    const rows = this.#rows
    switch (field.kind) {
      case 'register':
        return this.#writeValue(column, column.stored, field.value)
      case 'text':
        return this.#writeString(column, field.rope.toString())
      case 'elements':
        rows.varint(field.size)
        rows.varint(field.byTag.size)
        for (const [tag, value] of field.byTag) {
          rows.varint(nodes.of(tag.slice(0, 64)))
          rows.varint(Number(tag.slice(65)))
          this.#writeValue(column, kinds.scalar, value)
        }
        return
      case 'entries':
        rows.varint(field.size)
        rows.varint(field.byKey.size)
        for (const [key, entries] of field.byKey) {
          this.#writeString(column, key)
          rows.varint(entries.length)
          for (const entry of entries) {
            rows.varint(entry.node)
            rows.varint(Number(entry.tag.slice(65)))
            this.#writeValue(column, kinds.scalar, entry.value)
          }
        }
    }
  }

  #writeValue(column: WrittenColumn, kind: number, value: Scalar): void {
    const rows = this.#rows
    const isAny = kind === kinds.scalar
    if (typeof value === 'string') {
      if (isAny) rows.byte(scalars.string)
      this.#writeString(column, value)
    } else if (typeof value === 'number') {
      const whole = isWhole(value)
      if (isAny) rows.byte(whole ? scalars.whole : scalars.float)
      if (whole) rows.varint(value - column.least)
      else writeFloat(rows, value)
    } else if (!isAny) rows.byte(value === true ? 1 : 0)
    else rows.byte(value === null ? scalars.null : value ? scalars.true : scalars.false)
  }

  #writeString(column: WrittenColumn, value: string): void {
    if (value.length > longString) {
      this.#rows.varint(0)
      return writeText(this.#rows, value)
    }
    const known = column.strings.get(value)
    const place = known ?? column.strings.size
    if (known === undefined) column.strings.set(value, place)
    this.#rows.varint(1 + place)
  }

  finish(): Uint8Array {
    const sink = new Sink(8_192)
    sink.varint(this.#lengths.length)
    sink.varint(this.#columns.size)
    const strings: string[] = []
    for (const column of this.#columns.values()) {
      writeText(sink, column.name)
      sink.byte(column.stored)
      sink.signed(column.least)
      sink.varint(column.strings.size)
      for (const string of column.strings.keys()) {
        sink.varint(string.length)
        strings.push(string)
      }
    }
    sink.varint(this.#shapes.size)
    for (const { isSingle, columns } of this.#shapes.values()) {
      sink.byte(isSingle ? 1 : 0)
      sink.varint(columns.length)
      for (const { place } of columns) sink.varint(place)
    }
    for (const shared of this.#shares) sink.varint(shared)
    for (const { length } of this.#adds) sink.varint(length)
    for (const more of this.#firsts) sink.signed(more)
    for (const length of this.#lengths) sink.varint(length)
    writeText(sink, this.#adds.join(''))
    writeText(sink, strings.join(''))
    sink.append(this.#rows)
    return sink.view()
  }
}

/** The nodes of an item by the commits they are of. */
class Nodes {
  readonly #changes: readonly number[]
  readonly #numbersOf: (id: string) => readonly number[]
  #byNumber: ReadonlyMap<number, number> | undefined
  #last: Stamp | undefined
  #lastNode = 0

  constructor(changes: readonly number[], numbersOf: (id: string) => readonly number[]) {
    this.#changes = changes
    this.#numbersOf = numbersOf
  }

  /** One change has assigned what has one stamp. */
  ofStamp(stamp: Stamp): number {
    if (stamp === this.#last) return this.#lastNode
    this.#last = stamp
    this.#lastNode = this.of(stamp.id)
    return this.#lastNode
  }

  of(id: string): number {
    if (this.#changes.length === 1) return 0
    this.#byNumber ??= new Map(this.#changes.map((number, node) => [number, node]))
    for (const number of this.#numbersOf(id)) {
      const node = this.#byNumber.get(number)
      if (node !== undefined) return node
    }
    throw new TypeError(`no change of the item is of commit ${id}`)
  }
}

const isOnlyLast = (nodes: readonly number[], changes: number): boolean =>
  nodes.length === 1 && nodes[0] === changes - 1

/** Units that both begin with, whole characters. */
const sharedUnits = (before: string, key: string): number => {
  const most = Math.min(before.length, key.length)
  let shared = 0
  while (shared < most && before.charCodeAt(shared) === key.charCodeAt(shared)) shared++
  const last = key.charCodeAt(shared - 1)
  return last >= 0xd800 && last <= 0xdbff ? shared - 1 : shared
}

const writeText = (sink: Sink, text: string): void => {
  const bytes = encodeUtf8(text)
  sink.varint(bytes.length)
  sink.put(bytes)
}

const float = new DataView(new ArrayBuffer(8))
const floatBytes = new Uint8Array(float.buffer)

const writeFloat = (sink: Sink, value: number): void => {
  float.setFloat64(0, value)
  sink.put(floatBytes)
}
