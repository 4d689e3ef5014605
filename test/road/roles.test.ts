/** Roles, invitations, fences, the end of access: what the authority writes about people, and what becomes of their work. */
import {
  create,
  grant,
  keyOf,
  type Rejection,
  type Repository,
  type Rules,
  read,
  saved,
  WeftError,
  write,
} from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { board, Card, gate, Lab, outcomeOf } from './lab.ts'

const rules: Rules = [
  create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner')),
  read('/board/:id', ({ role }) => role !== undefined),
  write(
    '/board/:id',
    ({ role }) => role === 'owner' || role === 'editor' || 'Viewers can look, and not change anything.',
  ),
  grant('/board/:id', ({ role, subject }) => role === 'owner' && subject.role !== 'owner'),
]

const joined = async (lab: Lab, name: string) => {
  const replica = await lab.join(name, { rules })
  const rejections: Rejection[] = []
  replica.database.onRejected((rejection) => rejections.push(rejection))
  return { ...replica, rejections }
}

const founded = async (seed: string) => {
  const lab = new Lab(seed)
  const authority = await lab.authority({ rules })
  const ada = await joined(lab, 'ada')
  const hers = ada.database.repository(board)
  await lab.run(100)
  const card = hers.create(Card, { title: 'first' })
  await lab.run(1_000)
  return { lab, authority, ada, hers, card }
}

/** Ada invites somebody, who comes. */
const invited = async (of: Awaited<ReturnType<typeof founded>>, name: string, role: string) => {
  const member = await joined(of.lab, name)
  const code = of.hers.invite(role)
  await of.lab.run(500)
  const come = member.database.join(board, await code)
  await of.lab.run(500)
  await come
  const theirs = member.database.repository(board)
  await of.lab.run(1_000)
  return { ...member, theirs }
}

const title = (
  repository: ReturnType<Awaited<ReturnType<typeof founded>>['ada']['database']['repository']>,
  of: object,
) => repository.item(Card, keyOf(of))?.title

describe('a repository', () => {
  test('[C7] [H5] belongs to whoever writes in it first; others do not learn that it is there', async () => {
    const { lab, hers, ada } = await founded('founder')
    expect([hers.role, hers.members.map(({ role, name }) => [role, name])]).toEqual(['owner', [['owner', 'ada']]])
    expect(ada.rejections).toEqual([])
    const bob = await joined(lab, 'bob')
    const his = bob.database.repository(board)
    await lab.run(2_000)
    expect([his.query(Card).current, his.barred?.code]).toEqual([[], 'UnknownRepository'])
    his.create(Card, { title: 'mine?' })
    await lab.run(5_000)
    expect(hers.query(Card).current?.length).toBe(1)
  })

  test('[V9] [H5] founded by two who were offline is the first one’s; the other is told, with the content', async () => {
    const lab = new Lab('two founders')
    await lab.authority({ rules })
    const [ada, bob] = [await joined(lab, 'ada'), await joined(lab, 'bob')]
    lab.disconnect('ada')
    lab.disconnect('bob')
    const [hers, his] = [ada.database.repository(board), bob.database.repository(board)]
    await lab.run(100)
    hers.create(Card, { title: 'ada' })
    his.create(Card, { title: 'bob' })
    await lab.run(1_000)
    lab.connect('bob')
    await lab.run(2_000)
    lab.connect('ada')
    await lab.run(2_000)
    expect(his.role).toBe('owner')
    expect(hers.barred?.code).toBe('UnknownRepository')
    const invitation = his.invite('editor')
    await lab.run(500)
    const come = ada.database.join(board, await invitation)
    await lab.run(5_000)
    await come
    expect(ada.rejections.map(({ code, content }) => [code, content?.['title']])).toEqual([['NotFounder', 'ada']])
    expect(hers.query(Card).current?.map((card) => card.title)).toEqual(['bob'])
    expect(his.query(Card).current?.map((card) => card.title)).toEqual(['bob'])
  })
})

