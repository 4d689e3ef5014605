/** Rules of docs/protocol.md that no other test shows by itself: each title cites the rule it holds the replicas to. */
import {
  create,
  type DatabaseOptions,
  grant,
  keyOf,
  type Rejection,
  type Repository,
  type Rules,
  read,
  saved,
  savedState,
  type Transport,
  write,
} from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { decode, encode, type Plain } from '../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import { type Commit, signedBytes } from '../../packages/engine/src/commit/commit.ts'
import type { Operation } from '../../packages/engine/src/commit/operation.ts'
import { readCertificate } from '../../packages/engine/src/trust/certificate.ts'
import { type CommitChange, commitOf, hash, Target } from '../attacks/target.ts'
import { memoryPair } from '../sim/memory-transport.ts'
import { PackTap } from '../sim/packtap.ts'
import { stream } from '../sim/random.ts'
import { changed, dialled, proved } from './bare-channel.ts'
import { board, Card, gate, Lab, outcomeOf, type Replica } from './lab.ts'
import { subscribing } from './stranger.ts'

const mayWrite = write('/board/:id', ({ role }) => role === 'owner' || role === 'editor' || 'You can only look.')
const readers = read('/board/:id', ({ role }) => role !== undefined)
const founders = create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner'))
const ownersGrant = grant('/board/:id', ({ role }) => role === 'owner')
const rules: Rules = [founders, readers, mayWrite, ownersGrant]

const joined = async (lab: Lab, name: string, options: Partial<DatabaseOptions> = {}) => {
  const replica = await lab.join(name, { rules, ...options })
  const rejections: Rejection[] = []
  replica.database.onRejected((rejection) => rejections.push(rejection))
  return { ...replica, owner: replica.database.person?.owner ?? '', rejections }
}

/** A board that Ada founded, with one card. */
const founded = async (seed: string, options: Partial<DatabaseOptions> = {}) => {
  const lab = new Lab(seed)
  const authority = await lab.authority({ rules, ...options })
  const ada = await joined(lab, 'ada', options)
  const hers = ada.database.repository(board)
  await lab.run(100)
  const card = hers.create(Card, { title: 'first' })
  await lab.run(1_000)
  const done = async (asked: Promise<unknown>): Promise<string> => {
    const outcome = outcomeOf(asked)
    await lab.run(1_000)
    return outcome.current
  }
  /** Somebody comes and is given the role. */
  const member = async (name: string, role: string, more: Partial<DatabaseOptions> = {}) => {
    const one = await joined(lab, name, { ...options, ...more })
    expect(await done(hers.grant(one.owner, role))).toBe('resolved')
    const theirs = one.database.repository(board)
    await lab.run(1_000)
    return { ...one, theirs }
  }
  return { lab, authority, ada, hers, card, done, member }
}

const itemOf = (repository: Repository, of: object) => {
  const item = repository.item(Card, keyOf(of))
  if (item == null) throw new Error('the card is not there')
  return item
}

const codesOf = (repository: Repository, commit: Commit): string[] =>
  repository.whyDenied(commit.id).map(({ why }) => why.code)

/** The newest commit of a replica's own session. */
const newestOf = ({ database }: Replica, { pipeline }: Repository): Commit => {
  const head = [...pipeline.commits.heads()]
    .filter(({ chain }) => chain.startsWith(database.session?.id ?? '-'))
    .map(({ id }) => pipeline.commits.get(id))
    .sort((a, b) => (b?.clock ?? 0) - (a?.clock ?? 0))[0]
  if (head === undefined) throw new Error('nothing was written')
  return head
}

