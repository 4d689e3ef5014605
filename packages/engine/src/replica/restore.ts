/** Puts back what a snapshot has of a repository's items, and counts again what it only lists. */
import type { Commit } from '../commit/commit.ts'
import type { Commits } from '../graph/commits.ts'
import type { Counting } from './counting.ts'
import type { Pipeline } from './pipeline.ts'
import { type Snapshot, shelvesOf } from './snapshot.ts'

const commitAt = (commits: Commits, number: number): Commit => {
  const commit = commits.at(number)
  if (commit === undefined) throw new RangeError(`no commit ${number}`)
  return commit
}

export const restore = (snapshot: Snapshot, { commits, log }: Pipeline, counting: Counting): void => {
  const count = snapshot.ids.length / 32
  const shelves = shelvesOf(snapshot, {
    commit: (number) => commitAt(commits, number),
    idOf: (number) => commits.idAt(number) ?? '',
    clockOf: (number) => commits.clockAt(number),
    cited: ({ policy }) => log.cited(policy.authority),
  })
  counting.restore(shelves, function* () {
    for (let number = 0; number < count; number++) yield commitAt(commits, number)
  })
  for (const { number, changes } of snapshot.odd) {
    const commit = commitAt(commits, number)
    const again = changes.flatMap((place) => commit.changes[place] ?? [])
    counting.countAgain(commit, again)
  }
}
