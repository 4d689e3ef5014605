/** A repository as an app uses it, and as its disk, its key and other people treat it. */
import { keyOf, problemsOf, read, saved, savedState, write } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { board, Card, diskFull, gate, Lab, Note, outcomeOf } from './lab.ts'

const alone = async (seed: string, options: Parameters<Lab['join']>[1] = {}) => {
  const lab = new Lab(seed)
  const authority = await lab.authority(options.rules === undefined ? {} : { rules: options.rules })
  const ada = await lab.join('ada', options)
  const repository = ada.database.repository(board)
  await lab.run(100)
  await repository.ready
  return { lab, authority, ada, repository }
}

/** What the same device shows after closing and opening. */
const reopened = async (lab: Lab, ada: Awaited<ReturnType<Lab['join']>>) => {
  const closing = ada.database.close()
  await lab.run(10)
  await closing
  const again = await lab.start('ada')
  const repository = again.database.repository(board)
  await lab.run(10)
  await repository.ready
  return { again, repository }
}

describe('commits are never malformed', () => {
  test('a transaction that edits nothing makes no commit', async () => {
    const { lab, ada, repository } = await alone('empty')
    repository.create(Card, { title: 'before' })
    repository.transact(() => undefined)
    repository.create(Card, { title: 'after' })
    await lab.run(1_000)
    const { again, repository: second } = await reopened(lab, ada)
    expect(again.incidents).toEqual([])
    expect(
      second
        .query(Card)
        .orderBy('title')
        .current?.map((card) => card.title),
    ).toEqual(['after', 'before'])
  })

  test('two items with one key, of two schemas, go into two commits', async () => {
    const { lab, ada, repository } = await alone('collision')
    repository.create(Card, { title: 'a card' }, { key: 'same' })
    repository.create(Note, { title: 'a note' }, { key: 'same' })
    await lab.run(1_000)
    expect(ada.database.status.unacknowledged).toBe(0)
    const { again, repository: second } = await reopened(lab, ada)
    expect(again.incidents).toEqual([])
    expect(second.item(Card, 'same')?.title).toBe('a card')
    expect(second.item(Note, 'same')?.title).toBe('a note')
  })

  test('two items with one key cannot be in one transaction, and nothing of it stays', async () => {
    const { lab, repository } = await alone('collision in a transaction')
    expect(() =>
      repository.transact(() => {
        repository.create(Card, { title: 'a card' }, { key: 'same' })
        repository.create(Note, { title: 'a note' }, { key: 'same' })
      }),
    ).toThrow(expect.objectContaining({ code: 'BadItemKey' }))
    await lab.run(1_000)
    expect(repository.item(Card, 'same')).toBeNull()
    expect(repository.item(Note, 'same')).toBeNull()
  })

  test.each(['', 'x'.repeat(257), 'ü'.repeat(129), '\ud800'])('the key %j is refused at once', async (key) => {
    const { repository } = await alone('key')
    expect(() => repository.create(Card, {}, { key })).toThrow(expect.objectContaining({ code: 'BadItemKey' }))
    expect(repository.query(Card).current).toEqual([])
  })

  test('lone surrogates and map keys that no commit takes are mended or refused, not written', async () => {
    const { lab, ada, repository } = await alone('surrogates')
    const card = repository.create(Card, { title: 'x', notes: 'a\ud800b' })
    expect(card.notes.toString()).toBe('a\ufffdb')
    expect(() => card.votes.set('\udc00', 1)).toThrow(expect.objectContaining({ code: 'BadValue' }))
    expect(() => repository.create(Card, { votes: { '': 1 } })).toThrow(expect.objectContaining({ code: 'BadValue' }))
    expect(() => repository.create(Card, { notes: 'x'.repeat(1_100_000) })).toThrow(
      expect.objectContaining({ code: 'TooLarge' }),
    )
    card.title = 'y'
    await lab.run(1_000)
    const { again, repository: second } = await reopened(lab, ada)
    expect(again.incidents).toEqual([])
    const [seen] = second.query(Card).where({ title: 'y' }).current ?? []
    expect(JSON.stringify(seen)).toBe(JSON.stringify(card))
  })
})

