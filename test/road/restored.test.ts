/** A server of which nobody knows how far its logs went: it was restored from a backup, and its landmarks are gone or as old. */
import { anonymous } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { board, Card, outcomeOf, type Replica } from './lab.ts'
import { boardOf, codes, epochsOf, ownerOf, rules, Town, titles } from './town.ts'

const forks = (...replicas: Replica[]): string[] =>
  replicas.flatMap(codes).filter((code) => code === 'LogForked' || code === 'NumberTwice' || code === 'EvidenceKept')

/** A board of which a backup was made, and what came after it. */
const scene = async (seed: string) => {
  const town = new Town(seed)
  const { lab } = town
  await town.start()
  const ada = await lab.join('ada', { rules })
  await town.acknowledged(ada, 'first')
  const eve = await lab.join('eve', { rules })
  boardOf(eve)
  await town.grant(ada, eve, 'editor')
  await lab.run(1_000)
  const [backup, time] = [town.backup(), lab.runtime('clock').now()]
  await lab.run(1_000)
  lab.disconnect('eve')
  await town.acknowledged(ada, 'second')
  return { town, lab, ada, eve, backup, time }
}

const accepted = async ({ lab, server }: Town, path?: string): Promise<string> => {
  const outcome = outcomeOf(server.database.acceptLoss(path))
  await lab.until(() => outcome.current !== 'pending')
  return outcome.current
}

