/** The address of the page as state, and the ways to change it. */
import { hashOf, placeOf } from './address.ts'

class Route {
  #place = $state(placeOf(location.hash))

  constructor() {
    addEventListener('hashchange', () => {
      this.#place = placeOf(location.hash)
    })
  }

  get board(): string {
    return this.#place.board
  }

  get card(): string | undefined {
    return this.#place.card
  }

  openBoard(board: string): void {
    location.hash = hashOf(board)
  }

  openCard(card: string): void {
    location.hash = hashOf(this.board, card)
  }

  closeCard(): void {
    if (this.card !== undefined) location.hash = hashOf(this.board)
  }
}

export const route = new Route()