describe('what is large', () => {
  test('a megabyte of pasted text, long strings and twenty thousand elements are stored in pieces, and taken away again', async () => {
    const { lab, ada, repository } = await alone('large')
    const card = repository.create(Card, { title: 'large' })
    const pasted = 'Ünïcödé text '.repeat(40_000)
    card.notes.replace(pasted)
    card.about = 'a'.repeat(65_536)
    for (let index = 0; index < 20_000; index++) card.tags.add(`tag ${index}`)
    const local = outcomeOf(saved(card, 'local'))
    await lab.until(() => local.current !== 'pending')
    expect(local.current).toBe('resolved')
    for (const tag of card.tags.values()) card.tags.delete(tag)
    card.tags.add('last')
    await lab.run(2_000)
    expect(ada.database.status.unsaved).toBe(0)
    expect(ada.incidents).toEqual([])
    const { again, repository: second } = await reopened(lab, ada)
    expect(again.incidents).toEqual([])
    const [seen] = second.query(Card).current ?? []
    expect(seen?.notes.toString() === pasted).toBe(true)
    expect(seen?.about.length).toBe(65_536)
    expect(seen && [...seen.tags]).toEqual(['last'])
  }, 60_000)

  test('saved waits for the last piece', async () => {
    const { lab, ada, repository } = await alone('pieces')
    const card = repository.create(Card, { title: 'x' })
    await lab.run(1_000)
    card.notes.replace('x'.repeat(500_000))
    let length = -1
    const level = saved(card, 'authority').then(() => {
      length = ada.database.status.unacknowledged
    })
    level.catch(() => undefined)
    await lab.until(() => length >= 0)
    expect(length).toBe(0)
  })
})

describe('transactions', () => {
  test('one that throws leaves nothing, and text listeners follow', async () => {
    const { lab, repository } = await alone('throws')
    const card = repository.create(Card, { title: 'x', notes: 'abc' })
    await lab.run(1_000)
    let shown = card.notes.toString()
    card.notes.subscribe(({ splices }) => {
      for (const { at, remove, insert } of splices) shown = shown.slice(0, at) + insert + shown.slice(at + remove)
    })
    expect(() =>
      repository.transact(() => {
        card.title = 'y'
        card.notes.insert(1, 'zzz')
        throw new Error('no')
      }),
    ).toThrow('no')
    expect([card.title, card.notes.toString(), shown]).toEqual(['x', 'abc', 'abc'])
  })

  test('one that is too large leaves nothing, and text listeners follow', async () => {
    const { lab, repository } = await alone('too large')
    const card = repository.create(Card, { title: 'x', notes: 'abc' })
    await lab.run(1_000)
    let shown = card.notes.toString()
    card.notes.subscribe(({ splices }) => {
      for (const { at, remove, insert } of splices) shown = shown.slice(0, at) + insert + shown.slice(at + remove)
    })
    expect(() => repository.transact(() => card.notes.insert(1, 'z'.repeat(400_000)))).toThrow(
      expect.objectContaining({ code: 'TooLarge' }),
    )
    expect(card.notes.toString()).toBe('abc')
    expect(shown).toBe('abc')
    repository.transact(() => card.notes.insert(1, 'z'.repeat(150_000)))
    expect(card.notes.length).toBe(150_003)
  })

  test('a refused value from before does not stand in the way, and stays', async () => {
    const { repository } = await alone('refused before')
    const card = repository.create(Card, { title: 'x' })
    card.title = 'x'.repeat(501)
    expect(problemsOf(card)).toHaveProperty('title')
    repository.transact(() => {
      card.points = 3
    })
    expect(card.points).toBe(3)
    expect(() =>
      repository.transact(() => {
        card.points = 4
        card.place = '?'
      }),
    ).toThrow(expect.objectContaining({ code: 'BadValue' }))
    expect(card.points).toBe(3)
    expect(Object.keys(problemsOf(card))).toEqual(['title'])
  })

  test('before the repository is open it is refused with what to wait for', async () => {
    const lab = new Lab('early')
    const ada = await lab.start('ada')
    const repository = ada.database.repository(board)
    expect(() => repository.transact(() => undefined)).toThrow(expect.objectContaining({ code: 'NotReady' }))
  })

  test('an edit made by a listener while one is undone is not lost', async () => {
    const { lab, ada, repository } = await alone('listener')
    const [card, log] = [
      repository.create(Card, { title: 'x', notes: 'abc' }),
      repository.create(Card, { title: 'log' }),
    ]
    await lab.run(1_000)
    card.notes.subscribe(({ origin }) => {
      if (origin === 'remote') log.points = 7
    })
    expect(() =>
      repository.transact(() => {
        card.notes.insert(0, 'y')
        throw new Error('no')
      }),
    ).toThrow('no')
    await lab.run(1_000)
    expect(ada.database.status.unsaved).toBe(0)
    expect(savedState(log)).toBe('authority')
    expect(log.points).toBe(7)
  })
})

