/**
 * Which signatures a `Runtime` accepts: exactly these, on every platform, or two replicas would hold different histories. The vectors are
 * Wycheproof's and what is made of them here. What Wycheproof calls valid is accepted with a low s alone (see `signature.ts` of the
 * runtime), what it calls acceptable is refused. It imports nothing of a platform.
 */
import type { Runtime } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import points from '../vectors/wycheproof/ecdh_secp256r1_ecpoint_test.json' with { type: 'json' }
import raw from '../vectors/wycheproof/ecdsa_secp256r1_sha256_p1363_test.json' with { type: 'json' }
import der from '../vectors/wycheproof/ecdsa_secp256r1_sha256_test.json' with { type: 'json' }
import { forge, order, prime } from './equation.ts'

export type Verifier = Pick<Runtime, 'verify'>

interface Vector {
  readonly name: string
  readonly publicKey: Uint8Array
  readonly message: Uint8Array
  readonly signature: Uint8Array
  readonly accepted: boolean
}

const half = order / 2n

const fromHex = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
/** Big-endian. */
export const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`)
const toBytes = (number: bigint): Uint8Array => fromHex(number.toString(16).padStart(64, '0'))
const concat = (...parts: (Uint8Array | number)[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => (typeof part === 'number' ? [part] : [...part])))

/** The two halves of 64 bytes, or of the 64 after the first. */
export const halves = (bytes: Uint8Array): readonly [bigint, bigint] => [
  toNumber(bytes.subarray(-64, -32)),
  toNumber(bytes.subarray(-32)),
]
const fits = (number: bigint): boolean => number < 1n << 256n

/** A signature with a low s that is valid. */
interface Good {
  readonly name: string
  readonly publicKey: Uint8Array
  readonly message: Uint8Array
  readonly r: bigint
  readonly s: bigint
}

const originals: Vector[] = []
const good: Good[] = []
for (const { publicKey, tests } of raw.testGroups) {
  for (const { tcId, comment, msg, sig, result } of tests) {
    const signature = fromHex(sig)
    const vector = {
      name: `raw ${tcId} (${comment})`,
      publicKey: fromHex(publicKey),
      message: fromHex(msg),
    }
    if (result !== 'valid') {
      originals.push({ ...vector, signature, accepted: false })
      continue
    }
    const [r, s] = halves(signature)
    originals.push({ ...vector, signature, accepted: s <= half })
    const twin = concat(toBytes(r), toBytes(order - s))
    originals.push({ ...vector, name: `${vector.name}: n - s`, signature: twin, accepted: s > half })
    good.push({ ...vector, r, s: s > half ? order - s : s })
  }
}

/** The same tests in another encoding; nothing of it is accepted. */
const encoded = der.testGroups.flatMap(({ publicKey, tests }) =>
  tests.map(
    ({ tcId, comment, msg, sig }): Vector => ({
      name: `DER ${tcId} (${comment})`,
      publicKey: fromHex(publicKey),
      message: fromHex(msg),
      signature: fromHex(sig),
      accepted: false,
    }),
  ),
)

const spoiltSignatures = (r: bigint, s: bigint): Record<string, Uint8Array> => {
  const pairs: Record<string, readonly [bigint, bigint]> = {
    'r of 0': [0n, s],
    'r of n': [order, s],
    'r of n - 1': [order - 1n, s],
    'r + n': [r + order, s],
    's of 0': [r, 0n],
    's of n': [r, order],
    's of n - 1': [r, order - 1n],
    's of n / 2': [r, half],
    's of n / 2 + 1': [r, half + 1n],
    's + n': [r, s + order],
    '0 and 0': [0n, 0n],
    'n and n': [order, order],
    exchanged: [s, r],
  }
  const bytes = concat(toBytes(r), toBytes(s))
  return {
    ...Object.fromEntries(
      Object.entries(pairs)
        // Of some vectors s is n / 2, and of others r and s are the same.
        .filter(([, pair]) => pair.every(fits) && !(pair[0] === r && pair[1] === s))
        .map(([what, pair]) => [what, concat(...pair.map(toBytes))]),
    ),
    empty: new Uint8Array(0),
    'a byte less': bytes.subarray(0, 63),
    'a byte more': concat(bytes, 0),
    'a byte before': concat(0, bytes),
    'halves of 33 bytes': concat(0, toBytes(r), 0, toBytes(s)),
  }
}

/** What comes before a point in SubjectPublicKeyInfo (RFC 5480). */
const prefix = fromHex('3059301306072a8648ce3d020106082a8648ce3d030107034200')

const spoiltKeys = (publicKey: Uint8Array): Record<string, Uint8Array> => {
  const [x, y] = halves(publicKey)
  const odd = Number(y & 1n)
  const both = publicKey.subarray(1)
  const pairs: Record<string, readonly [bigint, bigint]> = {
    mirrored: [x, prime - y],
    'off the curve': [x, y ^ 1n],
    exchanged: [y, x],
    'x + p': [x + prime, y],
    'y + p': [x, y + prime],
    'x of p': [prime, y],
    'y of p': [x, prime],
    origin: [0n, 0n],
  }
  return {
    ...Object.fromEntries(
      Object.entries(pairs)
        .filter(([, pair]) => pair.every(fits))
        .map(([what, pair]) => [what, concat(4, ...pair.map(toBytes))]),
    ),
    ...Object.fromEntries([0, 1, 2, 3, 5, 255].map((first) => [`prefix ${first}`, concat(first, both)])),
    compressed: concat(2 + odd, both.subarray(0, 32)),
    hybrid: concat(6 + odd, both),
    'hybrid, wrong sign': concat(7 - odd, both),
    'without prefix': both,
    'a byte less': publicKey.subarray(0, 64),
    'a byte more': concat(publicKey, 0),
    'a byte before': concat(0, publicKey),
    SubjectPublicKeyInfo: concat(prefix, publicKey),
    empty: new Uint8Array(0),
    infinity: new Uint8Array(1),
    'infinity in 65 bytes': new Uint8Array(65),
  }
}

const spoilt = good.flatMap(({ name, publicKey, message, r, s }): Vector[] =>
  Object.entries(spoiltSignatures(r, s)).map(([what, signature]) => {
    return { name: `${name}: ${what}`, publicKey, message, signature, accepted: false }
  }),
)
const firstOfKey = [...new Map(good.map((one) => [toHex(one.publicKey), one])).values()]
const mistaken = firstOfKey.flatMap(({ name, publicKey, message, r, s }): Vector[] =>
  Object.entries(spoiltKeys(publicKey)).map(([what, other]) => ({
    name: `${name}: key ${what}`,
    publicKey: other,
    message,
    signature: concat(toBytes(r), toBytes(s)),
    accepted: false,
  })),
)

/** Points that have no place on the curve, under a signature that nobody's key made and that the equation holds for at some of them. */
const message = fromHex('313233343030')
export const digest = 0xbb5a52f42f9c9261ed4361f59422a1e30036e7c32b270c8807a419feca605023n
const forgery = forge(digest)
const forged = [
  ...points.tests.map(({ tcId, comment, public: point }) => ({ what: `${tcId} (${comment})`, point })),
  { what: 'infinity', point: '00' },
  { what: 'infinity in 65 bytes', point: '00'.repeat(65) },
].map(
  ({ what, point }): Vector => ({
    name: `point ${what}`,
    publicKey: fromHex(point),
    message,
    signature: concat(toBytes(forgery.r), toBytes(forgery.s)),
    accepted: false,
  }),
)

export const families = { originals, encoded, spoilt, mistaken, forged }
const vectors: readonly Vector[] = Object.values(families).flat()

/** What a verifier answers otherwise than it should, a line a vector. A throw is never an answer. */
export const disagreements = async ({ verify }: Verifier): Promise<string[]> => {
  const found: string[] = []
  for (const { name, publicKey, message, signature, accepted } of vectors) {
    try {
      if ((await verify(publicKey, message, signature)) !== accepted) {
        found.push(`${name}: ${accepted ? 'refused' : 'accepted'}`)
      }
    } catch (problem) {
      found.push(`${name}: ${problem}`)
    }
  }
  return found
}

/** A trial is one vector at one verifier, a violation another answer than the one expected. */
export const wycheproofDisagreements = async (
  runtimes: readonly Verifier[],
): Promise<{ trials: number; violations: number }> => {
  let violations = 0
  for (const runtime of runtimes) violations += (await disagreements(runtime)).length
  return { trials: vectors.length * runtimes.length, violations }
}

export const signaturesContract = (name: string, make: () => Runtime | Promise<Runtime>): void => {
  describe(`signatures: ${name}`, () => {
    test('every vector has the verdict that is expected, and none a throw', async () => {
      expect(await disagreements(await make())).toEqual([])
    })

    test('a thousand signatures are in range, low-S and verify', async () => {
      const runtime = await make()
      for (let keys = 0; keys < 10; keys++) {
        const key = await runtime.generateKey()
        for (let count = 0; count < 100; count++) {
          const signed = Uint8Array.of(keys, count)
          const signature = await key.sign(signed)
          const [r, s] = halves(signature)
          expect(signature).toHaveLength(64)
          expect(r > 0n && r < order && s > 0n && s <= half, toHex(signature)).toBe(true)
          expect(await runtime.verify(key.publicKey, signed, signature)).toBe(true)
        }
      }
    })
  })
}
