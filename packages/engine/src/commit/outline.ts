/**
 * Where the parts of a commit record lie in its bytes. Only records of the plain kind have an outline: the record of a commit of this
 * network and repository in format 1, signed or with an empty signature. It leaves no choice: an outline and the bytes that it points
 * at make the record again. For what has none, or is damaged, the answer is undefined.
 */
import { encodeUtf8, fromHex } from '../bytes/bytes.ts'
import { Cursor, unitsIn } from '../bytes/cursor.ts'
import { limits } from '../bytes/limits.ts'
import { Sink } from '../bytes/sink.ts'
import { format } from './commit.ts'
import { isAt } from './packtable.ts'

/** From where to where; `from` and `to` are the same where there is nothing. */
export interface Span {
  readonly from: number
  readonly to: number
}

export interface Outline {
  /** Session and incarnation with the head between them. */
  readonly chain: Span
  readonly seq: number
  readonly prev: Span
  readonly clock: number
  readonly root: Span
  readonly authority: Span
  readonly atomic: boolean
  readonly ext: Span
  readonly signature: Span
  readonly changes: readonly ChangeOutline[]
}

export interface ChangeOutline {
  /** The key with its head. */
  readonly key: Span
  /** The first parent without its head; the next ones follow, each with a head. */
  readonly parents: number
  readonly parentCount: number
  readonly schema: Span
  readonly operations: Span
  /** Without a head; the hash where the content was erased. */
  readonly content: Span
  readonly erased: boolean
  /** `pattern`: operations that stay the same with other values; `listed`: others of the known kinds; `whole`: neither. */
  readonly style: 'pattern' | 'listed' | 'whole'
}

/** How a header of this network and repository begins, up to the session's bytes. */
export const headerStart = (network: string, repository: string): Uint8Array => {
  const path = encodeUtf8(repository)
  const sink = new Sink(80 + path.length)
  sink.head(4, 12)
  sink.head(0, format)
  sink.string(fromHex(network))
  sink.head(3, path.length)
  sink.put(path)
  sink.head(2, 32)
  return sink.take()
}

export const outlineOf = (record: Uint8Array, start: Uint8Array): Outline | undefined => {
  const cursor = new Cursor(record)
  cursor.expect(0x83)
  const headerLength = cursor.head(2)
  const headerAt = cursor.skip(headerLength)
  if (cursor.bad || headerLength < start.length || !isAt(start, record, headerAt, headerAt + start.length))
    return undefined
  const header = new Cursor(record, headerAt + start.length, headerAt + headerLength)
  const chain = take(header, 41)
  if (record[chain.from + 32] !== 0x48) return undefined
  const seq = header.head(0)
  const prev = seq === 0 ? takeNull(header) : takeId(header)
  const clock = number(header)
  header.expect(0x82)
  const root = takePosition(header)
  const authority = header.peek() === 0xf6 ? takeNull(header) : takePosition(header)
  const flags = header.head(0)
  const count = header.head(4)
  if (flags > 1 || count === 0 || count > limits.changes) return undefined
  for (let left = count; left > 0; left--) takeId(header)
  const extAt = header.at
  if (header.bad || header.peek() >> 5 !== 5) return undefined
  const ext = header.peek() === 0xa0 ? { from: extAt, to: extAt } : { from: extAt, to: header.end }
  if (ext.from === ext.to && header.at + 1 !== header.end) return undefined

  const signature = take(cursor, cursor.head(2))
  if (signature.from !== signature.to && signature.to - signature.from !== 64) return undefined
  if (cursor.head(4) !== count) return undefined
  const changes: ChangeOutline[] = []
  for (let left = count; left > 0; left--) {
    const change = changeOf(cursor)
    if (change === undefined) return undefined
    changes.push(change)
  }
  if (cursor.bad || cursor.at !== record.length) return undefined
  return { chain, seq, prev, clock, root, authority, atomic: flags === 1, ext, signature, changes }
}

const take = (cursor: Cursor, length: number): Span => {
  const from = cursor.skip(length)
  return { from, to: from + length }
}

const takeNull = (cursor: Cursor): Span => {
  cursor.expect(0xf6)
  return { from: cursor.at, to: cursor.at }
}

