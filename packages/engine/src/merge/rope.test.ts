import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Rope } from './rope.ts'
import { applySplices } from './splice.ts'

const edits = fc.array(
  fc.record({ place: fc.nat(), remove: fc.nat(), insert: fc.nat(3000), large: fc.integer({ min: 0, max: 9 }) }),
  { maxLength: 60 },
)

describe('Rope', () => {
  test('does what a string does, and leaves its older self as it was', () => {
    fc.assert(
      fc.property(fc.nat(9000), edits, (length, chosen) => {
        const letters = (count: number, from: number): string =>
          Array.from({ length: count }, (_, index) => String.fromCharCode(97 + ((from + index) % 26))).join('')
        let text = letters(length, 0)
        let rope = Rope.from(text)
        for (const [index, { place, remove, insert, large }] of chosen.entries()) {
          const at = place % (text.length + 1)
          const gone = (large === 0 ? remove : remove % 20) % (text.length - at + 1)
          const put = letters(large === 1 ? insert : insert % 8, index)
          const [oldRope, oldText] = [rope, text]
          rope = rope.splice(at, gone, put)
          text = text.slice(0, at) + put + text.slice(at + gone)
          expect(rope.length).toBe(text.length)
          expect(rope.slice(at, at + 40)).toBe(text.slice(at, at + 40))
          expect(rope.unitAt(at)).toBe(text.charCodeAt(at))
          if (index % 8 === 0) expect(oldRope.toString()).toBe(oldText)
        }
        expect(rope.toString()).toBe(text)
        expect(rope.slice(1, -1)).toBe('')
      }),
      { seed: 20, numRuns: 200 },
    )
  })

  test('takes 20,000 scattered edits', () => {
    let text = ''
    let rope = Rope.empty
    let place = 1
    for (let count = 0; count < 20_000; count++) {
      place = (place * 48271) % 0x7fffffff
      const at = place % (rope.length + 1)
      const remove = count % 3 === 0 ? Math.min(2, rope.length - at) : 0
      const insert = String.fromCharCode(97 + (count % 26)).repeat(2)
      rope = rope.splice(at, remove, insert)
      text = text.slice(0, at) + insert + text.slice(at + remove)
    }
    expect(rope.toString()).toBe(text)
  })

  test('throws at a removal outside of the text', () => {
    const rope = Rope.from('abc')
    for (const [at, remove] of [
      [4, 0],
      [2, 2],
      [-1, 0],
      [0, -1],
      [0.5, 0],
    ] as const) {
      expect(() => rope.splice(at, remove, '')).toThrow(RangeError)
    }
    expect(rope.unitAt(3)).toBeNaN()
    expect(rope.unitAt(-1)).toBeNaN()
  })
})

describe('applySplices', () => {
  const thread = '\u{1f9f5}'
  const apply = (text: string, ...splices: [number, number, string][]): string | undefined =>
    applySplices(
      Rope.from(text),
      splices.map(([at, remove, insert]) => ({ at, remove, insert })),
    )?.toString()

  test('applies in sequence', () => {
    expect(apply('abc', [1, 1, 'xyz'], [3, 2, ''])).toBe('axy')
    expect(apply('', [0, 0, thread], [2, 0, thread], [0, 2, ''])).toBe(thread)
  })

  test('[V2] refuses what is out of range', () => {
    expect(apply('abc', [4, 0, ''])).toBeUndefined()
    expect(apply('abc', [2, 2, ''])).toBeUndefined()
    expect(apply('abc', [-1, 1, ''])).toBeUndefined()
    expect(apply('abc', [0, -1, ''])).toBeUndefined()
    expect(apply('abc', [0.5, 0, ''])).toBeUndefined()
    expect(apply('abc', [0, 1, ''], [2, 1, ''])).toBeUndefined()
  })

  test('[V2] refuses to split a surrogate pair or to insert half of one', () => {
    const text = `a${thread}b`
    expect(apply(text, [2, 0, 'x'])).toBeUndefined()
    expect(apply(text, [2, 1, ''])).toBeUndefined()
    expect(apply(text, [1, 1, ''])).toBeUndefined()
    expect(apply(text, [0, 2, ''])).toBeUndefined()
    expect(apply(text, [0, 0, '\ud83e'])).toBeUndefined()
    expect(apply(text, [0, 0, '\uddf5'])).toBeUndefined()
    expect(apply(text, [1, 2, ''])).toBe('ab')
  })
})
