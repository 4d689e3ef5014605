/** Every way to change one place of a decoded value a little: what a field could be instead, and what could stand beside it. */
import type { Plain } from '../../packages/engine/src/bytes/cbor.ts'

const flip = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice()
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

/** Values in the place of a leaf. */
const instead = (value: Plain): readonly Plain[] => {
  if (typeof value === 'number') return [value + 1, value - 1, 0, 1, value * 2 + 3, 2 ** 32, -1, String(value), null]
  if (typeof value === 'boolean') return [!value, null, 0]
  if (typeof value === 'string') return [`${value}x`, value.slice(1), '', value.toUpperCase(), '/board/other', null, 0]
  if (value === null) return [0, '', false, new Uint8Array(32), []]
  if (value instanceof Uint8Array) {
    const flips = [0, value.length >> 1, value.length - 1].map((at) => flip(value, Math.max(0, at)))
    return [
      ...flips,
      new Uint8Array(value.length),
      value.slice(1),
      new Uint8Array([...value, 0]),
      value.toReversed(),
      null,
    ]
  }
  return []
}

const isList = (value: Plain): value is readonly Plain[] => Array.isArray(value)

/** Copies of a value that differ from it in one place. */
export function* spoilt(value: Plain): Generator<Plain> {
  yield* instead(value)
  if (value instanceof Map) {
    yield new Map([...value, ['more', 1]])
    yield []
    for (const [key, held] of value) for (const changed of spoilt(held)) yield new Map([...value, [key, changed]])
  }
  if (!isList(value)) return
  for (const [index, held] of value.entries()) for (const changed of spoilt(held)) yield value.with(index, changed)
  yield [...value, null]
  yield value.slice(0, -1)
  yield [...value, ...value.slice(-1)]
  if (value.length > 1) yield value.toReversed()
  yield []
}