const takeId = (cursor: Cursor): Span => {
  cursor.expect(0x58)
  cursor.expect(32)
  return take(cursor, 32)
}

const takePosition = (cursor: Cursor): Span => {
  const from = cursor.at
  cursor.expect(0x83)
  cursor.head(0)
  cursor.head(0)
  takeId(cursor)
  return { from, to: cursor.at }
}

const takeText = (cursor: Cursor): Span => {
  const from = cursor.at
  const length = cursor.head(3)
  cursor.skip(length)
  if (length > limits.nameBytes) cursor.fail()
  return { from, to: cursor.at }
}

/** A whole number below 2^53, also as a float. */
const number = (cursor: Cursor): number => {
  if (cursor.peek() !== 0xfb) return cursor.head(0)
  const at = cursor.skip(9)
  if (cursor.bad) return 0
  const value = new DataView(cursor.bytes.buffer, cursor.bytes.byteOffset + at + 1, 8).getFloat64(0)
  return Number.isSafeInteger(value) && value > 0xffff_ffff ? value : cursor.fail()
}

const changeOf = (cursor: Cursor): ChangeOutline | undefined => {
  cursor.expect(0x83)
  const identity = take(cursor, cursor.head(2))
  const operations = take(cursor, cursor.head(2))
  const erased = cursor.peek() === 0x81
  if (erased) cursor.byte()
  const content = take(cursor, cursor.head(2))
  if (cursor.bad || (erased && content.to - content.from !== 32)) return undefined

  const inner = new Cursor(cursor.bytes, identity.from, identity.to)
  inner.expect(0x83)
  const key = takeText(inner)
  const parentCount = inner.head(4)
  if (parentCount > limits.parents) return undefined
  const parents = inner.at + 2
  for (let left = parentCount; left > 0; left--) takeId(inner)
  const schemaFrom = inner.at
  inner.expect(0x83)
  takeText(inner)
  inner.head(0)
  takeId(inner)
  if (inner.bad || inner.at !== inner.end) return undefined
  const schema = { from: schemaFrom, to: inner.at }
  const style = styleOf(cursor.bytes, operations, erased ? undefined : content)
  return { key, parents, parentCount, schema, operations, content, erased, style }
}

const styleOf = (bytes: Uint8Array, operations: Span, content: Span | undefined): ChangeOutline['style'] => {
  const cursor = new Cursor(bytes, operations.from, operations.to)
  const values = new Cursor(bytes, content?.from, content?.to)
  const written = content === undefined ? 0 : openContent(values)
  let left = written
  let isPattern = operations.to - operations.from <= limits.packPattern
  const count = cursor.head(4)
  for (let more = count; more > 0 && !cursor.bad; more--) {
    const length = cursor.head(4)
    const field = takeText(cursor)
    const kind = cursor.head(0)
    const named = field.to - field.from > 1
    if (kind === 5) {
      isPattern = false
      cursor.head(0)
      cursor.head(0)
      const inserted = cursor.head(0)
      if (length !== 5) return 'whole'
      if (inserted === 0 || content === undefined) continue
      left--
      const size = values.head(3)
      const from = values.skip(size)
      if (values.bad || unitsIn(bytes, from, from + size) !== inserted) return 'whole'
    } else if (kind === 2 || kind === 4) {
      isPattern = false
      if (length !== 3) return 'whole'
      for (let tags = cursor.head(4); tags > 0 && !cursor.bad; tags--) {
        cursor.expect(0x82)
        takeId(cursor)
        cursor.head(0)
      }
    } else if (length !== 2 || kind > 7 || (kind > 5 && named)) return 'whole'
    else if (kind < 4 && content !== undefined) {
      left--
      values.item()
    }
  }
  if (count === 0 || cursor.bad || cursor.at !== cursor.end) return 'whole'
  if (content !== undefined && (left !== 0 || values.bad || values.at !== values.end)) return 'whole'
  return isPattern ? 'pattern' : 'listed'
}

/** Goes to the first value of a content, and says how many there are. */
export const openContent = (content: Cursor): number => {
  content.expect(0x82)
  content.expect(0x4c)
  content.skip(12)
  return content.head(4)
}
