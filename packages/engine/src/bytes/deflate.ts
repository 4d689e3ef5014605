/**
 * Raw deflate (RFC 1951). Everywhere the same code, so that the same bytes come out wherever a log is written: the deflate of a platform
 * differs from one version to the next and from one processor to another. What is inflated may come from strangers: it is never more than
 * the caller said, whatever the bytes promise.
 */
import {
  Z_DEFAULT_STRATEGY,
  Z_FINISH,
  Z_OK,
  Z_STREAM_END,
  ZStream,
  zlibDeflate,
  zlibDeflateInit2,
  zlibInflate,
  zlibInflateInit2,
} from 'pako'

/** Level 6 saves some 4 % more than level 1 and takes twice as long, but for what is short: there making ready is what takes time. */
const levelFor = (bytes: number): number => (bytes < 4_096 ? 6 : 1)
const method = 8
/** Binary logarithm of the window that RFC 1951 allows; a negative number stands for a stream without a header. */
const mostWindow = 15
/** No stream grows by more than this factor. */
const mostGrowth = 1_032

/** Undefined where it would be longer than `most` bytes. */
export const deflate = (bytes: Uint8Array, most: number): Uint8Array | undefined => {
  // Making room is what a short stream costs: a window no longer than the bytes, and tables to match.
  const window = Math.min(mostWindow, Math.max(9, 32 - Math.clz32(bytes.length)))
  // A stream that fills its room is not known to have ended.
  const stream = streamOf(bytes, most + 1)
  if (
    zlibDeflateInit2(stream, levelFor(bytes.length), method, -window, Math.min(8, window - 6), Z_DEFAULT_STRATEGY) !==
    Z_OK
  )
    throw new RangeError(`deflate of ${bytes.length} bytes`)
  return zlibDeflate(stream, Z_FINISH) === Z_STREAM_END ? stream.output.slice(0, stream.next_out) : undefined
}

/** Undefined where the bytes are not one whole stream of exactly `size` bytes, and nothing behind it. */
export type Inflate = (deflated: Uint8Array, size: number) => Uint8Array | undefined

/** See `Inflate`: the same everywhere. */
export const inflate = (deflated: Uint8Array, size: number): Uint8Array<ArrayBuffer> | undefined => {
  if (size > mostGrowth * deflated.length) return undefined
  const stream = streamOf(deflated, size)
  if (zlibInflateInit2(stream, -mostWindow) !== Z_OK) throw new RangeError(`inflate of ${size} bytes`)
  const isWhole = zlibInflate(stream, Z_FINISH) === Z_STREAM_END && stream.avail_in === 0 && stream.avail_out === 0
  return isWhole ? stream.output : undefined
}

const streamOf = (input: Uint8Array, room: number): ZStream => {
  const stream = new ZStream()
  stream.input = input
  stream.avail_in = input.length
  stream.output = new Uint8Array(room)
  stream.avail_out = room
  return stream
}
