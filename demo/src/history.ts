/** What was done on a board, in words. */
import type { Activity, ActivityChange } from '@weft-db/weft'
import type { Board } from './database.ts'
import { Card, Column } from './shared.ts'

/** `text` without its dot: `moved “Ship it” to Doing`. */
export interface Deed {
  readonly text: string
  /** Why it does not count; undefined when it does, or still waits. */
  readonly refused: string | undefined
}

const shorter = (title: string): string => (title.length > 80 ? `${title.slice(0, 78)}…` : title)

const titleIn = (values: { readonly [name: string]: unknown } | null): string => {
  const title = values?.['title']
  return typeof title === 'string' ? title.trim() : ''
}

/** The name an item has now; of what is gone, the one it had then. */
const nameOf = (board: Board, change: ActivityChange): string => {
  const { key, schema } = change
  const item = schema === Column.name ? board.item(Column, key) : board.item(Card, key)
  const name = item?.title.trim() || titleIn(change.assigned) || titleIn(change.before) || titleIn(change.after)
  return `“${shorter(name || 'Untitled')}”`
}

const columnName = (board: Board, key: unknown): string => {
  const title = typeof key === 'string' ? board.item(Column, key)?.title.trim() : undefined
  return title ? ` to ${shorter(title)}` : ''
}

const edited = (board: Board, { schema, fields, assigned }: ActivityChange, name: string): string[] => {
  const has = (field: string): boolean => fields.includes(field)
  const said: string[] = []
  if (has('title')) {
    const title = titleIn(assigned)
    said.push(title ? `changed a title to “${shorter(title)}”` : `emptied the title of ${name}`)
  }
  if (has('done')) said.push(assigned['done'] === true ? `marked ${name} as done` : `marked ${name} as not done`)
  if (has('notes')) said.push(`edited the notes of ${name}`)
  if (has('tags')) said.push(`changed the tags of ${name}`)
  if (has('column')) said.push(`moved ${name}${columnName(board, assigned['column'])}`)
  else if (has('place')) said.push(schema === Column.name ? `moved the column ${name}` : `moved ${name}`)
  return said
}

const said = (board: Board, change: ActivityChange): string => {
  const kind = change.schema === Column.name ? 'column' : 'card'
  const name = nameOf(board, change)
  switch (change.kind) {
    case 'create': {
      const title = titleIn(change.assigned)
      return `added the ${kind} ${title ? `“${shorter(title)}”` : name}`
    }
    case 'delete':
      return `deleted the ${kind} ${name}`
    case 'restore':
      return `brought back the ${kind} ${name}`
    default:
      return edited(board, change, name).join(', ') || `joined what was written to ${name} at once`
  }
}

/** One for each item; alike refusals are told once, at the first. */
export const deedsOf = (
  board: Board,
  { changes, waits }: Activity,
  reasonOf: (change: ActivityChange) => string,
): readonly Deed[] =>
  changes.map((change) => ({
    text: said(board, change),
    refused: change.why === undefined || waits ? undefined : reasonOf(change),
  }))
