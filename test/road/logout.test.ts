/** Logging out: nothing of the person stays on the device or in what an app holds, and no store ever holds two people's things. */
import {
  anonymous,
  type Credentials,
  keyOf,
  type Login,
  lastChange,
  logName,
  onRead,
  type Readable,
  type SigningKey,
  saved,
  savedState,
  subscribe,
} from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { rootPath } from '../../packages/engine/src/trust/entry.ts'
import { board, Card, diskFull, gate, Lab, Note, outcomeOf } from './lab.ts'
import { bytesOf, closed, meddled, plainly, second, title } from './leaving.ts'

/** Accounts, without a password. */
const accounts: Login = {
  method: 'account',
  check: async (credentials) => ({ owner: `account ${credentials}`, name: `person ${credentials}` }),
}
const account = (of: string): Credentials => ({ method: 'account', credentials: of })

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
    expect([query.current, repository.query(Card).current, repository.query(Note).current]).toEqual([[], [], []])
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
    // The server took that channel for the other person's.
    expect([ada.database.connections, authority.database.connections]).toEqual([0, 0])
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
