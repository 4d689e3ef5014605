/**
 * Packs: commits one after the other, without what follows from those before them. A pack is the difference that its commits make to
 * tables which both sides keep (`PackTables`), so it is read after all packs before it, or begins with empty tables. Every record comes
 * out byte for byte as it went in; hashes of changes and ids are not carried, they are computed again.
 *
 *     pack    = first byte (twice the version, 1 more where tables begin empty), commit..., check (16 bits, high byte first)
 *     commit  = lead, [0x01, length, record]                                     one that is not of the plain kind, as it is
 *             | lead, [0x02], [chain], [seq, id], clock, [policy], [ext], [signature (64)], [changes - 2], change...
 *     chain   = reference | 0, session reference | 0, session (32); incarnation (8)
 *     clock   = signed: whole ms more than the clock before; [ticks]
 *     policy  = position, position or null;       position = reference | 0, epoch, n, hash (32);   null is 0 and all others 1 more
 *     ext     = length, bytes
 *     change  = shape, item, [parents], [schema], [salt (12) | hash of the content (32)], operations
 *     item    = reference | length, text | half the length, bytes that the text has as hex
 *     parents = id | count, id...;                id = reference | 0, bytes (32)
 *     schema  = reference | 0, length, name, version, hash (32)
 *     operations = reference to a pattern, value... | count, operation..., value... | count, operation with its value...
 *             | length, bytes, [length, content]
 *     operation = code, [field], ...
 *
 * Numbers are varints. A reference is the age of a table's entry, 1 the newest. Brackets hold what the flags below name. A value is
 * the CBOR item in the content. The check is h = h * 0x6487 + (first two bytes of the id) mod 2^16 over all commits since the tables began.
 */
import type { Commit } from './commit.ts'

/** A commit for a pack: `id` is hex and `bytes` the record. Its signature may be empty in a run whose last commit is signed. */
export type Packed = Pick<Commit, 'id' | 'bytes'>

export interface Unpacked extends Packed {
  /** The id, where all hashes in the record were computed from its parts; undefined for a record that came as it is. */
  readonly hashed: string | undefined
  /** What `readCommit` makes of the record, where that was known from its parts. */
  readonly commit: Commit | undefined
}

/** What packs of a stream need not say: the network, hex, and the path of the repository. */
export interface PackContext {
  readonly network: string
  readonly repository: string
}

export const packVersion = 1

/** Flags of a commit's first byte. */
export const lead = {
  /** Another chain than the commit before. */
  chain: 1,
  /** Not the commit after the last one of its chain: `seq` is there, and `prev` unless it is 0. */
  jump: 2,
  policy: 4,
  unsigned: 8,
  atomic: 16,
  /** More than one change. */
  many: 32,
  /** The clock has ticks besides its milliseconds. */
  ticks: 64,
  /** A second byte follows: one of `kind`. */
  other: 128,
} as const

export const kind = { whole: 1, ext: 2 } as const

/** What a change's first byte holds: the item in the lowest two bits, the parents in the next two, the operations in the highest two. */
export const shape = {
  /** Of the change before. */
  sameItem: 0,
  item: 1,
  textKey: 2,
  hexKey: 3,
  noParents: 0,
  /** The commit of the item that went through last. */
  lastOfItem: 4,
  parent: 8,
  parents: 12,
  /** Another schema than the item's last one, or than the change before where the item is new. */
  schema: 16,
  erased: 32,
  pattern: 0,
  newPattern: 64,
  listed: 128,
  whole: 192,
} as const

/**
 * What an operation's first byte holds besides its kind in the lowest three bits. For all but splices, touch and delete, bits 3 to 7 are
 * the age of the field up to 29, or one of the two below.
 */
export const code = {
  newField: 0,
  farField: 30,
  /** Of a splice: not where the item's last splice ended. */
  moved: 8,
  removes: 16,
  inserts: 32,
  /** Not in the field that was spliced last. */
  field: 64,
} as const

export const isHexDigit = (byte: number): boolean => (byte >= 48 && byte <= 57) || (byte >= 97 && byte <= 102)
