/** An item with fields of all kinds, and what an honest author may write on a value of it. */
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import { emptyState, type ItemState, ropeOf } from '../../packages/engine/src/merge/state.ts'
import { boolean, date, map, number, order, set, string, text } from '../../packages/engine/src/schema/field.ts'
import { schema } from '../../packages/engine/src/schema/schema.ts'
import type { Stream } from '../sim/random.ts'

export const Thing = schema('thing', 1, {
  title: string({ max: 8 }),
  count: number({ min: -5, max: 1e15 }),
  whole: number({ integer: true }),
  done: boolean(),
  due: date(),
  place: order(),
  tags: set(string()),
  numbers: set(number()),
  marks: map(number()),
  names: map(string({ max: 300 })),
  notes: text(),
  more: text(),
})

/** Operations that can be applied to the value. */
export const fittingOperations = (draw: Stream, state: ItemState = emptyState): Operation[] => {
  const operations: Operation[] = []
  let length = ropeOf(state, 'notes').length
  for (let left = 1 + draw.int(3); left > 0; left--) {
    const value = draw.pick(['a', 'bc', 'def'])
    switch (draw.int(9)) {
      case 0:
        operations.push({ kind: 'assign', field: 'title', value: draw.pick(['a', 'locked', 'open', 'open']) })
        break
      case 1:
        operations.push({ kind: 'assign', field: 'count', value: draw.int(100) })
        break
      case 2:
        operations.push({ kind: 'add', field: 'tags', value })
        break
      case 3:
        operations.push({ kind: 'put', field: 'marks', entry: [value, draw.int(9)] })
        break
      case 4: {
        const held = state.fields.get('tags')
        if (held?.kind === 'elements' && held.byTag.size > 0)
          operations.push({ kind: 'remove', field: 'tags', tags: [...held.byTag.keys()].slice(0, 2) })
        break
      }
      case 5: {
        const held = state.fields.get('marks')
        if (held?.kind === 'entries' && held.byKey.size > 0) {
          const [puts = []] = held.byKey.values()
          operations.push({ kind: 'drop', field: 'marks', tags: puts.map(({ tag }) => tag) })
        }
        break
      }
      case 6:
        operations.push(draw.chance(0.2) ? { kind: 'delete' } : { kind: 'touch' })
        break
      default: {
        const at = draw.int(length + 1)
        const remove = draw.chance(0.3) ? draw.int(Math.min(3, length - at) + 1) : 0
        operations.push({ kind: 'splice', field: 'notes', at, remove, length: value.length, insert: value })
        length += value.length - remove
      }
    }
  }
  return operations
}
