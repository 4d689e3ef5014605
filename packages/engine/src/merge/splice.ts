import type { Rope } from './rope.ts'

/**
 * What an edit of a text is made of: at `at` take away `remove` units, then put `insert` there. Splices of one change are applied
 * in sequence, each position counting in the text that the earlier ones left.
 */
export type Splice = { readonly at: number; readonly remove: number; readonly insert: string }

export const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff
export const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff

const splitsPair = (text: Rope, at: number): boolean => isLow(text.unitAt(at)) && isHigh(text.unitAt(at - 1))

/** With the flag `u`, a pair is one character, so only a lone surrogate is of this category. */
const loneSurrogate = /\p{Surrogate}/u

/**
 * The text after the splices; undefined when one of them is out of range, splits a surrogate pair or inserts half of one. A text
 * that starts well formed therefore stays well formed, in every encoding. `isRead`: they come from a commit that was read, whose
 * texts are well formed; what was erased of them is not.
 */
export const applySplices = (text: Rope, splices: readonly Splice[], isRead = false): Rope | undefined => {
  let result = text
  for (const { at, remove, insert } of splices) {
    if (!(Number.isSafeInteger(at) && Number.isSafeInteger(remove) && at >= 0 && remove >= 0)) return undefined
    if (at + remove > result.length || (!isRead && loneSurrogate.test(insert))) return undefined
    if (splitsPair(result, at) || (remove > 0 && splitsPair(result, at + remove))) return undefined
    result = result.splice(at, remove, insert)
  }
  return result
}
