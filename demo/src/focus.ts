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

/**
 * Focuses a card or column where the page shows it after a change that was just made. Changes are told in a microtask and shown in one
 * after it, so this is done before the next key is heard, and the focus is never taken back from where that key leads.
 */
const focusMoved = async (find: () => HTMLElement | null): Promise<void> => {
  await Promise.resolve()
  await tick()
  const node = find()
  if (!node) return
  node.focus({ preventScroll: true })
  node.scrollIntoView(nearest)
  // It glides to its place, and only there it is known whether it can be seen.
  await new Promise(requestAnimationFrame)
  await Promise.allSettled((node.closest('li')?.getAnimations() ?? []).map(({ finished }) => finished))
  if (document.activeElement === node) node.scrollIntoView(nearest)
}

const nearest = { block: 'nearest', inline: 'nearest' } as const

export const focusCard = (key: string): Promise<void> => focusMoved(() => cardNode(key))

export const focusColumn = (key: string): Promise<void> =>
  focusMoved(() => document.querySelector(`[data-column="${CSS.escape(key)}"] [data-columnhead]`))

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
