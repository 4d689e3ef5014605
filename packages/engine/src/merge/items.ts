/**
 * The items of one schema by key. Most items have one change, and of most of them nobody asks for the value: such a one is kept as the
 * commit that made it, and merged when somebody asks. What a snapshot has stays in its bytes until then.
 */
import type { Refusal } from '../bytes/refusal.ts'
import type { Change, Commit } from '../commit/commit.ts'
import type { Schema } from '../schema/schema.ts'
import { MergedItem } from './item.ts'
import type { RestoredItem, Shelf } from './shelf.ts'
import type { StoredItem } from './stored.ts'

const noParents: readonly number[] = []
const noShelf = (): undefined => undefined

/** What its first change makes of an item. The change can be applied to any value. */
export const firstItem = (commit: Commit, { key, operations }: Change, schema: Schema, why?: Refusal): MergedItem => {
  const { id, clock, policy } = commit
  const item = new MergedItem(key, schema)
  item.count({ id, clock, parents: noParents, operations, seen: policy.authority?.n ?? -1 }, () => why)
  return item
}

/** What an item is, without what it is merged from. */
export type Look = Pick<StoredItem, 'state' | 'heads'>

export class MergedItems {
  readonly schema: Schema
  readonly #held = new Map<string, MergedItem | Commit>()
  /** What a snapshot has. What somebody asked the changes of is in `held` as well, and named here. */
  #shelf: Shelf | undefined
  readonly #taken = new Map<string, number>()
  /** What stands in the place of dropped changes. It is all there is of them. */
  #floor: () => Shelf | undefined = noShelf
  /** Whether that is the shelf. */
  #isOnFloor = false
  /** Items whose dropped changes came back. */
  readonly #recalled = new Set<string>()

  constructor(schema: Schema) {
    this.schema = schema
  }

  /**
   * Begins with what a snapshot has, or with the floor alone where there is none. `floor` is what stands in the place of dropped changes. What is here
   * already has no changes yet.
   */
  restore(snapshot: Shelf | undefined, floor: () => Shelf | undefined = noShelf): void {
    this.#floor = floor
    this.#isOnFloor = snapshot === undefined
    this.#shelf = snapshot ?? floor()
    for (const [key, held] of this.#held) {
      const stored = held instanceof MergedItem ? this.#find(key) : undefined
      if (!(held instanceof MergedItem) || stored === undefined) continue
      held.restore(stored)
      this.#take(key)
    }
  }

  #take(key: string): void {
    const place = this.#isPassed(key) ? -1 : (this.#shelf?.placeOf(key) ?? -1)
    if (place >= 0) this.#taken.set(key, place)
  }

  /** Whether what the shelf has of the item is nothing any more. */
  #isPassed(key: string): boolean {
    return this.#isOnFloor && this.#recalled.has(key)
  }

  has(key: string): boolean {
    if (this.#held.has(key) || this.hasFloor(key)) return true
    return !this.#isPassed(key) && (this.#shelf?.placeOf(key) ?? -1) >= 0
  }

  /** Whether the item's first changes were dropped. */
  hasFloor(key: string): boolean {
    return !this.#recalled.has(key) && (this.#floor()?.placeOf(key) ?? -1) >= 0
  }

  /** What stands in the place of the item's first changes. */
  floorOf(key: string): RestoredItem | undefined {
    return this.#recalled.has(key) ? undefined : this.#floor()?.find(key)
  }

  /** Its dropped changes are to be counted again. */
  recall(key: string): void {
    const item = this.open(key)
    this.forgetFloor(key)
    item.clear()
  }

  /** Nothing stands in the place of its dropped changes any more. */
  forgetFloor(key: string): void {
    this.#recalled.add(key)
    if (this.#isOnFloor) this.#taken.delete(key)
  }

  #find(key: string): RestoredItem | undefined {
    return (this.#isPassed(key) ? undefined : this.#shelf?.find(key)) ?? this.floorOf(key)
  }

  get(key: string): MergedItem | undefined {
    const held = this.#held.get(key)
    if (held instanceof MergedItem) return held
    return held === undefined ? this.#restored(key) : this.#first(key, held)
  }

  /** What a stored item is that nobody asked the changes of; undefined for all others. */
  look(key: string): Look | undefined {
    return this.#held.has(key) ? undefined : this.#find(key)?.stored
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

  *keys(): Generator<string> {
    const shelf = this.#shelf
    for (let place = 0; place < (shelf?.size ?? 0); place++) {
      const key = shelf?.keyAt(place) ?? ''
      if (!this.#isPassed(key)) yield key
    }
    for (const key of this.#held.keys()) if (!this.#taken.has(key)) yield key
  }

  *[Symbol.iterator](): Generator<readonly [key: string, item: MergedItem]> {
    for (const key of this.keys()) yield [key, this.open(key)]
  }

  /** Calls with each of them as it is: an item, the commit that made one, or the place on the shelf of one that nobody asked the changes of. */
  each(visit: (key: string, held: MergedItem | Commit | number) => void): void {
    this.eachPlace((held, key) => visit(key ?? this.#shelf?.keyAt(Number(held)) ?? '', held))
  }

  /** The same without the keys of those that are on the shelf: reading all of them takes a while. */
  eachPlace(visit: (held: MergedItem | Commit | number, key: string | undefined) => void): void {
    const shelf = this.#shelf
    const keys = new Map<number, string>()
    for (const [key, place] of this.#taken) keys.set(place, key)
    const passed = new Set<number>()
    if (this.#isOnFloor) for (const key of this.#recalled) passed.add(shelf?.placeOf(key) ?? -1)
    for (let place = 0; place < (shelf?.size ?? 0); place++) {
      const key = keys.get(place)
      if (!passed.has(place)) visit((key === undefined ? undefined : this.#held.get(key)) ?? place, key)
    }
    for (const [key, held] of this.#held) if (!this.#taken.has(key)) visit(held, key)
  }

  /** What the places that `each` and `eachPlace` call with are places on. */
  get shelf(): Shelf | undefined {
    return this.#shelf
  }

  /** Forgets all changes, to count them again. */
  clear(): void {
    this.#taken.clear()
    for (const [key, held] of this.#held)
      if (held instanceof MergedItem) held.clear()
      else this.#held.set(key, new MergedItem(key, this.schema))
    this.restore(undefined, this.#floor)
  }

  #restored(key: string): MergedItem | undefined {
    const restored = this.#find(key)
    if (restored === undefined) return undefined
    const item = new MergedItem(key, this.schema, restored)
    this.#held.set(key, item)
    this.#take(key)
    return item
  }

  #first(key: string, commit: Commit): MergedItem {
    const change = commit.changes.find((one) => one.key === key)
    if (change === undefined) throw new RangeError(`no change of ${key}`)
    const item = firstItem(commit, change, this.schema)
    this.#held.set(key, item)
    return item
  }
}
