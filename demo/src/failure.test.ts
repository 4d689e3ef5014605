import { WeftError } from '@weft-db/engine'
import { describe, expect, it } from 'vitest'
import { failureOf } from './failure.ts'

describe('a failure', () => {
  it('is the sentence and the remedy of the catalogue, and what it is about', () => {
    expect(failureOf(new WeftError('UnknownRepository', '/board/x'))).toEqual({
      code: 'UnknownRepository',
      sentence: 'There is no such repository, or you may not read it.',
      remedy: 'Check the path and your rights.',
      about: '/board/x',
    })
    expect(failureOf({ code: 'DiskFull', message: '' })).toMatchObject({
      sentence: 'There is no room left to store this.',
      about: '',
    })
  })

  it('is told in its own words when the catalogue has none', () => {
    expect(failureOf(new TypeError('x is not a function'))).toMatchObject({ code: '', sentence: 'x is not a function' })
    expect(failureOf(undefined).sentence).toBe('Something unexpected happened.')
    expect(failureOf({ code: 'toString', message: 'odd' }).sentence).toBe('odd')
  })
})
