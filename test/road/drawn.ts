/** A drawn life of a board: whatever a repository may come to hold. */
import { erase, grant, type Repository, type Rules, read, write } from '@weft-db/engine'
import { expect } from 'vitest'
import type { Stream } from '../sim/random.ts'
import { board, Card, type Lab, type Replica } from './lab.ts'

export const rules: Rules = [
  read('/board/:id', () => true),
  write('/board/:id', ({ after }) => (after?.title !== 'forbidden' ? true : 'not that')),
  grant('/board/:id', () => true),
  erase('/board/:id', () => true),
]

export const boardOf = ({ database }: Replica): Repository => database.repository(board)

/** Everything a repository may come to hold, drawn. */
export const live = async (lab: Lab, people: readonly Replica[], stream: Stream, steps: number): Promise<void> => {
  for (let step = 0; step < steps; step++) {
    const replica = people[stream.int(people.length)]
    if (replica === undefined) continue
    const repository = boardOf(replica)
    const cards = repository.query(Card).current ?? []
    const card = cards[stream.int(Math.max(1, cards.length))]
    const word = `w${stream.int(50)}`
    switch (card === undefined ? 0 : stream.int(12)) {
      case 0:
      case 1:
        repository.create(Card, { title: word, points: stream.int(9), tags: [word] }, { key: `card${stream.int(30)}` })
        break
      case 2:
        card?.notes.insert(stream.int(card.notes.length + 1), `${word} `)
        break
      case 3:
        if (card !== undefined && card.notes.length > 2) card.notes.remove(stream.int(card.notes.length - 2), 2)
        break
      case 4:
        card?.tags.add(word)
        break
      case 5:
        for (const tag of card?.tags.values().slice(0, 1) ?? []) card?.tags.delete(tag)
        break
      case 6:
        card?.votes.set(word, step)
        break
      case 7:
        if (card !== undefined) repository.delete(card)
        break
      case 8:
        try {
          repository.transact(() => {
            for (const one of cards.slice(0, 3)) one.points = step
          })
        } catch (error) {
          // Whoever was put out is told at once.
          expect((error as { code?: string }).code).toBe('Revoked')
        }
        break
      case 9:
        if (card !== undefined) card.title = stream.int(6) === 0 ? 'forbidden' : word
        break
      case 10:
        lab.disconnect(replica.name)
        break
      default:
        lab.connect(replica.name)
    }
    await lab.run(stream.int(600))
  }
  for (const { name } of people) lab.connect(name)
  await lab.run(5_000)
}