test('a commit cites only entries of the authority that are stored where it is made', async () => {
  const { lab, ada, hers } = await founded('cites what is stored')
  const { pipeline } = hers
  await lab.run(5_000)
  const last = pipeline.log.entries.at(-1)
  const disk = gate()
  ada.faults.hold = disk.promise
  const code = hers.invite('editor')
  await lab.run(1_000)
  expect(pipeline.log.entries.at(-1)).not.toEqual(last)
  const written = pipeline.commits.size
  hers.create(Card, { title: 'while the disk is at work' })
  hers.flush()
  ada.faults.hold = undefined
  disk.open()
  await lab.run(1_000)
  await code
  expect(pipeline.commits.at(written)?.policy.authority?.n).toBe(last?.n)
})

describe('[H6] an invitation', () => {
  test('gives its role once, to whoever has the code', async () => {
    const of = await founded('invited')
    const bob = await invited(of, 'bob', 'editor')
    expect([bob.theirs.role, title(bob.theirs, of.card)]).toEqual(['editor', 'first'])
    const item = bob.theirs.item(Card, keyOf(of.card))
    if (item != null) item.title = 'second'
    await of.lab.run(2_000)
    expect(of.card.title).toBe('second')
    expect(of.hers.invitations).toEqual([])
  })

  test('is over when it is used up, withdrawn or expired, when its maker may give nothing any more, and for whoever was put out', async () => {
    const of = await founded('over')
    const { lab, hers } = of
    const carol = await joined(lab, 'carol')
    const attempt = async (code: string) => {
      const outcome = outcomeOf(carol.database.join(board, code))
      await lab.run(500)
      return outcome.current
    }
    const made = async (options: Parameters<typeof hers.invite>[1]) => {
      const code = hers.invite('viewer', options)
      await lab.run(500)
      return code
    }
    expect(await attempt('00'.repeat(16))).toBe('InvitationOver')
    const withdrawn = await made({})
    const withdraw = hers.withdraw({ code: withdrawn })
    await lab.run(500)
    await withdraw
    expect(await attempt(withdrawn)).toBe('InvitationOver')
    const short = await made({ expires: lab.world.now + 1_000 + Date.UTC(2030, 0) })
    const bob = await invited(of, 'bob', 'editor')
    const forTwo = await made({ uses: 2 })
    const out = hers.grant(bob.database.person?.owner ?? '', null)
    await lab.run(1_000)
    await out
    const again = outcomeOf(bob.database.join(board, forTwo))
    await lab.run(500)
    expect(again.current).toBe('InvitationOver')
    expect(await attempt(forTwo)).toBe('resolved')
    expect(short).toMatch(/^[0-9a-f]{32}$/)
  })
})

describe('rules', () => {
  test('a viewer’s edit goes into no commit, is told with the rule’s sentence, and a transaction throws it', async () => {
    const of = await founded('viewer')
    const bob = await invited(of, 'bob', 'viewer')
    const item = bob.theirs.item(Card, keyOf(of.card))
    if (item == null) throw new Error('not there')
    item.title = 'no'
    const outcome = outcomeOf(saved(item, 'authority'))
    await of.lab.run(2_000)
    expect([item.title, of.card.title, outcome.current]).toEqual(['first', 'first', 'NotAllowed'])
    expect(bob.rejections.map(({ code, rule, reason, content }) => [code, rule, reason, content?.['title']])).toEqual([
      ['NotAllowed', '/board/:id', 'Viewers can look, and not change anything.', 'no'],
    ])
    const change = () => {
      item.title = 'no'
    }
    expect(() => bob.theirs.transact(change)).toThrow('Viewers can look, and not change anything.')
    expect(() => bob.theirs.transact(change)).toThrow(WeftError)
    expect([item.title, bob.theirs.pipeline.commits.size]).toEqual(['first', of.hers.pipeline.commits.size])
  })

  test('[C9] only who may gives roles', async () => {
    const of = await founded('grants')
    const bob = await invited(of, 'bob', 'editor')
    const asks = [
      outcomeOf(bob.theirs.grant(bob.database.person?.owner ?? '', 'owner')),
      outcomeOf(bob.theirs.invite('owner')),
      outcomeOf(of.hers.grant(of.ada.database.person?.owner ?? '', null)),
    ]
    await of.lab.run(1_000)
    expect(asks.map(({ current }) => current)).toEqual(['NotAllowed', 'NotAllowed', 'NotAllowed'])
    of.lab.disconnect('bob')
    const away = outcomeOf(bob.theirs.invite('viewer'))
    await of.lab.run(0)
    expect(away.current).toBe('Unreachable')
  })
})

