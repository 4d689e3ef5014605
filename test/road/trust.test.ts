/** What members may not do, whatever bytes they write, and what honest people may count on while the worst happens. */
import {
  create,
  type Database,
  type DatabaseOptions,
  grant,
  keyOf,
  type Rejection,
  type Repository,
  type Rules,
  read,
  saved,
  write,
} from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import {
  type Commit,
  composeCommit,
  type Draft,
  type Header,
  readCommit,
  sealCommit,
  sessionId,
  signedBytes,
} from '../../packages/engine/src/commit/commit.ts'
import { encodeCertificate } from '../../packages/engine/src/trust/certificate.ts'
import { messageOf, sealBody } from '../../packages/engine/src/trust/signed.ts'
import { board, Card, gate, Lab, outcomeOf } from './lab.ts'

const writes = write('/board/:id', ({ role }) => role === 'owner' || role === 'editor' || 'You can only look.')
const rest = [
  read('/board/:id', ({ role }) => role !== undefined),
  grant('/board/:id', ({ role, subject }) => role === 'owner' && subject.role !== 'owner'),
]
const rules: Rules = [
  create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner')),
  writes,
  ...rest,
]

const joined = async (lab: Lab, name: string, options: Partial<DatabaseOptions> = {}) => {
  const replica = await lab.join(name, { rules, ...options })
  const rejections: Rejection[] = []
  replica.database.onRejected((rejection) => rejections.push(rejection))
  return { ...replica, rejections }
}

/** A commit as a modified client makes it: signed by its session, and otherwise as its owner likes. */
const forged = async (
  { database }: { readonly database: Pick<Database, 'clock' | 'identity' | 'root' | 'runtime' | 'schemaHash'> },
  path: string,
  header: Partial<Header>,
  draft: Partial<Draft> = {},
): Promise<Commit> => {
  const { identity, root, runtime } = database
  const { position, network } = root
  if (identity === undefined || position === null || network === undefined) throw new Error('nobody is logged in')
  const hash = (bytes: Uint8Array): Uint8Array => runtime.hash(bytes)
  const fields: Header = {
    network,
    repository: path,
    session: identity.session,
    incarnation: Buffer.from(runtime.random(8)).toString('hex'),
    seq: 0,
    prev: null,
    clock: database.clock.now() * 256,
    policy: { root: position, authority: null },
    atomic: false,
    extended: false,
    ...header,
  }
  const change: Draft = {
    key: Buffer.from(runtime.random(12)).toString('hex'),
    parents: [],
    schema: { name: Card.name, version: Card.version, hash: database.schemaHash(Card) },
    operations: [{ kind: 'touch' }],
    salt: runtime.random(12),
    ...draft,
  }
  const unsigned = composeCommit(fields, [change], hash)
  const commit = readCommit(sealCommit(unsigned, await identity.key.sign(signedBytes(unsigned.id))).bytes, hash)
  if (isRefusal(commit)) throw new Error(commit.code)
  return commit
}

const titles = (repository: Repository) => repository.query(Card).current?.map(({ title }) => title)

