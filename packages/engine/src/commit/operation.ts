/**
 * Operations: what one change does to one item. An operation says where (positions, lengths, element ids) and stays for ever; what
 * was written stands apart in the change's content, which an erasure may drop.
 *
 *     operation = [field, 0]                       assign              content: value
 *               | [field, 1]                       add to set          content: value
 *               | [field, 2, [tag, ...]]           remove from set
 *               | [field, 3]                       put in map          content: [key, value]
 *               | [field, 4, [tag, ...]]           drop from map
 *               | [field, 5, at, remove, length]   splice text         content: string, when length > 0
 *               | ["", 6]                          touch (create, restore)
 *               | ["", 7]                          delete
 *     tag       = [commit id, index of the operation that added the element]
 *
 * A field's name has at most 64 characters, positions and lengths are UTF-16 units below 2^32. What is spliced in is at most as long as
 * a commit has bytes, in all of a change too: otherwise a few bytes whose content is erased would replay as gigabytes.
 */
import { fromHex, isHex, toHex, utf8Length } from '../bytes/bytes.ts'
import type { Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Scalar } from '../schema/field.ts'

/** Names one element of a set, or one entry of a map: `commit id (hex) : index of its operation`. */
export type Tag = string

export const tagOf = (commit: string, operation: number): Tag => `${commit}:${operation}`

/** `value`, `entry` and `insert` are undefined once the content was erased. */
export type Operation =
  | { readonly kind: 'assign'; readonly field: string; readonly value: Scalar | undefined }
  | { readonly kind: 'add'; readonly field: string; readonly value: Scalar | undefined }
  | { readonly kind: 'remove'; readonly field: string; readonly tags: readonly Tag[] }
  | { readonly kind: 'put'; readonly field: string; readonly entry: readonly [key: string, value: Scalar] | undefined }
  | { readonly kind: 'drop'; readonly field: string; readonly tags: readonly Tag[] }
  | {
      readonly kind: 'splice'
      readonly field: string
      readonly at: number
      readonly remove: number
      readonly length: number
      readonly insert: string | undefined
    }
  | { readonly kind: 'touch' }
  | { readonly kind: 'delete' }

const isScalarValue = (value: Plain | undefined): value is Scalar =>
  value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'

const encodeTag = (tag: Tag): Plain => [fromHex(tag.slice(0, 64)), Number(tag.slice(65))]

/** An operation as it stands in a change; what it writes goes to the end of `content`. */
const encodeOperation = (operation: Operation, content: Plain[]): Plain => {
  switch (operation.kind) {
    case 'assign':
      content.push(operation.value ?? null)
      return [operation.field, 0]
    case 'add':
      content.push(operation.value ?? null)
      return [operation.field, 1]
    case 'remove':
      return [operation.field, 2, operation.tags.map(encodeTag)]
    case 'put':
      content.push(operation.entry === undefined ? null : [operation.entry[0], operation.entry[1]])
      return [operation.field, 3]
    case 'drop':
      return [operation.field, 4, operation.tags.map(encodeTag)]
    case 'splice':
      if (operation.length > 0) content.push(operation.insert ?? '')
      return [operation.field, 5, operation.at, operation.remove, operation.length]
    case 'touch':
      return ['', 6]
    case 'delete':
      return ['', 7]
  }
}

/** The operations part and the content list of a change. */
export const encodeOperations = (operations: readonly Operation[]): { ops: Plain; content: Plain[] } => {
  const content: Plain[] = []
  const ops = operations.map((operation) => encodeOperation(operation, content))
  return { ops, content }
}

const decodeTags = (plain: Plain | undefined): Tag[] | undefined => {
  if (!Array.isArray(plain) || plain.length === 0 || plain.length > limits.operations) return undefined
  const tags: Tag[] = []
  for (const tag of plain as readonly Plain[]) {
    if (!Array.isArray(tag) || tag.length !== 2) return undefined
    const [commit, index] = tag as readonly Plain[]
    if (!(commit instanceof Uint8Array) || commit.length !== 32) return undefined
    if (!isCount(index) || index >= limits.operations) return undefined
    tags.push(tagOf(toHex(commit), index))
  }
  return tags
}

const most = 0xffff_ffff
/** Characters of a field's name. */
export const longestField = 64

const isCount = (value: Plain | undefined): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most

/** UTF-16 units that the operations splice in, as they say themselves, erased or not. */
export const splicedLength = (operations: readonly Operation[]): number =>
  operations.reduce((sum, operation) => sum + (operation.kind === 'splice' ? operation.length : 0), 0)

