/** Certificates that run out: renewed in time without a login, and what goes on when they were not. */
import { anonymous, keyOf, type Login, savedState } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { board, Card, gate, Lab, outcomeOf, type Replica } from './lab.ts'
import { Ring } from './ring.ts'
import { Stranger } from './stranger.ts'

const life = 60_000

/** An authority that certifies for a minute and counts the logins it judges. */
const started = async (seed: string) => {
  const lab = new Lab(seed)
  const logins = { count: 0 }
  const counted: Login = {
    ...anonymous(),
    check: (...told) => {
      logins.count++
      return anonymous().check(...told)
    },
  }
  const authority = await lab.authority({ certificateLife: life, logins: [counted] })
  const ada = await lab.join('ada')
  const repository = ada.database.repository(board)
  await lab.run(100)
  const card = repository.create(Card, { title: 'x' })
  await lab.run(1_000)
  expect(savedState(card)).toBe('authority')
  return { lab, authority, ada, repository, logins, card }
}

const certificateOf = ({ database }: Replica) => {
  const certificate = database.certificates.get(database.session?.id ?? '')
  if (certificate === undefined) throw new Error('no certificate')
  return certificate
}

const codes = ({ incidents }: Replica): string[] => incidents.map(({ code }) => code)

/** Closes the replica, and what it stores stays. */
const closed = async (lab: Lab, replica: Replica): Promise<void> => {
  const closing = replica.database.close()
  await lab.run(100)
  await closing
}

describe('a certificate', () => {
  test('[C4] is renewed in the last third of its life, again and again, and nothing else changes', async () => {
    const { lab, authority, ada, repository, logins, card } = await started('renewed')
    const first = certificateOf(ada)
    expect(first.expires - first.issued).toBe(life)
    await lab.run(life / 2)
    expect(certificateOf(ada).id).toBe(first.id)
    card.title = 'draft'
    await lab.run(life / 2)
    const second = certificateOf(ada)
    expect([second.session, second.owner, second.name]).toEqual([first.session, first.owner, first.name])
    expect(second.issued - first.issued).toBeGreaterThanOrEqual((2 * life) / 3)
    expect(second.issued - first.issued).toBeLessThan((2 * life) / 3 + 1_000)
    await lab.run(10 * life)
    expect(repository.item(Card, keyOf(card))).toBe(card)
    card.title = 'later'
    await lab.run(1_000)
    expect([card.title, savedState(card)]).toEqual(['later', 'authority'])
    expect([logins.count, ada.database.status.problem]).toEqual([1, undefined])
    expect([codes(ada), codes(authority)]).toEqual([[], []])
  })

  test('is renewed when the authority comes back within its life', async () => {
    const { lab, ada, logins, card } = await started('back in time')
    const first = certificateOf(ada)
    await lab.run(life / 3)
    lab.disconnect('ada')
    await lab.run(life / 2)
    card.title = 'offline'
    await lab.run(1_000)
    expect(certificateOf(ada).id).toBe(first.id)
    lab.connect('ada')
    await lab.run(1_000)
    expect(certificateOf(ada).issued).toBeGreaterThan(first.issued + life / 2)
    await lab.run(life)
    expect([savedState(card), logins.count, codes(ada)]).toEqual(['authority', 1, []])
  })

  test('is renewed by the next channel when one closed before the answer', async () => {
    const { lab, authority, ada } = await started('no answer')
    const first = certificateOf(ada)
    authority.faults.sign = () => new Promise(() => undefined)
    await lab.run((2 * life) / 3)
    lab.disconnect('ada')
    authority.faults.sign = undefined
    lab.connect('ada')
    await lab.run(1_000)
    expect(certificateOf(ada).issued).toBeGreaterThan(first.issued)
  })

  test('survives a restart after it was renewed', async () => {
    const { lab, ada, card, logins } = await started('restart')
    await lab.run(life)
    const renewed = certificateOf(ada)
    await closed(lab, ada)
    const again = await lab.client('ada')
    expect(certificateOf(again).id).toBe(renewed.id)
    const repository = again.database.repository(board)
    await lab.run(1_000)
    const there = repository.item(Card, keyOf(card))
    if (there == null) throw new Error('the card is gone')
    there.title = 'after'
    await lab.run(1_000)
    expect([savedState(there), logins.count]).toEqual(['authority', 1])
  })

  test('that is asked for twice at once is not mistaken for a login', async () => {
    const { lab, authority, ada } = await started('at once')
    const { promise, open } = gate()
    authority.faults.sign = () => promise
    await lab.run((2 * life) / 3)
    const login = ada.database.login(anonymous('Ada the second'))
    const outcome = outcomeOf(login)
    await lab.run(1_000)
    expect(outcome.current).toBe('pending')
    authority.faults.sign = undefined
    open()
    await lab.until(() => outcome.current !== 'pending')
    expect([outcome.current, ada.database.session?.name]).toEqual(['resolved', 'Ada the second'])
    expect([codes(ada), codes(authority)]).toEqual([[], []])
  })
})

