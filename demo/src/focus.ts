/** Moves the keyboard's place on the board: between cards by direction, and back to a card that has just been moved. */
import { tick } from 'svelte'

export type Direction = 'up' | 'down' | 'left' | 'right'

const directions: Readonly<Record<string, Direction>> = {
  ArrowUp: 'up',
  ArrowDown: 'down',
  ArrowLeft: 'left',
  ArrowRight: 'right',
}

export const directionOf = (event: KeyboardEvent): Direction | undefined => directions[event.key]

const cardNode = (key: string): HTMLElement | null => document.querySelector(`[data-card="${CSS.escape(key)}"]`)

/** Focuses a card or column by selector once the page shows it where it is now. */
const focusSoon = async (find: () => HTMLElement | null): Promise<void> => {
  for (let turn = 0; turn < 3; turn++) {
    await (turn === 0 ? tick() : new Promise(requestAnimationFrame))
    const node = find()
    if (!node) continue
    if (document.activeElement !== node) node.focus({ preventScroll: true })
    node.scrollIntoView({ block: 'nearest', inline: 'nearest' })
  }
}

export const focusCard = (key: string): Promise<void> => focusSoon(() => cardNode(key))

export const focusColumn = (key: string): Promise<void> =>
  focusSoon(() => document.querySelector(`[data-column="${CSS.escape(key)}"] [data-columnhead]`))

/** The card next to this one in a direction; sideways, the one at about the same height in the next column that has cards. */
export const neighbour = (node: HTMLElement, direction: Direction): HTMLElement | undefined => {
  const column = node.closest('[data-lane]')
  if (!column) return undefined
  if (direction === 'up' || direction === 'down') {
    const cards = [...column.querySelectorAll<HTMLElement>('[data-card]')]
    return cards[cards.indexOf(node) + (direction === 'up' ? -1 : 1)]
  }
  const columns = [...document.querySelectorAll('[data-lane]')]
  const at = columns.indexOf(column)
  const onwards = direction === 'left' ? columns.slice(0, at).reverse() : columns.slice(at + 1)
  const top = node.getBoundingClientRect().top
  for (const next of onwards) {
    const cards = [...next.querySelectorAll<HTMLElement>('[data-card]')]
    cards.sort((a, b) => Math.abs(a.getBoundingClientRect().top - top) - Math.abs(b.getBoundingClientRect().top - top))
    if (cards[0]) return cards[0]
  }
  return undefined
}
