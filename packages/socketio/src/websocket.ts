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

const binaryHead = (length: number): Uint8Array => {
  if (length < 126) return Uint8Array.of(first.binary, length)
  if (length < 0x1_0000) return Uint8Array.of(first.binary, 126, length >>> 8, length & 255)
  const head = new Uint8Array(10)
  head.set([first.binary, 127])
  new DataView(head.buffer).setUint32(6, length)
  return head
}

/** One piece, or two. The text is shorter than 126 bytes, and a message than 2^32. */
export const websocketFrames = (message: Uint8Array): readonly Uint8Array[] => {
  const head = binaryHead(message.length)
  const before = announcement.length + head.length
  const copied = message.length <= longestCopied ? message.length : 0
  const piece = Buffer.allocUnsafe(before + copied)
  piece.set(announcement)
  piece.set(head, announcement.length)
  if (copied === 0) return [piece, message]
  piece.set(message, before)
  return [piece]
}
