/**
 * What an item shows, to be made again: the authority voids a change whose clock was far ahead of the time, and its author's replica
 * writes the same once more, under the right time.
 */
import { isScalar, type Scalar, type ScalarValue } from '../schema/field.ts'
import type { MapHandle, SetHandle, TextHandle } from '../schema/handle.ts'
import { handleOf } from './handles.ts'
import type { LiveItem } from './live.ts'

type ShownField = ScalarValue | string | ReadonlySet<Scalar> | ReadonlyMap<string, Scalar>

/** Null when the item is not there. */
export type Shown = ReadonlyMap<string, ShownField> | null

export const shownBy = (live: LiveItem): Shown => {
  if (!live.isPresent) return null
  const shown = new Map<string, ShownField>()
  for (const name of live.schema.names) {
    const field = live.schema.fields[name]
    if (field === undefined) continue
    if (isScalar(field)) shown.set(name, live.scalar(name, field))
    else if (field.kind === 'text') shown.set(name, live.text(name).toString())
    else if (field.kind === 'set') shown.set(name, live.elements(name))
    else shown.set(name, live.entries(name))
  }
  return shown
}

/** Edits the item until it shows that again. */
export const remake = (live: LiveItem, shown: Shown): void => {
  if (shown === null) return live.delete()
  live.touch()
  for (const [name, value] of shown) {
    const field = live.schema.fields[name]
    if (field === undefined) continue
    if (isScalar(field)) {
      if (field.toStored(value) !== field.toStored(live.scalar(name, field))) live.assign(name, value)
      continue
    }
    // Each handle is the one of its field's kind.
    const handle: unknown = handleOf(live, name, field)
    if (field.kind === 'text') (handle as TextHandle).replace(String(value))
    else if (field.kind === 'set')
      remakeSet(
        handle as SetHandle<ScalarValue>,
        live.elements(name),
        value as ReadonlySet<Scalar>,
        field.element.toValue,
      )
    else
      remakeMap(
        handle as MapHandle<ScalarValue>,
        live.entries(name),
        value as ReadonlyMap<string, Scalar>,
        field.element.toValue,
      )
  }
}

const remakeSet = (
  handle: SetHandle<ScalarValue>,
  now: ReadonlySet<Scalar>,
  then: ReadonlySet<Scalar>,
  toValue: (stored: Scalar) => ScalarValue,
): void => {
  for (const element of now) if (!then.has(element)) handle.delete(toValue(element))
  for (const element of then) if (!now.has(element)) handle.add(toValue(element))
}

const remakeMap = (
  handle: MapHandle<ScalarValue>,
  now: ReadonlyMap<string, Scalar>,
  then: ReadonlyMap<string, Scalar>,
  toValue: (stored: Scalar) => ScalarValue,
): void => {
  for (const key of now.keys()) if (!then.has(key)) handle.delete(key)
  for (const [key, element] of then) if (now.get(key) !== element) handle.set(key, toValue(element))
}
