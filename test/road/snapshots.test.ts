/**
 * Snapshots on real replicas in virtual time: a repository that is opened from one is what it is when its log is read from the first byte,
 * whatever happened to it, and goes on as that one does.
 */
import { activity, type Incident, keyOf, type Repository, type Rules, read, savedState, write } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { valuesOf } from '../../packages/engine/src/merge/values.ts'
import { Stream } from '../sim/random.ts'
import { boardOf, closed, codesIn, late, live, opened, rules, scene } from './drawn.ts'
import { Card, type Lab, outcomeOf, type Replica } from './lab.ts'

/** All that a repository is, but how far this device got with what is stored elsewhere. */
const shown = (repository: Repository, incidents: readonly Incident[]): unknown => {
  const { counting, pipeline } = repository
  const items = [...counting.items].flatMap(([, ofSchema]) =>
    [...ofSchema].map(([key, item]) => ({
      key,
      values: JSON.stringify(valuesOf(item.value(), item.schema)),
      heads: item.heads.map((index) => item.nameOf(index).id).sort(),
      live: item.liveHeads.map((index) => item.nameOf(index).id).sort(),
      changes: item.graph.nodes
        .map(({ id, refused, inapplicable, voided, erased }) => ({ id, refused, inapplicable, voided, erased }))
        .sort((a, b) => (a.id < b.id ? -1 : 1)),
    })),
  )
  const cards = repository.query(Card).current ?? []
  return {
    items: items.sort((a, b) => (a.key < b.key ? -1 : 1)),
    commits: Array.from({ length: pipeline.commits.size }, (_, index) => pipeline.commits.idAt(index)),
    tips: [...pipeline.commits.heads()].map(({ chain, seq, id }) => `${chain} ${seq} ${id}`).sort(),
    entries: pipeline.log.entries.length,
    waiting: [...counting.waiting].map(([id, { why, changes }]) => `${id} ${why.code} ${changes.length}`).sort(),
    saved: cards.map((card) => `${keyOf(card)} ${savedState(card)}`).sort(),
    rejections: repository.rejections.map(({ commit, key, code }) => `${commit} ${key} ${code}`).sort(),
    open: [repository.unsaved, repository.unacknowledged],
    history: activity(repository, { limit: 1_000 }).map(({ commit }) => commit),
    told: incidents.map(({ code, about }) => `${code} ${about}`).sort(),
  }
}

/** What is shown with the snapshot that is there, and what is shown without it. */
const compared = async (lab: Lab, name: string, snapshot: string, end: 'close' | 'kill' = 'kill') => {
  const disk = lab.device(name).disk
  const whole = disk.clone()
  const looked = async (): Promise<{ logged: number; shelved: number; shown: unknown }> => {
    const replica = await opened(lab, name)
    const { logged } = boardOf(replica).pipeline.commits
    let shelved = 0
    for (const ofSchema of boardOf(replica).counting.items.values())
      for (const key of ofSchema.keys()) if (ofSchema.look(key) !== undefined) shelved++
    const seen = shown(boardOf(replica), replica.incidents)
    if (end === 'close') await closed(lab, replica)
    else lab.kill(name)
    return { logged, shelved, shown: seen }
  }
  const quick = await looked()
  disk.restore(whole)
  await disk.files().remove(snapshot)
  const slow = await looked()
  expect(slow.logged).toBe(0)
  disk.restore(whole)
  return { quick, slow }
}

