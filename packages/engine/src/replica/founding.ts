/**
 * Whether a commit may bring a repository into being. A repository exists from its first commit on, in a file and for everybody who may
 * read it, so the authority judges that one before it stores it: of what the rules refuse there is to be no trace. What nobody can judge
 * yet, because its schema is not known here, may found; every later commit is stored first and judged when it counts.
 */
import type { Refusal } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import { Counting, type CountingRules } from './counting.ts'

/** Whether it builds on nothing. What does waits for that before it is stored, and is stored only behind a commit that was judged. */
export const isFirst = ({ seq, changes }: Commit): boolean =>
  seq === 0 && changes.every(({ parents }) => parents.length === 0)

export const refuseFounding = (commit: Commit, rules: CountingRules): Refusal | undefined => {
  if (!isFirst(commit)) return undefined
  let counts = false
  let why: Refusal | undefined
  const trial = new Counting(rules, (counted) => {
    if (counted.refusal === undefined) counts = true
    else why ??= counted.refusal
  })
  trial.count(commit)
  return counts ? undefined : why
}
