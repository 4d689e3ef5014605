/**
 * What is kept of an item when its older changes are dropped: its value at the last of them, and the commits that somebody may still name: that last
 * one, which what comes next builds on, and those that put what it holds into sets and maps, which is removed by naming them.
 *
 * Whatever is not dropped has to build on all that is. So a later assignment has a later clock than any in the value, and a deletion has seen all of it:
 * who assigned what, and which edits no deletion covers, need not be known any more.
 */
import type { Entry, FieldState } from './fields.ts'
import type { MergedItem } from './item.ts'
import { type ItemState, isPresent } from './state.ts'
import { VersionedMap } from './versioned.ts'

export interface LaidItem {
  /** Commits, the last change's last. Nodes of the state are places in it. */
  readonly commits: readonly string[]
  /** Of the last change: those that go have none later, and those that stay have later ones. */
  readonly clock: number
  readonly state: ItemState
}

/** What is left of an item of which `isDropped` tells the changes that go; undefined where they have to stay. */
export const layItem = (item: MergedItem, isDropped: (id: string) => boolean): LaidItem | undefined => {
  if (!item.isPlain) return undefined
  const { nodes } = item.graph
  const dropped = nodes.map(({ id, index }) => index < item.dropped || isDropped(id))
  const extended = new Set<number>()
  for (const { index, parents } of nodes)
    if (dropped[index] === true) for (const parent of parents) extended.add(parent)
  const heads = nodes.filter(({ index }) => dropped[index] === true && !extended.has(index))
  const [head] = heads
  if (head === undefined || heads.length > 1) return undefined
  for (const { index, parents } of nodes) {
    if (dropped[index] === true) continue
    if (parents.length === 0 || parents.some((parent) => dropped[parent] === true && parent !== head.index))
      return undefined
  }
  return lay(item.at([head.index]), head)
}

/** The value, as that of one change after those that put what is in its sets and maps. */
export const lay = (state: ItemState, head: { readonly id: string; readonly clock: number }): LaidItem => {
  const places = new Map<string, number>()
  const placeOf = (id: string): number => {
    const place = places.get(id) ?? places.size
    places.set(id, place)
    return place
  }
  const named = [...state.fields].flatMap(([, field]) => commitsIn(field)).filter((id) => id !== head.id)
  for (const id of named) placeOf(id)
  const last = placeOf(head.id)
  const fields = state.fields.change()
  const stamp = { id: head.id, clock: head.clock }
  for (const [name, field] of state.fields) {
    if (field.kind === 'register') fields.set(name, { kind: 'register', stamp, value: field.value })
    else if (field.kind === 'entries')
      fields.set(name, { kind: 'entries', byKey: renumbered(field.byKey, placeOf), size: field.size })
  }
  const presence = isPresent(state) ? [last] : []
  return { commits: [...places.keys()], clock: head.clock, state: { presence, fields: fields.finish() } }
}

const renumbered = (
  byKey: Iterable<readonly [string, readonly Entry[]]>,
  placeOf: (id: string) => number,
): VersionedMap<readonly Entry[]> =>
  VersionedMap.of(
    new Map([...byKey].map(([key, entries]) => [key, entries.map((one) => movedTo(placeOf(one.id), one))])),
  )

/** What is read from a block says its tag and id when it is asked. */
const movedTo = (node: number, { tag, clock, id, value }: Entry): Entry => ({ node, tag, clock, id, value })

const commitsIn = (field: FieldState): readonly string[] => {
  if (field.kind === 'elements') return [...field.byTag.keys()].map((tag) => tag.slice(0, 64))
  return field.kind === 'entries' ? [...field.byKey.values()].flatMap((entries) => entries.map(({ id }) => id)) : []
}
