/** What the vectors are about, as code: the schemas they name, and values as JSON. */
import { boolean, date, map, number, order, schema, set, string, text } from '@weft-db/engine'

export const schemas = {
  thing: schema('thing', 1, {
    title: string({ max: 200 }),
    count: number({ min: -5, integer: true }),
    done: boolean(),
    due: date(),
    place: order(),
    tags: set(string()),
    marks: map(number()),
    notes: text(),
  }),
  empty: schema('empty', 2, {}),
  scalars: schema('scalars', 7, { a: string(), b: number(), c: number({ max: 0.5 }), d: set(date()), e: map(order()) }),
}

/** Bytes are `{ hex }`, sums `{ sums }`, maps `{ map }`, what is undefined is left out. */
export const jsonOf = (value: unknown): unknown => {
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString('hex') }
  if (value instanceof Uint32Array) return { sums: [...value] }
  if (value instanceof Map) return { map: [...value].map(jsonOf) }
  if (Array.isArray(value)) return value.map(jsonOf)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, held]) => (held === undefined ? [] : [[name, jsonOf(held)]])),
  )
}

export const plainOf = (json: unknown): unknown => {
  if (Array.isArray(json)) return json.map(plainOf)
  if (typeof json !== 'object' || json === null) return json
  if ('hex' in json) return new Uint8Array(Buffer.from(String(json.hex), 'hex'))
  if ('sums' in json && Array.isArray(json.sums) && !('kind' in json)) return Uint32Array.from(json.sums.map(Number))
  if ('map' in json && Array.isArray(json.map))
    return new Map(json.map.map((entry) => plainOf(entry) as [string, unknown]))
  return Object.fromEntries(Object.entries(json).map(([name, held]) => [name, plainOf(held)]))
}
