/**
 * Files in IndexedDB, for browsers without anything better. A file is a row of chunks, each keyed by file and offset: writing n bytes at the
 * end adds one chunk of n bytes and touches no other, so that a log of any length is cheap to append to. Names are kept apart from
 * contents, so that a rename moves none.
 *
 * `write` starts a transaction and does not wait for it; `sync` waits for all that were started, and each is told to be on disk before it
 * says that it is complete (`durability: 'strict'`). Transactions on the same stores run in the order in which they were made, so that
 * reads see all writes before them.
 */
import { type File, type Files, StorageError } from '@weft-db/engine'
import { storageError } from './browser-error.ts'
import { checkName } from './name.ts'
import { lock } from './weblock.ts'

/** name -> file id */
const names = 'names'
/** file id -> size */
const sizes = 'sizes'
/** [file id, offset] -> bytes. Chunks do not overlap; what lies between them is zero. */
const chunks = 'chunks'

export interface IndexedDbFiles extends Files {
  /** With `waiting` it stands in line for the lock, until that is aborted. */
  lock(waiting?: AbortSignal): Promise<() => Promise<void>>
  /**
   * Lets go of all files at once, whatever is under way: what is not complete is undone. For a page that will not run again soon: the
   * transactions of a frozen page would hold up those of all others.
   */
  abandon(): void
}

/** Opens or makes the database. Rejects with a `StorageError` where the browser offers none. */
export const indexedDbFiles = async (databaseName: string): Promise<IndexedDbFiles> => {
  const database = await openDatabase(databaseName)
  const running = new Set<IDBTransaction>()
  const opened: Opened = { database, running }
  const run = <Result>(mode: IDBTransactionMode, about: string, use: (stores: Stores) => Promise<Result>) =>
    transact(opened, mode, about, use)
  return {
    // What a transaction that failed wrote is gone with it.
    readsOnlyStored: true,
    open: async (name, create) => {
      checkName(name)
      const id = await run(create ? 'readwrite' : 'readonly', name, async (stores) => {
        const known = await idOf(stores, name)
        if (known !== undefined || !create) return known
        const added = await result(stores.sizes.add(0))
        stores.names.put(added, name)
        return added
      })
      return id === undefined ? undefined : openFile(opened, name, id)
    },
    list: () =>
      run('readonly', databaseName, async (stores) =>
        (await result(stores.names.getAllKeys())).filter((key) => typeof key === 'string'),
      ),
    rename: async (from, to) => {
      checkName(from)
      checkName(to)
      await run('readwrite', from, async (stores) => {
        const id = await idOf(stores, from)
        if (id === undefined) throw new StorageError('DiskError', from)
        if (from === to) return
        await removeFile(stores, to)
        stores.names.delete(from)
        stores.names.put(id, to)
      })
    },
    remove: async (name) => {
      checkName(name)
      await run('readwrite', name, (stores) => removeFile(stores, name))
    },
    // Each of the above waited for its transaction.
    syncNames: async () => undefined,
    lock: (waiting) => lock(databaseName, waiting),
    abandon: () => {
      database.close()
      for (const transaction of running) abort(transaction)
    },
  }
}

const openFile = (opened: Opened, name: string, id: IDBValidKey): File => {
  let open = true
  const started = new Set<Promise<void>>()
  let failure: unknown
  const run = async <Result>(mode: IDBTransactionMode, use: (stores: Stores, size: number) => Promise<Result>) => {
    if (!open) throw new StorageError('DiskError', `${name} is closed`)
    return transact(opened, mode, name, async (stores) => {
      const size: unknown = await result(stores.sizes.get(id))
      if (typeof size !== 'number') throw new StorageError('DiskError', `${name} is gone`)
      return use(stores, size)
    })
  }
  /** Lets a change take its course; `sync` tells how it ended. */
  const start = (use: (stores: Stores, size: number) => Promise<void>): void => {
    const change: Promise<void> = run('readwrite', use)
      .catch((error: unknown) => {
        failure ??= error
      })
      .finally(() => started.delete(change))
    started.add(change)
  }
  return {
    size: () => run('readonly', async (_, size) => size),
    read: (offset, length) =>
      run('readonly', async (stores, size) => {
        const bytes = new Uint8Array(Math.max(0, Math.min(length, size - offset)))
        for (const chunk of await chunksIn(stores, id, offset, offset + bytes.length)) {
          const skipped = Math.max(0, offset - chunk.offset)
          const at = chunk.offset + skipped - offset
          bytes.set(chunk.bytes.subarray(skipped, skipped + bytes.length - at), at)
        }
        return bytes
      }),
    write: async (offset, given) => {
      if (!open) throw new StorageError('DiskError', `${name} is closed`)
      // The caller may go on using its array, and a stored view would take the whole buffer behind it along.
      const bytes = given.slice()
      start(async (stores, size) => {
        const end = offset + bytes.length
        if (bytes.length === 0) return
        if (offset < size) await clear(stores, id, offset, end)
        stores.chunks.put(bytes, [id, offset])
        if (end > size) stores.sizes.put(end, id)
      })
      return bytes.length
    },
    sync: async () => {
      if (!open) throw new StorageError('DiskError', `${name} is closed`)
      while (started.size > 0) await Promise.all(started)
      if (failure !== undefined) throw failure
    },
    truncate: (length) =>
      run('readwrite', async (stores, size) => {
        if (length < size) await clear(stores, id, length, Number.POSITIVE_INFINITY)
        stores.sizes.put(length, id)
      }),
    close: async () => {
      open = false
      while (started.size > 0) await Promise.all(started)
    },
  }
}

