/** Erasure on real replicas in virtual time: no stored byte of the content is left, whoever was away, and all agree on what is left. */
import {
  type AuditReport,
  activity,
  audit,
  create,
  erase,
  grant,
  keyOf,
  type Rejection,
  type Rules,
  type Runtime,
  read,
  saved,
  write,
} from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { concatBytes, equalBytes } from '../../packages/engine/src/bytes/bytes.ts'
import { encodeFrame, type Frame, frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { erasures, filesWith } from '../attacks/rows/erasure.ts'
import { board, Card, diskFull, Lab, outcomeOf, type Replica } from './lab.ts'

const rules: Rules = [
  read('/board/:id', () => true),
  write('/board/:id', () => true),
  erase('/board/:id', ({ session }) => session !== undefined),
]

const secret = 'zebracorn'

const boardOf = ({ database }: Replica) => database.repository(board)

const cardOf = (replica: Replica, key: string) => {
  const card = boardOf(replica).item(Card, key)
  if (card === null || card === undefined) throw new Error(`${replica.name} has no ${key}`)
  return card
}

const plain = (replica: Replica, key: string) => {
  const card = boardOf(replica).item(Card, key)
  return card && [card.title, card.notes.toString(), [...card.tags], [...card.votes]]
}

/** Ada, Bob and Cara with one card that all of them have. */
const founded = async (seed: string, names = ['ada', 'bob', 'cara']) => {
  const lab = new Lab(seed)
  const authority = await lab.authority({ rules })
  const people: Replica[] = []
  for (const name of names) people.push(await lab.join(name, { rules }))
  for (const person of people) boardOf(person)
  await lab.run(500)
  const [ada, bob, cara] = people
  if (ada === undefined || bob === undefined || cara === undefined) throw new Error('three people')
  const card = boardOf(ada).create(Card, { title: `${secret} title` }, { key: 'card' })
  card.notes.insert(0, `hello ${secret} world`)
  card.tags.add(`${secret} tag`)
  card.votes.set(`${secret} vote`, 1)
  await lab.run(1_000)
  card.notes.insert(card.notes.length, '.')
  card.notes.remove(card.notes.length - 1, 1)
  card.more.insert(0, `${secret} more`)
  await lab.run(1_000)
  const all = [authority, ada, bob, cara]
  const holding = (): string[] =>
    all.flatMap(({ name }) => filesWith(lab, name, [secret]).map((file) => `${name} ${file}`))
  expect(holding().length).toBeGreaterThan(7)
  const erased = async (who: Replica, what = card): Promise<void> => {
    const outcome = outcomeOf(boardOf(who).erase(boardOf(who).item(Card, keyOf(what)) ?? what, 'asked for'))
    await lab.run(3_000)
    expect(outcome.current).toBe('resolved')
  }
  return { lab, authority, ada, bob, cara, card, all, holding, erased }
}

describe('[E1] [E2] erasure', () => {
  test('leaves the content in no file, value or history of anybody who is there; the commits still verify', async () => {
    const { all, ada, bob, cara, holding, erased } = await founded('erase')
    await erased(ada)
    expect(holding()).toEqual([])
    for (const replica of all) {
      expect(plain(replica, 'card')).toEqual(['', '', [], []])
      expect(replica.incidents).toEqual([])
      const told = activity(boardOf(replica))
      expect(told.length).toBeGreaterThan(0)
      for (const one of told) {
        expect(await one.verify()).toBeUndefined()
        const values = one.changes.map(({ assigned, before, after, why }) => [assigned, before, after, why])
        expect(JSON.stringify(values)).not.toMatch(/zebracorn|\\ud800|\ufffd/)
      }
      expect(boardOf(replica).whatIf(rules)).toEqual([])
    }
    for (const person of [ada, bob, cara]) await saved(cardOf(person, 'card'), 'authority')
  })

  test('goes on where it was: what others wrote is applied to what is left', async () => {
    const { lab, all, ada, bob, cara, holding, erased } = await founded('goes on')
    lab.disconnect('bob')
    cardOf(bob, 'card').notes.insert(6, 'big ')
    cardOf(bob, 'card').notes.insert(cardOf(bob, 'card').notes.length, '!')
    cardOf(bob, 'card').title = 'bob'
    await lab.run(1_000)
    await erased(ada)
    cardOf(cara, 'card').notes.insert(0, 'new')
    await lab.run(1_000)
    expect(holding().filter((file) => !file.startsWith('bob'))).toEqual([])
    lab.connect('bob')
    await lab.run(5_000)
    expect(holding()).toEqual([])
    for (const replica of all) expect(plain(replica, 'card')?.slice(0, 2)).toEqual(['bob', plain(ada, 'card')?.[1]])
    expect(['newbig !', 'big !new', 'big new!']).toContain(plain(ada, 'card')?.[1])
  })

  test('of one change leaves what the others wrote, and what it removed stays removed', async () => {
    const { lab, all, bob, holding } = await founded('one change')
    const card = cardOf(bob, 'card')
    card.notes.splice(0, 5, 'wolfram')
    card.tags.add('kept')
    card.tags.delete(`${secret} tag`)
    await lab.run(2_000)
    const [last] = activity(boardOf(bob))
    const outcome = outcomeOf(boardOf(bob).eraseChanges([{ commit: last?.commit ?? '', key: 'card' }], 'asked for'))
    await lab.run(3_000)
    expect(outcome.current).toBe('resolved')
    expect(holding()).not.toEqual([])
    expect(all.flatMap(({ name }) => filesWith(lab, name, ['wolfram']))).toEqual([])
    for (const replica of all)
      expect(plain(replica, 'card')).toEqual([`${secret} title`, ` ${secret} world`, [], [[`${secret} vote`, 1]]])
  })

  test('[E4] is not undone by an offline holder, whatever it wrote meanwhile, nor by one that never hears of it first', async () => {
    const { lab, all, ada, cara, holding, erased } = await founded('returns')
    lab.disconnect('cara')
    await lab.run(100)
    await erased(ada)
    cardOf(cara, 'card').notes.insert(3, 'more')
    boardOf(cara).create(Card, { title: 'other' }, { key: 'other' })
    await lab.run(1_000)
    lab.connect('cara')
    await lab.run(5_000)
    expect(holding()).toEqual([])
    for (const replica of all) {
      expect(plain(replica, 'card')?.[1]).toBe('more')
      expect(plain(replica, 'other')?.[0]).toBe('other')
    }
    const fingerprints = all.map((replica) => [...boardOf(replica).pipeline.commits.heads()].map(({ id }) => id).sort())
    expect(new Set(fingerprints.map(String)).size).toBe(1)
  })

  test('[E4] reaches whoever comes later as if there had never been more', async () => {
    const { lab, ada, holding, erased } = await founded('fresh')
    await erased(ada)
    const dora = await lab.join('dora', { rules })
    boardOf(dora)
    await lab.run(3_000)
    expect(plain(dora, 'card')).toEqual(plain(ada, 'card'))
    expect(filesWith(lab, 'dora', [secret])).toEqual([])
    expect(dora.incidents).toEqual([])
    cardOf(dora, 'card').title = 'dora'
    await lab.run(2_000)
    expect(cardOf(ada, 'card').title).toBe('dora')
    expect(holding()).toEqual([])
  })

  test('[E4] a stripped commit that no entry names is refused, a whole one that is named is taken without its content', async () => {
    const { lab, ada, cara, erased } = await founded('stripped')
    lab.disconnect('cara')
    await lab.run(100)
    const commitsOf = (replica: Replica) => {
      const { commits } = boardOf(replica).pipeline
      return Array.from({ length: commits.size }, (_, index) => commits.at(index)?.bytes ?? new Uint8Array(0))
    }
    const whole = commitsOf(cara)
    await erased(ada)
    const stripped = commitsOf(ada)
    expect(stripped).not.toEqual(whole)
    const certificates = [ada].flatMap(
      ({ database }) => database.certificates.get(database.session?.id ?? '')?.bytes ?? [],
    )
    const entries = boardOf(ada).pipeline.log.entries.map(({ bytes }) => bytes)
    const dora = await lab.join('dora', { rules })
    lab.disconnect('dora')
    await lab.run(100)
    const { pipeline } = boardOf(dora)
    await boardOf(dora).ready
    const give = async (commits: Uint8Array[], log: Uint8Array[]): Promise<number> => {
      const received = pipeline.receive({}, { certificates, commits, entries: log })
      await lab.run(500)
      await received
      return pipeline.commits.size
    }
    expect(await give(stripped, entries.slice(0, 1))).toBe(0)
    expect(await give([], entries)).toBe(0)
    expect(await give(whole, [])).toBe(whole.length)
    expect(commitsOf(dora)).toEqual(stripped)
    expect(filesWith(lab, 'dora', [secret])).toEqual([])
    expect(plain(dora, 'card')).toEqual(plain(ada, 'card'))
  })

  test('of an item that was deleted goes the same way, and whoever restores it finds what is left', async () => {
    const { lab, all, ada, bob, card, holding, erased } = await founded('deleted')
    cardOf(bob, 'card').notes.remove(0, 8)
    await lab.run(1_000)
    boardOf(bob).delete(cardOf(bob, 'card'))
    await lab.run(1_000)
    expect(boardOf(ada).item(Card, 'card')).toBe(null)
    await erased(ada)
    expect(holding()).toEqual([])
    boardOf(ada).restore(card)
    card.notes.insert(0, 'back')
    await lab.run(1_000)
    for (const replica of all) expect(plain(replica, 'card')).toEqual(['', 'back', [], []])
  })

  test('meets what somebody types at that moment: it stays, over what is left', async () => {
    const { lab, all, ada, bob, card, holding } = await founded('typing')
    const [his, changes] = [cardOf(bob, 'card'), [] as string[]]
    const shown = { text: his.notes.toString() }
    his.notes.subscribe(({ splices }) => {
      for (const { at, remove, insert } of splices)
        shown.text = shown.text.slice(0, at) + insert + shown.text.slice(at + remove)
      changes.push(shown.text)
    })
    const asked = outcomeOf(boardOf(ada).erase(card, 'asked for'))
    while (his.title !== '') {
      his.notes.insert(5, '*')
      await lab.run(1)
    }
    his.notes.insert(0, 'more')
    await lab.run(5_000)
    expect(asked.current).toBe('resolved')
    expect(shown.text).toBe(his.notes.toString())
    expect(shown.text).toMatch(/^more\*+$/)
    for (const replica of all) expect(plain(replica, 'card')?.[1]).toBe(shown.text)
    // What was typed in reach of the entry but before it came stays too; the text around it is gone.
    expect(holding()).toEqual([])
    expect(changes.length).toBeGreaterThan(1)
  })

  test('[E7] is tried again where the disk does not take the new file, and everything else goes on', async () => {
    const { lab, all, ada, bob, holding, erased } = await founded('full')
    lab.faults('bob').operation = (what) => {
      if (what.endsWith('.new')) lab.faults('bob').sync = diskFull
      return true
    }
    await erased(ada)
    expect(bob.incidents.map(({ code }) => code)).toContain('DiskFull')
    expect(plain(bob, 'card')).toEqual(['', '', [], []])
    expect(holding().filter((file) => !file.startsWith('bob'))).toEqual([])
    expect(holding()).not.toEqual([])
    lab.faults('bob').operation = undefined
    lab.faults('bob').sync = undefined
    cardOf(bob, 'card').title = 'bob'
    await lab.run(40_000)
    expect(holding()).toEqual([])
    for (const replica of all) expect(plain(replica, 'card')?.[0]).toBe('bob')
  })

  test('[E5] of an atomic commit leaves its other items as they are', async () => {
    const { lab, all, bob, erased } = await founded('atomic')
    const his = boardOf(bob)
    his.transact(() => {
      his.create(Card, { title: 'sister' }, { key: 'sister' }).notes.insert(0, 'kept')
      cardOf(bob, 'card').title = `${secret} again`
    })
    await lab.run(2_000)
    await erased(bob)
    for (const replica of all) {
      expect(plain(replica, 'sister')?.slice(0, 2)).toEqual(['sister', 'kept'])
      expect(plain(replica, 'card')?.[0]).toBe('')
    }
  })

  test('[E3] names only what a checkpoint before it covers, however new that is', async () => {
    for (const wait of [0, 20, 40, 80]) {
      const { lab, authority, ada, all } = await founded(`covers ${wait}`)
      cardOf(ada, 'card').title = 'one'
      boardOf(ada).flush()
      await lab.run(30)
      cardOf(ada, 'card').title = `${secret} two`
      boardOf(ada).flush()
      await lab.run(wait)
      const [newest] = activity(boardOf(ada))
      const named = [{ commit: newest?.commit ?? '', key: 'card' }]
      const outcome = outcomeOf(boardOf(ada).eraseChanges(named, 'asked for'))
      await lab.run(3_000)
      expect(outcome.current).toBe('resolved')
      const { log, commits } = boardOf(authority).pipeline
      const commit = commits.get(newest?.commit ?? '')
      const entry = log.entries.find(({ statement }) => statement.kind === 'erasure')
      if (commit === undefined || entry === undefined) throw new Error('it was not written')
      expect(log.coveredAt(commit.chain, commit.seq)).toBeLessThan(entry.n)
      for (const replica of all) expect(plain(replica, 'card')?.[0]).toBe('one')
    }
  })

  test('[E6] takes the torn tail of a crash and what waits for its parents along', async () => {
    const { lab, ada, cara, bob, erased } = await founded('aside')
    lab.disconnect('cara')
    await lab.run(100)
    const { commits } = boardOf(cara).pipeline
    const whole = Array.from({ length: commits.size }, (_, index) => commits.at(index)?.bytes ?? new Uint8Array(0))
    const files = lab.device('bob').disk.files()
    const [log] = filesWith(lab, 'bob', [secret])
    const torn = await files.open(`${log}.torn`, true)
    await torn?.write(0, whole[0] ?? new Uint8Array(0))
    await torn?.sync()
    await files.syncNames()
    const later = whole.slice(1)
    expect(later.length).toBeGreaterThan(0)
    const dora = await lab.join('dora', { rules })
    lab.disconnect('dora')
    await lab.run(100)
    const { pipeline } = boardOf(dora)
    await boardOf(dora).ready
    const certificates = [ada].flatMap(
      ({ database }) => database.certificates.get(database.session?.id ?? '')?.bytes ?? [],
    )
    const received = pipeline.receive({}, { certificates, commits: later, entries: [] })
    await lab.run(500)
    await received
    expect(pipeline.pending.commits).toBe(later.length)
    await erased(bob)
    expect(
      lab
        .device('bob')
        .disk.names()
        .filter((name) => name.endsWith('.torn')),
    ).toEqual([])
    const entries = boardOf(ada).pipeline.log.entries.map(({ bytes }) => bytes)
    const told = pipeline.receive({}, { certificates: [], commits: [], entries })
    await lab.run(500)
    await told
    const left = pipeline.pending.bytes
    expect(left).not.toBe(later.reduce((sum, { length }) => sum + length, 0))
    expect(left).toBeGreaterThan(0)
    lab.connect('dora')
    await lab.run(5_000)
    expect([pipeline.pending.commits, pipeline.pending.bytes]).toEqual([0, 0])
    expect(filesWith(lab, 'dora', [secret])).toEqual([])
    expect(plain(dora, 'card')).toEqual(plain(ada, 'card'))
  })

  test('[E3] whoever may not is refused, and whoever may must be', async () => {
    const lab = new Lab('not allowed')
    const strict: Rules = [
      create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner')),
      read('/board/:id', () => true),
      write('/board/:id', () => true),
      grant('/board/:id', ({ role }) => role === 'owner'),
      erase('/board/:id', ({ role }) => role === 'owner' || 'Only an owner erases.'),
    ]
    await lab.authority({ rules: strict })
    const [ada, bob] = [await lab.join('ada', { rules: strict }), await lab.join('bob', { rules: strict })]
    boardOf(ada)
    await lab.run(500)
    boardOf(ada).create(Card, { title: secret }, { key: 'card' })
    await lab.run(2_000)
    boardOf(bob)
    await lab.run(2_000)
    const refused = outcomeOf(boardOf(bob).erase(cardOf(bob, 'card'), 'please'))
    const missing = outcomeOf(boardOf(ada).eraseChanges([{ commit: 'a'.repeat(64), key: 'card' }], 'please'))
    await lab.run(2_000)
    expect([refused.current, missing.current]).toEqual(['NotAllowed', 'MissingCommit'])
    expect(cardOf(bob, 'card').title).toBe(secret)
    const allowed = outcomeOf(boardOf(ada).erase(cardOf(ada, 'card'), 'please'))
    await lab.run(2_000)
    expect(allowed.current).toBe('resolved')
    expect(cardOf(bob, 'card').title).toBe('')
  })

  test('of what does not count takes the content out of what its author is told', async () => {
    const lab = new Lab('rejected')
    const strict: Rules = [
      create('/board/:id', ({ session }) => (session === undefined ? undefined : 'owner')),
      read('/board/:id', () => true),
      write('/board/:id', ({ role }) => role !== undefined),
      grant('/board/:id', ({ role }) => role === 'owner'),
      erase('/board/:id', ({ role }) => role === 'owner'),
    ]
    await lab.authority({ rules: strict })
    const [ada, bob] = [await lab.join('ada', { rules: strict }), await lab.join('bob', { rules: strict })]
    boardOf(ada)
    await lab.run(500)
    boardOf(ada).create(Card, { title: 'first' }, { key: 'card' })
    await lab.run(1_000)
    boardOf(bob)
    await lab.run(1_000)
    const owner = bob.database.person?.owner ?? ''
    const granted = boardOf(ada).grant(owner, 'editor')
    await lab.run(1_000)
    await granted
    const rejections: Rejection[] = []
    bob.database.onRejected((rejection) => rejections.push(rejection))
    lab.disconnect('bob')
    cardOf(bob, 'card').notes.insert(0, secret)
    await lab.run(1_000)
    const taken = boardOf(ada).grant(owner, null)
    await lab.run(1_000)
    await taken
    lab.connect('bob')
    await lab.run(2_000)
    expect(rejections.map(({ code, content }) => [code, content?.['notes']])).toEqual([['RevokedBeforeSync', secret]])
    expect(filesWith(lab, 'ada', [secret])).not.toEqual([])
    const erased = outcomeOf(boardOf(ada).erase(cardOf(ada, 'card'), 'please'))
    await lab.run(3_000)
    expect(erased.current).toBe('resolved')
    for (const name of ['ada', 'bob', 'authority']) expect(filesWith(lab, name, [secret]), name).toEqual([])
    expect(JSON.stringify(boardOf(bob).rejections)).not.toContain(secret)
    expect(rejections.length).toBe(1)
  })
})

describe('[E7] a kill at any file operation of the erasure', () => {
  const operations = async (name: 'bob' | 'authority', kill: number): Promise<number> => {
    const { lab, all, ada, holding, card } = await founded(`kill ${name}`)
    let count = 0
    lab.faults(name).operation = () => {
      if (count++ === kill) lab.kill(name)
      return count <= kill
    }
    const outcome = outcomeOf(boardOf(ada).erase(card, 'asked for'))
    await lab.run(3_000)
    if (count <= kill) {
      expect([outcome.current, holding()]).toEqual(['resolved', []])
      return count
    }
    lab.faults(name).operation = undefined
    const again =
      name === 'authority'
        ? await lab.authority({ rules })
        : await lab.start(name, { rules, transports: [lab.line().a] })
    all[name === 'authority' ? 0 : 2] = again
    boardOf(again)
    await lab.run(500)
    const { log } = boardOf(again).pipeline
    // What is written is finished by opening, with nobody there.
    if (!log.erasures.isEmpty) expect(filesWith(lab, name, [secret]), `${name} ${kill}`).toEqual([])
    expect(again.incidents.filter(({ code }) => code !== 'LogCorrupt')).toEqual([])
    expect(boardOf(again).pipeline.commits.size).toBeGreaterThan(0)
    if (name === 'authority') for (const person of ['ada', 'bob', 'cara']) lab.connect(person)
    await lab.run(60_000)
    const retried = outcomeOf(boardOf(ada).erase(card, 'asked for'))
    await lab.run(5_000)
    if (name === 'authority') {
      expect(retried.current).toBe('resolved')
      expect(holding(), `${name} ${kill}`).toEqual([])
      expect(plain(again, 'card')).toEqual(['', '', [], []])
    }
    return count
  }

  test.each(['bob', 'authority'] as const)(
    'leaves the old file or the new one, and opening finishes it (%s)',
    async (name) => {
      const all = await operations(name, Number.POSITIVE_INFINITY)
      expect(all).toBeGreaterThan(10)
      for (let kill = 0; kill < all; kill++) await operations(name, kill)
    },
    60_000,
  )
})

test('[E8] an audit accepts stripped content only under an entry, and tells of content that should be gone', async () => {
  const { lab, ada, erased } = await founded('audit')
  const { disk } = lab.device('authority')
  const simulated = lab.runtime('auditor')
  const runtime: Runtime = {
    now: () => simulated.now(),
    elapsed: () => simulated.elapsed(),
    timer: (ms, run) => simulated.timer(ms, run),
    random: (length) => simulated.random(length),
    hash: (bytes) => simulated.hash(bytes),
    generateKey: () => simulated.generateKey(),
    verify: (key, message, signature) => simulated.verify(key, message, signature),
  }
  const look = async (files: Map<string, Uint8Array>, since?: AuditReport): Promise<AuditReport> => {
    const source = {
      list: async () => [...files].map(([name, { length: size }]) => ({ name, size })),
      read: async (name: string, size: number) => (files.get(name) ?? new Uint8Array(0)).subarray(0, size),
    }
    const done = audit(source, { runtime, ...(since && { since }) })
    await lab.run(5_000)
    return done
  }
  const codes = ({ problems }: AuditReport): string[] => problems.map(({ code }) => code)
  const before = disk.stored()
  const earlier = await look(before)
  await erased(ada)
  const after = disk.stored()
  expect(codes(await look(after, earlier))).toEqual([])
  const { log } = boardOf(ada).pipeline
  const entry = log.entries.find(({ statement }) => statement.kind === 'erasure')
  const name = [...after.keys()].find(
    (one) => filesWith(lab, 'authority', [board]).includes(one) && one.endsWith('.log'),
  )
  const [file, old] = [after.get(name ?? ''), before.get(name ?? '')]
  if (entry === undefined || file === undefined || old === undefined) throw new Error('the log of the board')
  const { frames } = scan(file)
  const write = (kept: readonly Frame[]): Uint8Array =>
    concatBytes(...kept.map((one) => encodeFrame(one.kind, one.payload)))
  const without = new Map(after).set(
    name ?? '',
    write(frames.filter(({ payload }) => !equalBytes(payload, entry.bytes))),
  )
  expect(codes(await look(without))).toContain('NotErased')
  // As it was, and the entries since.
  const full = scan(old).frames
  const since = frames.filter(
    ({ kind, payload }) => kind === frameKinds.entry && !full.some((held) => equalBytes(held.payload, payload)),
  )
  const back = [...full, ...since]
  expect(codes(await look(new Map(after).set(name ?? '', write(back))))).toContain('ErasedContent')
})

test('[E4] [E5] schedules: nothing of what was erased comes back, and all show the same', async () => {
  const { violations, erased, through } = await erasures({ trials: 20, seed: 'road' })
  expect([violations, through]).toEqual([0, ''])
  expect(Number(erased)).toBeGreaterThan(10)
}, 60_000)

describe('[E5] a verdict that was given on content that is gone', () => {
  test('stands, for who had the content and for who never saw it', async () => {
    // What is written on a card without a title does not count.
    const titled: Rules = [
      read('/board/:id', () => true),
      write('/board/:id', ({ before }) => before === null || before['title'] !== ''),
      erase('/board/:id', () => true),
    ]
    const lab = new Lab('settled')
    await lab.authority({ rules: titled })
    const ada = await lab.join('ada', { rules: titled })
    boardOf(ada)
    await lab.run(500)
    const card = boardOf(ada).create(Card, { title: secret }, { key: 'card' })
    await lab.run(1_000)
    card.done = true
    await lab.run(1_000)
    const [commit = ''] = [...boardOf(ada).pipeline.commits.heads()].map(
      ({ id }) => boardOf(ada).pipeline.commits.get(id)?.prev ?? '',
    )
    const outcome = outcomeOf(boardOf(ada).eraseChanges([{ commit, key: 'card' }], 'asked for'))
    await lab.run(2_000)
    const bob = await lab.join('bob', { rules: titled })
    boardOf(bob)
    await lab.run(2_000)
    expect([outcome.current, cardOf(ada, 'card').title, cardOf(bob, 'card').title]).toEqual(['resolved', '', ''])
    expect([cardOf(ada, 'card').done, cardOf(bob, 'card').done]).toEqual([true, true])
    expect(ada.incidents.map(({ code }) => code)).not.toContain('NotAllowed')
  })
})
