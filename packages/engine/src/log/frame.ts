/**
 * The frames of a log. One frame:
 *
 *     mark F7 E5 E6 F4 | length u32 LE | checksum u32 LE | kind u8 | body, `length` bytes
 *
 * The checksum is CRC-32C over length, kind and body. The mark lets a reader find the next frame after damage, and it occurs nowhere but
 * at the start of a frame: the body is the payload with a zero put in after every F7 E5 E6, kinds are below 128, and a checksum that
 * would spell the mark has its lowest bit turned. Otherwise a stranger could hide a whole frame in what he writes, and a torn or damaged
 * frame around it would bring it to light as one of ours. (H.264 keeps its start codes unique in the same way.)
 *
 * Damage at the end, with no frame after it, is what a crash leaves of a write that was never acknowledged. Damage with a frame after it
 * is a loss: it is reported, what follows is read all the same, and nobody may cut it away.
 */
import { crc32c } from '../bytes/crc32c.ts'
import { limits } from '../bytes/limits.ts'

/** What the frames of a log hold. */
export const frameKinds = {
  header: 0,
  commit: 1,
  certificate: 2,
  entry: 3,
  known: 4,
  pack: 5,
  met: 6,
  landmark: 7,
  floor: 8,
  recalled: 9,
} as const

/** What becomes a frame. */
export interface Framed {
  /** Below 128. */
  readonly kind: number
  readonly payload: Uint8Array
}

export interface Frame extends Framed {
  /** Where its mark begins. */
  readonly offset: number
  /** Where the next one begins if nothing is damaged. */
  readonly end: number
  /** Whether the bytes right before it are damaged. */
  readonly afterDamage: boolean
}

/** Bytes of the log from `from` up to `to`. */
export interface Hole {
  readonly from: number
  readonly to: number
}

export interface Scan {
  readonly frames: readonly Frame[]
  /** End of the last whole frame. */
  readonly good: number
  /** What is damaged with a whole frame after it. */
  readonly damage: readonly Hole[]
  /** Whether bytes follow `good`. */
  readonly torn: boolean
}

const mark = [0xf7, 0xe5, 0xe6, 0xf4] as const
const headBytes = 13
/** Each three bytes of a payload may need a fourth. */
const bodyLimit = limits.frameBytes + Math.floor(limits.frameBytes / 3)

/** Throws a RangeError for a kind of 128 or more, or a payload above `limits.frameBytes`. */
export const encodeFrame = (kind: number, payload: Uint8Array): Uint8Array => {
  if (!Number.isInteger(kind) || kind < 0 || kind > 127) throw new RangeError(`frame kind ${kind}`)
  if (payload.length > limits.frameBytes) throw new RangeError(`frame payload of ${payload.length} bytes`)
  const stuffing = countPrefixes(payload)
  const length = payload.length + stuffing
  const frame = new Uint8Array(headBytes + length)
  frame.set(mark)
  writeNumber(frame, 4, length)
  frame[12] = kind
  if (stuffing === 0) frame.set(payload, headBytes)
  else stuff(payload, frame.subarray(headBytes))
  writeNumber(frame, 8, checksum(frame))
  return frame
}

/** The frames in `bytes` from `offset` on. Never throws. Payloads are views of `bytes` where nothing was put in. */
export const scan = (bytes: Uint8Array, offset = 0): Scan => {
  const scanner = new Scanner(offset)
  const frames = scanner.push(bytes.subarray(offset))
  return { frames: [...frames, ...scanner.end()], good: scanner.good, damage: scanner.damage, torn: scanner.torn }
}

/** Scans a log that is given piece by piece. It keeps no more than one frame, incomplete so far, from one piece to the next. */
export class Scanner {
  readonly damage: Hole[] = []
  #good: number
  /** What was given and not yet understood, and its place in the log. */
  #rest: Uint8Array = new Uint8Array(0)
  #restOffset: number
  #ended = false

  constructor(offset = 0) {
    this.#good = offset
    this.#restOffset = offset
  }

  /** End of the last whole frame. */
  get good(): number {
    return this.#good
  }

  /** After `end`: whether bytes follow `good`. */
  get torn(): boolean {
    return this.#restOffset + this.#rest.length > this.#good
  }

