/**
 * The oracle for the merging of items: the value of a version written out from all changes by the rules of the design, slowly. Nothing is
 * kept from one version to another but what each author saw, every past is a set of ids. Only tests use it.
 */
import type { Operation } from '../commit/operation.ts'
import { isScalar, type Scalar } from '../schema/field.ts'
import { fieldNamed, type Schema } from '../schema/schema.ts'
import { naiveText } from './naive.ts'

export interface Written {
  readonly id: string
  readonly clock: number
  readonly parents: readonly string[]
  readonly operations: readonly Operation[]
  readonly seen: number
  readonly refused: boolean
  /** Position of the entry that erased what it wrote. */
  readonly erased?: number | undefined
  /** It counts, by a verdict from when all content was there, unless its splices fit nowhere. */
  readonly settled?: boolean | undefined
}

/** A value in one form, whatever made it: sorted, and without fields that hold nothing. */
export interface Plainly {
  readonly presence: readonly string[]
  readonly fields: Readonly<Record<string, unknown>>
  /** Where its tags are looked up, and its texts. */
  readonly tags: ReadonlySet<string>
  readonly texts: Readonly<Record<string, string>>
}

export class Oracle {
  readonly changes: Written[] = []
  /** Position of the verdict that voids a change. */
  readonly verdicts = new Map<string, number>()
  readonly #schema: Schema
  readonly #byId = new Map<string, Written>()
  readonly #pasts = new Map<string, ReadonlySet<string>>()
  /** What each change's author saw; forgotten with every verdict. */
  readonly #befores = new Map<string, Plainly>()

  constructor(schema: Schema) {
    this.#schema = schema
  }

  /** What was written is gone, and what counted and what did not so far stays so. */
  erase(id: string, position: number): void {
    for (const [index, change] of this.changes.entries()) {
      const settled = { ...change, settled: true, refused: this.isNever(change.id) }
      const operations = change.operations.map(withoutContent)
      this.changes[index] = change.id === id ? { ...settled, operations, erased: change.erased ?? position } : settled
    }
    for (const change of this.changes) this.#byId.set(change.id, change)
    this.#befores.clear()
  }

  add(change: Written): void {
    this.changes.push(change)
    this.#byId.set(change.id, change)
    this.#pasts.set(change.id, this.past(change.parents))
  }

  void(id: string, position: number): void {
    this.verdicts.set(id, position)
    this.#befores.clear()
  }

