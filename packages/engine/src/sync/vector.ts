import { type Refusal, refusal } from '../bytes/refusal.ts'

/**
 * The vector of heads: every chain's salted key, seq and some bits of its tip's id, in 2 to 3 bytes a chain. Keys are sorted
 * and cut so short that few of one's own fall together; their gaps are Rice codes (Rice and Plaunt, 1971), the seqs
 * exponential Golomb codes (Teuhola, 1978), each of the order that makes the whole shortest.
 *
 * A stream of bits, the highest of a byte first: the number of heads (exponential Golomb, order 6), the order of the gaps (6
 * bits), the order of the seqs (5), then for every head its gap to the key before, its seq, and its id bits; then zeros up
 * to a whole byte. A list of heads has this one encoding, and no other is read.
 */
export interface VectorHead {
  /** The leading `vectorKeyBits` of the chain's salted key. Two chains may have the same. */
  readonly key: number
  /** 0 to 2^32 - 1. */
  readonly seq: number
  /** Salted anew every round, or two branches whose bits are equal once would be so for ever. */
  readonly idBits: number
}

/** What both sides know before the vector comes. */
export interface VectorShape {
  /** From 0 on. */
  readonly round: number
  /** Bits of every tip's id, 0 to 32. */
  readonly idBits: number
}

/** Longer keys would not be exact numbers. */
const mostKeyBits = 52
const countOrder = 6
const gapOrderBits = 6
const seqOrderBits = 5
const mostSeqOrder = 31

/**
 * Length of the keys of so many heads: of one's own, 1 in 256 falls together with another in the first round, and 16 times
 * fewer in each that follows.
 */
export const vectorKeyBits = (count: number, round: number): number =>
  Math.min(mostKeyBits, bitLength(count) + 8 + 4 * round)

/** Bits of a whole number: 0 has none. Exact up to 2^53. */
const bitLength = (value: number): number =>
  value < 2 ** 32 ? 32 - Math.clz32(value) : 64 - Math.clz32(Math.floor(value / 2 ** 32))

/** Throws on keys, seqs and id bits that are too long: they are one's own. */
export const encodeVector = (heads: readonly VectorHead[], shape: VectorShape): Uint8Array<ArrayBuffer> => {
  const keyBits = vectorKeyBits(heads.length, shape.round)
  for (const head of heads) {
    if (!fits(head.key, keyBits) || !fits(head.seq, 32) || !fits(head.idBits, shape.idBits)) {
      throw new RangeError(`no head of a vector: key ${head.key}, seq ${head.seq}, id bits ${head.idBits}`)
    }
  }
  const sorted = heads.toSorted(compareHeads)
  const gaps = gapsOf(sorted)
  const gapOrder = bestGapOrder(gaps)
  const seqOrder = bestSeqOrder(sorted)
  const bits = golombBits(heads.length, countOrder) + gapOrderBits + seqOrderBits
  const writer = new Writer(bits + riceBits(gaps, gapOrder) + seqBits(sorted, seqOrder) + heads.length * shape.idBits)
  writer.golomb(heads.length, countOrder)
  writer.put(gapOrder, gapOrderBits)
  writer.put(seqOrder, seqOrderBits)
  for (const [i, head] of sorted.entries()) {
    // There is a gap for every head.
    writer.rice(gaps[i]!, gapOrder)
    writer.golomb(head.seq, seqOrder)
    writer.put(head.idBits, shape.idBits)
  }
  return writer.bytes
}

const fits = (value: number, bits: number): boolean => Number.isInteger(value) && value >= 0 && value < 2 ** bits

/** The heads in order; refuses more than `most` before reading them, and whatever `encodeVector` would not have written. */
export const decodeVector = (bytes: Uint8Array, shape: VectorShape, most: number): readonly VectorHead[] | Refusal => {
  const reader = new Reader(bytes)
  const count = reader.golomb(countOrder)
  if (reader.left < gapOrderBits + seqOrderBits) return refusal('Malformed', `a vector of ${bytes.length} bytes`)
  if (count > most) return refusal('TooLarge', `a vector of ${count} heads`)
  const gapOrder = reader.take(gapOrderBits)
  const seqOrder = reader.take(seqOrderBits)
  if (reader.left < count * (gapOrder + seqOrder + 2 + shape.idBits)) {
    return refusal('Malformed', `a vector of ${count} heads in ${bytes.length} bytes`)
  }
  const keyEnd = 2 ** vectorKeyBits(count, shape.round)
  const heads: VectorHead[] = []
  let last: VectorHead = { key: 0, seq: 0, idBits: 0 }
  while (heads.length < count) {
    const head = {
      key: last.key + reader.rice(gapOrder),
      seq: reader.golomb(seqOrder),
      idBits: reader.take(shape.idBits),
    }
    if (reader.left < 0) return refusal('Malformed', 'a vector that ends too soon')
    if (head.key >= keyEnd || head.seq >= 2 ** 32) return refusal('Malformed', `head ${heads.length} of a vector`)
    if (compareHeads(last, head) > 0) return refusal('NotCanonical', 'a vector out of order')
    heads.push(head)
    last = head
  }
  if (reader.left >= 8 || reader.take(reader.left) !== 0) return refusal('NotCanonical', 'a vector with more behind it')
  if (gapOrder !== bestGapOrder(gapsOf(heads)) || seqOrder !== bestSeqOrder(heads)) {
    return refusal('NotCanonical', 'a vector that could be shorter')
  }
  return heads
}

