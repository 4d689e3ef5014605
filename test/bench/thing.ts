/** The items of the bench: six fields, about 120 bytes of JSON. */
import { boolean, number, schema, string } from '@weft-db/engine'

export interface Fields {
  title: string
  owner: string
  state: string
  points: number
  rank: number
  done: boolean
}

export const fieldsOf = (index: number): Fields => ({
  title: `Item number ${index} of the list`,
  owner: `person-${index % 100}`,
  state: 'open',
  points: index % 21,
  rank: index,
  done: index % 3 === 0,
})
export const keyOf = (index: number): string => `item-${index.toString(36).padStart(6, '0')}`

export const sumOf = (fields: Fields): number =>
  fields.title.length + fields.owner.length + fields.state.length + fields.points + fields.rank + (fields.done ? 1 : 0)

export const Thing = schema('thing', 1, {
  title: string(),
  owner: string(),
  state: string(),
  points: number(),
  rank: number(),
  done: boolean(),
})
