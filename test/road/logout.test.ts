/** Logging out: nothing of the person stays, whatever goes wrong meanwhile, and no store ever holds two people's things. */
import {
  anonymous,
  type Credentials,
  Database,
  type File,
  type Files,
  type KeyStore,
  keyOf,
  type Login,
  lastChange,
  logName,
  onRead,
  type Readable,
  type SigningKey,
  StorageError,
  saved,
  savedState,
  subscribe,
  WeftError,
} from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { rootPath } from '../../packages/engine/src/trust/entry.ts'
import { type Disk, soundDisk } from '../sim/files.ts'
import { board, Card, diskFull, gate, Lab, Note, outcomeOf, type Replica } from './lab.ts'

const second = '/board/second'
const name = 'Adelaide Ampersand'
const title = 'the title that nobody else may read'
const others = 'what a colleague wrote'

/** Accounts, without a password. */
const accounts: Login = {
  method: 'account',
  check: async (credentials) => ({ owner: `account ${credentials}`, name: `person ${credentials}` }),
}
const account = (of: string): Credentials => ({ method: 'account', credentials: of })

const bytesOf = (disk: Disk): Buffer => {
  const all = [...disk.stored()].flatMap(([of, bytes]) => [Buffer.from(of), bytes])
  for (const of of disk.names()) all.push(Buffer.from(of), disk.find(of)?.cached.view ?? new Uint8Array(0))
  return Buffer.concat(all)
}

interface Prepared {
  readonly lab: Lab
  readonly secrets: readonly (string | Buffer)[]
  /** Puts the device back to when the person had closed the app. */
  readonly restore: () => Disk
}

/** A person who worked on two boards with a colleague, everything acknowledged, and every sort of file that a device may hold. */
const prepare = async (seed: string): Promise<Prepared> => {
  const lab = new Lab(seed)
  await lab.authority()
  const bob = await lab.join('bob')
  bob.database.repository(board).create(Card, { title: others })
  const ada = await lab.client('ada')
  void ada.database.login(anonymous(name))
  await lab.run(100)
  for (const path of [board, second]) ada.database.repository(path).create(Card, { title })
  await lab.run(2_000)
  const { session } = ada.database
  const device = lab.device('ada')
  const key = device.keys.get('session')
  if (session === undefined || key === undefined) throw new Error('nobody logged in')
  expect([ada.database.status.unsaved, ada.database.status.unacknowledged]).toEqual([0, 0])
  const owner = ada.database.person?.owner ?? ''
  const closing = ada.database.close()
  await lab.run(100)
  await closing
  lab.disconnect('ada')
  const log = logName(board, lab.runtime('ada'))
  for (const left of [`${log}.torn`, `${log}.new`, `evidence-${'0'.repeat(64)}.cbor`, 'evidence.new']) {
    const inode = device.disk.create(left)
    inode.change({ kind: 'write', offset: 0, bytes: Buffer.from(`${left} ${title}`) })
    inode.sync()
  }
  device.disk.syncNames()
  const secrets = [title, others, name, owner, Buffer.from(key.publicKey), Buffer.from(session.id, 'hex')]
  const stored = bytesOf(device.disk)
  for (const secret of secrets) expect(stored.includes(secret), `${secret} is there before`).toBe(true)
  const [backup, keys] = [device.disk.clone(), new Map(device.keys)]
  const restore = (): Disk => {
    device.disk.restore(backup)
    device.disk.faults = soundDisk
    device.keys.clear()
    for (const [of, one] of keys) device.keys.set(of, one)
    return device.disk
  }
  return { lab, secrets, restore }
}

/** What a test does to the calls of files and key store, by number. */
type Meddle = <Result>(call: () => Promise<Result>) => Promise<Result>

