/** A person's device before they log out, what a test makes of its calls, and whose it is afterwards. */
import { anonymous, type File, type Files, type KeyStore, logName } from '@weft-db/engine'
import { expect } from 'vitest'
import { scan } from '../../packages/engine/src/log/frame.ts'
import { rootPath } from '../../packages/engine/src/trust/entry.ts'
import { type Disk, soundDisk } from '../sim/files.ts'
import { board, Card, Lab, type Replica } from './lab.ts'

export const second = '/board/second'
export const name = 'Adelaide Ampersand'
export const title = 'the title that nobody else may read'
const others = 'what a colleague wrote'

export const bytesOf = (disk: Disk): Buffer => {
  const all = [...disk.stored()].flatMap(([of, bytes]) => [Buffer.from(of), bytes])
  for (const of of disk.names()) all.push(Buffer.from(of), disk.find(of)?.cached.view ?? new Uint8Array(0))
  return Buffer.concat(all)
}

export interface Prepared {
  readonly lab: Lab
  readonly secrets: readonly (string | Buffer)[]
  /** Puts the device back to when the person had closed the app. */
  readonly restore: () => Disk
}

/** A person who worked on two boards with a colleague, everything acknowledged, and every sort of file that a device may hold. */
export const prepare = async (seed: string): Promise<Prepared> => {
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
  for (const left of [
    `${log}.torn`,
    `${log}.new`,
    `${log}.snapshot`,
    `evidence-${'0'.repeat(64)}.cbor`,
    'evidence.new',
  ]) {
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
export type Meddle = <Result>(call: () => Promise<Result>) => Promise<Result>

export const meddled = (lab: Lab, meddle: Meddle): { files: Files; keys: KeyStore } => {
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

export const plainly: Meddle = (call) => call()

const nothing = new Uint8Array(0)

/** Offline, as it is when the authority is away. */
export const startAda = (lab: Lab, meddle: Meddle = plainly): Promise<Replica> =>
  lab.start('ada', { storage: async () => ({ ...meddled(lab, meddle), mode: 'test', lasting: true }), transports: [] })

/** Whose device it is; anything between is a failure. */
export const whose = async (
  { lab, secrets }: Prepared,
  { database }: Replica,
  about: string,
): Promise<'hers' | 'nobodys'> => {
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
  // A name whose removal did not last may be back, with nothing in it, and gets a header when it is opened; a log that is opened is copied first.
  const full = device.disk.names().filter((of) => {
    const bytes = device.disk.find(of)?.cached.view ?? nothing
    const { frames, good } = scan(bytes)
    return bytes.length > 0 && !(frames.length === 1 && good === bytes.length)
  })
  expect(
    full.filter((of) => of !== `${root}.new`),
    about,
  ).toEqual([root])
  expect(database.network, about).toBeDefined()
  return 'nobodys'
}

export const closed = async (lab: Lab, { database }: Replica): Promise<void> => {
  const closing = database.close()
  await lab.run(100)
  await closing
}
