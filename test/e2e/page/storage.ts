/** The page of the storage tests: files and journals in the Origin Private File System, and the app's database as a browser gets it. */

import { StorageError } from '@weft-db/engine'
import { type OpfsFiles, opfsFiles } from '@weft-db/storage/opfs'
import { anonymous, type Database, isPersistent, open, type Repository, schema, text } from '@weft-db/weft'
import { type Found, openJournal } from './journal.ts'

const Card = schema('card', 1, { notes: text() })

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'resolved',
    (error: unknown) => (error instanceof StorageError ? error.code : String(error)),
  )

let releaseLast = async (): Promise<void> => undefined
let database: Database | undefined
let board: Repository | undefined
const started = (): { database: Database; board: Repository } => {
  if (database === undefined || board === undefined) throw new Error('the app was not started')
  return { database, board }
}

const stand = {
  /** Appends to a journal until that fails; tells how often it did not, and gives what was there before and the code of the failure. */
  flood: async (name: string, acknowledged: (index: number) => unknown): Promise<{ found: Found; failure: string }> => {
    const { found, go } = await openJournal(name, opfsFiles)
    return { found, failure: await go(acknowledged) }
  },
  look: async (name: string): Promise<Found> => {
    const { found, close } = await openJournal(name, opfsFiles)
    await close()
    return found
  },
  lock: (name: string): Promise<string> =>
    codeOf(
      opfsFiles(name)
        .lock()
        .then((release) => {
          releaseLast = release
        }),
    ),
  release: (): Promise<void> => releaseLast(),
  /** A file whose worker ends: what each call says, and what the next opener reads. */
  afterEnd: async (end: () => Promise<void>): Promise<{ codes: string[]; read: number[] }> => {
    const files: OpfsFiles = opfsFiles('ended')
    const file = await files.open('log', true)
    if (file === undefined) throw new Error('no file')
    await file.write(0, Uint8Array.of(1, 2, 3))
    await file.sync()
    await files.syncNames()
    await end()
    const codes = await Promise.all(
      [file.sync(), file.size(), file.read(0, 1), file.truncate(0), file.close(), file.sync()].map(codeOf),
    )
    const again = await files.open('log', false)
    return { codes, read: [...((await again?.read(0, 9)) ?? [])] }
  },
  /** How many messages go to the worker for two writes and a sync, and for three calls of two files in one turn. */
  messages: async (): Promise<number[]> => {
    const files = opfsFiles('messages')
    const [one, two] = [await files.open('one', true), await files.open('two', true)]
    if (one === undefined || two === undefined) throw new Error('no file')
    const { postMessage } = Worker.prototype
    let sent = 0
    Worker.prototype.postMessage = new Proxy(postMessage, {
      apply: (target, worker, given) => {
        sent++
        return Reflect.apply(target, worker, given)
      },
    })
    await one.write(0, Uint8Array.of(1))
    await one.write(1, Uint8Array.of(2))
    await one.sync()
    const appended = sent
    await Promise.all([one.read(0, 1), two.size(), two.sync()])
    Worker.prototype.postMessage = postMessage
    return [appended, sent - appended]
  },
  start: async (path: string): Promise<{ storage: string; reason: string | undefined }> => {
    database = open({ schemas: [Card], name: 'app', mesh: 'off' })
    board = database.repository(path)
    await board.ready
    return { storage: database.status.storage, reason: database.status.storageReason }
  },
  login: async (): Promise<void> => void (await started().database.login(anonymous('Ada'))),
  write: (notes: string): void => void started().board.create(Card, { notes }),
  /** Each of 40,000 characters that hardly compress. */
  writeLong: (count: number): void => {
    const digits = (): string =>
      Array.from(crypto.getRandomValues(new Uint8Array(20_000)), (byte) => byte.toString(16).padStart(2, '0')).join('')
    for (let index = 0; index < count; index++) started().board.create(Card, { notes: `long ${digits()}` })
  },
  status: () => started().database.status,
  notes: () => (started().board.query(Card).current ?? []).map(({ notes }) => notes.toString()).sort(),
  isPersistent,
}
declare global {
  var storage: typeof stand
}
globalThis.storage = stand