const meddled = (lab: Lab, meddle: Meddle): { files: Files; keys: KeyStore } => {
  const device = lab.device('ada')
  const files = device.disk.files()
  const keys = device.boot().keys
  const wrap = (file: File): File => ({
    size: () => meddle(() => file.size()),
    read: (offset, length) => meddle(() => file.read(offset, length)),
    write: (offset, bytes) => meddle(() => file.write(offset, bytes)),
    sync: () => meddle(() => file.sync()),
    truncate: (size) => meddle(() => file.truncate(size)),
    close: () => meddle(() => file.close()),
  })
  return {
    files: {
      open: async (of, create) => {
        const file = await meddle(() => files.open(of, create))
        return file && wrap(file)
      },
      list: () => meddle(() => files.list()),
      rename: (from, to) => meddle(() => files.rename(from, to)),
      remove: (of) => meddle(() => files.remove(of)),
      syncNames: () => meddle(() => files.syncNames()),
      lock: () => files.lock(),
    },
    keys: {
      load: (of) => meddle(() => keys.load(of)),
      save: (of, key) => meddle(() => keys.save(of, key)),
      remove: (of) => meddle(() => keys.remove(of)),
    },
  }
}

const plainly: Meddle = (call) => call()

/** Offline, as it is when the authority is away. */
const startAda = (lab: Lab, meddle: Meddle = plainly): Promise<Replica> =>
  lab.start('ada', { storage: async () => ({ ...meddled(lab, meddle), mode: 'test', lasting: true }), transports: [] })

/** Whose device it is; anything between is a failure. */
const whose = async ({ lab, secrets }: Prepared, { database }: Replica, about: string): Promise<'hers' | 'nobodys'> => {
  const device = lab.device('ada')
  await lab.run(10)
  expect(database.status.problem, about).toBeUndefined()
  const titles = async (path: string) => {
    const repository = database.repository(path)
    await lab.run(10)
    return repository.query(Card).current?.map((card) => card.title)
  }
  const shown = [...((await titles(board)) ?? []), ...((await titles(second)) ?? [])]
  if (database.session !== undefined) {
    expect(database.session.name, about).toBe(name)
    expect(device.keys.has('session'), about).toBe(true)
    expect(shown.sort(), about).toEqual([title, title, others].sort())
    return 'hers'
  }
  expect(shown, about).toEqual([])
  expect([...device.keys], about).toEqual([])
  const stored = bytesOf(device.disk)
  for (const secret of secrets) expect(stored.includes(secret), `${about}: ${secret}`).toBe(false)
  const root = logName(rootPath, lab.runtime('ada'))
  // A name whose removal did not last may be back, with nothing in it; a log that is opened is copied first.
  const full = device.disk.names().filter((of) => (device.disk.find(of)?.cached.size ?? 0) > 0)
  expect(
    full.filter((of) => of !== `${root}.new`),
    about,
  ).toEqual([root])
  expect(database.network, about).toBeDefined()
  return 'nobodys'
}

const closed = async (lab: Lab, { database }: Replica): Promise<void> => {
  const closing = database.close()
  await lab.run(100)
  await closing
}

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
      expect(
        seen.findLastIndex((one) => one === 'hers'),
        when,
      ).toBeLessThan(10)
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