describe('landmarks that are gone', () => {
  for (const mark of ['by weft restore', 'by a copy'])
    test(`[R9] [R10] a folder that was put back ${mark} signs nothing before the operator gives up what is missing, and then in a new epoch`, async () => {
      const { town, lab, ada, eve, backup, time } = await scene(mark)
      const before = boardOf(ada).pipeline.log.position
      await town.restore(backup, mark === 'by a copy' ? undefined : time)
      lab.device('landmarks').wipe()
      await town.start()
      lab.connect('ada')
      boardOf(ada).create(Card, { title: 'third' })
      await lab.run(60_000)
      const { database } = town.server
      expect(database.recovering).toMatchObject([
        { repository: '/sys', have: { epoch: 0, n: 0 }, want: null },
        { repository: board, have: { epoch: 0, n: before?.n }, want: null, missing: 0 },
      ])
      const revoked = outcomeOf(database.revoke({ owner: ownerOf(eve) }))
      const one = outcomeOf(database.acceptLoss(board))
      await lab.run(1_000)
      expect([revoked.current, one.current]).toEqual(['Recovering', 'Recovering'])
      expect([boardOf(ada).unacknowledged, titles(eve)]).toEqual([1, ['first']])
      expect(await accepted(town)).toBe('resolved')
      await lab.until(() => boardOf(ada).unacknowledged === 0, 3_000)
      lab.connect('eve')
      await lab.run(3_000)
      for (const one of [town.server, ada, eve]) {
        expect(titles(one)).toEqual(['first', 'second', 'third'])
        expect(epochsOf(one)).toEqual(epochsOf(ada))
        expect(one.database.root.position).toEqual(database.root.position)
      }
      expect(database.recovering).toEqual([])
      expect(database.root.position?.epoch).toBeGreaterThan(1_000_000)
      expect(boardOf(ada).pipeline.log.position?.epoch).toBe(database.root.position?.epoch)
      expect(forks(town.server, ada, eve)).toEqual([])
      // The next start is one like any other.
      await town.stop()
      await town.start()
      boardOf(town.server)
      lab.connect('ada')
      await lab.run(1_000)
      await town.acknowledged(ada, 'fourth')
      expect([town.server.database.recovering, codes(town.server)]).toEqual([[], []])
    })

  test('[R9] who was put out of the network stays out, when somebody brings that before it is given up', async () => {
    const { town, lab, ada, eve, backup, time } = await scene('brought')
    const { database } = town.server
    const done = outcomeOf(database.revoke({ owner: ownerOf(eve) }))
    await lab.until(() => done.current === 'resolved')
    await lab.run(1_000)
    await town.restore(backup, time)
    lab.device('landmarks').wipe()
    await town.start()
    lab.connect('eve')
    boardOf(eve).create(Card, { title: 'of Eve' })
    await lab.run(30_000)
    lab.connect('ada')
    await lab.run(1_000)
    expect(await accepted(town)).toBe('resolved')
    await lab.run(5_000)
    expect(town.server.database.root.hasEnded({ owner: ownerOf(eve) })).toBe(true)
    expect(boardOf(eve).barred?.code).toBe('Revoked')
    for (const one of [town.server, ada]) expect(titles(one)).toEqual(['first', 'second'])
    expect(forks(town.server, ada, eve)).toEqual([])
  })

  test('[R10] who was put out of the network is put out again, when somebody brings that after it was given up', async () => {
    const { town, lab, ada, eve, backup, time } = await scene('brought late')
    const ben = await lab.join('ben', { rules })
    boardOf(ben)
    await town.grant(ada, ben, 'owner')
    lab.disconnect('ben')
    const done = outcomeOf(town.server.database.revoke({ owner: ownerOf(eve) }))
    await lab.until(() => done.current === 'resolved')
    await lab.run(1_000)
    const known = ada.database.root.size
    await town.restore(backup, time)
    lab.device('landmarks').wipe()
    await town.start()
    lab.connect('eve')
    boardOf(eve).create(Card, { title: 'of Eve' })
    lab.connect('ben')
    await lab.run(5_000)
    expect(await accepted(town)).toBe('resolved')
    await lab.until(() => boardOf(eve).unacknowledged === 0)
    lab.connect('ada')
    await lab.run(5_000)
    const { root } = town.server.database
    expect(root.hasEnded({ owner: ownerOf(eve) })).toBe(true)
    expect(root.size).toBe(known + 1)
    expect(boardOf(eve).barred?.code).toBe('Revoked')
    await town.acknowledged(ada, 'after')
    for (const one of [town.server, ada, ben]) {
      // What Eve wrote meanwhile was acknowledged.
      expect(titles(one)).toEqual(['after', 'first', 'of Eve', 'second'])
      expect(one.database.root.position).toEqual(root.position)
      expect(one.database.root.lastEnd).toBe(root.lastEnd)
    }
    // Opened again it is the same.
    const closing = ada.database.close()
    await lab.run(100)
    await closing
    const again = await lab.client('ada', { rules })
    boardOf(again)
    await lab.run(5_000)
    expect(again.database.root.position).toEqual(root.position)
    expect(titles(again)).toEqual(['after', 'first', 'of Eve', 'second'])
    expect(forks(town.server, ada, eve, ben, again)).toEqual([])
  })

  test('[R9] a repository that came after the backup keeps its founder', async () => {
    const { town, lab, ada, eve, backup, time } = await scene('founded later')
    const path = '/board/later'
    const mine = ada.database.repository(path)
    mine.create(Card, { title: 'mine' })
    await lab.until(() => mine.unacknowledged === 0)
    await town.restore(backup, time)
    lab.device('landmarks').wipe()
    await town.start()
    lab.connect('eve')
    const squatted = eve.database.repository(path)
    squatted.create(Card, { title: 'squatted' })
    await lab.run(30_000)
    lab.connect('ada')
    await lab.run(2_000)
    expect(await accepted(town)).toBe('resolved')
    await lab.run(5_000)
    expect([mine.role, mine.unacknowledged, squatted.unacknowledged]).toEqual(['owner', 0, 1])
    const here = town.server.database.repository(path)
    expect([...here.pipeline.log.roles()]).toEqual([[ownerOf(ada), 'owner']])
    expect(here.query(Card).current?.map(({ title }) => title)).toEqual(['mine'])
    expect(forks(town.server, ada, eve)).toEqual([])
  })

  test('[R9] a repository that nobody had open when it was given up goes on in a new epoch when somebody asks for it', async () => {
    const { town, lab, ada, backup, time } = await scene('opened later')
    await town.restore(backup, time)
    lab.device('landmarks').wipe()
    await town.start()
    expect(await accepted(town)).toBe('resolved')
    await town.stop()
    await town.start()
    boardOf(ada).create(Card, { title: 'third' })
    const other = ada.database.repository('/board/new')
    other.create(Card, { title: 'new' })
    lab.connect('ada')
    await lab.until(() => other.unacknowledged === 0, 3_000)
    expect(town.server.database.recovering).toMatchObject([{ repository: board, want: null }])
    await lab.until(() => boardOf(ada).unacknowledged === 0, 15_000)
    expect(titles(town.server)).toEqual(['first', 'second', 'third'])
    expect(other.pipeline.log.position?.epoch).toBe(boardOf(ada).pipeline.log.position?.epoch)
    expect(forks(town.server, ada)).toEqual([])
  })

  test('[R9] one repository is given up by its path, whether somebody has it open or not', async () => {
    const { town, lab, ada, backup, time } = await scene('by its path')
    await town.restore(backup, time)
    lab.device('landmarks').wipe()
    await town.start()
    expect(await accepted(town, '/sys')).toBe('resolved')
    expect(await accepted(town, board)).toBe('resolved')
    expect(town.server.database.recovering).toEqual([])
    boardOf(ada).create(Card, { title: 'third' })
    lab.connect('ada')
    await lab.until(() => boardOf(ada).unacknowledged === 0, 5_000)
    expect(titles(town.server)).toEqual(['first', 'second', 'third'])
    expect(forks(town.server, ada)).toEqual([])
  })

  test('[R8] [R9] no number of a certificate is given twice', async () => {
    const { town, lab, ada, backup, time } = await scene('numbers again')
    const later = await lab.join('later', { rules })
    const given = later.database.sessions.map(({ number }) => number)
    await town.restore(backup, time)
    lab.device('landmarks').wipe()
    await town.start()
    const last = await lab.join('last', { rules })
    expect(given).toEqual([1])
    expect(last.database.sessions.map(({ number }) => number)).toEqual([1_002])
    expect(forks(town.server, ada, later, last)).toEqual([])
  })

  test('[R9] the key that came after the backup is in force as soon as somebody brings its entry', async () => {
    const { town, lab, ada, backup, time } = await scene('rotated')
    await town.stop()
    const [previousAuthority, key] = [lab.authorityKey, lab.key('second key')]
    lab.authorityKey = key
    await town.start({ previousAuthority })
    lab.connect('ada')
    await lab.run(2_000)
    await town.restore(backup, time)
    lab.device('landmarks').wipe()
    await town.start()
    expect(await accepted(town)).toBe('WrongKey')
    lab.connect('ada')
    await lab.run(2_000)
    expect(await accepted(town)).toBe('resolved')
    await town.acknowledged(ada, 'third')
    expect(titles(town.server)).toEqual(['first', 'second', 'third'])
    expect(forks(town.server, ada)).toEqual([])
  })

  test('[R9] with the option to accept losses it goes on by itself, after ten seconds', async () => {
    const { town, lab, ada, backup, time } = await scene('by itself')
    await town.restore(backup, time)
    lab.device('landmarks').wipe()
    await town.start({ acceptsLoss: true })
    boardOf(ada).create(Card, { title: 'third' })
    lab.connect('ada')
    await lab.run(5_000)
    expect(boardOf(ada).unacknowledged).toBe(1)
    await lab.until(() => boardOf(ada).unacknowledged === 0, 20_000)
    expect(titles(town.server)).toEqual(['first', 'second', 'third'])
  })
})

