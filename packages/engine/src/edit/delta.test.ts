import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Rope } from '../merge/rope.ts'
import { applySplices, type Splice } from '../merge/splice.ts'
import { compose, type Delta, deltaOf, mapPosition, rebase, splicesOf } from './delta.ts'

const runs = { seed: 20, numRuns: 1000 }

const apply = (text: string, delta: Delta): string => {
  const result = applySplices(Rope.from(text), splicesOf(delta))
  if (!result) throw new Error(`${JSON.stringify(delta)} does not fit ${JSON.stringify(text)}`)
  return result.toString()
}

const character = fc.constantFrom('a', 'b', 'c', '\n', '\u{1f9f5}', '\u{1f9f6}')
const characters = fc.string({ unit: character, maxLength: 6 })
/** Choices of where to edit; what they mean depends on the text. */
const choices = fc.array(fc.tuple(fc.nat(20), fc.nat(4), characters), { maxLength: 6 })
type Choices = [number, number, string][]

/** Splices in sequence, between whole characters. */
const splicesFor = (text: string, chosen: Choices): Splice[] => {
  let now = [...text]
  return chosen.map(([place, count, insert]) => {
    const from = place % (now.length + 1)
    const gone = now.slice(from, from + count)
    const at = now.slice(0, from).join('').length
    now = [...now.slice(0, from), ...insert, ...now.slice(from + count)]
    return { at, remove: gone.join('').length, insert }
  })
}

const deltaFor = (text: string, chosen: Choices): Delta => deltaOf(splicesFor(text, chosen))

describe('deltas', () => {
  test('do what their splices do in sequence', () => {
    fc.assert(
      fc.property(characters, choices, (text, chosen) => {
        const splices = splicesFor(text, chosen)
        expect(apply(text, deltaOf(splices))).toBe(applySplices(Rope.from(text), splices)?.toString())
      }),
      runs,
    )
  })

  test('are canonical', () => {
    const rank = (part: Delta[number]): number => (typeof part === 'number' ? 0 : typeof part === 'string' ? 1 : 2)
    fc.assert(
      fc.property(characters, choices, choices, (text, one, other) => {
        const [first, second] = [deltaFor(text, one), deltaFor(text, other)]
        for (const delta of [first, compose(first, deltaFor(apply(text, first), other)), rebase(first, second)]) {
          for (const [index, part] of delta.entries()) {
            expect(
              typeof part === 'object' ? part.remove : typeof part === 'string' ? part.length : part,
            ).toBeGreaterThan(0)
            const next = delta[index + 1]
            if (next !== undefined) expect([rank(part), rank(next)]).not.toEqual([2, 1])
            if (next !== undefined) expect(rank(part)).not.toBe(rank(next))
          }
          expect(typeof delta.at(-1)).not.toBe('number')
        }
      }),
      runs,
    )
    expect(deltaOf([{ at: 2, remove: 1, insert: 'x' }])).toEqual([2, 'x', { remove: 1 }])
    expect(
      deltaOf([
        { at: 2, remove: 0, insert: 'x' },
        { at: 2, remove: 1, insert: '' },
      ]),
    ).toEqual([])
  })

  test('compose to one that does both', () => {
    fc.assert(
      fc.property(characters, choices, choices, (text, one, other) => {
        const first = deltaFor(text, one)
        const second = deltaFor(apply(text, first), other)
        expect(apply(text, compose(first, second))).toBe(apply(apply(text, first), second))
      }),
      runs,
    )
  })

  test('rebased over each other meet in one text', () => {
    fc.assert(
      fc.property(characters, choices, choices, (text, one, other) => {
        const [pending, remote] = [deltaFor(text, one), deltaFor(text, other)]
        const remoteFirst = apply(apply(text, remote), rebase(pending, remote))
        expect(apply(apply(text, pending), rebase(remote, pending, 'before'))).toBe(remoteFirst)
      }),
      runs,
    )
  })

  test('put the pending insert after the remote one, and remove once what both removed', () => {
    expect(rebase([2, 'mine'], [2, 'yours'])).toEqual([7, 'mine'])
    expect(rebase([2, 'mine'], [2, 'yours'], 'before')).toEqual([2, 'mine'])
    expect(rebase([1, { remove: 4 }], [3, { remove: 5 }])).toEqual([1, { remove: 2 }])
    expect(rebase([1, { remove: 4 }], [3, 'new'])).toEqual([1, { remove: 2 }, 3, { remove: 2 }])
    expect(rebase([4, 'in'], [2, { remove: 4 }])).toEqual([2, 'in'])
  })
})

describe('positions', () => {
  test('stay with the unit on their side as long as it stands', () => {
    fc.assert(
      fc.property(characters, choices, fc.nat(12), (text, chosen, place) => {
        const delta = deltaFor(text, chosen)
        const position = place % (text.length + 1)
        const [left, right] = [mapPosition(delta, position, -1), mapPosition(delta, position, 1)]
        expect(left).toBeLessThanOrEqual(right)
        expect(right).toBeLessThanOrEqual(apply(text, delta).length)
        // Units that stay, by where they were and are.
        const stay = new Map<number, number>()
        let before = 0
        let after = 0
        for (const part of [...delta, text.length]) {
          if (typeof part === 'number') {
            for (let unit = 0; unit < part && before < text.length; unit++) stay.set(before++, after++)
          } else if (typeof part === 'string') after += part.length
          else before += part.remove
        }
        const [unitLeft, unitRight] = [stay.get(position - 1), stay.get(position)]
        if (unitLeft !== undefined) expect(left).toBe(unitLeft + 1)
        if (unitRight !== undefined) expect(right).toBe(unitRight)
      }),
      runs,
    )
  })

  test('go to either side of an insert, and to the end of what replaced them', () => {
    expect(mapPosition([2, 'abc'], 2, -1)).toBe(2)
    expect(mapPosition([2, 'abc'], 2, 1)).toBe(5)
    expect(mapPosition([2, 'abc'], 7, -1)).toBe(10)
    expect(mapPosition([2, 'abc', { remove: 4 }], 4, -1)).toBe(5)
    expect(mapPosition([2, { remove: 4 }], 9, 1)).toBe(5)
    expect(mapPosition([], 9, 1)).toBe(9)
  })
})
