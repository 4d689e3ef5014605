/**
 * Packs that are deflated where that saves an eighth. What is short is left as it is, because making ready costs more than is saved; what is
 * mostly signatures too, because they are noise.
 *
 *     deflated pack = first byte of the pack and 128, length of its rest, the rest deflated (RFC 1951)
 */
import { Cursor } from '../bytes/cursor.ts'
import { deflate, inflate } from '../bytes/deflate.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { Sink } from '../bytes/sink.ts'

const flag = 128
const worth = 7 / 8
const signatureBytes = 64

/** `least`: packs of fewer bytes stay as they are. `signed`: signatures in it. */
export const deflatePack = (pack: Uint8Array, least: number, signed: number): Uint8Array => {
  if (pack.length < least || 2 * signatureBytes * signed >= pack.length) return pack
  const rest = pack.subarray(1)
  const short = deflate(rest, Math.floor(rest.length * worth))
  if (short === undefined) return pack
  const sink = new Sink(8 + short.length)
  sink.byte((pack[0] ?? 0) | flag)
  sink.varint(rest.length)
  sink.put(short)
  return sink.take()
}

/** The pack, deflated or not: `TooLarge` for one that promises more than a frame holds, `Malformed` for one that is not what it promises. */
export const inflatePack = (bytes: Uint8Array): Uint8Array | Refusal => {
  const cursor = new Cursor(bytes)
  const first = cursor.byte()
  if ((first & flag) === 0) return bytes
  const size = cursor.varint()
  if (size > limits.frameBytes) return refusal('TooLarge', 'what a pack inflates to')
  const rest = cursor.bad ? undefined : inflate(bytes.subarray(cursor.at), size)
  if (rest === undefined) return refusal('Malformed', 'a pack that does not inflate')
  const pack = new Uint8Array(1 + rest.length)
  pack[0] = first & ~flag
  pack.set(rest, 1)
  return pack
}
