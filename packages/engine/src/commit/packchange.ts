/**
 * Reads the changes of a pack's commits: puts each together as it stands in a record, hashes it, and says how it reads.
 */
import { hexAt, utf8Length } from '../bytes/bytes.ts'
import { Cursor, unitsIn } from '../bytes/cursor.ts'
import { limits } from '../bytes/limits.ts'
import { headLength, Sink } from '../bytes/sink.ts'
import type { Hash } from './commit.ts'
import type { SchemaName } from './names.ts'
import type { Operation } from './operation.ts'
import { code, shape } from './pack.ts'
import type { PackSource } from './packsource.ts'
import type { Entry, IdEntry, ItemEntry, PatternEntry, SchemaEntry } from './packtable.ts'
import { type PlainChange, plainOperations, plainPattern, plainSchema, plainText, writePattern } from './plain.ts'

/** Of a content before its values: the head and the salt with its own. */
const contentStart = 14

export class ChangeReader {
  readonly #source: PackSource
  readonly #hash: Hash
  /** The changes as they stand in the record, and their hashes as they stand in its header. */
  readonly changes = new Sink(512)
  readonly hashes = new Sink(64)
  /** How they read; undefined where that takes a closer look. */
  read: PlainChange[] | undefined
  /** Operations and values of a change as they stand in their lists, and how many there are. */
  readonly #operations = new Sink(128)
  readonly #values = new Sink(128)
  #operationCount = 0
  #valueCount = 0
  /** Of the change that is read; undefined where it has none. */
  #pattern: PatternEntry | undefined
  /** Where in the pack the values of a pattern begin. */
  #valuesFrom = 0
  readonly #parents: IdEntry[] = []
  readonly #threeHashes = new Uint8Array(96)

  constructor(source: PackSource, hash: Hash) {
    this.#source = source
    this.#hash = hash
  }

  clear(): void {
    this.changes.clear()
    this.hashes.clear()
    this.read = []
  }

