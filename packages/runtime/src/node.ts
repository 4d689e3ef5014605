/**
 * The runtime of Node. Keys are key objects of `node:crypto`, which signs and verifies in place: WebCrypto's way through the thread pool
 * costs more than the signature does.
 */
import { createPublicKey, hash, type KeyObject, randomFillSync, verify } from 'node:crypto'
import { inflateRawSync } from 'node:zlib'
import type { Runtime } from '@weft-db/engine'
import { generatePrivateKey, objectKey } from './keyobject.ts'
import { keyName, Recent, readyKeys } from './recent.ts'
import { isWellFormed } from './signature.ts'
import { timer } from './timer.ts'

export { fileKeys, loadOrCreateKeyFile } from './keyfile.ts'
export { memoryKeys } from './memory.ts'

/** All of SubjectPublicKeyInfo for P-256 before the point's 65 bytes (RFC 5480). */
const prefix = Buffer.from('3059301306072a8648ce3d020106082a8648ce3d030107034200', 'hex')

/** What `info` asks for: the types of Node leave it out. */
interface Inflated {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

const isInflated = (value: unknown): value is Inflated =>
  typeof value === 'object' && value !== null && 'buffer' in value && 'engine' in value

/** Random bytes that are drawn at once. */
const drawnBytes = 1_024

export const nodeRuntime = (): Runtime => {
  const ready = new Recent<KeyObject>(readyKeys)

  // A call of OpenSSL takes 6 µs, whatever it draws. What was handed out is drawn anew before any of it could be again.
  const drawn = new Uint8Array(drawnBytes)
  let used = drawnBytes
  const random = (length: number): Uint8Array<ArrayBuffer> => {
    if (length > drawnBytes) return randomFillSync(new Uint8Array(length))
    if (used + length > drawnBytes) {
      randomFillSync(drawn)
      used = 0
    }
    used += length
    return drawn.slice(used - length, used)
  }

  const keyOf = (publicKey: Uint8Array): KeyObject => {
    const name = keyName(publicKey)
    const known = ready.get(name)
    if (known !== undefined) return known
    const key = createPublicKey({ key: Buffer.concat([prefix, publicKey]), format: 'der', type: 'spki' })
    ready.set(name, key)
    return key
  }

  return {
    now: () => Date.now(),
    elapsed: () => performance.now(),
    timer,
    random,
    hash: (bytes) => {
      // Asked for a string: a buffer has memory of its own outside the heap, which costs more than the hash does.
      const text = hash('sha256', bytes, 'binary')
      const digest = new Uint8Array(text.length)
      for (let at = 0; at < digest.length; at++) digest[at] = text.charCodeAt(at)
      return digest
    },
    inflate: (deflated, size) => {
      try {
        // A byte more than there may be tells what is longer.
        const inflated: unknown = inflateRawSync(deflated, { maxOutputLength: size + 1, info: true })
        if (!isInflated(inflated)) return undefined
        const { buffer, engine } = inflated
        if (buffer.length !== size || engine.bytesWritten !== deflated.length) return undefined
        return new Uint8Array(buffer.buffer, buffer.byteOffset, size)
      } catch {
        return undefined
      }
    },
    generateKey: async () => objectKey(await generatePrivateKey()),
    verify: async (publicKey, message, signature) => {
      if (!isWellFormed(publicKey, signature)) return false
      try {
        return verify('sha256', message, { key: keyOf(publicKey), dsaEncoding: 'ieee-p1363' }, signature)
      } catch {
        // The point is not on the curve.
        return false
      }
    },
  }
}
