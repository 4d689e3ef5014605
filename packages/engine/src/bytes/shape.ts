import { isHex, utf8Length } from './bytes.ts'
import type { Plain } from './plain.ts'

/**
 * Questions to a decoded value, so that a decoder reads shapes without casts: each answers whether the value has that
 * kind and lies within its limits. `undefined`, the item beyond the end of a list, is never of any kind.
 */
type Read = Plain | undefined

/** Bytes; exactly `length` of them, or at most `most`. */
export const isBytes = (value: Read, length?: number): value is Uint8Array =>
  value instanceof Uint8Array && (length === undefined || value.length === length)

export const isBytesUpTo = (value: Read, most: number): value is Uint8Array =>
  value instanceof Uint8Array && value.length <= most

/** An integer with min <= value <= max. Whole numbers up to 2^53 - 1 count. */
export const isInteger = (value: Read, min = 0, max = Number.MAX_SAFE_INTEGER): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max

/** A text of at most `maxBytes` of UTF-8. */
export const isText = (value: Read, maxBytes: number): value is string =>
  typeof value === 'string' && value.length <= maxBytes && utf8Length(value) <= maxBytes

/** Lower case hex of exactly `bytes` bytes. */
export const isHexText = (value: Read, bytes: number): value is string =>
  typeof value === 'string' && isHex(value, bytes)

/** A list of min to max items. */
export const isList = (value: Read, min: number, max: number): value is readonly Plain[] =>
  Array.isArray(value) && value.length >= min && value.length <= max

/** A list in which every item is of one kind: `isListOf(value, 0, 16, (item) => isBytes(item, 32))`. */
export const isListOf = <Item extends Plain>(
  value: Read,
  min: number,
  max: number,
  is: (item: Plain) => item is Item,
): value is readonly Item[] => isList(value, min, max) && value.every(is)

/** A map of at most `max` entries. */
export const isMap = (value: Read, max: number): value is ReadonlyMap<string, Plain> =>
  value instanceof Map && value.size <= max

export const isBoolean = (value: Read): value is boolean => typeof value === 'boolean'
