/** A board that people work on in virtual time, with whatever a repository may come to hold, drawn; and one with work of somebody who left. */
import { erase, grant, logName, type Repository, type Rules, read, write } from '@weft-db/engine'
import { expect } from 'vitest'
import type { Stream } from '../sim/random.ts'
import { board, Card, Lab, type Replica } from './lab.ts'

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

export const scene = async (seed: string) => {
  const lab = new Lab(seed)
  const authority = await lab.authority({ rules })
  const people = [await lab.join('ada', { rules }), await lab.join('bob', { rules })]
  for (const person of people) boardOf(person)
  await lab.run(500)
  const name = logName(board, lab.runtime('ada'))
  return { lab, authority, people, log: name, snapshot: `${name}.snapshot` }
}

export const closed = async (lab: Lab, replica: Replica): Promise<void> => {
  lab.disconnect(replica.name)
  const closing = replica.database.close()
  await lab.run(200)
  await closing
}

export const opened = async (lab: Lab, name: string, more: { rules?: Rules } = {}): Promise<Replica> => {
  const replica = await lab.start(name, { rules, transports: [], ...more })
  const repository = boardOf(replica)
  await lab.run(200)
  await repository.ready
  return replica
}

/** Ada's snapshot counts a change of Bob's that never was at the server. The root log ends his access while nobody has her board open. */
export const late = async (seed: string) => {
  const found = await scene(seed)
  const { lab, authority, people } = found
  const [ada, bob] = people
  if (ada === undefined || bob === undefined) throw new Error('nobody')
  for (let step = 0; step < 12; step++) boardOf(ada).create(Card, { title: `first ${step}` }, { key: `card${step}` })
  await lab.run(5_000)
  for (const { name } of people) lab.disconnect(name)
  const item = boardOf(bob).item(Card, 'card0')
  if (item == null) throw new Error('no card')
  item.title = 'late'
  await lab.run(1_000)
  const { session, person } = bob.database
  const head = [...boardOf(bob).pipeline.commits.heads()].find(({ chain }) => chain.startsWith(session?.id ?? '-'))
  const commit = boardOf(bob).pipeline.commits.get(head?.id ?? '')
  if (commit === undefined || person === undefined) throw new Error('Bob wrote nothing')
  const given = { certificates: [person.bytes], commits: [commit.bytes], entries: [] }
  await Promise.all([boardOf(ada).pipeline.receive({}, given), lab.run(100)])
  expect(boardOf(ada).item(Card, 'card0')?.title).toBe('late')
  await closed(lab, ada)
  const ended = (): Promise<void> => authority.database.revoke({ owner: person.owner }, 'left')
  return { ...found, ended, id: commit.id }
}

export const codesIn = (replica: Replica, id: string): string[] =>
  boardOf(replica)
    .whyDenied(id)
    .map(({ why }) => why.code)
