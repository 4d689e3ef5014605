/** Puts back what a snapshot or a floor has of a repository, and counts again what it only lists. */
import { limits } from '../bytes/limits.ts'
import { clockTicks } from '../commit/commit.ts'
import type { Shelf } from '../merge/shelf.ts'
import type { ItemName } from '../sync/recall.ts'
import type { Counting } from './counting.ts'
import type { Host } from './host.ts'
import type { Pipeline } from './pipeline.ts'
import { historyUpTo } from './recall.ts'
import type { Reckoning } from './reckoning.ts'
import type { Saving } from './saving.ts'
import { commitAt, shelfSource } from './shelfsource.ts'
import { shelvesOf } from './snapshot.ts'
import type { Restored } from './storedlog.ts'

interface Restoring {
  readonly host: Pick<Host, 'clock' | 'runtime'>
  readonly pipeline: Pipeline
  readonly counting: Counting
  readonly saving: Saving
  readonly reckoning: Reckoning
}

export const restore = (stored: Restored, { host, pipeline, counting, saving, reckoning }: Restoring): void => {
  const { commits, log } = pipeline
  const source = shelfSource(commits, log, host.runtime.inflate)
  let laid: ReadonlyMap<string, Shelf> | undefined
  const floor = (): ReadonlyMap<string, Shelf> => {
    laid ??= commits.dropped === 0 ? new Map() : shelvesOf(stored.floor(), source)
    return laid
  }
  // What came back was of the floor of then, and more may have been dropped right before.
  const isWhole = (item: ItemName): boolean =>
    historyUpTo(floor().get(item.schema)?.find(item.key)?.last.id, item, (id) => commits.get(id)) !== undefined
  const { logged } = commits
  const shelves = stored.size === 0 ? undefined : shelvesOf(stored, source, floor)
  counting.restore(
    shelves,
    function* () {
      for (let number = source.dropped; number < logged; number++) yield commitAt(commits, number)
    },
    floor,
    stored.recalled.filter(isWhole),
  )
  for (const { number, changes } of stored.odd) {
    const commit = commitAt(commits, number)
    const again = changes.flatMap((place) => commit.changes[place] ?? [])
    counting.countAgain(commit, again)
  }
  saving.restore(log.covered)
  if (stored.clock <= (host.clock.now() + limits.clockAhead) * clockTicks) host.clock.see(stored.clock)
  for (const entry of log.entries.slice(0, stored.entries)) reckoning.recall(entry)
  // A floor has nothing that was ever in doubt.
  if (stored.size > 0) reckoning.restored()
}