describe('founding', () => {
  test('[H5] a device whose clock is a day ahead founds its repository all the same', async () => {
    const lab = new Lab('founder ahead')
    await lab.authority({ rules })
    const ada = await joined(lab, 'ada')
    lab.disconnect('ada')
    const hers = ada.database.repository(board)
    await lab.run(100)
    lab.device('ada').clock.jump(86_400_000)
    hers.create(Card, { title: 'tomorrow' })
    await lab.run(1_000)
    lab.connect('ada')
    await lab.run(5_000)
    expect([hers.role, hers.barred, titles(hers), ada.rejections]).toEqual(['owner', undefined, ['tomorrow'], []])
    expect(hers.pipeline.log.entries[0]?.statement.kind).toBe('grant')
  })

  test('[H5] nobody takes the path of a repository they may not found by a commit that nobody can judge yet', async () => {
    const lab = new Lab('squatter')
    const admins = new Set<string>()
    const limited: Rules = [
      create('/board/:id', ({ owner }) => (owner !== undefined && admins.has(owner) ? 'owner' : undefined)),
      read('/board/:id', ({ session }) => session !== undefined),
      writes,
    ]
    const authority = await lab.authority({ rules: limited })
    const mallory = await joined(lab, 'mallory', { rules: limited })
    const ada = await joined(lab, 'ada', { rules: limited })
    admins.add(ada.database.person?.owner ?? '')
    const theirs = mallory.database.repository(board)
    await lab.run(1_000)
    const schema = { name: 'card', version: 9, hash: '9'.repeat(64) }
    const unknown = await forged(mallory, board, {}, { schema })
    theirs.pipeline.submit([unknown])
    await lab.run(1_000)
    const later = await forged(mallory, board, {
      seq: 1,
      prev: unknown.id,
      incarnation: unknown.incarnation,
      clock: unknown.clock + 256,
    })
    theirs.pipeline.submit([later])
    await lab.run(2_000)
    const at = authority.database.repository(board)
    await lab.run(100)
    expect([at.pipeline.commits.size, at.pipeline.log.next]).toEqual([0, 0])
    const hers = ada.database.repository(board)
    await lab.run(1_000)
    hers.create(Card, { title: 'mine' })
    await lab.run(2_000)
    expect([hers.role, titles(hers)]).toEqual(['owner', ['mine']])
  })

  test('whoever asked for the path before sees nothing of what its founder writes first', async () => {
    const lab = new Lab('eavesdropper')
    const authority = await lab.authority({ rules })
    const [mallory, ada] = [await joined(lab, 'mallory'), await joined(lab, 'ada')]
    const theirs = mallory.database.repository(board)
    const hers = ada.database.repository(board)
    await lab.run(1_000)
    const held = gate()
    authority.faults.sign = () => held.promise
    hers.create(Card, { title: 'secret' })
    await lab.run(2_000)
    expect(theirs.pipeline.commits.size).toBe(0)
    authority.faults.sign = undefined
    held.open()
    await lab.run(2_000)
    expect([theirs.pipeline.commits.size, titles(hers), hers.role]).toEqual([0, ['secret'], 'owner'])
    const outcome = outcomeOf(saved(hers.item(Card, keyOf(hers.query(Card).current?.[0] ?? {})) ?? {}, 'authority'))
    await lab.run(1_000)
    expect(outcome.current).toBe('resolved')
  })
})

/** A board of Ada's, with members of these roles. */
const boardWith = async (
  seed: string,
  roles: Readonly<Record<string, string>>,
  options: Partial<DatabaseOptions> = {},
) => {
  const lab = new Lab(seed)
  const authority = await lab.authority({ rules, ...options })
  const ada = await joined(lab, 'ada', options)
  const hers = ada.database.repository(board)
  await lab.run(100)
  const card = hers.create(Card, { title: 'first' })
  await lab.run(1_000)
  const done = async <Value>(asked: Promise<Value>): Promise<string> => {
    const outcome = outcomeOf(asked)
    await lab.run(1_000)
    return outcome.current
  }
  const members: Record<string, Awaited<ReturnType<typeof joined>> & { theirs: Repository; owner: string }> = {}
  for (const [name, role] of Object.entries(roles)) {
    const member = await joined(lab, name, options)
    const owner = member.database.person?.owner ?? ''
    await done(hers.grant(owner, role, { fences: false }))
    members[name] = { ...member, owner, theirs: member.database.repository(board) }
    await lab.run(1_000)
  }
  const of = (name: string) => {
    const member = members[name]
    if (member === undefined) throw new Error(`there is no ${name}`)
    return member
  }
  return { lab, authority, ada, hers, card, done, of }
}

