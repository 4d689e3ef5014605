/**
 * The items of a repository that somebody looked at: one live item and one facade for each key and schema, and which of them moved. What
 * nobody holds and nobody has to be told of goes, and is made again when somebody asks.
 */
import type { SchemaName } from '../commit/commit.ts'
import type { Shelf } from '../merge/shelf.ts'
import { isScalar, type ScalarValue } from '../schema/field.ts'
import type { MapHandle, SetHandle, TextHandle } from '../schema/handle.ts'
import { fieldNamed, type Item, type Schema } from '../schema/schema.ts'
import type { Counting } from './counting.ts'
import { itemClass, liveOf } from './item.ts'
import { LiveItem, type LiveOwner } from './live.ts'
import { type Group, WeakPlaces, WeakValues } from './weakvalues.ts'

/** Those that have a place on a shelf of a snapshot. */
interface Placed {
  readonly shelf: Shelf
  readonly live: WeakPlaces<LiveItem>
}

/** The items of one schema. */
interface OfSchema {
  readonly named: SchemaName
  /** By key, those that have no place. */
  readonly live: WeakValues<LiveItem>
  placed: Placed | undefined
  make(of: LiveItem): Item
}

/** So many are looked through for those that are needed no more. */
const leastNeeded = 1_024

export class Items {
  readonly #counting: Counting
  readonly #hashOf: (schema: Schema) => string
  readonly #owner: LiveOwner
  /** By the hash of the schema's definition. */
  readonly #schemas = new Map<string, OfSchema>()
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
    const items = this.#schemas.get(hash)
    return items === undefined ? undefined : this.#find(key, items)
  }

  #find(key: string, items: OfSchema): LiveItem | undefined {
    const placed = this.#placedOf(items)
    return items.live.get(key) ?? (placed && atKey(key, placed))
  }

  open(key: string, schema: Schema): LiveItem {
    const items = this.#of(schema)
    const held = this.#find(key, items)
    if (held !== undefined) return held
    const { named, live, placed } = items
    const merged = this.#counting.look(key, named.hash) ?? this.#counting.open(key, named.hash, schema)
    const made = new LiveItem(key, schema, named, this.#owner, merged)
    const place = placed?.shelf.placeOf(key) ?? -1
    if (placed !== undefined && place >= 0) placed.live.set(place, made)
    else live.set(key, made)
    return made
  }

  /** Those with a place. A shelf goes when all is counted again: then they have none any more. */
  #placedOf(items: OfSchema): Placed | undefined {
    const shelf = this.#counting.items.get(items.named.hash)?.shelf
    if (items.placed?.shelf === shelf) return items.placed
    for (const one of items.placed?.live.values() ?? []) items.live.set(one.key, one)
    items.placed = shelf && { shelf, live: new WeakPlaces(shelf.size) }
    return items.placed
  }

  /** It stays though nobody holds it, as long as it is needed. */
  needed(live: LiveItem): void {
    this.#needed.add(live)
    if (this.#needed.size < this.#mostNeeded) return
    for (const one of this.#needed) if (!one.isNeeded) this.#needed.delete(one)
    this.#mostNeeded = Math.max(leastNeeded, 2 * this.#needed.size)
  }

  *#all(): Generator<LiveItem> {
    for (const items of this.#schemas.values()) {
      yield* this.#placedOf(items)?.live.values() ?? []
      yield* items.live.values()
    }
  }

  #of(schema: Schema): OfSchema {
    const hash = this.#hashOf(schema)
    const held = this.#schemas.get(hash)
    if (held !== undefined) return held
    const { name, version } = schema
    const named = { name, version, hash }
    const items: OfSchema = { named, live: new WeakValues(), placed: undefined, make: itemClass(schema) }
    this.#schemas.set(hash, items)
    return items
  }

  /** What an app holds of it: of the class of its very schema. */
  facade(live: LiveItem): Item {
    live.facade ??= this.#of(live.schema).make(live)
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
    const of = this.#of(schema)
    const placed = this.#placedOf(of)
    const items: Item<S>[] = []
    let group: Group<LiveItem> | undefined
    this.#counting.items.get(of.named.hash)?.each((key, held) => {
      let live: LiveItem | undefined
      if (placed === undefined || typeof held !== 'number') live = this.open(key, schema)
      else {
        if (group?.has(held) !== true) group = placed.live.near(held)
        live = of.live.get(key) ?? group.get(held)
        if (live === undefined) {
          // Nobody looked at it, and nobody asked its changes.
          live = new LiveItem(key, schema, of.named, this.#owner, placed.shelf.stored(held))
          group.set(held, live)
        }
      }
      if (!live.isPresent) return
      live.facade ??= of.make(live)
      // The facade was made by the class of this very schema.
      items.push(live.facade as Item<S>)
    })
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

/** Without reading a key that is on the shelf. */
const atKey = (key: string, { shelf, live }: Placed): LiveItem | undefined =>
  live.get(shelf.placeOf(key, (place) => live.get(place)?.key === key))