test('a login that another follows at once is given up for it', async () => {
  const { lab, authority } = await started('two logins')
  const gates = [gate(), gate()]
  const bob = await lab.client('bob')
  await lab.run(100)
  let signing = 0
  authority.faults.sign = () => gates[signing++]?.promise
  const outcomes = ['Bob', 'Robert'].map((name) => outcomeOf(bob.database.login(anonymous(name))))
  await lab.run(1_000)
  gates[0]?.open()
  await lab.run(1_000)
  expect([signing, bob.database.session?.name, outcomes[1]?.current]).toEqual([2, 'Robert', 'pending'])
  gates[1]?.open()
  await lab.run(1_000)
  expect(outcomes.map(({ current }) => current)).toEqual(['LoginRefused', 'resolved'])
  expect([bob.database.session?.name, codes(bob), codes(authority)]).toEqual(['Robert', [], []])
})

test('[C4] who shows no certificate is given none, and who has a young one keeps it', async () => {
  const ring = await Ring.open()
  try {
    const stranger = await Stranger.proved(`http://127.0.0.1:${ring.port}`)
    const renew = (): void => stranger.send({ kind: 'login', method: 'renew', credentials: null })
    renew()
    expect(await stranger.hears('refused')).toMatchObject({ code: 'LoginRefused', about: 'nothing to renew' })
    stranger.send({ kind: 'login', method: 'anonymous', credentials: 'Mallory' })
    const { certificate } = await stranger.hears('certified')
    renew()
    const twice = (): boolean => stranger.heard.filter(({ kind }) => kind === 'certified').length === 2
    await stranger.hears('certified', twice)
    expect(stranger.heard.at(-1)).toMatchObject({ kind: 'certified', certificate })
    stranger.close()
  } finally {
    await ring.close()
  }
})

describe('without the authority', () => {
  test('a device whose certificate is in force restarts, edits and commits', async () => {
    const { lab, ada, card, logins } = await started('offline start')
    await closed(lab, ada)
    lab.disconnect('ada')
    const again = await lab.start('ada', { transports: [] })
    expect(again.database.session?.name).toBe('ada')
    const repository = again.database.repository(board)
    await lab.run(5_000)
    const there = repository.item(Card, keyOf(card))
    if (there == null) throw new Error('the card is gone')
    there.title = 'offline'
    const another = repository.create(Card, { title: 'new' })
    repository.transact(() => {
      another.done = true
    })
    await lab.run(1_000)
    expect([savedState(there), savedState(another)]).toEqual(['local', 'local'])
    expect([again.database.status.connection, again.database.status.problem]).toEqual(['offline', undefined])
    await closed(lab, again)
    const back = await lab.client('ada')
    const rejoined = back.database.repository(board)
    await lab.run(2_000)
    const [edited, made] = [there, another].map((item) => rejoined.item(Card, keyOf(item)))
    if (edited == null || made == null) throw new Error('what was written offline is gone')
    expect([edited.title, made.done, savedState(edited), savedState(made)]).toEqual([
      'offline',
      true,
      'authority',
      'authority',
    ])
    expect(logins.count).toBe(1)
  })

  test('a device whose certificate ran out reads and edits, and its commits wait for a login', async () => {
    const { lab, authority, ada, card } = await started('ran out')
    lab.disconnect('ada')
    await lab.run(2 * life)
    expect(ada.statuses.at(-1)?.problem?.code).toBe('CertificateExpired')
    await closed(lab, ada)
    const again = await lab.client('ada')
    const repository = again.database.repository(board)
    await lab.run(1_000)
    const there = repository.item(Card, keyOf(card))
    if (there == null) throw new Error('the card is gone')
    there.title = 'with an old certificate'
    await lab.run(5_000)
    expect(again.database.status.connection).toBe('online')
    expect(again.database.status.problem?.code).toBe('CertificateExpired')
    expect([savedState(there), again.database.status.unacknowledged > 0]).toEqual(['local', true])
    const held = authority.database.repository(board).item(Card, keyOf(card))
    expect(held?.title).toBe('x')
    const login = outcomeOf(again.database.login(anonymous('ada')))
    await lab.run(2_000)
    expect([login.current, savedState(there), held?.title]).toEqual([
      'resolved',
      'authority',
      'with an old certificate',
    ])
    expect(again.database.status.problem).toBeUndefined()
  })
})

test('a channel outlives no certificate: who is not renewed is parted with', async () => {
  const { lab, authority, ada, card } = await started('parted')
  authority.faults.sign = () => {
    throw new Error('the key is away')
  }
  const first = certificateOf(ada)
  await lab.run(life - 10_000)
  // Refused so far, which is no trouble yet.
  expect([codes(ada).includes('LoginRefused'), ada.database.status.problem]).toEqual([true, undefined])
  await lab.run(life)
  authority.faults.sign = undefined
  expect(certificateOf(ada).id).toBe(first.id)
  expect(authority.database.connections).toBe(0)
  expect(codes(authority)).toContain('CertificateExpired')
  expect(ada.database.status.problem?.code).toBe('CertificateExpired')
  lab.connect('ada')
  await lab.run(1_000)
  card.title = 'expired'
  await lab.run(1_000)
  expect([savedState(card), certificateOf(ada).id]).toEqual(['local', first.id])
})

test('so long as a certificate may last, and no longer', async () => {
  const lab = new Lab('longest')
  await lab.authority({ certificateLife: Number.POSITIVE_INFINITY })
  const { expires, issued } = certificateOf(await lab.join('ada'))
  expect(expires - issued).toBe(30 * 24 * 60 * 60 * 1_000)
})
