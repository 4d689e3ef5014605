/** What people do to a board, one function each. Deletions offer their undo; what the rules refuse is said. */
import { limits } from '@weft-db/engine'
import { placeBetween } from '@weft-db/weft'
import { announcements } from './announcements.svelte.ts'
import { placeAt, placeAtEnd } from './arrange.ts'
import type { Board, CardItem, ColumnItem } from './database.ts'
import { attempt } from './rejected.ts'
import { Card, Column } from './shared.ts'
import { toasts } from './toasts.svelte.ts'

export const seedColumns = (board: Board): void => {
  let place: string | undefined
  attempt(() =>
    board.transact(() => {
      for (const title of ['To do', 'Doing', 'Done']) {
        place = placeBetween(place, undefined)
        board.create(Column, { title, place })
      }
    }),
  )
}

export const addColumn = (board: Board, title: string, columns: readonly ColumnItem[]): ColumnItem =>
  board.create(Column, { title, place: placeAtEnd(columns) })

export const addCard = (board: Board, title: string, column: string, cards: readonly CardItem[]): CardItem =>
  board.create(Card, { title, column, place: placeAtEnd(cards) })

/** `others` are the cards of the column it goes to, in order, without the card. */
export const moveCard = (card: CardItem, column: string, index: number, others: readonly CardItem[]): void => {
  card.place = placeAt(others, index)
  if (card.column !== column) card.column = column
}

export const moveColumn = (column: ColumnItem, index: number, others: readonly ColumnItem[]): void => {
  column.place = placeAt(others, index)
}

/** A transaction commits first what was typed a moment ago, so that a restored card has it. */
export const deleteCard = (board: Board, card: CardItem): boolean => {
  const title = nameOf(card)
  const isDone = attempt(() => board.transact(() => board.delete(card)))
  if (isDone) offerUndo(`Deleted “${title}”`, () => board.restore(card))
  return isDone
}

/** The cards that stand in the column go with it, and come back with it. */
export const deleteColumn = (board: Board, column: ColumnItem, cards: readonly CardItem[]): void => {
  const title = column.title.trim() || 'Untitled'
  const isDone = attempt(() =>
    together(board, cards.length + 1, () => {
      for (const card of cards) board.delete(card)
      board.delete(column)
    }),
  )
  if (!isDone) return
  const along = cards.length === 0 ? '' : cards.length === 1 ? ' with its card' : ` with its ${cards.length} cards`
  offerUndo(`Deleted “${title}”${along}`, () =>
    together(board, cards.length + 1, () => {
      board.restore(column)
      for (const card of cards) board.restore(card)
    }),
  )
}

/** All or nothing, as long as one commit holds that many changes. */
const together = (board: Board, changes: number, change: () => void): void => {
  if (changes <= limits.changes) board.transact(change)
  else change()
}

export const nameOf = (card: CardItem): string => shortened(card.title.trim() || 'Untitled card')

const shortened = (title: string): string => (title.length > 60 ? `${title.slice(0, 58)}…` : title)

const offerUndo = (text: string, undo: () => void): void => {
  toasts.show(text, {
    label: 'Undo',
    run: () => {
      if (attempt(undo)) announcements.say('Restored')
    },
  })
}
