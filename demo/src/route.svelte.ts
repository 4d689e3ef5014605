/** The address of the page as state, and the ways to change it. An address without a board leads to the one that is home. */
import { hashOf, historyHashOf, placeOf } from './address.ts'
import { boards } from './boards.svelte.ts'

const arrive = () => {
  const place = placeOf(location.hash)
  const board = place.board ?? boards.home()
  if (place.board === undefined) history.replaceState(null, '', hashOf(board))
  return { ...place, board }
}

class Route {
  #place = $state.raw(arrive())

  constructor() {
    addEventListener('hashchange', () => {
      this.#place = arrive()
    })
  }

  get board(): string {
    return this.#place.board
  }

  get card(): string | undefined {
    return this.#place.card
  }

  get view(): 'board' | 'history' {
    return this.#place.view
  }

  get invitation(): string | undefined {
    return this.#place.invitation
  }

  openBoard(board: string): void {
    location.hash = hashOf(board)
  }

  openCard(card: string): void {
    location.hash = hashOf(this.board, card)
  }

  /** A dialog tells late that it was closed: by then the address may be another one, of which nobody has heard yet. */
  closeCard(): void {
    const { board, card } = placeOf(location.hash)
    if (card !== undefined) location.hash = hashOf(board ?? this.board)
  }

  openHistory(): void {
    location.hash = historyHashOf(this.board)
  }

  /** The code was used: it does not stay in the address, nor where the way back leads. */
  leaveInvitation(): void {
    if (this.invitation === undefined) return
    history.replaceState(null, '', hashOf(this.board))
    this.#place = arrive()
  }
}

export const route = new Route()
