/**
 * The tabs of one browser. Each is a person of its own to the server, so a second tab on one's own board would be a stranger there: it asks
 * the others, and one where the owner is at work lets it in.
 */
import { type Board, db } from './database.ts'
import { standingOf } from './standing.ts'

const channel = typeof BroadcastChannel === 'undefined' ? undefined : new BroadcastChannel('weft-demo')

interface Asking {
  readonly path: string
  readonly owner: string
}

const isAsking = (message: unknown): message is Asking =>
  typeof message === 'object' &&
  message !== null &&
  'path' in message &&
  'owner' in message &&
  typeof message.path === 'string' &&
  typeof message.owner === 'string'

channel?.addEventListener('message', ({ data: message }: MessageEvent<unknown>) => {
  if (!isAsking(message)) return
  for (const board of db.repositories) {
    // Whoever was put out stays out.
    const wasHere = board.pipeline.log.takenAt(message.owner) !== undefined
    if (board.path !== message.path || standingOf(board) !== 'owner' || wasHere) continue
    board.grant(message.owner, 'owner', { fences: false }).catch(() => undefined)
  }
})

export const askOtherTabs = (board: Board): void => {
  const owner = db.person?.owner
  if (owner !== undefined) channel?.postMessage({ path: board.path, owner } satisfies Asking)
}
