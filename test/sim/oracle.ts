/**
 * The slow, plain judge of values: what an item is, computed from all commits ever made by the definitions of DESIGN.md section 4 and
 * nothing else. Every change has its whole causal past written out; nothing is replayed, merged or cached. Texts come from the naive
 * walker, which is fed in another order than any replica saw.
 */

import type { Commit } from '@weft-db/engine'
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import { naiveText } from '../../packages/engine/src/merge/naive.ts'
import { Card } from './worlds/card.ts'

type Scalar = string | number | boolean | null

export interface CardValue {
  readonly present: boolean
  readonly fields: Readonly<Record<string, unknown>>
}

/** A change as the model sees it. Who judges changes says what `never`, `from` and `ignored` are. */
export interface Judged {
  readonly id: string
  readonly clock: number
  readonly operations: readonly Operation[]
  readonly parents: readonly string[]
  /** All changes before it. */
  readonly past: ReadonlySet<string>
  /** The position of the authority's log that its author had seen, -1 for none. */
  readonly seen: number
  /** It counts for nobody and never did. */
  never: boolean
  /** Position of the authority's log from which on it is dead; infinity while it is alive. */
  from: number
  /** Tags, as `field/tag`, that it removes and its author did not see there. */
  ignored: ReadonlySet<string>
}

/** As of which position of the authority's log one looks. */
export const now = Number.POSITIVE_INFINITY

const isAlive = ({ never, from }: Judged, view: number): boolean => !never && !(from <= view && from !== now)

const later = (a: { clock: number; id: string }, b: { clock: number; id: string }): boolean =>
  a.clock !== b.clock ? a.clock > b.clock : a.id > b.id

/** Names in an order that has parents first and is otherwise by id. */
const sorted = (changes: ReadonlyMap<string, { readonly parents: readonly string[] }>): string[] => {
  const done = new Set<string>()
  const order: string[] = []
  const left = [...changes.keys()].sort().reverse()
  while (left.length > 0) {
    const index = left.findIndex((id) => changes.get(id)?.parents.every((parent) => done.has(parent)) === true)
    if (index < 0) throw new Error(`the parents of ${left[0]} are missing`)
    for (const id of left.splice(index, 1)) {
      done.add(id)
      order.push(id)
    }
  }
  return order
}

/** Changes of one item, parents first, each with all its past. */
export const changesOf = (key: string, commits: readonly Commit[]): Judged[] => {
  const found = new Map<string, { commit: Commit; parents: readonly string[]; operations: readonly Operation[] }>()
  for (const commit of commits) {
    const change = commit.changes.find((one) => one.key === key)
    if (change !== undefined) found.set(commit.id, { commit, parents: change.parents, operations: change.operations })
  }
  const pasts = new Map<string, ReadonlySet<string>>()
  return sorted(found).flatMap((id) => {
    const one = found.get(id)
    if (one === undefined) return []
    const past = new Set(one.parents.flatMap((parent) => [parent, ...(pasts.get(parent) ?? [])]))
    pasts.set(id, past)
    const { commit, parents, operations } = one
    const seen = commit.policy.authority?.n ?? -1
    return [
      { id, clock: commit.clock, operations, parents, past, seen, never: false, from: now, ignored: new Set<string>() },
    ]
  })
}

/** The text of a version: `changes` are all that is in it. */
export const textOf = (field: string, changes: readonly Judged[], view: number): string => {
  const numbers = new Map(changes.map(({ id }, index) => [id, index]))
  const at = (index: number): Judged => {
    const change = changes[index]
    if (change === undefined) throw new RangeError(`no change ${index}`)
    return change
  }
  const inside = new Set(changes.flatMap(({ parents }) => parents))
  const heads = changes.flatMap(({ id }, index) => (inside.has(id) ? [] : [index]))
  return naiveText(
    {
      parents: (index) => at(index).parents.flatMap((id) => numbers.get(id) ?? []),
      splices: (index) => {
        const change = at(index)
        if (change.never) return []
        return change.operations.flatMap((operation) => {
          if (operation.kind !== 'splice' || operation.field !== field) return []
          return [{ at: operation.at, remove: operation.remove, insert: operation.insert ?? '' }]
        })
      },
      tieBreak: (index) => at(index).id,
      dead: (index) => !isAlive(at(index), view),
      deadTo: (index, author) => !isAlive(at(index), at(author).seen),
    },
    heads,
  )
}

export const registerOf = (field: string, changes: readonly Judged[], view: number): Scalar | undefined => {
  let best: { clock: number; id: string; value: Scalar | undefined } | undefined
  for (const change of changes) {
    if (!isAlive(change, view)) continue
    for (const operation of change.operations) {
      if (operation.kind !== 'assign' || operation.field !== field) continue
      // Of one change the last assignment counts.
      if (best === undefined || !later(best, change))
        best = { clock: change.clock, id: change.id, value: operation.value }
    }
  }
  return best?.value
}

