/**
 * A message as a server's websocket writes it (RFC 6455, section 5): two frames, the text that announces it and the message itself, both whole
 * and without a mask.
 */
import { frameHeader } from './packet.ts'

const first = { text: 0x81, binary: 0x82 } as const
/** Longer messages are written as they are: a copy costs more than a second piece. */
const longestCopied = 16_384

/** The engine's packet type for a message, as it stands before a text. */
const announced = new TextEncoder().encode(`4${frameHeader}`)
const announcement = Uint8Array.of(first.text, announced.length, ...announced)

const nothing = new Uint8Array(0)

/** One piece, or more. A message is shorter than 2^32 bytes; `head` is its beginning, where it comes in two. */
export const websocketFrames = (head: Uint8Array, body: Uint8Array = nothing): readonly Uint8Array[] => {
  const length = head.length + body.length
  const isCopied = length <= longestCopied
  const before = announcement.length + (length < 126 ? 2 : length < 0x1_0000 ? 4 : 10)
  const piece = Buffer.allocUnsafe(isCopied ? before + length : before)
  piece.set(announcement)
  let at = piece.writeUInt8(first.binary, announcement.length)
  if (length < 126) at = piece.writeUInt8(length, at)
  else if (length < 0x1_0000) at = piece.writeUInt16BE(length, piece.writeUInt8(126, at))
  else at = piece.writeUInt32BE(length, piece.writeUInt32BE(0, piece.writeUInt8(127, at)))
  if (!isCopied) return body.length > 0 ? [piece, head, body] : [piece, head]
  piece.set(head, at)
  piece.set(body, at + head.length)
  return [piece]
}
