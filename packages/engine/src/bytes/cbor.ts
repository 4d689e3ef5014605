import { Decoder } from 'cbor-x/decode-no-eval'
import { compareBytes, encodeUtf8, utf8Length } from './bytes.ts'
import { decodeExactly } from './exact.ts'
import { type GuardLimits, guard, messageLimits } from './guard.ts'
import { limits } from './limits.ts'
import type { Plain } from './plain.ts'
import type { Refusal } from './refusal.ts'
import { Sink } from './sink.ts'

/**
 * Values in deterministic CBOR, the profile that `guard` states: a value has one encoding, and accepted bytes re-encode
 * to themselves. cbor-x reads, in its build without `eval`, behind the guard and with everything switched off that the profile
 * does not have. Writing needs no more than the profile, and so no library.
 */

export type { Plain } from './plain.ts'

const codec = new Decoder({
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
  sink.clear()
  write(value, 0)
  return sink.copy()
}

const sink = new Sink(1_024)

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

const write = (value: Plain, depth: number): void => {
  switch (typeof value) {
    case 'boolean':
      return sink.byte(value ? 0xf5 : 0xf4)
    case 'number':
      return sink.number(value)
    case 'string':
      return sink.text(value)
    case 'object':
      break
    default:
      throw new TypeError(`${typeof value} has no encoding`)
  }
  if (value === null) return sink.byte(0xf6)
  if (value instanceof Uint8Array) return sink.string(value)
  if (depth === limits.depth) throw new TypeError(`nesting beyond ${limits.depth} levels has no encoding`)
  if (isPlainArray(value)) {
    sink.head(4, value.length)
    // In range; a hole reads as undefined, which is refused.
    for (let i = 0; i < value.length; i++) write(value[i]!, depth + 1)
    return
  }
  if (!(value instanceof Map)) throw new TypeError('an object that is not a map, an array or bytes has no encoding')
  const entries: [string, Plain][] = [...value]
  for (const [key] of entries)
    if (typeof key !== 'string') throw new TypeError(`a key of type ${typeof key} has no encoding`)
  sink.head(5, entries.length)
  for (const [key, inner] of entries.sort(([a], [b]) => compareKeys(a, b))) {
    sink.text(key)
    write(inner, depth + 1)
  }
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