const named = (field: string, tag: string): string => `${field}/${tag}`

const removedFrom = (field: string, kind: 'remove' | 'drop', changes: readonly Judged[]): Set<string> => {
  const removed = new Set<string>()
  for (const { operations, ignored } of changes) {
    for (const operation of operations) {
      if (operation.kind !== kind || operation.field !== field) continue
      for (const tag of operation.tags) if (!ignored.has(named(field, tag))) removed.add(tag)
    }
  }
  return removed
}

/** Elements by their tags. */
export const elementsOf = (field: string, version: readonly Judged[], view: number): Map<string, Scalar> => {
  const changes = version.filter((change) => isAlive(change, view))
  const removed = removedFrom(field, 'remove', changes)
  const elements = new Map<string, Scalar>()
  for (const { id, operations } of changes) {
    for (const [index, operation] of operations.entries()) {
      if (operation.kind !== 'add' || operation.field !== field || operation.value === undefined) continue
      if (!removed.has(`${id}:${index}`)) elements.set(`${id}:${index}`, operation.value)
    }
  }
  return elements
}

export interface Put {
  readonly key: string
  readonly value: Scalar
  readonly tag: string
  readonly change: Judged
}

/** The entries that nothing dropped and none after them hides. */
export const entriesOf = (field: string, version: readonly Judged[], view: number): Put[] => {
  const changes = version.filter((change) => isAlive(change, view))
  const dropped = removedFrom(field, 'drop', changes)
  const puts: Put[] = []
  for (const change of changes) {
    for (const [index, operation] of change.operations.entries()) {
      if (operation.kind !== 'put' || operation.field !== field || operation.entry === undefined) continue
      const [key, value] = operation.entry
      puts.push({ key, value, tag: `${change.id}:${index}`, change })
    }
  }
  return puts.filter(
    (put, index) =>
      !dropped.has(put.tag) &&
      !puts.some(
        (other, place) =>
          other.key === put.key &&
          (other.change.past.has(put.change.id) || (other.change === put.change && place > index)),
      ),
  )
}

/** What a map shows, by key. */
export const shownOf = (puts: readonly Put[]): Map<string, Scalar> => {
  const winners = new Map<string, Put>()
  for (const put of puts) {
    const best = winners.get(put.key)
    if (best === undefined || later(put.change, best.change)) winners.set(put.key, put)
  }
  return new Map([...winners].map(([key, { value }]) => [key, value]))
}

/** An item is there while an edit of it is in the past of no deletion. */
export const isPresent = (version: readonly Judged[], view: number): boolean => {
  const changes = version.filter((change) => isAlive(change, view))
  const deletes = (change: Judged): boolean => change.operations.some(({ kind }) => kind === 'delete')
  return changes.some(
    (change) =>
      change.operations.length > 0 &&
      !deletes(change) &&
      !changes.some((other) => deletes(other) && other.past.has(change.id)),
  )
}

const sortedBy = <One>(list: readonly One[], name: (one: One) => string): One[] =>
  [...list].sort((a, b) => (name(a) < name(b) ? -1 : 1))

/** The value of an item, given all its changes. */
export const itemValue = (changes: readonly Judged[], view = now): CardValue => {
  const fields: Record<string, unknown> = {}
  for (const name of Card.names) {
    const field = Card.fields[name as keyof typeof Card.fields]
    if (field.kind === 'text') fields[name] = textOf(name, changes, view)
    else if (field.kind === 'set')
      fields[name] = sortedBy([...new Set(elementsOf(name, changes, view).values())], String)
    else if (field.kind === 'map') fields[name] = sortedBy([...shownOf(entriesOf(name, changes, view))], ([key]) => key)
    else fields[name] = registerOf(name, changes, view) ?? field.initial
  }
  return { present: isPresent(changes, view), fields }
}

/** The keys of all items that the commits speak of. */
export const keysOf = (commits: readonly Commit[]): string[] =>
  [...new Set(commits.flatMap(({ changes }) => changes.map(({ key }) => key)))].sort()

/** The values of all items that the commits speak of, by key, where whole commits count, never did, or are void from a position on. */
export const valuesOf = (
  commits: readonly Commit[],
  isDead: (commit: Commit) => boolean,
  voided: ReadonlyMap<string, number> = new Map(),
): ReadonlyMap<string, CardValue> => {
  const dead = new Set(commits.filter(isDead).map(({ id }) => id))
  const values = new Map<string, CardValue>()
  for (const key of keysOf(commits)) {
    const changes = changesOf(key, commits)
    for (const change of changes) {
      change.never = dead.has(change.id)
      change.from = voided.get(change.id) ?? now
    }
    values.set(key, itemValue(changes))
  }
  return values
}
