/**
 * The quick way to read a record: in one pass over its bytes, without a decoder, and without making again what the record before named as
 * well. It takes only what `readCommit` accepts, all of what is usual and little else; undefined says nothing but that somebody has to look
 * closer. Tests hold it to what the decoder makes of the same bytes.
 */
import { concatBytes, decodeUtf8, equalBytes, hexAt, isHexOf, toHex } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { limits } from '../bytes/limits.ts'
import type { Scalar } from '../schema/field.ts'
import { chainName, type Policy, type Position, type SchemaName, sharedPolicy, sharedSchema } from './names.ts'
import { longestField, type Operation, tagOf } from './operation.ts'
import { isAt } from './packtable.ts'

type Hash = (bytes: Uint8Array) => Uint8Array

export interface PlainChange {
  readonly key: string
  readonly parents: readonly string[]
  readonly schema: SchemaName
  readonly operations: readonly Operation[]
  readonly erased: false
}

export interface PlainCommit {
  readonly network: string
  readonly repository: string
  readonly session: string
  readonly incarnation: string
  readonly seq: number
  readonly prev: string | null
  readonly clock: number
  readonly policy: Policy
  readonly atomic: boolean
  readonly extended: false
  readonly id: string
  readonly chain: string
  readonly signature: Uint8Array
  readonly changes: readonly PlainChange[]
  readonly bytes: Uint8Array
}

/** Whose commits these are, the chain they are in, what they cite: as it stands in the record that was read last, and as it reads. */
let lastStart = { bytes: new Uint8Array(0), network: '', repository: '' }
let lastChain = { bytes: new Uint8Array(0), session: '', incarnation: '', name: '' }
let lastPolicy: { readonly bytes: Uint8Array; readonly policy: Policy } | undefined
let lastId = ''
let lastSchema: { readonly bytes: Uint8Array; readonly schema: SchemaName } | undefined

const noSignature = new Uint8Array(0)
const noParents: readonly string[] = []
const idItem = 34
/** Bytes of session and incarnation with their heads. */
const chainBytes = 43

/** `hashed`: the id, where all hashes were computed already. */
export const readPlain = (bytes: Uint8Array, hash: Hash, hashed: string | undefined): PlainCommit | undefined => {
  if (bytes.length > limits.commitBytes) return undefined
  const cursor = new Cursor(bytes)
  cursor.expect(0x83)
  const headerLength = cursor.head(2)
  const headerFrom = cursor.skip(headerLength)
  const headerTo = cursor.at
  const signatureLength = cursor.head(2)
  const signatureFrom = cursor.skip(signatureLength)
  if (cursor.bad || (signatureLength !== 64 && signatureLength !== 0)) return undefined

  const header = new Cursor(bytes, headerFrom, headerTo)
  if (!takeStart(header)) return undefined
  const { network, repository } = lastStart
  if (!takeChain(header)) return undefined
  const { session, incarnation, name: chain } = lastChain
  const seq = header.head(0)
  const prev = seq === 0 ? takeNull(header) : takeId(header)
  const clock = takeNumber(header)
  const policy = takePolicy(header)
  const flags = header.head(0)
  const count = header.head(4)
  const hashesFrom = header.at
  if (policy === undefined || flags > 1 || !(clock >= 0) || !Number.isSafeInteger(clock)) return undefined
  if (count === 0 || count > limits.changes || header.end - header.at !== idItem * count + 1) return undefined
  for (let left = count; left > 0; left--) takeIdItem(header)
  header.expect(0xa0)
  if (header.bad || cursor.head(4) !== count) return undefined

  const first = takeChange(cursor, hashed === undefined ? hash : undefined, hashesFrom + 2)
  if (first === undefined) return undefined
  const changes = [first]
  if (count > 1) {
    const keys = new Set([first.key])
    for (let index = 1; index < count; index++) {
      const named = hashesFrom + idItem * index + 2
      const change = takeChange(cursor, hashed === undefined ? hash : undefined, named)
      if (change === undefined || keys.size === keys.add(change.key).size) return undefined
      changes.push(change)
    }
  }
  if (cursor.bad || cursor.at !== cursor.end) return undefined
  const id = hashed ?? toHex(hash(bytes.subarray(headerFrom, headerTo)))
  lastId = id
  return {
    network,
    repository,
    session,
    incarnation,
    seq,
    prev,
    clock,
    policy,
    atomic: flags === 1,
    extended: false,
    id,
    chain,
    signature: signatureLength === 0 ? noSignature : bytes.subarray(signatureFrom, signatureFrom + signatureLength),
    changes,
    bytes,
  }
}

