/** Values of items as `storage-reader.mjs` gives them, made of what the engine has. */
import { type ItemState, isPresent, winner } from '../../packages/engine/src/merge/state.ts'
import type { FloorItem } from './storage-reader.mjs'

type PlainState = Pick<FloorItem, 'isDeleted' | 'fields'>

/** A value without what depends on who merged it. */
export const plainly = (state: ItemState): PlainState => {
  const fields: Record<string, FloorItem['fields'][string]> = {}
  for (const [name, field] of state.fields) {
    if (field.kind === 'register') fields[name] = field.value
    else if (field.kind === 'text') fields[name] = field.rope.toString()
    else if (field.kind === 'elements') {
      const tags = Object.fromEntries([...field.byTag].map(([tag, value]) => [slashed(tag), value]))
      fields[name] = { set: [...new Set(field.byTag.values())], tags }
    } else {
      const entries = [...field.byKey]
      const shown = entries.map(([key, all]) => [key, winner(all)?.value ?? null])
      const tags = entries.flatMap(([, all]) => all.map(({ tag, value }) => [slashed(tag), value]))
      fields[name] = { map: Object.fromEntries(shown), tags: Object.fromEntries(tags) }
    }
  }
  return sorted({ isDeleted: !isPresent(state), fields })
}

const slashed = (tag: string): string => `${tag.slice(0, 64)}/${tag.slice(65)}`

/** What is in a set has no order. */
export const sorted = ({ isDeleted, fields }: PlainState) => {
  const inOrder = Object.entries(fields).map(([name, field]) => {
    const isSet = typeof field === 'object' && field !== null && field.set !== undefined
    return [name, isSet ? { ...field, set: [...(field.set ?? [])].sort() } : field]
  })
  return { isDeleted, fields: Object.fromEntries(inOrder) }
}
