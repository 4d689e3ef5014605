/** What an item's text, set and map fields are to an app. The handles live as long as their item. */
import type { ScalarValue } from './field.ts'

/** Replaces `remove` UTF-16 units at `at` by `insert`. Several of them apply in sequence. */
export interface TextSplice {
  readonly at: number
  readonly remove: number
  readonly insert: string
}

export interface TextChange {
  readonly splices: readonly TextSplice[]
  /** `local`: made through this handle; `remote`: came from another replica, or by undoing one. */
  readonly origin: 'local' | 'remote'
}

export interface TextHandle {
  readonly length: number
  toString(): string
  slice(from?: number, to?: number): string
  insert(at: number, text: string): void
  remove(at: number, length: number): void
  /** Positions outside the text, or inside a surrogate pair, are moved to the nearest place that is neither. */
  splice(at: number, remove: number, insert: string): void
  /** Makes the text equal to `text`, writing only the part that differs. */
  replace(text: string): void
  /** Every change of the visible text, as splices on the text before it. Returns the function that ends it. */
  subscribe(listener: (change: TextChange) => void): () => void
}

export interface SetHandle<Value extends ScalarValue> extends Iterable<Value> {
  readonly size: number
  has(value: Value): boolean
  add(value: Value): void
  delete(value: Value): void
  values(): Value[]
}

export interface MapHandle<Value extends ScalarValue> extends Iterable<[string, Value]> {
  readonly size: number
  has(key: string): boolean
  get(key: string): Value | undefined
  set(key: string, value: Value): void
  delete(key: string): void
  keys(): string[]
  entries(): [string, Value][]
}
