import { describe, expect, it } from 'vitest'
import { Here } from './here.ts'

const ada = { session: 'a', owner: 'A', name: 'Ada' }
const bob = { session: 'b', owner: 'B', name: 'Bob' }

const started = () => {
  const told: unknown[] = []
  const here = new Here({ set: (values) => told.push(values), others: [] })
  return { told, here, last: () => told.at(-1) }
}

describe('being on a board', () => {
  it('tells the card that is open, and the caret while it is in the notes of that card', () => {
    const { here, last } = started()
    here.come(undefined)
    expect(last()).toEqual({})
    here.come('one')
    here.point('one', { anchor: 1, head: 4, length: 9 })
    expect(last()).toEqual({ card: 'one', anchor: 1, head: 4, length: 9 })
    here.point('one', undefined)
    expect(last()).toEqual({ card: 'one' })
  })

  it('forgets the caret of a card that was left, and a late word of the one before', () => {
    const { here, last } = started()
    here.come('one')
    here.point('one', { anchor: 0, head: 0, length: 0 })
    here.come('two')
    expect(last()).toEqual({ card: 'two' })
    here.point('two', { anchor: 2, head: 2, length: 5 })
    here.point('one', undefined)
    expect(last()).toEqual({ card: 'two', anchor: 2, head: 2, length: 5 })
  })

  it('ends with leaving, whatever closes after that', () => {
    const { here, last, told } = started()
    here.leave()
    expect(told).toEqual([])
    here.come('one')
    here.point('one', { anchor: 0, head: 0, length: 0 })
    here.leave()
    here.point('one', undefined)
    expect(last()).toBeUndefined()
    expect(told).toHaveLength(4)
  })

  it('shows carets of others in one card only, and of whoever has one', () => {
    const caret = { anchor: 3, head: 5, length: 8 }
    const others = [
      { ...ada, state: { card: 'one', ...caret } },
      { ...bob, state: { card: 'one' } },
      { ...bob, session: 'c', state: { card: 'two', ...caret } },
    ]
    const here = new Here({ set: () => undefined, others })
    expect(here.caretsIn('one')).toEqual([{ session: 'a', name: 'Ada', ...caret }])
    expect(here.caretsIn('three')).toEqual([])
  })
})
