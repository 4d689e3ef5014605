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

interface Change {
  readonly id: string
  readonly clock: number
  readonly operations: readonly Operation[]
  readonly parents: readonly string[]
  readonly dead: boolean
  /** All changes before it. */
  readonly past: ReadonlySet<string>
}

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

const changesOf = (key: string, commits: readonly Commit[], isDead: (commit: Commit) => boolean): Change[] => {
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
    return [{ id, clock: commit.clock, operations, parents, dead: isDead(commit), past }]
  })
}

const textOf = (field: string, changes: readonly Change[]): string => {
  const numbers = new Map(changes.map(({ id }, index) => [id, index]))
  const at = (index: number): Change => {
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
        if (change.dead) return []
        return change.operations.flatMap((operation) => {
          if (operation.kind !== 'splice' || operation.field !== field) return []
          return [{ at: operation.at, remove: operation.remove, insert: operation.insert ?? '' }]
        })
      },
      tieBreak: (index) => at(index).id,
      dead: (index) => at(index).dead,
      deadTo: () => true,
    },
    heads,
  )
}

const registerOf = (field: string, changes: readonly Change[]): Scalar | undefined => {
  let best: { clock: number; id: string; value: Scalar | undefined } | undefined
  for (const { id, clock, operations } of changes) {
    for (const operation of operations) {
      if (operation.kind !== 'assign' || operation.field !== field) continue
      if (best === undefined || later({ clock, id }, best)) best = { clock, id, value: operation.value }
    }
  }
  return best?.value
}

const elementsOf = (field: string, changes: readonly Change[]): Scalar[] => {
  const removed = new Set<string>()
  for (const { operations } of changes) {
    for (const operation of operations) {
      if (operation.kind === 'remove' && operation.field === field) for (const tag of operation.tags) removed.add(tag)
    }
  }
  const values = new Set<Scalar>()
  for (const { id, operations } of changes) {
    for (const [index, operation] of operations.entries()) {
      if (operation.kind !== 'add' || operation.field !== field || operation.value === undefined) continue
      if (!removed.has(`${id}:${index}`)) values.add(operation.value)
    }
  }
  return [...values].sort((a, b) => (String(a) < String(b) ? -1 : 1))
}

const entriesOf = (field: string, changes: readonly Change[]): [string, Scalar][] => {
  const dropped = new Set<string>()
  const puts: { key: string; value: Scalar; tag: string; change: Change }[] = []
  for (const change of changes) {
    for (const [index, operation] of change.operations.entries()) {
      if (operation.kind === 'drop' && operation.field === field) for (const tag of operation.tags) dropped.add(tag)
      if (operation.kind !== 'put' || operation.field !== field || operation.entry === undefined) continue
      const [key, value] = operation.entry
      puts.push({ key, value, tag: `${change.id}:${index}`, change })
    }
  }
  const alive = puts.filter(
    (put) =>
      !dropped.has(put.tag) && !puts.some((other) => other.key === put.key && other.change.past.has(put.change.id)),
  )
  const winners = new Map<string, (typeof alive)[number]>()
  for (const put of alive) {
    const best = winners.get(put.key)
    if (best === undefined || later(put.change, best.change)) winners.set(put.key, put)
  }
  return [...winners].map(([key, { value }]): [string, Scalar] => [key, value]).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** An item is there while an edit of it is in the past of no deletion. */
const isPresent = (changes: readonly Change[]): boolean => {
  const deletes = (change: Change): boolean => change.operations.some(({ kind }) => kind === 'delete')
  return changes.some(
    (change) =>
      change.operations.length > 0 &&
      !deletes(change) &&
      !changes.some((other) => deletes(other) && other.past.has(change.id)),
  )
}

/** The values of all items that the commits speak of, by key. */
export const valuesOf = (
  commits: readonly Commit[],
  isDead: (commit: Commit) => boolean,
): ReadonlyMap<string, CardValue> => {
  const keys = [...new Set(commits.flatMap(({ changes }) => changes.map(({ key }) => key)))].sort()
  const values = new Map<string, CardValue>()
  for (const key of keys) {
    const all = changesOf(key, commits, isDead)
    const counting = all.filter(({ dead }) => !dead)
    const fields: Record<string, unknown> = {}
    for (const name of Card.names) {
      const field = Card.fields[name as keyof typeof Card.fields]
      if (field.kind === 'text') fields[name] = textOf(name, all)
      else if (field.kind === 'set') fields[name] = elementsOf(name, counting)
      else if (field.kind === 'map') fields[name] = entriesOf(name, counting)
      else fields[name] = registerOf(name, counting) ?? field.initial
    }
    values.set(key, { present: isPresent(counting), fields })
  }
  return values
}
