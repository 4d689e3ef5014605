/** Dropping what is older than the offline window, on real replicas in virtual time. */
import { logName, type Repository } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { valuesOf } from '../../packages/engine/src/merge/values.ts'
import { Stream } from '../sim/random.ts'
import { boardOf, live, rules } from './drawn.ts'
import { board, Card, Lab, Note, outcomeOf, type Replica } from './lab.ts'
import { withoutRecalls } from './unasked.ts'

const offlineWindow = 60_000

/** What everybody is to agree on. */
const valuesIn = (repository: Repository): unknown =>
  Object.fromEntries(
    [...repository.counting.items]
      .flatMap(([, ofSchema]) =>
        [...ofSchema].map(([key, item]) => [key, JSON.stringify(valuesOf(item.value(), item.schema))] as const),
      )
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )

const headsIn = (repository: Repository): unknown =>
  [...repository.pipeline.commits.heads()].map(({ chain, seq, id }) => `${chain} ${seq} ${id}`).sort()

const scene = async (seed: string) => {
  const lab = new Lab(seed)
  const authority = await lab.authority({ rules })
  const ada = await lab.join('ada', { rules, offlineWindow })
  const bob = await lab.join('bob', { rules })
  for (const person of [ada, bob]) boardOf(person)
  await lab.run(500)
  return { lab, authority, ada, bob, log: logName(board, lab.runtime('ada')) }
}

const closed = async (lab: Lab, replica: Replica): Promise<void> => {
  lab.disconnect(replica.name)
  const closing = replica.database.close()
  await lab.run(200)
  await closing
}

const agree = async (lab: Lab, replicas: readonly Replica[]): Promise<void> => {
  for (const { name } of replicas) if (name !== 'authority') lab.connect(name)
  await lab.run(5_000)
  const [first, ...others] = replicas.map((replica) => boardOf(replica))
  if (first === undefined) return
  for (const other of others) {
    expect(valuesIn(other)).toEqual(valuesIn(first))
    expect(headsIn(other)).toEqual(headsIn(first))
  }
}

describe('history older than the offline window', () => {
  for (let seed = 0; seed < 12; seed++)
    test(`goes, and everything is what it was and goes on, drawn with seed ${seed}`, async () => {
      const { lab, authority, ada, bob } = await scene(`window ${seed}`)
      const stream = new Stream(`window ${seed}`, 'steps')
      await live(lab, [ada, bob], stream, 60)
      await agree(lab, [authority, ada, bob])
      const before = valuesIn(boardOf(ada))
      await lab.run(2 * offlineWindow)
      await closed(lab, ada)
      const again = await lab.join('ada', { rules, offlineWindow })
      const repository = boardOf(again)
      await repository.ready
      await lab.run(10_000)
      expect(valuesIn(repository)).toEqual(before)
      await closed(lab, again)
      const third = await lab.join('ada', { rules, offlineWindow })
      await boardOf(third).ready
      expect(boardOf(third).pipeline.commits.dropsAny).toBe(true)
      expect(valuesIn(boardOf(third))).toEqual(before)
      await agree(lab, [authority, third, bob])
      await live(lab, [third, bob], stream, 40)
      await agree(lab, [authority, third, bob])
      // And once more, on top of what was dropped.
      await lab.run(2 * offlineWindow)
      await closed(lab, third)
      const fourth = await lab.join('ada', { rules, offlineWindow })
      await boardOf(fourth).ready
      await lab.run(10_000)
      await closed(lab, fourth)
      const fifth = await lab.join('ada', { rules, offlineWindow })
      await boardOf(fifth).ready
      await agree(lab, [authority, fifth, bob])
    })
})

/** Whatever somebody may do to the cards that are there, without a line to anybody. */
const editAlone = async (lab: Lab, replica: Replica, stream: Stream, steps: number): Promise<void> => {
  const repository = boardOf(replica)
  for (let step = 0; step < steps; step++) {
    const cards = repository.query(Card).current ?? []
    const card = cards[stream.int(Math.max(1, cards.length))]
    if (card === undefined) continue
    const word = `${replica.name}${step}`
    const edits = [
      () => card.notes.insert(stream.int(card.notes.length + 1), `${word} `),
      () => card.notes.length > 2 && card.notes.remove(stream.int(card.notes.length - 2), 2),
      () => card.tags.add(word),
      () => card.tags.delete(card.tags.values()[0] ?? ''),
      () => card.votes.set(card.votes.keys()[0] ?? word, step),
      () => card.votes.delete(card.votes.keys()[0] ?? ''),
      () => repository.delete(card),
      () => {
        card.title = word
      },
    ]
    edits[stream.int(edits.length)]?.()
    await lab.run(400)
  }
}

/** Closes and opens until what is due was dropped, and what is in memory is what is in the log. */
const dropping = async (lab: Lab, replica: Replica): Promise<Replica> => {
  await closed(lab, replica)
  const again = await lab.join('ada', { rules, offlineWindow })
  await boardOf(again).ready
  await lab.run(10_000)
  await closed(lab, again)
  const third = await lab.join('ada', { rules, offlineWindow })
  await boardOf(third).ready
  return third
}

