import { limits } from '../bytes/limits.ts'

/**
 * Fractional order keys: between any two there is room for another, so moving one item in a list writes one key and no others.
 * Keys are compared as strings by code unit. None ends in '0', the smallest character, so nothing is ever squeezed out before one.
 *
 * A key grows by about one character each time the number of items appended, prepended or put one after the other at one place
 * grows by sixty: where nothing bounds a key on one side, its characters are a counter with its own length in front (as in
 * variable-length integers that keep their order), not a fraction. Two characters drawn at random close every key (the first is a
 * figure, so that it does not look like a counter), so that two replicas that insert at one place without knowing of each other
 * seldom make the same key; if they do, the item's key decides.
 */
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const base62 = digits.length
const key = /^[0-9A-Za-z]*[1-9A-Za-z]$/

const digitAt = (text: string, at: number): number => (at < text.length ? digits.indexOf(text.charAt(at)) : 0)
const digit = (value: number): string => digits.charAt(value)

/** A counter's head tells how many digits follow: 'a' 1, 'b' 2, ...; downwards 'Z' 1, 'Y' 2, ... Digits are no heads. */
const firstUp = digits.indexOf('a')
const lastDown = firstUp - 1
const firstDown = digits.indexOf('A')
const digitsAfter = (head: number): number => (head >= firstUp ? head - firstUp + 1 : lastDown - head + 1)
const origin = 'a0'

/** The counter at the start of a key plus one or minus one; undefined at the end of what heads can express. */
const count = (text: string, step: 1 | -1): string | undefined => {
  const head = digitAt(text, 0)
  const from = step > 0 ? base62 - 1 : 0
  const to = step > 0 ? 0 : base62 - 1
  let tail = ''
  for (let at = digitsAfter(head); at > 0; at--) {
    const value = digitAt(text, at)
    if (value !== from) return text.slice(0, at) + digit(value + step) + tail
    tail += digit(to)
  }
  const next = head + step
  if (next >= base62 || next < firstDown) return undefined
  return digit(next) + digit(to).repeat(digitsAfter(next))
}

/** Whether a text starts with a whole counter; otherwise its first character is one of a fraction that looks like a head. */
const counts = (text: string): boolean => {
  const head = digitAt(text, 0)
  return head >= firstDown && text.length > digitsAfter(head)
}

/** A key's start that is later than `text`, whatever follows in either. */
const later = (text: string): string => {
  const next = counts(text) ? count(text, 1) : undefined
  if (next !== undefined) return next
  return digitAt(text, 0) < firstUp ? origin : text.charAt(0) + later(text.slice(1))
}

/** A key's start that is earlier than `text`, whatever follows it. */
const earlier = (text: string): string => {
  const next = counts(text) ? count(text, -1) : undefined
  if (next !== undefined || text.length === 0) return next ?? ''
  return digit(0) + (digitAt(text, 0) > 0 ? origin : earlier(text.slice(1)))
}

const startBetween = (before: string, after: string | undefined): string => {
  if (after === undefined) return later(before)
  let shared = 0
  while (shared < before.length && before.charAt(shared) === after.charAt(shared)) shared++
  const prefix = after.slice(0, shared)
  if (shared === before.length) return prefix + earlier(after.slice(shared))
  const low = digitAt(before, shared)
  const middle = (low + digitAt(after, shared)) >> 1
  return prefix + digit(middle) + (middle > low ? '' : later(before.slice(shared + 1)))
}

const isBetween = (place: string, before: string, after: string | undefined): boolean =>
  place > before && (after === undefined || place < after)

/**
 * A key strictly between two keys (see `isPlace`); undefined stands for the ends of the list. When `before` is not before `after` (two replicas made equal
 * keys), a key just after `before`. `random` gives that many random bytes.
 *
 * Keys are no longer than `limits.orderLength`. If nothing so short lies between, the key of a neighbour is given once more, and the
 * keys of the items decide between the two.
 */
export function placeBetween(
  before: string | undefined,
  after: string | undefined,
  random: (n: number) => Uint8Array,
): string {
  const low = before ?? ''
  const equal = after !== undefined && low >= after
  const high = equal ? undefined : after
  const [first = 0, last = 0] = random(2)
  const jitter = digit(first % firstDown) + digit(1 + (last % (base62 - 1)))
  const start = equal ? low + origin : startBetween(low, high)
  const place = start + jitter
  if (place.length <= limits.orderLength) return place
  const cut = place.slice(0, limits.orderLength).replace(/0+$/, '')
  if (isBetween(cut, low, high)) return cut
  return before ?? after ?? origin + jitter
}

export function isPlace(text: string): boolean {
  return text.length <= limits.orderLength && key.test(text)
}
