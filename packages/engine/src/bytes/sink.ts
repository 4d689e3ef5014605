import { encodeUtf8, putHex } from './bytes.ts'

/** Room that is kept for what comes next, bytes. */
const mostIdle = 65_536

/** Bytes that are written one after the other into room that grows. What is written here, `Cursor` reads. */
export class Sink {
  #room: Uint8Array<ArrayBuffer>
  length = 0

  constructor(room: number) {
    this.#room = new Uint8Array(room)
  }

  /** What was written from `from` on: a view that holds until the next write. */
  view(from = 0): Uint8Array<ArrayBuffer> {
    return this.#room.subarray(from, this.length)
  }

  /** Bytes that can be written before what is there has to move. */
  get room(): number {
    return this.#room.length - this.length
  }

  /** All that was written, as bytes of their own; without a copy where they fill the room. */
  take(): Uint8Array<ArrayBuffer> {
    return this.length === this.#room.length ? this.#room : this.#room.slice(0, this.length)
  }

  /** A copy of what was written. */
  copy(): Uint8Array<ArrayBuffer> {
    return this.#room.slice(0, this.length)
  }

  /** Begins anew, without the room that something large took. */
  clear(): void {
    this.length = 0
    if (this.#room.length > mostIdle) this.#room = new Uint8Array(1_024)
  }

  #grow(more: number): void {
    const needed = this.length + more
    if (needed <= this.#room.length) return
    const room = new Uint8Array(Math.max(needed, 2 * this.#room.length))
    room.set(this.#room.subarray(0, this.length))
    this.#room = room
  }

  byte(value: number): void {
    if (this.length === this.#room.length) this.#grow(1)
    this.#room[this.length++] = value
  }

  put(bytes: Uint8Array, from = 0, to = bytes.length): void {
    const length = to - from
    this.#grow(length)
    // A view costs more than a short copy.
    if (length > 48) this.#room.set(bytes.subarray(from, to), this.length)
    else for (let at = 0; at < length; at++) this.#room[this.length + at] = bytes[from + at] ?? 0
    this.length += length
  }

  append(other: Sink): void {
    this.put(other.#room, 0, other.length)
  }

  varint(value: number): void {
    let left = value
    while (left > 127) {
      this.byte((left % 128) | 128)
      left = Math.floor(left / 128)
    }
    this.byte(left)
  }

  signed(value: number): void {
    this.varint(value < 0 ? -2 * value - 1 : 2 * value)
  }

  /** The head of a CBOR item of this kind (major type) in the shortest form. */
  head(kind: number, argument: number): void {
    const initial = kind << 5
    if (argument < 24) return this.byte(initial | argument)
    const width = argument < 0x100 ? 0 : argument < 0x1_0000 ? 1 : 2
    this.byte(initial | (24 + width))
    for (let shift = (8 << width) - 8; shift >= 0; shift -= 8) this.byte(argument >>> shift)
  }

  /** A CBOR byte string. */
  string(bytes: Uint8Array, from = 0, to = bytes.length): void {
    this.head(2, to - from)
    this.put(bytes, from, to)
  }

  /** A CBOR byte string of the bytes that the digits stand for. Throws a TypeError on anything but digits. */
  hex(digits: string): void {
    const length = digits.length >> 1
    this.head(2, length)
    this.#grow(length)
    putHex(digits, this.#room, this.length)
    this.length += length
  }

  /** A text that is well formed as a CBOR item. Throws a TypeError on a lone surrogate. */
  text(value: string): void {
    const { length } = value
    // Short ASCII, as most texts are, is written faster than encoded.
    if (length > 48 || !isAscii(value)) {
      const bytes = encodeUtf8(value)
      this.head(3, bytes.length)
      this.put(bytes)
      return
    }
    this.head(3, length)
    this.#grow(length)
    for (let at = 0; at < length; at++) this.#room[this.length + at] = value.charCodeAt(at)
    this.length += length
  }

  /** A CBOR null. */
  nothing(): void {
    this.byte(0xf6)
  }

  /** A number as a CBOR item: float64 unless it is whole and takes 32 bits. Throws a TypeError on -0 and on what is not finite. */
  number(value: number): void {
    if (!Number.isFinite(value) || Object.is(value, -0))
      throw new TypeError(`${Object.is(value, -0) ? '-0' : value} has no encoding`)
    if (Number.isInteger(value) && value >= -0x1_0000_0000 && value <= 0xffff_ffff)
      return value < 0 ? this.head(1, -1 - value) : this.head(0, value)
    this.byte(0xfb)
    this.#grow(8)
    new DataView(this.#room.buffer).setFloat64(this.length, value)
    this.length += 8
  }
}

const isAscii = (text: string): boolean => {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 127) return false
  return true
}

/** Bytes that the head of a CBOR item takes. */
export const headLength = (argument: number): number =>
  argument < 24 ? 1 : argument < 0x100 ? 2 : argument < 0x1_0000 ? 3 : 5
