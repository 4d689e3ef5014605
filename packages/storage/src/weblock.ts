/** One lock for each store of a browser, whatever kind the store is of. */
import { StorageError } from '@weft-db/engine'
import { storageError } from './browser-error.ts'

/** The stores that this page has locked, where there are no Web Locks. */
const locked = new Set<string>()

/**
 * A Web Lock excludes other tabs, and falls with its page. Browsers offer it to secure contexts alone; without it nothing but this page is
 * excluded, and whoever opens the store should choose a name that no other tab chooses. Rejects with `AlreadyOpen` at once.
 */
export const lock = async (store: string): Promise<() => Promise<void>> => {
  const locks: LockManager | undefined = globalThis.navigator?.locks
  if (locks === undefined) {
    if (locked.has(store)) throw new StorageError('AlreadyOpen', store)
    locked.add(store)
    let held = true
    return async () => {
      if (held) locked.delete(store)
      held = false
    }
  }
  return new Promise((resolve, reject) => {
    const ended = locks.request(`weft ${store}`, { ifAvailable: true }, (granted) => {
      if (granted === null) {
        reject(new StorageError('AlreadyOpen', store))
        return
      }
      return new Promise<void>((end) => {
        resolve(async () => {
          end()
          await ended
        })
      })
    })
    ended.catch((error: unknown) => reject(storageError(error, store)))
  })
}
