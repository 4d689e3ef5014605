import type { Path } from '@weft-db/weft'
import { describe, expect, it } from 'vitest'
import { channelsAmong, countOf, peopleOf, timeOf, wordsOf } from './connections.ts'

const path = (session: string, kind: Path['kind'], more: Partial<Path> = {}): Path => ({
  session,
  name: session.toUpperCase(),
  kind,
  failure: undefined,
  roundTrip: undefined,
  isLevel: false,
  ...more,
})
const here = (...sessions: readonly string[]) => sessions.map((session) => ({ session, name: session.toUpperCase() }))
const blocked = { kind: 'blocked', detail: '' } as const

describe('the people one works with', () => {
  it('are those on the board and those with a channel, always in one order', () => {
    const paths = [path('c', 'relayed'), path('b', 'none', { failure: 'full' }), path('e', 'connecting')]
    const people = peopleOf({ paths, here: here('d', 'a'), neighbours: new Map(), hasServer: true })
    expect(people.map(({ name, way }) => `${name} ${way}`)).toEqual(['A server', 'C relayed', 'D server'])
  })

  it('are up to date or not only where there is a channel', () => {
    const paths = [
      path('a', 'direct', { isLevel: true, roundTrip: 3 }),
      path('b', 'connecting', { isLevel: true, roundTrip: 3 }),
    ]
    const people = peopleOf({ paths, here: here('a', 'b'), neighbours: new Map(), hasServer: true })
    expect(people.map(({ isLevel, roundTrip }) => [isLevel, roundTrip])).toEqual([
      [true, 3],
      [undefined, undefined],
    ])
  })

  it('are reached by the server, else by somebody in between, else not at all', () => {
    const paths = [path('a', 'direct'), path('b', 'none', { failure: blocked })]
    const sight = { paths, here: here('a', 'b', 'c'), neighbours: new Map([['a', ['b', 'me']]]) }
    const wordsWith = (hasServer: boolean) => peopleOf({ ...sight, hasServer }).map(wordsOf)
    expect(wordsWith(true)).toEqual(['Connected directly', 'Through the server', 'Through the server'])
    expect(wordsWith(false)).toEqual(['Connected directly', 'Through A', 'Through the others'])
    expect(peopleOf({ ...sight, paths: [], hasServer: false }).map(wordsOf)).toEqual(Array(3).fill('Not connected'))
    expect(peopleOf({ ...sight, hasServer: true }).map(({ diagnosis }) => diagnosis?.kind)).toEqual([
      undefined,
      'blocked',
      undefined,
    ])
  })

  it('have channels among each other, each drawn once, and none to who is not shown', () => {
    const neighbours = new Map([
      ['b', ['a', 'b', 'me']],
      ['a', ['b', 'c', 'gone']],
      ['gone', ['a']],
    ])
    const people = [{ session: 'a' }, { session: 'b' }, { session: 'c' }]
    expect(channelsAmong(people, neighbours)).toEqual([
      ['a', 'b'],
      ['a', 'c'],
    ])
  })
})

describe('in words', () => {
  it('times and counts', () => {
    expect([0.4, 1, 12.4, 999, 1_240].map(timeOf)).toEqual(['under 1 ms', '1 ms', '12 ms', '999 ms', '1.2 s'])
    expect([0, 1, 3].map(countOf)).toEqual([
      'nobody connected directly',
      '1 person connected directly',
      '3 people connected directly',
    ])
  })
})
