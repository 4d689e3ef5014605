/**
 * Who can sign in a simulation. `real` is ECDSA P-256 by node:crypto, about 0.1 ms to sign and 0.1 ms to verify. `fast` is a stand-in,
 * nothing more: the signature is a keyed hash under a secret of this object, so only a `SigningKey` can make one and only this object can
 * judge it. A forger inside the simulation has neither, because it holds ports like everybody else. What fast mode cannot show
 * (malleability, malformed points and scalars, costs) real mode shows in a sampled share of the seeds.
 * Keys are the same in both modes, and so are the draws they take.
 */

import { createHmac, hash, type KeyObject } from 'node:crypto'
import type { SigningKey } from '@weft-db/engine'
import * as ecdsa from './ecdsa.ts'
import type { Stream } from './random.ts'

export type SignatureMode = 'real' | 'fast'

const keysKept = 1024

export class Signatures {
  readonly mode: SignatureMode
  readonly #secret: Uint8Array
  readonly #imported = new Map<string, KeyObject | undefined>()

  /** `stream` gives the secret of fast mode; one object serves all nodes of a world. */
  constructor(mode: SignatureMode, stream: Stream) {
    this.mode = mode
    this.#secret = stream.bytes(32)
  }

  /** The next key pair of this stream. */
  generate(stream: Stream): SigningKey {
    let secret = stream.bytes(32)
    while (!ecdsa.isScalar(secret)) secret = stream.bytes(32)
    const publicKey = ecdsa.publicKeyOf(secret)
    return {
      publicKey,
      sign: async (message) => (this.mode === 'real' ? ecdsa.sign(secret, message) : this.#stamp(publicKey, message)),
    }
  }

  verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
    if (this.mode === 'fast') {
      return signature.length === 64 && Buffer.compare(signature, this.#stamp(publicKey, message)) === 0
    }
    const key = this.#import(publicKey)
    return key !== undefined && ecdsa.verify(key, message, signature)
  }

  /** 64 bytes that no more deflate than a signature does, the second half low like one. */
  #stamp(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
    const first = createHmac('sha256', this.#secret).update(publicKey).update(message).digest()
    const stamp = Uint8Array.from(Buffer.concat([first, hash('sha256', first, 'buffer')]))
    stamp[32] = (stamp[32] ?? 0) & 0x7e
    return stamp
  }

  #import(publicKey: Uint8Array): KeyObject | undefined {
    const name = Buffer.from(publicKey).toString('latin1')
    if (this.#imported.has(name)) return this.#imported.get(name)
    if (this.#imported.size >= keysKept) this.#imported.clear()
    const key = ecdsa.importPublicKey(publicKey)
    this.#imported.set(name, key)
    return key
  }
}
