import { limits } from './limits.ts'
import { type Refusal, refusal } from './refusal.ts'

/**
 * The structural guard: what every byte from outside meets before any decoder. It accepts exactly one item over all the
 * bytes, in the one encoding that `encode` gives, so that accepted bytes re-encode to themselves. One pass, no
 * recursion, and no allocation but a refusal: its cost is bounded by the bytes that have arrived, never by a length
 * that they claim.
 *
 * The profile (RFC 8949, core deterministic encoding, section 4.2.1, narrowed):
 * - integers from -2^32 to 2^32 - 1, in the shortest form;
 * - float64 for every other finite number, so also for whole numbers beyond 32 bits; never NaN, infinity or -0, never a
 *   shorter float. (cbor-x turns such whole numbers into float64; 64-bit integers would come back from it as bigint);
 * - byte strings, text strings in valid UTF-8, arrays and maps, all with definite lengths in the shortest form;
 * - map keys are texts, each once, sorted bytewise by their encoding: shorter ones first;
 * - false, true, null. No tags, no undefined, no other simple values.
 */

export interface GuardLimits {
  readonly bytes: number
  /** Arrays and maps inside one another. */
  readonly depth: number
  /** Items, keys included. */
  readonly nodes: number
}

export const messageLimits: GuardLimits = { bytes: limits.frameBytes, depth: limits.depth, nodes: limits.nodes }

const deepest = 64
const noKey = -1
const isArray = -2

/** One place a level. Reused by every call, which is sound because `guard` calls nothing that calls it. */
const left = new Uint32Array(deepest + 1)
/** Where the level's last key begins; `noKey` before a map's first, `isArray` in an array. */
const keyStart = new Int32Array(deepest + 1)
const keyEnd = new Int32Array(deepest + 1)

const float = new DataView(new ArrayBuffer(8))

/** The refusal of these bytes, or undefined: one canonical item within the limits. */
export const guard = (bytes: Uint8Array, limit: GuardLimits = messageLimits): Refusal | undefined => {
  if (limit.depth > deepest) throw new RangeError(`a guard reaches at most ${deepest} levels deep`)
  const length = bytes.length
  if (length > limit.bytes) return refusal('TooLarge', `${length} of ${limit.bytes} bytes`)
  let at = 0
  let level = 0
  let nodes = 0
  left[0] = 1
  keyStart[0] = isArray
  for (;;) {
    while (left[level] === 0) {
      if (level === 0) return at === length ? undefined : refusal('Malformed', `bytes after the item, from byte ${at}`)
      level--
    }
    if (at >= length) return refusal('Malformed', 'the bytes end within an item')
    if (++nodes > limit.nodes) return refusal('TooMany', `more than ${limit.nodes} items`)

    // `level` is at most limit.depth and `at` is less than length: both in range.
    const start = at
    // `at` is less than length.
    const initial = bytes[at++]!
    const kind = initial >> 5
    const info = initial & 31
    // `level` is at most limit.depth.
    const mapKey = keyStart[level]!
    // A map counts keys and values: an even number left means that a key comes next.
    const isKey = mapKey !== isArray && (left[level]! & 1) === 0
    left[level] = left[level]! - 1

    if (isKey && kind !== 3) return refusal('NotCanonical', `a key that is not text, at byte ${start}`)
    if (info > 27) {
      return info === 31 && kind !== 0 && kind !== 1 && kind !== 6
        ? refusal(kind === 7 ? 'Malformed' : 'NotCanonical', `an indefinite length, at byte ${start}`)
        : refusal('Malformed', `a reserved initial byte, at byte ${start}`)
    }
    const wide = info < 24 ? 0 : 1 << (info - 24)
    if (wide > length - at) return refusal('Malformed', 'the bytes end within an item')

    if (kind === 7) {
      if (info >= 20 && info <= 22) continue
      if (info !== 27) return refusal('NotCanonical', `a simple value or a short float, at byte ${start}`)
      // `wide` bytes are there.
      for (let i = 0; i < 8; i++) float.setUint8(i, bytes[at + i]!)
      at += 8
      const value = float.getFloat64(0)
      if (!Number.isFinite(value)) return refusal('NotCanonical', `a number that is not finite, at byte ${start}`)
      if (Number.isInteger(value) && value >= -4294967296 && value <= 4294967295) {
        return refusal('NotCanonical', `an integer written as a float, at byte ${start}`)
      }
      continue
    }
    if (kind === 6) return refusal('NotCanonical', `a tag, at byte ${start}`)
    if (wide === 8) return refusal('NotCanonical', `64 bits for an integer or a length, at byte ${start}`)

    let value = info
    if (wide > 0) {
      value = 0
      // `wide` bytes are there.
      for (let i = 0; i < wide; i++) value = value * 256 + bytes[at++]!
      if (value < (wide === 1 ? 24 : wide === 2 ? 256 : 65536)) {
        return refusal('NotCanonical', `an integer or a length that is not in the shortest form, at byte ${start}`)
      }
    }
    if (kind < 2) continue

    if (kind < 4) {
      if (value > length - at)
        return refusal('Malformed', `a string of ${value} bytes that are not there, at byte ${start}`)
      const end = at + value
      if (kind === 3) {
        if (!isUtf8(bytes, at, end)) return refusal('Malformed', `text that is not UTF-8, at byte ${start}`)
        if (isKey) {
          // `level` is in range, as above.
          if (mapKey !== noKey && !isAfter(bytes, mapKey, keyEnd[level]!, start, end)) {
            return refusal('NotCanonical', `a key out of order or named twice, at byte ${start}`)
          }
          keyStart[level] = start
          keyEnd[level] = end
        }
      }
      at = end
      continue
    }

    const items = kind === 4 ? value : value * 2
    if (items > length - at) return refusal('Malformed', `${items} items that are not there, at byte ${start}`)
    if (level >= limit.depth) return refusal('TooDeep', `more than ${limit.depth} levels, at byte ${start}`)
    level++
    left[level] = items
    keyStart[level] = kind === 4 ? isArray : noKey
  }
}

/** Whether the second key's encoding comes after the first's. Both lie within `bytes`. */
const isAfter = (
  bytes: Uint8Array,
  firstStart: number,
  firstEnd: number,
  secondStart: number,
  secondEnd: number,
): boolean => {
  let a = firstStart
  let b = secondStart
  for (; a < firstEnd && b < secondEnd; a++, b++) {
    // Both are less than their ends, which lie within the bytes.
    const difference = bytes[b]! - bytes[a]!
    if (difference !== 0) return difference > 0
  }
  return secondEnd - secondStart > firstEnd - firstStart
}

/** Well-formed UTF-8 by table 3-7 of the Unicode Standard: no overlong forms, no surrogates, nothing above U+10FFFF. */
const isUtf8 = (bytes: Uint8Array, start: number, end: number): boolean => {
  let at = start
  while (at < end) {
    // Every index is checked against `end`, which the caller checked against the length.
    const first = bytes[at++]!
    if (first < 0x80) continue
    if (first < 0xc2 || first > 0xf4) return false
    const more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3
    if (more > end - at) return false
    // `more` bytes are there.
    const second = bytes[at++]!
    const lowest = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80
    const highest = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf
    if (second < lowest || second > highest) return false
    // `more` bytes are there.
    for (let i = 1; i < more; i++) if ((bytes[at++]! & 0xc0) !== 0x80) return false
  }
  return true
}