describe('work that is not at the server', () => {
  const ready = async (seed: string) => {
    const lab = new Lab(seed)
    const authority = await lab.authority()
    const ada = await lab.join('ada')
    const repository = ada.database.repository(board)
    const card = repository.create(Card, { title })
    await lab.run(2_000)
    expect(savedState(card)).toBe('authority')
    return { lab, authority, ada, repository, card }
  }

  test('stops a logout, and everything is as it was; once it is there the logout is through', async () => {
    const { lab, authority, ada, repository, card } = await ready('unsynced')
    lab.disconnect('ada')
    card.title = 'offline'
    const logout = ada.database.logout()
    await expect(logout).rejects.toMatchObject({ code: 'Unsynced', about: board })
    await lab.run(2_000)
    await expect(ada.database.logout()).rejects.toMatchObject({ code: 'Unsynced' })
    expect([ada.database.repository(board), card.title, savedState(card)]).toEqual([repository, 'offline', 'local'])
    card.done = true
    lab.connect('ada')
    await lab.run(2_000)
    expect(savedState(card)).toBe('authority')
    await ada.database.logout()
    expect(authority.database.repository(board).item(Card, keyOf(card))?.title).toBe('offline')
    expect(bytesOf(lab.device('ada').disk).includes('offline')).toBe(false)
  })

  test('may be discarded', async () => {
    const { lab, ada, card } = await ready('discarded')
    lab.disconnect('ada')
    card.title = 'offline'
    ada.database.repository(second).create(Card, { title: 'a draft' })
    const waits = outcomeOf(saved(card, 'authority'))
    await ada.database.logout({ discard: true })
    expect([ada.database.session, ada.database.status.unsaved, waits.current]).toEqual([undefined, 0, 'Closed'])
    for (const secret of ['offline', 'a draft', title])
      expect(bytesOf(lab.device('ada').disk).includes(secret)).toBe(false)
  })

  test('is found in logs that nobody opened since the start, and sent', async () => {
    const { lab, authority, ada } = await ready('unopened')
    lab.disconnect('ada')
    const hidden = ada.database.repository(second).create(Card, { title: 'written offline' })
    await lab.run(2_000)
    expect(savedState(hidden)).toBe('local')
    await closed(lab, ada)
    const again = await lab.client('ada')
    await lab.run(1_000)
    expect(again.database.status.unacknowledged).toBe(0)
    await expect(again.database.logout()).rejects.toMatchObject({ code: 'Unsynced', about: second })
    await lab.run(2_000)
    expect(authority.database.repository(second).item(Card, keyOf(hidden))?.title).toBe('written offline')
    await again.database.logout()
    expect(again.database.session).toBeUndefined()
  })
})

describe('stores that closed tabs left', () => {
  const closedTab = async (seed: string, offline: boolean) => {
    const lab = new Lab(seed)
    const authority = await lab.authority()
    const tab = await lab.join('tab')
    const card = tab.database.repository(second).create(Card, { title: 'in the other tab' })
    await lab.run(2_000)
    if (offline) {
      lab.disconnect('tab')
      card.title = 'offline in the other tab'
      await lab.run(2_000)
    }
    await closed(lab, tab)
    const device = lab.device('tab')
    const files = device.disk.files()
    const others = async function* () {
      yield { files, keys: device.boot().keys, release: await files.lock() }
    }
    const own = meddled(lab, plainly)
    const storage = async () => ({ ...own, others, mode: 'test', lasting: true })
    const ada = await lab.join('ada', { storage })
    ada.database.repository(board).create(Card, { title })
    await lab.run(2_000)
    expect(bytesOf(device.disk).includes('in the other tab')).toBe(true)
    return { lab, authority, ada, device }
  }

  test('are wiped with the one that is open', async () => {
    const { lab, ada, device } = await closedTab('tab', false)
    await ada.database.logout()
    for (const disk of [device.disk, lab.device('ada').disk]) {
      for (const secret of [title, 'in the other tab', 'anonymous:']) expect(bytesOf(disk).includes(secret)).toBe(false)
      expect(disk.names()).toEqual([logName(rootPath, lab.runtime('ada'))])
    }
    expect(device.keys.size).toBe(0)
    const tab = await lab.client('tab')
    await lab.run(100)
    expect([tab.database.session, tab.database.network]).toEqual([undefined, ada.database.network])
  })

  test('and stop the logout, with nothing changed anywhere, when they hold work that was never sent', async () => {
    const { lab, authority, ada, device } = await closedTab('tab offline', true)
    await expect(ada.database.logout()).rejects.toMatchObject({ code: 'Unsynced', about: second })
    expect(ada.database.session?.name).toBe('ada')
    const tab = await lab.client('tab')
    tab.database.repository(second)
    await lab.run(2_000)
    const [sent] = authority.database.repository(second).query(Card).current ?? []
    expect(sent?.title).toBe('offline in the other tab')
    await closed(lab, tab)
    await ada.database.logout()
    expect([ada.database.session, device.keys.size]).toEqual([undefined, 0])
    expect(bytesOf(device.disk).includes('in the other tab')).toBe(false)
  })
})

