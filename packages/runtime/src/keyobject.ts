/** Signing keys over the key objects of `node:crypto`. */
import { createPublicKey, generateKeyPair, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import type { SigningKey } from '@weft-db/engine'
import { lowS } from './signature.ts'

const generatePair = promisify(generateKeyPair)

/** A new P-256 private key. */
export const generatePrivateKey = async (): Promise<KeyObject> =>
  (await generatePair('ec', { namedCurve: 'P-256' })).privateKey

const objects = new WeakMap<SigningKey, KeyObject>()

/** The key object behind a key that `objectKey` made; undefined for any other. */
export const objectOf = (key: SigningKey): KeyObject | undefined => objects.get(key)

/** The key that signs with `privateKey`, which is a P-256 private key. */
export const objectKey = (privateKey: KeyObject): SigningKey => {
  const key: SigningKey = {
    publicKey: new Uint8Array(createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).subarray(-65)),
    sign: async (message) => lowS(sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' })),
  }
  objects.set(key, privateKey)
  return key
}