describe('[C9] requests', () => {
  test('of a session whose access was ended are refused; ending it again writes nothing', async () => {
    const { lab, authority, of, done, hers } = await boardWith('revoked asks', { bob: 'editor' })
    const bob = of('bob')
    const code = hers.invite('viewer')
    await lab.run(500)
    const session = bob.database.person?.session ?? ''
    expect(await done(bob.database.revoke({ session }))).toBe('resolved')
    const { size } = authority.database.root
    expect(await done(bob.database.revoke({ session }))).toBe('Revoked')
    expect(await done(bob.database.join(board, await code))).toBe('Revoked')
    expect(await done(authority.database.revoke({ session }))).toBe('resolved')
    expect(authority.database.root.size).toBe(size)
  })

  test('[H6] an invitation is over when its maker’s access was ended', async () => {
    const { lab, authority, of, done, hers, ada } = await boardWith('revoked inviter', {})
    const code = hers.invite('editor', { uses: 9 })
    await lab.run(500)
    const carol = await joined(lab, 'carol')
    expect(await done(authority.database.revoke({ owner: ada.database.person?.owner ?? '' }))).toBe('resolved')
    expect(await done(carol.database.join(board, await code))).toBe('InvitationOver')
    expect(of).toBeTypeOf('function')
  })

  test('nobody touches an invitation for a role they may not give; nobody learns by a wrong code whether there is a repository', async () => {
    const limited: Rules = [
      create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner')),
      writes,
      read('/board/:id', ({ role }) => role !== undefined),
      grant('/board/:id', ({ role, give }) => role === 'owner' || (role === 'editor' && give === 'viewer')),
    ]
    const { lab, of, done, hers } = await boardWith('other invitation', { bob: 'editor' }, { rules: limited })
    const made = hers.invite('editor', { uses: 2 })
    await lab.run(500)
    const code = await made
    const [standing] = hers.invitations
    const secret = standing?.secret ?? ''
    const { database } = of('bob')
    const ask = (uses: number, expires: number) =>
      done(database.ask({ method: 'invite', path: board, secret, role: 'viewer', expires, uses }))
    expect(await ask(0, 0)).toBe('NotAllowed')
    expect(await ask(5, database.clock.now() + 1_000_000)).toBe('NotAllowed')
    expect(hers.invitations).toEqual([standing])
    const carol = await joined(lab, 'carol', { rules: limited })
    expect(await done(carol.database.join(board, '00'.repeat(16)))).toBe('InvitationOver')
    expect(await done(carol.database.join('/board/none', '00'.repeat(16)))).toBe('InvitationOver')
    expect(await done(carol.database.join(board, code))).toBe('resolved')
  })
})

test('requests are within the rates of commits: nobody fills a log with invitations', async () => {
  const rates = { commitsPerUser: { burst: 5, perSecond: 0.001 } }
  const { hers, done, authority } = await boardWith('many requests', {}, { rates })
  const outcomes: string[] = []
  for (let count = 0; count < 8; count++) outcomes.push(await done(hers.invite('viewer')))
  expect(outcomes.indexOf('TooFast')).toBeGreaterThan(0)
  expect(outcomes.slice(outcomes.indexOf('TooFast')).every((one) => one === 'TooFast')).toBe(true)
  expect(authority.database.repository(board).pipeline.log.next).toBeLessThan(10)
})

