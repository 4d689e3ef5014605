import { Encoder } from 'cbor-x/index-no-eval'
import { compareBytes, encodeUtf8, isWellFormed, utf8Length } from './bytes.ts'
import { decodeExactly } from './exact.ts'
import { type GuardLimits, guard, messageLimits } from './guard.ts'
import { limits } from './limits.ts'
import type { Plain } from './plain.ts'
import type { Refusal } from './refusal.ts'

/**
 * Values in deterministic CBOR, the profile that `guard` states: a value has one encoding, and accepted bytes re-encode
 * to themselves. cbor-x does the work, in its build without `eval`, behind the guard and with everything switched off
 * that the profile does not have.
 */

export type { Plain } from './plain.ts'

const codec = new Encoder({
  useRecords: false,
  mapsAsObjects: false,
  tagUint8Array: false,
  structuredClone: false,
  pack: false,
})

/**
 * A byte array of its own, which no later call overwrites. Throws a TypeError on what the profile does not have
 * (undefined, NaN, infinities, -0, bigint, lone surrogates, other objects) and on nesting beyond `limits.depth`: those
 * are bugs of the caller. Keys are sorted here, in any order they come.
 */
export const encode = (value: Plain): Uint8Array<ArrayBuffer> => {
  const encoded: Uint8Array = codec.encode(canonical(value, 0))
  return new Uint8Array(encoded)
}

/**
 * The value, or why the bytes are refused; the guard comes first, always. A refusal is never a value, so `isRefusal`
 * tells them apart. Byte strings are views into `bytes`: whoever keeps one keeps all, and whoever reuses the bytes
 * copies it first.
 */
export const decode = (bytes: Uint8Array, limit: GuardLimits = messageLimits): Plain | Refusal => {
  const refused = guard(bytes, limit)
  if (refused) return refused
  // A view of its own: cbor-x leaves a property on the array it reads, and gives out views of the same class.
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // cbor-x drops a byte order mark at the beginning of a text longer than 64 bytes.
  return hasByteOrderMark(view) ? decodeExactly(view) : codec.decode(view)
}

/** The value as cbor-x writes it in the profile: the same arrays and maps where they are right already. */
const canonical = (value: Plain, depth: number): Plain => {
  switch (typeof value) {
    case 'boolean':
      return value
    case 'number':
      if (!Number.isFinite(value) || Object.is(value, -0))
        throw new TypeError(`${Object.is(value, -0) ? '-0' : value} has no encoding`)
      return value
    case 'string':
      if (!isWellFormed(value)) throw new TypeError('text with a lone surrogate has no encoding')
      return value
    case 'object':
      break
    default:
      throw new TypeError(`${typeof value} has no encoding`)
  }
  if (value === null || value instanceof Uint8Array) return value
  if (depth === limits.depth) throw new TypeError(`nesting beyond ${limits.depth} levels has no encoding`)
  if (isPlainArray(value)) {
    let copy: Plain[] | undefined = value.constructor === Array ? undefined : Array.from(value)
    for (let i = 0; i < value.length; i++) {
      // In range; a hole reads as undefined, which is refused.
      const before = value[i]!
      const after = canonical(before, depth + 1)
      if (after === before) continue
      copy ??= value.slice()
      copy[i] = after
    }
    return copy ?? value
  }
  if (!(value instanceof Map)) throw new TypeError('an object that is not a map, an array or bytes has no encoding')
  const values = new Map<string, Plain>()
  let changed = value.constructor !== Map
  let unsorted = false
  let last: string | undefined
  for (const [key, before] of value) {
    if (typeof key !== 'string') throw new TypeError(`a key of type ${typeof key} has no encoding`)
    if (!isWellFormed(key)) throw new TypeError('a key with a lone surrogate has no encoding')
    const after = canonical(before, depth + 1)
    values.set(key, after)
    changed ||= after !== before
    unsorted ||= last !== undefined && compareKeys(last, key) > 0
    last = key
  }
  if (unsorted) return new Map([...values].sort(([a], [b]) => compareKeys(a, b)))
  return changed ? values : value
}

const isPlainArray = (value: readonly Plain[] | ReadonlyMap<string, Plain>): value is readonly Plain[] =>
  Array.isArray(value)

/** The order of the keys' encodings: by bytes of UTF-8, then bytewise. */
const compareKeys = (a: string, b: string): number => {
  const bytes = utf8Length(a)
  const difference = bytes - utf8Length(b)
  if (difference !== 0) return difference
  if (bytes === a.length && bytes === b.length) return a < b ? -1 : a > b ? 1 : 0
  return compareBytes(encodeUtf8(a), encodeUtf8(b))
}

const hasByteOrderMark = (bytes: Uint8Array): boolean => {
  for (let at = bytes.indexOf(0xef); at >= 0; at = bytes.indexOf(0xef, at + 1)) {
    if (bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf) return true
  }
  return false
}
