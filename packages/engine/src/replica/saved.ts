/** Free functions about items: what is not a field. */
import type { Code } from '../bytes/refusal.ts'
import { catalogue } from '../bytes/refusal.ts'
import { liveOf } from './item.ts'
import type { LastChange, SavedState } from './live.ts'
import { reportRead } from './reads.ts'

/**
 * Resolves when every change of the item made so far is in this device's log (`'local'`), or durable at the authority under a
 * checkpoint (`'authority'`). Rejects with the reason when that will never be.
 */
export const saved = (item: object, level: 'local' | 'authority'): Promise<void> =>
  liveOf(item).owner.saved(liveOf(item), level)

/** Where the item's newest changes stand. */
export const savedState = (item: object): SavedState => liveOf(item).owner.savedState(liveOf(item))

/** Who made the change of the item that came last, and when (ms since 1970). Undefined before the first commit. */
export const lastChange = (item: object): LastChange | undefined => liveOf(item).owner.lastChange(liveOf(item))

/** Fields whose value the schema refused: kept in memory, left out of commits. */
export const problemsOf = (item: object): Record<string, { code: Code; message: string }> => {
  reportRead(liveOf(item))
  const problems: Record<string, { code: Code; message: string }> = {}
  for (const [field, { refusal }] of liveOf(item).draft.refused) {
    const [sentence, remedy] = catalogue[refusal.code]
    problems[field] = { code: refusal.code, message: `${sentence} ${remedy}` }
  }
  return problems
}

/** Calls back after every change of what the item shows or where it is saved. */
export const subscribe = (item: object, listener: () => void): (() => void) => liveOf(item).subscribe(listener)
