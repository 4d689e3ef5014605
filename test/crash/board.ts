/** What the killed server and its clients agree on. */
import { number, schema, string, text } from '@weft-db/engine'

export const path = '/board/crash'
export const Card = schema('card', 1, { title: string(), votes: number({ integer: true }), notes: text() })
