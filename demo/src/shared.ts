/** What the app and its authority agree on: the schemas of a board and who may read and write one. Loaded by both. */
import { boolean, order, read, schema, set, string, text, write } from '@weft-db/engine'

export const Column = schema('column', 1, { title: string(), place: order() })

export const Card = schema('card', 1, {
  title: string({ max: 500 }),
  done: boolean(),
  /** Key of the column it stands in. */
  column: string(),
  tags: set(string()),
  notes: text(),
  place: order(),
})

export const schemas = [Column, Card]

export const rules = [
  read('/board/:id', ({ session }) => session !== undefined),
  write('/board/:id', ({ session }) => session !== undefined),
]