describe('a snapshot', () => {
  for (let seed = 0; seed < 12; seed++)
    test(`holds what the log says, drawn with seed ${seed}`, async () => {
      const { lab, people, snapshot } = await scene(`snapshots ${seed}`)
      const stream = new Stream(`snapshots ${seed}`, 'steps')
      await live(lab, people, stream, 60)
      const [ada] = people
      if (ada === undefined) throw new Error('nobody')
      await closed(lab, ada)
      const { quick, slow } = await compared(lab, 'ada', snapshot)
      expect(quick.logged).toBeGreaterThan(10)
      expect(quick.shelved).toBeGreaterThan(0)
      expect(quick.shown).toEqual(slow.shown)
    })

  for (let seed = 0; seed < 6; seed++)
    test(`goes on as the log does, with what comes behind it, seed ${seed}`, async () => {
      const { lab, people, authority, snapshot } = await scene(`behind ${seed}`)
      const stream = new Stream(`behind ${seed}`, 'steps')
      await live(lab, people, stream, 40)
      const [ada, bob] = people
      if (ada === undefined || bob === undefined) throw new Error('nobody')
      await closed(lab, ada)
      // Somebody's access ends while she is away, or something of theirs.
      await live(lab, [bob], stream, 10)
      if (seed % 3 === 1) await authority.database.revoke({ owner: bob.database.person?.owner ?? '' }, 'left')
      if (seed % 3 === 2) {
        const theirs = activity(boardOf(authority), { limit: 1 })[0]
        const outcome = outcomeOf(boardOf(authority).grant(theirs?.owner ?? '', null))
        await lab.run(1_000)
        expect(outcome.current).not.toBe('pending')
      }
      const again = await lab.join('ada', { rules })
      await lab.run(2_000)
      await live(lab, [again, bob], stream, 10)
      lab.kill('ada')
      lab.disconnect('bob')
      const { quick, slow } = await compared(lab, 'ada', snapshot)
      // Where only checkpoints came behind it, the snapshot is used.
      if (seed % 3 === 0) expect(quick.logged).toBeGreaterThan(10)
      expect(quick.shown).toEqual(slow.shown)
    })

  test('is one or none, wherever making it was cut short', async () => {
    const { lab, people, snapshot } = await scene('cut short')
    await live(lab, people, new Stream('cut short', 'steps'), 40)
    const [ada] = people
    if (ada === undefined) throw new Error('nobody')
    const disk = lab.device('ada').disk
    await disk.files().remove(snapshot)
    const before = disk.clone()
    let cases = 0
    for (let at = 0; ; at++) {
      const faults = lab.faults('ada')
      faults.operation = undefined
      lab.kill('ada')
      disk.restore(before)
      const replica = await opened(lab, 'ada')
      let calls: number | undefined
      let died = false
      faults.operation = (what) => {
        if (calls !== undefined) calls++
        else if (what === `open ${snapshot}`) calls = 0
        died ||= calls === at
        return !died
      }
      void replica.database.close()
      await lab.run(500)
      faults.operation = undefined
      lab.kill('ada')
      const { quick, slow } = await compared(lab, 'ada', snapshot)
      expect(quick.shown, `call ${at}`).toEqual(slow.shown)
      cases++
      if (!died) break
    }
    expect(cases).toBeGreaterThan(3)
  })
})

describe('a snapshot is of one moment', () => {
  test('also where something is edited while it is written', async () => {
    const { lab, people, snapshot } = await scene('edited meanwhile')
    await live(lab, people, new Stream('edited meanwhile', 'steps'), 40)
    const [ada] = people
    if (ada === undefined) throw new Error('nobody')
    await closed(lab, ada)
    await lab.device('ada').disk.files().remove(snapshot)
    const again = await opened(lab, 'ada')
    const repository = boardOf(again)
    let [edits, isMade] = [0, false]
    lab.faults('ada').operation = (what) => {
      isMade ||= edits > 0 && what === 'sync names'
      if (what === `open ${snapshot}`) {
        for (const card of repository.query(Card).current ?? []) card.notes.insert(0, `edit ${edits++} `)
        repository.flush()
      }
      return true
    }
    await lab.until(() => isMade)
    await lab.run(10)
    lab.faults('ada').operation = undefined
    expect(edits).toBeGreaterThan(0)
    lab.kill('ada')
    const { quick, slow } = await compared(lab, 'ada', snapshot)
    expect(quick.logged).toBeGreaterThan(10)
    expect(slow.shelved).toBe(0)
    expect(quick.shown).toEqual(slow.shown)
  })
})