describe('what an app still holds', () => {
  test("shows nothing, and refuses edits; what it asks for anew is the next person's", async () => {
    const lab = new Lab('held')
    const authority = await lab.authority()
    const ada = await lab.join('ada')
    const repository = ada.database.repository(board)
    const card = repository.create(Card, { title, notes: title, tags: [title] })
    await lab.run(2_000)
    const query = repository.query(Card)
    const told: unknown[] = []
    query.subscribe((items) => told.push(items.map((one) => one.title)))
    const heard: unknown[] = []
    subscribe(card, () => heard.push(card.title))
    let editor = card.notes.toString()
    card.notes.subscribe(({ splices }) => {
      for (const { at, remove, insert } of splices) editor = editor.slice(0, at) + insert + editor.slice(at + remove)
    })
    const before = ada.database.session
    const logout = ada.database.logout()
    const during = ada.database.repository('/board/during')
    await logout
    expect([ada.database.session, ada.database.person]).toEqual([undefined, undefined])
    expect(query.current).toEqual([])
    expect(repository.item(Card, keyOf(card))).toBeNull()
    expect([card.title, card.notes.toString(), [...card.tags], editor]).toEqual(['', '', [], ''])
    expect([told.at(-1), heard.at(-1)]).toEqual([[], ''])
    expect([lastChange(card), repository.members, repository.rejections]).toEqual([undefined, [], []])
    for (const edit of [
      () => repository.create(Card),
      () => repository.transact(() => undefined),
      () => {
        card.title = 'x'
      },
      () => card.notes.insert(0, 'x'),
      () => repository.restore(card),
    ])
      expect(edit).toThrow(expect.objectContaining({ code: 'Closed' }))
    await expect(saved(card, 'local')).rejects.toMatchObject({ code: 'Closed' })
    await expect(repository.invite('editor')).rejects.toMatchObject({ code: 'Closed' })
    expect(ada.database.certificates.get(before?.id ?? '')).toBeUndefined()

    const fresh = ada.database.repository(board)
    expect(fresh).not.toBe(repository)
    void ada.database.login(anonymous('Bea'))
    lab.connect('ada')
    await lab.run(2_000)
    expect(ada.database.session?.name).toBe('Bea')
    expect(ada.database.session?.id).not.toBe(before?.id)
    expect(fresh.query(Card).current?.map((one) => one.title)).toEqual([title])
    expect(query.current).toEqual([])
    const asked = ada.database.repository('/board/during')
    await lab.run(100)
    expect([asked === during, asked.pipeline.isOpen, during.pipeline.isOpen]).toEqual([false, true, false])
    const made = fresh.create(Card, { title: 'by Bea' })
    await lab.run(2_000)
    expect(savedState(made)).toBe('authority')
    expect(authority.database.repository(board).query(Card).current?.length).toBe(2)
    expect(ada.incidents.map(({ code }) => code)).toEqual([])
    expect(authority.incidents.map(({ code }) => code)).toEqual([])
  })

  test('is asked for anew by a view that read which repository it was', async () => {
    const lab = new Lab('view')
    await lab.authority()
    const ada = await lab.join('ada')
    const read: Readable[] = []
    const end = onRead((one) => read.push(one))
    const repository = ada.database.repository(board)
    end()
    let fresh = repository
    for (const one of read)
      one.subscribe(() => {
        fresh = ada.database.repository(board)
      })
    await ada.database.logout()
    expect(fresh).not.toBe(repository)
    expect(fresh).toBe(ada.database.repository(board))
  })

  test('cannot be edited from the moment the logout is decided, and can again when it is refused', async () => {
    const lab = new Lab('frozen')
    await lab.authority()
    const ada = await lab.join('ada')
    const card = ada.database.repository(board).create(Card, { title })
    await lab.run(2_000)
    const { promise, open } = gate()
    ada.faults.hold = promise
    const outcome = outcomeOf(ada.database.logout())
    await lab.run(10)
    expect(() => {
      card.title = 'lost'
    }).toThrow(expect.objectContaining({ code: 'Closed' }))
    ada.faults.sync = diskFull
    open()
    await lab.until(() => outcome.current !== 'pending')
    expect(outcome.current).toBe('DiskFull')
    ada.faults.sync = undefined
    card.title = 'kept'
    await lab.run(2_000)
    expect(savedState(card)).toBe('authority')
  })

  test('a login that waits gives way; one made meanwhile waits for the logout; two logouts are one after the other', async () => {
    const lab = new Lab('meanwhile')
    await lab.authority()
    const ada = await lab.client('ada')
    lab.disconnect('ada')
    const waiting = outcomeOf(ada.database.login(anonymous('Ada')))
    await lab.run(10)
    const [one, two] = [ada.database.logout(), ada.database.logout()]
    const next = outcomeOf(ada.database.login(anonymous('Bea')))
    await Promise.all([one, two])
    expect(waiting.current).toBe('Superseded')
    lab.connect('ada')
    await lab.run(1_000)
    expect([next.current, ada.database.session?.name]).toEqual(['resolved', 'Bea'])
  })

  test('the authority does not log out', async () => {
    const lab = new Lab('authority')
    const authority = await lab.authority()
    await expect(authority.database.logout()).rejects.toMatchObject({ code: 'NotAuthority' })
  })
})

