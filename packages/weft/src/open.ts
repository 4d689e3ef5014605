/** `open()` for browsers, with the defaults an app wants: socket.io to the server, the best storage there is, a session key that scripts cannot read. */
import { Database, type DatabaseOptions, type Rules, type Schema, type Transport } from '@weft-db/engine'
import { browserRuntime } from '@weft-db/runtime/browser'
import { socketIoTransport } from '@weft-db/socketio/client'
import { startWorker } from '@weft-db/storage/opfs'
import { webrtcTransport } from '@weft-db/webrtc'
import { beginStore, findStore, keysOf, takeStore } from './stores.ts'
import { TabDatabase } from './tabs/database.ts'
import { canShare } from './tabs/lock.ts'
import { Tab } from './tabs/tab.ts'

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
   * Offline window, ms: what the server covers and is older goes from this device, but for what the items came to. Everything is kept unless told. Who
   * was away for longer is merged all the same, as soon as the server is there.
   */
  readonly offlineWindow?: number
  /**
   * Channels straight to the other members: `'direct'` unless told, and then peers learn this device's addresses; `'relay'` by way of the
   * server's TURN servers alone, which hides them; `'off'` for none.
   */
  readonly mesh?: 'off' | 'relay' | 'direct'
  /** `'bloom'`: compares by filters alone, the base protocol. */
  readonly sync?: 'bloom'
  readonly transports?: readonly Transport[]
}

/** Opens this device's replica. Synchronous: what is stored arrives in the background, `repository.ready` tells when. */
export const open = (options: OpenOptions): Database => {
  const {
    url = '/',
    schemas,
    rules,
    name = 'weft',
    network,
    captureRate,
    offlineWindow,
    sync,
    mesh = 'direct',
  } = options
  const address = new URL(url, globalThis.location?.href ?? 'http://localhost/').href
  const runtime = browserRuntime()
  const transports = options.transports ?? [socketIoTransport({ url: address })]
  const shared = (): Omit<DatabaseOptions, 'storage' | 'transports'> => ({
    schemas,
    runtime,
    ...(rules !== undefined && { rules }),
    ...(network !== undefined && { network }),
    ...(captureRate !== undefined && { captureRate }),
    ...(offlineWindow !== undefined && { offlineWindow }),
    ...(sync !== undefined && { sync }),
    ...(mesh !== 'off' && { mesh: { transport: webrtcTransport(), mode: mesh } }),
  })
  if (!canShare()) return new Database({ ...shared(), storage: () => findStore(name), transports })
  const endWorker = startWorker()
  const begun = beginStore(name)
  const tab = new Tab({
    name,
    runtime,
    keys: keysOf(name),
    transports,
    take: (waiting) =>
      takeStore(name, (ms) => new Promise((resolve) => void runtime.timer(ms, resolve)), waiting, begun),
    host: (storage, ways) => new Database({ ...shared(), storage: async () => storage, transports: ways }),
  })
  const database = new TabDatabase(shared(), tab)
  // A tab that works through another one has no files.
  const endUnused = (): void => {
    endWorker()
    begun.endUnused()
  }
  database.opened.then(endUnused, endUnused)
  return database
}
