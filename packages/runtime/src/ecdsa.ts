/**
 * Keys and signatures over any WebCrypto: the browser's, Node's, or a polyfill's. The private key is made non-extractable, so that a page
 * which was taken over for a minute cannot carry it away. Nothing here imports a WebCrypto, so that a browser bundle holds no polyfill.
 */
import type { Runtime, SigningKey } from '@weft-db/engine'
import { keyName, Recent, readyKeys } from './recent.ts'
import { isWellFormed, lowS } from './signature.ts'

/** The part of `SubtleCrypto` that is used. */
export type Subtle = Pick<SubtleCrypto, 'generateKey' | 'importKey' | 'exportKey' | 'sign' | 'verify'>

/** What a key store keeps of a key: the pair that signs, and the public key's 65 bytes. */
export interface StoredPair {
  readonly pair: CryptoKeyPair
  readonly publicKey: Uint8Array
}

const curve = { name: 'ECDSA', namedCurve: 'P-256' }
const scheme = { name: 'ECDSA', hash: 'SHA-256' }

const pairs = new WeakMap<SigningKey, StoredPair>()

/** The pair behind a key that `webCryptoKeys` or `pairKey` made; undefined for any other. */
export const pairOf = (key: SigningKey): StoredPair | undefined => pairs.get(key)

/** The key that signs with a stored pair. */
export const pairKey = (subtle: Subtle, stored: StoredPair): SigningKey => {
  const key: SigningKey = {
    publicKey: stored.publicKey,
    sign: async (message) => lowS(new Uint8Array(await subtle.sign(scheme, stored.pair.privateKey, unshared(message)))),
  }
  pairs.set(key, stored)
  return key
}

/** The key half of a runtime over `subtle`. */
export const webCryptoKeys = (subtle: Subtle): Pick<Runtime, 'generateKey' | 'verify'> => {
  const ready = new Recent<CryptoKey>(readyKeys)

  const importKey = async (publicKey: Uint8Array): Promise<CryptoKey> => {
    const name = keyName(publicKey)
    const known = ready.get(name)
    if (known !== undefined) return known
    const key = await subtle.importKey('raw', unshared(publicKey), curve, false, ['verify'])
    ready.set(name, key)
    return key
  }

  return {
    generateKey: async () => {
      const pair = await subtle.generateKey(curve, false, ['sign', 'verify'])
      return pairKey(subtle, { pair, publicKey: new Uint8Array(await subtle.exportKey('raw', pair.publicKey)) })
    },
    verify: async (publicKey, message, signature) => {
      if (!isWellFormed(publicKey, signature)) return false
      try {
        return await subtle.verify(scheme, await importKey(publicKey), unshared(signature), unshared(message))
      } catch {
        // The point is not on the curve.
        return false
      }
    },
  }
}

const isUnshared = (bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> => bytes.buffer instanceof ArrayBuffer

/** WebCrypto refuses views of shared memory. */
const unshared = (bytes: Uint8Array): Uint8Array<ArrayBuffer> => (isUnshared(bytes) ? bytes : new Uint8Array(bytes))
