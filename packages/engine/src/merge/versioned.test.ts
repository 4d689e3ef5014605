import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Changing, VersionedMap } from './versioned.ts'

test('every version keeps its entries, whichever was asked last', () => {
  const change = fc.tuple(
    fc.nat(),
    fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.option(fc.nat(9), { nil: undefined })), { maxLength: 4 }),
  )
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 40 }), (changes, asked) => {
      const versions = [{ versioned: VersionedMap.empty<number>(), plain: new Map<string, number>() }]
      for (const [of, what] of changes) {
        const from = versions[of % versions.length]
        if (from === undefined) continue
        const plain = new Map(from.plain)
        const changing = new Changing(from.versioned)
        for (const [key, value] of what) {
          if (value === undefined) plain.delete(key)
          else plain.set(key, value)
          changing.set(key, value)
          expect(changing.get(key)).toBe(value)
        }
        versions.push({ versioned: changing.finish(), plain })
      }
      for (const which of [...asked, ...versions.keys()]) {
        const version = versions[which % versions.length]
        if (version === undefined) continue
        const { versioned, plain } = version
        expect(versioned.size).toBe(plain.size)
        for (const key of ['a', 'b', 'c', 'd'])
          expect([versioned.get(key), versioned.has(key)]).toEqual([plain.get(key), plain.has(key)])
        expect(new Map(versioned)).toEqual(plain)
      }
    }),
    { seed: 3, numRuns: 300 },
  )
})

test('going through one version, another may be looked at', () => {
  const one = VersionedMap.empty<number>().with([
    ['a', 1],
    ['b', 2],
  ])
  const two = one.with([
    ['a', undefined],
    ['c', 3],
  ])
  const seen: string[] = []
  for (const [key] of one) seen.push(`${key}${two.get('c')}`)
  expect(seen.sort()).toEqual(['a3', 'b3'])
  expect([...two.keys()].sort()).toEqual(['b', 'c'])
})
