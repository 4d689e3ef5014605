/**
 * Names of people, as somebody else's system gives them: what others are shown fits its limit and has nothing in it that changes lines or
 * the direction of what stands around it.
 */
import { limits } from '@weft-db/engine'

/** Undefined when nothing is left to show. Cut at a character, never in the middle of one. */
export const shownName = (name: unknown): string | undefined => {
  if (typeof name !== 'string') return undefined
  const clean = Buffer.from(name.slice(0, 4 * limits.displayName))
    .toString()
    .replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, '')
    .replace(/[\p{Cc}\p{Z}]+/gu, ' ')
    .trim()
  let shown = ''
  for (const character of clean) {
    if (Buffer.byteLength(shown + character) > limits.displayName) break
    shown += character
  }
  return shown.trim() === '' ? undefined : shown.trim()
}