describe('deleting and restoring', () => {
  test('what was typed just before deleting is there again after restoring, and text listeners follow', async () => {
    const { lab, repository } = await alone('undo')
    const card = repository.create(Card, { title: 'x', notes: 'abc' })
    await lab.run(1_000)
    let shown = card.notes.toString()
    card.notes.subscribe(({ splices }) => {
      for (const { at, remove, insert } of splices) shown = shown.slice(0, at) + insert + shown.slice(at + remove)
    })
    card.notes.insert(3, 'd')
    repository.delete(card)
    expect(repository.item(Card, keyOf(card))).toBeNull()
    repository.restore(card)
    expect(card.notes.toString()).toBe('abcd')
    card.notes.insert(4, 'e')
    repository.delete(card)
    await lab.run(1_000)
    repository.restore(card)
    await lab.run(1_000)
    expect(card.notes.toString()).toBe('abcde')
    expect(shown).toBe('abcde')
  })

  test('an item made and deleted in one breath is not there, and comes back whole', async () => {
    const { lab, ada, repository } = await alone('breath')
    const card = repository.create(Card, { title: 'x', notes: 'abc' })
    repository.delete(card)
    await lab.run(1_000)
    expect(repository.query(Card).current).toEqual([])
    expect(ada.database.status.unsaved).toBe(0)
    repository.restore(card)
    await lab.run(1_000)
    expect(repository.query(Card).current).toEqual([card])
    expect([card.title, card.notes.toString()]).toEqual(['x', 'abc'])
  })

  test('[M6] an edit beside a deletion shows at once and revives the item', async () => {
    const { lab, repository } = await alone('revive')
    const bob = await lab.join('bob')
    const there = bob.database.repository(board)
    const card = repository.create(Card, { title: 'x' })
    await lab.until(() => there.query(Card).current?.length === 1)
    const [seen] = there.query(Card).current ?? []
    if (seen === undefined) throw new Error('nothing seen')
    await lab.run(1_000)
    card.points = 1
    await lab.run(1)
    card.title = 'edited'
    there.delete(seen)
    await lab.run(50)
    expect(repository.item(Card, keyOf(card))?.title).toBe('edited')
    await lab.run(1_000)
    expect(there.item(Card, keyOf(card))?.title).toBe('edited')
  })
})

describe('listeners', () => {
  test('all hear of a change before they hear of what one of them made of it', async () => {
    const { repository } = await alone('two listeners')
    const card = repository.create(Card, { title: 'x', notes: 'abc' })
    const shown = ['abc', 'abc']
    for (const index of shown.keys()) {
      card.notes.subscribe(({ splices }) => {
        for (const { at, remove, insert } of splices) {
          shown[index] = (shown[index] ?? '').slice(0, at) + insert + (shown[index] ?? '').slice(at + remove)
        }
        // As an editor that completes brackets.
        if (index === 0 && card.notes.toString().startsWith('(') && !card.notes.toString().endsWith(')')) {
          card.notes.insert(card.notes.length, ')')
        }
      })
    }
    card.notes.insert(0, '(')
    expect([card.notes.toString(), ...shown]).toEqual(['(abc)', '(abc)', '(abc)'])
  })

  test('one that throws keeps nobody from hearing, and is reported', async () => {
    const { lab, ada, repository } = await alone('throwing listener')
    const card = repository.create(Card, { title: 'x' })
    let heard = 0
    repository.onChange(() => {
      throw new Error('first')
    })
    repository.onChange(() => void heard++)
    card.title = 'y'
    await lab.run(1_000)
    expect(heard).toBeGreaterThan(0)
    expect(ada.incidents.map(({ code, about }) => [code, about])).toContainEqual(['ListenerThrew', 'Error: first'])
    expect(savedState(card)).toBe('authority')
  })
})

