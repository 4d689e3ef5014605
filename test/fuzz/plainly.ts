/** Item values in one form, whatever the order in which a replica counted: to compare replicas with one another and with the oracle. */
import { isWellFormed } from '../../packages/engine/src/bytes/bytes.ts'
import { Draft } from '../../packages/engine/src/edit/draft.ts'
import type { MergedItem } from '../../packages/engine/src/merge/item.ts'
import type { Plainly } from '../../packages/engine/src/merge/oracle.ts'
import type { ItemState } from '../../packages/engine/src/merge/state.ts'
import { isScalar, type Scalar } from '../../packages/engine/src/schema/field.ts'
import { fieldNamed } from '../../packages/engine/src/schema/schema.ts'

export type Value = Pick<Plainly, 'presence' | 'fields'>

const inOrder = (list: unknown[][]): unknown[][] =>
  list
    .map((one) => ({ one, name: JSON.stringify(one) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ one }) => one)

const units = (value: Scalar): number => 8 + (typeof value === 'string' ? value.length : 0)

/** Ids for node numbers, everything sorted, nothing for fields that hold nothing. Throws when a size is not the one of what is held. */
export const plainly = (item: MergedItem, state: ItemState = item.value()): Value => {
  const fields: Record<string, unknown> = {}
  for (const name of item.schema.names) {
    const held = state.fields.get(name)
    let size: number | undefined
    if (held?.kind === 'register') fields[name] = [held.value, held.stamp.id]
    else if (held?.kind === 'elements') {
      size = [...held.byTag.values()].reduce<number>((sum, value) => sum + units(value), 0)
      if (held.byTag.size > 0) fields[name] = inOrder([...held.byTag])
    } else if (held?.kind === 'entries') {
      const entries = [...held.byKey].flatMap(([key, puts]) => puts.map(({ tag, value }) => ({ key, tag, value })))
      size = entries.reduce((sum, { key, value }) => sum + key.length + units(value), 0)
      if (entries.length > 0) fields[name] = inOrder(entries.map(({ key, tag, value }) => [key, tag, value]))
    } else if (held?.kind === 'text' && held.rope.length > 0) {
      const text = held.rope.toString()
      if (!isWellFormed(text) || text.length !== held.rope.length) throw new Error(`${name} holds half a character`)
      fields[name] = text
    }
    if (size !== undefined && held !== undefined && 'size' in held && held.size !== size)
      throw new Error(`${name} counts ${held.size} units for ${size}`)
  }
  return { presence: state.presence.map((index) => item.graph.node(index).id).sort((a, b) => (a < b ? -1 : 1)), fields }
}

/** Reads every field as an app does. */
export const readAll = (item: MergedItem): void => {
  const state = item.value()
  const draft = new Draft(item.schema)
  for (const name of item.schema.names) {
    const field = fieldNamed(item.schema, name)
    if (field === undefined) throw new Error(`no field ${name}`)
    if (isScalar(field)) field.toValue(draft.scalar(name, field, state))
    else if (field.kind === 'set') for (const stored of draft.elements(name, state)) field.element.toValue(stored)
    else if (field.kind === 'map') for (const [, stored] of draft.entries(name, state)) field.element.toValue(stored)
    else draft.text(name, state).toString()
  }
}
