/** Puts back what a snapshot has of a repository, and counts again what it only lists. */
import { limits } from '../bytes/limits.ts'
import { type Commit, clockTicks } from '../commit/commit.ts'
import type { Commits } from '../graph/commits.ts'
import type { Counting } from './counting.ts'
import type { Host } from './host.ts'
import type { Pipeline } from './pipeline.ts'
import type { Reckoning } from './reckoning.ts'
import type { Saving } from './saving.ts'
import { shelvesOf } from './snapshot.ts'
import type { Restored } from './storedlog.ts'

const commitAt = (commits: Commits, number: number): Commit => {
  const commit = commits.at(number)
  if (commit === undefined) throw new RangeError(`no commit ${number}`)
  return commit
}

interface Restoring {
  readonly host: Pick<Host, 'clock'>
  readonly pipeline: Pipeline
  readonly counting: Counting
  readonly saving: Saving
  readonly reckoning: Reckoning
}

export const restore = (snapshot: Restored, { host, pipeline, counting, saving, reckoning }: Restoring): void => {
  const { commits, log } = pipeline
  const shelves = shelvesOf(snapshot, {
    commit: (number) => commitAt(commits, number),
    idOf: (number) => commits.idAt(number) ?? '',
    clockOf: (number) => commits.clockAt(number),
    cited: ({ policy }) => log.cited(policy.authority),
  })
  const { logged } = commits
  counting.restore(shelves, function* () {
    for (let number = 0; number < logged; number++) yield commitAt(commits, number)
  })
  for (const { number, changes } of snapshot.odd) {
    const commit = commitAt(commits, number)
    const again = changes.flatMap((place) => commit.changes[place] ?? [])
    counting.countAgain(commit, again)
  }
  saving.restore(log.covered)
  if (snapshot.clock <= (host.clock.now() + limits.clockAhead) * clockTicks) host.clock.see(snapshot.clock)
  for (const entry of log.entries.slice(0, snapshot.entries)) reckoning.recall(entry)
  reckoning.restored()
}
