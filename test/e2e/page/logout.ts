/** The page of the logout test: the app's database as a browser gets it, and a look at every byte that the origin stores. */
import { anonymous, open, saved, schema, text } from '@weft-db/weft'

const Card = schema('card', 1, { notes: text() })
const path = `/board/roadmap-${location.search.slice(1)}`
const database = open({ schemas: [Card], name: `logout${location.hash.slice(1)}` })

/** Every value of every store and every file, strings and bytes in a row, and how many keys that sign are among them. */
const look = async (): Promise<{ readonly stored: string; readonly signers: number }> => {
  const found = { stored: '', signers: 0 }
  const read = (value: unknown): void => {
    if (value instanceof Uint8Array) found.stored += new TextDecoder('latin1').decode(value)
    else if (value instanceof CryptoKey) found.signers += value.type === 'private' ? 1 : 0
    else if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) read(one)
    else found.stored += ` ${String(value)} `
  }
  for (const { name = '' } of await indexedDB.databases()) {
    const opened = await done(indexedDB.open(name))
    for (const store of opened.objectStoreNames) {
      const kept = opened.transaction(store).objectStore(store)
      read([name, store, ...(await done(kept.getAllKeys())), ...(await done(kept.getAll()))])
    }
    opened.close()
  }
  const readDirectory = async (directory: FileSystemDirectoryHandle): Promise<void> => {
    for await (const [name, entry] of directory.entries()) {
      read(name)
      if (entry.kind === 'directory') await readDirectory(entry)
      else read(new Uint8Array(await (await entry.getFile()).arrayBuffer()))
    }
  }
  await readDirectory(await navigator.storage.getDirectory())
  for (const storage of [localStorage, sessionStorage]) read({ ...storage })
  read([document.cookie, ...(await caches.keys())])
  return found
}

const done = <Value>(request: IDBRequest<Value>): Promise<Value> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

const stand = {
  look,
  login: async (name: string) => void (await database.login(anonymous(name))),
  logout: () => database.logout(),
  person: async () => {
    await database.opened
    return {
      storage: database.status.storage,
      network: database.network,
      ...database.session,
      owner: database.person?.owner,
    }
  },
  write: async (notes: string) => {
    const board = database.repository(path)
    await board.ready
    await saved(board.create(Card, { notes }), 'authority')
  },
  notes: async () => {
    const board = database.repository(path)
    await board.ready
    return board.query(Card).current?.map((card) => card.notes.toString())
  },
}

declare global {
  var page: typeof stand
}
globalThis.page = stand
