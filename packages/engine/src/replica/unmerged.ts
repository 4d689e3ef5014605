/** What somebody wrote beside history that was dropped here, and that waits for it: told with its content, so that an app can show it or keep it. */
import { type Change, type Commit, clockTicks } from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import type { Scalar } from '../schema/field.ts'
import type { Certificates } from './certificates.ts'
import type { Counting } from './counting.ts'
import type { Pipeline } from './pipeline.ts'

export interface Unmerged {
  readonly commit: string
  /** The schema's name. */
  readonly schema: string
  readonly key: string
  readonly owner: string | undefined
  /** Display name of whoever wrote it. */
  readonly name: string | undefined
  /** ms since 1970, by the author's clock */
  readonly time: number
  /** Whether it deletes the item. */
  readonly deletes: boolean
  /** By field: what was assigned, the pieces that were inserted in a text, what was added to a set, what was put in a map. */
  readonly wrote: Readonly<Record<string, Scalar | readonly Scalar[] | Readonly<Record<string, Scalar>>>>
}

const wroteBy = (operations: readonly Operation[]): Unmerged['wrote'] => {
  const wrote: Record<string, Scalar | readonly Scalar[] | Readonly<Record<string, Scalar>>> = Object.create(null)
  for (const operation of operations) {
    if (operation.kind === 'assign' && operation.value !== undefined) wrote[operation.field] = operation.value
    else if (operation.kind === 'put' && operation.entry !== undefined) {
      const [key, value] = operation.entry
      const before = wrote[operation.field]
      const entries: Record<string, Scalar> = Object.assign(Object.create(null), before)
      entries[key] = value
      wrote[operation.field] = entries
    } else if (operation.kind === 'splice' || operation.kind === 'add') {
      const value = operation.kind === 'add' ? operation.value : operation.insert
      const before = wrote[operation.field]
      if (value !== undefined && value !== '')
        wrote[operation.field] = Array.isArray(before) ? [...before, value] : [value]
    }
  }
  return wrote
}

export const unmergedIn = (
  { pending }: Pick<Pipeline, 'pending'>,
  counting: Counting,
  certificates: Certificates,
): readonly Unmerged[] => {
  const toldOf = ({ id, session, clock }: Commit, { key, operations, schema }: Change): Unmerged => {
    const certificate = certificates.get(session)
    return {
      commit: id,
      schema: schema.name,
      key,
      owner: certificate?.owner,
      name: certificate?.name,
      time: Math.floor(clock / clockTicks),
      deletes: operations.some(({ kind }) => kind === 'delete'),
      wrote: wroteBy(operations),
    }
  }
  const found: Unmerged[] = []
  for (const { commit, changes, why } of counting.waiting.values())
    if (why.code === 'HistoryDropped') for (const change of changes) found.push(toldOf(commit, change))
  for (const commit of pending.all())
    for (const change of commit.changes) if (counting.lacks(change)) found.push(toldOf(commit, change))
  return found
}