describe('channels', () => {
  test('[C1] whoever is told that a frame could not be read closes the channel; what was in it comes by the next one', async () => {
    const lab = new Lab('unreadable')
    const authority = await lab.authority()
    const pair = lab.line()
    let spoils = 0
    const send = (bytes: Uint8Array) => (spoils-- > 0 ? bytes.subarray(0, -1) : bytes)
    const ada = await lab.start('ada', { transports: [changed(pair.a, { send })] })
    pair.connect()
    outcomeOf(ada.database.login({ method: 'anonymous', credentials: 'Ada' }))
    await lab.until(() => ada.database.status.connection === 'online')
    const hers = ada.database.repository(board)
    await lab.run(1_000)
    spoils = 1
    const card = hers.create(Card, { title: 'x' })
    await lab.run(5_000)
    expect([ada.database.status.connection, authority.database.connections]).toEqual(['offline', 0])
    expect(savedState(card)).toBe('local')
    pair.connect()
    await lab.run(1_000)
    expect(savedState(card)).toBe('authority')
  })

  test('[C2] a proof is worth nothing on another channel or in the other role', async () => {
    const lab = new Lab('proofs')
    await lab.authority()
    const [first, second, third] = [await dialled(lab), await dialled(lab), await dialled(lab)]
    const greeting = first.send(first.greet)
    const proof = await first.proofOf(greeting)
    // The same key, and a greeting of the same bytes.
    expect(second.send(first.greet)).toEqual(greeting)
    await second.prove(proof)
    expect([second.refused(), second.state.closed]).toEqual([['BadProof'], 'closed by the peer'])
    // The authority's own proof, sent back to it: whoever could pass with that would be the authority.
    third.send(third.greet)
    await lab.run(10)
    const own = third.heard().find((frame) => frame.kind === 'prove')
    if (own?.kind !== 'prove') throw new Error('the authority did not prove itself')
    third.send({ ...own, root: [] })
    await lab.run(10)
    expect([third.refused(), third.state.closed]).toEqual([['BadProof'], 'closed by the peer'])
    await first.prove(proof)
    expect([first.refused(), first.state.closed]).toEqual([[], undefined])
  })

  test.each([true, false])(
    '[C2] a proof holds on the connection it is bound to (the same at both ends: %s)',
    async (same) => {
      const lab = new Lab(`bound ${same}`)
      const pair = memoryPair()
      const bound = (transport: Transport, binding: number): Transport =>
        changed(transport, { binding: new Uint8Array(32).fill(binding) })
      const authority = await lab.authority({ transports: [bound(pair.b, 1)] })
      const ada = await lab.start('ada', { transports: [bound(pair.a, same ? 1 : 2)] })
      pair.connect()
      await lab.run(1_000)
      expect(authority.database.connections).toBe(same ? 1 : 0)
      expect(ada.incidents.map(({ code }) => code).includes('BadProof')).toBe(!same)
    },
  )

  test('[C4] before a login there is nothing but a login, which certifies the key that was proved', async () => {
    const lab = new Lab('certified')
    await lab.authority()
    const eve = await proved(lab)
    eve.send(subscribing(0, board))
    eve.send({ kind: 'request', tag: 0, method: 'join', args: [board, '0'.repeat(32)] })
    await lab.run(10)
    expect(eve.refused()).toEqual(['UnknownRepository'])
    expect(eve.heard().at(-1)).toMatchObject({ kind: 'answer', why: { code: 'UnknownSession' } })
    eve.send({ kind: 'login', method: 'anonymous', credentials: 'Eve' })
    await lab.run(10)
    const answer = eve.heard().at(-1)
    if (answer?.kind !== 'certified') throw new Error('not certified')
    expect(readCertificate(answer.certificate, hash)).toMatchObject({ publicKey: eve.key.publicKey, name: 'Eve' })
  })

  test('[C5] who sends nothing is told a beat every 15 s, and left after 45 s; who beats stays', async () => {
    const lab = new Lab('beats')
    const authority = await lab.authority()
    const silent = await proved(lab)
    const beats = () => silent.heard().filter(({ kind }) => kind === 'beat').length
    await lab.run(14_000)
    expect(beats()).toBe(0)
    const beating = await proved(lab)
    await beating.stay(30_000)
    expect([beats() > 0, silent.state.closed]).toEqual([true, undefined])
    await beating.stay(20_000)
    expect([silent.state.closed, authority.database.connections]).toEqual(['closed by the peer', 1])
    await beating.stay(120_000)
    expect(beating.state.closed).toBeUndefined()
  })

  test('[C6] offences of more than a minute ago are forgotten', async () => {
    const lab = new Lab('offences')
    await lab.authority()
    const eve = await proved(lab)
    const offend = async (times: number): Promise<void> => {
      for (let time = 0; time < times; time++) eve.send(eve.greet)
      await lab.run(10)
    }
    for (let minute = 0; minute < 3; minute++) {
      await offend(limits.offences - 1)
      await eve.stay(61_000)
    }
    expect([eve.refused().length, eve.state.closed]).toEqual([3 * (limits.offences - 1), undefined])
    await offend(limits.offences - 1)
    await eve.stay(50_000)
    await offend(1)
    expect(eve.state.closed).toBe('closed by the peer')
  })

  test('[C8] who asked in vain is welcomed once they may read', async () => {
    const { lab, hers, done } = await founded('welcome')
    const bob = await joined(lab, 'bob')
    const his = bob.database.repository(board)
    await lab.run(5_000)
    expect([his.barred?.code, his.query(Card).current]).toEqual(['UnknownRepository', []])
    expect(await done(hers.grant(bob.owner, 'viewer'))).toBe('resolved')
    expect([his.barred, his.query(Card).current?.map(({ title }) => title)]).toEqual([undefined, ['first']])
  })

  test('[C9] a request is answered when its entry is durable, and judged when that is written', async () => {
    const { lab, authority, hers, done, member } = await founded('requests')
    const bob = await member('bob', 'owner')
    const carol = await joined(lab, 'carol')
    const disk = gate()
    authority.faults.hold = disk.promise
    const out = outcomeOf(hers.grant(bob.owner, 'viewer'))
    await lab.run(100)
    // Here Bob is an owner still, and the entry that says otherwise is not durable.
    expect(bob.theirs.role).toBe('owner')
    const late = outcomeOf(bob.theirs.grant(carol.owner, 'owner'))
    await lab.run(5_000)
    expect([out.current, late.current]).toEqual(['pending', 'pending'])
    authority.faults.hold = undefined
    disk.open()
    await lab.run(1_000)
    expect([out.current, late.current]).toEqual(['resolved', 'NotAllowed'])
    expect(await done(hers.grant(carol.owner, 'viewer'))).toBe('resolved')
  })
})

