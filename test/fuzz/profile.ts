/**
 * The encoding profile once more, plainly: what the guard is held against. It follows the words of RFC 8949 and of docs/wire-format.md, one
 * rule after the other, with copies and recursion where the guard has neither.
 */
import type { GuardLimits } from '../../packages/engine/src/bytes/guard.ts'

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const isText = (bytes: Uint8Array): boolean => {
  try {
    strict.decode(bytes)
    return true
  } catch {
    return false
  }
}

const shortest = [0, 24, 256, 65_536]

/** Whether the bytes are one item in the profile's only encoding of it, within the limits. */
export const isCanonical = (bytes: Uint8Array, limit: GuardLimits): boolean => {
  if (bytes.length > limit.bytes) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let budget = limit.nodes

  /** Where the item that begins at `start` ends; undefined where a rule is broken. */
  const item = (start: number, depth: number): number | undefined => {
    if (start >= bytes.length || --budget < 0) return undefined
    const initial = view.getUint8(start)
    const [kind, info] = [initial >> 5, initial % 32]
    if (initial === 0xf4 || initial === 0xf5 || initial === 0xf6) return start + 1
    if (initial === 0xfb) {
      if (start + 9 > bytes.length) return undefined
      const value = view.getFloat64(start + 1)
      const isSmall = Number.isInteger(value) && value >= -(2 ** 32) && value < 2 ** 32
      return Number.isFinite(value) && !isSmall ? start + 9 : undefined
    }
    if (kind > 5 || info > 26) return undefined
    const step = info < 24 ? 0 : info - 23
    const begin = start + 1 + (step === 0 ? 0 : 2 ** (step - 1))
    if (begin > bytes.length) return undefined
    const argument = [
      () => info,
      () => view.getUint8(start + 1),
      () => view.getUint16(start + 1),
      () => view.getUint32(start + 1),
    ][step]?.()
    if (argument === undefined || argument < (shortest[step] ?? 0)) return undefined
    if (kind < 2) return begin
    if (kind < 4) {
      const end = begin + argument
      if (end > bytes.length || (kind === 3 && !isText(bytes.subarray(begin, end)))) return undefined
      return end
    }
    if (depth === limit.depth || argument * (kind - 3) > bytes.length - begin) return undefined
    let end = begin
    let lastKey: Buffer | undefined
    for (let index = 0; index < argument; index++) {
      if (kind === 5) {
        const key = (bytes[end] ?? 0) >> 5 === 3 ? item(end, depth + 1) : undefined
        if (key === undefined) return undefined
        const encoded = Buffer.from(bytes.subarray(end, key))
        if (lastKey !== undefined && Buffer.compare(lastKey, encoded) >= 0) return undefined
        lastKey = encoded
        end = key
      }
      const read = item(end, depth + 1)
      if (read === undefined) return undefined
      end = read
    }
    return end
  }

  return item(0, 0) === bytes.length
}
