/**
 * What the state line says. It never says more than is so: a change counts as saved by the server only when nothing of this
 * device is outstanding there.
 */
import { countOf } from './connections.ts'
import type { db } from './database.ts'

export type Status = typeof db.status

export interface StateLine {
  readonly tone: 'saved' | 'kept' | 'busy' | 'connecting' | 'refused' | 'offline'
  readonly text: string
  /** A number of waiting changes, where one helps. */
  readonly waiting: number
}

/**
 * `refused`: cards with a value that their schema refuses; they are not saved until somebody changes it. `blank`: nothing was ever
 * written that could be saved. `direct`: people to whom what is written goes without the server.
 */
export const stateLineOf = (status: Status, refused = 0, blank = false, direct = 0): StateLine => {
  const inMemory = status.storage === 'memory'
  const waiting = status.unacknowledged
  if (status.connection === 'offline') {
    if (status.authStale !== undefined) return { tone: 'offline', text: 'No news from the server', waiting }
    if (direct > 0) return { tone: 'offline', text: `Without the server: ${countOf(direct)}`, waiting }
    const where = inMemory ? 'in this tab only' : 'on this device'
    return { tone: 'offline', text: `Offline: changes are kept ${where}`, waiting }
  }
  if (refused > 0 && status.unsaved <= refused) {
    return {
      tone: 'refused',
      text: refused === 1 ? 'One card is not saved' : `${refused} cards are not saved`,
      waiting: 0,
    }
  }
  if (status.problem !== undefined && status.unsaved > 0) {
    return { tone: 'refused', text: 'Not saved on this device yet', waiting: 0 }
  }
  if (status.unsaved > 0) return { tone: 'busy', text: 'Saving…', waiting: 0 }
  if (waiting > 0) {
    const where = inMemory ? 'Kept in this tab' : 'Saved on this device'
    return { tone: 'kept', text: `${where}, waiting for the server`, waiting }
  }
  if (status.connection === 'connecting') return { tone: 'connecting', text: 'Connecting to the server…', waiting: 0 }
  return { tone: 'saved', text: blank ? 'Connected' : 'Saved on the server', waiting: 0 }
}

/**
 * Higher is safer. The line goes down at once and up only when it has settled, so that typing does not make it flicker. The first
 * connection is no flicker: the cards that came with it already say that they are saved.
 */
export const needsToSettle = (shown: StateLine, next: StateLine): boolean =>
  shown.tone !== 'connecting' && safety[next.tone] > safety[shown.tone]

const safety = { busy: 0, connecting: 0, refused: 0, offline: 1, kept: 2, saved: 3 } as const
