/**
 * What this device's person wrote and what will not count: told once, kept while the replica runs, and made again from the log when it is
 * opened. The content is in it, so that nothing anybody wrote is lost without a word.
 */
import { type Code, describeRefusal, type Refusal } from '../bytes/refusal.ts'
import type { ItemState } from '../merge/state.ts'
import { type FieldValue, type Values, valuesOf } from '../merge/values.ts'
import type { Schema } from '../schema/schema.ts'

/** One change of one item that does not count. */
export interface Rejection {
  readonly repository: string
  /** The commit's id; undefined when it was refused before there was one. */
  readonly commit: string | undefined
  readonly schema: string
  readonly key: string
  readonly code: Code
  /** The template of the rule that denied, where a rule did. */
  readonly rule: string | undefined
  /** For people. */
  readonly reason: string
  /** ms since 1970, by this device's clock */
  readonly time: number
  /** The fields that it would have changed, as they were to be; null when it was to delete the item. */
  readonly content: Readonly<Record<string, FieldValue>> | null
}

const changedFields = (before: Values | null, after: Values | null): Rejection['content'] => {
  if (after === null) return null
  const content: Record<string, FieldValue> = Object.create(null)
  for (const name of Object.keys(after)) {
    const value = after[name]
    if (value !== undefined && JSON.stringify(before?.[name]) !== JSON.stringify(value)) content[name] = value
  }
  return content
}

export class Rejections {
  readonly #repository: string
  readonly #byChange = new Map<string, { readonly rejection: Rejection; readonly schema: Schema }>()
  readonly #tell: (rejection: Rejection) => void

  constructor(repository: string, tell: (rejection: Rejection) => void) {
    this.#repository = repository
    this.#tell = tell
  }

  /** Everything that was rejected, oldest first. */
  get all(): readonly Rejection[] {
    return [...this.#byChange.values()].map(({ rejection }) => rejection)
  }

  forget(): void {
    this.#byChange.clear()
  }

  /** Content of these items is erased: what is told of it is what is left. */
  renew(
    keys: ReadonlySet<string>,
    outcome: (commit: string, key: string) => { readonly before: ItemState; readonly after: ItemState } | undefined,
  ): void {
    for (const [name, { schema, ...told }] of this.#byChange) {
      if (!keys.has(told.rejection.key)) continue
      const { commit, key } = told.rejection
      const left = commit === undefined ? undefined : outcome(commit, key)
      const content =
        left === undefined ? {} : changedFields(valuesOf(left.before, schema), valuesOf(left.after, schema))
      this.#byChange.set(name, { schema, rejection: { ...told.rejection, content } })
    }
  }

  add(
    why: Refusal,
    change: {
      readonly commit: string | undefined
      readonly key: string
      readonly schema: Schema
      readonly time: number
      readonly before: ItemState
      readonly after: ItemState
    },
  ): void {
    const { commit, key, schema, time, before, after } = change
    const name = `${commit ?? this.#byChange.size}/${key}`
    if (this.#byChange.has(name)) return
    const rejection: Rejection = {
      repository: this.#repository,
      commit,
      schema: schema.name,
      key,
      code: why.code,
      rule: why.rule,
      reason: describeRefusal(why),
      time,
      content: changedFields(valuesOf(before, schema), valuesOf(after, schema)),
    }
    this.#byChange.set(name, { rejection, schema })
    this.#tell(rejection)
  }
}
