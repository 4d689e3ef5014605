/**
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4), for frames on disk: it finds damage, it proves nothing about an author.
 * Eight tables take eight bytes a step (Kounavis and Berry, "slicing-by-8").
 */

const polynomial = 0x82f63b78

/** table[256 * n + b]: what byte b does to the remainder when n zero bytes follow it. */
const table = new Uint32Array(8 * 256)
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? polynomial : 0)
  table[byte] = remainder
}
for (let at = 256; at < table.length; at++) {
  const before = table[at - 256] ?? 0
  table[at] = (before >>> 8) ^ (table[before & 255] ?? 0)
}

/** Bytes from which on a view of words is worth making. */
const leastInWords = 64

/** The words of an array are in the machine's order, and the tables in this one. */
const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/**
 * Unsigned, 32 bits. `seed` is the checksum of what came before: `crc32c(b, crc32c(a))` is the checksum of a and b in a
 * row.
 */
export const crc32c = (bytes: Uint8Array, seed = 0): number => {
  const t = table
  const { length } = bytes
  let crc = ~seed
  let at = 0
  if (isLittleEndian && length >= leastInWords) {
    // In range: fewer than `leastInWords`, and a byte.
    for (const aligned = -bytes.byteOffset & 3; at < aligned; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 255]!
    const words = new Int32Array(bytes.buffer, bytes.byteOffset + at, ((length - at) >>> 3) << 1)
    for (let word = 0; word < words.length; word += 2) {
      // In range: there are two words for each step, and an index is a byte plus a multiple of 256 below 2048.
      const one = crc ^ words[word]!
      const other = words[word + 1]!
      crc =
        t[1792 + (one & 255)]! ^
        t[1536 + ((one >>> 8) & 255)]! ^
        t[1280 + ((one >>> 16) & 255)]! ^
        t[1024 + (one >>> 24)]! ^
        t[768 + (other & 255)]! ^
        t[512 + ((other >>> 8) & 255)]! ^
        t[256 + ((other >>> 16) & 255)]! ^
        t[other >>> 24]!
    }
    at += words.byteLength
  }
  // In range as above.
  for (; at < length; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 255]!
  return ~crc >>> 0
}