  /** The changes that the version holds, heads included. */
  past(heads: readonly string[]): ReadonlySet<string> {
    return new Set(heads.flatMap((head) => [head, ...(this.#pasts.get(head) ?? [])]))
  }

  before(id: string): Plainly {
    const known = this.#befores.get(id)
    if (known !== undefined) return known
    const { parents, seen } = this.#change(id)
    const before = this.value(parents, seen)
    this.#befores.set(id, before)
    return before
  }

  heads(): string[] {
    const parents = new Set(this.changes.flatMap((change) => change.parents))
    return this.changes.map(({ id }) => id).filter((id) => !parents.has(id))
  }

  isNever(id: string): boolean {
    return this.#change(id).refused || !this.isApplicable(id)
  }

  isApplicable(id: string): boolean {
    const before = this.before(id)
    const texts: Record<string, string> = { ...before.texts }
    for (const operation of this.#change(id).operations) {
      if (operation.kind === 'touch' || operation.kind === 'delete') continue
      const field = fieldNamed(this.#schema, operation.field)
      if (field === undefined) return false
      const takes = (value: Scalar | undefined, kind: string): boolean =>
        value === undefined ||
        (kind === 'scalar'
          ? isScalar(field) && field.accepts(value)
          : 'element' in field && field.element.accepts(value))
      if (operation.kind === 'assign' && !(isScalar(field) && takes(operation.value, 'scalar'))) return false
      if (operation.kind === 'add' && !(field.kind === 'set' && takes(operation.value, 'element'))) return false
      if (operation.kind === 'put' && !(field.kind === 'map' && takes(operation.entry?.[1], 'element'))) return false
      if (operation.kind === 'remove' && field.kind !== 'set') return false
      if (operation.kind === 'drop' && field.kind !== 'map') return false
      if (operation.kind !== 'splice') continue
      if (field.kind !== 'text') return false
      const text = texts[operation.field] ?? ''
      const { at, remove } = operation
      if (at + remove > text.length) return false
      const isInside = (place: number) => /^[\ud800-\udbff][\udc00-\udfff]$/.test(text.slice(place - 1, place + 1))
      if (isInside(at) || isInside(at + remove)) return false
      texts[operation.field] =
        text.slice(0, at) + (operation.insert ?? '\ud800'.repeat(operation.length)) + text.slice(at + remove)
    }
    return true
  }

  value(heads: readonly string[], view = Number.POSITIVE_INFINITY): Plainly {
    const members = this.past(heads)
    const alive = this.changes.filter(({ id }) => members.has(id) && !this.isNever(id) && !this.#isVoided(id, view))
    const edits = alive.filter(({ operations }) => operations.length > 0)
    const presence = edits
      .filter(({ operations }) => !operations.some(({ kind }) => kind === 'delete'))
      .map(({ id }) => id)
      .filter((id) => !edits.some((later) => this.past(later.parents).has(id)))
    const fields: Record<string, unknown> = {}
    const texts: Record<string, string> = {}
    const tags = new Set<string>()
    for (const name of this.#schema.names) {
      const field = fieldNamed(this.#schema, name)
      if (field === undefined) continue
      const writes = alive.flatMap((change) =>
        change.operations.flatMap((operation, index) =>
          'field' in operation && operation.field === name
            ? [{ change, operation, index, tag: `${change.id}:${index}` }]
            : [],
        ),
      )
      const removed = new Set(
        writes.flatMap(({ change, operation }) =>
          operation.kind === 'remove' || operation.kind === 'drop'
            ? operation.tags.filter((tag) => this.before(change.id).tags.has(`${name} ${tag}`))
            : [],
        ),
      )
      if (isScalar(field)) {
        const [last] = writes
          .filter(({ operation }) => operation.kind === 'assign' && operation.value !== undefined)
          .sort(
            (a, b) =>
              b.change.clock - a.change.clock ||
              (a.change.id < b.change.id ? 1 : a.change.id > b.change.id ? -1 : b.index - a.index),
          )
        if (last !== undefined && last.operation.kind === 'assign')
          fields[name] = [last.operation.value, last.change.id]
      } else if (field.kind === 'set') {
        const held = writes.flatMap(({ operation, tag }) =>
          operation.kind === 'add' && operation.value !== undefined && !removed.has(tag)
            ? [[tag, operation.value]]
            : [],
        )
        for (const [tag] of held) tags.add(`${name} ${tag}`)
        if (held.length > 0) fields[name] = held.sort(byFirst)
      } else if (field.kind === 'map') {
        const puts = writes.flatMap(({ change, operation, index, tag }) =>
          operation.kind === 'put' && operation.entry !== undefined
            ? [{ change, index, tag, key: operation.entry[0], value: operation.entry[1] }]
            : [],
        )
        const held = puts
          .filter(({ tag }) => !removed.has(tag))
          .filter((one) => !puts.some((other) => other.key === one.key && this.#comesAfter(other, one)))
          .map(({ key, tag, value }) => [key, tag, value])
        for (const [, tag] of held) tags.add(`${name} ${tag}`)
        if (held.length > 0) fields[name] = held.sort(byFirst)
      } else {
        const text = this.#text(name, heads, view)
        texts[name] = text
        if (text !== '') fields[name] = text
      }
    }
    return { presence: presence.sort((a, b) => (a < b ? -1 : 1)), fields, tags, texts }
  }

  #comesAfter(later: { change: Written; index: number }, earlier: { change: Written; index: number }): boolean {
    if (later.change === earlier.change) return later.index > earlier.index
    return this.past(later.change.parents).has(earlier.change.id)
  }

  #text(name: string, heads: readonly string[], view: number): string {
    const places = new Map(this.changes.map(({ id }, index) => [id, index]))
    const at = (event: number): Written => this.#change(this.changes[event]?.id ?? '')
    return naiveText(
      {
        parents: (event) => at(event).parents.map((parent) => places.get(parent) ?? -1),
        splices: (event) =>
          this.isNever(at(event).id)
            ? []
            : at(event).operations.flatMap((operation) =>
                operation.kind === 'splice' && operation.field === name
                  ? [
                      {
                        at: operation.at,
                        remove: operation.remove,
                        insert: operation.insert ?? '\ud800'.repeat(operation.length),
                      },
                    ]
                  : [],
              ),
        tieBreak: (event) => at(event).id,
        dead: (event) => this.#isVoided(at(event).id, view),
        deadTo: (event, author) => this.#isVoided(at(event).id, at(author).seen),
        erased: (event) => (at(event).erased ?? Number.POSITIVE_INFINITY) <= view && at(event).erased !== undefined,
        erasedTo: (event, author) => (at(event).erased ?? Number.POSITIVE_INFINITY) <= at(author).seen,
      },
      heads.map((head) => places.get(head) ?? -1),
    )
  }

  #isVoided(id: string, view: number): boolean {
    return (this.verdicts.get(id) ?? Number.POSITIVE_INFINITY) <= view && this.verdicts.has(id)
  }

  #change(id: string): Written {
    const change = this.#byId.get(id)
    if (change === undefined) throw new Error(`no change ${id}`)
    return change
  }
}

const withoutContent = (operation: Operation): Operation => {
  if (operation.kind === 'splice') return { ...operation, insert: operation.length === 0 ? '' : undefined }
  if (operation.kind === 'put') return { ...operation, entry: undefined }
  return operation.kind === 'assign' || operation.kind === 'add' ? { ...operation, value: undefined } : operation
}

const byFirst = (a: readonly unknown[], b: readonly unknown[]): number =>
  JSON.stringify(a) < JSON.stringify(b) ? -1 : 1
