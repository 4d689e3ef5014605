/**
 * The side that packs. A writer belongs to one direction of one channel and one repository, or to one pack: what it leaves out of a pack
 * is what its earlier packs said, so its reader has to get them all, in order. Packing never fails, and a pack is never longer than
 * its records and ten bytes more for each.
 */
import { fromHex } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { Sink } from '../bytes/sink.ts'
import { clockTicks } from './commit.ts'
import { type ChangeOutline, headerStart, type Outline, openContent, outlineOf, type Span } from './outline.ts'
import { code, isHexDigit, kind, lead, type PackContext, type Packed, packVersion, shape } from './pack.ts'
import { type ChainEntry, type Entry, type IdEntry, type ItemEntry, isAt, PackTables, type Ring } from './packtable.ts'

/** Packed bytes after which a stream begins anew: what that costs is little by then, and whoever gets the pack may keep it as it is. */
const streamBytes = 32_768

export class PackWriter {
  readonly #start: Uint8Array
  #tables = new PackTables(true)
  #isFresh = true
  /** Packed bytes since the tables began. */
  #streamed = 0
  #sink: Sink | undefined

  constructor({ network, repository }: PackContext) {
    this.#start = headerStart(network, repository)
  }

  /** The next pack begins with empty tables, and whoever reads it needs none of those before it. */
  reset(): void {
    this.#tables = new PackTables(true)
    this.#isFresh = true
    this.#sink = undefined
    this.#streamed = 0
  }

