/**
 * One lock for each store of a browser, whatever kind the store is of; and how a lock is taken from a page that sleeps.
 *
 * A lock that the browser gives to a page in the moment in which it freezes it is held until the page wakes, although the page gave its
 * request up and never hears of it (Chromium). So a page that is about to be frozen gives up all it has and all it asked for, and then asks
 * for a lock of its own, the mark. It hears of that one as of any other, and after all that it asked for before: as long as it bears the
 * mark, whatever else it holds is in nobody's use.
 */
import { StorageError } from '@weft-db/engine'
import { storageError } from './browser-error.ts'

/** No store's lock begins so. */
const mark = 'weft-asleep '
/** Between two looks at whether whoever has the lock sleeps, ms. */
const pace = 250

let borne: Promise<void> = Promise.resolve()

/** The page is about to be frozen, and gave up every lock. */
export const fallAsleep = (): void => {
  const [before, own] = [borne, navigator.locks.request(mark + crypto.randomUUID(), () => undefined)]
  borne = own.catch(() => undefined).then(() => before)
}

/** Resolves when the page has heard of every lock that it was given in its sleep. Until then it is to ask for none. */
export const awake = (): Promise<void> => borne

/** Whether the lock is with a page that sleeps, and so does not use it. */
export const isHeldAsleep = async (name: string): Promise<boolean> => {
  const { held = [] } = await navigator.locks.query()
  const holder = held.find((lock) => lock.name === name)?.clientId
  return held.some((lock) => lock.clientId === holder && lock.name?.startsWith(mark) === true)
}

/**
 * Stands in line for the lock, and holds it until what `granted` gives resolves; takes it from a page that sleeps. Rejects with an `AbortError`
 * when `waiting` is aborted before it is granted, and when another page takes it.
 */
export const standInLine = async (name: string, waiting: AbortSignal, granted: () => Promise<void>): Promise<void> => {
  const line = new AbortController()
  const leave = (): void => line.abort()
  let isMine = false
  let taken: Promise<void> | undefined
  const hold = async (): Promise<void> => {
    isMine = true
    clearInterval(looking)
    // A page that was frozen meanwhile hears of it when it wakes, and may have given up by then.
    waiting.throwIfAborted()
    await granted()
  }
  const look = async (): Promise<void> => {
    const began = performance.now()
    const isFree = await isHeldAsleep(name)
    // An answer that lay about for long may be true no more.
    if (!isFree || isMine || line.signal.aborted || performance.now() - began > pace) return
    taken = navigator.locks.request(name, { steal: true }, hold)
    leave()
  }
  const looking = setInterval(() => void look().catch(() => undefined), pace)
  waiting.addEventListener('abort', leave)
  try {
    if (waiting.aborted) leave()
    await navigator.locks.request(name, { signal: line.signal }, hold).catch((error: unknown) => {
      if (taken === undefined) throw error
    })
    await taken
  } finally {
    clearInterval(looking)
    waiting.removeEventListener('abort', leave)
  }
}

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
    const name = `weft ${store}`
    const hold = (): Promise<void> =>
      new Promise((end) => {
        resolve(async () => {
          end()
          await ended
        })
      })
    const ended =
      waiting === undefined
        ? locks.request(name, { ifAvailable: true }, (granted) => {
            if (granted !== null) return hold()
            return reject(new StorageError('AlreadyOpen', store))
          })
        : standInLine(name, waiting, hold)
    ended.catch((error: unknown) =>
      reject(waiting?.aborted === true ? new StorageError('AlreadyOpen', store) : storageError(error, store)),
    )
  })
}
