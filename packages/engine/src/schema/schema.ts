/**
 * Schemas: a name, a version and fields. Types are inferred, there is no code generation. A commit names a schema by name, version
 * and the hash of its definition, so that two apps that mean different things by one name never read each other's changes.
 */

import { isWellFormed, utf8Length } from '../bytes/bytes.ts'
import { encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { WeftError } from '../bytes/refusal.ts'
import {
  type Field,
  fieldDefinition,
  type MapField,
  type ScalarField,
  type ScalarValue,
  type SetField,
} from './field.ts'
import type { MapHandle, SetHandle, TextHandle } from './handle.ts'

export type Fields = Readonly<Record<string, Field>>

export interface Schema<F extends Fields = Fields> {
  readonly name: string
  readonly version: number
  readonly fields: F
  /** Field names in definition order, sorted. */
  readonly names: readonly string[]
  /** Canonical bytes whose SHA-256 names the definition. */
  readonly definition: Uint8Array
}

/** What a field is on an item: scalars are assigned, the others are handles. */
export type FieldValue<F extends Field> =
  F extends ScalarField<infer V>
    ? V
    : F extends SetField<infer V>
      ? SetHandle<V>
      : F extends MapField<infer V>
        ? MapHandle<V>
        : TextHandle

type ScalarNames<F extends Fields> = { [N in keyof F]: F[N] extends ScalarField ? N : never }[keyof F]
type HandleNames<F extends Fields> = Exclude<keyof F, ScalarNames<F>>

/** An item of a schema: scalar fields are read and assigned, text, set and map fields are handles. */
export type Item<S extends Schema = Schema> =
  S extends Schema<infer F>
    ? { -readonly [N in ScalarNames<F>]: FieldValue<F[N]> } & { readonly [N in HandleNames<F>]: FieldValue<F[N]> }
    : never

/** What `create` takes: any of the fields; sets from iterables, maps from entries or objects, text from strings. */
export type Initial<S extends Schema> =
  S extends Schema<infer F>
    ? {
        [N in keyof F]?: F[N] extends ScalarField<infer V>
          ? V
          : F[N] extends SetField<infer V>
            ? Iterable<V>
            : F[N] extends MapField<infer V>
              ? Readonly<Record<string, V>>
              : string
      }
    : never

const fieldName = /^[a-z][A-Za-z0-9]{0,63}$/

/**
 * Defines a schema. Throws `BadSchema` when a name is empty, too long or not usable as a property, or the version is not a
 * positive integer.
 */
export const schema = <const F extends Fields>(name: string, version: number, fields: F): Schema<F> => {
  if (name === '' || !isWellFormed(name) || utf8Length(name) > limits.nameBytes)
    throw new WeftError('BadSchema', `the name "${name}"`)
  if (!Number.isInteger(version) || version < 1 || version > 0xffff_ffff)
    throw new WeftError('BadSchema', `${name}: the version ${version}`)
  const names = Object.keys(fields).sort((a, b) => (a < b ? -1 : 1))
  for (const field of names) {
    if (!fieldName.test(field) || field in Object.prototype)
      throw new WeftError('BadSchema', `${name}: the field name "${field}"`)
  }
  const definition: Plain = [name, version, names.map((field) => [field, fieldDefinition(fieldOf(fields, field))])]
  return { name, version, fields, names, definition: encode(definition) }
}

const fieldOf = (fields: Fields, name: string): Field => {
  const field = fields[name]
  if (field === undefined) throw new WeftError('BadSchema', `no field "${name}"`)
  return field
}

/** The field of that name, or undefined; never a property of the prototype. */
export const fieldNamed = (schema: Schema, name: string): Field | undefined =>
  Object.hasOwn(schema.fields, name) ? schema.fields[name] : undefined

export type { ScalarValue }