describe('admission', () => {
  test('[A3] a commit that is held already is skipped, before its signature is looked at', async () => {
    const target = await Target.open('held already')
    let looks = 0
    const verify = target.runtime.verify.bind(target.runtime)
    Object.assign(target.runtime, {
      verify: (...asked: Parameters<typeof verify>) => {
        looks++
        return verify(...asked)
      },
    })
    const eve = await target.person()
    const commit = await target.commit(eve)
    expect(await target.offer([commit], [eve.certificate])).toEqual([])
    const once = looks
    expect([await target.offer([commit]), looks, target.held()]).toEqual([[], once, 1])
    await target.close()
  })

  test('[A4] without a certificate of this network nothing is taken; one that expired serves everywhere but at the authority', async () => {
    const target = await Target.open('expired')
    const other = await Target.open('expired, elsewhere', { of: target })
    const stranger = await target.person({ network: '1'.repeat(64) })
    expect(await target.offer([await target.commit(stranger)], [stranger.certificate])).toEqual([
      'BadCertificate',
      'UnknownSession',
    ])
    const eve = await target.person({ expires: target.time + 1_000 })
    const [first, second] = [await target.commit(eve), await target.commit(eve)]
    expect(await target.offer([first], [eve.certificate])).toEqual([])
    target.time += 2_000
    other.time = target.time
    expect(await target.offer([second])).toEqual(['CertificateExpired'])
    expect(await other.offer([second], [eve.certificate])).toEqual([])
    expect([target.has(second), other.has(second)]).toEqual([false, true])
    await other.close()
    await target.close()
  })

  test('[A9] [H1] a commit is durable where it is before a peer or its author hears of it', async () => {
    const { lab, authority, ada, card, member } = await founded('durable')
    const bob = await member('bob', 'viewer')
    const there = authority.database.repository(board)
    const shown = () => [there, bob.theirs].map((repository) => itemOf(repository, card).title)
    for (const holder of [ada, authority]) {
      const disk = gate()
      holder.faults.hold = disk.promise
      const title = `held by ${holder.name}`
      card.title = title
      await lab.run(5_000)
      expect([card.title, shown().includes(title)]).toEqual([title, false])
      expect(savedState(card)).not.toBe('authority')
      holder.faults.hold = undefined
      disk.open()
      await lab.run(2_000)
      expect([shown(), savedState(card)]).toEqual([[title, title], 'authority'])
    }
  })
})