describe('the end of access', () => {
  test('[V7] what a demoted editor wrote and had not sent does not count, and is told with its content', async () => {
    const of = await founded('demoted')
    const bob = await invited(of, 'bob', 'editor')
    of.lab.disconnect('bob')
    const item = bob.theirs.item(Card, keyOf(of.card))
    if (item == null) throw new Error('not there')
    item.title = 'late'
    const outcome = outcomeOf(saved(item, 'authority'))
    await of.lab.run(1_000)
    const demote = of.hers.grant(bob.database.person?.owner ?? '', 'viewer')
    await of.lab.run(1_000)
    await demote
    of.lab.connect('bob')
    await of.lab.run(3_000)
    expect([of.card.title, item.title, outcome.current]).toEqual(['first', 'first', 'RevokedBeforeSync'])
    expect(bob.rejections.map(({ code, content }) => [code, content?.['title']])).toEqual([
      ['RevokedBeforeSync', 'late'],
    ])
    expect(bob.theirs.role).toBe('viewer')
    const [id = ''] = [...bob.theirs.pipeline.commits.heads()]
      .map((head) => head.id)
      .filter((one) => bob.theirs.whyDenied(one).length)
    expect(of.hers.whyDenied(id).map(({ why }) => why.code)).toEqual(['RevokedBeforeSync'])
  })

  test('[V7] [V11] what an editor had sent before the demotion stays', async () => {
    const of = await founded('in time')
    const bob = await invited(of, 'bob', 'editor')
    const item = bob.theirs.item(Card, keyOf(of.card))
    if (item == null) throw new Error('not there')
    item.title = 'in time'
    await of.lab.run(2_000)
    const demote = of.hers.grant(bob.database.person?.owner ?? '', 'viewer')
    await of.lab.run(1_000)
    await demote
    expect([of.card.title, item.title, bob.rejections]).toEqual(['in time', 'in time', []])
  })

  test('[C8] [V7] a member who is put out is told so, gets nothing more, and what he had not sent does not count', async () => {
    const of = await founded('put out')
    const bob = await invited(of, 'bob', 'editor')
    of.lab.disconnect('bob')
    const lost = bob.theirs.create(Card, { title: 'lost' })
    await of.lab.run(1_000)
    const out = of.hers.grant(bob.database.person?.owner ?? '', null)
    await of.lab.run(1_000)
    await out
    of.card.title = 'secret'
    await of.lab.run(1_000)
    of.lab.connect('bob')
    await of.lab.run(3_000)
    expect([bob.theirs.barred?.code, bob.theirs.role, title(bob.theirs, of.card)]).toEqual([
      'Revoked',
      undefined,
      'first',
    ])
    expect(bob.rejections.map(({ code, content }) => [code, content?.['title']])).toEqual([
      ['RevokedBeforeSync', 'lost'],
    ])
    expect(bob.theirs.item(Card, keyOf(lost))).toBeNull()
    expect(of.hers.query(Card).current?.length).toBe(1)
  })

  test('[C8] a member who is there is put out at once', async () => {
    const of = await founded('put out at once')
    const bob = await invited(of, 'bob', 'editor')
    const out = of.hers.grant(bob.database.person?.owner ?? '', null)
    await of.lab.run(1_000)
    await out
    of.card.title = 'secret'
    await of.lab.run(1_000)
    expect([bob.theirs.barred?.code, title(bob.theirs, of.card)]).toEqual(['Revoked', 'first'])
  })

  test('[V8] a revoked session is out everywhere; what it sent in time stays, what it wrote later does not count', async () => {
    const of = await founded('revoked')
    const bob = await invited(of, 'bob', 'editor')
    const item = bob.theirs.item(Card, keyOf(of.card))
    if (item == null) throw new Error('not there')
    item.title = 'in time'
    await of.lab.run(1_000)
    of.lab.disconnect('bob')
    item.title = 'late'
    await of.lab.run(1_000)
    const revoke = of.authority.database.revoke({ session: bob.database.person?.session ?? '' }, 'a lost phone')
    await of.lab.run(1_000)
    await revoke
    of.card.tags.add('after')
    await of.lab.run(1_000)
    of.lab.connect('bob')
    await of.lab.run(3_000)
    expect([of.card.title, item.title, bob.theirs.barred?.code]).toEqual(['in time', 'in time', 'Revoked'])
    expect(bob.rejections.map(({ code }) => code)).toEqual(['RevokedBeforeSync'])
    expect([...item.tags]).toEqual([])
  })

  test('[C9] everybody ends their own sessions and nobody else’s', async () => {
    const of = await founded('own sessions')
    const bob = await invited(of, 'bob', 'editor')
    const [theirs, own] = [of.ada.database.person?.session ?? '', bob.database.person?.session ?? '']
    const asks = [outcomeOf(bob.database.revoke({ session: theirs })), outcomeOf(bob.database.revoke({ session: own }))]
    await of.lab.run(1_000)
    expect(asks.map(({ current }) => current)).toEqual(['NotAllowed', 'resolved'])
    expect(bob.theirs.barred?.code).toBe('Revoked')
  })
})