describe('storing fails', () => {
  test('edits are kept in order and stored when there is room again', async () => {
    const { lab, ada, repository } = await alone('full')
    const card = repository.create(Card, { title: '0' })
    await lab.run(1_000)
    ada.faults.sync = diskFull
    const outcome: { current: string }[] = []
    for (let index = 1; index <= 5; index++) {
      card.title = String(index)
      outcome.push(outcomeOf(saved(card, 'local')))
      await lab.run(400)
    }
    expect(outcome.map(({ current }) => current)).toEqual(Array(5).fill('pending'))
    expect(ada.database.status.unsaved).toBe(5)
    expect(ada.database.status.problem?.code).toBe('DiskFull')
    ada.faults.sync = undefined
    await lab.run(40_000)
    expect(outcome.map(({ current }) => current)).toEqual(Array(5).fill('resolved'))
    expect(ada.database.status).toMatchObject({ unsaved: 0, unacknowledged: 0, problem: undefined })
    const { again, repository: second } = await reopened(lab, ada)
    expect(again.incidents).toEqual([])
    expect(second.query(Card).current?.map(({ title }) => title)).toEqual(['5'])
    expect(second.pipeline.commits.size).toBe(6)
  })

  test('closing stores what waits behind an append that is under way', async () => {
    const { lab, ada, repository } = await alone('close')
    const card = repository.create(Card, { title: '0' })
    await lab.run(1_000)
    const held = gate()
    ada.faults.hold = held.promise
    card.title = '1'
    await lab.run(0)
    card.title = '2'
    repository.flush()
    await lab.run(0)
    const closing = outcomeOf(ada.database.close())
    await lab.run(10)
    expect(closing.current).toBe('pending')
    ada.faults.hold = undefined
    held.open()
    await lab.run(10)
    expect(closing.current).toBe('resolved')
    const again = await lab.start('ada')
    const second = again.database.repository(board)
    await lab.run(10)
    expect(second.query(Card).current?.map(({ title }) => title)).toEqual(['2'])
  })

  test('a key that cannot sign for a while holds commits back, and nothing else', async () => {
    const { lab, ada, repository } = await alone('sign')
    const card = repository.create(Card, { title: '0' })
    await lab.run(1_000)
    ada.faults.sign = () => {
      throw new Error('the key is away')
    }
    card.title = '1'
    await lab.run(400)
    card.title = '2'
    await lab.run(400)
    expect(ada.database.status.unsaved).toBe(2)
    expect(ada.incidents.map(({ code }) => code)).toContain('SigningFailed')
    ada.faults.sign = undefined
    await lab.run(40_000)
    expect(ada.database.status).toMatchObject({ unsaved: 0, unacknowledged: 0, problem: undefined })
    expect(savedState(card)).toBe('authority')
  })

  test('closing with a key that cannot sign ends', async () => {
    const { lab, ada, repository } = await alone('sign and close')
    ada.faults.sign = () => {
      throw new Error('the key is away')
    }
    const card = repository.create(Card, { title: '1' })
    const waiting = outcomeOf(saved(card, 'local'))
    await lab.run(10)
    const closing = outcomeOf(ada.database.close())
    await lab.run(10)
    expect([closing.current, waiting.current]).toEqual(['resolved', 'Closed'])
  })

  test('an error that is no StorageError is reported and tried again, not thrown into the void', async () => {
    const { lab, ada, repository } = await alone('throw')
    const card = repository.create(Card, { title: '0' })
    await lab.run(1_000)
    repository.onChange(() => {
      throw new Error("an app's own bug")
    })
    ada.database.onIncident(() => {
      throw new Error('another')
    })
    card.title = '1'
    ada.faults.sync = () => new TypeError('odd')
    await lab.run(1_000).catch(() => undefined)
    ada.faults.sync = undefined
    await lab.run(10_000).catch(() => undefined)
    await lab.run(10_000).catch(() => undefined)
    expect(savedState(card)).toBe('authority')
  })

  test('a repository whose log cannot be opened is opened when it can', async () => {
    const { lab, ada, repository } = await alone('cannot open')
    repository.create(Card, { title: 'x' })
    await lab.run(1_000)
    ada.faults.sync = diskFull
    const other = ada.database.repository('/board/other')
    const card = other.create(Card, { title: 'early' })
    await lab.run(1_000)
    expect(ada.database.status.problem?.code).toBe('DiskFull')
    ada.faults.sync = undefined
    await lab.run(40_000)
    expect(savedState(card)).toBe('authority')
    expect(ada.database.status.problem).toBeUndefined()
  })

  test('a store that is open already is refused, and says so', async () => {
    const { lab } = await alone('twice')
    const second = await lab.start('ada')
    expect(second.database.status.problem?.code).toBe('AlreadyOpen')
    expect(outcomeOf(second.database.repository(board).ready)).toBeDefined()
    const ready = outcomeOf(second.database.repository(board).ready)
    await lab.run(10)
    expect(ready.current).toBe('AlreadyOpen')
  })
})