  /** The frames that `bytes` completes. They may be views of `bytes`, which is to stay as it is. */
  push(bytes: Uint8Array): Frame[] {
    if (this.#rest.length === 0) this.#rest = bytes
    else {
      const joined = new Uint8Array(this.#rest.length + bytes.length)
      joined.set(this.#rest)
      joined.set(bytes, this.#rest.length)
      this.#rest = joined
    }
    return this.#read()
  }

  /** The log ends here. A frame comes to light only now when damage before it promised more bytes than there are. */
  end(): Frame[] {
    this.#ended = true
    return this.#read()
  }

  #read(): Frame[] {
    const bytes = this.#rest
    const frames: Frame[] = []
    let at = 0
    for (;;) {
      at = findMark(bytes, at)
      const length = at + headBytes <= bytes.length ? readNumber(bytes, at + 4) : undefined
      const end = at + headBytes + (length ?? 0)
      if (!this.#ended && (length === undefined || (length <= bodyLimit && end > bytes.length))) break
      if (length === undefined && at >= bytes.length) break
      const isWhole = length !== undefined && length <= bodyLimit && end <= bytes.length
      const payload = isWhole ? payloadOf(bytes.subarray(at, end)) : undefined
      if (payload === undefined) {
        at++
        continue
      }
      const offset = this.#restOffset + at
      const afterDamage = offset > this.#good
      if (afterDamage) this.damage.push({ from: this.#good, to: offset })
      this.#good = this.#restOffset + end
      frames.push({ kind: bytes[at + 12] ?? 0, payload, offset, end: this.#good, afterDamage })
      at = end
    }
    this.#rest = bytes.subarray(at)
    this.#restOffset += at
    return frames
  }
}

/** The payload of a frame of exactly these bytes; undefined if they are none. */
const payloadOf = (frame: Uint8Array): Uint8Array | undefined => {
  const kind = frame[12] ?? 255
  if (kind > 127 || readNumber(frame, 8) !== checksum(frame)) return undefined
  const body = frame.subarray(headBytes)
  const stuffing = countPrefixes(body)
  if (body.length - stuffing > limits.frameBytes) return undefined
  return stuffing === 0 ? body : unstuff(body, stuffing)
}

const checksum = (frame: Uint8Array): number => {
  const sum = crc32c(frame.subarray(12), crc32c(frame.subarray(4, 8)))
  return sum === markNumber ? sum - 1 : sum
}

const readNumber = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0

const writeNumber = (bytes: Uint8Array, at: number, value: number): void => {
  for (let index = 0; index < 4; index++) bytes[at + index] = value >>> (8 * index)
}

const markNumber = readNumber(Uint8Array.from(mark), 0)

/** Where the next mark, or what the end of `bytes` leaves of one, begins; the length of `bytes` if nowhere. */
const findMark = (bytes: Uint8Array, from: number): number => {
  let at = bytes.indexOf(mark[0], from)
  while (at !== -1) {
    let same = 1
    while (same < 4 && at + same < bytes.length && bytes[at + same] === mark[same]) same++
    if (same === 4 || at + same === bytes.length) return at
    at = bytes.indexOf(mark[0], at + 1)
  }
  return bytes.length
}

/** Where the first three bytes of the mark next end; -1 if nowhere. */
const prefixEnd = (bytes: Uint8Array, from: number): number => {
  let at = bytes.indexOf(mark[0], from)
  while (at !== -1) {
    if (bytes[at + 1] === mark[1] && bytes[at + 2] === mark[2]) return at + 3
    at = bytes.indexOf(mark[0], at + 1)
  }
  return -1
}

const countPrefixes = (bytes: Uint8Array): number => {
  let count = 0
  for (let end = prefixEnd(bytes, 0); end !== -1; end = prefixEnd(bytes, end)) count++
  return count
}

const stuff = (payload: Uint8Array, body: Uint8Array): void => {
  let from = 0
  let at = 0
  for (let end = prefixEnd(payload, 0); end !== -1; end = prefixEnd(payload, end)) {
    body.set(payload.subarray(from, end), at)
    at += end - from + 1
    from = end
  }
  body.set(payload.subarray(from), at)
}

/** Undefined where what follows the prefix is not the zero that was put in. */
const unstuff = (body: Uint8Array, stuffing: number): Uint8Array | undefined => {
  const payload = new Uint8Array(body.length - stuffing)
  let from = 0
  let at = 0
  for (let end = prefixEnd(body, 0); end !== -1; end = prefixEnd(body, end)) {
    if (body[end] !== 0) return undefined
    payload.set(body.subarray(from, end), at)
    at += end - from
    from = end + 1
  }
  payload.set(body.subarray(from), at)
  return payload
}