describe('what if', () => {
  test('other rules had been in force: the verdicts that would change', async () => {
    const of = await founded('what if')
    const bob = await invited(of, 'bob', 'editor')
    bob.theirs.create(Card, { title: 'by bob' })
    await of.lab.run(2_000)
    const onlyOwners = [write('/board/:id', ({ role }) => role === 'owner')]
    const changed = of.hers.whatIf([
      ...(rules as readonly ReturnType<typeof read>[]).filter(({ kind }) => kind !== 'write'),
      ...onlyOwners,
    ])
    expect(changed.map(({ owner, was, would }) => [owner, was, would?.code])).toEqual([
      [bob.database.person?.owner, undefined, 'NotAllowed'],
    ])
    expect(of.hers.whatIf(rules as readonly ReturnType<typeof read>[])).toEqual([])
  })
})

describe('rule versions', () => {
  test('[V1] [V3] a commit is judged by the version it cites; whoever has not that version waits for it', async () => {
    const lab = new Lab('versions')
    const first: Rules = { 1: [read('/board/:id', () => true), write('/board/:id', () => true)] }
    const both: Rules = {
      ...first,
      2: [read('/board/:id', () => true), write('/board/:id', ({ fields }) => !fields.includes('title'))],
    }
    await lab.authority({ rules: first })
    const ada = await lab.join('ada', { rules: first })
    const hers = ada.database.repository(board)
    await lab.run(100)
    const card = hers.create(Card, { title: 'one' })
    await lab.run(1_000)
    lab.kill('authority')
    await lab.authority({ rules: both })
    lab.connect('ada')
    await lab.run(1_000)
    const bob = await lab.join('bob', { rules: both })
    const his = bob.database.repository(board)
    await lab.run(1_000)
    const item = his.item(Card, keyOf(card))
    if (item == null) throw new Error('not there')
    item.done = true
    await lab.run(1_000)
    expect([item.title, item.done, card.done]).toEqual(['one', true, false])
    expect([...hers.counting.waiting.values()].map(({ why }) => why.code)).toEqual(['UnknownRules'])
    item.title = 'two'
    await lab.run(1_000)
    expect(item.title).toBe('one')
  })
})