describe('another person on the same device', () => {
  const keyOnDisk = (lab: Lab): SigningKey | undefined => lab.device('ada').keys.get('session')

  test('is refused until the first has logged out, and nothing of the two is mixed', async () => {
    const lab = new Lab('switch')
    const authority = await lab.authority({ logins: [accounts] })
    const ada = await lab.client('ada')
    const first = outcomeOf(ada.database.login(account('ada')))
    await lab.run(1_000)
    expect(first.current).toBe('resolved')
    const { session } = ada.database
    const card = ada.database.repository(board).create(Card, { title })
    await lab.run(2_000)
    const other = ada.database.login(account('bea'))
    const refused = outcomeOf(other)
    await lab.run(1_000)
    expect(refused.current).toBe('LogOutFirst')
    await expect(other).rejects.toThrow(/Log out first/)
    expect(ada.database.session).toEqual(session)
    lab.connect('ada')
    await lab.run(1_000)
    card.title = 'still Ada'
    await lab.run(2_000)
    expect([savedState(card), lastChange(card)?.name]).toEqual(['authority', 'person ada'])
    expect(authority.database.repository(board).item(Card, keyOf(card))?.title).toBe('still Ada')
    expect(bytesOf(lab.device('ada').disk).includes('bea')).toBe(false)
    const key = keyOnDisk(lab)
    await closed(lab, ada)
    const again = await lab.client('ada')
    expect(again.database.session).toEqual(session)

    await again.database.logout()
    expect(keyOnDisk(lab)).toBeUndefined()
    lab.connect('ada')
    const second = outcomeOf(again.database.login(account('bea')))
    await lab.run(1_000)
    expect([second.current, again.database.session?.name]).toEqual(['resolved', 'person bea'])
    expect(keyOnDisk(lab)?.publicKey).not.toEqual(key?.publicKey)
    expect(bytesOf(lab.device('ada').disk).includes('person ada')).toBe(false)
  })

  test('the same one may log in anew or change the name, and gets another session after a logout', async () => {
    const lab = new Lab('rename')
    await lab.authority()
    const ada = await lab.join('ada')
    const { session } = ada.database
    const renamed = outcomeOf(ada.database.login(anonymous('Ada the second')))
    await lab.run(1_000)
    expect([renamed.current, ada.database.session]).toEqual(['resolved', { id: session?.id, name: 'Ada the second' }])
    await ada.database.logout()
    lab.connect('ada')
    void ada.database.login(anonymous('Ada the second'))
    await lab.run(1_000)
    expect(ada.database.session?.name).toBe('Ada the second')
    expect(ada.database.session?.id).not.toBe(session?.id)
  })
})
