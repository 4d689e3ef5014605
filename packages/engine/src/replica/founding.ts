/**
 * Whether a commit may bring a repository into being. A repository exists from its first commit on, in a file and for everybody who may
 * read it, so the authority judges that one before it stores it: of what the rules refuse there is to be no trace. What nobody can judge
 * yet, because its schema is not known here, may found; every later commit is stored first and judged when it counts.
 */
import type { Refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import { Counting, type CountingRules } from './counting.ts'

export const refuseFounding = (commit: Commit, rules: CountingRules): Refusal | undefined => {
  // It waits for others before it is stored, and is stored only behind one that was judged.
  if (commit.seq > 0 || commit.changes.some(({ parents }) => parents.length > 0)) return undefined
  let counts = false
  let why: Refusal | undefined
  const trial = new Counting(rules, (counted) => {
    if (counted.refusal === undefined) counts = true
    else why ??= counted.refusal
  })
  trial.count(commit)
  return counts ? undefined : why
}
