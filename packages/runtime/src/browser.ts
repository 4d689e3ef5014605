/**
 * The runtime of a browser. Signatures are the platform's WebCrypto; the hash is JavaScript, because WebCrypto has only an asynchronous
 * one and a WebAssembly one would need `wasm-unsafe-eval` in a page's Content-Security-Policy.
 *
 * Browsers offer `crypto.subtle` in secure contexts alone: https, or http on localhost. A page served by plain http from an address on the
 * local network has none. There `generateKey` rejects with `InsecurePage`, unless the app brings a WebCrypto of its own as `subtle`.
 */
import { sha256 } from '@noble/hashes/sha2.js'
import { type Runtime, WeftError } from '@weft-db/engine'
import { type Subtle, webCryptoKeys } from './ecdsa.ts'
import { timer } from './timer.ts'

export { indexedDbKeys } from './indexeddb.ts'
export { memoryKeys } from './memory.ts'

/** The most that `getRandomValues` fills at once, bytes. */
const randomBytes = 65_536

export const browserRuntime = (options: { subtle?: Subtle } = {}): Runtime => ({
  now: () => Date.now(),
  elapsed: () => performance.now(),
  timer,
  random: (length) => {
    const bytes = new Uint8Array(length)
    for (let start = 0; start < length; start += randomBytes) {
      crypto.getRandomValues(bytes.subarray(start, start + randomBytes))
    }
    return bytes
  },
  hash: (bytes) => sha256(bytes),
  ...keys(options.subtle ?? platform()),
})

/** The DOM's types promise `subtle` everywhere; an insecure context has none. */
const platform = (): Subtle | undefined => globalThis.crypto.subtle

const keys = (subtle: Subtle | undefined): Pick<Runtime, 'generateKey' | 'verify'> => {
  if (subtle !== undefined) return webCryptoKeys(subtle)
  const insecure = async (): Promise<never> => {
    throw new WeftError('InsecurePage', globalThis.location?.origin)
  }
  return { generateKey: insecure, verify: insecure }
}
