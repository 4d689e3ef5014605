/**
 * What a pack is read from: its bytes, and the tables that the packs before it left. Whatever is wrong makes the cursor bad, and what is
 * read then has no meaning and no cost.
 */
import { Cursor } from '../bytes/cursor.ts'
import { limits } from '../bytes/limits.ts'
import type { Sink } from '../bytes/sink.ts'
import { type Entry, PackTables, type Ring } from './packtable.ts'

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
  id(): Uint8Array | undefined {
    const age = this.cursor.varint()
    return age === 0 ? this.view(32) : this.tables.ids.at(age)?.bytes
  }

  /** The next bytes; a view of the pack. */
  view(length: number): Uint8Array | undefined {
    const from = this.cursor.skip(length)
    return this.cursor.bad ? undefined : this.cursor.bytes.subarray(from, from + length)
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
  add(ring: Ring<Entry>, bytes: Uint8Array): Entry | undefined {
    if (this.cursor.bad) return undefined
    const entry = { bytes }
    ring.add(entry)
    return entry
  }
}