describe('landmarks that are as old as the folder', () => {
  test('[R9] are not believed where the folder says that it was restored', async () => {
    const { town, lab, ada, backup, time } = await scene('old landmarks')
    await town.stop()
    const old = lab.device('landmarks').disk.clone()
    await town.start()
    lab.connect('ada')
    await town.acknowledged(ada, 'third')
    await town.restore(backup, lab.runtime('clock').now())
    lab.device('landmarks').disk.restore(old)
    await town.start()
    expect(town.server.database.recovering).toMatchObject([{ repository: '/sys' }])
    lab.connect('ada')
    await lab.run(2_000)
    expect(await accepted(town)).toBe('resolved')
    await town.acknowledged(ada, 'fourth')
    expect(forks(town.server, ada)).toEqual([])
    expect(time).toBeGreaterThan(0)
  })

  test('[R1] [R9] are believed where they are newer than the backup: what is missing comes back without anybody', async () => {
    const { town, lab, ada, backup, time } = await scene('new landmarks')
    await town.restore(backup, time)
    await town.start()
    boardOf(ada).create(Card, { title: 'third' })
    lab.connect('ada')
    await lab.until(() => boardOf(ada).unacknowledged === 0, 5_000)
    expect(boardOf(ada).pipeline.log.position?.epoch).toBe(1)
    expect(town.server.database.root.position?.epoch).toBe(0)
  })

  for (const what of ['a commit', 'a revocation'])
    test(`[R9] give themselves away when somebody shows ${what} of later`, async () => {
      const { town, lab, ada, eve } = await scene(what)
      await town.stop()
      const [folder, landmarks] = [town.backup(), lab.device('landmarks').disk.clone()]
      await town.start()
      lab.connect('ada')
      await lab.run(1_000)
      if (what === 'a commit') await town.acknowledged(ada, 'third')
      else {
        const done = outcomeOf(town.server.database.revoke({ owner: ownerOf(eve) }))
        await lab.until(() => done.current === 'resolved')
        await lab.run(1_000)
      }
      // All of the machine is as it was, and nothing says so.
      await town.restore(folder)
      lab.device('landmarks').disk.restore(landmarks)
      await town.start()
      boardOf(town.server)
      await lab.run(1_000)
      expect(town.server.database.recovering).toEqual([])
      lab.connect('ada')
      await lab.run(2_000)
      expect(town.server.database.recovering).toMatchObject([{ repository: '/sys' }, { repository: board, want: null }])
      boardOf(ada).create(Card, { title: 'last' })
      await lab.run(30_000)
      expect(boardOf(ada).unacknowledged).toBe(1)
      // Also after the next start.
      await town.stop()
      await town.start()
      expect(town.server.database.recovering).toMatchObject([{ repository: '/sys' }])
      lab.connect('ada')
      await lab.run(2_000)
      expect(await accepted(town)).toBe('resolved')
      await lab.until(() => boardOf(ada).unacknowledged === 0, 3_000)
      expect(forks(town.server, ada)).toEqual([])
    })
})

test('a stranger who logs in meanwhile is told nothing', async () => {
  const { town, lab, backup, time } = await scene('stranger')
  await town.restore(backup, time)
  lab.device('landmarks').wipe()
  await town.start()
  const mallory = await lab.client('mallory', { rules })
  mallory.database.login(anonymous('mallory')).catch(() => undefined)
  boardOf(mallory)
  await lab.run(5_000)
  expect([titles(mallory), boardOf(mallory).pipeline.log.next]).toEqual([[], 0])
})
