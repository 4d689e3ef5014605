/** A server that lost its disk, or got an older one back: what clients bring it, what it does meanwhile, and what is lost where nobody has it. */
import { anonymous, saved } from '@weft-db/engine'
import { describe, expect, test, vi } from 'vitest'
import { Turns } from '../../packages/engine/src/replica/turns.ts'
import { board, Card, type Lab, outcomeOf, type Replica } from './lab.ts'
import { boardOf, codes, epochsOf, ownerOf, rules, Town, titles } from './town.ts'

const quiet = 15_000

describe('a wiped server', () => {
  test('[R2] [R3] takes everything back from one client, acknowledges nothing until then, and goes on in a new epoch', async () => {
    const town = new Town('one client')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    const card = boardOf(ada).create(Card, { title: 'first' })
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    await lab.run(20_000)
    const before = boardOf(ada).pipeline.log.position
    const { network } = town.server.database
    await town.wipe()
    card.title = 'second'
    await town.start()
    expect(town.server.database.network).toBe(network)
    lab.connect('ada')
    await lab.run(500)
    expect(town.server.database.recovering).toMatchObject([{ repository: board, missing: 0 }])
    expect(ada.database.status.problem?.code).toBe('Recovering')
    const done = outcomeOf(saved(card, 'authority'))
    const asked = outcomeOf(boardOf(ada).grant('somebody', 'editor'))
    await lab.run(200)
    expect([done.current, asked.current]).toEqual(['pending', 'Recovering'])
    // The landmark says that there was no more.
    await lab.until(() => done.current === 'resolved', 2_000)
    await lab.run(1_000)
    expect(town.server.database.recovering).toEqual([])
    expect(ada.database.status.problem).toBe(undefined)
    expect(titles(town.server)).toEqual(['second'])
    const { entries } = boardOf(ada).pipeline.log
    expect(entries[(before?.n ?? 0) + 1]).toMatchObject({
      epoch: 1,
      prev: before?.hash,
      statement: { kind: 'epoch', lost: null },
    })
    expect([...codes(town.server), ...codes(ada)]).not.toContain('LogForked')
  })

  test('[R1] knows without anybody whose network it is, and who was put out of it', async () => {
    const town = new Town('root log')
    const { lab } = town
    await town.start()
    const eve = await lab.join('eve', { rules })
    const [owner, { network }] = [ownerOf(eve), town.server.database]
    const done = outcomeOf(town.server.database.revoke({ owner }))
    await lab.until(() => done.current === 'resolved')
    town.burn()
    await town.start()
    expect(town.server.database.network).toBe(network)
    expect(town.server.database.root.revokedAt({ session: '', owner })).toBe(1)
  })

  test('[R1] [R2] stays in recovery while nobody brings the end of an access, and shows what it has to nobody', async () => {
    const town = new Town('put out')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    boardOf(ada).create(Card, { title: 'first' })
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    const eve = await lab.join('eve', { rules })
    boardOf(eve)
    await town.grant(ada, eve, 'editor')
    await lab.until(() => titles(eve).length === 1)
    await lab.run(1_000)
    lab.disconnect('eve')
    await town.grant(ada, eve, null)
    await town.acknowledged(ada, 'second')
    town.burn()
    boardOf(ada).create(Card, { title: 'not for Eve' })
    await town.start()
    lab.connect('eve')
    await lab.run(60_000)
    expect(town.server.database.recovering).toHaveLength(1)
    lab.connect('ada')
    await lab.run(5_000)
    expect(titles(town.server)).toEqual(['first', 'not for Eve', 'second'])
    expect(titles(eve)).toEqual(['first'])
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    await lab.run(5_000)
    expect(titles(eve)).toEqual(['first'])
    expect(boardOf(eve).barred?.code).toBe('Revoked')
  })

  test('[R1] has the last entry of its log beside the key, though nobody else was shown it', async () => {
    const town = new Town('last entry')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    await town.acknowledged(ada, 'first')
    const { log } = boardOf(town.server).pipeline
    const [shown, before] = [boardOf(ada).pipeline.log, log.next]
    boardOf(ada).create(Card, { title: 'second' })
    // The commit is through, its checkpoint is on the way.
    await lab.until(() => boardOf(town.server).pipeline.commits.size === 2)
    lab.disconnect('ada')
    await lab.until(() => log.next > before)
    expect(shown.next).toBe(before)
    town.burn()
    await town.start()
    lab.connect('ada')
    await lab.until(() => boardOf(ada).unacknowledged === 0, 5_000)
    expect(epochsOf(ada)).toEqual([...Array.from({ length: before + 1 }, () => 0), 1])
    expect(titles(town.server)).toEqual(['first', 'second'])
  })

  test('[R4] [R5] leaves out what comes too late, acknowledges its commits anew, and accuses nobody of a fork', async () => {
    const town = new Town('late')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    boardOf(ada).create(Card, { title: 'first' })
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    const ben = await lab.join('ben', { rules })
    boardOf(ben)
    await town.grant(ada, ben, 'editor')
    await lab.run(20_000)
    boardOf(ada).create(Card, { title: 'kept' })
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    await lab.run(500)
    lab.disconnect('ben')
    for (const title of ['late', 'later']) await town.acknowledged(ada, title)
    town.burn()
    await town.start()
    lab.connect('ben')
    await lab.run(quiet)
    expect(town.server.database.recovering).toHaveLength(1)
    town.server.database.acceptLoss()
    boardOf(ben).create(Card, { title: 'of Ben' })
    await lab.until(() => boardOf(ben).unacknowledged === 0)
    lab.connect('ada')
    await lab.run(5_000)
    expect(codes(ada)).toContain('EpochLost')
    for (const one of [ada, ben, town.server]) {
      expect(titles(one)).toEqual(['first', 'kept', 'late', 'later', 'of Ben'])
      expect(epochsOf(one)).toEqual(epochsOf(town.server))
      expect(codes(one)).not.toContain('LogForked')
    }
    expect([boardOf(ada).unacknowledged, boardOf(ben).unacknowledged]).toEqual([0, 0])
    // Opened again it is the same.
    const closing = ada.database.close()
    await lab.run(100)
    await closing
    const again = await lab.client('ada', { rules })
    boardOf(again)
    await lab.run(5_000)
    expect([titles(again), boardOf(again).unacknowledged]).toEqual([['first', 'kept', 'late', 'later', 'of Ben'], 0])
    expect(epochsOf(again)).toEqual(epochsOf(town.server))
  })

  test('[R6] admits what was acknowledged though the certificate has run out since', async () => {
    const town = new Town('run out')
    const { lab } = town
    await town.start({ certificateLife: 3_600_000 })
    const ada = await lab.join('ada', { rules })
    boardOf(ada).create(Card, { title: 'first' })
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    const ben = await lab.join('ben', { rules })
    boardOf(ben)
    await town.grant(ada, ben, 'owner')
    await lab.run(20_000)
    lab.disconnect('ada')
    await town.wipe()
    await lab.run(3_600_000)
    await town.start({ certificateLife: 3_600_000 })
    lab.connect('ben')
    ben.database.login(anonymous('ben')).catch(() => undefined)
    await lab.run(quiet)
    boardOf(ben).create(Card, { title: 'of Ben' })
    await lab.until(() => boardOf(ben).unacknowledged === 0)
    expect(titles(town.server)).toEqual(['first', 'of Ben'])
  })

  test('[R8] gives no number twice', async () => {
    const town = new Town('numbers')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    const given = ada.database.sessions.map(({ number }) => number)
    await lab.run(20_000)
    await town.wipe()
    await town.start()
    const ben = await lab.join('ben', { rules })
    expect(given).toEqual([1])
    expect(ben.database.sessions.map(({ number }) => number)).toEqual([1_002])
  })

  test('[R3] goes on without what nobody brings, by the word of whoever runs it, and the log says what is lost', async () => {
    const town = new Town('accepted')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    boardOf(ada).create(Card, { title: 'first' })
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    const ben = await lab.join('ben', { rules })
    boardOf(ben)
    await town.grant(ada, ben, 'owner')
    await lab.run(1_000)
    lab.disconnect('ben')
    for (const title of ['lost', 'lost too']) await town.acknowledged(ada, title)
    await lab.run(1_000)
    const want = boardOf(ada).pipeline.position
    await town.wipe()
    await town.start()
    lab.connect('ben')
    await lab.run(60_000)
    expect(town.server.database.recovering).toMatchObject([{ want: { epoch: 0, n: want?.n } }])
    town.server.database.acceptLoss()
    boardOf(ben).create(Card, { title: 'of Ben' })
    await lab.until(() => boardOf(ben).unacknowledged === 0)
    const begun = boardOf(ben).pipeline.log.entries.find(({ statement }) => statement.kind === 'epoch')
    expect(begun?.statement).toMatchObject({ lost: { epoch: 0, n: want?.n } })
    expect(codes(town.server)).toContain('EpochLost')
    expect(titles(town.server)).toEqual(['first', 'of Ben'])
  })

  test('[R3] the founder stays, where all of a repository is given up', async () => {
    const town = new Town('all given up')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    await town.acknowledged(ada, 'first')
    const eve = await lab.join('eve', { rules })
    boardOf(eve)
    await town.grant(ada, eve, 'editor')
    await town.acknowledged(ada, 'second')
    await lab.run(1_000)
    await town.wipe()
    await town.start()
    const { database } = town.server
    // Nobody has it open: it is given up all the same.
    await database.acceptLoss()
    await town.stop()
    await town.start()
    const mallory = await lab.join('mallory', { rules })
    boardOf(mallory).create(Card, { title: 'mine' })
    await lab.run(15_000)
    const { log } = boardOf(town.server).pipeline
    expect([...log.roles()]).toEqual([[ownerOf(ada), 'owner']])
    expect([titles(town.server), boardOf(mallory).unacknowledged]).toEqual([[], 1])
    lab.connect('ada')
    await town.acknowledged(ada, 'third')
    expect(titles(ada)).toEqual(['first', 'second', 'third'])
    expect(epochsOf(ada)).not.toContain(0)
    expect([...codes(ada), ...codes(town.server)]).not.toContain('LogForked')
  })

  test('founds a repository that never was while it waits for others', async () => {
    const town = new Town('another')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    boardOf(ada).create(Card, { title: 'first' })
    await lab.run(20_000)
    await town.wipe()
    await town.start()
    const eve = await lab.join('eve', { rules })
    boardOf(eve).create(Card, { title: 'mine' })
    const other = eve.database.repository('/board/other')
    other.create(Card, { title: 'new' })
    await lab.run(60_000)
    expect([other.unacknowledged, boardOf(eve).unacknowledged]).toEqual([0, 1])
    lab.connect('ada')
    await lab.run(60_000)
    expect(boardOf(ada).unacknowledged).toBe(0)
    expect(titles(ada)).toEqual(['first'])
    expect(boardOf(ada).role).toBe('owner')
  })
})

