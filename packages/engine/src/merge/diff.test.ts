import fc from 'fast-check'
import { expect, test } from 'vitest'
import { diffText } from './diff.ts'
import { Rope } from './rope.ts'
import { applySplices } from './splice.ts'

// Two pairs that share their first half and two that share their second: where a careless border would fall.
const unit = fc.constantFrom('a', 'b', '\u{1f9f5}', '\u{1f9f6}', '\u{1f5f5}')
const text = fc.string({ unit, maxLength: 8 })

test('takes one text to the other without splitting a pair', () => {
  fc.assert(
    fc.property(text, text, (before, after) => {
      expect(applySplices(Rope.from(before), diffText(before, after))?.toString()).toBe(after)
    }),
    { seed: 20, numRuns: 2000 },
  )
})

test('leaves out what is equal at both ends', () => {
  expect(diffText('same', 'same')).toEqual([])
  expect(diffText('the cat sat', 'the dog sat')).toEqual([{ at: 4, remove: 3, insert: 'dog' }])
  expect(diffText('aaa', 'aaaa')).toEqual([{ at: 3, remove: 0, insert: 'a' }])
  expect(diffText('aaaa', 'aaa')).toEqual([{ at: 3, remove: 1, insert: '' }])
  expect(diffText('\u{1f9f5}', '\u{1f9f6}')).toEqual([{ at: 0, remove: 2, insert: '\u{1f9f6}' }])
})
