import { fromHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'

/**
 * A Bloom filter over the ids of tips: 10 bits a tip and 7 positions each, about 0.8 % false hits. Its builder draws a
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
const positionsPerTip = 7
/** Small filters are no smaller, or a handful of tips would hit by chance too often. */
const leastBytes = 8
/** An honest filter of 7 positions in 10 bits is half full, and never fuller than this. */
const fullest = 0.7

/** More tips than this are listed instead. */
export const mostTips = Math.floor(limits.filterBits / bitsPerTip)

/** Bytes of a filter over so many tips. */
export const filterBytes = (count: number): number =>
  count === 0 ? 0 : Math.max(leastBytes, Math.ceil((count * bitsPerTip) / 8))

export const exactFilter = (salt: Uint8Array): Filter => ({
  salt,
  count: 0,
  hashes: positionsPerTip,
  bits: new Uint8Array(0),
})

/** A filter over these ids; the exact one where they are too many. */
export const makeFilter = (ids: readonly string[], salt: Uint8Array, hash: Hash): Filter => {
  if (ids.length > mostTips) return exactFilter(salt)
  const filter = { salt, count: ids.length, hashes: positionsPerTip, bits: new Uint8Array(filterBytes(ids.length)) }
  for (const id of ids) {
    for (const position of positions(filter, id, hash)) {
      // A position is less than the number of bits.
      filter.bits[position >> 3]! |= 1 << (position & 7)
    }
  }
  return filter
}

/** Whether the tip may be in the filter. False is certain. */
export const hits = (filter: Filter, id: string, hash: Hash): boolean => {
  if (filter.bits.length === 0) return false
  for (const position of positions(filter, id, hash)) {
    // As above.
    if ((filter.bits[position >> 3]! & (1 << (position & 7))) === 0) return false
  }
  return true
}

/** Double hashing (Kirsch and Mitzenmacher): two 32-bit words of SHA-256(salt, id) give every position. */
function* positions(filter: Filter, id: string, hash: Hash): Generator<number> {
  const keyed = new Uint8Array(saltBytes + 32)
  keyed.set(filter.salt)
  keyed.set(fromHex(id), saltBytes)
  const words = hash(keyed)
  const view = new DataView(words.buffer, words.byteOffset, words.byteLength)
  const first = view.getUint32(0)
  const second = view.getUint32(4)
  const bits = filter.bits.length * 8
  for (let i = 0; i < filter.hashes; i++) yield (first + i * second) % bits
}

/**
 * Why a filter from outside is not used: its size is not the one its count asks for, or it is too full to be honest.
 */
export const refuseFilter = (filter: Filter): Refusal | undefined => {
  if (filter.salt.length !== saltBytes) return refusal('Malformed', 'a salt of another length')
  if (filter.hashes < 1 || filter.hashes > limits.filterHashes)
    return refusal('Malformed', `${filter.hashes} positions a tip`)
  if (filter.count > mostTips) return refusal('TooLarge', `a filter over ${filter.count} tips`)
  if (filter.bits.length !== filterBytes(filter.count)) {
    return refusal('Malformed', `a filter of ${filter.bits.length} bytes over ${filter.count} tips`)
  }
  let set = 0
  for (const byte of filter.bits) for (let rest = byte; rest !== 0; rest &= rest - 1) set++
  return set > fullest * 8 * filter.bits.length ? refusal('Malformed', `a filter with ${set} bits set`) : undefined
}
