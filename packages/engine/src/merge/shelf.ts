/**
 * The items of one schema as a snapshot has them: blocks of bytes, of which those are read that somebody asks for. An item is found by a
 * hash of its key; what was read last is kept, and no more.
 */
import type { Change, Commit } from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import type { ItemGraph } from '../graph/item.ts'
import type { Floor, Restored } from './item.ts'
import type { ItemState } from './state.ts'
import { type StoredCommits, type StoredItem, StoredItems } from './stored.ts'

/** Items in a block. */
export const blockItems = 128
/** Looked for one by one. */
const fewLooks = 32
/** Blocks that are kept once they were read. */
const mostRead = 64

/** Where the changes of stored items are. Numbers are places in the order of admission. */
export interface ShelfCommits extends StoredCommits {
  /** How many of the first ones were dropped. */
  readonly dropped: number
  commit(number: number): Commit
  /** The place in the authority's log that the commit cites, -1 for none. */
  cited(commit: Commit): number
}

/** Of all units of the key, 32 bits (FNV-1a). */
export const keyHash = (key: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

export class RestoredItem implements Restored {
  readonly #stored: StoredItem
  readonly #commits: ShelfCommits
  readonly #floor: () => StoredItem | undefined

  /** `floor`: what stands in the place of changes that were dropped. */
  constructor(stored: StoredItem, commits: ShelfCommits, floor: () => StoredItem | undefined) {
    this.#stored = stored
    this.#commits = commits
    this.#floor = floor
  }

  get heads(): readonly number[] {
    return this.#stored.heads
  }

  get state(): ItemState {
    return this.#stored.state
  }

  get size(): number {
    return this.#stored.changes.length
  }

  get stored(): StoredItem {
    return this.#stored
  }

  nameOf(index: number): { readonly id: string; readonly clock: number } {
    const number = this.#numberOf(index)
    return { id: this.#commits.idOf(number), clock: this.#commits.clockOf(number) }
  }

  /** The commit of its last change. */
  get last(): { readonly id: string; readonly clock: number } {
    return this.nameOf(this.size - 1)
  }

  #numberOf(index: number): number {
    const number = this.#stored.changes[index]
    if (number === undefined) throw new RangeError(`no change ${index}`)
    return number
  }

  get dropped(): number {
    const { changes } = this.#stored
    const { dropped } = this.#commits
    if ((changes[0] ?? dropped) >= dropped) return 0
    const kept = changes.findIndex((number) => number >= dropped)
    return kept < 0 ? changes.length : kept
  }

  fill(graph: ItemGraph): Floor | undefined {
    const { dropped } = this
    const floor = dropped === 0 ? undefined : this.#layFloor(graph, dropped)
    for (const number of this.#stored.changes.slice(dropped)) {
      const commit = this.#commits.commit(number)
      const { operations, parents } = changeOf(commit, this.#stored.key)
      const seen = this.#commits.cited(commit)
      const { id, clock } = commit
      graph.add({ id, clock, parents: parents.map((parent) => placeOf(graph, parent)), operations, seen })
    }
    return floor
  }

  #layFloor(graph: ItemGraph, dropped: number): Floor {
    const floor = this.#floor()
    if (floor?.changes.length !== dropped) throw new RangeError(`no floor of ${this.#stored.key}`)
    const operations = putsOf(floor)
    for (let index = 0; index < dropped; index++) {
      const { id, clock } = this.nameOf(index)
      const parents = index === 0 ? [] : [index - 1]
      graph.add({ id, clock, parents, operations: operations[index] ?? [], seen: -1 })
    }
    return { commits: floor.changes, state: floor.state }
  }
}

/** By node, what put the entries that the item has: they are removed by naming it. */
const putsOf = ({ changes, state }: StoredItem): readonly (readonly Operation[])[] => {
  const operations = changes.map((): Operation[] => [])
  for (const [field, held] of state.fields) {
    if (held.kind !== 'entries') continue
    for (const [key, entries] of held.byKey)
      for (const { node, tag, value } of entries) {
        const ofNode = operations[node] ?? []
        const position = Number(tag.slice(65))
        while (ofNode.length <= position) ofNode.push({ kind: 'touch' })
        ofNode[position] = { kind: 'put', field, entry: [key, value] }
      }
  }
  return operations
}

const changeOf = ({ id, changes }: Commit, key: string): Change => {
  const change = changes.find((one) => one.key === key)
  if (change === undefined) throw new RangeError(`commit ${id} has no change of ${key}`)
  return change
}

const placeOf = (graph: ItemGraph, id: string): number => {
  const place = graph.indexOf(id)
  if (place === undefined) throw new RangeError(`no change of commit ${id}`)
  return place
}

export class Shelf {
  readonly size: number
  readonly #blocks: readonly Uint8Array[]
  readonly #commits: ShelfCommits
  /** Hashes of keys, in the order of the items. */
  readonly #hashes: Uint32Array
  #table: Uint32Array | undefined
  #looked = 0
  readonly #read = new Map<number, StoredItems>()
  readonly #floor: () => Shelf | undefined

  /**
   * `hashes`: of the keys in the blocks, all of which but the last hold `blockItems`. `floor`: the shelf of what stands in the place of dropped
   * changes, where that is another one.
   */
  constructor(
    blocks: readonly Uint8Array[],
    hashes: Uint32Array,
    commits: ShelfCommits,
    floor?: () => Shelf | undefined,
  ) {
    this.#floor = floor ?? (() => this)
    this.size = hashes.length
    this.#blocks = blocks
    this.#hashes = hashes
    this.#commits = commits
  }

  /** Places plus one by hash, open addressing. */
  #tableOf(): Uint32Array {
    const hashes = this.#hashes
    const table = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(8, 2 * hashes.length))))
    const mask = table.length - 1
    for (let place = 0; place < hashes.length; place++) {
      let slot = (hashes[place] ?? 0) & mask
      while (table[slot] !== 0) slot = (slot + 1) & mask
      table[slot] = place + 1
    }
    return table
  }

  /** The place of the item with that key, -1 where there is none. `isIt`: whether that is the one at a place where it may be. */
  placeOf(key: string, isIt = (place: number): boolean => this.keyAt(place) === key): number {
    const hash = keyHash(key)
    // Going through all hashes costs less than a table, for the first few.
    if (this.#table === undefined && this.#looked++ < fewLooks) {
      for (let place = this.#hashes.indexOf(hash); place >= 0; place = this.#hashes.indexOf(hash, place + 1))
        if (isIt(place)) return place
      return -1
    }
    this.#table ??= this.#tableOf()
    const table = this.#table
    const mask = table.length - 1
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const place = (table[slot] ?? 0) - 1
      if (place < 0) return -1
      if (this.#hashes[place] === hash && isIt(place)) return place
    }
  }

  keyAt(place: number): string {
    const key = this.#block(Math.floor(place / blockItems)).keys()[place % blockItems]
    if (key === undefined) throw new RangeError(`no item ${place}`)
    return key
  }

  /** The item at that place, to be restored. */
  at(place: number): RestoredItem {
    const stored = this.stored(place)
    return new RestoredItem(stored, this.#commits, () => this.#floor()?.find(stored.key)?.stored)
  }

  find(key: string): RestoredItem | undefined {
    const place = this.placeOf(key)
    return place < 0 ? undefined : this.at(place)
  }

  stored(place: number): StoredItem {
    return this.#block(Math.floor(place / blockItems)).at(place % blockItems)
  }

  #block(index: number): StoredItems {
    const held = this.#read.get(index)
    if (held !== undefined) return held
    const bytes = this.#blocks[index]
    const block = bytes && StoredItems.read(bytes, this.#commits)
    if (block === undefined) throw new RangeError(`no block ${index}`)
    if (this.#read.size >= mostRead) for (const oldest of this.#read.keys()) if (this.#read.delete(oldest)) break
    this.#read.set(index, block)
    return block
  }
}
