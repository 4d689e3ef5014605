/** What clients of the bench write: the same three fields as the sample commit. */
import { boolean, number, schema, string } from '@weft-db/engine'

export const Card = schema('card', 1, { title: string(), points: number(), done: boolean() })
