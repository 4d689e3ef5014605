/**
 * Messages of up to `limits.frameBytes` over a data channel, which carries less at once: Chromium refuses more than 262,144 bytes and
 * Node's binding loses the channel over it. A message goes in pieces of at most `limits.pieceBytes`, one after the other:
 *
 *     whole:   [3, payload]          first:   [1, length of the message u32 big-endian, payload]
 *     middle:  [0, payload]          last:    [2, payload]
 *     end:     [4]                   nothing follows; whoever hears it ends the connection
 *
 * A piece of a longer message holds at least one byte of it. What does not fit this is refused, and never is more than one message held.
 */
import { limits, type Refusal, refusal } from '@weft-db/engine'

type Bytes = Uint8Array<ArrayBuffer>

const first = 1
const last = 2
const end = 4
const headBytes = 1
const firstHeadBytes = 5

/** The pieces of a message, as arrays of their own. */
export const cut = (message: Uint8Array): Bytes[] => {
  if (message.length <= limits.pieceBytes - headBytes) return [pieceOf(first | last, headBytes, message)]
  const opening = pieceOf(first, firstHeadBytes, message.subarray(0, limits.pieceBytes - firstHeadBytes))
  new DataView(opening.buffer).setUint32(1, message.length)
  const pieces = [opening]
  const length = limits.pieceBytes - headBytes
  for (let at = limits.pieceBytes - firstHeadBytes; at < message.length; at += length) {
    pieces.push(pieceOf(at + length < message.length ? 0 : last, headBytes, message.subarray(at, at + length)))
  }
  return pieces
}

const pieceOf = (flags: number, head: number, payload: Uint8Array): Bytes => {
  const piece = new Uint8Array(head + payload.length)
  piece[0] = flags
  piece.set(payload, head)
  return piece
}

/** The end is told by a piece, because a data channel that is closed throws away what waits to be sent. */
export const endPiece = (): Bytes => Uint8Array.of(end)
export const isEnd = (piece: Uint8Array): boolean => piece.length === 1 && piece[0] === end

/** Puts the pieces of one sender together. After a refusal it is of no use. */
export class Assembly {
  #message: Uint8Array | undefined
  #at = 0

  /** A message when it is complete; a whole one shares the memory of its piece. */
  take(piece: Uint8Array): Uint8Array | Refusal | undefined {
    if (piece.length > limits.pieceBytes) return refusal('TooLarge', `a piece of ${piece.length} bytes`)
    const flags = piece[0] ?? Number.NaN
    if (flags === (first | last)) return this.#message ? misfit : piece.subarray(headBytes)
    if (flags === first) return this.#begin(piece)
    if (flags !== 0 && flags !== last) return misfit
    const message = this.#message
    const payload = piece.subarray(headBytes)
    if (message === undefined || payload.length === 0) return misfit
    const missing = message.length - this.#at - payload.length
    if (flags === last ? missing !== 0 : missing <= 0) return misfit
    message.set(payload, this.#at)
    this.#at += payload.length
    if (flags !== last) return
    this.#message = undefined
    return message
  }

  #begin(piece: Uint8Array): Refusal | undefined {
    const payload = piece.subarray(firstHeadBytes)
    if (this.#message || payload.length === 0) return misfit
    const length = new DataView(piece.buffer, piece.byteOffset).getUint32(1)
    if (length > limits.frameBytes) return refusal('TooLarge', `a message of ${length} bytes`)
    if (length <= payload.length) return misfit
    this.#message = new Uint8Array(length)
    this.#message.set(payload)
    this.#at = payload.length
  }
}

const misfit = refusal('Malformed', 'a piece of a message')

/** Pieces that wait to be sent, in order. Small ones share memory, since a million of them may wait. */
export class Outbox {
  readonly #blocks: { readonly bytes: Bytes; readonly ends: number[] }[] = []
  #sent = 0
  #bytes = 0

  get bytes(): number {
    return this.#bytes
  }

  push(piece: Bytes): void {
    this.#bytes += piece.length
    const tail = this.#blocks.at(-1)
    const filled = tail?.ends.at(-1) ?? 0
    if (tail && filled + piece.length <= tail.bytes.length) {
      tail.bytes.set(piece, filled)
      tail.ends.push(filled + piece.length)
    } else if (piece.length > blockBytes / 4) this.#blocks.push({ bytes: piece, ends: [piece.length] })
    else {
      const bytes = new Uint8Array(blockBytes)
      bytes.set(piece)
      this.#blocks.push({ bytes, ends: [piece.length] })
    }
  }

  /** The piece that is sent next. */
  get next(): Bytes | undefined {
    const block = this.#blocks[0]
    return block?.bytes.subarray(block.ends[this.#sent - 1] ?? 0, block.ends[this.#sent])
  }

  /** The next one was sent. */
  shift(): void {
    const block = this.#blocks[0]
    if (block === undefined) return
    this.#bytes -= (block.ends[this.#sent] ?? 0) - (block.ends[this.#sent - 1] ?? 0)
    this.#sent += 1
    if (this.#sent < block.ends.length) return
    this.#blocks.shift()
    this.#sent = 0
  }

  clear(): void {
    this.#blocks.length = 0
    this.#sent = 0
    this.#bytes = 0
  }
}

const blockBytes = 16_384