describe('a clock that is far ahead', () => {
  test('B7: what it stamped is voided and written again by its author; nothing is lost, nothing held for ever, no tie is won by it', async () => {
    const of = await founded('clock')
    const bob = await invited(of, 'bob', 'editor')
    of.lab.disconnect('bob')
    const item = bob.theirs.item(Card, keyOf(of.card))
    if (item == null) throw new Error('not there')
    of.lab.device('bob').clock.jump(86_400_000)
    item.title = 'tomorrow'
    item.notes.insert(0, 'written offline')
    item.tags.add('late')
    const made = bob.theirs.create(Card, { title: 'made' })
    const outcome = outcomeOf(saved(item, 'authority'))
    await of.lab.run(2_000)
    of.lab.connect('bob')
    await of.lab.run(5_000)
    expect([of.card.title, of.card.notes.toString(), [...of.card.tags]]).toEqual([
      'tomorrow',
      'written offline',
      ['late'],
    ])
    expect([outcome.current, title(of.hers, made), bob.rejections]).toEqual(['resolved', 'made', []])
    of.card.title = 'today'
    await of.lab.run(2_000)
    expect([of.card.title, item.title]).toEqual(['today', 'today'])
    expect([of.hers.counting.waiting.size, bob.theirs.counting.waiting.size]).toEqual([0, 0])
    const clocks = [...of.hers.pipeline.commits.heads()].map(
      ({ id }) => (of.hers.pipeline.commits.get(id)?.clock ?? 0) / 256,
    )
    const now = of.authority.database.clock.now()
    expect(clocks.filter((clock) => clock > now + 300_000).length).toBe(1)
  })

  const hasVerdict = ({ pipeline }: Repository): boolean =>
    pipeline.log.entries.some(({ statement }) => statement.kind === 'verdict')

  /** How many of all commits are of a time to come. */
  const aheadIn = (repository: Repository, now: number): number => {
    const { commits } = repository.pipeline
    return Array.from({ length: commits.size }, (_, index) => commits.at(index)).filter(
      (commit) => commit !== undefined && commit.clock / 256 > now + 300_000,
    ).length
  }

  for (const knows of [true, false]) {
    const who = knows ? 'heard of the right time' : 'did not hear of the right time'
    test(`B7: what is written while the verdict is being stored, by somebody who ${who}, is not lost`, async () => {
      const of = await founded(`clock and verdict, ${knows}`)
      const bob = await invited(of, 'bob', 'editor')
      const item = bob.theirs.item(Card, keyOf(of.card))
      if (item == null) throw new Error('not there')
      if (knows) of.lab.disconnect('bob')
      of.lab.device('bob').clock.jump(86_400_000)
      const held = gate()
      bob.faults.operation = (what) => {
        if (what === 'sync' && hasVerdict(bob.theirs)) bob.faults.hold ??= held.promise
        return true
      }
      item.title = 'tomorrow'
      await of.lab.run(500)
      if (knows) of.lab.connect('bob')
      await of.lab.until(() => bob.faults.hold !== undefined)
      expect(bob.theirs.pipeline.durableEntries).toBeLessThan(bob.theirs.pipeline.log.next)
      item.notes.insert(0, 'meanwhile')
      await of.lab.run(500)
      bob.faults.operation = undefined
      bob.faults.hold = undefined
      held.open()
      await of.lab.run(5_000)
      expect([of.card.title, of.card.notes.toString(), item.title, item.notes.toString()]).toEqual([
        'tomorrow',
        'meanwhile',
        'tomorrow',
        'meanwhile',
      ])
      expect([bob.rejections, bob.incidents.filter(({ code }) => code === 'ClockNotLater')]).toEqual([[], []])
      // Whoever knows the time waits for the verdict, and then writes both under the right one.
      if (knows) expect(aheadIn(of.hers, of.authority.database.clock.now())).toBe(1)
    })
  }

  test('B7: another repository goes on where it was when the verdict came, and loses nothing', async () => {
    const of = await founded('clock of two repositories')
    const bob = await invited(of, 'bob', 'editor')
    const item = bob.theirs.item(Card, keyOf(of.card))
    const his = bob.database.repository('/board/his')
    await of.lab.run(100)
    const [one, other] = [his.create(Card, { title: 'one' }), his.create(Card, { title: 'other' })]
    await of.lab.run(2_000)
    if (item == null) throw new Error('not there')
    of.lab.device('bob').clock.jump(86_400_000)
    const held = gate()
    bob.faults.hold = held.promise
    one.title = 'one, tomorrow'
    await of.lab.run(20)
    bob.faults.hold = undefined
    item.title = 'tomorrow'
    await of.lab.until(() => hasVerdict(bob.theirs) && of.card.title === 'tomorrow')
    expect(hasVerdict(his)).toBe(false)
    other.title = 'other, today'
    await of.lab.run(500)
    held.open()
    await of.lab.run(5_000)
    const seen = of.authority.database.repository('/board/his')
    expect([title(seen, one), title(seen, other)]).toEqual(['one, tomorrow', 'other, today'])
    expect(bob.incidents.filter(({ code }) => code === 'ClockNotLater')).toEqual([])
  })
})

