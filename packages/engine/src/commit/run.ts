/**
 * Runs: commits of one chain, each the next after the one before, of which only the last is signed. Its id is a hash over all before it,
 * so that one signature vouches for the whole run, and a burst of commits costs one signature to make and one to verify. A run is admitted,
 * stored and sent as one: what holds the last without the others, or the others without the last, is no run.
 */
import { concatBytes } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Commit } from './commit.ts'
import type { Packed } from './pack.ts'

/** One commit or more, the last of them signed and no other. */
export type Run = readonly Commit[]

export const isSigned = ({ signature }: Pick<Commit, 'signature'>): boolean => signature.length > 0

/** The same of a record, as `readCommit` accepts it. */
export const bearsSignature = (record: Uint8Array): boolean => {
  const cursor = new Cursor(record)
  cursor.expect(0x83)
  cursor.skip(cursor.head(2))
  return cursor.head(2) > 0
}

/** Whether `later` is the commit after `earlier` in its chain. */
export const follows = (later: Commit, earlier: Commit): boolean =>
  later.prev === earlier.id && later.chain === earlier.chain && later.seq === earlier.seq + 1

/** Of the records as their author made them, at most: a hash may be longer than the content it stands for. */
const bytesOf = (commits: readonly Commit[]): number => {
  let sum = 0
  for (const { bytes, changes } of commits) {
    sum += bytes.length
    for (const { erased } of changes) if (erased) sum -= 48
  }
  return sum
}

/** Whether so many commits of so many bytes may be one run. A commit alone is as large as it may be. */
export const fitsRun = (commits: number, bytes: number): boolean =>
  commits === 1 || (commits <= limits.runCommits && bytes <= limits.runBytes)

/** Whether the last of these commits vouches for all of them. */
export const isRun = (commits: readonly Commit[]): commits is Run =>
  commits.length > 0 &&
  fitsRun(commits.length, bytesOf(commits)) &&
  commits.every((commit, index) => {
    const next = commits[index + 1]
    return next === undefined ? isSigned(commit) : !isSigned(commit) && follows(next, commit)
  })

/**
 * Gathers commits that stand one behind the other into runs, taking no more of them than the runs asked for. `refuse` is told of each that nobody vouches for (`BadSignature`) or that
 * belongs to a run beyond the limits (`TooMany`, `TooLarge`).
 */
export function* gatherRuns(
  commits: Iterable<Commit>,
  refuse: (commit: Commit, why: Refusal) => void,
): Generator<Run, void, undefined> {
  let open: Commit[] = []
  const drop = (why: (commit: Commit) => Refusal): void => {
    for (const commit of open) refuse(commit, why(commit))
    open = []
  }
  const unvouched = ({ id }: Commit): Refusal => refusal('BadSignature', id)
  for (const commit of commits) {
    const last = open.at(-1)
    if (last !== undefined && !follows(commit, last)) drop(unvouched)
    open.push(commit)
    if (!isSigned(commit)) continue
    if (open.length > 1 && open.length > limits.runCommits) drop(() => refusal('TooMany', 'a run of commits'))
    else if (!fitsRun(open.length, bytesOf(open))) drop(() => refusal('TooLarge', 'a run of commits'))
    else yield open
    open = []
  }
  drop(unvouched)
}

/**
 * The same commits as records to send together, without the signatures that a later one makes needless. The commits stand in the order in
 * which they are sent and end with a signed one.
 *
 * Runs that were made apart are joined only where the later one builds on nothing but its own chain and what the first commit names.
 * Otherwise two runs could wait for each other for ever: others may have built on the first one before the second was made on theirs. Another
 * branch of the own chain is somebody else's: `chainOf` gives none for what is in a forked chain.
 */
export const withoutNeedless = (commits: readonly Commit[], chainOf: (id: string) => string | undefined): Packed[] => {
  const records: Packed[] = []
  /** The run that grows at the end of `records`. */
  let grown: readonly Commit[] = []
  let bytes = 0
  for (const run of gatherRuns(commits, () => undefined)) {
    const [first] = run
    const last = grown.at(-1)
    if (first === undefined) continue
    const added = bytesOf(run)
    const joins =
      last !== undefined &&
      follows(first, last) &&
      fitsRun(grown.length + run.length, bytes + added) &&
      buildsOn(run, grown, chainOf)
    if (joins) records[records.length - 1] = { id: last.id, bytes: unsigned(last) }
    grown = joins ? [...grown, ...run] : [...run]
    bytes = joins ? bytes + added : added
    for (const commit of run) records.push(commit)
  }
  return records
}

const buildsOn = (run: Run, grown: readonly Commit[], chainOf: (id: string) => string | undefined): boolean => {
  const [first] = grown
  if (first === undefined) return false
  const named = new Set(first.changes.flatMap(({ parents }) => parents))
  for (const { id } of [...grown, ...run]) named.add(id)
  return run.every(({ changes }) =>
    changes.every(({ parents }) => parents.every((id) => named.has(id) || chainOf(id) === first.chain)),
  )
}

/** The record with an empty signature. */
export const unsigned = ({ bytes }: Pick<Commit, 'bytes'>): Uint8Array => {
  const cursor = new Cursor(bytes)
  cursor.expect(0x83)
  cursor.skip(cursor.head(2))
  const from = cursor.at
  cursor.skip(cursor.head(2))
  return concatBytes(bytes.subarray(0, from), emptyString, bytes.subarray(cursor.at))
}

const emptyString = Uint8Array.of(0x40)
