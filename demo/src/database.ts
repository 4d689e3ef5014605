/** The one database of the page, and the types of what it holds. */
import { type Item, open, type Repository } from '@weft-db/weft'
import { type Card, type Column, rules, schemas } from './shared.ts'

export const db = open({ url: '/', schemas, rules })

export type Board = Repository
export type CardItem = Item<typeof Card>
export type ColumnItem = Item<typeof Column>
