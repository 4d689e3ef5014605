/**
 * Erasure: the authority names changes whose content goes, and lists with them what did not count of the same items, because nobody can
 * judge that again without the content (`trust/erasure.ts`). Before it does, it covers all it holds.
 */
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Change, Commit } from '../commit/commit.ts'
import type { Commits } from '../graph/commits.ts'
import type { AuthorityLog } from '../trust/authoritylog.ts'
import type { NamedChange, Statement } from '../trust/entry.ts'
import type { Authority } from './authority.ts'
import type { Counting } from './counting.ts'
import type { Repository } from './repository.ts'

/** What erasures make of a change. */
export interface Erased {
  /** Position of the entry that erased its content, undefined while it is there. */
  readonly erased: number | undefined
  /** Whether it counts, where that was settled before content of its item was erased. */
  readonly counts: boolean | undefined
}

interface Held {
  readonly commits: Commits
  readonly log: AuthorityLog
  readonly durableEntries: number
}

/** What the durable entries of the log make of a commit's change of that item. */
export const erasureOf = ({ log, durableEntries }: Held, { id, chain, seq }: Commit, key: string): Erased | undefined => {
  const { erasures } = log
  if (erasures.isEmpty) return undefined
  const at = erasures.at(id, key)
  return {
    erased: at !== undefined && at < durableEntries ? at : undefined,
    counts: erasures.verdict(id, key, log.coveredAt(chain, seq), durableEntries),
  }
}

const hasContent = ({ erased, operations }: Change): boolean =>
  !erased &&
  operations.some(
    (operation) =>
      operation.kind === 'assign' ||
      operation.kind === 'add' ||
      operation.kind === 'put' ||
      (operation.kind === 'splice' && operation.length > 0),
  )

function* changesOf({ commits }: Held): Generator<[Commit, Change]> {
  for (let index = 0; ; index++) {
    const commit = commits.at(index)
    if (commit === undefined) return
    for (const change of commit.changes) yield [commit, change]
  }
}

/** Covered changes of the item that have content, in runs that one request may name. */
export const erasable = (held: Held, key: string): NamedChange[][] => {
  const found: NamedChange[] = []
  for (const [{ id, chain, seq }, change] of changesOf(held)) {
    const isCovered = held.log.coveredAt(chain, seq) < held.durableEntries
    if (change.key === key && isCovered && hasContent(change)) found.push({ commit: id, key })
  }
  return inRuns(found)
}

/** Cut to what one request or entry may name. */
export const inRuns = (changes: readonly NamedChange[]): NamedChange[][] => {
  const runs: NamedChange[][] = []
  for (let from = 0; from < changes.length; from += limits.changes) runs.push(changes.slice(from, from + limits.changes))
  return runs
}

/** Covered changes of the items that do not count here, whatever the reason, and that no entry lists yet. */
const unlisted = (held: Held, counting: Counting, keys: ReadonlySet<string>): NamedChange[] => {
  const { erasures } = held.log
  const found: NamedChange[] = []
  for (const [{ id, chain, seq }, { key, schema }] of changesOf(held)) {
    if (!keys.has(key) || held.log.coveredAt(chain, seq) >= held.durableEntries || erasures.isDead(id, key)) continue
    const graph = counting.item(key, schema.hash)?.graph
    const index = graph?.indexOf(id)
    // What nobody could judge here must count nowhere: nobody will judge it any more.
    const node = graph === undefined || index === undefined ? undefined : graph.node(index)
    if (node === undefined || node.refused || node.inapplicable) found.push({ commit: id, key })
  }
  return found
}

/** At the authority: erases the content of these changes, for whoever may have it done. Undefined once it is durable here. */
export const erase = async (
  authority: Authority,
  repository: Repository,
  { changes, by, reason }: { readonly changes: readonly NamedChange[]; readonly by: string; readonly reason: string },
  mayNot: () => Refusal | undefined,
): Promise<Refusal | undefined> => {
  const { pipeline, counting } = repository
  const { commits, log } = pipeline
  const keys = new Set(changes.map(({ key }) => key))
  const isHere = ({ commit, key }: NamedChange): boolean =>
    commits.has(commit) && commits.get(commit)?.changes.some((change) => change.key === key) === true
  const left = (): NamedChange[] => changes.filter(({ commit, key }) => log.erasures.at(commit, key) === undefined)
  const statement = (): Statement => {
    const dead = unlisted(pipeline, counting, keys)
    // What did not count is listed before the content goes, in as many entries as it takes.
    const erased = dead.length > limits.changes ? [] : left()
    return { kind: 'erasure', changes: erased, dead: dead.slice(0, limits.changes), by, reason }
  }
  const why = (): Refusal | 'done' | undefined => {
    const denied = mayNot()
    if (denied !== undefined) return denied
    const missing = changes.find((change) => !isHere(change))
    if (missing !== undefined) return refusal('MissingCommit', missing.commit)
    return left().length === 0 ? 'done' : undefined
  }
  while (left().length > 0) {
    const refused = await authority.write(repository, [statement], why)
    if (refused !== undefined) return refused
  }
  await pipeline.cleaned()
  return undefined
}
