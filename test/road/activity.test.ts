/** What the history of a repository tells: the latest first, by whom and in which role, what became of it; and the names of members. */
import { activity, create, grant, type Rules, read, write } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { board, Card, Lab } from './lab.ts'

const rules: Rules = [
  create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner')),
  read('/board/:id', ({ role }) => role !== undefined),
  write('/board/:id', ({ role }) => role === 'owner' || role === 'editor'),
  grant('/board/:id', ({ role, subject }) => role === 'owner' && subject.role !== 'owner'),
]

/** Ada's board, and Bob who came as an editor and has written nothing. */
const shared = async (seed: string) => {
  const lab = new Lab(seed)
  await lab.authority({ rules })
  const [ada, bob] = [await lab.join('ada', { rules }), await lab.join('bob', { rules })]
  const hers = ada.database.repository(board)
  await lab.run(100)
  const card = hers.create(Card, { title: 'first' })
  await lab.run(1_000)
  const code = hers.invite('editor')
  await lab.run(500)
  const come = bob.database.join(board, await code)
  await lab.run(500)
  await come
  const his = bob.database.repository(board)
  await lab.run(1_000)
  return { lab, ada, bob, hers, his, card }
}

const told = (repository: Parameters<typeof activity>[0], options?: Parameters<typeof activity>[1]) =>
  activity(repository, options).map(({ name, role, covered, changes }) => {
    const done = changes.map(({ kind, fields, why }) =>
      [kind, ...fields, ...(why === undefined ? [] : [why.code])].join(' '),
    )
    return `${name} ${role}${covered ? '' : ' alone'}: ${done.join(', ')}`
  })

describe('the history of a repository', () => {
  test('names who did what, in which role, the latest first, the same on every replica', async () => {
    const { lab, hers, his, card } = await shared('told')
    const theirs = his.query(Card).current?.[0]
    if (theirs === undefined) throw new Error('Bob does not see the card')
    theirs.done = true
    theirs.notes.insert(0, 'x')
    await lab.run(1_000)
    hers.delete(card)
    await lab.run(1_000)
    hers.restore(card)
    await lab.run(1_000)
    const expected = [
      'ada owner: restore',
      'ada owner: delete',
      'bob editor: edit done notes',
      'ada owner: create title',
    ]
    expect(told(hers)).toEqual(expected)
    expect(told(his)).toEqual(expected)
    const [, deleted, edited] = activity(his)
    expect(edited?.changes[0]).toMatchObject({
      assigned: { done: true },
      before: { done: false },
      after: { done: true },
    })
    expect(deleted?.changes[0]).toMatchObject({ assigned: {}, before: { title: 'first', done: true }, after: null })
  })

  test('is read in pages that go on where the last one ended, whatever comes meanwhile', async () => {
    const { lab, hers, card } = await shared('pages')
    for (let at = 0; at < 6; at++) {
      card.points = at + 1
      await lab.run(1_000)
    }
    const all = activity(hers).map(({ commit }) => commit)
    expect(all).toHaveLength(7)
    const first = activity(hers, { limit: 3 }).map(({ commit }) => commit)
    card.points = 99
    await lab.run(1_000)
    const last = first.at(-1) ?? ''
    const rest = activity(hers, { before: last, limit: 10 }).map(({ commit }) => commit)
    expect([...first, ...rest]).toEqual(all)
    expect(activity(hers, { skip: 2, limit: 2 }).map(({ commit }) => commit)).toEqual(all.slice(1, 3))
    expect(activity(hers, { before: last, skip: 1, limit: 1 }).map(({ commit }) => commit)).toEqual(all.slice(4, 5))
    expect(activity(hers, { before: 'f'.repeat(64) })).toEqual([])
  })

  test('tells what does not count, and why; what no checkpoint covers is not called covered', async () => {
    const { lab, ada, bob, hers, his } = await shared('refused')
    lab.disconnect('bob')
    await lab.run(100)
    his.create(Card, { title: 'on the train' })
    await lab.run(500)
    expect(told(his)[0]).toBe('bob editor alone: create title')
    const owner = bob.database.person?.owner ?? ''
    const gone = hers.grant(owner, null)
    await lab.run(500)
    await gone
    lab.connect('bob')
    await lab.run(5_000)
    expect(told(his)[0]).toBe('bob editor alone: create title RevokedBeforeSync')
    expect(bob.database.status.unacknowledged).toBe(0)
    expect(told(hers)).toEqual(['ada owner: create title'])
    expect(ada.database.status.unacknowledged).toBe(0)
  })

  test('is checked from the bytes up: a commit whose signature is not its own is found', async () => {
    const { lab, hers, his } = await shared('checked')
    his.create(Card, { title: 'second' })
    await lab.run(1_000)
    const entries = activity(hers)
    expect(await Promise.all(entries.map((one) => one.verify()))).toEqual([undefined, undefined])
    const [newest, oldest] = entries.map(({ commit }) => hers.pipeline.commits.get(commit))
    if (newest === undefined || oldest === undefined) throw new Error('two commits')
    // The bytes of another commit, and a byte of the signature changed in place.
    const whole = newest.bytes.slice()
    newest.bytes.set(oldest.bytes.subarray(0, Math.min(whole.length, oldest.bytes.length)))
    expect(await entries[0]?.verify()).toBeDefined()
    newest.bytes.set(whole)
    expect(await entries[0]?.verify()).toBeUndefined()
    const at = whole.findIndex((_, start) => newest.signature.every((byte, offset) => whole[start + offset] === byte))
    newest.bytes[at + 5] = (whole[at + 5] ?? 0) ^ 1
    expect((await entries[0]?.verify())?.code).toBe('BadSignature')
  })
})

describe('members', () => {
  test('have names before they write anything, also after the log was opened anew', async () => {
    const { lab, ada, hers, his } = await shared('names')
    const names = (repository: typeof hers) => repository.members.map(({ name }) => name).sort()
    expect(names(hers)).toEqual(['ada', 'bob'])
    expect(names(his)).toEqual(['ada', 'bob'])
    const closing = ada.database.close()
    await lab.run(10)
    await closing
    const again = await lab.start('ada', { rules })
    const opened = again.database.repository(board)
    await lab.run(10)
    await opened.ready
    expect(names(opened)).toEqual(['ada', 'bob'])
  })
})
