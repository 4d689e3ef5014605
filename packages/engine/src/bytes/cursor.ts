/**
 * Reads forward through bytes that nobody has vouched for. What is not there, or not in its shortest form, sets `bad` and moves to the
 * end, so that a reader may go on to a place where it asks once; every read after that gives 0.
 */
export class Cursor {
  readonly bytes: Uint8Array
  readonly end: number
  at: number
  bad = false

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  fail(): 0 {
    this.bad = true
    this.at = this.end
    return 0
  }

  /** The next byte without taking it; 0 at the end. */
  peek(): number {
    return this.at < this.end ? (this.bytes[this.at] ?? 0) : 0
  }

  byte(): number {
    return this.at < this.end ? (this.bytes[this.at++] ?? 0) : this.fail()
  }

  /** Takes `length` bytes and says where they begin. */
  skip(length: number): number {
    if (length > this.end - this.at) return this.fail()
    const start = this.at
    this.at += length
    return start
  }

  /** Takes a byte that has to be `value`. */
  expect(value: number): void {
    if (this.byte() !== value) this.fail()
  }

  /** A whole number below 2^53: seven bits a byte, lowest first, the high bit set in all but the last (LEB128). */
  varint(): number {
    let byte = this.byte()
    if (byte < 128) return byte
    let value = byte & 127
    for (let scale = 128; scale < 2 ** 56; scale *= 128) {
      byte = this.byte()
      value += (byte & 127) * scale
      if (byte < 128) return byte === 0 || value > Number.MAX_SAFE_INTEGER ? this.fail() : value
    }
    return this.fail()
  }

  /** A whole number of either sign: 0, -1, 1, -2 ... as 0, 1, 2, 3 ... */
  signed(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** The argument of a CBOR item of this kind (major type), below 2^32: a value, a length or a count. */
  head(kind: number): number {
    const initial = this.byte()
    const info = initial & 31
    if (initial >> 5 !== kind || info > 26) return this.fail()
    if (info < 24) return info
    let value = 0
    for (let left = 1 << (info - 24); left > 0; left--) value = value * 256 + this.byte()
    return this.bad || value < (info === 24 ? 24 : info === 25 ? 256 : 65_536) ? this.fail() : value
  }

  /** Takes a CBOR item of scalars, text and arrays, whatever it says. */
  item(): void {
    for (let left = 1; left > 0 && !this.bad; left--) {
      const initial = this.peek()
      const kind = initial >> 5
      if (kind < 2) this.head(kind)
      else if (kind === 3) this.skip(this.head(3))
      else if (kind === 4) left += this.head(4)
      else if (initial === 0xfb) this.skip(9)
      else if (initial >= 0xf4 && initial <= 0xf6) this.skip(1)
      else this.fail()
    }
  }
}

/** UTF-16 units of the text that these bytes of UTF-8 are. */
export const unitsIn = (bytes: Uint8Array, from: number, to: number): number => {
  let units = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at] ?? 0
    if ((byte & 0xc0) !== 0x80) units += byte < 0xf0 ? 1 : 2
  }
  return units
}
