/**
 * Field types. A field says which values it takes, what it is when nobody wrote it, and (by its kind) how concurrent edits merge.
 * What a field accepts is part of the schema's definition and so of its hash: replicas that agree on the hash agree on every check.
 */

import { isWellFormed, utf8Length } from '../bytes/bytes.ts'
import type { Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { WeftError } from '../bytes/refusal.ts'

export type ScalarKind = 'string' | 'number' | 'boolean' | 'date' | 'order'
export type Kind = ScalarKind | 'set' | 'map' | 'text'

/** A value as it stands in a commit: dates are ms since 1970, or null for none. */
export type Scalar = string | number | boolean | null

/** What a scalar field is in memory. */
export type ScalarValue = string | number | boolean | Date | null

export interface ScalarField<Value extends ScalarValue = ScalarValue> {
  readonly kind: ScalarKind
  /** Limits beyond the kind, as they stand in the definition; sorted by name when encoded. */
  readonly options: Readonly<Record<string, number | boolean>>
  /** What the field is when nobody assigned it, or when the assignment was erased. */
  readonly initial: Scalar
  accepts(value: unknown): value is Scalar
  toValue(stored: Scalar): Value
  /** Undefined when the value is not of the field's type at all; `accepts` judges the rest. */
  toStored(value: unknown): Scalar | undefined
}

export interface SetField<Value extends ScalarValue = ScalarValue> {
  readonly kind: 'set'
  readonly element: ScalarField<Value>
}

export interface MapField<Value extends ScalarValue = ScalarValue> {
  readonly kind: 'map'
  readonly element: ScalarField<Value>
}

export interface TextField {
  readonly kind: 'text'
}

export type Field = ScalarField | SetField | MapField | TextField

export const isScalar = (field: Field): field is ScalarField =>
  field.kind !== 'set' && field.kind !== 'map' && field.kind !== 'text'

const plainOptions = (options: Record<string, number | boolean | undefined>): Record<string, number | boolean> => {
  const kept: Record<string, number | boolean> = {}
  for (const [name, value] of Object.entries(options)) if (value !== undefined) kept[name] = value
  return kept
}

/** Bytes of UTF-8: four of the longest strings still fit a commit, so there is no value that cannot be written. */
const longestString = 65_536

/** Text that is replaced as a whole: the later assignment wins. `max`: bytes of UTF-8, at most 65,536, which it is unless told. */
export const string = (options: { max?: number } = {}): ScalarField<string> => {
  const max = options.max ?? longestString
  if (!Number.isInteger(max) || max < 0 || max > longestString)
    throw new WeftError('BadSchema', `string of at most ${max} bytes`)
  return {
    kind: 'string',
    options: plainOptions(options),
    initial: '',
    accepts: (value): value is string => typeof value === 'string' && isWellFormed(value) && utf8Length(value) <= max,
    toValue: (stored) => (typeof stored === 'string' ? stored : ''),
    toStored: (value) => (typeof value === 'string' ? value : undefined),
  }
}

/** A finite number: the later assignment wins. */
export const number = (options: { min?: number; max?: number; integer?: boolean } = {}): ScalarField<number> => {
  const { min, max, integer = false } = options
  for (const bound of [min, max]) {
    if (bound !== undefined && !(Number.isFinite(bound) && !Object.is(bound, -0)))
      throw new WeftError('BadSchema', `a bound of ${bound}`)
  }
  if (min !== undefined && max !== undefined && min > max)
    throw new WeftError('BadSchema', `numbers from ${min} to ${max}`)
  const accepts = (value: unknown): value is number =>
    typeof value === 'number' &&
    Number.isFinite(value) &&
    !Object.is(value, -0) &&
    (min === undefined || value >= min) &&
    (max === undefined || value <= max) &&
    (!integer || Number.isInteger(value))
  return {
    kind: 'number',
    options: plainOptions(options),
    initial: 0,
    accepts,
    toValue: (stored) => (typeof stored === 'number' ? stored : 0),
    toStored: (value) => (typeof value === 'number' ? (value === 0 ? 0 : value) : undefined),
  }
}

export const boolean = (): ScalarField<boolean> => ({
  kind: 'boolean',
  options: {},
  initial: false,
  accepts: (value): value is boolean => typeof value === 'boolean',
  toValue: (stored) => stored === true,
  toStored: (value) => (typeof value === 'boolean' ? value : undefined),
})

/** A moment, or null for none. Kept in whole milliseconds. */
export const date = (): ScalarField<Date | null> => ({
  kind: 'date',
  options: {},
  initial: null,
  accepts: (value): value is number | null =>
    value === null ||
    (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 8.64e15 && !Object.is(value, -0)),
  toValue: (stored) => (typeof stored === 'number' ? new Date(stored) : null),
  toStored: (value) => (value === null ? null : value instanceof Date ? value.getTime() : undefined),
})

/** A place among siblings, a fractional key made by `placeBetween`; ties are broken by item key. */
export const order = (): ScalarField<string> => ({
  kind: 'order',
  options: {},
  initial: '',
  accepts: (value): value is string =>
    typeof value === 'string' && value.length <= limits.orderLength && /^(?:|[0-9A-Za-z]*[1-9A-Za-z])$/.test(value),
  toValue: (stored) => (typeof stored === 'string' ? stored : ''),
  toStored: (value) => (typeof value === 'string' ? value : undefined),
})

/** Distinct scalars: an addition beats a concurrent removal. */
export const set = <Value extends ScalarValue>(element: ScalarField<Value>): SetField<Value> => ({
  kind: 'set',
  element,
})

/** Scalars by text key: an edit beats a concurrent removal, else the later one wins. */
export const map = <Value extends ScalarValue>(element: ScalarField<Value>): MapField<Value> => ({
  kind: 'map',
  element,
})

/** Text that several people type into at once. Positions are UTF-16 code units. */
export const text = (): TextField => ({ kind: 'text' })

/** The part of a schema's definition that this field makes. */
export const fieldDefinition = (field: Field): Plain => {
  if (field.kind === 'text') return [field.kind]
  if (field.kind === 'set' || field.kind === 'map') return [field.kind, fieldDefinition(field.element)]
  return [field.kind, new Map(Object.entries(field.options).sort(([a], [b]) => (a < b ? -1 : 1)))]
}
