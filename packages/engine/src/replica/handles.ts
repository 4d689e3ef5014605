/** The text, set and map fields of a live item, as an app uses them. */
import { isWellFormed, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { WeftError } from '../bytes/refusal.ts'
import { diffText } from '../merge/diff.ts'
import type { Field, Scalar, ScalarField, ScalarValue } from '../schema/field.ts'
import type { MapHandle, SetHandle, TextChange, TextHandle } from '../schema/handle.ts'
import type { LiveItem } from './live.ts'

const isHigh = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff
const isLow = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff
const lone = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/g

class Text implements TextHandle {
  readonly #live: LiveItem
  readonly #name: string

  constructor(live: LiveItem, name: string) {
    this.#live = live
    this.#name = name
  }

  get length(): number {
    return this.#live.text(this.#name).length
  }

  toString(): string {
    return this.#live.text(this.#name).toString()
  }

  toJSON(): string {
    return this.toString()
  }

  slice(from?: number, to?: number): string {
    return this.#live.text(this.#name).slice(from, to)
  }

  insert(at: number, text: string): void {
    this.splice(at, 0, text)
  }

  remove(at: number, length: number): void {
    this.splice(at, length, '')
  }

  splice(at: number, remove: number, insert: string): void {
    const text = this.#live.text(this.#name)
    const inside = (place: number): boolean =>
      place > 0 && place < text.length && isHigh(text.unitAt(place - 1)) && isLow(text.unitAt(place))
    let from = Math.min(Math.max(0, Math.trunc(at) || 0), text.length)
    let to = Math.min(Math.max(from, from + (Math.trunc(remove) || 0)), text.length)
    if (inside(from)) from--
    if (inside(to)) to++
    if (remove <= 0) to = from
    const written = insert.replace(lone, '\ufffd')
    if (to === from && written === '') return
    if (written.length > to - from && text.length - (to - from) + written.length > limits.itemBytes) {
      throw new WeftError('TooLarge', `${this.#live.schema.name}.${this.#name} takes ${limits.itemBytes} units`)
    }
    this.#live.splice(this.#name, [{ at: from, remove: to - from, insert: written }])
  }

  replace(text: string): void {
    const written = text.replace(lone, '\ufffd')
    if (written.length > limits.itemBytes) throw new WeftError('TooLarge', `${this.#live.schema.name}.${this.#name}`)
    this.#live.splice(this.#name, diffText(this.toString(), written))
  }

  subscribe(listener: (change: TextChange) => void): () => void {
    return this.#live.subscribeText(this.#name, listener)
  }
}

class Elements<Value extends ScalarValue> implements SetHandle<Value> {
  readonly #live: LiveItem
  readonly #name: string
  readonly #element: ScalarField<Value>

  constructor(live: LiveItem, name: string, element: ScalarField<Value>) {
    this.#live = live
    this.#name = name
    this.#element = element
  }

  get size(): number {
    return this.#live.elements(this.#name).size
  }

  has(value: Value): boolean {
    const stored = this.#element.toStored(value)
    return stored !== undefined && this.#live.hasElement(this.#name, stored)
  }

  add(value: Value): void {
    if (!this.has(value)) this.#live.edit(() => this.#live.draft.add(this.#name, value, this.#live.state))
  }

  delete(value: Value): void {
    if (this.has(value)) this.#live.edit(() => this.#live.draft.remove(this.#name, value, this.#live.state))
  }

  /** The elements, smallest first: the same order on every replica. */
  values(): Value[] {
    return [...this.#live.elements(this.#name)].sort(byValue).map((stored) => this.#element.toValue(stored))
  }

  [Symbol.iterator](): Iterator<Value> {
    return this.values()[Symbol.iterator]()
  }

  toJSON(): Value[] {
    return this.values()
  }
}

const byValue = (a: Scalar, b: Scalar): number => {
  if (typeof a === 'number' && typeof b === 'number') return a - b
  return String(a) < String(b) ? -1 : 1
}

class Entries<Value extends ScalarValue> implements MapHandle<Value> {
  readonly #live: LiveItem
  readonly #name: string
  readonly #element: ScalarField<Value>

  constructor(live: LiveItem, name: string, element: ScalarField<Value>) {
    this.#live = live
    this.#name = name
    this.#element = element
  }

  get size(): number {
    return this.#live.entries(this.#name).size
  }

  has(key: string): boolean {
    return this.#live.entry(this.#name, key) !== undefined
  }

  get(key: string): Value | undefined {
    const stored = this.#live.entry(this.#name, key)
    return stored === undefined ? undefined : this.#element.toValue(stored)
  }

  set(key: string, value: Value): void {
    if (key === '' || !isWellFormed(key) || utf8Length(key) > limits.nameBytes)
      throw new WeftError('BadValue', `the key "${key.slice(0, 32)}"`)
    this.#live.edit(() => this.#live.draft.put(this.#name, key, value))
  }

  delete(key: string): void {
    if (this.has(key)) this.#live.edit(() => this.#live.draft.drop(this.#name, key, this.#live.state))
  }

  keys(): string[] {
    return [...this.#live.entries(this.#name).keys()].sort((a, b) => (a < b ? -1 : 1))
  }

  entries(): [string, Value][] {
    const entries = this.#live.entries(this.#name)
    return [...entries]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, stored]) => [key, this.#element.toValue(stored)])
  }

  [Symbol.iterator](): Iterator<[string, Value]> {
    return this.entries()[Symbol.iterator]()
  }

  toJSON(): Record<string, Value> {
    return Object.fromEntries(this.entries())
  }
}

/** The handle of a field that is not assigned. */
export const handleOf = (live: LiveItem, name: string, field: Exclude<Field, ScalarField>) => {
  switch (field.kind) {
    case 'text':
      return new Text(live, name)
    case 'set':
      return new Elements(live, name, field.element)
    case 'map':
      return new Entries(live, name, field.element)
  }
}
