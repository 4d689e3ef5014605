/**
 * Session keys in IndexedDB. The pair is stored by structured clone, so that a key which cannot be extracted stays so: scripts of the
 * page's origin may use it, and none can read it.
 */
import { type KeyStore, StorageError, WeftError } from '@weft-db/engine'
import { pairKey, pairOf, type StoredPair } from './ecdsa.ts'

const store = 'keys'

/**
 * Rejects with `DiskFull` or `DiskError`; saving a key that the platform's own WebCrypto did not make rejects with `NoStorage`. A
 * database is opened for each call: they are rare, and an open one would be in the way of its removal.
 */
export const indexedDbKeys = (databaseName: string): KeyStore => ({
  load: async (name) => {
    const stored: StoredPair | undefined = await run(databaseName, 'readonly', (keys) => keys.get(name))
    return stored && pairKey(crypto.subtle, stored)
  },
  save: async (name, key) => {
    const stored = pairOf(key)
    if (stored === undefined) throw new WeftError('NoStorage', name)
    await run(databaseName, 'readwrite', (keys) => keys.put(stored, name))
  },
  remove: async (name) => {
    await run(databaseName, 'readwrite', (keys) => keys.delete(name))
  },
})

/** Resolves when the transaction is complete, on disk as far as the browser tells. */
const run = async <Result>(
  databaseName: string,
  mode: IDBTransactionMode,
  use: (keys: IDBObjectStore) => IDBRequest<Result>,
): Promise<Result> => {
  let database: IDBDatabase | undefined
  try {
    database = await open(databaseName)
    const transaction = database.transaction(store, mode, { durability: 'strict' })
    return await new Promise((resolve, reject) => {
      const request = use(transaction.objectStore(store))
      transaction.oncomplete = () => resolve(request.result)
      transaction.onabort = () => reject(transaction.error)
    })
  } catch (error) {
    const name = error instanceof DOMException ? error.name : ''
    if (name === 'DataCloneError') throw new WeftError('NoStorage', databaseName, { cause: error })
    throw new StorageError(name === 'QuotaExceededError' ? 'DiskFull' : 'DiskError', databaseName, { cause: error })
  } finally {
    database?.close()
  }
}

const open = (databaseName: string): Promise<IDBDatabase> =>
  new Promise((resolve, reject) => {
    const request = indexedDB.open(databaseName, 1)
    request.onupgradeneeded = () => request.result.createObjectStore(store)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
