/**
 * What rules allowed that are not in force any more, and the newest deny. A commit is judged by the rules it cites, and whoever likes the
 * older ones better may cite them for ever; so the authority voids such a change before a checkpoint covers it. Honest work that was
 * done offline under the older rules is voided by the same measure, and its author is told which rule denies it now.
 */
import type { Commit } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'
import type { Statement } from '../trust/entry.ts'
import { fieldsOf } from './counting.ts'
import type { Judging } from './judging.ts'
import type { Repository } from './repository.ts'
import { cutName } from './wire.ts'

type Verdict = Extract<Statement, { kind: 'verdict' }>

export class Outdated {
  readonly #judging: Judging
  /** Each is judged once by the newest rules, of which there is one version as long as the authority runs. */
  readonly #judged = new WeakSet<Commit>()

  constructor(judging: Judging) {
    this.#judging = judging
  }

  /** The verdict on the first such change that these heads would cover; undefined when there is none. */
  verdict(repository: Repository, moved: readonly Head[]): Verdict | undefined {
    if (!this.#judging.hasOlderRules) return undefined
    const { commits, log } = repository.pipeline
    for (const { chain, id } of moved) {
      const covered = log.covered.get(chain)?.seq ?? -1
      for (let next: string | null = id; next !== null; ) {
        const commit = commits.get(next)
        if (commit === undefined || commit.seq <= covered) break
        const verdict = this.#judged.has(commit) ? undefined : this.#judge(repository, commit)
        if (verdict !== undefined) return verdict
        this.#judged.add(commit)
        next = commit.prev
      }
    }
    return undefined
  }

  #judge({ counting, pipeline: { log } }: Repository, commit: Commit): Verdict | undefined {
    if (this.#judging.citesNewest(commit)) return undefined
    for (const { key, schema } of commit.changes) {
      const item = counting.item(key, schema.hash)
      const index = item?.graph.indexOf(commit.id)
      const node = item === undefined || index === undefined ? undefined : item.graph.node(index)
      // What nobody can judge here, or does not count, has nothing to void.
      if (item === undefined || node === undefined || node.refused || node.inapplicable || node.voided !== undefined)
        continue
      const edit = { key, schema: item.schema, fields: fieldsOf(node.operations), ...item.outcome(node.index) }
      const why = this.#judging.writeByNewest(commit, log, edit)
      if (why === undefined) continue
      const reason = cutName(why.reason ?? 'the rules were changed')
      return {
        kind: 'verdict',
        commit: commit.id,
        key: commit.atomic ? null : key,
        code: 'NotAllowed',
        rule: cutName(why.rule ?? ''),
        reason,
      }
    }
    return undefined
  }
}