describe('counting', () => {
  test('[V1] a change with something unknown in its ext is stored and waits', async () => {
    const target = await Target.open('ext')
    const eve = await target.person()
    const plain = await target.commit(eve)
    const [header, , changes] = decode(plain.bytes) as readonly [Uint8Array, Uint8Array, Plain]
    const later = encode((decode(header) as readonly Plain[]).with(11, new Map([['later', 1]])))
    const id = toHex(hash(later))
    const bytes = encode([later, await eve.key.sign(signedBytes(id)), changes])
    expect(await target.offer([bytes], [eve.certificate])).toEqual([])
    const repository = target.repository()
    expect([repository.pipeline.commits.has(id), repository.counting.waiting.get(id)?.why.code]).toEqual([
      true,
      'UnknownFormat',
    ])
    expect(repository.query(Card).current).toEqual([])
    await target.close()
  })

  test('[V1] [V8] what a session wrote before its access ended waits until the repository’s log knows; what cites the end is refused', async () => {
    const { lab, authority, hers, card, member } = await founded('undecided')
    const bob = await member('bob', 'editor')
    lab.disconnect('bob')
    const item = itemOf(bob.theirs, card)
    item.title = 'late'
    await lab.run(1_000)
    const commit = newestOf(bob, bob.theirs)
    const signing = gate()
    let signed = 0
    authority.faults.sign = () => (signed++ === 0 ? undefined : signing.promise)
    outcomeOf(authority.database.revoke({ session: bob.database.session?.id ?? '' }))
    await lab.run(1_000)
    const give = {
      certificates: [bob.database.person?.bytes ?? new Uint8Array(0)],
      commits: [commit.bytes],
      entries: [],
    }
    await Promise.all([hers.pipeline.receive({}, give), lab.run(100)])
    expect([codesOf(hers, commit), card.title]).toEqual([['Undecided'], 'first'])
    authority.faults.sign = undefined
    signing.open()
    await lab.run(2_000)
    expect([codesOf(hers, commit), card.title]).toEqual([['RevokedBeforeSync'], 'first'])
    lab.connect('bob')
    await lab.run(2_000)
    const { identity, person } = bob.database
    if (identity === undefined || person === undefined) throw new Error('bob is logged out')
    const draft = { key: keyOf(card), operations: [{ kind: 'assign', field: 'title', value: 'later still' }] } as const
    const by = { key: identity.key, certificate: person, session: person.session }
    const knowing = await commitOf(bob.database, by, stream('undecided', 'bob'), { path: board, draft })
    expect(knowing.policy.root.n).toBeGreaterThan(commit.policy.root.n)
    await Promise.all([hers.pipeline.receive({}, { ...give, commits: [knowing.bytes] }), lab.run(100)])
    expect([codesOf(hers, knowing), card.title]).toEqual([['Revoked'], 'first'])
  })

  const thread = '\u{1f9f5}'
  const splice = (at: number, remove: number, insert: string): Operation => ({
    kind: 'splice',
    field: 'notes',
    at,
    remove,
    length: insert.length,
    insert,
  })
  test.each<[string, Operation]>([
    ['a field the schema does not have', { kind: 'assign', field: 'colour', value: 'red' }],
    ['a value of another type', { kind: 'assign', field: 'done', value: 'yes' }],
    ['a value that is too long', { kind: 'assign', field: 'title', value: 'x'.repeat(501) }],
    ['an operation of another field', { kind: 'add', field: 'title', value: 'x' }],
    ['a splice outside the text', splice(3, 0, 'x')],
    ['a removal beyond the text', splice(1, 2, '')],
    ['a splice inside a surrogate pair', splice(1, 0, 'x')],
  ])('[V2] a change with %s is dead, and nothing of it counts', async (_, operation) => {
    const target = await Target.open('inapplicable')
    const eve = await target.person()
    const first = await target.commit(eve, { draft: { operations: [splice(0, 0, thread)] } })
    const [{ key } = { key: '' }] = first.changes
    const points: Operation = { kind: 'assign', field: 'points', value: 7 }
    const draft = { key, parents: [first.id], operations: [points, operation] }
    const second = await target.commit(eve, { after: first, draft })
    expect(await target.offer([first, second], [eve.certificate])).toEqual(['Inapplicable'])
    const repository = target.repository()
    const card = repository.item(Card, key)
    expect([target.has(second), codesOf(repository, second)]).toEqual([true, ['Inapplicable']])
    expect([card?.notes.toString(), card?.points, card?.title]).toEqual([thread, 0, ''])
    await target.close()
  })

  test('[V3] a role counts as it was at the position the commit cites, also for whoever comes later', async () => {
    const { lab, hers, card, done, member } = await founded('roles')
    const bob = await member('bob', 'editor')
    // Dave's app lets him do what his role does not.
    const dave = await member('dave', 'viewer', { rules: [founders, readers, write('/board/:id', () => true)] })
    itemOf(bob.theirs, card).title = 'by the editor'
    await lab.run(2_000)
    itemOf(dave.theirs, card).points = 7
    await lab.run(2_000)
    const [allowed, denied] = [newestOf(bob, bob.theirs), newestOf(dave, dave.theirs)]
    expect(await done(hers.grant(bob.owner, 'viewer'))).toBe('resolved')
    expect(await done(hers.grant(dave.owner, 'editor'))).toBe('resolved')
    const carol = await member('carol', 'viewer')
    for (const repository of [hers, carol.theirs]) {
      expect([codesOf(repository, allowed), codesOf(repository, denied)]).toEqual([[], ['NotAllowed']])
      expect([itemOf(repository, card).title, itemOf(repository, card).points]).toEqual(['by the editor', 0])
    }
  })

  test.each(['ada', 'bob'])(
    '[V3] a rule sees the values of the commit’s past, whoever arrives first (%s)',
    async (first) => {
      const once: Rules = [
        founders,
        readers,
        ownersGrant,
        write(
          '/board/:id',
          ({ before, after }) => before === null || before.title === 'first' || before.title === after?.title,
        ),
      ]
      const { lab, ada, hers, card, member } = await founded(`past ${first}`, { rules: once })
      const bob = await member('bob', 'editor')
      for (const name of ['ada', 'bob']) lab.disconnect(name)
      itemOf(bob.theirs, card).title = 'of bob'
      await lab.run(100)
      card.title = 'of ada'
      await lab.run(1_000)
      const written = [newestOf(ada, hers), newestOf(bob, bob.theirs)]
      for (const name of first === 'ada' ? ['ada', 'bob'] : ['bob', 'ada']) {
        lab.connect(name)
        await lab.run(1_000)
      }
      for (const repository of [hers, bob.theirs]) {
        expect(written.flatMap((commit) => codesOf(repository, commit))).toEqual([])
        expect(itemOf(repository, card).title).toBe('of ada')
      }
      card.title = 'again'
      await lab.run(1_000)
      expect([card.title, ada.rejections.map(({ code }) => code)]).toEqual(['of ada', ['NotAllowed']])
    },
  )
})