describe('who was away for longer than the offline window', () => {
  for (let seed = 0; seed < 12; seed++)
    test(`[S17] is merged all the same, drawn with seed ${seed}`, async () => {
      const { lab, authority, ada, bob } = await scene(`away ${seed}`)
      const stream = new Stream(`away ${seed}`, 'steps')
      await live(lab, [ada, bob], stream, 40)
      await agree(lab, [authority, ada, bob])
      lab.disconnect('bob')
      await editAlone(lab, bob, stream, 6)
      await editAlone(lab, ada, stream, 30)
      await lab.run(2 * offlineWindow)
      const dropped = await dropping(lab, ada)
      expect(boardOf(dropped).pipeline.commits.dropsAny).toBe(true)
      await agree(lab, [authority, dropped, bob])
      expect([...boardOf(dropped).recalling.wanted]).toEqual([])
      expect(boardOf(dropped).counting.waiting.size).toBe(0)
      await editAlone(lab, dropped, stream, 10)
      await agree(lab, [authority, dropped, bob])
      const values = valuesIn(boardOf(authority))
      // What came back is in the log: nobody has to be there.
      lab.disconnect('ada')
      await lab.run(100)
      lab.kill('ada')
      const alone = await lab.start('ada', { rules, offlineWindow, transports: [] })
      await boardOf(alone).ready
      expect(valuesIn(boardOf(alone))).toEqual(values)
    })
})

describe('what was dropped and is erased', () => {
  const secret = 'nobody-is-to-know-this'

  /** Ada dropped the history of a card whose notes say it. */
  const told = async (seed: string) => {
    const found = await scene(seed)
    const { lab, ada, bob } = found
    const card = boardOf(bob).create(Card, { title: 'told' }, { key: 'told' })
    card.notes.insert(0, `so ${secret} indeed`)
    await lab.run(1_000)
    card.notes.insert(0, 'And ')
    for (let step = 0; step < 20; step++) {
      boardOf(ada).create(Card, { title: `card ${step}` })
      await lab.run(400)
    }
    await lab.run(2 * offlineWindow)
    const dropped = await dropping(lab, ada)
    await lab.run(1_000)
    const item = [...boardOf(dropped).counting.items.values()].map((items) => items.get('told'))[0]
    expect(item?.dropped).toBeGreaterThan(0)
    return { ...found, ada: dropped, card }
  }

  test('is gone from the values and the log of who dropped it', async () => {
    const { lab, authority, ada, bob, card, log } = await told('erased elsewhere')
    const erased = boardOf(bob).erase(card, 'told too much')
    await lab.run(20_000)
    await erased
    await agree(lab, [authority, ada, bob])
    expect(boardOf(ada).item(Card, 'told')?.notes.toString()).toBe('')
    expect(ada.incidents.map(({ code }) => code)).toContain('HistoryDropped')
    await lab.run(10_000)
    const { disk } = lab.device('ada')
    const file = await disk.files().open(log, false)
    const bytes = (await file?.read(0, 1_000_000)) ?? new Uint8Array(0)
    expect(new TextDecoder('latin1').decode(bytes).includes(secret)).toBe(false)
    await closed(lab, ada)
    const again = await lab.start('ada', { rules, offlineWindow, transports: [] })
    await boardOf(again).ready
    expect(boardOf(again).item(Card, 'told')?.notes.toString()).toBe('')
  })

  test('can be erased by who dropped it: its history is brought back first', async () => {
    const { lab, authority, ada, bob } = await told('erased by her')
    const card = boardOf(ada).item(Card, 'told')
    if (card === null || card === undefined) throw new Error('no card')
    const erased = boardOf(ada).erase(card, 'told too much')
    await lab.run(20_000)
    await erased
    await agree(lab, [authority, ada, bob])
    expect(boardOf(bob).item(Card, 'told')?.notes.toString()).toBe('')
    expect(boardOf(ada).item(Card, 'told')?.notes.toString()).toBe('')
  })

  test('cannot be while there is nobody to ask', async () => {
    const { lab, ada } = await told('erased alone')
    const card = boardOf(ada).item(Card, 'told')
    if (card === null || card === undefined) throw new Error('no card')
    lab.disconnect('ada')
    await lab.run(100)
    const outcome = outcomeOf(boardOf(ada).erase(card, 'told too much'))
    await lab.run(100)
    expect(outcome.current).toBe('Unreachable')
  })
})

