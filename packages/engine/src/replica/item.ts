/**
 * The objects an app reads and writes: one class a schema, with an accessor for each field. What is not a field is a free function, so
 * that no name collides with a field.
 */
import { isScalar } from '../schema/field.ts'
import { fieldNamed, type Item, type Schema } from '../schema/schema.ts'
import { handleOf } from './handles.ts'
import type { LiveItem } from './live.ts'

const live = Symbol('weft.live')

interface Facade {
  readonly [live]: LiveItem
}

/** Makes the items of one schema. */
export const itemClass = (schema: Schema): ((of: LiveItem) => Item) => {
  class WeftItem implements Facade {
    declare readonly [live]: LiveItem

    constructor(of: LiveItem) {
      Object.defineProperty(this, live, { value: of })
    }

    toJSON(): Record<string, unknown> {
      const values: Record<string, unknown> = {}
      for (const name of schema.names) values[name] = Reflect.get(this, name)
      return values
    }
  }
  for (const name of schema.names) {
    const field = fieldNamed(schema, name)
    if (field === undefined) continue
    if (isScalar(field)) {
      Object.defineProperty(WeftItem.prototype, name, {
        enumerable: true,
        get(this: Facade) {
          return this[live].scalar(name, field)
        },
        set(this: Facade, value: unknown) {
          this[live].assign(name, value)
        },
      })
      continue
    }
    const handles = new WeakMap<Facade, unknown>()
    Object.defineProperty(WeftItem.prototype, name, {
      enumerable: true,
      get(this: Facade) {
        const held = handles.get(this)
        if (held !== undefined) return held
        const made = handleOf(this[live], name, field)
        handles.set(this, made)
        return made
      },
    })
  }
  // The accessors defined above are exactly the fields of the schema.
  return (of) => new WeftItem(of) as object as Item
}

/** The live item behind an object an app holds. Throws a TypeError for anything else. */
export const liveOf = (item: object): LiveItem => {
  const of = (item as Partial<Facade>)[live]
  if (of === undefined) throw new TypeError('not an item of a repository')
  return of
}

/** The item's key, unique in its repository. */
export const keyOf = (item: object): string => liveOf(item).key