/** Whether `decodeOperations` would take them back, once they are encoded. */
export const areGood = (operations: readonly Operation[]): boolean =>
  operations.length <= limits.operations && operations.every(isGood)

const isGood = (operation: Operation): boolean => {
  if (operation.kind === 'touch' || operation.kind === 'delete') return true
  if (operation.field === '' || operation.field.length > longestField) return false
  switch (operation.kind) {
    case 'assign':
    case 'add':
      return operation.value === undefined || isScalarValue(operation.value)
    case 'remove':
    case 'drop':
      return operation.tags.length > 0 && operation.tags.length <= limits.operations && operation.tags.every(isGoodTag)
    case 'put': {
      const [key, value] = operation.entry ?? []
      return typeof key === 'string' && utf8Length(key) <= limits.nameBytes && isScalarValue(value)
    }
    case 'splice': {
      const { at, remove, length, insert } = operation
      if (!isCount(at) || !isCount(remove) || !isCount(length) || remove + length === 0) return false
      return length === 0 || insert?.length === length
    }
  }
}

const isGoodTag = (tag: Tag): boolean => {
  const index = Number(tag.slice(65))
  return isHex(tag.slice(0, 64), 32) && isCount(index) && index < limits.operations
}

/**
 * Reads the operations of a change. `content` is undefined when it was erased. `Malformed` when the shape is not the one above, or the
 * content does not fit the operations.
 */
export const decodeOperations = (ops: Plain, content: Plain | undefined): Operation[] | Refusal => {
  if (Array.isArray(ops) && ops.length > limits.operations)
    return refusal('TooMany', `${ops.length} of ${limits.operations} operations`)
  const operations = readOperations(ops, content)
  if (operations === undefined) return refusal('Malformed', 'operations')
  return splicedLength(operations) > limits.commitBytes ? refusal('TooLarge', 'spliced text') : operations
}

const readOperations = (ops: Plain, content: Plain | undefined): Operation[] | undefined => {
  if (!Array.isArray(ops)) return undefined
  if (content !== undefined && !Array.isArray(content)) return undefined
  const written = content as readonly Plain[] | undefined
  let next = 0
  const operations: Operation[] = []
  for (const op of ops as readonly Plain[]) {
    if (!Array.isArray(op)) return undefined
    const [field, kind, ...rest] = op as readonly Plain[]
    if (typeof field !== 'string' || field.length > longestField) return undefined
    if ((field === '') !== (kind === 6 || kind === 7)) return undefined
    const expected = kind === 2 || kind === 4 ? 1 : kind === 5 ? 3 : 0
    if (rest.length !== expected) return undefined
    if (kind === 6) operations.push({ kind: 'touch' })
    else if (kind === 7) operations.push({ kind: 'delete' })
    else if (kind === 0 || kind === 1) {
      const value = written?.[next++]
      if (written !== undefined && !isScalarValue(value)) return undefined
      operations.push({ kind: kind === 0 ? 'assign' : 'add', field, value: isScalarValue(value) ? value : undefined })
    } else if (kind === 2 || kind === 4) {
      const tags = decodeTags(rest[0])
      if (tags === undefined) return undefined
      operations.push({ kind: kind === 2 ? 'remove' : 'drop', field, tags })
    } else if (kind === 3) {
      if (written === undefined) {
        operations.push({ kind: 'put', field, entry: undefined })
        continue
      }
      const entry = written[next++]
      if (!Array.isArray(entry) || entry.length !== 2) return undefined
      const [key, value] = entry as readonly Plain[]
      if (typeof key !== 'string' || utf8Length(key) > limits.nameBytes || !isScalarValue(value)) return undefined
      operations.push({ kind: 'put', field, entry: [key, value] })
    } else if (kind === 5) {
      const [at, remove, length] = rest
      if (!isCount(at) || !isCount(remove) || !isCount(length) || remove + length === 0) return undefined
      let insert: string | undefined = ''
      if (length > 0) {
        const value = written?.[next++]
        if (written !== undefined && (typeof value !== 'string' || value.length !== length)) return undefined
        insert = typeof value === 'string' ? value : undefined
      }
      operations.push({ kind: 'splice', field, at, remove, length, insert })
    } else return undefined
  }
  if (written !== undefined && next !== written.length) return undefined
  // A copy has no room for more.
  return operations.slice()
}
