/** An item's value as rules and exports see it: plain, immutable, and the same wherever the state is. */
import type { Scalar } from '../schema/field.ts'
import type { Schema } from '../schema/schema.ts'
import type { FieldState } from './fields.ts'
import { type ItemState, isPresent, ropeOf, scalarOf, winner, withoutErased } from './state.ts'

/** A set as its distinct elements, sorted; a map as an object without prototype; a text as a string; a date as ms since 1970. */
export type FieldValue = Scalar | readonly Scalar[] | Readonly<Record<string, Scalar>>

export type Values = Readonly<Record<string, FieldValue>>

const kindRank = (value: Scalar): number =>
  value === null ? 0 : typeof value === 'boolean' ? 1 : typeof value === 'number' ? 2 : 3

/** An order of all scalars that no locale bends. */
const compareScalars = (a: Scalar, b: Scalar): number => {
  const ranks = kindRank(a) - kindRank(b)
  if (ranks !== 0) return ranks
  return a === null || b === null || a === b ? 0 : a < b ? -1 : 1
}

const elementsOf = (state: FieldState | undefined): readonly Scalar[] =>
  state?.kind === 'elements'
    ? Object.freeze([...new Set(state.byTag.values())].sort(compareScalars))
    : Object.freeze([])

const entriesOf = (state: FieldState | undefined): Readonly<Record<string, Scalar>> => {
  const entries: Record<string, Scalar> = Object.create(null)
  if (state?.kind === 'entries') {
    for (const key of [...state.byKey.keys()].sort((a, b) => (a < b ? -1 : 1))) {
      const entry = winner(state.byKey.get(key) ?? [])
      if (entry !== undefined) entries[key] = entry.value
    }
  }
  return Object.freeze(entries)
}

/** All fields of the item, or null when it is not there. A field is computed when it is first looked at. */
export const valuesOf = (state: ItemState, schema: Schema): Values | null => {
  if (!isPresent(state)) return null
  const values: Record<string, FieldValue> = Object.create(null)
  for (const name of schema.names) {
    const field = schema.fields[name]
    if (field === undefined) continue
    const compute = (): FieldValue => {
      if (field.kind === 'text') return withoutErased(ropeOf(state, name).toString())
      const held = state.fields.get(name)
      if (field.kind === 'set') return elementsOf(held)
      if (field.kind === 'map') return entriesOf(held)
      return scalarOf(state, name, field)
    }
    let known: { readonly value: FieldValue } | undefined
    Object.defineProperty(values, name, {
      enumerable: true,
      get: () => {
        known ??= { value: compute() }
        return known.value
      },
    })
  }
  return Object.freeze(values)
}