/** Format, network and repository. */
const takeStart = (cursor: Cursor): boolean => {
  if (takeSame(cursor, lastStart.bytes)) return true
  const from = cursor.at
  cursor.expect(0x8c)
  cursor.expect(0x01)
  const network = takeIdItem(cursor)
  const repository = takeName(cursor, limits.nameBytes)
  if (cursor.bad || repository === '') return false
  const { bytes } = cursor
  lastStart = { bytes: bytes.slice(from, cursor.at), network: hexAt(bytes, network, network + 32), repository }
  return true
}

const takeChain = (cursor: Cursor): boolean => {
  if (takeSame(cursor, lastChain.bytes)) return true
  const from = cursor.at
  const session = takeIdItem(cursor)
  cursor.expect(0x48)
  const incarnation = cursor.skip(8)
  if (cursor.bad || cursor.at - from !== chainBytes) return false
  const { bytes } = cursor
  const [author, run] = [hexAt(bytes, session, session + 32), hexAt(bytes, incarnation, incarnation + 8)]
  lastChain = { bytes: bytes.slice(from, cursor.at), session: author, incarnation: run, name: chainName(author, run) }
  return true
}

/** Takes these very bytes, if they are next and there are any. */
const takeSame = (cursor: Cursor, same: Uint8Array): boolean => {
  const to = cursor.at + same.length
  if (same.length === 0 || to > cursor.end || !isAt(same, cursor.bytes, cursor.at, to)) return false
  cursor.at = to
  return true
}

const takeNull = (cursor: Cursor): null => {
  cursor.expect(0xf6)
  return null
}

/** Where the 32 bytes of a byte string begin. */
const takeIdItem = (cursor: Cursor): number => {
  cursor.expect(0x58)
  cursor.expect(32)
  return cursor.skip(32)
}

const takeId = (cursor: Cursor): string => {
  const from = takeIdItem(cursor)
  if (cursor.bad) return ''
  // What comes next in a chain builds on what came before it, and is to have the same string.
  return isHexOf(lastId, cursor.bytes, from) ? lastId : hexAt(cursor.bytes, from, from + 32)
}

/** A position as it stands in a header. */
export const plainPosition = (bytes: Uint8Array): Position | undefined => {
  const cursor = new Cursor(bytes)
  const position = takePosition(cursor)
  return cursor.bad || cursor.at !== cursor.end ? undefined : position
}

/** A schema as it stands in an identity. */
export const plainSchema = (bytes: Uint8Array): SchemaName | undefined => {
  const cursor = new Cursor(bytes)
  const schema = takeSchema(cursor)
  return cursor.at === cursor.end ? schema : undefined
}

/** The text of these bytes; undefined where there is none. */
export const plainText = (bytes: Uint8Array, from: number, to: number): string | undefined => {
  if (from === to) return undefined
  const short = to - from > shortText ? undefined : asciiOf(bytes, from, to)
  return short ?? decodeUtf8(bytes.subarray(from, to))
}

const takePolicy = (cursor: Cursor): Policy | undefined => {
  if (lastPolicy !== undefined && takeSame(cursor, lastPolicy.bytes)) return lastPolicy.policy
  const from = cursor.at
  cursor.expect(0x82)
  const root = takePosition(cursor)
  const authority = cursor.peek() === 0xf6 ? takeNull(cursor) : takePosition(cursor)
  if (cursor.bad) return undefined
  lastPolicy = { bytes: cursor.bytes.slice(from, cursor.at), policy: sharedPolicy(root, authority) }
  return lastPolicy.policy
}

const takePosition = (cursor: Cursor): Position => {
  cursor.expect(0x83)
  return { epoch: cursor.head(0), n: cursor.head(0), hash: takeId(cursor) }
}

/** A text of so many bytes at most. */
const takeName = (cursor: Cursor, most: number): string => {
  const length = cursor.head(3)
  return length > most ? takeNothing(cursor) : textOf(cursor, length)
}

const takeNothing = (cursor: Cursor): '' => {
  cursor.fail()
  return ''
}

const textOf = (cursor: Cursor, length: number): string => {
  const from = cursor.skip(length)
  if (cursor.bad || length === 0) return ''
  return plainText(cursor.bytes, from, from + length) ?? takeNothing(cursor)
}

/** Up to here pieces are joined to one string at once, and not to a rope. */
const shortText = 12

/** Quicker than a decoder, which takes longer to call than such a text to read. Undefined where it is not ASCII. */
const asciiOf = (bytes: Uint8Array, from: number, to: number): string | undefined => {
  let text = ''
  for (let at = from; at < to; at++) {
    const code = bytes[at] ?? 0
    if (code > 127) return undefined
    text += String.fromCharCode(code)
  }
  return text
}

const float = new DataView(new ArrayBuffer(8))

