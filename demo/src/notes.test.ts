import { history, undo } from '@codemirror/commands'
import { ChangeSet, EditorState, type TransactionSpec } from '@codemirror/state'
import { describe, expect, it } from 'vitest'
import { Binding, changesOf, difference, type SharedText, type Splice, splicesOf } from './notes.ts'

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

type Listener = Parameters<SharedText['subscribe']>[0]

/** A text without merging; `take` may change a splice on its way in, or throw. */
class PlainText implements SharedText {
  take: (splice: Splice) => Splice = (splice) => splice
  readonly #listeners = new Set<Listener>()
  #value: string

  constructor(value: string) {
    this.#value = value
  }

  toString(): string {
    return this.#value
  }

  splice(at: number, remove: number, insert: string): void {
    this.apply([this.take({ at, remove, insert })], 'local')
  }

  apply(splices: readonly Splice[], origin: 'local' | 'remote'): void {
    this.#value = spliced(this.#value, splices)
    for (const listener of this.#listeners) listener({ splices, origin })
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

const bound = (text: PlainText, doc = text.toString()) => {
  const problems: unknown[] = []
  let state = EditorState.create({ doc, extensions: [EditorState.lineSeparator.of('\n'), history()] })
  const editor = {
    get state() {
      return state
    },
    dispatch(...specs: TransactionSpec[]) {
      const transaction = state.update(...specs)
      state = transaction.state
      binding.update({ docChanged: transaction.docChanged, transactions: [transaction] })
    },
  }
  const binding: Binding = new Binding(editor, text, (problem) => problems.push(problem))
  const undone = () =>
    undo({
      state,
      dispatch: (transaction) => {
        state = transaction.state
        binding.update({ docChanged: transaction.docChanged, transactions: [transaction] })
      },
    })
  return { editor, binding, problems, undone, shown: () => state.doc.sliceString(0, state.doc.length, '\n') }
}

describe('an editor bound to a text', () => {
  it('shows what the text holds after every edit of either, and sends nothing back', () => {
    for (let seed = 1; seed <= 200; seed++) {
      const draw = numbers(seed)
      const text = new PlainText('start')
      const { editor, shown } = bound(text)
      let sent = 0
      text.take = (splice) => {
        sent++
        return splice
      }
      let typed = 0
      for (let turn = 0; turn < 20; turn++) {
        const { length } = text.toString()
        const at = draw(length + 1)
        const remove = draw(Math.min(3, length - at) + 1)
        const insert = pieces[draw(pieces.length)] ?? ''
        if (draw(2) === 0) {
          text.apply([{ at, remove, insert }], 'remote')
        } else {
          editor.dispatch({ changes: { from: at, to: at + remove, insert } })
          if (remove > 0 || insert !== '') typed++
        }
        expect(shown(), `seed ${seed}`).toBe(text.toString())
      }
      expect(sent, `seed ${seed}`).toBe(typed)
    }
  })

  it("takes back one's own typing only", () => {
    const text = new PlainText('')
    const { editor, undone } = bound(text)
    editor.dispatch({ changes: { from: 0, insert: 'mine' } })
    text.apply([{ at: 0, remove: 0, insert: 'theirs ' }], 'remote')
    undone()
    expect(text.toString()).toBe('theirs ')
    undone()
    expect(text.toString()).toBe('theirs ')
  })

  it('takes over an edit that other code of the page makes', () => {
    const text = new PlainText('one')
    const { shown } = bound(text)
    text.apply([{ at: 0, remove: 3, insert: 'two' }], 'local')
    expect(shown()).toBe('two')
  })

  it('goes level with the text when the text took a splice otherwise than it was', async () => {
    const text = new PlainText('ab')
    const { editor, shown } = bound(text)
    // Past the levelling of the start, which would hide what this is about.
    await Promise.resolve()
    text.take = (splice) => ({ ...splice, insert: splice.insert.toUpperCase() })
    editor.dispatch({ changes: { from: 1, insert: 'x' } })
    await Promise.resolve()
    expect([text.toString(), shown()]).toEqual(['aXb', 'aXb'])
  })

  it('goes level with a text that moves on while the editor updates, even by the very same splice', async () => {
    const text = new PlainText('ab')
    const { editor, shown } = bound(text)
    // Past the levelling of the start, which would hide what this is about.
    await Promise.resolve()
    text.take = (splice) => {
      text.take = (same) => same
      text.apply([splice], 'remote')
      return splice
    }
    editor.dispatch({ changes: { from: 0, insert: 'x' } })
    await Promise.resolve()
    expect([text.toString(), shown()]).toEqual(['xxab', 'xxab'])
  })

  it('goes back and tells when the text takes no edit', async () => {
    const text = new PlainText('full')
    const { editor, problems, shown } = bound(text)
    // Past the levelling of the start, which would hide what this is about.
    await Promise.resolve()
    text.take = () => {
      throw new Error('no room')
    }
    editor.dispatch({ changes: { from: 4, insert: 'er' } })
    await Promise.resolve()
    expect(shown()).toBe('full')
    expect(problems).toEqual([new Error('no room')])
  })

  it('starts level and stops with its end', async () => {
    const text = new PlainText('newer')
    const { binding, shown } = bound(text, 'older')
    await Promise.resolve()
    expect(shown()).toBe('newer')
    binding.destroy()
    text.apply([{ at: 0, remove: 0, insert: 'x' }], 'remote')
    expect(shown()).toBe('newer')
  })
})