test('[M7] no commit is made to merge; more heads than a change may name are joined by empty changes of 16', async () => {
  const lab = new Lab('heads')
  const authority = await lab.authority()
  const [ada, eve] = [await lab.join('ada'), await lab.join('eve')]
  const [hers, theirs] = [ada, eve].map(({ database }) => database.repository(board))
  if (hers === undefined || theirs === undefined) throw new Error('no repository')
  await lab.run(1_000)
  const card = hers.create(Card, { title: 'first' })
  await lab.run(1_000)
  const created = newestOf(ada, hers)
  const { identity, person } = eve.database
  if (identity === undefined || person === undefined) throw new Error('eve is not logged in')
  const draws = stream('heads', 'eve')
  const heads = 46
  for (let head = 0; head < heads; head++) {
    const change: CommitChange = {
      path: board,
      header: { clock: created.clock + 1 },
      draft: {
        key: keyOf(card),
        parents: [created.id],
        operations: [{ kind: 'add', field: 'tags', value: `${head}` }],
      },
    }
    const by = { key: identity.key, certificate: person, session: person.session }
    theirs.pipeline.submit([await commitOf(eve.database, by, draws, change)])
  }
  await lab.run(10_000)
  const there = authority.database.repository(board)
  expect([card.tags.size, hers.pipeline.commits.size, there.pipeline.commits.size]).toEqual([
    heads,
    heads + 1,
    heads + 1,
  ])
  card.title = 'edited'
  await lab.run(2_000)
  const made = Array.from({ length: 3 }, (_, index) => there.pipeline.commits.at(heads + 1 + index))
  expect(
    made.map((commit) => commit?.changes.map(({ parents, operations }) => [parents.length, operations.length])),
  ).toEqual([[[limits.parents, 0]], [[limits.parents, 0]], [[limits.parents, 1]]])
  expect(there.pipeline.commits.size).toBe(heads + 4)
  expect([itemOf(there, card).title, itemOf(there, card).tags.size]).toEqual(['edited', heads])
})

