import { describe, expect, it } from 'vitest'
import { hashOf, placeOf, slugOf, titleOf } from './address.ts'

describe('the address', () => {
  it('names a board whatever the hash is', () => {
    expect(placeOf('')).toEqual({ board: 'roadmap', card: undefined })
    expect(placeOf('#')).toEqual({ board: 'roadmap', card: undefined })
    expect(placeOf('#/')).toEqual({ board: 'roadmap', card: undefined })
    expect(placeOf('#/%E0%A4%A')).toEqual({ board: 'e0-a4-a', card: undefined })
    expect(placeOf('#/../../etc')).toEqual({ board: 'roadmap', card: undefined })
    expect(placeOf('#Team Plans')).toEqual({ board: 'team-plans', card: undefined })
  })

  it('comes back as it went', () => {
    expect(placeOf(hashOf('team-plans', 'a/b c'))).toEqual({ board: 'team-plans', card: 'a/b c' })
    expect(placeOf(hashOf('team-plans'))).toEqual({ board: 'team-plans', card: undefined })
  })

  it('makes a path of a title and a title of a path', () => {
    expect(slugOf('  Café: Spring & Summer! ')).toBe('cafe-spring-summer')
    expect(titleOf('cafe-spring-summer')).toBe('Cafe spring summer')
    expect(slugOf('x'.repeat(100))).toHaveLength(60)
  })
})
