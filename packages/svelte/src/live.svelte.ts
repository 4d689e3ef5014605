/**
 * Live values for Svelte 5: what a query, an item or a database shows, as state that effects and templates depend on.
 *
 *     const todo = live(() => board.query(Card).where({ done: false }).orderBy('place'))
 *     {#each todo.current ?? [] as card (keyOf(card))} <input bind:value={card.title} /> {/each}
 *
 * Reading a field of an item inside an effect makes the effect depend on that item alone. The function given to `live` runs again when
 * state that it read changes, for example a filter that the user sets.
 */
import { Database, type Item, onRead, Query, type Readable, type Schema, type Status } from '@weft-db/engine'
import { createSubscriber } from 'svelte/reactivity'

/** What `live` shows: the items of a query, the status of a database, anything else as it is. */
export type Live<Value> =
  Value extends Query<infer S extends Schema> ? Item<S>[] | undefined : Value extends Database ? Status : Value

const subscribers = new WeakMap<Readable, () => void>()

onRead((read) => {
  let depend = subscribers.get(read)
  if (depend === undefined) {
    depend = createSubscriber((update) => read.subscribe(update))
    subscribers.set(read, depend)
  }
  depend()
})

const shown = (value: unknown): unknown =>
  value instanceof Query ? value.current : value instanceof Database ? value.status : value

/** `current` is what the function's value shows now: reactive wherever it is read. */
export const live = <Value>(of: () => Value): { readonly current: Live<Value> } => {
  const value = $derived(of())
  return {
    get current() {
      // The type says what `shown` does case by case.
      return shown(value) as Live<Value>
    },
  }
}
