/**
 * The `Runtime` port of one process of a simulated device, and the `KeyStore` of the device. Signing and verifying end in a
 * microtask, or after a drawn virtual delay, because on a real platform they run on a thread pool and finish in any order.
 */

import { hash } from 'node:crypto'
import type { KeyStore, Runtime, SigningKey } from '@weft-db/engine'
import type { Clock } from './clock.ts'
import type { Life } from './life.ts'
import type { Stream } from './random.ts'
import type { Signatures } from './signatures.ts'

/** What a device draws from. It goes on over restarts: a second process must not repeat the randomness of the first. */
export class Draws {
  readonly random: Stream
  readonly keys: Stream
  readonly timers: Stream
  readonly crypto: Stream

  constructor(device: Stream) {
    this.random = device.branch('random')
    this.keys = device.branch('keys')
    this.timers = device.branch('timers')
    this.crypto = device.branch('crypto')
  }
}

export interface RuntimeOptions {
  readonly life: Life
  readonly clock: Clock
  readonly draws: Draws
  readonly signatures: Signatures
  /** By how much timers are late on average, ms. */
  readonly lateness: number
  /** Mean delay of a signature or a verification, ms; 0 ends in a microtask. */
  readonly cryptoDelay: number
}

/** Keeps a timer from firing a rounding error early, ms. */
const margin = 0.001

export class SimulatedRuntime implements Runtime {
  readonly #options: RuntimeOptions
  readonly #bare = new WeakMap<SigningKey, SigningKey>()

  constructor(options: RuntimeOptions) {
    this.#options = options
  }

  now(): number {
    return this.#options.clock.now()
  }

  elapsed(): number {
    return this.#options.clock.elapsed()
  }

  timer(ms: number, run: () => void): () => void {
    const { life, clock, draws, lateness } = this.#options
    const delay = clock.toWorld(Math.max(0, ms)) + draws.timers.exponential(lateness) + margin
    return life.at(delay, `${life.name} timer ${ms}`, run)
  }

  random(length: number): Uint8Array {
    return this.#options.draws.random.bytes(length)
  }

  hash(bytes: Uint8Array): Uint8Array {
    return new Uint8Array(hash('sha256', bytes, 'buffer'))
  }

  async generateKey(): Promise<SigningKey> {
    const key = this.#options.signatures.generate(this.#options.draws.keys)
    await this.#wait('generates a key')
    return this.#own(key)
  }

  async verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
    const valid = this.#options.signatures.verify(publicKey, message, signature)
    await this.#wait('verifies')
    return valid
  }

  /** The key store of the device as this process sees it: what is `kept` survives every crash. */
  keyStore(kept: Map<string, SigningKey>): KeyStore {
    return {
      load: async (name) => {
        const key = kept.get(name)
        return key && this.#own(key)
      },
      save: async (name, key) => {
        kept.set(name, this.#bare.get(key) ?? key)
      },
      remove: async (name) => {
        kept.delete(name)
      },
    }
  }

  /** A key that signs at the pace of this process and dies with it. */
  #own(key: SigningKey): SigningKey {
    const owned: SigningKey = {
      publicKey: key.publicKey,
      sign: async (message) => {
        const signature = await key.sign(message)
        await this.#wait('signs')
        return signature
      },
    }
    this.#bare.set(owned, key)
    return owned
  }

  #wait(what: string): Promise<void> | undefined {
    const { life, draws, cryptoDelay } = this.#options
    const delay = draws.crypto.exponential(cryptoDelay)
    if (cryptoDelay === 0) return undefined
    return new Promise((resolve) => life.at(delay, `${life.name} ${what}`, resolve))
  }
}