describe('rules that were replaced', () => {
  const first = [...rest, create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner'))]
  const older: Rules = { 1: [...first, writes] }
  const newer: Rules = {
    ...older,
    2: [
      ...first,
      write(
        '/board/:id',
        ({ role, fields }) => role === 'owner' || !fields.includes('title') || 'Titles are the owner’s.',
      ),
    ],
  }

  const replaced = async (seed: string) => {
    const of = await boardWith(seed, { bob: 'editor' }, { rules: older })
    of.lab.kill('ada')
    of.lab.kill('bob')
    of.lab.kill('authority')
    return of
  }

  test('[H8] nobody goes on under the older ones by citing them', async () => {
    const { lab, ada, of, card } = await replaced('cites old rules')
    const known = of('bob').database.root.position
    await lab.authority({ rules: newer })
    const hers = (await lab.client('ada', { rules: newer })).database.repository(board)
    const bob = await lab.client('bob', { rules: newer })
    const theirs = bob.database.repository(board)
    await lab.run(2_000)
    if (known === null) throw new Error('no root')
    const commit = await forged(
      bob,
      board,
      { policy: { root: known, authority: theirs.pipeline.position } },
      { key: keyOf(card), operations: [{ kind: 'assign', field: 'title', value: 'mine' }] },
    )
    theirs.pipeline.submit([commit])
    await lab.run(3_000)
    expect(hers.pipeline.commits.has(commit.id)).toBe(true)
    expect([titles(hers), hers.whyDenied(commit.id).map(({ why }) => why.code)]).toEqual([['first'], ['Voided']])
    expect(ada.rejections).toEqual([])
  })

  test('what was written offline under them counts where the new ones allow it, and its author is told of the rest alone', async () => {
    const { lab, of, card } = await replaced('offline under old rules')
    const { pair } = { pair: lab.line() }
    const bob = await lab.start('bob', { rules: older, transports: [pair.a] })
    const rejections: Rejection[] = []
    bob.database.onRejected((rejection) => rejections.push(rejection))
    const theirs = bob.database.repository(board)
    await lab.run(1_000)
    const item = theirs.item(Card, keyOf(card))
    if (item == null) throw new Error('not there')
    item.title = 'late'
    const other = theirs.create(Card, { done: true })
    const outcomes = [outcomeOf(saved(item, 'authority')), outcomeOf(saved(other, 'authority'))]
    await lab.run(1_000)
    await lab.authority({ rules: newer })
    pair.connect()
    await lab.run(5_000)
    expect(outcomes.map(({ current }) => current)).toEqual(['Voided', 'resolved'])
    expect(rejections.map(({ code, key, content }) => [code, key, content?.['title']])).toEqual([
      ['Voided', keyOf(card), 'late'],
    ])
    expect([item.title, other.done, of('bob').rejections]).toEqual(['first', true, []])
  })
})

describe('saved', () => {
  test('[V10] waits for no branch that somebody else lost', async () => {
    const { lab, of, card, hers } = await boardWith('lost branch', { mallory: 'editor' })
    const mallory = of('mallory')
    const { theirs } = mallory
    const incarnation = 'ab'.repeat(8)
    const policy = { root: mallory.database.root.position ?? fail(), authority: theirs.pipeline.position }
    const branch = (title: string) =>
      forged(
        mallory,
        board,
        { incarnation, policy },
        { key: keyOf(card), operations: [{ kind: 'assign', field: 'title', value: title }] },
      )
    const [won, lost] = [await branch('won'), await branch('lost')]
    lab.disconnect('ada')
    theirs.pipeline.submit([won])
    const commits = [lost.bytes]
    const certificates = [mallory.database.person?.bytes ?? fail()]
    await Promise.all([hers.pipeline.receive({}, { certificates, commits, entries: [] }), lab.run(1_000)])
    expect(card.title).toBe('lost')
    const outcome = outcomeOf(saved(card, 'authority'))
    await lab.run(500)
    expect(outcome.current).toBe('pending')
    lab.connect('ada')
    await lab.run(5_000)
    expect([outcome.current, card.title, hers.whyDenied(lost.id).map(({ why }) => why.code)]).toEqual([
      'resolved',
      'won',
      ['BranchLost'],
    ])
  })
})

describe('a forked chain', () => {
  test('[V10] loses its other branches also where nobody can count the one that is covered', async () => {
    const { lab, of, card, hers } = await boardWith('held winner', { mallory: 'editor' })
    const mallory = of('mallory')
    const { theirs } = mallory
    const incarnation = 'ab'.repeat(8)
    const policy = { root: mallory.database.root.position ?? fail(), authority: theirs.pipeline.position }
    const won = await forged(
      mallory,
      board,
      { incarnation, policy },
      { schema: { name: 'card', version: 9, hash: '9'.repeat(64) } },
    )
    const lost = await forged(
      mallory,
      board,
      { incarnation, policy },
      { key: keyOf(card), operations: [{ kind: 'assign', field: 'title', value: 'lost' }] },
    )
    lab.disconnect('ada')
    theirs.pipeline.submit([won])
    await lab.run(1_000)
    const checkpoint = theirs.pipeline.log.entries.at(-1)?.bytes ?? fail()
    const certificates = [mallory.database.person?.bytes ?? fail()]
    const give = (bytes: readonly Uint8Array[], entries: readonly Uint8Array[]) =>
      Promise.all([hers.pipeline.receive({}, { certificates, commits: bytes, entries }), lab.run(500)])
    await give([lost.bytes], [checkpoint])
    await give([won.bytes], [])
    expect([card.title, hers.whyDenied(lost.id).map(({ why }) => why.code)]).toEqual(['first', ['BranchLost']])
  })

  test('of thousands of commits costs each of them one look', async () => {
    const { lab, of, authority } = await boardWith('long fork', { mallory: 'editor' })
    const mallory = of('mallory')
    const { theirs } = mallory
    const incarnation = 'ab'.repeat(8)
    const header = {
      incarnation,
      policy: { root: mallory.database.root.position ?? fail(), authority: theirs.pipeline.position },
    }
    const first = await forged(mallory, board, header)
    theirs.pipeline.submit([first])
    theirs.pipeline.submit([await forged(mallory, board, header)])
    const { commits } = authority.database.repository(board).pipeline
    const get = commits.get.bind(commits)
    let looks = 0
    Object.assign(commits, {
      get: (id: string) => {
        looks++
        return get(id)
      },
    })
    const length = 300
    for (let last = first, count = 0; count < length; count++) {
      last = await forged(mallory, board, { ...header, seq: last.seq + 1, prev: last.id, clock: last.clock + 1 })
      theirs.pipeline.submit([last])
      if (count % 10 === 9) await lab.run(250)
    }
    await lab.run(5_000)
    expect(commits.size).toBeGreaterThan(length)
    expect(looks / length).toBeLessThan(200)
  })
})

describe('a crash, or a failure', () => {
  test('between the verdict on a clock far ahead and writing the same again: its author is told, with the content', async () => {
    const { lab, of, card } = await boardWith('crash after verdict', { bob: 'editor' })
    const bob = of('bob')
    lab.disconnect('bob')
    const item = bob.theirs.item(Card, keyOf(card))
    if (item == null) throw new Error('not there')
    lab.device('bob').clock.jump(86_400_000)
    item.title = 'tomorrow'
    await lab.run(2_000)
    const before = bob.theirs.pipeline.commits.size
    const isVoid = () => bob.theirs.pipeline.log.entries.some(({ statement }) => statement.kind === 'verdict')
    const { log } = bob.theirs.pipeline
    // What is signed from here on is never stored.
    bob.faults.sign = () => (isVoid() ? new Promise<void>(() => undefined) : undefined)
    lab.connect('bob')
    await lab.until(
      () =>
        log.entries.some(({ statement }) => statement.kind === 'verdict') &&
        bob.theirs.pipeline.durableEntries === log.next,
    )
    await lab.run(500)
    expect(bob.theirs.pipeline.commits.size).toBe(before)
    lab.kill('bob')
    bob.faults.sign = undefined
    const again = await lab.client('bob', { rules })
    const theirs = again.database.repository(board)
    await lab.run(3_000)
    expect([card.title, theirs.rejections.map(({ code, content }) => [code, content?.['title']])]).toEqual([
      'first',
      [['Voided', 'tomorrow']],
    ])
  })

  test('[V7] of signing the checkpoint ahead of a fence: what the server had still counts', async () => {
    const { lab, authority, of, card, hers, done } = await boardWith('fence not signed', { bob: 'editor' })
    const bob = of('bob')
    const item = bob.theirs.item(Card, keyOf(card))
    if (item == null) throw new Error('not there')
    let failures = 2
    item.title = 'in time'
    authority.faults.sign = () => {
      if (failures-- > 0) throw new Error('the key store is busy')
    }
    await lab.run(10)
    const out = hers.grant(bob.owner, null)
    expect(await done(out).then(async () => done(out))).toBe('resolved')
    await lab.run(3_000)
    expect([card.title, bob.rejections]).toEqual(['in time', []])
  })

  test('[H6] between the two entries of a guest who joins: the invitation is used once', async () => {
    const { lab, authority, hers } = await boardWith('crash in joining', {})
    const made = hers.invite('editor')
    await lab.run(500)
    const code = await made
    const [carol, dave] = [await joined(lab, 'carol'), await joined(lab, 'dave')]
    const { log } = authority.database.repository(board).pipeline
    authority.faults.sign = () =>
      log.entries.some(({ statement }) => statement.kind === 'grant' && statement.by !== null)
        ? new Promise<void>(() => undefined)
        : undefined
    outcomeOf(carol.database.join(board, code))
    await lab.run(2_000)
    for (const name of ['authority', 'ada', 'carol', 'dave']) lab.disconnect(name)
    lab.kill('authority')
    authority.faults.sign = undefined
    await lab.authority({ rules })
    lab.connect('carol')
    lab.connect('dave')
    lab.connect('ada')
    await lab.run(1_000)
    const outcome = outcomeOf(dave.database.join(board, code))
    await lab.run(2_000)
    expect([outcome.current, hers.members.map(({ role }) => role).sort()]).toEqual([
      'InvitationOver',
      ['editor', 'owner'],
    ])
  })
})

test('a root log longer than a frame reaches whoever comes new, and whoever was away', async () => {
  const { lab, authority, ada, hers, card } = await boardWith('long root log', {})
  lab.disconnect('ada')
  const many = Array.from({ length: 2_600 }, (_, count) => `gone:${count}:${'x'.repeat(150)}`)
  const ended = Promise.all(many.map((owner) => authority.database.revoke({ owner }, 'y'.repeat(200))))
  await lab.until(() => authority.database.root.size > many.length)
  await ended
  const bob = await joined(lab, 'bob')
  expect(bob.database.root.size).toBe(authority.database.root.size)
  lab.connect('ada')
  await lab.run(1_000)
  expect(ada.database.root.size).toBe(authority.database.root.size)
  card.title = 'second'
  const outcome = outcomeOf(saved(card, 'authority'))
  await lab.run(1_000)
  expect([outcome.current, hers.role]).toEqual(['resolved', 'owner'])
})

test('[H7] a retired key of the authority certifies nobody any more, and every repository knows that it is retired', async () => {
  const { lab, hers } = await boardWith('retired key', {})
  const old = lab.authorityKey
  for (const name of ['ada', 'authority']) lab.kill(name)
  lab.authorityKey = lab.key('the next authority')
  const { database } = await lab.authority({ rules, previousAuthority: old })
  const { pipeline } = database.repository(board)
  await lab.run(3_600_000)
  expect(pipeline.log.entries.at(-1)?.root?.n).toBe(database.root.size - 1)
  expect(hers.pipeline.log.next).toBeLessThan(pipeline.log.next)
  const mallory = lab.key('mallory')
  const hash = (bytes: Uint8Array): Uint8Array => database.runtime.hash(bytes)
  const issued = database.clock.now() - 1_000
  const certify = async (from: number) => {
    const body = encodeCertificate({
      network: database.network ?? fail(),
      publicKey: mallory.publicKey,
      owner: 'mail:ada@example.org',
      name: 'ada',
      issued: from,
      expires: from + 86_400_000,
      number: 1,
      signer: Buffer.from(hash(old.publicKey)).toString('hex'),
    })
    const { bytes } = sealBody(body, await old.sign(messageOf('certificate', body, hash)), hash)
    const session = sessionId(mallory.publicKey, 'mail:ada@example.org', hash)
    const { clock, root, runtime } = database
    const replica = {
      clock,
      root,
      runtime,
      schemaHash: database.schemaHash.bind(database),
      identity: { session, key: mallory, name: 'ada' },
    }
    const commit = await forged({ database: replica }, board, {})
    await Promise.all([
      pipeline.receive({}, { certificates: [bytes], commits: [commit.bytes], entries: [] }),
      lab.run(100),
    ])
    return pipeline.commits.has(commit.id)
  }
  expect([await certify(issued), await certify(issued - 7_200_000)]).toEqual([false, true])
})

const fail = (): never => {
  throw new Error('not there')
}
