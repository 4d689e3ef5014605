import { expect, it } from 'vitest'
import { movedBy, rewrite } from './caret.svelte.ts'

/** A field as browsers have it: to set another value puts the caret at the end. `|` marks the ends of the selection. */
const fieldOf = (marked: string) => {
  const [before = '', inside, after] = marked.split('|')
  let value = before + (inside ?? '') + (after ?? '')
  const field = {
    get value() {
      return value
    },
    set value(next) {
      value = next
      field.setSelectionRange(next.length, next.length)
    },
    selectionStart: before.length as number | null,
    selectionEnd: (after === undefined ? before.length : before.length + (inside ?? '').length) as number | null,
    selectionDirection: 'backward' as 'forward' | 'backward' | 'none' | null,
    setSelectionRange: (start: number | null, end: number | null, direction?: 'forward' | 'backward' | 'none') => {
      field.selectionStart = start
      field.selectionEnd = end
      field.selectionDirection = direction ?? 'none'
    },
  }
  return field
}

const shown = ({ value, selectionStart: start, selectionEnd: end }: ReturnType<typeof fieldOf>): string =>
  start === null || end === null
    ? value
    : start === end
      ? `${value.slice(0, start)}|${value.slice(start)}`
      : `${value.slice(0, start)}|${value.slice(start, end)}|${value.slice(end)}`

it.each([
  ['behind what is inserted', 'Write the| notes', 'Do write the notes', 'Do write the| notes'],
  ['before what is inserted', 'Write| the notes', 'Write the long notes', 'Write| the long notes'],
  ['where something is inserted', 'Write| notes', 'Write the notes', 'Write| the notes'],
  ['at the end', 'Notes|', 'The notes', 'The notes|'],
  ['in what is removed', 'Write the lo|ng notes', 'Write the notes', 'Write the |notes'],
  ['behind what is removed', 'Write the long no|tes', 'Write the notes', 'Write the no|tes'],
  ['around what changes', 'A| big |card', 'A small card', 'A| small |card'],
  ['in a field that is emptied', 'Not|es', '', '|'],
])('the caret stays with its characters: %s', (_, before, text, after) => {
  const field = fieldOf(before)
  rewrite(field, text)
  expect(shown(field)).toBe(after)
})

it('leaves a field alone that has the text, and keeps the direction of a selection', () => {
  const field = fieldOf('A |big| card')
  rewrite(field, 'A big card')
  expect(shown(field)).toBe('A |big| card')
  rewrite(field, 'One big card')
  expect([shown(field), field.selectionDirection]).toEqual(['One |big| card', 'backward'])
})

it('moves no position out of the text', () => {
  const [before, splice] = ['0123456789', { at: 3, remove: 4, insert: 'ab' }]
  const moved = Array.from({ length: before.length + 1 }, (_, position) => movedBy(splice, position))
  expect(moved).toEqual([0, 1, 2, 3, 3, 3, 3, 5, 6, 7, 8])
})
