/**
 * The least that a signed message costs whoever keeps it: one signature or one verification, one append, one fdatasync. The message
 * carries the key that signed it, as it would be known to a server.
 *
 *     message = public key (65 bytes), signature (64 bytes), body
 */
import { type FileHandle, open } from 'node:fs/promises'
import type { Runtime, SigningKey } from '@weft-db/engine'

const keyBytes = 65
const signatureBytes = 64
export const envelopeBytes = keyBytes + signatureBytes

export class Ledger {
  readonly #file: FileHandle
  #size = 0

  private constructor(file: FileHandle) {
    this.#file = file
  }

  static async open(path: string): Promise<Ledger> {
    return new Ledger(await open(path, 'w'))
  }

  async #append(message: Uint8Array): Promise<void> {
    const at = this.#size
    this.#size += message.length
    await this.#file.write(message, 0, message.length, at)
    await this.#file.datasync()
  }

  /** Signs and stores a message, and gives what is to be sent. */
  async write(key: SigningKey, body: Uint8Array): Promise<Uint8Array> {
    const message = new Uint8Array(envelopeBytes + body.length)
    message.set(key.publicKey)
    message.set(await key.sign(body), keyBytes)
    message.set(body, envelopeBytes)
    await this.#append(message)
    return message
  }

  /** Verifies and stores a message, and gives its body. */
  async receive(runtime: Runtime, message: Uint8Array): Promise<Uint8Array> {
    const body = message.subarray(envelopeBytes)
    const valid = await runtime.verify(message.subarray(0, keyBytes), body, message.subarray(keyBytes, envelopeBytes))
    if (!valid) throw new Error('a message of the baseline whose signature is not valid')
    await this.#append(message)
    return body
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}