describe('who brings it', () => {
  type Scene = { readonly town: Town; readonly lab: Lab; readonly ada: Replica; readonly cleo: Replica }

  /** Three people with the same board, and a server that lost it. `brought`: how many commits came to it so far. */
  const wiped = async (seed: string, at: (on: Scene) => Promise<void> = async () => undefined) => {
    const town = new Town(seed)
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    const [ben, cleo] = [await lab.join('ben', { rules }), await lab.join('cleo', { rules })]
    const others = [ben, cleo]
    boardOf(ada).create(Card, { title: 'first' })
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    for (const one of others) {
      boardOf(one)
      await town.grant(ada, one, 'editor')
    }
    for (let step = 0; step < 40; step++) boardOf(ada).transact(() => boardOf(ada).create(Card, { title: `${step}` }))
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    await at({ town, lab, ada, cleo })
    await lab.run(20_000)
    await town.wipe()
    await town.start()
    const { pipeline } = boardOf(town.server)
    const receive = pipeline.receive.bind(pipeline)
    let brought = 0
    Object.assign(pipeline, {
      receive: (...[origin, received, ...rest]: Parameters<typeof receive>) => {
        brought += received.commits.length
        return receive(origin, received, ...rest)
      },
    })
    await lab.run(500)
    return { town, lab, ada, people: [ada, ...others], held: 41, brought: () => brought }
  }

  const isBack = (town: Town): boolean => town.server.database.recovering.length === 0

  test('[R2] one after the other, so that nothing comes twice', async () => {
    const { town, lab, people, held, brought } = await wiped('in turn')
    for (const { name } of people) lab.connect(name)
    await lab.until(() => isBack(town), 3_000)
    await lab.run(5_000)
    expect(brought()).toBe(held)
    for (const one of [town.server, ...people]) expect(boardOf(one).pipeline.commits.size).toBe(held)
    expect(people.map((one) => boardOf(one).unacknowledged)).toEqual([0, 0, 0])
  })

  test('[R2] whoever stalls holds it up for 2 s', async () => {
    const { town, lab, ada, people, held } = await wiped('stalled')
    // She says that she has all of it, and sends nothing.
    const { commits } = boardOf(ada).pipeline
    const get = commits.get.bind(commits)
    Object.assign(commits, { get: () => undefined })
    const { log } = boardOf(ada).pipeline
    for (const { name } of people) lab.connect(name)
    await lab.run(1_500)
    expect([isBack(town), boardOf(town.server).pipeline.commits.size, log.next > 0]).toEqual([false, 0, true])
    await lab.until(() => isBack(town), 3_000)
    expect(boardOf(town.server).pipeline.commits.size).toBe(held)
    Object.assign(commits, { get })
  })

  test('[R2] who waits still when it is over is answered then', async () => {
    const { town, lab, ada, people } = await wiped('over early', async ({ lab, ada, cleo, town }) => {
      lab.disconnect('cleo')
      await town.grant(ada, cleo, null)
      await town.acknowledged(ada, 'neither')
    })
    const [, ben, cleo] = people
    if (ben === undefined || cleo === undefined) throw new Error('nobody')
    // The first one's turn does not end before that.
    const waiting: (() => void)[] = []
    let turns = 0
    const next = vi
      .spyOn(Turns.prototype, 'next')
      .mockImplementation(() => new Promise((resolve) => (turns++ === 0 ? resolve() : void waiting.push(resolve))))
    const end = vi.spyOn(Turns.prototype, 'end').mockImplementation(() => {
      for (const go of waiting.splice(0)) go()
    })
    try {
      for (const { name } of people) lab.connect(name)
      await lab.run(500)
      expect([isBack(town), waiting.length]).toEqual([false, 2])
      await lab.until(() => [ada, ben].every((one) => epochsOf(one).includes(1)), 5_000)
      // The log that Ada brought says that she put Cleo out.
      boardOf(ada).create(Card, { title: 'not for Cleo' })
      await lab.run(5_000)
      expect([boardOf(cleo).barred?.code, titles(ben).length, titles(cleo).length]).toEqual(['Revoked', 43, 41])
    } finally {
      next.mockRestore()
      end.mockRestore()
    }
  })
})

