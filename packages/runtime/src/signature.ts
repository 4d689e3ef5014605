/**
 * The form of a P-256 signature: 64 bytes, r followed by s, each big-endian, with r in [1, n) and s in [1, n / 2]. ECDSA accepts n - s
 * wherever it accepts s; admitting only the lower of the two leaves one signature where there would be two (BIP 146, "low S").
 */

const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))

/** The order n of the group, and n / 2 rounded down. SEC 2, 2.4.2. */
const order = bytesOf('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
const half = bytesOf('7fffffff800000007fffffffffffffffde737d56d38bcf4279dce5617e3192a8')

/** Whether the 32 bytes of `bytes` at `offset` are greater than `limit`, both big-endian. */
const exceeds = (bytes: Uint8Array, offset: number, limit: Uint8Array): boolean => {
  for (let index = 0; index < 32; index++) {
    const difference = (bytes[offset + index] ?? 0) - (limit[index] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return false
}

const isZero = (bytes: Uint8Array, offset: number): boolean => {
  for (let index = 0; index < 32; index++) if (bytes[offset + index] !== 0) return false
  return true
}

/** The low-S form of a signature of 64 bytes, as a new array. */
export const lowS = (signature: Uint8Array): Uint8Array => {
  const low = new Uint8Array(signature)
  if (!exceeds(low, 32, half)) return low
  let borrow = 0
  for (let index = 31; index >= 0; index--) {
    const difference = (order[index] ?? 0) - (low[32 + index] ?? 0) - borrow
    borrow = difference < 0 ? 1 : 0
    low[32 + index] = difference
  }
  return low
}

/**
 * What can be refused without curve arithmetic: lengths, a point not in the uncompressed form, r or s of zero, s above n / 2. That leaves r
 * of n or more, which every verifier refuses by the standard (FIPS 186-5, 6.4.2).
 */
export const isWellFormed = (publicKey: Uint8Array, signature: Uint8Array): boolean =>
  publicKey.length === 65 &&
  publicKey[0] === 4 &&
  signature.length === 64 &&
  !isZero(signature, 0) &&
  !isZero(signature, 32) &&
  !exceeds(signature, 32, half)
