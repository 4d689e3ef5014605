/**
 * The store of an app on this device, and of which kind it is. All tabs share one, which the tab that leads has open.
 *
 * A new store is in the Origin Private File System, where a file can really be written, synced and read there; else in IndexedDB; else in
 * memory. Its kind is settled for good, because a second store beside one with content would look like an empty app: where IndexedDB holds
 * the store it stays there, and what is in the Origin Private File System is marked in IndexedDB before anything is written. (Session keys
 * need IndexedDB in any case: nothing else keeps a key that scripts cannot read.) When such a store cannot be opened, the page runs in
 * memory and says so, and nothing that lasts is begun.
 */
import { type Files, type KeyStore, type Storage, StorageError } from '@weft-db/engine'
import { indexedDbKeys, memoryKeys } from '@weft-db/runtime/browser'
import { type IndexedDbFiles, indexedDbFiles } from '@weft-db/storage/indexeddb'
import { memoryFiles } from '@weft-db/storage/memory'
import { opfsFiles } from '@weft-db/storage/opfs'
import { keptFiles } from './persistence.ts'

/** Stores that tabs of one profile had before they shared one. */
const mostTabs = 32
/** Between two tries to open files whose lock is free and which a worker that has just ended still holds, ms. */
const betweenTries = 250

/** An empty file in IndexedDB that says where the store is. */
const mark = 'opfs'

const storesOf = (name: string): string[] =>
  Array.from({ length: mostTabs }, (_, tab) => (tab === 0 ? name : `${name}-${tab}`))

type OpenStore = Required<Pick<Storage, 'files' | 'keys' | 'release' | 'mode'>> & {
  readonly reason?: string
  /** Releases it at once, whatever is under way. */
  quit(): void
}

/** A store that can be released from one moment to the next, as a page must that is about to be frozen. */
export type TakenStore = Storage & Pick<OpenStore, 'quit'>

/**
 * Locks the store and opens it, whatever kind it is of. Undefined when another tab has it open; with `waiting` it stands in line for it until
 * that is aborted, which releases the store at once as long as this has not resolved.
 */
const openStore = async (
  store: string,
  waiting?: AbortSignal,
  begun?: Promise<IndexedDbFiles>,
): Promise<OpenStore | undefined> => {
  const files = opfsFiles(store)
  const indexed = await (begun ?? indexedDbFiles(store))
  const release = await indexed.lock(waiting).catch(unlessOpen)
  if (release === undefined) {
    indexed.abandon()
    return undefined
  }
  let isReleased = false
  const quit = (): void => {
    if (isReleased) return
    files.abandon()
    indexed.abandon()
    release().catch(() => undefined)
  }
  const end = async (): Promise<void> => {
    isReleased = true
    await release()
  }
  waiting?.addEventListener('abort', quit)
  try {
    const keys = keysOf(store)
    const names = await indexed.list()
    const isMarked = names.includes(mark)
    if (names.length > 0 && !isMarked)
      return { files: indexed, keys, release: end, quit, mode: 'indexeddb', reason: keptThere }
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
      return { files: indexed, keys, release: end, quit, mode: 'indexeddb', reason: causeOf(error) }
    }
    const endFiles = async (): Promise<void> => {
      await files.leave()
      await end()
    }
    return { files, keys, release: endFiles, quit, mode: 'opfs' }
  } catch (error) {
    await release()
    throw error
  } finally {
    waiting?.removeEventListener('abort', quit)
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

/** Stores of tabs that had one each, before tabs shared theirs. */
async function* closedStores(name: string): ReturnType<NonNullable<Storage['others']>> {
  const held = await indexedDB.databases().then(
    (databases) => new Set(databases.map((database) => database.name)),
    () => undefined,
  )
  for (const store of storesOf(name)) {
    if (store === name || held?.has(store) === false) continue
    const opened = await openStore(store)
    if (opened !== undefined) yield opened
  }
}

/** What opening the app's store begins with, for whoever may have to open it soon. */
export interface BegunStore {
  /** To be asked once. */
  take(): Promise<IndexedDbFiles> | undefined
  /** Lets go of it, unless somebody took it. */
  endUnused(): void
}

export const beginStore = (name: string): BegunStore => {
  let begun: Promise<IndexedDbFiles> | undefined = indexedDbFiles(name)
  // Whoever takes it is told.
  begun.catch(() => undefined)
  const take = (): Promise<IndexedDbFiles> | undefined => {
    const taken = begun
    begun = undefined
    return taken
  }
  return {
    take,
    endUnused: () =>
      void take()?.then(
        ({ abandon }) => abandon(),
        () => undefined,
      ),
  }
}

/** Where the session's key is, whoever has the store open. */
export const keysOf = (name: string): KeyStore => indexedDbKeys(`${name}-keys`)

/**
 * The app's store, which one tab has open at a time; memory, with the reason, when the browser gives none. A tab that was closed or killed
 * lets go of it within a moment. Waits while another tab has it, until `waiting` is aborted: undefined then.
 */
export const takeStore = async (
  name: string,
  pause: (ms: number) => Promise<void>,
  waiting: AbortSignal,
  begun?: BegunStore,
): Promise<TakenStore | undefined> => {
  try {
    while (!waiting.aborted) {
      const opened = await openStore(name, waiting, begun?.take())
      if (opened !== undefined) return lastingStore(name, opened)
      await pause(betweenTries)
    }
    return undefined
  } catch (error) {
    return waiting.aborted ? undefined : inMemory(causeOf(error))
  }
}

/** The same where tabs cannot share it: a second tab is on its own, in memory. */
export const findStore = async (name: string): Promise<Storage> => {
  try {
    const opened = await openStore(name)
    return opened === undefined ? inMemory('another tab has this app open') : lastingStore(name, opened)
  } catch (error) {
    return inMemory(causeOf(error))
  }
}

const lastingStore = (name: string, opened: OpenStore): TakenStore => ({
  ...opened,
  files: keptFiles(opened.files),
  lasting: true,
  others: () => closedStores(name),
})

const inMemory = (reason: string): TakenStore => ({
  quit: () => undefined,
  files: memoryFiles(),
  keys: memoryKeys(),
  mode: 'memory',
  lasting: false,
  reason,
})