/**
 * About how many bytes the vector of so many heads with so many commits in all will take: within a sixteenth where lengths
 * are equal or exponential, within an eighth where they go by Zipf's law.
 */
export const vectorBytes = (count: number, commits: number, shape: VectorShape): number => {
  if (count === 0) return 3
  const gap = vectorKeyBits(count, shape.round) - Math.log2(count) + 1.6
  const seq = Math.log2(1 + commits / count) + 1.3
  return Math.ceil(3 + (count * (gap + seq + shape.idBits)) / 8)
}

const compareHeads = (a: VectorHead, b: VectorHead): number => a.key - b.key || a.seq - b.seq || a.idBits - b.idBits

const gapsOf = (sorted: readonly VectorHead[]): Float64Array => {
  const gaps = new Float64Array(sorted.length)
  let last = 0
  for (const [i, { key }] of sorted.entries()) {
    gaps[i] = key - last
    last = key
  }
  return gaps
}

const riceBits = (gaps: Float64Array, order: number): number => {
  const unit = 2 ** order
  let bits = gaps.length * (order + 1)
  for (const gap of gaps) bits += Math.floor(gap / unit)
  return bits
}

/**
 * The lowest order that makes the gaps shortest. One order more halves every quotient, so that it saves less each time: where
 * it stops to save is the least of all.
 */
const bestGapOrder = (gaps: Float64Array): number => {
  const total = gaps.reduce((sum, gap) => sum + gap, 0)
  let order = Math.max(0, bitLength(Math.floor(total / Math.max(1, gaps.length))) - 1)
  let bits = riceBits(gaps, order)
  for (let more = riceBits(gaps, order + 1); more < bits; more = riceBits(gaps, order + 1)) {
    bits = more
    order++
  }
  while (order > 0) {
    const less = riceBits(gaps, order - 1)
    if (less > bits) break
    bits = less
    order--
  }
  return order
}

/** Exponential Golomb: as many zeros as the bits of value + 2^order are more than order + 1, then those bits. */
const golombBits = (value: number, order: number): number => 2 * bitLength(value + 2 ** order) - order - 1

const seqBits = (heads: readonly VectorHead[], order: number): number => {
  let bits = 0
  for (const { seq } of heads) bits += golombBits(seq, order)
  return bits
}

/** The lowest order that makes the seqs shortest: all are tried that are not longer than the longest seq. */
const bestSeqOrder = (heads: readonly VectorHead[]): number => {
  let longest = 0
  for (const { seq } of heads) if (seq > longest) longest = seq
  const last = Math.min(mostSeqOrder, bitLength(longest))
  let best = 0
  let fewest = Number.POSITIVE_INFINITY
  for (let order = 0; order <= last; order++) {
    const bits = seqBits(heads, order)
    if (bits >= fewest) continue
    best = order
    fewest = bits
  }
  return best
}

/** Writes into as many bytes as the bits it is made for. */
class Writer {
  readonly bytes: Uint8Array<ArrayBuffer>
  #at = 0

  constructor(bits: number) {
    this.bytes = new Uint8Array(Math.ceil(bits / 8))
  }

  put(value: number, bits: number): void {
    for (let left = bits; left > 0; ) {
      const free = 8 - (this.#at & 7)
      const taken = Math.min(free, left)
      left -= taken
      const piece = Math.floor(value / 2 ** left) % 2 ** taken
      // The bits to be written were counted.
      this.bytes[this.#at >> 3]! |= piece << (free - taken)
      this.#at += taken
    }
  }

  rice(value: number, order: number): void {
    this.#at += Math.floor(value / 2 ** order)
    this.put(1, 1)
    this.put(value % 2 ** order, order)
  }

  golomb(value: number, order: number): void {
    const raised = value + 2 ** order
    const bits = bitLength(raised)
    this.#at += bits - order - 1
    this.put(raised, bits)
  }
}

/** Reads zeros behind the end; `left` is negative then. */
class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return 8 * this.#bytes.length - this.#at
  }

  take(bits: number): number {
    let value = 0
    for (let left = bits; left > 0; ) {
      const free = 8 - (this.#at & 7)
      const taken = Math.min(free, left)
      const byte = this.#bytes[this.#at >> 3] ?? 0
      value = value * 2 ** taken + ((byte >> (free - taken)) & (2 ** taken - 1))
      left -= taken
      this.#at += taken
    }
    return value
  }

  rice(order: number): number {
    const quotient = this.#zeros()
    this.take(1)
    return quotient * 2 ** order + this.take(order)
  }

  /** Inexact from 2^53 on, which is out of any range here; past the end, it may be negative. */
  golomb(order: number): number {
    const zeros = this.#zeros()
    return this.take(zeros + order + 1) - 2 ** order
  }

  /** Passes the zeros before the next one, or the end. */
  #zeros(): number {
    const from = this.#at
    while (this.left > 0) {
      const rest = ((this.#bytes[this.#at >> 3] ?? 0) << (this.#at & 7)) & 255
      if (rest !== 0) {
        this.#at += Math.clz32(rest) - 24
        break
      }
      this.#at += 8 - (this.#at & 7)
    }
    return this.#at - from
  }
}
