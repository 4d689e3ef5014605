/** The order of columns and cards: where in a list an item goes, as the `place` it takes. */
import { placeBetween } from '@weft-db/weft'

interface Placed {
  readonly place: string
}

/**
 * The place of an item that is to stand at `index` of `others` (a list in order, without the item). Two items that were put at one
 * spot at once have equal places; the item then goes behind all of them, for nothing fits between.
 */
export const placeAt = (others: readonly Placed[], index: number): string => {
  const before = others[index - 1]?.place
  const after = others.slice(Math.max(0, index)).find((other) => before === undefined || other.place > before)?.place
  return placeBetween(before, after)
}

export const placeAtEnd = (others: readonly Placed[]): string => placeBetween(others.at(-1)?.place, undefined)
