/**
 * Maps that keep nothing alive. When something goes depends on garbage collection, which differs between replicas: whoever uses them has to
 * make what went again, the same as it was, so that nobody can tell.
 */
const leastLooked = 1_024

/** By key, one weak reference each. What is left of those that went is looked for when the map has doubled. */
export class WeakValues<Value extends object> {
  // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
  readonly #held = new Map<string, WeakRef<Value>>()
  #most = leastLooked

  get(key: string): Value | undefined {
    return this.#held.size === 0 ? undefined : this.#held.get(key)?.deref()
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

const groupBits = 3

/** Values at neighbouring places. */
export type Group<Value> = (Value | undefined)[]

/** Whoever holds one of a group holds all of them. */
export interface Grouped {
  group: Group<Grouped> | undefined
}

/** By place, one weak reference for eight of them: making one for each takes longer than making the values. */
export class WeakPlaces<Value extends Grouped> {
  // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
  readonly #groups: (WeakRef<Group<Value>> | undefined)[]

  constructor(size: number) {
    this.#groups = new Array(Math.ceil(size / 2 ** groupBits)).fill(undefined)
  }

  get(place: number): Value | undefined {
    return this.#groups[place >> groupBits]?.deref()?.[place % 2 ** groupBits]
  }

  set(place: number, value: Value): void {
    const index = place >> groupBits
    let group = this.#groups[index]?.deref()
    if (group === undefined) {
      group = new Array<Value | undefined>(2 ** groupBits).fill(undefined)
      // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
      this.#groups[index] = new WeakRef(group)
    }
    group[place % 2 ** groupBits] = value
    value.group = group
  }

  /** Those that are held by somebody. */
  *values(): Generator<Value> {
    for (const held of this.#groups) for (const value of held?.deref() ?? []) if (value !== undefined) yield value
  }
}
