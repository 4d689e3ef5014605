/**
 * The items of one schema by key. Most items have one change, and of most of them nobody asks for the value: such a one is kept as the
 * commit that made it, and merged when somebody asks. What a snapshot has stays in its bytes until then.
 */
import type { Refusal } from '../bytes/refusal.ts'
import type { Change, Commit } from '../commit/commit.ts'
import type { Schema } from '../schema/schema.ts'
import { MergedItem } from './item.ts'
import type { Shelf } from './shelf.ts'

const noParents: readonly number[] = []

/** What its first change makes of an item. The change can be applied to any value. */
export const firstItem = (commit: Commit, { key, operations }: Change, schema: Schema, why?: Refusal): MergedItem => {
  const { id, clock, policy } = commit
  const item = new MergedItem(key, schema)
  item.count({ id, clock, parents: noParents, operations, seen: policy.authority?.n ?? -1 }, () => why)
  return item
}

export class MergedItems {
  readonly schema: Schema
  #held = new Map<string, MergedItem | Commit | number>()
  /** What a snapshot has; a number in `held` is a place there. */
  #shelf: Shelf | undefined
  /** Whether all places of the shelf are in `held`. */
  #isUnpacked = true

  constructor(schema: Schema) {
    this.schema = schema
  }

  /** Begins with what was stored. What is here already has no changes yet. */
  restore(shelf: Shelf): void {
    this.#shelf = shelf
    this.#isUnpacked = false
    for (const [key, held] of this.#held) {
      const place = held instanceof MergedItem ? shelf.placeOf(key) : -1
      if (held instanceof MergedItem && place >= 0) held.restore(shelf.at(place))
    }
  }

  get size(): number {
    return this.#unpacked.size
  }

  has(key: string): boolean {
    return this.#held.has(key) || this.#placeOf(key) >= 0
  }

  #placeOf(key: string): number {
    return this.#isUnpacked ? -1 : (this.#shelf?.placeOf(key) ?? -1)
  }

  get(key: string): MergedItem | undefined {
    const held = this.#held.get(key)
    if (held instanceof MergedItem) return held
    if (held !== undefined) return this.#merged(key, held)
    const place = this.#placeOf(key)
    return place < 0 ? undefined : this.#merged(key, place)
  }

  /** The item, made when absent: without changes it has no value. */
  open(key: string): MergedItem {
    const held = this.get(key)
    if (held !== undefined) return held
    const item = new MergedItem(key, this.schema)
    this.#held.set(key, item)
    return item
  }

  /** Counts the first change of an item that is not here, which can be applied to any value. `why` the rules refuse it, if they do. */
  begin(commit: Commit, change: Change, why: Refusal | undefined): void {
    this.#held.set(change.key, why === undefined ? commit : firstItem(commit, change, this.schema, why))
  }

  keys(): IterableIterator<string> {
    return this.#unpacked.keys()
  }

  *values(): Generator<MergedItem> {
    for (const [, item] of this) yield item
  }

  *[Symbol.iterator](): Generator<readonly [key: string, item: MergedItem]> {
    for (const [key, held] of this.#unpacked) yield [key, held instanceof MergedItem ? held : this.#merged(key, held)]
  }

  /** All of them as they are, for a snapshot: an item, the commit that made one, or the place of a stored one that nobody asked for. */
  entries(): Iterable<readonly [key: string, held: MergedItem | Commit | number]> {
    return this.#unpacked
  }

  /** What places in `entries` are places in. */
  get shelf(): Shelf | undefined {
    return this.#shelf
  }

  get #unpacked(): Map<string, MergedItem | Commit | number> {
    const shelf = this.#shelf
    if (shelf === undefined || this.#isUnpacked) return this.#held
    this.#isUnpacked = true
    // In the order in which they came.
    const all = new Map<string, MergedItem | Commit | number>()
    for (let place = 0; place < shelf.size; place++) {
      const key = shelf.keyAt(place)
      all.set(key, this.#held.get(key) ?? place)
    }
    for (const [key, held] of this.#held) all.set(key, held)
    this.#held = all
    return all
  }

  /** Forgets all changes, to count them again. */
  clear(): void {
    this.#shelf = undefined
    this.#isUnpacked = true
    for (const [key, held] of this.#held)
      if (held instanceof MergedItem) held.clear()
      else if (typeof held === 'number') this.#held.delete(key)
      else this.#held.set(key, new MergedItem(key, this.schema))
  }

  #merged(key: string, held: Commit | number): MergedItem {
    const item = typeof held === 'number' ? this.#restored(key, held) : this.#first(key, held)
    this.#held.set(key, item)
    return item
  }

  #restored(key: string, place: number): MergedItem {
    return new MergedItem(key, this.schema, this.#shelf?.at(place))
  }

  #first(key: string, commit: Commit): MergedItem {
    const change = commit.changes.find((one) => one.key === key)
    if (change === undefined) throw new RangeError(`no change of ${key}`)
    return firstItem(commit, change, this.schema)
  }
}
