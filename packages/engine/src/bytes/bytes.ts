/**
 * Byte strings and the text in them. Comparison is bytewise and unsigned; nothing here compares in constant time,
 * because nothing here is secret. Text is UTF-8 without replacement: what cannot be read exactly is not read at all.
 */

const digits = '0123456789abcdef'
/** Character code of a hex digit. */
const digitOf = (value: number): number => digits.charCodeAt(value)

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

/** Lower case, two digits a byte. */
export const toHex = (bytes: Uint8Array): string => {
  let hex = ''
  // Joined one by one, the digits stay a rope of 30 pieces, which takes ten times the memory and is slow as a key.
  for (let from = 0; from < bytes.length; from += 64) {
    const codes: number[] = []
    for (const byte of bytes.subarray(from, from + 64)) codes.push(digitOf(byte >> 4), digitOf(byte & 15))
    hex += String.fromCharCode(...codes)
  }
  return hex
}

/** Throws on anything but an even number of hex digits: what comes from outside is checked with `isHex` first. */
export const fromHex = (hex: string): Uint8Array<ArrayBuffer> => {
  if (hex.length % 2 !== 0) throw new TypeError('an odd number of hex digits')
  const bytes = new Uint8Array(hex.length / 2)
  for (let i = 0; i < bytes.length; i++) {
    const high = nibbleOfCode[hex.charCodeAt(2 * i)] ?? 255
    const low = nibbleOfCode[hex.charCodeAt(2 * i + 1)] ?? 255
    if (high === 255 || low === 255) throw new TypeError(`not hex at digit ${2 * i}`)
    bytes[i] = (high << 4) | low
  }
  return bytes
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
  if (!isWellFormed(text)) throw new TypeError('text with a lone surrogate')
  return encoder.encode(text)
}

/** Undefined where the bytes are not valid UTF-8. A byte order mark is a character like any other. */
export const decodeUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
