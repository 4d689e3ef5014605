/**
 * Byte strings and the text in them. Comparison is bytewise and unsigned; nothing here compares in constant time,
 * because nothing here is secret. Text is UTF-8 without replacement: what cannot be read exactly is not read at all.
 */

const digits = '0123456789abcdef'

/** Character codes of the two hex digits of a byte, the first one in the higher half. */
const pairOf = Uint16Array.from(
  { length: 256 },
  (_, byte) => (digits.charCodeAt(byte >> 4) << 8) | digits.charCodeAt(byte & 15),
)

/** Value of a hex digit by character code; 255 is none. */
const nibbleOfCode = new Uint8Array(128).fill(255)
for (let value = 0; value < 16; value++) {
  nibbleOfCode[digits.charCodeAt(value)] = value
  nibbleOfCode[digits.toUpperCase().charCodeAt(value)] = value
}

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export const equalBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** Negative, zero or positive, in lexicographic order; a prefix comes before what it begins. */
export const compareBytes = (a: Uint8Array, b: Uint8Array): number => {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

export const concatBytes = (...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  let length = 0
  for (const part of parts) length += part.length
  const whole = new Uint8Array(length)
  let offset = 0
  for (const part of parts) {
    whole.set(part, offset)
    offset += part.length
  }
  return whole
}

/** Ids and hashes that were met last, by their first byte: they come again, as parents, in headers and logs, and are one string then. */
const met: string[] = new Array(256).fill('')
const idBytes = 32

/** Lower case, two digits a byte. */
export const toHex = (bytes: Uint8Array): string => hexAt(bytes, 0, bytes.length)

/** The same of the bytes from `from` to `to`. */
export const hexAt = (bytes: Uint8Array, from: number, to: number): string => {
  if (to - from !== idBytes) return newHex(bytes, from, to)
  const known = met[bytes[from] ?? 0] ?? ''
  if (isHexOf(known, bytes, from)) return known
  const hex = newHex(bytes, from, to)
  met[bytes[from] ?? 0] = hex
  return hex
}

/** Whether the digits stand for the 32 bytes from `from` on. */
export const isHexOf = (hex: string, bytes: Uint8Array, from: number): boolean => {
  if (hex.length !== 2 * idBytes) return false
  for (let i = 0; i < idBytes; i++) {
    const pair = pairOf[bytes[from + i] ?? 0] ?? 0
    if (hex.charCodeAt(2 * i) !== pair >> 8 || hex.charCodeAt(2 * i + 1) !== (pair & 255)) return false
  }
  return true
}

const idCodes = new Uint8Array(2 * idBytes)

/** Joined one by one, the digits would stay a rope of pieces, which takes ten times the memory and is slow as a key. */
const newHex = (bytes: Uint8Array, from: number, to: number): string => {
  const codes = to - from === idBytes ? idCodes : new Uint8Array(2 * (to - from))
  for (let at = from, i = 0; at < to; at++, i += 2) {
    const pair = pairOf[bytes[at] ?? 0] ?? 0
    codes[i] = pair >> 8
    codes[i + 1] = pair & 255
  }
  return decoder.decode(codes)
}

/** Throws on anything but an even number of hex digits: what comes from outside is checked with `isHex` first. */
export const fromHex = (hex: string): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(hex.length >> 1)
  putHex(hex, bytes, 0)
  return bytes
}

/** Writes what `fromHex` gives into `room`, from `at` on. */
export const putHex = (hex: string, room: Uint8Array, at: number): void => {
  if (hex.length % 2 !== 0) throw new TypeError('an odd number of hex digits')
  for (let i = 0; i < hex.length; i += 2) {
    const high = nibbleOfCode[hex.charCodeAt(i)] ?? 255
    const low = nibbleOfCode[hex.charCodeAt(i + 1)] ?? 255
    if (high === 255 || low === 255) throw new TypeError(`not hex at digit ${i}`)
    room[at + (i >> 1)] = (high << 4) | low
  }
}

/** Lower case hex of exactly `bytes` bytes: the one form in which an id is ever written. */
export const isHex = (text: string, bytes: number): boolean => {
  if (text.length !== 2 * bytes) return false
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 102 || nibbleOfCode[code] === 255 || (code > 57 && code < 97)) return false
  }
  return true
}

/** Without lone surrogates, so that UTF-8 can hold it. */
export const isWellFormed = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0xd800 || code > 0xdfff) continue
    if (code > 0xdbff) return false
    const next = text.charCodeAt(++i)
    if (!(next >= 0xdc00 && next <= 0xdfff)) return false
  }
  return true
}

/** Bytes that a well-formed text takes. */
export const utf8Length = (text: string): number => {
  let length = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code < 0x80) continue
    length += code < 0x800 ? 1 : 2
    if (code >= 0xd800 && code <= 0xdbff) i++
  }
  return length
}

/** Throws on a lone surrogate, which would be replaced in silence. */
export const encodeUtf8 = (text: string): Uint8Array<ArrayBuffer> => {
  const bytes = encoder.encode(text)
  // What is replaced is EF BF BD, and finding no EF is faster than looking at the text.
  if (bytes.includes(0xef) && !isWellFormed(text)) throw new TypeError('text with a lone surrogate')
  return bytes
}

/** Undefined where the bytes are not valid UTF-8. A byte order mark is a character like any other. */
export const decodeUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
