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

/**
 * Unsigned, 32 bits. `seed` is the checksum of what came before: `crc32c(b, crc32c(a))` is the checksum of a and b in a
 * row.
 */
export const crc32c = (bytes: Uint8Array, seed = 0): number => {
  const t = table
  let crc = ~seed
  let at = 0
  for (const end = bytes.length - 7; at < end; at += 8) {
    // Every index is in range: at + 7 < length, and a byte plus a multiple of 256 below 2048.
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    crc =
      t[1792 + (crc & 255)]! ^
      t[1536 + ((crc >>> 8) & 255)]! ^
      t[1280 + ((crc >>> 16) & 255)]! ^
      t[1024 + (crc >>> 24)]! ^
      t[768 + bytes[at + 4]!]! ^
      t[512 + bytes[at + 5]!]! ^
      t[256 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!
  }
  // In range as above.
  for (; at < bytes.length; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 255]!
  return ~crc >>> 0
}
