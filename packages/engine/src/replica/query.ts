/**
 * Live lists: the items of a schema, filtered and sorted. `current` is undefined while the repository is still opening. Evaluated afresh
 * when something changed since the last look.
 */
import type { Item, Schema } from '../schema/schema.ts'
import { keyOf } from './item.ts'
import { type Readable, reportRead, unreported } from './reads.ts'

/** Scalar fields that must be equal. */
export type Equal<S extends Schema> = { readonly [N in keyof Item<S>]?: Item<S>[N] }

export interface QuerySource {
  /** Present items of the schema, in no order; undefined while opening. */
  items<S extends Schema>(schema: S): Item<S>[] | undefined
  /** Grows with every change of an item of the schema. */
  version(schema: Schema): number
  /** Tells, once a microtask, that anything changed. */
  readonly changes: Readable
}

type Filter<S extends Schema> = (item: Item<S>) => boolean
type Order<S extends Schema> = { readonly field: keyof Item<S>; readonly sign: 1 | -1 }

export class Query<S extends Schema = Schema> {
  readonly schema: S
  readonly #source: QuerySource
  readonly #filters: readonly Filter<S>[]
  readonly #orders: readonly Order<S>[]
  #version = -1
  #current: Item<S>[] | undefined

  constructor(source: QuerySource, schema: S, filters: readonly Filter<S>[] = [], orders: readonly Order<S>[] = []) {
    this.#source = source
    this.schema = schema
    this.#filters = filters
    this.#orders = orders
  }

  /** Only items with these field values, or for which the function returns true. */
  where(filter: Equal<S> | Filter<S>): Query<S> {
    const accepts = typeof filter === 'function' ? filter : equalTo<S>(filter)
    return new Query(this.#source, this.schema, [...this.#filters, accepts], this.#orders)
  }

  /** Sorts by the field, after the fields named before; at last by item key, so that the order is the same everywhere. */
  orderBy(field: keyof Item<S> & string, direction: 'ascending' | 'descending' = 'ascending'): Query<S> {
    const order = { field, sign: direction === 'ascending' ? 1 : -1 } as const
    return new Query(this.#source, this.schema, this.#filters, [...this.#orders, order])
  }

  /** The items now. The same array while nothing changed. */
  get current(): Item<S>[] | undefined {
    reportRead(this.#source.changes)
    const version = this.#source.version(this.schema)
    if (version === this.#version && this.#current !== undefined) return this.#current
    const items = this.#source.items(this.schema)
    this.#version = version
    // Any change of an item is a change of the source: its fields need not be reported one by one.
    this.#current = unreported(() => items && this.#sorted(this.#accepted(items)))
    return this.#current
  }

  /** Calls back with the items now (unless still opening) and after every change. Returns the function that ends it. */
  subscribe(listener: (items: Item<S>[]) => void): () => void {
    let told: Item<S>[] | undefined
    const tell = (): void => {
      const items = this.current
      if (items === undefined || items === told) return
      told = items
      listener(items)
    }
    const stop = this.#source.changes.subscribe(tell)
    tell()
    return stop
  }

  #accepted(items: Item<S>[]): Item<S>[] {
    if (this.#filters.length === 0) return items
    return items.filter((item) => this.#filters.every((accepts) => accepts(item)))
  }

  /** Each field is read once an item: sorting compares it many times. */
  #sorted(items: readonly Item<S>[]): Item<S>[] {
    const columns = this.#orders.map(({ field, sign }) => ({
      sign,
      values: items.map((item) => sortable(item[field])),
    }))
    const places = items.map((_, place) => place)
    places.sort((a, b) => {
      for (const { sign, values } of columns) {
        const difference = compareSortables(values[a] ?? 0, values[b] ?? 0)
        if (difference !== 0) return difference * sign
      }
      return keyAt(items, a) < keyAt(items, b) ? -1 : 1
    })
    const sorted: Item<S>[] = []
    for (const place of places) {
      const item = items[place]
      if (item !== undefined) sorted.push(item)
    }
    return sorted
  }
}

const keyAt = (items: readonly object[], place: number): string => {
  const item = items[place]
  return item === undefined ? '' : keyOf(item)
}

const sortable = (value: unknown): string | number => {
  if (typeof value === 'string' || typeof value === 'number') return value
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value instanceof Date) return value.getTime()
  return Number.NEGATIVE_INFINITY
}

const compareSortables = (left: string | number, right: string | number): number => {
  if (typeof left === typeof right) return left < right ? -1 : left > right ? 1 : 0
  return typeof left === 'number' ? -1 : 1
}

const equalTo = <S extends Schema>(equal: Equal<S>): Filter<S> => {
  const names = Object.keys(equal) as (keyof Item<S>)[]
  return (item) => names.every((name) => compareSortables(sortable(item[name]), sortable(equal[name])) === 0)
}