  /** The records are as `readCommit` accepts them, but for a signature that may be empty. */
  pack(records: readonly Packed[]): Uint8Array {
    if (this.#streamed >= streamBytes) this.reset()
    this.#sink = new Sink(64 + 192 * records.length)
    for (const record of records) this.add(record)
    return this.take()
  }

  /** Puts one more record into the pack that `take` gives. */
  add({ id, bytes }: Packed): void {
    const sink = this.#open()
    const entry = { bytes: fromHex(id), id }
    const outline = outlineOf(bytes, this.#start)
    if (outline === undefined) putWhole(sink, bytes)
    else new RecordWriter(sink, this.#tables, bytes).put(outline, entry)
    this.#tables.passed(entry)
  }

  /** Bytes of the pack so far. */
  get size(): number {
    return this.#sink?.length ?? 0
  }

  /** The pack of what was added since the one before. */
  take(): Uint8Array {
    const sink = this.#open()
    sink.byte(this.#tables.check >>> 8)
    sink.byte(this.#tables.check & 255)
    this.#sink = undefined
    this.#streamed += sink.length
    return sink.take()
  }

  /** The pack under way, with its first byte. */
  #open(): Sink {
    this.#sink ??= new Sink(256)
    if (this.#sink.length === 0) {
      this.#sink.byte(2 * packVersion + (this.#isFresh ? 1 : 0))
      this.#isFresh = false
    }
    return this.#sink
  }
}

const putWhole = (sink: Sink, record: Uint8Array): void => {
  sink.byte(lead.other)
  sink.byte(kind.whole)
  putSized(sink, record)
}

const putSized = (sink: Sink, bytes: Uint8Array, from = 0, to = bytes.length): void => {
  sink.varint(to - from)
  sink.put(bytes, from, to)
}

/** Writes one record of the plain kind. */
class RecordWriter {
  readonly #sink: Sink
  readonly #tables: PackTables
  readonly #bytes: Uint8Array

  constructor(sink: Sink, tables: PackTables, bytes: Uint8Array) {
    this.#sink = sink
    this.#tables = tables
    this.#bytes = bytes
  }

  put(outline: Outline, id: IdEntry): void {
    const tables = this.#tables
    const sink = this.#sink
    const { seq, prev, clock, root, authority, ext, signature, changes } = outline
    const isSame = this.#is(tables.chain, outline.chain)
    const age = isSame ? 0 : this.#find(tables.chains, outline.chain)
    const known = isSame ? tables.chain : tables.chains.at(age)
    const follows = known?.last !== undefined && seq === known.seq + 1 && this.#is(known.last, prev)
    const samePolicy = this.#is(tables.root, root) && this.#is(tables.authority, authority)
    const ticks = clock % clockTicks
    const isExtended = ext.from < ext.to
    sink.byte(
      (isSame ? 0 : lead.chain) |
        (follows ? 0 : lead.jump) |
        (samePolicy ? 0 : lead.policy) |
        (signature.from < signature.to ? 0 : lead.unsigned) |
        (outline.atomic ? lead.atomic : 0) |
        (changes.length > 1 ? lead.many : 0) |
        (ticks > 0 ? lead.ticks : 0) |
        (isExtended ? lead.other : 0),
    )
    if (isExtended) sink.byte(kind.ext)
    if (!isSame) sink.varint(age)
    const chain = known ?? this.#addChain(outline.chain)
    if (!follows) {
      sink.varint(seq)
      if (seq > 0) this.#putId(prev.from)
    }
    sink.signed(Math.floor(clock / clockTicks) - Math.floor(tables.clock / clockTicks))
    if (ticks > 0) sink.byte(ticks)
    if (!samePolicy) {
      tables.root = this.#putPosition(root, 0)
      if (authority.from === authority.to) sink.varint(0)
      tables.authority = authority.from === authority.to ? undefined : this.#putPosition(authority, 1)
    }
    if (isExtended) putSized(sink, this.#bytes, ext.from, ext.to)
    this.#copy(signature)
    if (changes.length > 1) sink.varint(changes.length - 2)
    const items = changes.map((change) => this.#putChange(change))

    for (const item of items) item.last = id
    chain.last = id
    chain.seq = seq
    tables.chain = chain
    tables.clock = clock
  }

  #is(entry: Entry | undefined, { from, to }: Span): boolean {
    return entry === undefined ? from === to : isAt(entry.bytes, this.#bytes, from, to)
  }

  #find(ring: Ring<Entry>, { from, to }: Span): number {
    return ring.find(this.#bytes, from, to)
  }

  #copy({ from, to }: Span): void {
    this.#sink.put(this.#bytes, from, to)
  }

  #addChain({ from, to }: Span): ChainEntry {
    const { sessions } = this.#tables
    const age = sessions.find(this.#bytes, from, from + 32)
    this.#sink.varint(age)
    if (age === 0) {
      this.#sink.put(this.#bytes, from, from + 32)
      sessions.add({ bytes: this.#bytes.slice(from, from + 32) })
    }
    this.#sink.put(this.#bytes, from + 33, to)
    const chain = { bytes: this.#bytes.slice(from, to), last: undefined, seq: 0 }
    this.#tables.chains.add(chain)
    return chain
  }

  #putId(from: number): void {
    const age = this.#tables.ids.find(this.#bytes, from, from + 32)
    this.#sink.varint(age)
    if (age === 0) this.#sink.put(this.#bytes, from, from + 32)
  }

  /** `offset` is 1 where 0 stands for null. */
  #putPosition({ from, to }: Span, offset: number): Entry {
    const { positions } = this.#tables
    const age = positions.find(this.#bytes, from, to)
    this.#sink.varint(age + offset)
    const known = positions.at(age)
    if (known !== undefined) return known
    const cursor = new Cursor(this.#bytes, from + 1, to)
    this.#sink.varint(cursor.head(0))
    this.#sink.varint(cursor.head(0))
    this.#sink.put(this.#bytes, to - 32, to)
    const entry = { bytes: this.#bytes.slice(from, to) }
    positions.add(entry)
    return entry
  }

  #putChange(change: ChangeOutline): ItemEntry {
    const tables = this.#tables
    const sink = this.#sink
    const { key, parents, parentCount, schema, operations, content, erased, style } = change
    const isSame = this.#is(tables.item, key)
    const age = isSame ? 0 : this.#find(tables.items, key)
    const known = isSame ? tables.item : tables.items.at(age)
    const isHex = known === undefined && isHexKey(this.#bytes, key)
    const isLast =
      parentCount === 1 && known?.last !== undefined && isAt(known.last.bytes, this.#bytes, parents, parents + 32)
    const expected = known?.schema ?? tables.schema
    const sameSchema = expected !== undefined && this.#is(expected, schema)
    const pattern = style === 'pattern' ? this.#find(tables.patterns, operations) : 0
    sink.byte(
      (isSame ? shape.sameItem : age > 0 ? shape.item : isHex ? shape.hexKey : shape.textKey) |
        (parentCount === 0
          ? shape.noParents
          : isLast
            ? shape.lastOfItem
            : parentCount === 1
              ? shape.parent
              : shape.parents) |
        (sameSchema ? 0 : shape.schema) |
        (erased ? shape.erased : 0) |
        (style === 'whole'
          ? shape.whole
          : style === 'listed'
            ? shape.listed
            : pattern > 0
              ? shape.pattern
              : shape.newPattern),
    )
    if (age > 0) sink.varint(age)
    const item = known ?? this.#addItem(key, isHex)
    if (parentCount > 0 && !isLast) {
      if (parentCount > 1) sink.varint(parentCount)
      for (let left = parentCount, at = parents; left > 0; left--, at += 34) this.#putId(at)
    }
    item.schema = sameSchema ? expected : this.#putSchema(schema)
    if (erased) this.#copy(content)
    if (style === 'whole') {
      putSized(sink, this.#bytes, operations.from, operations.to)
      if (!erased) putSized(sink, this.#bytes, content.from, content.to)
    } else {
      const values = new Cursor(this.#bytes, content.from, content.to)
      if (!erased) {
        openContent(values)
        sink.put(this.#bytes, content.from + 2, content.from + 14)
      }
      if (pattern > 0) sink.varint(pattern)
      else this.#putOperations(operations, item, style === 'listed', erased ? undefined : values)
      if (pattern === 0 && style === 'pattern') {
        const bytes = this.#bytes.slice(operations.from, operations.to)
        tables.patterns.add({ bytes, values: undefined, hash: undefined })
      }
      if (!erased && style === 'pattern') sink.put(this.#bytes, values.at, values.end)
    }
    tables.item = item
    tables.schema = item.schema
    return item
  }

  #addItem(key: Span, isHex: boolean): ItemEntry {
    const bytes = this.#bytes
    const text = new Cursor(bytes, key.from, key.to)
    const length = text.head(3)
    this.#sink.varint(isHex ? length / 2 : length)
    if (!isHex) this.#sink.put(bytes, text.at, key.to)
    else
      for (let at = text.at; at < key.to; at += 2) this.#sink.byte((digitAt(bytes, at) << 4) | digitAt(bytes, at + 1))
    const item: ItemEntry = {
      bytes: bytes.slice(key.from, key.to),
      last: undefined,
      schema: undefined,
      field: undefined,
      caret: 0,
    }
    this.#tables.items.add(item)
    return item
  }

  #putSchema({ from, to }: Span): Entry {
    const { schemas } = this.#tables
    const age = schemas.find(this.#bytes, from, to)
    this.#sink.varint(age)
    const known = schemas.at(age)
    if (known !== undefined) return known
    const cursor = new Cursor(this.#bytes, from + 1, to)
    this.#putText(cursor)
    this.#sink.varint(cursor.head(0))
    this.#sink.put(this.#bytes, to - 32, to)
    const entry = { bytes: this.#bytes.slice(from, to) }
    schemas.add(entry)
    return entry
  }

  #putText(cursor: Cursor): void {
    const length = cursor.head(3)
    const from = cursor.skip(length)
    putSized(this.#sink, this.#bytes, from, from + length)
  }

  /** The operations of a change; with their values where it is `listed` and the content is there. */
  #putOperations({ from, to }: Span, item: ItemEntry, listed: boolean, values: Cursor | undefined): void {
    const sink = this.#sink
    const cursor = new Cursor(this.#bytes, from, to)
    const count = cursor.head(4)
    sink.varint(count)
    for (let left = count; left > 0; left--) {
      cursor.head(4)
      const fieldFrom = cursor.at
      cursor.skip(cursor.head(3))
      const field = { from: fieldFrom, to: cursor.at }
      const kind = cursor.head(0)
      if (kind === 5) {
        this.#putSplice(field, cursor, item, values)
        continue
      }
      if (kind > 5) {
        sink.byte(kind)
        continue
      }
      this.#putField(field, kind)
      if (kind === 2 || kind === 4) this.#putTags(cursor)
      else if (listed && values !== undefined) {
        const valueFrom = values.at
        values.item()
        sink.put(this.#bytes, valueFrom, values.at)
      }
    }
  }

  #putField(field: Span, kind: number): void {
    const { fields } = this.#tables
    const age = this.#find(fields, field)
    const near = age < code.farField
    this.#sink.byte(kind | ((near ? age : code.farField) << 3))
    if (!near) this.#sink.varint(age)
    if (age === 0) this.#addField(field)
  }

  #addField(field: Span): Entry {
    this.#putText(new Cursor(this.#bytes, field.from, field.to))
    const entry = { bytes: this.#bytes.slice(field.from, field.to) }
    this.#tables.fields.add(entry)
    return entry
  }

  #putTags(cursor: Cursor): void {
    const count = cursor.head(4)
    this.#sink.varint(count)
    for (let left = count; left > 0; left--) {
      const id = cursor.skip(35) + 3
      this.#putId(id)
      this.#sink.varint(cursor.head(0))
    }
  }

  #putSplice(field: Span, cursor: Cursor, item: ItemEntry, values: Cursor | undefined): void {
    const sink = this.#sink
    const at = cursor.head(0)
    const removed = cursor.head(0)
    const inserted = cursor.head(0)
    const sameField = item.field !== undefined && this.#is(item.field, field)
    sink.byte(
      5 |
        (at === item.caret ? 0 : code.moved) |
        (removed > 0 ? code.removes : 0) |
        (inserted > 0 ? code.inserts : 0) |
        (sameField ? 0 : code.field),
    )
    if (!sameField) {
      const age = this.#find(this.#tables.fields, field)
      sink.varint(age)
      item.field = this.#tables.fields.at(age) ?? this.#addField(field)
    }
    if (at !== item.caret) sink.signed(at - item.caret)
    if (removed > 0) sink.varint(removed)
    if (inserted > 0 && values === undefined) sink.varint(inserted)
    if (inserted > 0 && values !== undefined) {
      const from = values.at
      values.skip(values.head(3))
      sink.put(this.#bytes, from, values.at)
    }
    item.caret = at + inserted
  }
}

const digitAt = (bytes: Uint8Array, at: number): number => {
  const digit = bytes[at] ?? 0
  return digit < 58 ? digit - 48 : digit - 87
}

/** Whether the key is an even number of hex digits, at least two. */
const isHexKey = (bytes: Uint8Array, { from, to }: Span): boolean => {
  const text = new Cursor(bytes, from, to)
  const length = text.head(3)
  if (length === 0 || length % 2 !== 0) return false
  for (let at = text.at; at < to; at++) if (!isHexDigit(bytes[at] ?? 0)) return false
  return true
}
