/** Whoever is put out learns what of their work does not count, whatever their device was at and whatever the work was built on. */
import { create, type Database, grant, keyOf, type Rejection, type Rules, read, saved, write } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { board, Card, gate, Lab, outcomeOf } from './lab.ts'

const rules: Rules = [
  create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner')),
  read('/board/:id', ({ role }) => role !== undefined),
  write('/board/:id', ({ role }) => role === 'owner' || role === 'editor'),
  grant('/board/:id', ({ role }) => role === 'owner'),
]

const joined = async (lab: Lab, name: string) => {
  const { database, faults } = await lab.join(name, { rules })
  const rejections: Rejection[] = []
  database.onRejected((rejection) => rejections.push(rejection))
  return { database, faults, rejections, theirs: database.repository(board), owner: database.person?.owner ?? '' }
}

type Member = Awaited<ReturnType<typeof joined>>

/** A board of Ada's with a card, and these editors. */
const boardWith = async (seed: string, editors: readonly string[]) => {
  const lab = new Lab(seed)
  const authority = await lab.authority({ rules })
  const ada = await joined(lab, 'ada')
  const hers = ada.theirs
  await lab.run(100)
  const card = hers.create(Card, { title: 'first' })
  await lab.run(1_000)
  const done = async (asked: Promise<unknown>): Promise<string> => {
    const outcome = outcomeOf(asked)
    await lab.run(1_000)
    return outcome.current
  }
  const members = new Map<string, Member>()
  for (const name of editors) {
    const member = await joined(lab, name)
    members.set(name, member)
    expect(await done(hers.grant(member.owner, 'editor', { fences: false }))).toBe('resolved')
    await lab.run(1_000)
  }
  const of = (name: string): Member => {
    const member = members.get(name)
    if (member === undefined) throw new Error(`there is no ${name}`)
    return member
  }
  return { lab, authority, hers, card, done, of }
}

const sessionOf = ({ database }: { readonly database: Database }): string => database.person?.session ?? ''

const told = ({ rejections }: { readonly rejections: readonly Rejection[] }) =>
  rejections.map(({ code, content }) => [code, content?.['title']])

describe('whoever is put out', () => {
  test('[V7] learns what does not count also of what was on its way to a slow disk meanwhile, and it is not saved once they are back', async () => {
    const { lab, of, card, hers, done } = await boardWith('slow disk', ['bob'])
    const bob = of('bob')
    const item = bob.theirs.item(Card, keyOf(card))
    if (item == null) throw new Error('not there')
    const syncing = gate()
    bob.faults.hold = syncing.promise
    const out = hers.grant(bob.owner, null)
    await lab.run(500)
    item.title = 'late'
    const outcome = outcomeOf(saved(item, 'authority'))
    await lab.run(500)
    bob.faults.hold = undefined
    syncing.open()
    expect(await done(out)).toBe('resolved')
    expect([item.title, outcome.current]).toEqual(['first', 'RevokedBeforeSync'])
    expect(await done(hers.grant(bob.owner, 'editor', { fences: false }))).toBe('resolved')
    await lab.run(3_000)
    expect([card.title, item.title, bob.theirs.unacknowledged]).toEqual(['first', 'first', 0])
    expect(told(bob)).toEqual([['RevokedBeforeSync', 'late']])
  })

  test('[V1] [V8] learns it again when the device is opened again, also of work on somebody’s who was put out later', async () => {
    const { lab, authority, of, card } = await boardWith('put out one after the other', ['bob', 'eve'])
    const [bob, eve] = [of('bob'), of('eve')]
    const [item, hers] = [bob.theirs.item(Card, keyOf(card)), eve.theirs.item(Card, keyOf(card))]
    if (item == null || hers == null) throw new Error('not there')
    for (const name of ['bob', 'eve']) lab.disconnect(name)
    hers.title = 'hers'
    await lab.run(500)
    const [head] = [...eve.theirs.pipeline.commits.heads()].filter(({ chain }) => chain.startsWith(sessionOf(eve)))
    const commit = eve.theirs.pipeline.commits.get(head?.id ?? '')
    const certificate = eve.database.person?.bytes
    if (commit === undefined || certificate === undefined) throw new Error('eve wrote nothing')
    const given = { certificates: [certificate], commits: [commit.bytes], entries: [] }
    await Promise.all([bob.theirs.pipeline.receive({}, given), lab.run(100)])
    item.title = 'on hers'
    await lab.run(500)
    const late = [['RevokedBeforeSync', 'on hers']]
    for (const one of [bob, eve]) {
      outcomeOf(authority.database.revoke({ session: sessionOf(one) }, 'a lost phone'))
      await lab.run(1_000)
      lab.connect('bob')
      await lab.run(3_000)
      expect(told(bob)).toEqual(late)
    }
    const known = bob.database.root.size
    lab.kill('bob')
    const again = await lab.client('bob', { rules })
    const theirs = again.database.repository(board)
    await lab.run(3_000)
    expect([again.database.root.size, theirs.pipeline.log.coveredAt(commit.chain, commit.seq)]).toEqual([
      known,
      Number.POSITIVE_INFINITY,
    ])
    expect(told(theirs)).toEqual(late)
  })
})
