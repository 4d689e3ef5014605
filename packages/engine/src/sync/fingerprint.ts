import { compareBytes, concatBytes, fromHex } from '../bytes/bytes.ts'
import type { Hash } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'

/**
 * The fingerprint of a set of commits: SHA-256 over its tips in order. Chains have no gaps and the set is closed under
 * causality, so the tips are the set. It is a hash and not a sum of hashes: whoever makes a few hundred chains can forge
 * a sum.
 *
 * On the wire it is SHA-256 over the conversation's salt and that hash, cut to 8 bytes: nobody knows the salt before the
 * two sides meet, so there is nothing to search for a collision in, and two sets that differ look alike once in 2^64.
 */
export const fingerprintBytes = 8
export const sessionSaltBytes = 16

const chainBytes = 40
const tipBytes = chainBytes + 4 + 32

/** `hash` is SHA-256. Each tip is chain (session, incarnation), seq (32 bits, big-endian), id; sorted as bytes. */
export const fingerprint = (heads: Iterable<Head>, hash: Hash): Uint8Array => {
  const tips = Array.from(heads, (head) => {
    const tip = new Uint8Array(tipBytes)
    tip.set(fromHex(head.chain))
    new DataView(tip.buffer).setUint32(chainBytes, head.seq)
    tip.set(fromHex(head.id), chainBytes + 4)
    return tip
  }).sort(compareBytes)
  const whole = new Uint8Array(tips.length * tipBytes)
  for (const [i, tip] of tips.entries()) whole.set(tip, i * tipBytes)
  return hash(whole)
}

/** What one conversation shows of a fingerprint. `salt`: `sessionSaltBytes`. */
export const salted = (salt: Uint8Array, whole: Uint8Array, hash: Hash): Uint8Array =>
  hash(concatBytes(salt, whole)).slice(0, fingerprintBytes)
