/**
 * A map that keeps nothing alive. When something goes depends on garbage collection, which differs between replicas: whoever uses it has to
 * make what went again, the same as it was, so that nobody can tell. What is left of those that went is looked for when the map has doubled.
 */
const leastLooked = 1_024

export class WeakValues<Value extends object> {
  // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
  readonly #held = new Map<string, WeakRef<Value>>()
  #most = leastLooked

  get(key: string): Value | undefined {
    return this.#held.get(key)?.deref()
  }

  set(key: string, value: Value): void {
    // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
    this.#held.set(key, new WeakRef(value))
    if (this.#held.size < this.#most) return
    for (const [other, held] of this.#held) if (held.deref() === undefined) this.#held.delete(other)
    this.#most = Math.max(leastLooked, 2 * this.#held.size)
  }

  /** Those that are held by somebody. */
  *values(): Generator<Value> {
    for (const held of this.#held.values()) {
      const value = held.deref()
      if (value !== undefined) yield value
    }
  }
}
