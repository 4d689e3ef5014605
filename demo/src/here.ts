/**
 * Who is on a board, and where on it: everybody tells which card they have open, and where in its notes the caret is. A position counts in
 * the text of whoever tells it, so its length is told too: elsewhere the text may have arrived later, or earlier.
 */
import { number, type Presence, string } from '@weft-db/weft'
import type { Board } from './database.ts'

const position = number({ integer: true, min: 0 })
const fields = { card: string({ max: 100 }), anchor: position, head: position, length: position }

/** A selection in the notes of a card, in UTF-16 units; `length` is that of the whole text. */
export interface Caret {
  readonly anchor: number
  readonly head: number
  readonly length: number
}

/** Somebody else's. */
export interface NamedCaret extends Caret {
  readonly session: string
  readonly name: string
}

type Room = Pick<Presence<typeof fields>, 'set' | 'others'>

export class Here {
  readonly #room: Room
  #isHere = false
  #card: string | undefined
  #caret: { readonly card: string; readonly caret: Caret } | undefined

  constructor(room: Room) {
    this.#room = room
  }

  /** This person is on the board, with that card open. */
  come(card: string | undefined): void {
    this.#isHere = true
    this.#card = card
    this.#tell()
  }

  leave(): void {
    if (!this.#isHere) return
    this.#isHere = false
    this.#tell()
  }

  /** Where the caret is in the notes of a card; undefined when it is in no text any more. */
  point(card: string, caret: Caret | undefined): void {
    if (caret === undefined && this.#caret?.card !== card) return
    this.#caret = caret && { card, caret }
    this.#tell()
  }

  /** Everybody else, by session. */
  get others(): Room['others'] {
    return this.#room.others
  }

  /** Carets of others in the notes of a card. */
  caretsIn(card: string): NamedCaret[] {
    return this.others.flatMap(({ session, name, state }) => {
      const { anchor, head, length } = state
      if (state.card !== card || anchor === undefined || head === undefined || length === undefined) return []
      return [{ session, name, anchor, head, length }]
    })
  }

  #tell(): void {
    const [card, caret] = [this.#card, this.#caret]
    if (!this.#isHere) this.#room.set(undefined)
    else if (card === undefined) this.#room.set({})
    else this.#room.set({ card, ...(caret?.card === card && caret.caret) })
  }
}

const boards = new WeakMap<Board, Here>()

export const hereOn = (board: Board): Here => {
  const known = boards.get(board) ?? new Here(board.presence(fields))
  boards.set(board, known)
  return known
}
