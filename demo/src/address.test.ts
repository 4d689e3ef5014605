import { describe, expect, it } from 'vitest'
import { boardOf, hashOf, historyHashOf, invitationHashOf, newBoard, placeOf, slugOf, titleOf } from './address.ts'

const nothing = { card: undefined, view: 'board', invitation: undefined } as const
const tailed = 'team-plans.abcdefghij234567'

describe('the address', () => {
  it('names a board or none, whatever the hash is', () => {
    for (const hash of ['', '#', '#/', '#/../../etc', '#/!!!/history', '#//invite/ab'])
      expect(placeOf(hash).board, hash).toBeUndefined()
    expect(placeOf('#/%E0%A4%A')).toEqual({ ...nothing, board: 'e0-a4-a' })
    expect(placeOf('#Team Plans')).toEqual({ ...nothing, board: 'team-plans' })
    expect(placeOf(`#/${tailed}`)).toEqual({ ...nothing, board: tailed })
  })

  it('comes back as it went', () => {
    expect(placeOf(hashOf('team-plans', 'a/b c'))).toEqual({ ...nothing, board: 'team-plans', card: 'a/b c' })
    expect(placeOf(hashOf(tailed))).toEqual({ ...nothing, board: tailed })
    expect(placeOf(historyHashOf(tailed))).toEqual({ ...nothing, board: tailed, view: 'history' })
    expect(placeOf(invitationHashOf(tailed, 'c0de'))).toEqual({ ...nothing, board: tailed, invitation: 'c0de' })
  })

  it('makes a path of a title and a title of a path', () => {
    expect(slugOf('  Café: Spring & Summer! ')).toBe('cafe-spring-summer')
    expect(titleOf('cafe-spring-summer')).toBe('Cafe spring summer')
    expect(titleOf(tailed)).toBe('Team plans')
    expect(slugOf('x'.repeat(100))).toHaveLength(60)
  })

  it('gives what is made here a tail that is not taken for a name', () => {
    const made = newBoard('Team plans!', (length) => new Uint8Array(length).map((_, at) => at * 37))
    expect(made).toMatch(/^team-plans\.[a-z2-7]{16}$/)
    expect(boardOf(made)).toBe(made)
    expect(newBoard('!', (length) => new Uint8Array(length))).toBe('board.aaaaaaaaaaaaaaaa')
    const longest = newBoard(`${'x'.repeat(59)} y`, (length) => new Uint8Array(length))
    expect(boardOf(longest)).toBe(longest)
    expect(boardOf('notes.of-a-day')).toBe('notes-of-a-day')
  })
})
