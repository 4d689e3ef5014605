import { decodeUtf8 } from './bytes.ts'
import type { Plain } from './plain.ts'

/**
 * The plain way to read bytes that the guard has accepted, straight from RFC 8949. It is used where cbor-x is not
 * exact, and the tests hold cbor-x against it. Recursion is bounded by the guard's depth.
 */
export const decodeExactly = (bytes: Uint8Array): Plain => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0

  const argument = (info: number): number => {
    if (info < 24) return info
    const start = at
    at += 1 << (info - 24)
    return info === 24 ? view.getUint8(start) : info === 25 ? view.getUint16(start) : view.getUint32(start)
  }

  const item = (): Plain => {
    const initial = view.getUint8(at++)
    const info = initial & 31
    if (initial === 0xfb) {
      at += 8
      return view.getFloat64(at - 8)
    }
    const size = argument(info)
    switch (initial >> 5) {
      case 0:
        return size
      case 1:
        return -1 - size
      case 2:
        at += size
        return bytes.subarray(at - size, at)
      case 3:
        return text(size)
      case 4:
        return Array.from({ length: size }, item)
      case 5: {
        const entries = new Map<string, Plain>()
        for (let i = 0; i < size; i++) {
          const key = text(argument(view.getUint8(at++) & 31))
          entries.set(key, item())
        }
        return entries
      }
      default:
        return info === 20 ? false : info === 21 ? true : null
    }
  }

  const text = (size: number): string => {
    at += size
    const read = decodeUtf8(bytes.subarray(at - size, at))
    if (read === undefined) throw new TypeError('bytes that the guard has not accepted')
    return read
  }

  return item()
}