interface Chunk {
  readonly offset: number
  readonly bytes: Uint8Array
}

/** The chunks that share a byte with `from` up to `to`, in order. */
const chunksIn = async (stores: Stores, id: IDBValidKey, from: number, to: number): Promise<Chunk[]> => {
  if (from >= to) return []
  // The last chunk that begins before `from` may reach into it.
  const before = await result(stores.chunks.openCursor(IDBKeyRange.bound([id], [id, from], false, true), 'prev'))
  const range = IDBKeyRange.bound([id, from], [id, to], false, true)
  const [keys, values] = await Promise.all([
    result(stores.chunks.getAllKeys(range)),
    result<unknown[]>(stores.chunks.getAll(range)),
  ])
  const found = keys.map((key, index) => chunkOf(key, values[index]))
  if (before !== null) {
    const chunk = chunkOf(before.key, before.value)
    if (chunk.offset + chunk.bytes.length > from) found.unshift(chunk)
  }
  return found
}

const chunkOf = (key: IDBValidKey, value: unknown): Chunk => {
  const offset = Array.isArray(key) ? key[1] : undefined
  if (typeof offset !== 'number' || !(value instanceof Uint8Array)) throw new StorageError('DiskError', 'a chunk')
  return { offset, bytes: value }
}

/** Leaves no chunk in `from` up to `to`; what the outermost ones hold beyond is put back. */
const clear = async (stores: Stores, id: IDBValidKey, from: number, to: number): Promise<void> => {
  for (const { offset, bytes } of await chunksIn(stores, id, from, to)) {
    stores.chunks.delete([id, offset])
    if (offset < from) stores.chunks.put(bytes.slice(0, from - offset), [id, offset])
    if (offset + bytes.length > to) stores.chunks.put(bytes.slice(to - offset), [id, to])
  }
}

const idOf = async (stores: Stores, name: string): Promise<IDBValidKey | undefined> => result(stores.names.get(name))

const removeFile = async (stores: Stores, name: string): Promise<void> => {
  const id = await idOf(stores, name)
  if (id === undefined) return
  stores.names.delete(name)
  stores.sizes.delete(id)
  stores.chunks.delete(IDBKeyRange.bound([id, 0], [id, Number.POSITIVE_INFINITY]))
}

interface Opened {
  readonly database: IDBDatabase
  readonly running: Set<IDBTransaction>
}

interface Stores {
  readonly names: IDBObjectStore
  readonly sizes: IDBObjectStore
  readonly chunks: IDBObjectStore
}

/** Resolves when the transaction is complete. `use` awaits nothing but requests of its own stores. */
const transact = async <Result>(
  { database, running }: Opened,
  mode: IDBTransactionMode,
  about: string,
  use: (stores: Stores) => Promise<Result>,
): Promise<Result> => {
  try {
    const transaction = database.transaction([names, sizes, chunks], mode, { durability: 'strict' })
    running.add(transaction)
    const complete = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
    }).finally(() => running.delete(transaction))
    // Heard below in any case; until then a rejection is not an unhandled one.
    complete.catch(() => undefined)
    const stores = {
      names: transaction.objectStore(names),
      sizes: transaction.objectStore(sizes),
      chunks: transaction.objectStore(chunks),
    }
    let value: Result
    try {
      value = await use(stores)
    } catch (error) {
      abort(transaction)
      await complete.catch(() => undefined)
      throw transaction.error ?? error
    }
    await complete
    return value
  } catch (error) {
    throw storageError(error, about)
  }
}

const abort = (transaction: IDBTransaction): void => {
  try {
    transaction.abort()
  } catch {
    // It was aborted already: that is why `use` failed.
  }
}

const result = <Value>(request: IDBRequest<Value>): Promise<Value> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })

const openDatabase = (databaseName: string): Promise<IDBDatabase> =>
  new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(storageError(error, databaseName))
    try {
      const request = indexedDB.open(databaseName, 1)
      request.onupgradeneeded = () => {
        request.result.createObjectStore(names)
        request.result.createObjectStore(sizes, { autoIncrement: true })
        request.result.createObjectStore(chunks)
      }
      request.onsuccess = () => {
        // Whoever removes the database is not kept waiting.
        request.result.onversionchange = () => request.result.close()
        resolve(request.result)
      }
      request.onerror = () => fail(request.error)
    } catch (error) {
      fail(error)
    }
  })
