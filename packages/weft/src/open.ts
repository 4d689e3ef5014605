/**
 * `open()` for browsers, with the defaults an app wants: socket.io to the server, IndexedDB, a session key that scripts cannot read.
 * Until tabs share one replica, each tab is a session and a store of its own: it takes the first store no other tab holds, so that a
 * reload finds its own again.
 */
import { Database, type Rules, type Schema, type Storage, StorageError, type Transport } from '@weft-db/engine'
import { browserRuntime, indexedDbKeys, memoryKeys } from '@weft-db/runtime/browser'
import { socketIoTransport } from '@weft-db/socketio/client'
import { indexedDbFiles } from '@weft-db/storage/indexeddb'
import { memoryFiles } from '@weft-db/storage/memory'
import { webrtcTransport } from '@weft-db/webrtc'

export interface OpenOptions {
  /** The server's address, relative to the page; '/' unless told. */
  readonly url?: string
  readonly schemas: readonly Schema[]
  readonly rules?: Rules
  /** Names this app's stores on a device that holds several; `weft` unless told. */
  readonly name?: string
  /** The network's id, to accept no other server. */
  readonly network?: string
  /** Commits a second and repository at most; 3 unless told. */
  readonly captureRate?: number
  /**
   * Channels straight to the other members: `'direct'` unless told, and then peers learn this device's addresses; `'relay'` by way of the
   * server's TURN servers alone, which hides them; `'off'` for none.
   */
  readonly mesh?: 'off' | 'relay' | 'direct'
  /** `'bloom'`: compares by filters alone, the base protocol. */
  readonly sync?: 'bloom'
  readonly transports?: readonly Transport[]
}

/** Tabs of one profile that find a store of their own. */
const mostTabs = 32

const storesOf = (name: string): string[] =>
  Array.from({ length: mostTabs }, (_, tab) => (tab === 0 ? name : `${name}-${tab}`))

/** Stores that tabs left behind: all but this tab's and those which other tabs have open. */
async function* closedStores(name: string, own: string): ReturnType<NonNullable<Storage['others']>> {
  const held = await indexedDB.databases().then(
    (databases) => new Set(databases.map((database) => database.name)),
    () => undefined,
  )
  for (const database of storesOf(name)) {
    if (database === own || held?.has(database) === false) continue
    const files = await indexedDbFiles(database)
    const release = await files.lock().catch((error: unknown) => {
      if (error instanceof StorageError && error.code === 'AlreadyOpen') return undefined
      throw error
    })
    if (release !== undefined) yield { files, keys: indexedDbKeys(`${database}-keys`), release }
  }
}

/** The first store of this app that no other tab has open; memory, with the reason, when the browser gives none. */
const findStore = async (name: string): Promise<Storage> => {
  try {
    for (const database of storesOf(name)) {
      const files = await indexedDbFiles(database)
      try {
        const release = await files.lock()
        const keys = indexedDbKeys(`${database}-keys`)
        return { files, keys, release, others: () => closedStores(name, database), mode: 'indexeddb', lasting: true }
      } catch (error) {
        if (!(error instanceof StorageError) || error.code !== 'AlreadyOpen') throw error
      }
    }
    return inMemory(`${mostTabs} tabs have this app open`)
  } catch (error) {
    // What the browser itself said is nearer to the cause than our sentence about disks.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    return inMemory(cause instanceof Error ? cause.message : String(cause))
  }
}

const inMemory = (reason: string): Storage => ({
  files: memoryFiles(),
  keys: memoryKeys(),
  mode: 'memory',
  lasting: false,
  reason,
})

/** Opens this device's replica. Synchronous: what is stored arrives in the background, `repository.ready` tells when. */
export const open = (options: OpenOptions): Database => {
  const { url = '/', schemas, rules, name = 'weft', network, captureRate, sync, mesh = 'direct' } = options
  const address = new URL(url, globalThis.location?.href ?? 'http://localhost/').href
  return new Database({
    schemas,
    runtime: browserRuntime(),
    storage: () => findStore(name),
    transports: options.transports ?? [socketIoTransport({ url: address })],
    ...(rules !== undefined && { rules }),
    ...(network !== undefined && { network }),
    ...(captureRate !== undefined && { captureRate }),
    ...(sync !== undefined && { sync }),
    ...(mesh !== 'off' && { mesh: { transport: webrtcTransport(), mode: mesh } }),
  })
}
