/** What a client knows of its commits, in Node or in a page. */
import type { Database, Repository } from '@weft-db/engine'

/** Resolves when it holds; looked at whenever the state of the replica changes. */
export const until = (database: Database, holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const stop = database.onStatus(() => look())
    const look = (): void => {
      if (!holds()) return
      stop()
      resolve()
    }
    look()
  })

/** Commits that a checkpoint covers, as a replica knows it. */
export const acknowledged = ({ pipeline: { commits, log } }: Repository): Set<string> => {
  const ids = new Set<string>()
  for (let index = 0; index < commits.size; index++) {
    const commit = commits.at(index)
    if (commit !== undefined && commit.seq <= (log.covered.get(commit.chain)?.seq ?? -1)) ids.add(commit.id)
  }
  return ids
}
