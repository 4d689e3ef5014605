/**
 * Cuts what one item has to write into pieces that fit a commit each, to be made one after the other: operations apply in sequence, so
 * any cut between two of them is good, and a long insertion is two insertions.
 */
import { utf8Length } from '../bytes/bytes.ts'
import type { Operation } from '../commit/operation.ts'

/** Estimated bytes of one piece. Four of the longest strings a field takes still fit a commit. */
const pieceBytes = 96 * 1024
const pieceOperations = 4_096
/** Most tags in one operation. */
const mostTags = 1_024
/** Longest insertion in one operation, UTF-16 units, at most three bytes each. */
const longestInsert = 24 * 1024

/** At most what an operation takes in a commit: five bytes for a string's header, 38 for a tag. */
const bytesOf = (operation: Operation): number => {
  const own = 24 + ('field' in operation ? utf8Length(operation.field) : 0)
  switch (operation.kind) {
    case 'assign':
    case 'add':
      return own + bytesOfValue(operation.value)
    case 'put':
      return own + (operation.entry ?? []).reduce<number>((sum, part) => sum + bytesOfValue(part), 0)
    case 'remove':
    case 'drop':
      return own + operation.tags.length * 38
    case 'splice':
      return own + bytesOfValue(operation.insert ?? '')
    default:
      return own
  }
}

const bytesOfValue = (value: unknown): number => (typeof value === 'string' ? 5 + utf8Length(value) : 9)

/** The longest prefix of at most `room` units that does not end inside a surrogate pair. */
const cutAt = (text: string, room: number): number => {
  if (text.length <= room) return text.length
  const unit = text.charCodeAt(room - 1)
  return unit >= 0xd800 && unit <= 0xdbff ? room - 1 : room
}

type Tagged = Extract<Operation, { kind: 'remove' | 'drop' }>
type Insertion = Extract<Operation, { kind: 'splice' }> & { readonly insert: string }

const isLong = (operation: Operation): operation is Tagged | Insertion =>
  operation.kind === 'remove' || operation.kind === 'drop'
    ? operation.tags.length > mostTags
    : operation.kind === 'splice' && operation.insert !== undefined && operation.insert.length > longestInsert

function* cut(operation: Tagged | Insertion): Generator<Operation> {
  if (operation.kind !== 'splice') {
    for (let from = 0; from < operation.tags.length; from += mostTags) {
      yield { ...operation, tags: operation.tags.slice(from, from + mostTags) }
    }
    return
  }
  let { at, remove, insert } = operation
  while (insert.length > 0) {
    const length = cutAt(insert, longestInsert)
    yield { kind: 'splice', field: operation.field, at, remove, length, insert: insert.slice(0, length) }
    at += length
    remove = 0
    insert = insert.slice(length)
  }
}

/** The operations in pieces, in order; one piece when they fit. */
export const partition = (operations: readonly Operation[]): Operation[][] => {
  if (operations.length === 0) return []
  const fits = operations.length <= pieceOperations && weightOf(operations) <= pieceBytes && !operations.some(isLong)
  // They are kept for good, in a copy without room for more.
  if (fits) return [operations.slice()]
  const pieces: Operation[][] = []
  let piece: Operation[] = []
  let bytes = 0
  for (const whole of operations) {
    for (const operation of isLong(whole) ? cut(whole) : [whole]) {
      const size = bytesOf(operation)
      if (piece.length > 0 && (bytes + size > pieceBytes || piece.length >= pieceOperations)) {
        pieces.push(piece)
        piece = []
        bytes = 0
      }
      piece.push(operation)
      bytes += size
    }
  }
  pieces.push(piece)
  return pieces
}

/** About what the operations of one piece take in a commit, bytes. */
export const weightOf = (operations: readonly Operation[]): number => {
  let weight = 0
  for (const operation of operations) weight += bytesOf(operation)
  return weight
}
