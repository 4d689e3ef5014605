/**
 * Which changes an erasure names: those whose content goes, and those that did not count of the same items, because nobody can judge that
 * again without the content (`trust/erasure.ts`).
 */
import { limits } from '../bytes/limits.ts'
import type { Change, Commit } from '../commit/commit.ts'
import type { Commits } from '../graph/commits.ts'
import type { AuthorityLog } from '../trust/authoritylog.ts'
import type { NamedChange } from '../trust/entry.ts'
import type { Counting } from './counting.ts'

interface Held {
  readonly commits: Commits
  readonly log: AuthorityLog
  readonly durableEntries: number
}

const hasContent = ({ erased, operations }: Change): boolean =>
  !erased &&
  operations.some(
    (operation) =>
      operation.kind === 'assign' ||
      operation.kind === 'add' ||
      operation.kind === 'put' ||
      (operation.kind === 'splice' && operation.length > 0),
  )

function* changesOf({ commits }: Held): Generator<[Commit, Change]> {
  for (let index = commits.dropped; ; index++) {
    const commit = commits.at(index)
    if (commit === undefined) return
    for (const change of commit.changes) yield [commit, change]
  }
}

/** Covered changes of the item that have content, in runs that one request may name. */
export const erasable = (held: Held, key: string): NamedChange[][] => {
  const found: NamedChange[] = []
  for (const [{ id, chain, seq }, change] of changesOf(held)) {
    const isCovered = held.log.coveredAt(chain, seq) < held.durableEntries
    if (change.key === key && isCovered && hasContent(change)) found.push({ commit: id, key })
  }
  return inRuns(found)
}

/** Cut to what one request or entry may name. */
export const inRuns = (changes: readonly NamedChange[]): NamedChange[][] => {
  const runs: NamedChange[][] = []
  for (let from = 0; from < changes.length; from += limits.changes)
    runs.push(changes.slice(from, from + limits.changes))
  return runs
}

/** Covered changes of the items that do not count here, whatever the reason, and that no entry lists yet. */
export const unlisted = (held: Held, counting: Counting, keys: ReadonlySet<string>): NamedChange[] => {
  const { erasures } = held.log
  const found: NamedChange[] = []
  for (const [{ id, chain, seq }, { key, schema }] of changesOf(held)) {
    if (!keys.has(key) || held.log.coveredAt(chain, seq) >= held.durableEntries || erasures.isDead(id, key)) continue
    const graph = counting.item(key, schema.hash)?.graph
    const index = graph?.indexOf(id)
    // What nobody could judge here must count nowhere: nobody will judge it any more.
    const node = graph === undefined || index === undefined ? undefined : graph.node(index)
    if (node === undefined || node.refused || node.inapplicable) found.push({ commit: id, key })
  }
  return found
}
