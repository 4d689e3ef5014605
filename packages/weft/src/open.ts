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
  readonly transports?: readonly Transport[]
}

/** Tabs of one profile that find a store of their own. */
const mostTabs = 32

/** The first store of this app that no other tab has open; memory, with the reason, when the browser gives none. */
const findStore = async (name: string): Promise<Storage> => {
  try {
    for (let tab = 0; tab < mostTabs; tab++) {
      const database = tab === 0 ? name : `${name}-${tab}`
      const files = await indexedDbFiles(database)
      try {
        const release = await files.lock()
        return { files, keys: indexedDbKeys(`${database}-keys`), release, mode: 'indexeddb', lasting: true }
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
  const { url = '/', schemas, rules, name = 'weft', network, captureRate } = options
  const address = new URL(url, globalThis.location?.href ?? 'http://localhost/').href
  return new Database({
    schemas,
    runtime: browserRuntime(),
    storage: () => findStore(name),
    transports: options.transports ?? [socketIoTransport({ url: address })],
    ...(rules !== undefined && { rules }),
    ...(network !== undefined && { network }),
    ...(captureRate !== undefined && { captureRate }),
  })
}
