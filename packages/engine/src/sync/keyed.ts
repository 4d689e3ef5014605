import { prime } from './sums.ts'

/**
 * Salted keys: what stands for a chain, and for the id of its tip, in sums and vectors. They are drawn anew for every
 * session and every round of it, so that whoever makes chains cannot know which of them will fall together, and what
 * falls together in one round is apart in the next.
 *
 * The hash is HalfSipHash-2-4, the 32-bit form (2016) of Aumasson and Bernstein, "SipHash: a fast short-input PRF"
 * (2012). Its keys of 64 bits keep no secret for long: both ends of a session know them, and once the chains are made
 * nobody else is harmful who does.
 */
export interface Keys {
  /** Key of a chain among sums: 1 to p - 1. Its digest is given as two 32-bit words, little-endian. */
  sumKey(first: number, second: number): number
  /** Key of a chain in a vector: the leading bits of 52, `bits` of them, 1 to 52. */
  vectorKey(first: number, second: number, bits: number): number
  /** So many salted bits, 1 to 32, of an id, whose first 8 bytes are given as a digest is. */
  idBits(first: number, second: number, bits: number): number
}

/**
 * The keys of a round, 0 to 2^32 - 1. Those for sums, vectors and ids are hashed with subkeys of their own:
 * HalfSipHash-2-4-64 under the first half of the salt, over the second half, the round, and 0, 1 or 2.
 *
 * Digests come as numbers, not as text: reading 16 digits takes as long as the hash, and `hexWord` need read them but once
 * for all rounds.
 */
export const keysOf = (salt: Uint8Array, round: number): Keys => {
  if (salt.length !== 16) throw new RangeError(`a salt of ${salt.length} bytes`)
  const view = new DataView(salt.buffer, salt.byteOffset, salt.byteLength)
  const word = (index: number) => view.getUint32(4 * index, true)
  const subkey = (use: number): Subkey => {
    const key = new Uint32Array(2)
    halfSipHash({ first: word(0), second: word(1) }, Uint32Array.of(word(2), word(3), round, use), key)
    // It has two words.
    return { first: key[0]!, second: key[1]! }
  }
  const forSums = subkey(0)
  const forVectors = subkey(1)
  const forIds = subkey(2)

  const message = new Uint32Array(2)
  const tag = new Uint32Array(1)
  const wideTag = new Uint32Array(2)
  const hash = (key: Subkey, first: number, second: number, into: Uint32Array): number => {
    message[0] = first
    message[1] = second
    halfSipHash(key, message, into)
    // No tag is empty.
    return into[0]!
  }
  return {
    sumKey: (first, second) => (hash(forSums, first, second, tag) % (prime - 1)) + 1,
    vectorKey: (first, second, bits) => {
      const high = hash(forVectors, first, second, wideTag)
      if (bits <= 32) return high >>> (32 - bits)
      // A wide tag has two words.
      return high * 2 ** (bits - 32) + (wideTag[1]! >>> (64 - bits))
    },
    idBits: (first, second, bits) => hash(forIds, first, second, tag) >>> (32 - bits),
  }
}

/** The 32-bit word, little-endian, whose 4 bytes stand at a digit of lower case hex. Nothing is checked. */
export const hexWord = (hex: string, at: number): number => {
  let word = 0
  for (let i = 0; i < 8; i += 2) {
    word |= ((nibble(hex.charCodeAt(at + i)) << 4) | nibble(hex.charCodeAt(at + i + 1))) << (4 * i)
  }
  return word >>> 0
}

const nibble = (code: number): number => (code < 58 ? code - 48 : code - 87)

interface Subkey {
  readonly first: number
  readonly second: number
}

/**
 * HalfSipHash-2-4 over whole 32-bit words, little-endian as the key and the tag are; at most 63 of them. The tag has one
 * word or two: these are different functions.
 */
export const halfSipHash = (key: Subkey, message: Uint32Array, tag: Uint32Array): void => {
  const wide = tag.length > 1
  let v0 = key.first | 0
  let v1 = key.second | 0
  let v2 = key.first ^ 0x6c796765
  let v3 = key.second ^ 0x74656462
  if (wide) v1 ^= 0xee
  // Two rounds a word, the last of which holds the length, and four for each word of the tag.
  const mixed = 2 * (message.length + 1)
  const rounds = mixed + 4 * tag.length
  for (let round = 0; round < rounds; round++) {
    let word = 0
    if (round < mixed) {
      const index = round >> 1
      // The index is below the length, as the condition says.
      word = index < message.length ? message[index]! | 0 : message.length << 26
      if ((round & 1) === 0) v3 ^= word
    } else if (round === mixed) v2 ^= wide ? 0xee : 0xff
    else if (round === mixed + 4) v1 ^= 0xdd

    v0 = (v0 + v1) | 0
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
    v0 = (v0 << 16) | (v0 >>> 16)
    v2 = (v2 + v3) | 0
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
    v0 = (v0 + v3) | 0
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
    v2 = (v2 + v1) | 0
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
    v2 = (v2 << 16) | (v2 >>> 16)

    if (round < mixed && (round & 1) === 1) v0 ^= word
    if (round === mixed + 3) tag[0] = v1 ^ v3
  }
  if (wide) tag[1] = v1 ^ v3
}
