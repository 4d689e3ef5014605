/** Logging out on a device that dies or fails meanwhile: at every call, before and after it took effect, and all over again. */
import { Database, logName, StorageError, savedState, WeftError } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { rootPath } from '../../packages/engine/src/trust/entry.ts'
import { soundDisk } from '../sim/files.ts'
import { board, Card, diskFull, Note, outcomeOf, type Replica } from './lab.ts'
import { closed, type Meddle, meddled, name, type Prepared, prepare, startAda, whose } from './leaving.ts'

const never = new Promise<never>(() => undefined)

/** Kills the process at a call, before or after it took effect. From `armed` on calls are counted. */
const killer = (at: number, when: 'before' | 'after') => {
  const state = { armed: false, calls: 0 }
  const meddle: Meddle = async (call) => {
    if (!state.armed) return call()
    const number = state.calls++
    if (number > at || (number === at && when === 'before')) return never
    const result = await call()
    return number === at || state.calls > at + 1 ? never : result
  }
  return { state, meddle }
}

describe('a process that dies while a person logs out', () => {
  const calls = async (prepared: Prepared): Promise<number> => {
    prepared.restore()
    const { state, meddle } = killer(Number.POSITIVE_INFINITY, 'before')
    const ada = await startAda(prepared.lab, meddle)
    ada.database.repository(board)
    await prepared.lab.run(10)
    state.armed = true
    await ada.database.logout()
    const { calls: most } = state
    expect(await whose(prepared, ada, 'without a crash')).toBe('nobodys')
    await closed(prepared.lab, ada)
    return most
  }

  for (const when of ['before', 'after'] as const) {
    for (const cache of ['kept', 'lost'] as const) {
      test(`at any call, ${when} it took effect, its cache ${cache}: the device is hers or nobody's`, async () => {
        const prepared = await prepare(`killed ${when} ${cache}`)
        const { lab } = prepared
        const most = await calls(prepared)
        const seen: string[] = []
        for (let at = 0; at < most; at++) {
          const disk = prepared.restore()
          const { state, meddle } = killer(at, when)
          const ada = await startAda(lab, meddle)
          ada.database.repository(board)
          await lab.run(10)
          state.armed = true
          const outcome = outcomeOf(ada.database.logout())
          await lab.run(10)
          expect(outcome.current, `call ${at}`).toBe('pending')
          disk.crash({ cache, lock: 'released' })
          const again = await startAda(lab)
          seen.push(await whose(prepared, again, `call ${at}`))
          await closed(lab, again)
        }
        expect(seen[0]).toBe('hers')
        expect(seen.at(-1)).toBe('nobodys')
        // With what the system had cached, there is one call that decides.
        if (cache === 'kept') expect(seen).toEqual([...seen].sort())
        expect(seen.filter((one) => one === 'hers').length).toBeGreaterThan(3)
        expect(seen.filter((one) => one === 'nobodys').length).toBeGreaterThan(10)
      })
    }
  }

  test('and again while the next start ends the wipe', async () => {
    const prepared = await prepare('killed twice')
    const { lab } = prepared
    for (const when of ['before', 'after'] as const) {
      const seen: string[] = []
      for (let at = 0; ; at++) {
        const disk = prepared.restore()
        // The first time just after the marker is there.
        const ada = await startAda(lab, async (call) => (disk.find('logout') === undefined ? call() : never))
        void ada.database.logout()
        await lab.run(10)
        expect(disk.names()).toContain('logout')
        disk.crash({ cache: 'kept', lock: 'released' })
        const { state, meddle } = killer(at, when)
        state.armed = true
        const opening = new Database({
          schemas: [Card, Note],
          runtime: lab.runtime('ada'),
          storage: async () => ({ ...meddled(lab, meddle), mode: 'test', lasting: true }),
        })
        await lab.run(10)
        const isThrough = state.calls <= at
        disk.crash({ cache: at % 2 === 0 ? 'lost' : 'kept', lock: 'released' })
        const again = await startAda(lab)
        expect(opening.session).toBeUndefined()
        seen.push(await whose(prepared, again, `${when} call ${at}`))
        await closed(lab, again)
        if (isThrough) break
      }
      // Only a marker that the power took away at the very first calls leaves the device hers.
      expect(seen.filter((one) => one === 'nobodys').length, when).toBeGreaterThan(20)
      expect(seen.lastIndexOf('hers'), when).toBeLessThan(10)
    }
  })
})

