/**
 * Maps in versions: a new version costs what it changes, not what it holds. The version used last holds the entries; every other one holds
 * how it differs from a neighbour, and takes the entries over when it is asked (rerooting: Baker, "Shallow binding makes functional
 * arrays fast", 1991). Going to and fro between neighbouring versions, as merging does, costs what lies between them.
 */

/** What a key has in this version and not in the next one; undefined for nothing. */
type Difference<Value> = readonly [key: string, value: Value | undefined]

interface Away<Value extends NonNullable<unknown> | null> {
  readonly next: VersionedMap<Value>
  readonly differences: readonly Difference<Value>[]
}

export class VersionedMap<Value extends NonNullable<unknown> | null> implements ReadonlyMap<string, Value> {
  /** The entries, while this is the version used last; else the way to it. */
  #at: Map<string, Value> | Away<Value>
  readonly size: number

  private constructor(at: Map<string, Value>) {
    this.#at = at
    this.size = at.size
  }

  static empty<Value extends NonNullable<unknown> | null>(): VersionedMap<Value> {
    return new VersionedMap<Value>(new Map())
  }

  /** The first version, of these entries: the map is its own from now on. */
  static of<Value extends NonNullable<unknown> | null>(entries: Map<string, Value>): VersionedMap<Value> {
    return new VersionedMap(entries)
  }

  /** This version with other values; undefined takes a key out. */
  with(changes: Iterable<readonly [key: string, value: Value | undefined]>): VersionedMap<Value> {
    const entries = this.#entries()
    const differences = apply(entries, changes)
    const next = new VersionedMap(entries)
    this.#at = { next, differences }
    return next
  }

  /** Makes this the version that holds the entries. */
  #entries(): Map<string, Value> {
    const way: { readonly version: VersionedMap<Value>; readonly away: Away<Value> }[] = []
    let version: VersionedMap<Value> = this
    let at = version.#at
    while (!(at instanceof Map)) {
      way.push({ version, away: at })
      version = at.next
      at = version.#at
    }
    for (let step = way.pop(); step !== undefined; step = way.pop()) {
      step.away.next.#at = { next: step.version, differences: apply(at, step.away.differences) }
      step.version.#at = at
    }
    return at
  }

  get(key: string): Value | undefined {
    return this.#entries().get(key)
  }

  has(key: string): boolean {
    return this.#entries().has(key)
  }

  // What is gone through is copied first: looking at another version meanwhile would move the entries there.

  entries(): MapIterator<[string, Value]> {
    return [...this.#entries()].values()
  }

  keys(): MapIterator<string> {
    return [...this.#entries().keys()].values()
  }

  values(): MapIterator<Value> {
    return [...this.#entries().values()].values()
  }

  [Symbol.iterator](): MapIterator<[string, Value]> {
    return this.entries()
  }

  forEach(each: (value: Value, key: string, map: ReadonlyMap<string, Value>) => void): void {
    for (const [key, value] of this) each(value, key, this)
  }
}

/** Changes the entries, and gives what undoes it. */
const apply = <Value extends NonNullable<unknown> | null>(
  entries: Map<string, Value>,
  changes: Iterable<Difference<Value>>,
): Difference<Value>[] => {
  const undone: Difference<Value>[] = []
  for (const [key, value] of changes) {
    undone.push([key, entries.has(key) ? entries.get(key) : undefined])
    if (value === undefined) entries.delete(key)
    else entries.set(key, value)
  }
  return undone.reverse()
}

/** Changes to come of a version, looked at as if they were made. */
export class Changing<Value extends NonNullable<unknown> | null> {
  readonly #from: VersionedMap<Value>
  readonly #changes = new Map<string, Value | undefined>()

  constructor(from: VersionedMap<Value>) {
    this.#from = from
  }

  get(key: string): Value | undefined {
    return this.#changes.has(key) ? this.#changes.get(key) : this.#from.get(key)
  }

  set(key: string, value: Value | undefined): void {
    this.#changes.set(key, value)
  }

  /** The version with all of it. */
  finish(): VersionedMap<Value> {
    return this.#changes.size === 0 ? this.#from : this.#from.with(this.#changes)
  }
}
