/** The page that fills a store of this browser with items, or opens one: what an app does, with an authority beside it instead of a server. */
import { Database } from '@weft-db/engine'
import { browserRuntime, memoryKeys } from '@weft-db/runtime/browser'
import { memoryFiles } from '@weft-db/storage/memory'
import { type Database as AppDatabase, anonymous, open, type Repository } from '@weft-db/weft'
import { memoryPair } from '../sim/memory-transport.ts'
import { fieldsOf, keyOf, sumOf, Thing } from './thing.ts'

export type BrowserStore = 'opfs' | 'indexeddb'

const path = '/bench/alone'
const transaction = 250

/** ms until one item was read and until all were, in an order. */
export interface OpenedInPage {
  readonly first: number
  readonly all: number
}

/** Without a private file system a new store is in IndexedDB. */
const choose = (store: BrowserStore): void => {
  if (store === 'indexeddb') Object.defineProperty(navigator.storage, 'getDirectory', { value: undefined })
}

const mustBeIn = (store: BrowserStore, { status }: AppDatabase): void => {
  if (status.storage !== store) throw new Error(`the store is in ${status.storage}: ${status.storageReason}`)
}

const stored = (database: AppDatabase, repository: Repository): Promise<void> => {
  repository.flush()
  return new Promise((resolve) => {
    const look = (): void => {
      if (repository.unsaved > 0) return
      stop()
      resolve()
    }
    const stop = database.onStatus(look)
    look()
  })
}

const stand = {
  fill: async (store: BrowserStore, items: number): Promise<void> => {
    choose(store)
    const runtime = browserRuntime()
    const pair = memoryPair()
    const authority = new Database({
      schemas: [Thing],
      runtime,
      storage: async () => ({ files: memoryFiles(), keys: memoryKeys(), mode: 'memory', lasting: true }),
      transports: [pair.b],
      authority: await runtime.generateKey(),
      logins: [anonymous()],
    })
    await authority.opened
    const database = open({ schemas: [Thing], name: store, mesh: 'off', transports: [pair.a] })
    await database.opened
    mustBeIn(store, database)
    const login = database.login(anonymous('bench'))
    pair.connect()
    await login
    await authority.close()
    const repository = database.repository(path)
    await repository.ready
    for (let from = 0; from < items; from += transaction) {
      repository.transact(() => {
        for (let index = from; index < Math.min(items, from + transaction); index++)
          repository.create(Thing, fieldsOf(index), { key: keyOf(index) })
      })
      if ((from / transaction) % 4 === 3) await stored(database, repository)
    }
    await stored(database, repository)
    await database.close()
  },
  open: async (store: BrowserStore, items: number): Promise<OpenedInPage> => {
    choose(store)
    const began = performance.now()
    const database = open({ schemas: [Thing], name: store, mesh: 'off', transports: [] })
    const repository = database.repository(path)
    await repository.ready
    const item = repository.item(Thing, keyOf(items >> 1))
    if (item === null || item === undefined || !(sumOf(item) > 0))
      throw new Error('what was read is not what was written')
    const first = performance.now() - began
    const { length } = repository.query(Thing).orderBy('rank').current ?? []
    const all = performance.now() - began
    if (length !== items) throw new Error('items are missing')
    mustBeIn(store, database)
    await database.close()
    return { first, all }
  },
}
declare global {
  var bench: typeof stand
}
globalThis.bench = stand