describe('rules', () => {
  const rules = [read('/board/:id', () => true), write('/board/:id', () => false)]

  test('what they refuse is shown as it is again, and text listeners follow', async () => {
    const lab = new Lab('refused by rules')
    const deny = { on: false }
    const some = [read('/board/:id', () => true), write('/board/:id', () => !deny.on)]
    await lab.authority({ rules: some })
    const ada = await lab.join('ada', { rules: some })
    const repository = ada.database.repository(board)
    await lab.run(100)
    const card = repository.create(Card, { title: 'x', notes: 'abc' })
    await lab.run(1_000)
    let shown = card.notes.toString()
    card.notes.subscribe(({ splices }) => {
      for (const { at, remove, insert } of splices) shown = shown.slice(0, at) + insert + shown.slice(at + remove)
    })
    deny.on = true
    card.notes.insert(1, 'zzz')
    card.title = 'y'
    const local = outcomeOf(saved(card, 'authority'))
    await lab.run(1_000)
    expect([card.title, card.notes.toString(), shown]).toEqual(['x', 'abc', 'abc'])
    expect(local.current).toBe('NotAllowed')
    expect(ada.incidents.map(({ code }) => code)).toContain('NotAllowed')
  })

  test('nobody writes without one', async () => {
    const { lab, repository, ada } = await alone('none', { rules })
    const card = repository.create(Card, { title: 'x' })
    await lab.run(1_000)
    expect(repository.item(Card, keyOf(card))).toBeNull()
    expect(ada.database.status.unsaved).toBe(0)
  })
})

describe('time', () => {
  test('the first edit is captured at the end of the microtask, then at most three a second, and no timer stays', async () => {
    const { lab, repository } = await alone('rate')
    const card = repository.create(Card, { title: '0' })
    await lab.run(0)
    expect(repository.pipeline.commits.size).toBe(1)
    await lab.run(2_000)
    for (let index = 0; index < 100; index++) {
      card.points = index + 1
      await lab.run(10)
    }
    await lab.run(2_000)
    expect(repository.pipeline.commits.size).toBeGreaterThanOrEqual(4)
    expect(repository.pipeline.commits.size).toBeLessThanOrEqual(5)
  })

  test('closing twice, and using what is closed', async () => {
    const { lab, ada, repository } = await alone('closed')
    const card = repository.create(Card, { title: 'x' })
    await lab.run(1_000)
    const [first, second] = [outcomeOf(ada.database.close()), outcomeOf(ada.database.close())]
    await lab.run(10)
    expect([first.current, second.current]).toEqual(['resolved', 'resolved'])
    expect(() => {
      card.title = 'lost'
    }).toThrow(expect.objectContaining({ code: 'Closed' }))
    expect(card.title).toBe('x')
    const late = outcomeOf(saved(card, 'authority'))
    await lab.run(10)
    expect(late.current).not.toBe('pending')
  })
})
