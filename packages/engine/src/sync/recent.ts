/**
 * Which ids went by lately, as a value: adding gives another one and leaves this one as it is. It remembers at least the last 1,792 and at
 * most 2,048. Adding one id at a time costs a few moves each, because sets are joined with a neighbour only when that is no larger.
 */
export type Recent = readonly ReadonlySet<string>[]

const most = 2_048
const fullSet = 256

export const isRecent = (recent: Recent, id: string): boolean => recent.some((ids) => ids.has(id))

export const withRecent = (recent: Recent, ids: readonly string[]): Recent => {
  const sets: ReadonlySet<string>[] = [...recent]
  for (let from = Math.max(0, ids.length - most); from < ids.length; from += fullSet) {
    let added: ReadonlySet<string> = new Set(ids.slice(from, from + fullSet))
    for (let last = sets.at(-1); last !== undefined && last.size <= added.size; last = sets.at(-1)) {
      if (last.size + added.size > fullSet) break
      added = new Set([...last, ...added])
      sets.pop()
    }
    sets.push(added)
  }
  let size = sets.reduce((sum, set) => sum + set.size, 0)
  while (size > most) size -= sets.shift()?.size ?? size
  return sets
}
