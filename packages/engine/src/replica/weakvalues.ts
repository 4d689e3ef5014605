/**
 * A map that keeps nothing alive. When something goes depends on garbage collection, which differs between replicas: whoever uses it has to
 * make what went again, the same as it was, so that nobody can tell.
 */
export class WeakValues<Value extends object> {
  // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
  readonly #held = new Map<string, WeakRef<Value>>()
  // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
  readonly #gone = new FinalizationRegistry<string>((key) => {
    if (this.get(key) === undefined) this.#held.delete(key)
  })

  get(key: string): Value | undefined {
    return this.#held.get(key)?.deref()
  }

  set(key: string, value: Value): void {
    // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
    this.#held.set(key, new WeakRef(value))
    this.#gone.register(value, key)
  }

  /** Those that are held by somebody. */
  *values(): Generator<Value> {
    for (const key of this.#held.keys()) {
      const value = this.get(key)
      if (value !== undefined) yield value
    }
  }
}
