/**
 * What a pack is read from: its bytes, and the tables that the packs before it left. Whatever is wrong makes the cursor bad, and what is
 * read then has no meaning and no cost.
 */
import { hexAt } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { limits } from '../bytes/limits.ts'
import type { Sink } from '../bytes/sink.ts'
import { type Entry, type IdEntry, PackTables, PassedId, type Ring } from './packtable.ts'

export class PackSource {
  cursor = new Cursor(new Uint8Array(0))
  tables = new PackTables(false)
  /** Bytes that the record which is being read may have. */
  most = 0
  isTooLarge = false

  /** A whole number below 2^32. */
  count(): number {
    const value = this.cursor.varint()
    return value > 0xffff_ffff ? this.cursor.fail() : value
  }

  /** Whether the record may have that many bytes. */
  hasRoom(bytes: number): boolean {
    if (bytes <= this.most) return true
    this.isTooLarge = true
    this.cursor.fail()
    return false
  }

  /** The id of a commit. */
  id(): IdEntry | undefined {
    const age = this.cursor.varint()
    if (age > 0) return this.tables.ids.at(age)
    const from = this.cursor.skip(32)
    if (this.cursor.bad) return undefined
    const { bytes } = this.cursor
    return new PassedId(hexAt(bytes, from, from + 32))
  }

  copied(length: number): Uint8Array {
    const from = this.cursor.skip(length)
    return this.cursor.bytes.slice(from, from + length)
  }

  /** A text's length and bytes, as a CBOR item at the end of `sink`. */
  text(sink: Sink): void {
    const length = this.cursor.varint()
    if (length > limits.nameBytes) this.cursor.fail()
    const from = this.cursor.skip(length)
    if (this.cursor.bad) return
    sink.head(3, length)
    sink.put(this.cursor.bytes, from, from + length)
  }

  /** What `sink` holds and 32 bytes, as a CBOR item behind it. */
  endWithHash(sink: Sink): Uint8Array {
    const from = this.cursor.skip(32)
    if (!this.cursor.bad) sink.string(this.cursor.bytes, from, from + 32)
    return sink.view().slice()
  }

  /** A new entry of that table. */
  add<Kind extends Entry>(ring: Ring<Kind>, entry: Kind): Kind | undefined {
    if (this.cursor.bad) return undefined
    ring.add(entry)
    return entry
  }
}
