/** One lock for each store of a browser, whatever kind the store is of. */
import { StorageError } from '@weft-db/engine'
import { storageError } from './browser-error.ts'

/** The stores that this page has locked, where there are no Web Locks. */
const locked = new Set<string>()

/**
 * A Web Lock excludes other tabs, and falls with its page. Browsers offer it to secure contexts alone; without it nothing but this page is
 * excluded, and whoever opens the store should choose a name that no other tab chooses. Rejects with `AlreadyOpen`: at once, or with `waiting`
 * when that is aborted; until then it stands in line, so that no timer is needed to learn that the store is free, and the browser sees that
 * somebody waits for whoever has it.
 */
export const lock = async (store: string, waiting?: AbortSignal): Promise<() => Promise<void>> => {
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
    const options = waiting === undefined ? { ifAvailable: true } : { signal: waiting }
    const ended = locks.request(`weft ${store}`, options, (granted) => {
      // A page that was frozen meanwhile hears of it when it wakes, and may have given up by then.
      if (granted === null || waiting?.aborted === true) {
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
    ended.catch((error: unknown) =>
      reject(waiting?.aborted === true ? new StorageError('AlreadyOpen', store) : storageError(error, store)),
    )
  })
}
