/** What counting asks of a repository and its replica. */
import { limits } from '../bytes/limits.ts'
import { refusal } from '../bytes/refusal.ts'
import type { CountingRules } from './counting.ts'
import type { Host } from './host.ts'
import type { Pipeline } from './pipeline.ts'
import type { Recall } from './recall.ts'

interface Judged {
  readonly recalling: Pick<Recall, 'want'>
  readonly path: string
  readonly pipeline: Pipeline
  covers(id: string): boolean
}

export const countingRules = (host: Host, repository: Judged): CountingRules => {
  // The pipeline is made after what it has counted.
  const pipeline = (): Pipeline => repository.pipeline
  return {
    schema: (hash) => host.schema(hash),
    policyKnown: ({ policy }) => host.root.knows(policy.root) && pipeline().knows(policy.authority),
    now: () => host.clock.now(),
    isOwn: (commit) => commit.session === host.identity?.session,
    isDecided: ({ id }) => repository.covers(id) || pipeline().log.isVoid(id),
    cited: ({ policy }) => pipeline().log.cited(policy.authority),
    commit: (id) => pipeline().commits.get(id),
    beside: ({ key, schema }) => repository.recalling.want({ schema: schema.hash, key }),
    isDropped: (id) => pipeline().commits.isDropped(id),
    isBelowFloor: (commit) => pipeline().commits.isBelowFloor(commit),
    full: () =>
      host.incident(refusal('TooMany', `${limits.heldChanges} commits that do not count yet`), repository.path),
    undecided: (commit) => host.judging.waits(commit, pipeline().log, pipeline().durableEntries, host.person),
    erasure: (commit, key) => pipeline().log.erasureOf(commit, key, pipeline().durableEntries),
    authorize: (commit, edit) => host.judging.write(commit, pipeline().log, edit),
  }
}
