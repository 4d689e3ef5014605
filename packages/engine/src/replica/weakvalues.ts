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

/** Whoever holds one of a group holds all of them. */
export interface Grouped {
  group: object | undefined
}

/** Values at neighbouring places. */
export class Group<Value extends Grouped> {
  readonly #index: number
  readonly values: (Value | undefined)[] = new Array(2 ** groupBits).fill(undefined)

  constructor(index: number) {
    this.#index = index
  }

  /** Whether it is the group of that place. */
  has(place: number): boolean {
    return place >> groupBits === this.#index
  }

  get(place: number): Value | undefined {
    return this.values[place % 2 ** groupBits]
  }

  set(place: number, value: Value): void {
    this.values[place % 2 ** groupBits] = value
    value.group = this
  }
}

/** By place, one weak reference for eight of them: making one for each takes longer than making the values. */
export class WeakPlaces<Value extends Grouped> {
  // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
  readonly #groups: (WeakRef<Group<Value>> | undefined)[]

  constructor(size: number) {
    this.#groups = new Array(Math.ceil(size / 2 ** groupBits)).fill(undefined)
  }

  get(place: number): Value | undefined {
    return this.#groups[place >> groupBits]?.deref()?.get(place)
  }

  set(place: number, value: Value): void {
    this.near(place).set(place, value)
  }

  /** The group of that place. Asking a weak reference takes time: whoever goes through many places asks once a group. */
  near(place: number): Group<Value> {
    const index = place >> groupBits
    let group = this.#groups[index]?.deref()
    if (group === undefined) {
      group = new Group(index)
      // biome-ignore lint/style/noRestrictedGlobals: nothing that can be seen depends on it
      this.#groups[index] = new WeakRef(group)
    }
    return group
  }

  /** Those that are held by somebody. */
  *values(): Generator<Value> {
    for (const held of this.#groups)
      for (const value of held?.deref()?.values ?? []) if (value !== undefined) yield value
  }
}