describe('what waits for history that was dropped', () => {
  test('is told with its content while the server is away, and merged when it is back', async () => {
    const { lab, authority, ada, bob } = await scene('told while away')
    const card = boardOf(ada).create(Card, { title: 'first', tags: ['old'] }, { key: 'card' })
    await lab.run(2_000)
    lab.disconnect('bob')
    for (let step = 0; step < 20; step++) {
      card.title = `title ${step}`
      await lab.run(500)
    }
    const theirs = boardOf(bob).item(Card, 'card')
    if (theirs === null || theirs === undefined) throw new Error('no card')
    theirs.notes.insert(0, 'from the mountains')
    theirs.tags.add('late')
    theirs.votes.set('bob', 3)
    await lab.run(2 * offlineWindow)
    await closed(lab, await dropping(lab, ada))
    // The server is there for the others, and does not answer her question.
    let isLost = true
    const line = lab.line()
    const transports = [withoutRecalls(line.a, () => isLost)]
    const dropped = await lab.start('ada', { rules, offlineWindow, transports })
    const repository = boardOf(dropped)
    line.connect()
    await lab.run(1_000)
    expect(repository.droppedBefore).toBeGreaterThan(0)
    expect(boardOf(bob).droppedBefore).toBe(undefined)
    expect(repository.unmerged).toEqual([])
    lab.connect('bob')
    await lab.run(2_000)
    const [unmerged, ...others] = repository.unmerged
    expect(others).toEqual([])
    expect(unmerged).toMatchObject({
      schema: 'card',
      key: 'card',
      name: 'bob',
      deletes: false,
      wrote: { notes: ['from the mountains'], tags: ['late'], votes: { bob: 3 } },
    })
    expect(repository.item(Card, 'card')?.title).toBe('title 19')
    expect(dropped.incidents.map(({ code }) => code)).toContain('HistoryDropped')
    isLost = false
    await lab.run(60_000)
    expect(repository.unmerged).toEqual([])
    await agree(lab, [authority, dropped, bob])
    expect(repository.item(Card, 'card')?.notes.toString()).toBe('from the mountains')
    expect(repository.item(Card, 'card')?.tags.values()).toEqual(['late', 'old'])
  })
})

describe('an app that does not know a schema of what was dropped', () => {
  /** Ada dropped the history of cards and notes, and goes on with a version of the app that knows notes alone. */
  const older = async (seed: string) => {
    const found = await scene(seed)
    const { lab, ada, bob } = found
    lab.disconnect('bob')
    boardOf(bob).create(Card, { title: 'of Bob', tags: ['Bob'] }, { key: 'both' })
    await lab.run(500)
    const cards = ['only', 'both'].map((key) => boardOf(ada).create(Card, { title: 'first' }, { key }))
    for (const card of cards) {
      await lab.run(500)
      card.title = `${card.title} and second`
    }
    for (let step = 0; step < 12; step++) {
      boardOf(ada).create(Note, { title: `note ${step}` })
      await lab.run(400)
    }
    await lab.run(2 * offlineWindow)
    const dropped = await dropping(lab, ada)
    expect(boardOf(dropped).pipeline.commits.dropsAny).toBe(true)
    await closed(lab, dropped)
    const again = await lab.join('ada', { rules, offlineWindow, schemas: [Note] })
    await boardOf(again).ready
    for (let step = 0; step < 12; step++) {
      boardOf(again).create(Note, { title: `more ${step}` })
      await lab.run(400)
    }
    return { ...found, ada: again }
  }

  /** How many commits still stand in the log. */
  const kept = (replica: Replica): number => {
    const { commits } = boardOf(replica).pipeline
    return commits.size - commits.dropped
  }

  test('drops more, and keeps what it has of that one', async () => {
    const { lab, authority, ada, bob } = await older('older app')
    const before = kept(ada)
    await lab.run(2 * offlineWindow)
    await closed(lab, ada)
    for (let time = 0; time < 2; time++) {
      const again = await lab.join('ada', { rules, offlineWindow, schemas: [Note] })
      await boardOf(again).ready
      await lab.run(10_000)
      if (time === 1) expect(kept(again)).toBeLessThan(before)
      await closed(lab, again)
    }
    const newer = await lab.start('ada', { rules, offlineWindow, transports: [] })
    await boardOf(newer).ready
    expect(boardOf(newer).item(Card, 'only')?.title).toBe('first and second')
    await closed(lab, newer)
    const last = await lab.join('ada', { rules, offlineWindow })
    await boardOf(last).ready
    await agree(lab, [authority, last, bob])
  })

  test('takes in what builds on it', async () => {
    const { lab, authority, ada, bob } = await older('older app, newer others')
    lab.connect('bob')
    await lab.run(5_000)
    const card = boardOf(bob).item(Card, 'only')
    if (card === null || card === undefined) throw new Error('no card')
    card.title = 'third'
    await lab.run(5_000)
    expect(headsIn(boardOf(ada))).toEqual(headsIn(boardOf(authority)))
    const waits = [...boardOf(ada).counting.waiting.values()].map(({ changes: [change] }) => change?.key)
    expect(waits).toContain('only')
  })

  test('drops nothing of what it cannot count', async () => {
    const { lab, authority, ada, bob } = await older('older app, late work')
    lab.connect('bob')
    await lab.run(5_000)
    expect(boardOf(ada).counting.waiting.size).toBe(1)
    await lab.run(2 * offlineWindow)
    await closed(lab, ada)
    for (let time = 0; time < 2; time++) {
      const again = await lab.join('ada', { rules, offlineWindow, schemas: [Note] })
      await boardOf(again).ready
      await lab.run(10_000)
      await closed(lab, again)
    }
    const newer = await lab.join('ada', { rules, offlineWindow })
    await boardOf(newer).ready
    await agree(lab, [authority, newer, bob])
  })
})
