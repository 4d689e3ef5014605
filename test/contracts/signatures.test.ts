/** The verifiers of Node, and those of no platform: one that shares no code with them, and such as have one fault each. */
import { createPublicKey, ECDH, verify as platformVerify } from 'node:crypto'
import type { Runtime } from '@weft-db/engine'
import { browserRuntime } from '@weft-db/runtime/browser'
import { nodeRuntime } from '@weft-db/runtime/node'
import { peculiar, webCryptoKeys } from '@weft-db/runtime/webcrypto'
import { describe, expect, test } from 'vitest'
import { Stream } from '../sim/random.ts'
import { Signatures } from '../sim/signatures.ts'
import { holds, isOnCurve, order, prime } from './equation.ts'
import {
  digest,
  disagreements,
  families,
  halves,
  signaturesContract,
  toNumber,
  type Verifier,
  wycheproofDisagreements,
} from './signatures.ts'

const node = nodeRuntime()
const platform = (): Runtime => ({ ...node, ...webCryptoKeys(globalThis.crypto.subtle) })
const polyfill = async (): Promise<Runtime> => ({ ...node, ...webCryptoKeys(await peculiar()) })
const simulated = (): Runtime => {
  const signatures = new Signatures('real', new Stream('signatures', 'contract'))
  const keys = new Stream('signatures', 'keys')
  return {
    ...node,
    generateKey: async () => signatures.generate(keys),
    verify: async (publicKey, message, signature) => signatures.verify(publicKey, message, signature),
  }
}

signaturesContract('node', () => node)
signaturesContract('webcrypto', platform)
signaturesContract('peculiar', polyfill)
signaturesContract('browser', browserRuntime)
signaturesContract('simulator', simulated)

interface Asked {
  readonly publicKey: Uint8Array
  readonly signature: Uint8Array
  /** Both cut to their lengths; what is too short ends in zeros. */
  readonly key: Uint8Array
  readonly pair: Uint8Array
}

/** The checks around the equation, each with a vector that shows a verifier which forgot it. */
const checks: Record<string, readonly [passes: (asked: Asked) => boolean, shown: string]> = {
  'the length of a key': [({ publicKey }) => publicKey.length === 65, 'raw 114 (special case hash): key a byte more'],
  'the prefix of a key': [({ key }) => key[0] === 4, 'raw 114 (special case hash): key hybrid'],
  'coordinates below p': [
    ({ key }) => halves(key).every((coordinate) => coordinate < prime),
    'raw 249 (y-coordinate of the public key is small): key y + p',
  ],
  'points on the curve': [({ key }) => isOnCurve(halves(key)), 'point 332 (point is not on curve)'],
  'the length of a signature': [
    ({ signature }) => signature.length === 64,
    'raw 1 (signature malleability): a byte more',
  ],
  'r and s from 1 to n - 1': [
    ({ pair }) => halves(pair).every((number) => number > 0n && number < order),
    'raw 11 (Signature with special case values r=0 and s=0)',
  ],
  'low s': [({ pair }) => halves(pair)[1] <= order / 2n, 'raw 1 (signature malleability): n - s'],
}

const known = new Map<string, boolean>()
/** The equation, computed once for all verifiers. */
const holdsFor = (key: Uint8Array, message: Uint8Array, pair: Uint8Array): boolean => {
  const name = [key.subarray(1), message, pair].map((bytes) => Buffer.from(bytes).toString('hex')).join()
  const held = known.get(name) ?? holds(halves(key), toNumber(node.hash(message)), ...halves(pair))
  known.set(name, held)
  return held
}

/** FIPS 186-5 in plain numbers, with our rules, without the check that was `forgotten`. */
const plain = (forgotten?: string): Verifier => ({
  verify: async (publicKey, message, signature) => {
    const [key, pair] = [new Uint8Array(65), new Uint8Array(64)]
    key.set(publicKey.subarray(0, 65))
    pair.set(signature.subarray(0, 64))
    for (const [name, [passes]] of Object.entries(checks)) {
      if (name !== forgotten && !passes({ publicKey, signature, key, pair })) return false
    }
    return holdsFor(key, message, pair)
  },
})

/** Verifiers that are wrong in other ways, each with an answer that shows it. */
const wrong: Record<string, Verifier & { readonly shown: string }> = {
  'a compressed key': {
    shown: 'raw 114 (special case hash): key compressed: accepted',
    verify: async (publicKey, message, signature) => {
      if (publicKey.length !== 33) return node.verify(publicKey, message, signature)
      try {
        const full = ECDH.convertKey(publicKey, 'prime256v1', undefined, undefined, 'uncompressed')
        return await node.verify(new Uint8Array(Buffer.from(full)), message, signature)
      } catch {
        return false
      }
    },
  },
  'the prefix 3 for 4': {
    shown: 'raw 114 (special case hash): key prefix 3: accepted',
    verify: (publicKey, message, signature) =>
      node.verify(publicKey[0] === 3 ? publicKey.with(0, 4) : publicKey, message, signature),
  },
  'a signature in DER': {
    shown: 'DER 5 (signature malleability): accepted',
    verify: async (publicKey, message, signature) => {
      if (publicKey.length !== 65 || signature.length === 64) return node.verify(publicKey, message, signature)
      try {
        const coordinate = (start: number): string =>
          Buffer.from(publicKey.subarray(start, start + 32)).toString('base64url')
        const key = createPublicKey({
          key: { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) },
          format: 'jwk',
        })
        return platformVerify('sha256', message, key, signature)
      } catch {
        return false
      }
    },
  },
  'a throw for false': {
    shown: 'point infinity: Error: no signature',
    verify: async (publicKey, message, signature) => {
      if (await node.verify(publicKey, message, signature)) return true
      throw new Error('no signature')
    },
  },
  nothing: {
    shown: 'raw 1 (signature malleability): refused',
    verify: async () => false,
  },
  everything: {
    shown: 'point infinity: accepted',
    verify: async () => true,
  },
}

describe('the vectors', () => {
  test('are all there', () => {
    const counts = Object.entries(families).map(([name, vectors]) => {
      const { length } = vectors.filter(({ accepted }) => accepted)
      return [name, vectors.length, length]
    })
    expect(counts).toEqual([
      ['originals', 262 + 173, 173],
      ['encoded', 484, 0],
      ['spoilt', 2_800, 0],
      ['mistaken', 2_255, 0],
      ['forged', 25 + 2, 0],
    ])
    const names = Object.values(families).flatMap((vectors) => vectors.map(({ name }) => name))
    expect(new Set(names).size).toBe(names.length)
  })

  test('are forged for the hash of their message', () => {
    for (const { message } of families.forged) expect(toNumber(node.hash(message))).toBe(digest)
  })

  test('expect what a verifier that shares no code with the others answers', async () => {
    expect(await disagreements(plain())).toEqual([])
  })

  test.each(Object.entries(checks))('show a verifier that forgot: %s', async (forgotten, [, shown]) => {
    expect(await disagreements(plain(forgotten))).toContain(`${shown}: accepted`)
  })

  test.each(Object.entries(wrong))('show a verifier that takes %s', async (_, verifier) => {
    expect(await disagreements(verifier)).toContain(verifier.shown)
  })

  test('are counted for each verifier', async () => {
    const nothing: Verifier = { verify: async () => false }
    expect(await wycheproofDisagreements([node, nothing])).toEqual({ trials: 2 * 6_001, violations: 173 })
  })
})