test('a snapshot is of use until the next one is there: who dies before that opens by it', async () => {
  const { lab, people, snapshot } = await scene('died meanwhile')
  await live(lab, people, new Stream('died meanwhile', 'steps'), 40)
  const [ada] = people
  if (ada === undefined) throw new Error('nobody')
  await closed(lab, ada)
  const size = async (): Promise<number | undefined> => {
    const file = await lab.device('ada').disk.files().open(snapshot, false)
    return file?.size()
  }
  const before = await size()
  expect(before).toBeGreaterThan(0)
  const again = await opened(lab, 'ada')
  const { logged } = boardOf(again).pipeline.commits
  let [isMaking, isDead] = [false, false]
  lab.faults('ada').operation = (what) => {
    // What is edited now is stored while the snapshot is made.
    isDead ||= isMaking && what === 'write'
    if (what === `open ${snapshot}` && !isMaking) {
      isMaking = true
      for (const card of boardOf(again).query(Card).current ?? []) card.notes.insert(0, 'last ')
      boardOf(again).flush()
    }
    return !isDead
  }
  for (let step = 0; step < 200 && !isMaking; step++) {
    for (const card of boardOf(again).query(Card).current ?? []) card.notes.insert(0, `step ${step} `)
    await lab.run(step % 40 === 39 ? 5_000 : 400)
  }
  await lab.until(() => isDead)
  // What the system keeps of a process that was killed.
  expect(await size()).toBe(before)
  lab.faults('ada').operation = undefined
  lab.kill('ada')
  const { quick, slow } = await compared(lab, 'ada', snapshot)
  expect(quick.logged).toBe(logged)
  expect(quick.shown).toEqual(slow.shown)
})

describe('a snapshot is not used', () => {
  const closedScene = async (seed: string) => {
    const found = await scene(seed)
    await live(found.lab, found.people, new Stream(seed, 'steps'), 40)
    const [ada, bob] = found.people
    if (ada === undefined || bob === undefined) throw new Error('nobody')
    await closed(found.lab, ada)
    return { ...found, ada, bob, disk: found.lab.device('ada').disk }
  }
  const loggedBy = async (lab: Lab, more: { rules?: Rules } = {}): Promise<{ logged: number; codes: string[] }> => {
    const replica = await opened(lab, 'ada', more)
    const found = {
      logged: boardOf(replica).pipeline.commits.logged,
      codes: replica.incidents.map(({ code }) => code),
    }
    lab.kill('ada')
    return found
  }

  test('where a byte of it or of its log is another: damage is told as without one', async () => {
    const { lab, disk, log, snapshot } = await closedScene('damage')
    const whole = disk.clone()
    expect((await loggedBy(lab)).logged).toBeGreaterThan(10)
    for (const name of [log, snapshot]) {
      disk.restore(whole)
      const size = disk.find(name)?.cached.size ?? 0
      expect(size).toBeGreaterThan(500)
      for (let step = 0; step < 12; step++) {
        disk.restore(whole)
        // Not the last frame of the log: what is torn there is cut.
        const at = Math.floor(((step + 0.5) * size * (name === log ? 0.6 : 1)) / 12)
        const file = await disk.files().open(name, false)
        const [byte = 0] = (await file?.read(at, 1)) ?? []
        await file?.write(at, Uint8Array.of(byte ^ 4))
        const { logged, codes } = await loggedBy(lab)
        expect([name, at, logged]).toEqual([name, at, 0])
        expect(codes.includes('LogCorrupt')).toBe(name === log)
      }
    }
  })

  test('by an app with other rules', async () => {
    const { lab } = await closedScene('other rules')
    const others: Rules = [read('/board/:id', () => true), write('/board/:id', ({ after }) => after !== null)]
    expect((await loggedBy(lab, { rules: others })).logged).toBe(0)
    expect((await loggedBy(lab)).logged).toBeGreaterThan(10)
  })

  const cardsOf = (replica: Replica): unknown =>
    JSON.parse(JSON.stringify(boardOf(replica).query(Card).orderBy('points').current ?? []))

  const erasing = async (seed: string) => {
    const found = await closedScene(seed)
    const { lab, bob } = found
    const ada = await lab.join('ada', { rules })
    boardOf(ada)
    await lab.run(1_000)
    expect(boardOf(ada).pipeline.commits.logged).toBeGreaterThan(10)
    const [card] = boardOf(bob).query(Card).current ?? []
    if (card === undefined) throw new Error('no card')
    return { ...found, ada, card }
  }

  test('once content was erased: nothing of it is left', async () => {
    const { lab, authority, ada, bob, card, snapshot } = await erasing('erased')
    const outcome = outcomeOf(boardOf(bob).erase(card, 'asked for'))
    await lab.run(5_000)
    expect(outcome.current).toBe('resolved')
    for (const { name } of [authority, ada, bob]) {
      const { disk } = lab.device(name)
      const sizes = [disk.find(snapshot)?.cached.size ?? 0, disk.storedFile(snapshot)?.length ?? 0]
      expect([name, ...sizes]).toEqual([name, 0, 0])
    }
    // Everything was counted again, from the first commit on.
    expect(cardsOf(ada)).toEqual(cardsOf(bob))
  })

  test('nor where the process died before it could be removed', async () => {
    const { lab, bob, card, snapshot } = await erasing('erased and killed')
    const faults = lab.faults('ada')
    let died = false
    faults.operation = (what) => {
      died ||= what === `open ${snapshot}`
      return !died
    }
    void boardOf(bob).erase(card, 'asked for')
    await lab.run(5_000)
    expect(died).toBe(true)
    faults.operation = undefined
    lab.kill('ada')
    const again = await opened(lab, 'ada')
    expect(boardOf(again).pipeline.commits.logged).toBe(0)
    expect(cardsOf(again)).toEqual(cardsOf(bob))
    expect(lab.device('ada').disk.find(snapshot)?.cached.size ?? 0).toBe(0)
  })
})

