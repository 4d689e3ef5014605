/**
 * Erases at the authority what somebody asked for: behind a checkpoint over all that is here, and with the list of what did not count, so
 * that every replica goes on from the same verdicts, whether it ever saw the content or not.
 */
import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { NamedChange, Statement } from '../trust/entry.ts'
import type { Authority } from './authority.ts'
import { unlisted } from './erasing.ts'
import type { Repository } from './repository.ts'

/** Erases the content of these changes, for whoever may have it done. Undefined once nothing of it is stored here. */
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
  await pipeline.cleaning.done()
  return undefined
}
