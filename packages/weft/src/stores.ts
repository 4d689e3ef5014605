/**
 * The stores of an app on this device: which one a tab takes, and of which kind it is. Until tabs share one replica, each tab is a session
 * and a store of its own: it takes the first store no other tab holds, so that a reload finds its own again.
 *
 * A new store is in the Origin Private File System, where a file can really be written, synced and read there; else in IndexedDB; else in
 * memory. Its kind is settled for good, because a second store beside one with content would look like an empty app: where IndexedDB holds
 * the store it stays there, and what is in the Origin Private File System is marked in IndexedDB before anything is written. (Session keys
 * need IndexedDB in any case: nothing else keeps a key that scripts cannot read.) When such a store cannot be opened, the page runs in
 * memory and says so, and nothing that lasts is begun.
 */
import { type Files, type Storage, StorageError } from '@weft-db/engine'
import { indexedDbKeys, memoryKeys } from '@weft-db/runtime/browser'
import { indexedDbFiles } from '@weft-db/storage/indexeddb'
import { memoryFiles } from '@weft-db/storage/memory'
import { opfsFiles } from '@weft-db/storage/opfs'
import { keptFiles } from './persistence.ts'

/** Tabs of one profile that find a store of their own. */
const mostTabs = 32

/** An empty file in IndexedDB that says where the store is. */
const mark = 'opfs'

const storesOf = (name: string): string[] =>
  Array.from({ length: mostTabs }, (_, tab) => (tab === 0 ? name : `${name}-${tab}`))

type OpenStore = Required<Pick<Storage, 'files' | 'keys' | 'release' | 'mode'>> & { readonly reason?: string }

/** Locks the store and opens it, whatever kind it is of. Undefined when another tab has it open. */
const openStore = async (store: string): Promise<OpenStore | undefined> => {
  const files = opfsFiles(store)
  const indexed = await indexedDbFiles(store)
  const release = await indexed.lock().catch(unlessOpen)
  if (release === undefined) return undefined
  try {
    const keys = indexedDbKeys(`${store}-keys`)
    const names = await indexed.list()
    const isMarked = names.includes(mark)
    if (names.length > 0 && !isMarked) return { files: indexed, keys, release, mode: 'indexeddb', reason: keptThere }
    try {
      await files.ready()
      if (!isMarked) await setMark(indexed)
    } catch (error) {
      await files.leave()
      if (isOpen(error)) {
        await release()
        return undefined
      }
      if (isMarked) throw outOfReach(store, error)
      return { files: indexed, keys, release, mode: 'indexeddb', reason: causeOf(error) }
    }
    const end = async (): Promise<void> => {
      await files.leave()
      await release()
    }
    return { files, keys, release: end, mode: 'opfs' }
  } catch (error) {
    await release()
    throw error
  }
}

const keptThere = 'the store was made in IndexedDB and stays there'

const setMark = async (indexed: Files): Promise<void> => {
  const file = await indexed.open(mark, true)
  await file?.close()
}

const isOpen = (error: unknown): boolean => error instanceof StorageError && error.code === 'AlreadyOpen'

const unlessOpen = (error: unknown): undefined => {
  if (!isOpen(error)) throw error
}

const outOfReach = (store: string, error: unknown): StorageError => {
  const cause = new Error(`what this device holds is in files that cannot be opened: ${causeOf(error)}`)
  return new StorageError('DiskError', store, { cause })
}

/** What the browser itself said is nearer to the cause than our sentence about disks. */
const causeOf = (error: unknown): string => {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  return cause instanceof Error ? cause.message : String(cause)
}

/** Stores that tabs left behind: all but this tab's and those which other tabs have open. */
async function* closedStores(name: string, own: string): ReturnType<NonNullable<Storage['others']>> {
  const held = await indexedDB.databases().then(
    (databases) => new Set(databases.map((database) => database.name)),
    () => undefined,
  )
  for (const store of storesOf(name)) {
    if (store === own || held?.has(store) === false) continue
    const opened = await openStore(store)
    if (opened !== undefined) yield opened
  }
}

/** The first store of this app that no other tab has open; memory, with the reason, when the browser gives none. */
export const findStore = async (name: string): Promise<Storage> => {
  try {
    for (const store of storesOf(name)) {
      const opened = await openStore(store)
      if (opened === undefined) continue
      return { ...opened, files: keptFiles(opened.files), lasting: true, others: () => closedStores(name, store) }
    }
    return inMemory(`${mostTabs} tabs have this app open`)
  } catch (error) {
    return inMemory(causeOf(error))
  }
}

const inMemory = (reason: string): Storage => ({
  files: memoryFiles(),
  keys: memoryKeys(),
  mode: 'memory',
  lasting: false,
  reason,
})