describe('a disk that fails while a person logs out', () => {
  const isHers = async (prepared: Prepared, ada: Replica, about: string): Promise<void> => {
    expect(await whose(prepared, ada, about), about).toBe('hers')
    expect(prepared.lab.device('ada').disk.names(), about).not.toContain('logout')
    const card = ada.database.repository(board).create(Card, { title: 'goes on' })
    await prepared.lab.run(2_000)
    expect(savedState(card), about).toBe('local')
  }

  for (const failing of ['before', 'after'] as const) {
    test(`once, at any call, ${failing} it took effect: the logout is tried on, or has changed nothing`, async () => {
      const prepared = await prepare(`failed ${failing}`)
      const { lab } = prepared
      const seen = { resolved: 0, DiskError: 0 }
      for (let at = 0; ; at++) {
        const disk = prepared.restore()
        const state = { armed: false, calls: 0 }
        const ada = await startAda(lab, async (call) => {
          const fails = state.armed && state.calls++ === at
          if (fails && failing === 'before') throw new StorageError('DiskError', 'test')
          const result = await call()
          if (fails) throw new StorageError('DiskError', 'test')
          return result
        })
        ada.database.repository(board)
        await lab.run(10)
        state.armed = true
        const outcome = outcomeOf(ada.database.logout())
        await lab.until(() => outcome.current !== 'pending')
        state.armed = false
        if (outcome.current === 'resolved') {
          expect(await whose(prepared, ada, `call ${at}`)).toBe('nobodys')
          seen.resolved++
        } else {
          expect(outcome.current, `call ${at}`).toBe('DiskError')
          await isHers(prepared, ada, `call ${at}`)
          seen.DiskError++
        }
        const about = `after call ${at}`
        await closed(lab, ada)
        disk.crash({ cache: 'lost', lock: 'released' })
        const again = await startAda(lab)
        if (outcome.current === 'resolved') expect(await whose(prepared, again, about)).toBe('nobodys')
        else expect(again.database.session?.name, about).toBe(name)
        await closed(lab, again)
        if (state.calls <= at) break
      }
      expect(seen.resolved).toBeGreaterThan(20)
      expect(seen.DiskError).toBeGreaterThan(3)
    })
  }

  test('again and again, with the power going off right behind it', async () => {
    const prepared = await prepare('bad disk')
    const { lab } = prepared
    const seen = { resolved: 0, DiskError: 0 }
    for (let round = 0; round < 60; round++) {
      const disk = prepared.restore()
      const ada = await startAda(lab)
      ada.database.repository(board)
      await lab.run(10)
      disk.faults = { ...soundDisk, writeError: 0.1, syncError: 0.1, nameError: 0.1, shortWrite: 0.3 }
      const outcome = outcomeOf(ada.database.logout({ discard: true }))
      await lab.until(() => outcome.current !== 'pending', 10_000_000)
      disk.crash({ cache: 'lost', lock: 'released' })
      disk.faults = soundDisk
      const again = await startAda(lab)
      const expected = outcome.current === 'resolved' ? 'nobodys' : 'hers'
      expect(await whose(prepared, again, `round ${round}`), `round ${round}`).toBe(expected)
      if (outcome.current !== 'resolved') expect(outcome.current).toBe('DiskError')
      seen[outcome.current === 'resolved' ? 'resolved' : 'DiskError']++
      await closed(lab, again)
    }
    expect(Math.min(seen.resolved, seen.DiskError)).toBeGreaterThan(5)
  })

  test('a disk without room says so and everything is as it was; with room for the marker it is enough', async () => {
    const prepared = await prepare('full')
    const { lab } = prepared
    const disk = prepared.restore()
    const ada = await startAda(lab)
    ada.database.repository(board)
    await lab.run(10)
    const before = ada.database.repository(board)
    disk.faults = { ...soundDisk, capacity: disk.used }
    await expect(ada.database.logout()).rejects.toMatchObject({ code: 'DiskFull' })
    expect(ada.database.repository(board)).toBe(before)
    disk.faults = soundDisk
    await isHers(prepared, ada, 'full')
    await closed(lab, ada)

    const roomy = prepared.restore()
    const again = await startAda(lab)
    again.database.repository(board)
    await lab.run(10)
    const root = roomy.find(logName(rootPath, lab.runtime('ada')))?.cached.size ?? 0
    roomy.faults = { ...soundDisk, capacity: roomy.used + root }
    await again.database.logout()
    roomy.faults = soundDisk
    expect(await whose(prepared, again, 'roomy')).toBe('nobodys')
    await closed(lab, again)
  })

  test('says what is wrong while it tries on, and a replica that closes leaves the rest to its next start', async () => {
    const prepared = await prepare('closed meanwhile')
    const { lab } = prepared
    const disk = prepared.restore()
    const ada = await startAda(lab, async (call) => {
      if (disk.find('logout') !== undefined) throw diskFull()
      return call()
    })
    const outcome = outcomeOf(ada.database.logout())
    // The marker's name does not get through either, so it has to be taken back first.
    await lab.run(5_000)
    expect(outcome.current).toBe('pending')
    expect(ada.database.status.problem?.code).toBe('DiskFull')
    expect(ada.incidents.map(({ code }) => code)).toContain('DiskFull')
    expect(() => ada.database.repository(board).create(Card)).toThrow(WeftError)
    await closed(lab, ada)
    expect(outcome.current).toBe('Closed')
    disk.crash({ cache: 'kept', lock: 'released' })
    const again = await startAda(lab)
    expect(await whose(prepared, again, 'next start')).toBe('nobodys')
    await closed(lab, again)
  })
})
