/** Keys over a WebCrypto of the caller's choice, and a WebCrypto for a Node that is to run without its own. */
import type { Subtle } from './ecdsa.ts'

export { type Subtle, webCryptoKeys } from './ecdsa.ts'

/**
 * The WebCrypto of `@peculiar/webcrypto`, loaded when first asked for. It is built on `node:crypto` and so serves Node and nothing else;
 * `./browser` never imports it.
 */
export const peculiar = async (): Promise<Subtle> => {
  const { Crypto } = await import('@peculiar/webcrypto')
  return new Crypto().subtle
}
