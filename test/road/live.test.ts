/** Drafts under remote commits: whoever follows a text by its events always has what the item shows, and in the end all agree. */
import { keyOf } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { Stream } from '../sim/random.ts'
import { board, Card, Lab, type Replica } from './lab.ts'

const words = ['a', 'bc', 'ü', '😀', 'def ', '\n', '👩‍👧']

test.each(Array.from({ length: 25 }, (_, index) => `live ${index}`))('seed %s', async (seed) => {
  const lab = new Lab(seed)
  const draw = new Stream(seed, 'work')
  const authority = await lab.authority()
  const names = ['ada', 'bob', 'eve']
  const replicas: Replica[] = []
  for (const name of names) replicas.push(await lab.join(name, { captureRate: draw.pick([1, 3, 50]) }))
  const repositories = replicas.map(({ database }) => database.repository(board))
  await lab.run(500)
  const first = repositories[0]?.create(Card, { title: 'shared', notes: 'The quick brown fox' }, { key: 'one' })
  expect(first).toBeDefined()
  await lab.until(() => repositories.every((repository) => repository.item(Card, 'one') != null))
  const cards = repositories.map((repository) => repository.item(Card, 'one'))
  const followed = cards.map((card) => {
    const texts = { notes: card?.notes.toString() ?? '', more: '' }
    for (const field of ['notes', 'more'] as const) {
      card?.[field].subscribe(({ splices }) => {
        for (const { at, remove, insert } of splices)
          texts[field] = texts[field].slice(0, at) + insert + texts[field].slice(at + remove)
        // What a listener may do: read everything, while it is told.
        expect(card.notes.toString().length + card.more.toString().length).toBeGreaterThanOrEqual(0)
      })
    }
    return texts
  })
  const compare = (when: string): void => {
    for (const [index, card] of cards.entries()) {
      expect(followed[index], `${seed} ${when} ${names[index]}`).toEqual({
        notes: card?.notes.toString(),
        more: card?.more.toString(),
      })
    }
  }
  for (let step = 0; step < 120; step++) {
    const index = draw.int(names.length)
    const [card, repository, name] = [cards[index], repositories[index], names[index]]
    if (card == null || repository === undefined || name === undefined) throw new Error('three of each')
    const field = draw.pick(['notes', 'more'] as const)
    const length = card[field].length
    const what = draw.int(12)
    if (what === 10 && repository.item(Card, keyOf(card)) === null) repository.restore(card)
    const isThere = repository.item(Card, keyOf(card)) !== null
    if (!isThere) await lab.run(draw.int(300))
    else if (what < 4) card[field].splice(draw.int(length + 1), draw.int(4), draw.pick(words))
    else if (what === 4) card[field].remove(draw.int(length + 1), draw.int(9))
    else if (what === 5) card.title = `${name} ${step}`
    else if (what === 6) card.tags[draw.pick(['add', 'delete'] as const)](draw.pick(['x', 'y', 'z']))
    else if (what === 7 && draw.chance(0.3)) card.votes.delete(draw.pick(names))
    else if (what === 7) card.votes.set(draw.pick(names), step)
    else if (what === 8 && draw.chance(0.2)) repository.delete(card)
    else if (what === 9) {
      try {
        repository.transact(() => {
          card[field].insert(0, `<${step}>`)
          card.points = step
          if (draw.chance(0.5)) throw new Error('undone')
        })
      } catch (error) {
        expect((error as Error).message).toBe('undone')
      }
    } else if (what === 11) draw.chance(0.5) ? lab.disconnect(name) : lab.connect(name)
    compare(`after step ${step}, ${what}`)
    await lab.run(draw.pick([0, 0, 1, 30, 400]))
    compare(`behind step ${step}`)
  }
  for (const name of names) {
    lab.disconnect(name)
    lab.connect(name)
  }
  const settled = (): boolean => replicas.every(({ database }) => database.status.unacknowledged === 0)
  await lab.until(settled)
  await lab.run(5_000)
  compare('at the end')
  const values = cards.map((card) => JSON.stringify(card))
  expect(new Set(values).size, values.join('\n')).toBe(1)
  for (const { database, incidents } of replicas) {
    expect(database.status).toMatchObject({ unsaved: 0, unacknowledged: 0 })
    expect(incidents.map(({ code }) => code).filter((code) => code !== 'Closed')).toEqual([])
  }
  expect(authority.incidents).toEqual([])
})
