import type { TextHistory } from './text-history.ts'

/**
 * The oracle for the walker: the same text found slowly and plainly. One entry a character, every event from the first one on, every
 * set of ancestors written out, and places found by scanning (the scan of Yjs as Gentle amended it, which gives FugueMax's
 * order) instead of by a tree. Only tests use it.
 */
interface Character {
  readonly event: number
  readonly unit: string
  readonly left: Character | undefined
  readonly right: Character | undefined
  readonly removedBy: number[]
}

export function naiveText(history: TextHistory, version: readonly number[]): string {
  const pasts = new Map<number, ReadonlySet<number>>()
  const pastOf = (event: number): ReadonlySet<number> => {
    const known = pasts.get(event)
    if (known) return known
    const past = union(history.parents(event))
    pasts.set(event, past)
    return past
  }
  const union = (events: readonly number[]): ReadonlySet<number> =>
    new Set(events.flatMap((event) => [event, ...pastOf(event)]))

  const sequence: Character[] = []
  for (const event of [...union(version)].sort((a, b) => a - b)) {
    const past = pastOf(event)
    const inPast = (other: number): boolean => other === event || past.has(other)
    const counts = (other: number): boolean =>
      other === event || (past.has(other) && !(history.dead(other) && history.deadTo(other, event)))
    const shows = (other: number): boolean =>
      counts(other) && !(other !== event && history.erased?.(other) && history.erasedTo?.(other, event))
    for (const { at, remove, insert } of history.splices(event)) {
      const visible = sequence.filter(
        (character) => shows(character.event) && !character.removedBy.some((other) => counts(other)),
      )
      for (const character of visible.slice(at, at + remove)) character.removedBy.push(event)
      let left = visible.slice(0, at).at(-1)
      for (const unit of insert.split('')) {
        const right = sequence.slice(left ? sequence.indexOf(left) + 1 : 0).find((other) => inPast(other.event))
        left = integrate(history, sequence, { event, unit, left, right, removedBy: [] })
      }
    }
  }
  return sequence
    .filter(({ event }) => !history.dead(event) && !history.erased?.(event))
    .filter(({ removedBy }) => removedBy.every((other) => history.dead(other)))
    .map(({ unit }) => unit)
    .join('')
}

const integrate = (history: TextHistory, sequence: Character[], character: Character): Character => {
  const leftOf = ({ left }: Character): number => (left ? sequence.indexOf(left) : -1)
  const rightOf = ({ right }: Character): number => (right ? sequence.indexOf(right) : sequence.length)
  const left = leftOf(character)
  const right = rightOf(character)
  let place = left + 1
  let scanning = false
  for (let index = left + 1; ; index++) {
    if (!scanning) place = index
    const other = sequence[index]
    if (index === right || !other || leftOf(other) < left) break
    if (leftOf(other) > left) continue
    const mineFirst = history.tieBreak(character.event) < history.tieBreak(other.event)
    if (rightOf(other) === right && mineFirst) break
    scanning = rightOf(other) < right
  }
  sequence.splice(place, 0, character)
  return character
}