describe('an older copy of the folder', () => {
  test('[R1] [R3] is brought up to where the log was, in a new epoch', async () => {
    const town = new Town('older')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    boardOf(ada).create(Card, { title: 'first' })
    await lab.run(20_000)
    const backup = town.backup()
    boardOf(ada).create(Card, { title: 'second' })
    await lab.run(20_000)
    await town.stop()
    lab.device('authority').disk.restore(backup)
    await town.start()
    boardOf(town.server)
    await lab.run(1_000)
    expect(town.server.database.recovering).toHaveLength(1)
    lab.connect('ada')
    await lab.run(quiet)
    boardOf(ada).create(Card, { title: 'third' })
    await lab.until(() => boardOf(ada).unacknowledged === 0)
    expect(titles(town.server)).toEqual(['first', 'second', 'third'])
    expect(new Set(epochsOf(ada))).toEqual(new Set([0, 1]))
    expect([...codes(ada), ...codes(town.server)]).not.toContain('LogForked')
  })

  test('[R7] signs nothing for a log of which a peer says to have more, until that came or is late', async () => {
    const town = new Town('claims')
    const { lab } = town
    await town.start()
    const ada = await lab.join('ada', { rules })
    boardOf(ada).create(Card, { title: 'first' })
    await lab.run(20_000)
    const backup = town.backup()
    const second = boardOf(ada).create(Card, { title: 'second' })
    const done = outcomeOf(saved(second, 'authority'))
    await lab.until(() => done.current === 'resolved')
    // Before the landmark went on.
    await town.restore(backup)
    await town.start()
    boardOf(ada).create(Card, { title: 'third' })
    lab.connect('ada')
    await lab.run(60_000)
    expect(boardOf(ada).unacknowledged).toBe(0)
    expect(codes(town.server)).toContain('Recovering')
    expect([...codes(ada), ...codes(town.server)]).not.toContain('LogForked')
    // Whoever says so and brings nothing holds nobody up for long.
    const { pipeline } = boardOf(ada)
    const position = { epoch: 7, n: 900, hash: '7'.repeat(64) }
    Object.defineProperty(pipeline, 'position', { get: () => position, configurable: true })
    lab.disconnect('ada')
    await lab.run(1_000)
    lab.connect('ada')
    await lab.run(1_000)
    Reflect.deleteProperty(pipeline, 'position')
    const { log } = boardOf(town.server).pipeline
    const before = log.next
    boardOf(ada).create(Card, { title: 'fourth' })
    await lab.run(1_000)
    expect([titles(town.server).includes('fourth'), log.next]).toEqual([true, before])
    await lab.until(() => log.next > before, 10_000)
  })
})

