/**
 * Listeners that an app registered. One that throws stops neither the others nor the replica that tells them: what it threw is handed
 * to `threw`, and becomes an incident.
 */
export class Listeners<Arguments extends readonly unknown[] = []> {
  readonly #listeners = new Set<{ readonly call: (...told: Arguments) => void }>()
  readonly #threw: (error: unknown) => void

  constructor(threw: (error: unknown) => void) {
    this.#threw = threw
  }

  get size(): number {
    return this.#listeners.size
  }

  /** Returns the function that removes it again. The same function added twice is told twice. */
  add(listener: (...told: Arguments) => void): () => void {
    const held = { call: listener }
    this.#listeners.add(held)
    return () => void this.#listeners.delete(held)
  }

  tell(...told: Arguments): void {
    for (const held of [...this.#listeners]) {
      if (!this.#listeners.has(held)) continue
      try {
        held.call(...told)
      } catch (error) {
        this.#threw(error)
      }
    }
  }
}