describe('a snapshot with what somebody wrote whose access ended since', () => {
  const titleIn = (replica: Replica): unknown => boardOf(replica).item(Card, 'card0')?.title

  test('[V1] has it wait until the log of the repository knows, as who reads that has it', async () => {
    const { lab, snapshot, ended, id } = await late('left')
    await Promise.all([ended(), lab.run(1_000)])
    const away = await lab.join('ada', { rules })
    await lab.run(500)
    expect(away.database.root.size).toBe(2)
    await closed(lab, away)
    const { quick, slow } = await compared(lab, 'ada', snapshot)
    expect(quick.logged).toBe(2)
    expect(quick.shown).toEqual(slow.shown)
    const undecided = await opened(lab, 'ada')
    expect([codesIn(undecided, id), titleIn(undecided)]).toEqual([['Undecided'], 'first 0'])
    lab.kill('ada')
    const there = await lab.join('ada', { rules })
    boardOf(there)
    await lab.until(() => codesIn(there, id).includes('RevokedBeforeSync'))
    lab.kill('ada')
    const { quick: later, slow: read } = await compared(lab, 'ada', snapshot)
    expect(later.logged).toBe(2)
    expect(later.shown).toEqual(read.shown)
    const decided = await opened(lab, 'ada')
    expect([codesIn(decided, id), titleIn(decided)]).toEqual([['RevokedBeforeSync'], 'first 0'])
  })

  test('[V1] also where the snapshot was made between the two', async () => {
    const { lab, authority, snapshot, ended, id } = await late('between')
    const there = await lab.client('ada', { rules })
    lab.disconnect('ada')
    boardOf(there)
    await lab.run(500)
    expect(titleIn(there)).toBe('late')
    // The authority says no more than that: what becomes of the board is still to be signed.
    let entries = 0
    authority.faults.sign = (message) => {
      const isEntry = new TextDecoder().decode(message).startsWith('weft/entry')
      return isEntry && entries++ > 0 ? new Promise<void>(() => undefined) : undefined
    }
    outcomeOf(ended())
    await lab.run(1_000)
    lab.connect('ada')
    await lab.until(() => there.database.root.size === 2)
    for (let step = 0; step < 40; step++) boardOf(there).create(Card, { title: `second ${step}` })
    await lab.run(500)
    await closed(lab, there)
    const { quick, slow } = await compared(lab, 'ada', snapshot)
    expect(quick.logged).toBe(3)
    expect(quick.shown).toEqual(slow.shown)
    expect(codesIn(await opened(lab, 'ada'), id)).toEqual(['Undecided'])
  })
})