  /** The item of the next change, which is put behind the others; undefined where there is none. */
  take(): ItemEntry | undefined {
    const cursor = this.#source.cursor
    const tables = this.#source.tables
    const changes = this.changes
    const flags = cursor.byte()
    const item = this.#item(flags & 3)
    if (item === undefined) return undefined
    this.#gatherParents(flags & 12, item)
    const schema = (flags & shape.schema) === 0 ? (item.schema ?? tables.schema) : this.#schema()
    if (schema === undefined || cursor.bad) return undefined
    item.schema = schema
    tables.item = item
    tables.schema = schema

    changes.byte(0x83)
    const parents = this.#parents
    const length = 1 + keyLength(item) + headLength(parents.length) + 34 * parents.length + schema.bytes.length
    changes.head(2, length)
    const identity = changes.length
    changes.byte(0x83)
    if (item.key === undefined) changes.put(item.bytes)
    else changes.text(item.key)
    changes.head(4, parents.length)
    for (const parent of parents) changes.hex(parent.id)
    changes.put(schema.bytes)
    this.#threeHashes.set(this.#hash(changes.view(identity)))

    const isErased = (flags & shape.erased) !== 0
    const form = flags & shape.whole
    const seal = cursor.skip(isErased ? 32 : form === shape.whole ? 0 : 12)
    if (cursor.bad) return undefined
    const operationsFrom = changes.length
    const operationsHash = this.#putOperations(form, item, isErased)
    if (operationsHash === undefined) return undefined
    this.#threeHashes.set(operationsHash, 32)
    if (isErased) {
      changes.byte(0x81)
      changes.string(cursor.bytes, seal, seal + 32)
      this.#threeHashes.set(cursor.bytes.subarray(seal, seal + 32), 64)
    } else {
      const content = form === shape.whole ? this.#putSized() : this.#putContent(seal)
      if (!this.#source.hasRoom(changes.length)) return undefined
      this.#threeHashes.set(this.#hash(changes.view(content)), 64)
    }
    if (cursor.bad || !this.#source.hasRoom(changes.length)) return undefined
    this.hashes.string(this.#hash(this.#threeHashes))
    this.#readAs(item.key, schema.schema, isErased ? undefined : this.#operationsFrom(operationsFrom))
    return item
  }

  #readAs(key: string | undefined, schema: SchemaName | undefined, operations: readonly Operation[] | undefined): void {
    const parents = this.#namesOfParents()
    const isUnread = key === undefined || schema === undefined || parents === undefined || operations === undefined
    if (isUnread) this.read = undefined
    else {
      const change = { key, parents, schema, operations, erased: false } as const
      // Most commits have one, and an array that something is pushed to has room for seventeen.
      if (this.read?.length === 0) this.read = [change]
      else this.read?.push(change)
    }
  }

  /** Undefined where they do not ascend. */
  #namesOfParents(): readonly string[] | undefined {
    if (this.#parents.length === 0) return noParents
    const names = this.#parents.map(({ id }) => id)
    // Hex of one length is in the order of its bytes.
    return names.every((id, index) => (names[index - 1] ?? '') < id) ? names : undefined
  }

  /** What the operations and the content read as that stand behind the changes from there on. */
  #operationsFrom(from: number): readonly Operation[] | undefined {
    const pattern = this.#pattern
    if (this.read === undefined) return undefined
    if (pattern !== undefined) {
      const { bytes, at } = this.#source.cursor
      const values = new Cursor(bytes, this.#valuesFrom, at)
      return pattern.operations && writePattern(pattern.operations, values, this.#valueCount)
    }
    const cursor = new Cursor(this.changes.view(), from)
    const operations = cursor.skip(cursor.head(2))
    const operationsEnd = cursor.at
    const content = cursor.skip(cursor.head(2))
    return plainOperations(
      new Cursor(cursor.bytes, operations, operationsEnd),
      new Cursor(cursor.bytes, content, cursor.at),
    )
  }

  #item(form: number): ItemEntry | undefined {
    const cursor = this.#source.cursor
    const { item, items } = this.#source.tables
    if (form === shape.sameItem) return item
    if (form === shape.item) return items.at(cursor.varint())
    const length = cursor.varint()
    if (form === shape.hexKey ? length === 0 || 2 * length > limits.nameBytes : length > limits.nameBytes) cursor.fail()
    const from = cursor.skip(length)
    if (cursor.bad) return undefined
    const key = form === shape.hexKey ? hexAt(cursor.bytes, from, cursor.at) : plainText(cursor.bytes, from, cursor.at)
    const bytes = key === undefined ? textItem(cursor.bytes, from, cursor.at) : noBytes
    const added = { bytes, key, last: undefined, schema: undefined, field: undefined, caret: 0 }
    items.add(added)
    return added
  }

  #schema(): SchemaEntry | undefined {
    const { schemas } = this.#source.tables
    const age = this.#source.cursor.varint()
    if (age > 0) return schemas.at(age)
    const sink = new Sink(64)
    sink.head(4, 3)
    this.#source.text(sink)
    sink.head(0, this.#source.count())
    const bytes = this.#source.endWithHash(sink)
    return this.#source.add(schemas, { bytes, schema: plainSchema(bytes) })
  }

  #gatherParents(form: number, item: ItemEntry): void {
    const parents = this.#parents
    parents.length = 0
    const count = form === shape.noParents ? 0 : form === shape.parents ? this.#source.cursor.varint() : 1
    if (count > limits.parents || (form === shape.parents && count < 2)) this.#source.cursor.fail()
    for (let left = count; left > 0 && !this.#source.cursor.bad; left--) {
      const id = form === shape.lastOfItem ? item.last : this.#source.id()
      if (id === undefined) this.#source.cursor.fail()
      else parents.push(id)
    }
  }

  /** Puts a byte string of the pack behind the changes, and says where it begins there. */
  #putSized(): number {
    const length = this.#source.cursor.varint()
    const from = this.#source.cursor.skip(length)
    if (this.#source.cursor.bad) return this.changes.length
    this.changes.string(this.#source.cursor.bytes, from, from + length)
    return this.changes.length - length
  }

  /** Puts the salt and the values of the change behind the changes, and says where the content begins there. */
  #putContent(salt: number): number {
    const changes = this.changes
    const values = this.#values
    const length = contentStart + headLength(this.#valueCount) + values.length
    changes.head(2, length)
    const content = changes.length
    changes.byte(0x82)
    changes.string(this.#source.cursor.bytes, salt, salt + 12)
    changes.head(4, this.#valueCount)
    changes.append(values)
    return content
  }

  /**
   * Puts the operations of a change behind the changes and gives their hash; what they write is gathered in `#values`. Undefined where
   * they cannot be read.
   */
  #putOperations(form: number, item: ItemEntry, isErased: boolean): Uint8Array | undefined {
    const cursor = this.#source.cursor
    const changes = this.changes
    this.#values.clear()
    this.#valueCount = 0
    this.#pattern = undefined
    if (form === shape.whole) {
      const from = this.#putSized()
      return cursor.bad || !this.#source.hasRoom(changes.length) ? undefined : this.#hash(changes.view(from))
    }
    if (form === shape.listed) {
      this.#gatherOperations(item, true, isErased)
      const length = headLength(this.#operationCount) + this.#operations.length
      if (cursor.bad || !this.#source.hasRoom(length)) return undefined
      changes.head(2, length)
      const from = changes.length
      changes.head(4, this.#operationCount)
      changes.append(this.#operations)
      return this.#hash(changes.view(from))
    }
    const pattern = form === shape.pattern ? this.#source.tables.patterns.at(cursor.varint()) : this.#newPattern(item)
    if (pattern?.hash === undefined) return undefined
    changes.string(pattern.bytes)
    this.#valueCount = pattern.values ?? 0
    const from = cursor.at
    if (!isErased) for (let left = this.#valueCount; left > 0; left--) cursor.item()
    if (cursor.bad) return undefined
    this.#values.put(cursor.bytes, from, cursor.at)
    this.#pattern = pattern
    this.#valuesFrom = from
    return pattern.hash
  }

  #newPattern(item: ItemEntry): PatternEntry | undefined {
    this.#gatherOperations(item, false, true)
    const length = headLength(this.#operationCount) + this.#operations.length
    if (this.#source.cursor.bad || length > limits.packPattern) return undefined
    const sink = new Sink(length)
    sink.head(4, this.#operationCount)
    sink.append(this.#operations)
    const bytes = sink.take()
    const pattern = {
      bytes,
      values: this.#valueCount,
      hash: this.#hash(bytes),
      operations: plainPattern(bytes),
    }
    this.#source.tables.patterns.add(pattern)
    return pattern
  }

  /** Splices and tags only where they are `listed`. Values follow their operations unless those are `bare`. */
  #gatherOperations(item: ItemEntry, listed: boolean, bare: boolean): void {
    const cursor = this.#source.cursor
    const operations = this.#operations
    operations.clear()
    this.#operationCount = cursor.varint()
    if (this.#operationCount === 0) cursor.fail()
    for (let left = this.#operationCount; left > 0 && !cursor.bad; left--) {
      const first = cursor.byte()
      const kind = first & 7
      if (!listed && (kind === 2 || kind === 4 || kind === 5)) cursor.fail()
      else if (kind === 5) this.#splice(first, item, bare)
      else if (kind > 5) {
        if (first !== kind) cursor.fail()
        operations.head(4, 2)
        operations.head(3, 0)
        operations.byte(kind)
      } else {
        operations.head(4, kind === 2 || kind === 4 ? 3 : 2)
        const far = first >> 3
        const age = far < code.farField ? far : far === code.farField ? cursor.varint() : cursor.fail()
        if (far === code.farField && age < code.farField) cursor.fail()
        const field = this.#field(age)
        if (field === undefined || cursor.bad) cursor.fail()
        else operations.put(field.bytes)
        operations.byte(kind)
        if (kind === 2 || kind === 4) this.#tags()
        else this.#value(bare)
      }
      if (!this.#source.hasRoom(operations.length)) return
    }
  }

  #value(bare: boolean): void {
    const cursor = this.#source.cursor
    this.#valueCount++
    if (bare) return
    const from = cursor.at
    cursor.item()
    if (!cursor.bad) this.#values.put(cursor.bytes, from, cursor.at)
  }

  #field(age: number): Entry | undefined {
    const { fields } = this.#source.tables
    if (age > 0) return fields.at(age)
    const sink = new Sink(32)
    this.#source.text(sink)
    return this.#source.add(fields, { bytes: sink.view().slice() })
  }

  #tags(): void {
    const cursor = this.#source.cursor
    const operations = this.#operations
    const count = this.#source.count()
    operations.head(4, count)
    for (let left = count; left > 0 && !cursor.bad; left--) {
      const id = this.#source.id()
      const index = this.#source.count()
      if (id === undefined || !this.#source.hasRoom(operations.length)) {
        cursor.fail()
        return
      }
      operations.byte(0x82)
      operations.hex(id.id)
      operations.head(0, index)
    }
  }

  #splice(flags: number, item: ItemEntry, bare: boolean): void {
    const cursor = this.#source.cursor
    const operations = this.#operations
    if ((flags & code.field) !== 0) item.field = this.#field(cursor.varint())
    const moved = (flags & code.moved) === 0 ? 0 : cursor.signed()
    const removed = (flags & code.removes) === 0 ? 0 : this.#source.count()
    const at = item.caret + moved
    let inserted = 0
    if ((flags & code.inserts) !== 0) {
      this.#valueCount++
      if (bare) inserted = this.#source.count()
      else {
        const from = cursor.at
        const length = cursor.head(3)
        const text = cursor.skip(length)
        if (cursor.bad) return
        inserted = unitsIn(cursor.bytes, text, cursor.at)
        this.#values.put(cursor.bytes, from, cursor.at)
      }
    }
    const isLoose =
      flags > 127 ||
      (moved === 0) !== ((flags & code.moved) === 0) ||
      (removed === 0) !== ((flags & code.removes) === 0) ||
      (inserted === 0) !== ((flags & code.inserts) === 0)
    if (isLoose || cursor.bad || item.field === undefined || at < 0 || at > 0xffff_ffff) {
      cursor.fail()
      return
    }
    item.caret = at + inserted
    operations.head(4, 5)
    operations.put(item.field.bytes)
    operations.byte(5)
    operations.head(0, at)
    operations.head(0, removed)
    operations.head(0, inserted)
  }
}

const noParents: readonly string[] = []

const noBytes = new Uint8Array(0)

/** What is no text, or none that may be a key, as it would stand in an identity. */
const textItem = (bytes: Uint8Array, from: number, to: number): Uint8Array => {
  const sink = new Sink(to - from + 3)
  sink.head(3, to - from)
  sink.put(bytes, from, to)
  return sink.copy()
}

/** Bytes of a key as it stands in an identity. */
const keyLength = ({ key, bytes }: ItemEntry): number => {
  if (key === undefined) return bytes.length
  const length = utf8Length(key)
  return headLength(length) + length
}
