/** The items of a repository that somebody looked at: one live item and one facade for each key and schema, and which of them moved. */
import { isScalar, type ScalarValue } from '../schema/field.ts'
import type { MapHandle, SetHandle, TextHandle } from '../schema/handle.ts'
import { fieldNamed, type Item, type Schema } from '../schema/schema.ts'
import type { Counting } from './counting.ts'
import { itemClass, liveOf } from './item.ts'
import { LiveItem, type LiveOwner } from './live.ts'

export class Items {
  readonly #counting: Counting
  readonly #hashOf: (schema: Schema) => string
  readonly #owner: LiveOwner
  readonly #live = new Map<string, LiveItem>()
  readonly #facades = new Map<LiveItem, Item>()
  readonly #makers = new Map<string, (of: LiveItem) => Item>()
  readonly #stale = new Set<LiveItem>()

  constructor(counting: Counting, hashOf: (schema: Schema) => string, owner: LiveOwner) {
    this.#counting = counting
    this.#hashOf = hashOf
    this.#owner = owner
  }

  find(key: string, hash: string): LiveItem | undefined {
    return this.#live.get(liveName(key, hash))
  }

  open(key: string, schema: Schema): LiveItem {
    const hash = this.#hashOf(schema)
    const held = this.find(key, hash)
    if (held !== undefined) return held
    const live = new LiveItem(this.#counting.open(key, hash, schema), hash, this.#owner)
    this.#live.set(liveName(key, hash), live)
    return live
  }

  /** What an app holds of it: of the class of its very schema. */
  facade(live: LiveItem): Item {
    const held = this.#facades.get(live)
    if (held !== undefined) return held
    const make = this.#makers.get(live.schemaHash) ?? itemClass(live.schema)
    this.#makers.set(live.schemaHash, make)
    const item = make(live)
    this.#facades.set(live, item)
    return item
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
    for (const [key, versions] of this.#counting.items) {
      if (!versions.has(hash)) continue
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
    for (const live of this.#live.values()) this.#stale.add(live)
  }

  refresh(): void {
    for (const live of this.#stale) live.refresh()
    this.#stale.clear()
  }

  /** Shows nothing any more. */
  vanish(): void {
    for (const live of this.#live.values()) live.vanish()
  }
}

const liveName = (key: string, schemaHash: string): string => `${schemaHash}/${key}`
