import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ItemGraph } from './item.ts'

/** For each node, how far back each of its parents lies. */
const shape = fc.array(fc.array(fc.nat(12), { maxLength: 4 }), { minLength: 1, maxLength: 40 })

const graphOf = (distances: readonly (readonly number[])[]) => {
  const graph = new ItemGraph()
  const pasts: ReadonlySet<number>[] = []
  for (const [index, back] of distances.entries()) {
    const parents = [...new Set(back.map((distance) => index - 1 - distance).filter((parent) => parent >= 0))]
    graph.add({ id: `id ${index}`, clock: index, parents, operations: [], seen: -1 })
    pasts.push(new Set(parents.flatMap((parent) => [parent, ...(pasts[parent] ?? [])])))
  }
  const past = (index: number): ReadonlySet<number> => pasts[index] ?? new Set()
  const version = (heads: readonly number[]) => new Set(heads.flatMap((head) => [head, ...past(head)]))
  return { graph, past, version }
}

test('heads, ancestors and differences are those of the sets written out', () => {
  fc.assert(
    fc.property(
      shape,
      fc.array(fc.nat(), { maxLength: 4 }),
      fc.array(fc.nat(), { maxLength: 4 }),
      (distances, one, other) => {
        const { graph, past, version } = graphOf(distances)
        const all = graph.nodes.map(({ index }) => index)
        expect([...graph.heads].sort((a, b) => a - b)).toEqual(
          all.filter((index) => !all.some((later) => past(later).has(index))),
        )
        const place = (chosen: number): number => chosen % all.length
        const [from, to] = [one.map(place), other.map(place)]
        const held = version(from)
        expect(graph.difference(from, to)).toEqual(
          [...version(to)].filter((index) => !held.has(index)).sort((a, b) => a - b),
        )
        const below = new Set(to.flatMap((index) => [...past(index)]))
        expect(graph.ancestorsAmong(new Set(from), to)).toEqual(new Set(from.filter((index) => below.has(index))))
        for (const a of all) for (const b of all) expect(graph.isAncestor(a, b)).toBe(past(b).has(a))
        for (const index of all) expect(graph.indexOf(`id ${index}`)).toBe(index)
      },
    ),
    { seed: 5, numRuns: 200 },
  )
})

test('a ladder of diamonds is walked once, not once a path', () => {
  const graph = new ItemGraph()
  const add = (parents: readonly number[]): number =>
    graph.add({ id: String(graph.nodes.length), clock: 0, parents, operations: [], seen: -1 }).index
  const root = add([])
  let foot = root
  for (let rung = 0; rung < 10_000; rung++) foot = add([add([foot]), add([foot])])
  expect(graph.isAncestor(root, foot)).toBe(true)
  expect(graph.difference([root], [foot]).length).toBe(30_000)
  expect(graph.heads).toEqual([foot])
})
