import { isHigh, isLow, type Splice } from './splice.ts'

/**
 * The one splice between two texts: what is left when their equal beginning and end are taken away. That is exact for what an input
 * field reports, one edit at a time. The borders never fall between the two halves of a surrogate pair.
 */
export function diffText(before: string, after: string): Splice[] {
  if (before === after) return []
  const shorter = Math.min(before.length, after.length)
  let start = 0
  while (start < shorter && before.charCodeAt(start) === after.charCodeAt(start)) start++
  if (start > 0 && isHigh(before.charCodeAt(start - 1))) start--
  let end = 0
  while (
    end < shorter - start &&
    before.charCodeAt(before.length - 1 - end) === after.charCodeAt(after.length - 1 - end)
  ) {
    end++
  }
  if (end > 0 && isLow(before.charCodeAt(before.length - end))) end--
  return [{ at: start, remove: before.length - start - end, insert: after.slice(start, after.length - end) }]
}
