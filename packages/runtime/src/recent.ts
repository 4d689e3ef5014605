/** A bounded map that forgets what was used longest ago. */
export class Recent<Value> {
  readonly #entries = new Map<string, Value>()
  readonly #capacity: number

  constructor(capacity: number) {
    this.#capacity = capacity
  }

  get(key: string): Value | undefined {
    const value = this.#entries.get(key)
    if (value === undefined) return undefined
    this.#entries.delete(key)
    this.#entries.set(key, value)
    return value
  }

  set(key: string, value: Value): void {
    this.#entries.delete(key)
    this.#entries.set(key, value)
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#capacity) return
      this.#entries.delete(oldest)
    }
  }

  get size(): number {
    return this.#entries.size
  }
}

/** How many public keys a verifier keeps ready. Importing one costs about as much as a verification. */
export const readyKeys = 1024

/** The bytes of a public key as a map key. */
export const keyName = (publicKey: Uint8Array): string => String.fromCharCode(...publicKey)
