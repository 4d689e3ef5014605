/**
 * The fields of a value by name, compact: most items of a schema had the same fields set in the same order, so that order is kept once for
 * all of them, and an item holds no more than its values, and one stamp when one change assigned them all. (Orders are hidden classes:
 * Chambers, Ungar and Lee, "An efficient implementation of SELF", 1989.)
 */
import type { Tag } from '../commit/operation.ts'
import type { Scalar } from '../schema/field.ts'
import type { Rope } from './rope.ts'
import type { VersionedMap } from './versioned.ts'

/** When a value was assigned, and by which commit: of two, the later one counts. */
export interface Stamp {
  readonly clock: number
  readonly id: string
}

export interface Register {
  readonly kind: 'register'
  readonly stamp: Stamp
  readonly value: Scalar
}

export interface Elements {
  readonly kind: 'elements'
  readonly byTag: VersionedMap<Scalar>
  readonly size: number
}

export interface Entry {
  readonly node: number
  readonly tag: Tag
  readonly clock: number
  readonly id: string
  readonly value: Scalar
}

export interface Entries {
  readonly kind: 'entries'
  /** Per key the puts that no later one replaced; the one with the latest stamp is the value. */
  readonly byKey: VersionedMap<readonly Entry[]>
  readonly size: number
}

export interface TextState {
  readonly kind: 'text'
  readonly rope: Rope
}

/** All that is no register. */
type Collection = Elements | Entries | TextState

export type FieldState = Register | Collection

/** Names in an order, and the orders that go on from it. */
export class Order {
  readonly places: ReadonlyMap<string, number>
  readonly #next = new Map<string, Order>()

  constructor(places: ReadonlyMap<string, number>) {
    this.places = places
  }

  /** The order with one more name behind; undefined where it is not kept, and there is room for no more. */
  with(name: string): Order | undefined {
    const known = this.#next.get(name)
    if (known !== undefined || kept >= mostKept) return known
    kept++
    const next = new Order(new Map(this.places).set(name, this.places.size))
    this.#next.set(name, next)
    return next
  }
}

/** Who sets fields in ever other orders has one for each item, as if there were nothing to share. */
const mostKept = 256
let kept = 0
const noNames = new Order(new Map())

/** The order of fields that were set in this one: what merging comes to, and the same object while it is kept. No name comes twice. */
export const orderOf = (names: readonly string[]): Order => {
  let order = noNames
  for (const name of names) {
    const next = order.with(name)
    if (next === undefined) return new Order(new Map(names.map((each, place) => [each, place])))
    order = next
  }
  return order
}

/** Where a register stands, what was assigned; elsewhere the field itself. */
export type Held = Scalar | Collection
/** Where a register stands, when it was assigned. */
export type Stamps = readonly (Stamp | undefined)[]

export class Fields implements Iterable<readonly [name: string, field: FieldState]> {
  static readonly empty = new Fields(noNames, [], [])
  readonly #order: Order
  readonly #held: readonly Held[]
  /** One for all, where one change assigned them. */
  readonly #stamps: Stamps | Stamp

  constructor(order: Order, held: readonly Held[], stamps: Stamps | Stamp) {
    this.#order = order
    this.#held = held
    this.#stamps = stamps
  }

  get(name: string): FieldState | undefined {
    const place = this.#order.places.get(name)
    return place === undefined ? undefined : fieldAt(this.#held, this.#stamps, place)
  }

  /** What a register holds; undefined where there is none of that name. */
  scalar(name: string): Scalar | undefined {
    const place = this.#order.places.get(name)
    // Where a stamp is, a scalar is.
    return place === undefined || stampAt(this.#stamps, place) === undefined ? undefined : (this.#held[place] as Scalar)
  }

  with(name: string, field: FieldState): Fields {
    return this.change().set(name, field).finish()
  }

  /** A copy to set fields of. */
  change(): FieldsChange {
    return new FieldsChange(
      this.#order,
      [...this.#held],
      this.#held.map((_, place) => stampAt(this.#stamps, place)),
    )
  }

  *[Symbol.iterator](): Generator<readonly [name: string, field: FieldState]> {
    for (const [name, place] of this.#order.places) yield [name, fieldAt(this.#held, this.#stamps, place)]
  }
}

const stampAt = (stamps: Stamps | Stamp, place: number): Stamp | undefined => ('id' in stamps ? stamps : stamps[place])

const fieldAt = (held: readonly Held[], stamps: Stamps | Stamp, place: number): FieldState => {
  const stamp = stampAt(stamps, place)
  // The stamp tells which of the two stands there.
  return stamp === undefined ? (held[place] as Collection) : { kind: 'register', stamp, value: held[place] as Scalar }
}

/** Fields that are being set. */
export class FieldsChange {
  #order: Order
  /** The names, once they stand in an order that is not kept. */
  #own: Map<string, number> | undefined
  readonly #held: Held[]
  readonly #stamps: (Stamp | undefined)[]

  constructor(order: Order, held: Held[], stamps: (Stamp | undefined)[]) {
    this.#order = order
    this.#held = held
    this.#stamps = stamps
  }

  get(name: string): FieldState | undefined {
    const place = this.#placeOf(name)
    return place === undefined ? undefined : fieldAt(this.#held, this.#stamps, place)
  }

  set(name: string, field: FieldState): this {
    const place = this.#placeOf(name) ?? this.#add(name)
    this.#held[place] = field.kind === 'register' ? field.value : field
    this.#stamps[place] = field.kind === 'register' ? field.stamp : undefined
    return this
  }

  #placeOf(name: string): number | undefined {
    return (this.#own ?? this.#order.places).get(name)
  }

  #add(name: string): number {
    const place = this.#held.length
    const next = this.#own === undefined ? this.#order.with(name) : undefined
    if (next !== undefined) this.#order = next
    else {
      this.#own ??= new Map(this.#order.places)
      this.#own.set(name, place)
    }
    return place
  }

  finish(): Fields {
    const order = this.#own === undefined ? this.#order : new Order(this.#own)
    const [first] = this.#stamps
    const isOne = first !== undefined && this.#stamps.every((stamp) => stamp === first)
    // An array that something was added to has room for more.
    return new Fields(order, this.#held.slice(), isOne ? first : this.#stamps.slice())
  }
}