describe('a server that ends at any call to its disks', () => {
  for (const cache of ['lost', 'kept'] as const)
    test(`[R1] has lost nothing when it starts again, where the cache of the system is ${cache}`, async () => {
      let [calls, completed] = [0, 0]
      for (let last = 0; last <= calls; last++) {
        const town = new Town(`call ${last}`)
        const { lab } = town
        await town.start()
        const ada = await lab.join('ada', { rules })
        await town.acknowledged(ada, 'first')
        const { log } = boardOf(ada).pipeline
        const faults = lab.faults('authority')
        calls = 0
        faults.operation = () => calls++ < last
        // Also a write that takes something away, and one that is kept while another waits.
        boardOf(ada).create(Card, { title: 'second' })
        await lab.run(300)
        boardOf(ada)
          .grant('ben', 'editor')
          .catch(() => undefined)
        boardOf(ada).create(Card, { title: 'third' })
        await lab.run(700)
        boardOf(ada)
          .grant('ben', null)
          .catch(() => undefined)
        await lab.run(700)
        lab.disconnect('ada')
        for (const name of ['authority', 'landmarks']) lab.device(name).crash({ cache, lock: 'released' })
        faults.operation = undefined
        const shown = [...log.entries]
        await town.start()
        boardOf(town.server)
        await lab.run(100)
        const { entries } = boardOf(town.server).pipeline.log
        if (entries.length > shown.length) completed++
        lab.connect('ada')
        await lab.until(() => boardOf(ada).unacknowledged === 0, 3_000)
        const why = `it ended at call ${last}`
        expect(
          entries.slice(0, shown.length).map(({ id }) => id),
          why,
        ).toEqual(shown.map(({ id }) => id))
        expect(new Set(epochsOf(ada)), why).toEqual(new Set([0]))
        expect([...codes(ada), ...codes(town.server)], why).not.toContain('Recovering')
        expect([...codes(ada), ...codes(town.server)], why).not.toContain('LogForked')
        expect(titles(town.server), why).toEqual(['first', 'second', 'third'])
      }
      expect(calls).toBeGreaterThan(15)
      expect(completed).toBeGreaterThan(2)
    })
})
