/** The board as lanes: each column with its cards in order, and where one step with the keyboard takes a card. */
import { keyOf } from '@weft-db/weft'
import type { CardItem, ColumnItem } from './database.ts'
import type { Direction } from './focus.ts'

export interface Lane {
  readonly key: string
  readonly column: ColumnItem
  readonly cards: readonly CardItem[]
}

export interface Step {
  readonly lane: Lane
  readonly index: number
  /** The cards of that lane without the one that moves. */
  readonly others: readonly CardItem[]
}

/** `strays` are cards whose column is gone, for instance because it was deleted while someone put them there. */
export const lanesOf = (
  columns: readonly ColumnItem[],
  cards: readonly CardItem[],
): { lanes: readonly Lane[]; strays: readonly CardItem[] } => {
  const byColumn = new Map<string, CardItem[]>(columns.map((column) => [keyOf(column), []]))
  const strays: CardItem[] = []
  for (const card of cards) (byColumn.get(card.column) ?? strays).push(card)
  const lanes = columns.map((column) => ({ key: keyOf(column), column, cards: byColumn.get(keyOf(column)) ?? [] }))
  return { lanes, strays }
}

export const withoutKey = <Item extends object>(items: readonly Item[], key: string): readonly Item[] =>
  items.filter((item) => keyOf(item) !== key)

/** Where one step takes the card; undefined at the edge of the board. A stray steps into the first or the last lane. */
export const stepOf = (lanes: readonly Lane[], card: CardItem, direction: Direction): Step | undefined => {
  const key = keyOf(card)
  const at = lanes.findIndex((lane) => lane.key === card.column)
  const from = lanes[at]
  const row = from ? from.cards.findIndex((other) => keyOf(other) === key) : 0
  if (direction === 'up' || direction === 'down') {
    if (!from) return undefined
    const others = withoutKey(from.cards, key)
    const index = row + (direction === 'up' ? -1 : 1)
    return index < 0 || index > others.length ? undefined : { lane: from, index, others }
  }
  const lane = from ? lanes[at + (direction === 'left' ? -1 : 1)] : lanes.at(direction === 'left' ? -1 : 0)
  if (!lane) return undefined
  const others = withoutKey(lane.cards, key)
  return { lane, index: Math.min(row, others.length), others }
}
