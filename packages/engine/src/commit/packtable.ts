/**
 * What the two sides of a stream of packs remember of the commits in it. Both begin empty and do the same with every commit that goes
 * through, so a name that went through once is a small number from then on. All tables are bounded: a new entry takes the place of the
 * oldest. Entries are bytes as they stand in commits, to be copied as they are.
 */
import { fromHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Position, SchemaName } from './names.ts'
import type { Operation } from './operation.ts'

export interface Entry {
  readonly bytes: Uint8Array
}

// What an entry reads as is there on the side that unpacks; undefined for what no record may say.

export interface IdEntry extends Entry {
  /** Hex. */
  readonly id: string
}

/** An id without its bytes, which take more room than all else: most are never asked for again. */
export class PassedId implements IdEntry {
  readonly id: string

  constructor(id: string) {
    this.id = id
  }

  get bytes(): Uint8Array {
    return fromHex(this.id)
  }
}

export interface PositionEntry extends Entry {
  readonly position?: Position | undefined
}

export interface SchemaEntry extends Entry {
  readonly schema?: SchemaName | undefined
}

/** The bytes are session and incarnation as in a header, without the first head. */
export interface ChainEntry extends Entry {
  readonly session?: string
  readonly incarnation?: string
  /** The commit of the chain that went through last. */
  last: IdEntry | undefined
  seq: number
}

/** The bytes are the item's key as in an identity. */
export interface ItemEntry extends Entry {
  /** Where there is one, the bytes follow from it, and are not kept. */
  readonly key?: string | undefined
  /** The commit of the item that went through last. */
  last: IdEntry | undefined
  schema: SchemaEntry | undefined
  /** The field that was spliced last, and where that splice ended. */
  field: Entry | undefined
  caret: number
}

/** The bytes are operations that have no positions and no tags in them. */
export interface PatternEntry extends Entry {
  /** How many values they write, and the hash of the bytes; undefined on the side that packs. */
  readonly values: number | undefined
  readonly hash: Uint8Array | undefined
  /** Without what they write. */
  readonly operations?: readonly Operation[] | undefined
}

/** A table whose entries are named by age: 1 is the newest. */
export class Ring<Kind extends Entry> {
  readonly #size: number
  readonly #slots: Kind[] = []
  #next = 0
  /** For the side that looks entries up: where one with such a hash is. Of two with the same hash the newer one is found. */
  readonly #places: Map<number, number> | undefined

  constructor(size: number, searched: boolean) {
    this.#size = size
    this.#places = searched ? new Map() : undefined
  }

  add(entry: Kind): void {
    const place = this.#next
    if (this.#places !== undefined) {
      const old = this.#slots[place]
      const oldHash = old === undefined ? 0 : hashOf(old.bytes, 0, old.bytes.length)
      if (old !== undefined && this.#places.get(oldHash) === place) this.#places.delete(oldHash)
      this.#places.set(hashOf(entry.bytes, 0, entry.bytes.length), place)
    }
    this.#slots[place] = entry
    this.#next = place + 1 === this.#size ? 0 : place + 1
  }

  /** The entry of that age, from 1; undefined where there is none. */
  at(age: number): Kind | undefined {
    if (age < 1 || age > this.#size) return undefined
    const place = this.#next - age
    return this.#slots[place < 0 ? place + this.#size : place]
  }

  /** The age of the entry with the bytes from `from` to `to`; 0 if there is none. */
  find(bytes: Uint8Array, from = 0, to = bytes.length): number {
    const place = this.#places?.get(hashOf(bytes, from, to))
    const found = place === undefined ? undefined : this.#slots[place]
    if (place === undefined || found === undefined || !isAt(found.bytes, bytes, from, to)) return 0
    return place < this.#next ? this.#next - place : this.#next - place + this.#size
  }
}

/** FNV-1a (Fowler, Noll, Vo). Collisions that somebody mines cost bytes and nothing else. */
const hashOf = (bytes: Uint8Array, from: number, to: number): number => {
  let hash = 0x811c9dc5
  for (let at = from; at < to; at++) hash = Math.imul(hash ^ (bytes[at] ?? 0), 0x01000193)
  return hash
}

/** Whether `bytes` stand from `from` to `to` in `whole`. */
export const isAt = (bytes: Uint8Array, whole: Uint8Array, from: number, to: number): boolean => {
  if (to - from !== bytes.length) return false
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== whole[from + at]) return false
  return true
}

export class PackTables {
  readonly ids: Ring<IdEntry>
  readonly chains: Ring<ChainEntry>
  readonly sessions: Ring<Entry>
  readonly positions: Ring<PositionEntry>
  readonly items: Ring<ItemEntry>
  readonly schemas: Ring<SchemaEntry>
  readonly fields: Ring<Entry>
  readonly patterns: Ring<PatternEntry>
  /** Of the commit that went through last. */
  chain: ChainEntry | undefined
  clock = 0
  root: PositionEntry | undefined
  authority: PositionEntry | undefined
  /** Of the change that went through last. */
  item: ItemEntry | undefined
  schema: SchemaEntry | undefined
  /** Tells whether both sides saw the same commits, 16 bits. */
  check = 0

  /** `searched`: for the side that packs. */
  constructor(searched: boolean) {
    this.ids = new Ring(limits.packRecent, searched)
    this.items = new Ring(limits.packRecent, searched)
    this.chains = new Ring(limits.packChains, searched)
    this.sessions = new Ring(limits.packChains, searched)
    this.positions = new Ring(limits.packNames, searched)
    this.schemas = new Ring(limits.packNames, searched)
    this.fields = new Ring(limits.packNames, searched)
    this.patterns = new Ring(limits.packNames, searched)
  }

  /** A commit went through. */
  passed(id: IdEntry, bytes = id.bytes): void {
    this.ids.add(id)
    this.check = (this.check * checkFactor + (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)) & 0xffff
  }
}

const checkFactor = 0x6487
