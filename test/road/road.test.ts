import { keyOf, lastChange, saved, savedState } from '@weft-db/engine'
import { afterEach, describe, expect, test } from 'vitest'
import { Card, Ring, until } from './ring.ts'

let ring: Ring
afterEach(() => ring.close())

describe('an edit on one replica reaches another through the authority', () => {
  test('signed, merged and kept', async () => {
    ring = await Ring.open()
    const [ada, bob] = [await ring.join('Ada'), await ring.join('Bob')]
    const [here, there] = [ada.repository('/board/roadmap'), bob.repository('/board/roadmap')]
    await Promise.all([here.ready, there.ready])
    const card = here.create(Card, { title: 'Ship', tags: ['a', 'b'], votes: { ada: 3 }, notes: 'Hi' })
    expect(savedState(card)).toBe('draft')
    await saved(card, 'local')
    await saved(card, 'authority')
    expect(savedState(card)).toBe('authority')
    await until([bob], () => there.query(Card).current?.length === 1)
    const [seen] = there.query(Card).current ?? []
    expect(JSON.stringify(seen)).toBe(JSON.stringify(card))
    expect(seen && lastChange(seen)?.name).toBe('Ada')
    expect(JSON.parse(JSON.stringify(seen))).toEqual({
      done: false,
      notes: 'Hi',
      place: '',
      points: 0,
      tags: ['a', 'b'],
      title: 'Ship',
      votes: { ada: 3 },
    })
    if (seen === undefined) throw new Error('nothing seen')
    seen.notes.insert(2, ', Ada')
    card.notes.insert(0, 'Oh. ')
    seen.tags.delete('a')
    seen.votes.set('bob', 1)
    await until([ada, bob], () => card.notes.toString() === 'Oh. Hi, Ada' && seen.notes.toString() === 'Oh. Hi, Ada')
    expect([...card.tags]).toEqual(['b'])
    expect(card.votes.entries()).toEqual([
      ['ada', 3],
      ['bob', 1],
    ])
    here.delete(card)
    await until([bob], () => there.item(Card, keyOf(card)) === null)
    there.restore(seen)
    await until([ada], () => here.item(Card, keyOf(card)) !== null)
    expect(card.title).toBe('Ship')
  })
})
