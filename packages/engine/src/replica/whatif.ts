/** Which verdicts other rules would have given: all of a repository's history counted again, beside what counts. */
import { type Refusal, WeftError } from '../bytes/refusal.ts'
import { clockTicks } from '../commit/commit.ts'
import type { Schema } from '../schema/schema.ts'
import type { Rule } from '../trust/rules.ts'
import type { Certificates } from './certificates.ts'
import { Counting, type CountingRules } from './counting.ts'
import { Deaths } from './deaths.ts'
import { Judging, type Person } from './judging.ts'
import type { Pipeline } from './pipeline.ts'
import type { RootLog } from './rootlog.ts'

/** One change whose verdict would be another. `undefined`: it counts. */
export interface ChangedVerdict {
  readonly commit: string
  readonly schema: string
  readonly key: string
  readonly owner: string | undefined
  /** ms since 1970, by its author's clock */
  readonly time: number
  readonly was: Refusal | undefined
  readonly would: Refusal | undefined
}

export interface Replayed {
  readonly pipeline: Pipeline
  readonly root: RootLog
  readonly certificates: Certificates
  readonly judging: Judging
  /** Whose replica it is. */
  readonly reader: Person | undefined
  schema(hash: string): Schema | undefined
  now(): number
}

/** What the rules given now say of every change that is here, by change: the verdicts of everything that can be judged. */
const verdicts = (
  of: Replayed,
  judging: Judging,
): Map<string, Omit<ChangedVerdict, 'was' | 'would'> & { why: Refusal | undefined }> => {
  const { pipeline } = of
  const found = new Map<string, Omit<ChangedVerdict, 'was' | 'would'> & { why: Refusal | undefined }>()
  const deaths = new Deaths(pipeline, judging)
  const rules: CountingRules = {
    schema: (hash) => of.schema(hash),
    policyKnown: (commit) => of.root.knows(commit.policy.root) && pipeline.knows(commit.policy.authority),
    now: () => of.now(),
    isOwn: () => false,
    isDecided: ({ id, chain, seq }) =>
      pipeline.log.isVoid(id) || pipeline.log.coveredAt(chain, seq) !== Number.POSITIVE_INFINITY,
    full: () => undefined,
    undecided: (commit) => judging.waits(commit, pipeline.log, pipeline.durableEntries, of.reader),
    cited: (commit) => pipeline.log.cited(commit.policy.authority),
    erasure: (commit, key) => pipeline.log.erasureOf(commit, key, pipeline.durableEntries),
    authorize: (commit, edit) => judging.write(commit, pipeline.log, edit),
  }
  const counting = new Counting(rules, ({ item, commit, index, refusal }) => {
    const keys = commit.atomic ? commit.changes.map(({ key }) => key) : [item.key]
    const death = deaths.of(commit, keys)
    if (death !== undefined) item.void(index, death.from)
    found.set(`${commit.id}/${item.key}`, {
      commit: commit.id,
      schema: item.schema.name,
      key: item.key,
      owner: of.certificates.get(commit.session)?.owner,
      time: Math.floor(commit.clock / clockTicks),
      why: refusal ?? death?.why,
    })
  })
  for (let index = 0; ; index++) {
    const commit = pipeline.commits.at(index)
    if (commit === undefined) break
    counting.count(commit)
  }
  return found
}

/** Changes that would count and do not, or the other way round, had these rules been in force from the first commit on. */
export const whatIf = (of: Replayed, rules: readonly Rule[]): readonly ChangedVerdict[] => {
  if (of.pipeline.commits.dropsAny) throw new WeftError('HistoryDropped', of.pipeline.path)
  const faults = { report: () => undefined, twice: false }
  const others = new Judging(() => rules, of.root, of.certificates, faults)
  const [now, then] = [verdicts(of, of.judging), verdicts(of, others)]
  const changed: ChangedVerdict[] = []
  for (const [name, { why: was, ...change }] of now) {
    const would = then.get(name)?.why
    if ((was === undefined) !== (would === undefined)) changed.push({ ...change, was, would })
  }
  return changed
}
