/** What an app holds of an item is one object for as long as it holds it, however it came to it and whatever becomes of what is stored. */
import { erase, grant, keyOf, type Repository, type Rules, read, write } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { board, Card, Lab, outcomeOf, type Replica } from './lab.ts'

const rules: Rules = [
  read('/board/:id', () => true),
  write('/board/:id', () => true),
  grant('/board/:id', () => true),
  erase('/board/:id', () => true),
]
const keys = Array.from({ length: 300 }, (_, index) => `card ${index}`)

const boardOf = ({ database }: Replica): Repository => database.repository(board)

const cardOf = (repository: Repository, key: string) => {
  const card = repository.item(Card, key)
  if (card === null || card === undefined) throw new Error(`no ${key}`)
  return card
}

/** Ada, who opened a snapshot of all cards, beside bob. */
const scene = async (seed: string) => {
  const lab = new Lab(seed)
  await lab.authority({ rules })
  const [first, bob] = [await lab.join('ada', { rules }), await lab.join('bob', { rules })]
  const [hers, theirs] = [boardOf(first), boardOf(bob)]
  await lab.run(500)
  hers.transact(() => {
    for (const [points, key] of keys.entries()) hers.create(Card, { title: key, points: points % 7 }, { key })
  })
  await lab.run(3_000)
  lab.disconnect('ada')
  const closing = first.database.close()
  await lab.run(200)
  await closing
  const again = await lab.join('ada', { rules })
  const [{ database }, ada] = [again, boardOf(again)]
  await lab.run(1_000)
  const [stored] = ada.counting.items.values()
  expect(keys.filter((key) => stored?.look(key) !== undefined).length).toBe(keys.length)
  return { lab, database, ada, bob: theirs }
}

test('of a list and of a key, of a new list and of an old one', async () => {
  const { lab, ada, bob } = await scene('same')
  const byKey = new Map(keys.slice(100, 200).map((key) => [key, cardOf(ada, key)]))
  const all = ada.query(Card).orderBy('points').orderBy('title', 'descending').current ?? []
  expect(all.map(keyOf)).toEqual(
    keys.toSorted((a, b) => {
      const [one, other] = [cardOf(ada, a), cardOf(ada, b)]
      return one.points - other.points || (a < b ? 1 : -1)
    }),
  )
  const tied = keys.toSorted((a, b) => cardOf(ada, a).points - cardOf(ada, b).points || (a < b ? -1 : 1))
  expect((ada.query(Card).orderBy('points').current ?? []).map(keyOf)).toEqual(tied)
  for (const [key, card] of byKey) expect(all.find((one) => keyOf(one) === key)).toBe(card)
  for (const card of all) expect(cardOf(ada, keyOf(card))).toBe(card)
  cardOf(bob, 'card 150').title = 'of bob'
  ada.create(Card, { title: 'new' }, { key: 'card 300' })
  await lab.run(3_000)
  expect(byKey.get('card 150')?.title).toBe('of bob')
  const held = new Set<object>(all)
  const others = (ada.query(Card).current ?? []).filter((card) => !held.has(card))
  expect(others.map(keyOf)).toEqual(['card 300'])
})

test('and when all is counted again', async () => {
  const { lab, ada, bob } = await scene('counted again')
  const all = ada.query(Card).current ?? []
  expect(all.length).toBe(keys.length)
  const [{ recounts }, edited, erased, told] = [
    ada.counting,
    cardOf(ada, 'card 7'),
    cardOf(ada, 'card 9'),
    [] as string[],
  ]
  const outcome = outcomeOf(bob.erase(cardOf(bob, 'card 9'), 'asked for'))
  await lab.run(5_000)
  expect([outcome.current, ada.counting.recounts > recounts]).toEqual(['resolved', true])
  expect(erased.title).toBe('')
  for (const card of all) if (ada.item(Card, keyOf(card)) !== null) expect(ada.item(Card, keyOf(card))).toBe(card)
  ada.onChange(() => told.push(edited.title))
  cardOf(bob, 'card 7').title = 'after it'
  await lab.run(3_000)
  expect([edited.title, told.at(-1)]).toEqual(['after it', 'after it'])
  ada.delete(edited)
  expect(ada.item(Card, 'card 7')).toBe(null)
})

test('and shows nothing once whoever had it has logged out', async () => {
  const { lab, database, ada } = await scene('logged out')
  const cards = ['card 1', 'card 200'].map((key) => cardOf(ada, key))
  const outcome = outcomeOf(database.logout())
  await lab.run(3_000)
  expect(outcome.current).toBe('resolved')
  expect(cards.map(({ title }) => title)).toEqual(['', ''])
})
