import { fromHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'

/**
 * A Bloom filter over the ids of tips: 10 bits a tip and 7 positions each, about 0.8 % false hits, or twice as many of both, 0.007 %. Its builder draws a
 * new salt for every filter, so that nobody can mine ids that hit (Naor and Yogev, "Bloom filters in adversarial
 * environments"): what hits falsely in one round misses in the next. A filter of no bits is hit by nothing: it asks for
 * the exact list.
 */
export interface Filter {
  readonly salt: Uint8Array
  /** Tips in it. The size follows from it and is checked against it. */
  readonly count: number
  /** Positions a tip. */
  readonly hashes: number
  readonly bits: Uint8Array
}

export const saltBytes = 16
const bitsPerTip = 10
/** Positions a tip; in a filter of more than the fewer ones a tip has twice the bits. */
export const sparsePositions = 7
export const densePositions = 14
/** Small filters are no smaller, or a handful of tips would hit by chance too often. */
const leastBytes = 8
/** An honest filter of 7 positions in 10 bits is half full, and never fuller than this. */
const fullest = 0.7

/** More tips than this are listed instead. */
export const mostTips = Math.floor(limits.filterBits / bitsPerTip)

/** Bytes of a filter over so many tips with so many positions each. */
export const filterBytes = (count: number, positions = sparsePositions): number =>
  count === 0 ? 0 : Math.max(leastBytes, Math.ceil((count * bitsFor(positions)) / 8))

const bitsFor = (positions: number): number => (positions > sparsePositions ? 2 * bitsPerTip : bitsPerTip)

export const exactFilter = (salt: Uint8Array): Filter => ({
  salt,
  count: 0,
  hashes: sparsePositions,
  bits: new Uint8Array(0),
})

/** A filter over these ids, with no more than `most` positions each; the exact one where they are too many. */
export const makeFilter = (
  ids: readonly string[],
  salt: Uint8Array,
  hash: Hash,
  most: number = sparsePositions,
): Filter => {
  if (ids.length > mostTips) return exactFilter(salt)
  const isDense = most >= densePositions && 2 * ids.length <= mostTips
  const positions = isDense ? densePositions : sparsePositions
  const bits = new Uint8Array(filterBytes(ids.length, positions))
  const filter = { salt, count: ids.length, hashes: positions, bits }
  const keyed = keyedBy(salt)
  for (const id of ids) {
    const words = hashed(keyed, id, hash)
    for (let i = 0; i < positions; i++) {
      const position = positionOf(words, i, filter)
      // A position is less than the number of bits.
      bits[position >> 3]! |= 1 << (position & 7)
    }
  }
  return filter
}

/** Whether the tip may be in the filter. False is certain. */
export const hits = (filter: Filter, id: string, hash: Hash): boolean => missing([{ id }], filter, hash).length === 0

/** Of these tips, those that are not in the filter for certain. */
export const missing = <Tip extends { readonly id: string }>(
  tips: readonly Tip[],
  filter: Filter,
  hash: Hash,
): readonly Tip[] => {
  const { bits, hashes } = filter
  if (bits.length === 0) return tips
  const keyed = keyedBy(filter.salt)
  return tips.filter(({ id }) => {
    const words = hashed(keyed, id, hash)
    for (let i = 0; i < hashes; i++) {
      const position = positionOf(words, i, filter)
      // As above.
      if ((bits[position >> 3]! & (1 << (position & 7))) === 0) return true
    }
    return false
  })
}

const keyedBy = (salt: Uint8Array): Uint8Array => {
  const keyed = new Uint8Array(saltBytes + 32)
  keyed.set(salt)
  return keyed
}

/** SHA-256(salt, id); the bytes of the id before are written over. */
const hashed = (keyed: Uint8Array, id: string, hash: Hash): Uint8Array => {
  keyed.set(fromHex(id), saltBytes)
  return hash(keyed)
}

/** Double hashing (Kirsch and Mitzenmacher): two 32-bit words, big-endian, give every position. */
const positionOf = (words: Uint8Array, index: number, filter: Filter): number =>
  (wordAt(words, 0) + index * wordAt(words, 4)) % (filter.bits.length * 8)

// A hash has 32 bytes.
const wordAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0

/**
 * Why a filter from outside is not used: its size is not the one its count asks for, or it is too full to be honest.
 */
export const refuseFilter = (filter: Filter): Refusal | undefined => {
  if (filter.salt.length !== saltBytes) return refusal('Malformed', 'a salt of another length')
  if (filter.hashes < 1 || filter.hashes > limits.filterHashes)
    return refusal('Malformed', `${filter.hashes} positions a tip`)
  if (filter.count > mostTips) return refusal('TooLarge', `a filter over ${filter.count} tips`)
  if (filter.bits.length > limits.filterBits / 8 || filter.bits.length !== filterBytes(filter.count, filter.hashes)) {
    return refusal('Malformed', `a filter of ${filter.bits.length} bytes over ${filter.count} tips`)
  }
  let set = 0
  for (const byte of filter.bits) for (let rest = byte; rest !== 0; rest &= rest - 1) set++
  return set > fullest * 8 * filter.bits.length ? refusal('Malformed', `a filter with ${set} bits set`) : undefined
}