test('[S8] what becomes durable at once goes to a peer at once, in one message', async () => {
  const lab = new Lab('one message')
  await lab.authority()
  const pair = lab.line()
  const pushed: number[] = []
  const tap = new PackTap()
  let network: string | undefined
  const send = (bytes: Uint8Array): Uint8Array => {
    const commits = tap.see(pair, bytes, network)
    if (commits !== undefined) pushed.push(commits.length)
    return bytes
  }
  const ada = await lab.start('ada', { transports: [changed(pair.a, { send })], captureRate: 1_000 })
  pair.connect()
  outcomeOf(ada.database.login({ method: 'anonymous', credentials: 'Ada' }))
  await lab.until(() => ada.database.status.connection === 'online')
  network = ada.database.root.network
  const hers = ada.database.repository(board)
  await lab.run(1_000)
  pushed.length = 0
  const disk = gate()
  ada.faults.hold = disk.promise
  for (let index = 0; index < 6; index++) {
    hers.create(Card, { title: `${index}` })
    hers.flush()
    await lab.run(0)
  }
  expect(pushed).toEqual([])
  ada.faults.hold = undefined
  disk.open()
  await lab.run(0)
  // The first was being stored alone; the others became durable by the next append.
  expect(pushed).toEqual([1, 5])
})

describe('the authority', () => {
  test('[H3] signs the next entry when the one before is durable, so that a kill in between forks nothing', async () => {
    const { lab, authority, ada, hers, card } = await founded('one at a time')
    const disk = gate()
    let signed = 0
    authority.faults.sign = () => {
      signed++
      authority.faults.hold = disk.promise
    }
    const asked = ['a', 'b', 'c'].map((name) => outcomeOf(hers.grant(`anonymous:${name}`, 'viewer')))
    card.title = 'meanwhile'
    await lab.run(10_000)
    expect([signed, asked.map(({ current }) => current)]).toEqual([1, ['pending', 'pending', 'pending']])
    lab.kill('authority')
    lab.disconnect('ada')
    Object.assign(authority.faults, { hold: undefined, sign: undefined })
    const again = await lab.authority({ rules })
    lab.connect('ada')
    await lab.run(1_000)
    const granted = outcomeOf(hers.grant('anonymous:d', 'viewer'))
    await lab.run(2_000)
    expect([granted.current, savedState(card)]).toEqual(['resolved', 'authority'])
    const ids = (repository: Repository) => repository.pipeline.log.entries.map(({ id }) => id)
    expect(ids(hers)).toEqual(ids(again.database.repository(board)))
    expect(ada.incidents.map(({ code }) => code)).not.toContain('LogForked')
  })

  test('[H6] an invitation gives nothing once it expired or its maker may not give the role any more', async () => {
    const editors = grant(
      '/board/:id',
      ({ role, give }) => role === 'owner' || (role === 'editor' && give === 'viewer'),
    )
    const { lab, authority, hers, done, member } = await founded('over', {
      rules: [founders, readers, mayWrite, editors],
    })
    const bob = await member('bob', 'editor')
    const carol = await joined(lab, 'carol')
    const made = async (maker: Repository, options: Parameters<typeof hers.invite>[1] = {}): Promise<string> => {
      const code = maker.invite('viewer', options)
      await lab.run(500)
      return code
    }
    const [short, long] = [
      await made(hers, { expires: authority.database.clock.now() + 5_000 }),
      await made(bob.theirs),
    ]
    await lab.run(5_000)
    expect(await done(carol.database.join(board, short))).toBe('InvitationOver')
    expect(await done(hers.grant(bob.owner, 'viewer'))).toBe('resolved')
    expect(await done(carol.database.join(board, long))).toBe('InvitationOver')
    expect(await done(hers.grant(bob.owner, 'editor'))).toBe('resolved')
    expect(await done(carol.database.join(board, long))).toBe('resolved')
    const theirs = carol.database.repository(board)
    await lab.run(1_000)
    expect(theirs.role).toBe('viewer')
    const item = theirs.query(Card).current?.[0]
    expect(await done(saved(item ?? {}, 'authority'))).toBe('resolved')
  })
})