/** Any number in its one encoding. */
const takeNumber = (cursor: Cursor): number => {
  const kind = cursor.peek() >> 5
  if (kind === 0) return cursor.head(0)
  if (kind === 1) return -1 - cursor.head(1)
  cursor.expect(0xfb)
  const from = cursor.skip(8)
  if (cursor.bad) return 0
  for (let at = 0; at < 8; at++) float.setUint8(at, cursor.bytes[from + at] ?? 0)
  const value = float.getFloat64(0)
  if (!Number.isFinite(value)) return cursor.fail()
  return Number.isInteger(value) && value >= -0x1_0000_0000 && value <= 0xffff_ffff ? cursor.fail() : value
}

const takeScalar = (cursor: Cursor): Scalar => {
  const initial = cursor.peek()
  if (initial >> 5 === 3) return textOf(cursor, cursor.head(3))
  if (initial < 0xf4 || initial > 0xf6) return takeNumber(cursor)
  cursor.byte()
  return initial === 0xf6 ? null : initial === 0xf5
}

/** `hash`: where it has to be checked that the change hashes to the 32 bytes at `named`. */
const takeChange = (cursor: Cursor, hash: Hash | undefined, named: number): PlainChange | undefined => {
  const { bytes } = cursor
  cursor.expect(0x83)
  const identityLength = cursor.head(2)
  const identityFrom = cursor.skip(identityLength)
  const operationsLength = cursor.head(2)
  const operationsFrom = cursor.skip(operationsLength)
  const contentLength = cursor.head(2)
  const contentFrom = cursor.skip(contentLength)
  if (cursor.bad) return undefined
  const contentTo = cursor.at
  if (hash !== undefined) {
    const partHash = (from: number, to: number): Uint8Array => hash(bytes.subarray(from, to))
    const identity = partHash(identityFrom, identityFrom + identityLength)
    const operations = partHash(operationsFrom, operationsFrom + operationsLength)
    const whole = hash(concatBytes(identity, operations, partHash(contentFrom, contentTo)))
    if (!equalBytes(whole, bytes.subarray(named, named + 32))) return undefined
  }

  const inner = new Cursor(bytes, identityFrom, identityFrom + identityLength)
  inner.expect(0x83)
  const key = takeName(inner, limits.nameBytes)
  const parents = takeParents(inner)
  const schema = takeSchema(inner)
  if (inner.bad || inner.at !== inner.end || key === '' || schema === undefined) return undefined

  const operations = plainOperations(
    new Cursor(bytes, operationsFrom, operationsFrom + operationsLength),
    new Cursor(bytes, contentFrom, contentTo),
  )
  return operations === undefined ? undefined : { key, parents, schema, operations, erased: false }
}

/** Operations and content of a change, as they stand in the record. */
export const plainOperations = (operations: Cursor, content: Cursor): readonly Operation[] | undefined => {
  // No more items than bytes.
  if (operations.end - operations.at > limits.nodes || content.end - content.at > limits.nodes) return undefined
  content.expect(0x82)
  content.expect(0x4c)
  content.skip(12)
  return takeOperations(operations, content, content.head(4))
}

const takeParents = (cursor: Cursor): readonly string[] => {
  const count = cursor.head(4)
  if (count === 0) return noParents
  if (count > limits.parents) cursor.fail()
  const parents = [takeId(cursor)]
  for (let left = count - 1; left > 0 && !cursor.bad; left--) {
    const parent = takeId(cursor)
    // Hex of one length is in the order of its bytes.
    if ((parents[parents.length - 1] ?? '') >= parent) cursor.fail()
    parents.push(parent)
  }
  return parents
}

const takeSchema = (cursor: Cursor): SchemaName | undefined => {
  if (lastSchema !== undefined && takeSame(cursor, lastSchema.bytes)) return lastSchema.schema
  const from = cursor.at
  cursor.expect(0x83)
  const name = takeName(cursor, limits.nameBytes)
  const version = cursor.head(0)
  const definition = takeId(cursor)
  if (cursor.bad || name === '') return undefined
  lastSchema = { bytes: cursor.bytes.slice(from, cursor.at), schema: sharedSchema(name, version, definition) }
  return lastSchema.schema
}

/** Operations without positions and tags, as they stand in commits that edit the same fields. */
interface Pattern {
  readonly bytes: Uint8Array
  /** Without what they write. */
  readonly operations: readonly Operation[]
}

const patterns: Pattern[] = []
const mostPatterns = 4
const patternBytes = 256

