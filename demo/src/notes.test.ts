import { ChangeSet, EditorState } from '@codemirror/state'
import { describe, expect, it } from 'vitest'
import { changesOf, difference, type Splice, splicesOf } from './notes.ts'

/** Numbers from 0 to below `end`, the same for the same seed. */
const numbers = (seed: number) => {
  let state = seed >>> 0
  return (end: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * end)
  }
}

const spliced = (text: string, splices: readonly Splice[]): string =>
  splices.reduce((before, { at, remove, insert }) => before.slice(0, at) + insert + before.slice(at + remove), text)

const pieces = ['', 'a', 'bc', '\n', 'd\ne', '\r', '😀', '  ', '\n\n']

describe('an edit in the editor as splices', () => {
  it('makes of the text what it makes of the editor, with many changes at once', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const draw = numbers(seed)
      const text = Array.from({ length: draw(12) }, () => pieces[draw(pieces.length)]).join('')
      const state = EditorState.create({ doc: text, extensions: EditorState.lineSeparator.of('\n') })
      const changes = []
      let at = 0
      while (at <= text.length) {
        const from = at + draw(4)
        const to = Math.min(text.length, from + draw(3))
        if (from > text.length) break
        changes.push({ from, to, insert: pieces[draw(pieces.length)] ?? '' })
        at = to + 1
      }
      const transaction = state.update({ changes })
      const after = transaction.newDoc.sliceString(0, transaction.newDoc.length, '\n')
      expect(spliced(text, splicesOf(transaction.changes)), `seed ${seed}`).toBe(after)
    }
  })
})

describe('splices as an edit in the editor', () => {
  it('make of the editor what they make of the text, each on what the one before left', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const draw = numbers(seed)
      const text = Array.from({ length: draw(12) }, () => pieces[draw(pieces.length)]).join('')
      const splices: Splice[] = []
      let length = text.length
      for (let count = draw(6); count >= 0; count--) {
        const at = draw(length + 1)
        const remove = draw(length - at + 1)
        const insert = pieces[draw(pieces.length)] ?? ''
        splices.push({ at, remove, insert })
        length += insert.length - remove
      }
      const state = EditorState.create({ doc: text, extensions: EditorState.lineSeparator.of('\n') })
      const changes = changesOf(splices, state.doc.length)
      const after = state.update({ changes: changes ?? ChangeSet.empty(text.length) }).newDoc
      expect(after.sliceString(0, after.length, '\n'), `seed ${seed}`).toBe(spliced(text, splices))
    }
  })

  it('carry the caret: what is inserted before it moves it, what is inserted behind it does not', () => {
    const state = EditorState.create({ doc: 'Hello world', selection: { anchor: 6, head: 11 } })
    const changes = changesOf(
      [
        { at: 0, remove: 0, insert: '>> ' },
        { at: 14, remove: 0, insert: '!' },
      ],
      11,
    )
    const { main } = state.update({ changes: changes ?? [] }).newSelection
    expect([main.anchor, main.head]).toEqual([9, 14])
  })

  it('are refused when they reach beyond the text', () => {
    expect(changesOf([{ at: 4, remove: 0, insert: 'x' }], 3)).toBeUndefined()
    expect(
      changesOf(
        [
          { at: 0, remove: 3, insert: '' },
          { at: 0, remove: 1, insert: '' },
        ],
        3,
      ),
    ).toBeUndefined()
    expect(changesOf([{ at: -1, remove: 0, insert: 'x' }], 3)).toBeUndefined()
  })
})

describe('the difference of two texts', () => {
  it('is nothing for equal texts and the middle for others', () => {
    expect(difference('same', 'same')).toBeUndefined()
    expect(difference('abcdef', 'abXdef')).toEqual({ at: 2, remove: 1, insert: 'X' })
    expect(difference('aaa', 'aa')).toEqual({ at: 2, remove: 1, insert: '' })
    expect(difference('', 'new')).toEqual({ at: 0, remove: 0, insert: 'new' })
  })

  it('makes one of the other', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const draw = numbers(seed)
      const [before, after] = [0, 1].map(() => Array.from({ length: draw(9) }, () => 'ab'[draw(2)]).join(''))
      const splice = difference(before ?? '', after ?? '')
      expect(spliced(before ?? '', splice ? [splice] : []), `seed ${seed}`).toBe(after)
    }
  })
})
