/**
 * The items of a repository that somebody looked at: one live item and one facade for each key and schema, and which of them moved. What
 * nobody holds and nobody has to be told of goes, and is made again when somebody asks.
 */
import type { SchemaName } from '../commit/commit.ts'
import { isScalar, type ScalarValue } from '../schema/field.ts'
import type { MapHandle, SetHandle, TextHandle } from '../schema/handle.ts'
import { fieldNamed, type Item, type Schema } from '../schema/schema.ts'
import type { Counting } from './counting.ts'
import { itemClass, liveOf } from './item.ts'
import { LiveItem, type LiveOwner } from './live.ts'
import { WeakValues } from './weakvalues.ts'

/** The items of one schema. */
interface Shelf {
  readonly named: SchemaName
  readonly live: WeakValues<LiveItem>
  make(of: LiveItem): Item
}

/** So many are looked through for those that are needed no more. */
const leastNeeded = 1_024

export class Items {
  readonly #counting: Counting
  readonly #hashOf: (schema: Schema) => string
  readonly #owner: LiveOwner
  /** By the hash of the schema's definition. */
  readonly #shelves = new Map<string, Shelf>()
  readonly #stale = new Set<LiveItem>()
  /** Those that stay though nobody holds them. */
  readonly #needed = new Set<LiveItem>()
  #mostNeeded = leastNeeded

  constructor(counting: Counting, hashOf: (schema: Schema) => string, owner: LiveOwner) {
    this.#counting = counting
    this.#hashOf = hashOf
    this.#owner = owner
  }

  find(key: string, hash: string): LiveItem | undefined {
    return this.#shelves.get(hash)?.live.get(key)
  }

  open(key: string, schema: Schema): LiveItem {
    const { named, live } = this.#shelfOf(schema)
    const held = live.get(key)
    if (held !== undefined) return held
    const merged = this.#counting.look(key, named.hash) ?? this.#counting.open(key, named.hash, schema)
    const made = new LiveItem(key, schema, named, this.#owner, merged)
    live.set(key, made)
    return made
  }

  /** It stays though nobody holds it, as long as it is needed. */
  needed(live: LiveItem): void {
    this.#needed.add(live)
    if (this.#needed.size < this.#mostNeeded) return
    for (const one of this.#needed) if (!one.isNeeded) this.#needed.delete(one)
    this.#mostNeeded = Math.max(leastNeeded, 2 * this.#needed.size)
  }

  *#all(): Generator<LiveItem> {
    for (const { live } of this.#shelves.values()) yield* live.values()
  }

  #shelfOf(schema: Schema): Shelf {
    const hash = this.#hashOf(schema)
    const held = this.#shelves.get(hash)
    if (held !== undefined) return held
    const { name, version } = schema
    const shelf: Shelf = { named: { name, version, hash }, live: new WeakValues(), make: itemClass(schema) }
    this.#shelves.set(hash, shelf)
    return shelf
  }

  /** What an app holds of it: of the class of its very schema. */
  facade(live: LiveItem): Item {
    live.facade ??= this.#shelfOf(live.schema).make(live)
    return live.facade
  }

  /** Writes the values a new item begins with. */
  fill(live: LiveItem, values: Readonly<Record<string, unknown>>): void {
    const item = this.facade(live)
    for (const [name, value] of Object.entries(values))
      if (value !== undefined) this.#initialise(live, item, name, value)
  }

  #initialise(live: LiveItem, item: Item, name: string, value: unknown): void {
    const field = fieldNamed(live.schema, name)
    if (field === undefined) throw new TypeError(`${live.schema.name} has no field ${name}`)
    if (isScalar(field)) return live.assign(name, value)
    // The handle is the one of the field's kind, and judges what the app's types did not.
    const handle: unknown = Reflect.get(item, name)
    if (field.kind === 'text') return (handle as TextHandle).replace(String(value))
    if (field.kind === 'set')
      for (const element of value as Iterable<ScalarValue>) (handle as SetHandle<ScalarValue>).add(element)
    else
      for (const [key, element] of Object.entries(value as object)) (handle as MapHandle<ScalarValue>).set(key, element)
  }

  /** The live item behind an object an app holds. Throws a `TypeError` for one of another repository. */
  own(item: object): LiveItem {
    const live = liveOf(item)
    if (this.find(live.key, live.schemaHash) !== live) throw new TypeError('not an item of this repository')
    return live
  }

  /** Those of a schema that are there. */
  all<S extends Schema>(schema: S): Item<S>[] {
    const hash = this.#hashOf(schema)
    const items: Item<S>[] = []
    for (const key of this.#counting.items.get(hash)?.keys() ?? []) {
      const live = this.open(key, schema)
      // The facade was made by the class of this very schema.
      if (live.isPresent) items.push(this.facade(live) as Item<S>)
    }
    return items
  }

  /** The merged value moved: it is taken in with the next `refresh`. */
  moved(live: LiveItem): void {
    this.#stale.add(live)
  }

  allMoved(): void {
    for (const live of this.#all()) {
      live.recounted()
      this.#stale.add(live)
    }
  }

  refresh(): void {
    for (const live of this.#stale) live.refresh()
    this.#stale.clear()
  }

  /** Shows nothing any more. */
  vanish(): void {
    for (const live of this.#all()) live.vanish()
  }
}
