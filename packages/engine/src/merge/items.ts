/**
 * The items of one schema by key. Most items have one change, and of most of them nobody asks for the value: such a one is kept as the
 * commit that made it, and merged when somebody asks.
 */
import type { Refusal } from '../bytes/refusal.ts'
import type { Change, Commit } from '../commit/commit.ts'
import type { Schema } from '../schema/schema.ts'
import { MergedItem } from './item.ts'

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
  readonly #held = new Map<string, MergedItem | Commit>()

  constructor(schema: Schema) {
    this.schema = schema
  }

  get size(): number {
    return this.#held.size
  }

  has(key: string): boolean {
    return this.#held.has(key)
  }

  get(key: string): MergedItem | undefined {
    const held = this.#held.get(key)
    return held === undefined || held instanceof MergedItem ? held : this.#merged(key, held)
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
    return this.#held.keys()
  }

  *values(): Generator<MergedItem> {
    for (const [, item] of this) yield item
  }

  *[Symbol.iterator](): Generator<readonly [key: string, item: MergedItem]> {
    for (const [key, held] of this.#held) yield [key, held instanceof MergedItem ? held : this.#merged(key, held)]
  }

  /** Forgets all changes, to count them again. */
  clear(): void {
    for (const [key, held] of this.#held)
      if (held instanceof MergedItem) held.clear()
      else this.#held.set(key, new MergedItem(key, this.schema))
  }

  #merged(key: string, commit: Commit): MergedItem {
    const change = commit.changes.find((one) => one.key === key)
    if (change === undefined) throw new RangeError(`no change of ${key}`)
    const item = firstItem(commit, change, this.schema)
    this.#held.set(key, item)
    return item
  }
}
