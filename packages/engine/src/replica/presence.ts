/** Who has a repository open, and what they say of themselves, as an app sees it: values typed by fields, like those of a schema. */
import { encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { WeftError } from '../bytes/refusal.ts'
import type { PresentState } from '../mesh/presence.ts'
import type { ScalarField } from '../schema/field.ts'

/** Somebody who is here, with what they said as it came. */
export interface Other {
  readonly session: string
  readonly owner: string
  readonly name: string
  readonly state: ReadonlyMap<string, unknown>
}

/** Who is here, before fields give what they say a type. */
export interface Room {
  readonly others: readonly Other[]
  set(state: PresentState): void
  onChange(listener: () => void): () => void
}

export type PresenceFields = Readonly<Record<string, ScalarField>>

export type PresenceValues<F extends PresenceFields> = {
  readonly [N in keyof F]?: F[N] extends ScalarField<infer V> ? V : never
}

/** Somebody else who is here. */
export interface Present<F extends PresenceFields> {
  readonly session: string
  readonly owner: string
  readonly name: string
  /** What they said that fits the fields. */
  readonly state: PresenceValues<F>
}

export class Presence<F extends PresenceFields> {
  readonly #fields: F
  readonly #room: Room
  #others: readonly Present<F>[] | undefined

  constructor(fields: F, room: Room) {
    this.#fields = fields
    this.#room = room
    room.onChange(() => {
      this.#others = undefined
    })
  }

  /**
   * Says it to everybody here: at once, and at most twenty times a second. Undefined: this person does not show any more. Throws `BadValue` for
   * what does not fit a field, and `TooLarge` for more than a kilobyte.
   */
  set(values: PresenceValues<F> | undefined): void {
    if (values === undefined) return this.#room.set(undefined)
    const state = new Map<string, Plain>()
    for (const [name, value] of Object.entries<unknown>(values)) {
      const field = Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined
      const stored = field?.toStored(value)
      if (value !== undefined && (stored === undefined || field?.accepts(stored) !== true))
        throw new WeftError('BadValue', name)
      if (stored !== undefined) state.set(name, stored)
    }
    if (encode(state).length > limits.presenceBytes) throw new WeftError('TooLarge', 'presence')
    this.#room.set(state)
  }

  /** The others, in the order in which they were first heard; the same list until something changes. */
  get others(): readonly Present<F>[] {
    const heard = this.#room.others
    this.#others ??= heard.map(({ state, ...who }) => ({ ...who, state: this.#values(state) }))
    return this.#others
  }

  /** Calls back when somebody came, left or said something else. */
  subscribe(listener: () => void): () => void {
    return this.#room.onChange(listener)
  }

  #values(state: ReadonlyMap<string, unknown>): PresenceValues<F> {
    const values: Record<string, unknown> = {}
    for (const [name, field] of Object.entries(this.#fields)) {
      const stored = state.get(name)
      if (stored !== undefined && field.accepts(stored)) values[name] = field.toValue(stored)
    }
    return values as PresenceValues<F>
  }
}
