import { ChangeSet } from '@codemirror/state'
import { describe, expect, it } from 'vitest'
import { movedCarets, type ShownCaret, toldCarets } from './carets.ts'

const bob = (anchor: number, head: number, length: number) => ({ session: 'b', name: 'Bob', anchor, head, length })
const at = (carets: readonly ShownCaret[]) => carets.map(({ anchor, head }) => [anchor, head])
const insert = (length: number, from: number, text: string) => ChangeSet.of({ from, insert: text }, length)

describe('carets of others', () => {
  it('are where they were told to be in a text of that length', () => {
    expect(at(toldCarets([], [bob(2, 5, 9)], 9))).toEqual([[2, 5]])
    expect(at(toldCarets([], [], 9))).toEqual([])
  })

  it('stay inside a text that is shorter, whatever is told', () => {
    expect(at(toldCarets([], [bob(200, 500, 900)], 9))).toEqual([[9, 9]])
    // A liar that names the right length.
    expect(at(toldCarets([], [bob(200, 500, 9)], 9))).toEqual([[9, 9]])
  })

  it('move with what is written and removed before them, and on with what is written at them', () => {
    const told = toldCarets([], [bob(3, 6, 6)], 6)
    expect(at(movedCarets(told, insert(6, 0, 'ab')))).toEqual([[5, 8]])
    expect(at(movedCarets(told, insert(6, 6, 'ab')))).toEqual([[3, 8]])
    expect(at(movedCarets(told, ChangeSet.of({ from: 1, to: 5 }, 6)))).toEqual([[1, 2]])
  })

  it('wait for the edit that they follow, when it comes later than they', () => {
    const before = toldCarets([], [bob(3, 3, 6)], 6)
    // He wrote "xy" at 3, which is not here yet.
    const told = toldCarets(before, [bob(5, 5, 8)], 6)
    expect(at(told)).toEqual([[3, 3]])
    expect(at(movedCarets(told, insert(6, 3, 'xy')))).toEqual([[5, 5]])
  })

  it('go where they were told to be once the text is as long, and are not thrown about by edits after that', () => {
    const told = toldCarets(toldCarets([], [bob(0, 0, 6)], 6), [bob(5, 5, 8)], 6)
    const level = movedCarets(told, insert(6, 0, 'xy'))
    expect(at(level)).toEqual([[5, 5]])
    // What is written here moves it, also back to the length of before.
    const longer = movedCarets(level, insert(8, 0, 'z'))
    expect(at(longer)).toEqual([[6, 6]])
    expect(at(movedCarets(longer, ChangeSet.of({ from: 0, to: 1 }, 9)))).toEqual([[5, 5]])
    // The same word again changes nothing.
    expect(at(toldCarets(longer, [bob(5, 5, 8)], 9))).toEqual([[6, 6]])
    const asLong = movedCarets(
      level,
      ChangeSet.of(
        [
          { from: 0, to: 1 },
          { from: 8, insert: 'z' },
        ],
        8,
      ),
    )
    expect(at(toldCarets(asLong, [bob(5, 5, 8)], 8))).toEqual([[4, 4]])
  })

  it('are no more when their owner has none', () => {
    expect(at(toldCarets(toldCarets([], [bob(2, 2, 4)], 4), [], 4))).toEqual([])
  })
})
