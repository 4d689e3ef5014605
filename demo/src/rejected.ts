/** Own work that does not count: said once when it is refused, listed where access ended, and given out as a file. */
import { type Rejection, WeftError } from '@weft-db/weft'
import { type Board, db } from './database.ts'
import { download } from './download.ts'
import { failureOf } from './failure.ts'
import { Card, Column } from './shared.ts'
import { toasts } from './toasts.svelte.ts'

const isDenial = ({ code }: { readonly code: string }): boolean => code === 'NotAllowed' || code === 'NoRule'

/** From here on the page says why the rules refuse what is being done. What came out of the log was said when it happened. */
export const sayRefusals = (): void => {
  db.onRejected((rejection) => {
    if (isDenial(rejection) && rejection.commit === undefined) toasts.say(rejection.reason)
  })
}

/** Runs what the rules may refuse as a whole; says why when they do. */
export const attempt = (change: () => void): boolean => {
  try {
    change()
    return true
  } catch (problem) {
    if (!(problem instanceof WeftError)) throw problem
    const { sentence, remedy } = failureOf(problem)
    toasts.say(problem.reason ?? `${sentence} ${remedy}`)
    return false
  }
}

/** What was written and did not count because access ended before it arrived, or the board was somebody else's. */
export const lostOn = (board: Board): readonly Rejection[] =>
  board.rejections.filter((rejection) => rejection.commit !== undefined && !isDenial(rejection))

const textOf = (value: unknown): string => (typeof value === 'string' ? value.trim() : '')

/** One line of the list: what it was about. */
export const lineOf = (board: Board, { schema, key, content }: Rejection): string => {
  const kind = schema === Column.name ? 'column' : 'card'
  const item = schema === Column.name ? board.item(Column, key) : board.item(Card, key)
  const title = textOf(content?.['title']) || item?.title || 'Untitled'
  if (content === null) return `Deleted the ${kind} “${title}”`
  const notes = textOf(content['notes'])
  return notes ? `The ${kind} “${title}”: ${notes.slice(0, 80)}` : `The ${kind} “${title}”`
}

/** All of it as a JSON file: the rejections as the replica keeps them, with the content that was written. */
export const exportLost = (board: Board): void => {
  const content = { board: board.path, exported: new Date().toISOString(), rejections: lostOn(board) }
  download(`${board.path.split('/').at(-1) ?? 'board'}-not-saved.json`, content)
}
