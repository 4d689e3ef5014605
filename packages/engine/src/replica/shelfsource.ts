/** What items on a shelf are read from: the log they are of. */
import type { Commit } from '../commit/commit.ts'
import type { Commits } from '../graph/commits.ts'
import type { ShelfCommits } from '../merge/shelf.ts'
import type { AuthorityLog } from '../trust/authoritylog.ts'
import type { Runtime } from './ports.ts'

/** Throws a RangeError where there is none. */
export const commitAt = (commits: Commits, number: number): Commit => {
  const commit = commits.at(number)
  if (commit === undefined) throw new RangeError(`no commit ${number}`)
  return commit
}

/** `inflate`: the platform's, where that is to be used. */
export const shelfSource = (
  commits: Commits,
  log: Pick<AuthorityLog, 'cited'>,
  inflate: Runtime['inflate'] | undefined,
): ShelfCommits => ({
  dropped: commits.dropped,
  commit: (number) => commitAt(commits, number),
  idOf: (number) => commits.idAt(number) ?? '',
  clockOf: (number) => commits.clockAt(number),
  cited: ({ policy }) => log.cited(policy.authority),
  inflate,
})