describe("the authority's key", () => {
  test('[H7] is replaced by one that the old one signs in: whoever was there goes on, whoever comes begins, and the old key serves nobody', async () => {
    const of = await founded('rotation')
    const { lab, ada, hers } = of
    const old = lab.authorityKey
    lab.kill('authority')
    lab.authorityKey = lab.key('the next authority')
    const again = await lab.authority({ rules, previousAuthority: old })
    lab.connect('ada')
    await lab.run(1_000)
    expect([again.database.network, ada.database.status.connection]).toEqual([of.authority.database.network, 'online'])
    const card = hers.create(Card, { title: 'under the new key' })
    const outcome = outcomeOf(saved(card, 'authority'))
    await lab.run(2_000)
    expect(outcome.current).toBe('resolved')
    const bob = await invited(of, 'bob', 'editor')
    expect(title(bob.theirs, card)).toBe('under the new key')
    lab.kill('authority')
    lab.authorityKey = old
    const wrong = await lab.authority({ rules })
    expect(outcomeOf(wrong.database.opened).current).toBe('pending')
    await expect(wrong.database.opened).rejects.toMatchObject({ code: 'WrongKey' })
  })

  test('[H7] is replaced whole, or not yet, wherever the process that replaces it is killed', async () => {
    let killed = true
    let operations = 0
    for (; killed; operations++) {
      const { lab, ada, hers, authority } = await founded('rotation cut short')
      const old = lab.authorityKey
      lab.kill('authority')
      lab.authorityKey = lab.key('the next authority')
      let left = operations
      killed = false
      authority.faults.operation = () => {
        killed ||= left-- === 0
        return !killed
      }
      await lab.authority({ rules, previousAuthority: old })
      lab.kill('authority')
      authority.faults.operation = undefined
      const again = await lab.authority({ rules, previousAuthority: old })
      lab.connect('ada')
      await lab.run(1_000)
      const about = `killed at operation ${operations}`
      expect([again.database.network, ada.database.status.connection], about).toEqual([
        authority.database.network,
        'online',
      ])
      const outcome = outcomeOf(saved(hers.create(Card, { title: 'under the new key' }), 'authority'))
      await lab.run(2_000)
      expect(outcome.current, about).toBe('resolved')
      lab.kill('authority')
      lab.authorityKey = old
      const wrong = await lab.authority({ rules })
      await expect(wrong.database.opened, about).rejects.toMatchObject({ code: 'WrongKey' })
    }
    expect(operations).toBeGreaterThan(5)
  })
})