/** The operations of a change whose content has so many values next; undefined unless they take them all. */
const takeOperations = (cursor: Cursor, content: Cursor, values: number): readonly Operation[] | undefined => {
  for (const pattern of patterns)
    if (cursor.end - cursor.at === pattern.bytes.length && takeSame(cursor, pattern.bytes))
      return writePattern(pattern.operations, content, values)
  const from = cursor.at
  const count = cursor.head(4)
  if (count > limits.operations) return undefined
  const operations: Operation[] = []
  let isPattern = count > 0
  let left = values
  let spliced = 0
  for (let more = count; more > 0 && !cursor.bad; more--) {
    const operation = takeOperation(cursor, content)
    if (operation === undefined) return undefined
    operations.push(operation)
    const { kind } = operation
    if (kind === 'assign' || kind === 'add' || kind === 'put') left--
    else if (kind === 'splice') {
      spliced += operation.length
      if (operation.length > 0) left--
    }
    isPattern &&= kind !== 'splice' && kind !== 'remove' && kind !== 'drop'
  }
  if (left !== 0 || spliced > limits.commitBytes || cursor.bad || cursor.at !== cursor.end) return undefined
  if (content.bad || content.at !== content.end) return undefined
  if (isPattern && cursor.end - from <= patternBytes) {
    if (patterns.length === mostPatterns) patterns.shift()
    patterns.push({ bytes: cursor.bytes.slice(from, cursor.end), operations: operations.map(withoutContent) })
  }
  // A copy has no room for more.
  return operations.slice()
}

/** Operations without positions and tags, and without what they write. */
export const plainPattern = (bytes: Uint8Array): readonly Operation[] | undefined => {
  const cursor = new Cursor(bytes)
  const count = cursor.head(4)
  if (count > limits.operations) return undefined
  const content = new Cursor(cursor.bytes, cursor.end)
  const operations: Operation[] = []
  for (let more = count; more > 0 && !cursor.bad; more--) {
    const operation = takeOperation(cursor, content)
    if (operation === undefined) return undefined
    operations.push(operation)
  }
  return cursor.bad || cursor.at !== cursor.end ? undefined : operations.map(withoutContent)
}

const withoutContent = (operation: Operation): Operation => {
  const { kind } = operation
  if (kind === 'assign' || kind === 'add') return { kind, field: operation.field, value: undefined }
  return kind === 'put' ? { kind, field: operation.field, entry: undefined } : operation
}

/** The same with what they write: so many values are next in the content, and nothing behind them. */
export const writePattern = (
  pattern: readonly Operation[],
  content: Cursor,
  values: number,
): readonly Operation[] | undefined => {
  const operations = pattern.slice()
  let left = values
  for (let index = 0; index < operations.length; index++) {
    const operation = operations[index]
    if (operation === undefined || operation.kind === 'touch' || operation.kind === 'delete') continue
    left--
    if (operation.kind === 'put') operations[index] = { kind: 'put', field: operation.field, entry: takeEntry(content) }
    else if (operation.kind === 'assign')
      operations[index] = { kind: 'assign', field: operation.field, value: takeScalar(content) }
    else if (operation.kind === 'add')
      operations[index] = { kind: 'add', field: operation.field, value: takeScalar(content) }
  }
  return left !== 0 || content.bad || content.at !== content.end ? undefined : operations
}

const takeOperation = (cursor: Cursor, content: Cursor): Operation | undefined => {
  const length = cursor.head(4)
  const field = takeName(cursor, 4 * longestField)
  const kind = cursor.head(0)
  const expected = kind === 2 || kind === 4 ? 3 : kind === 5 ? 5 : 2
  if (cursor.bad || length !== expected || kind > 7 || field.length > longestField) return undefined
  if ((field === '') !== (kind === 6 || kind === 7)) return undefined
  switch (kind) {
    case 0:
      return { kind: 'assign', field, value: takeScalar(content) }
    case 1:
      return { kind: 'add', field, value: takeScalar(content) }
    case 2:
      return { kind: 'remove', field, tags: takeTags(cursor) }
    case 3:
      return { kind: 'put', field, entry: takeEntry(content) }
    case 4:
      return { kind: 'drop', field, tags: takeTags(cursor) }
    case 5: {
      const at = cursor.head(0)
      const remove = cursor.head(0)
      const inserted = cursor.head(0)
      const insert = inserted === 0 ? '' : textOf(content, content.head(3))
      if (remove + inserted === 0 || insert.length !== inserted) return undefined
      return { kind: 'splice', field, at, remove, length: inserted, insert }
    }
    case 6:
      return { kind: 'touch' }
    default:
      return { kind: 'delete' }
  }
}

const takeEntry = (content: Cursor): readonly [key: string, value: Scalar] => {
  content.expect(0x82)
  const key = takeName(content, limits.nameBytes)
  return [key, takeScalar(content)]
}

const takeTags = (cursor: Cursor): string[] => {
  const count = cursor.head(4)
  if (count === 0 || count > limits.operations) cursor.fail()
  const tags: string[] = []
  for (let left = count; left > 0 && !cursor.bad; left--) {
    cursor.expect(0x82)
    const commit = takeId(cursor)
    const index = cursor.head(0)
    if (index >= limits.operations) cursor.fail()
    tags.push(tagOf(commit, index))
  }
  return tags
}
