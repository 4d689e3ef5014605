/** `open()` for Node: the same database on files of a directory. */
import { Database, type MeshOptions, type Rules, type Schema, type Transport } from '@weft-db/engine'
import { fileKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { nodeFiles } from '@weft-db/storage/node'

export interface NodeOptions {
  /** The server's address, for example `https://example.org`. */
  readonly url: string
  readonly schemas: readonly Schema[]
  readonly rules?: Rules
  /** Where the logs are; made when absent. The session's key is beside it, in `<directory>.key`. */
  readonly directory: string
  readonly network?: string
  readonly captureRate?: number
  /**
   * Offline window, ms: what the server covers and is older goes from this device, but for what the items came to. Everything is kept unless told. Who
   * was away for longer is merged all the same, as soon as the server is there.
   */
  readonly offlineWindow?: number
  /** Channels straight to the other members, for example `{ transport: await webrtcTransport(), mode: 'direct' }`; none unless told. */
  readonly mesh?: MeshOptions
  /** `'bloom'`: compares by filters alone, the base protocol. */
  readonly sync?: 'bloom'
  readonly transports?: readonly Transport[]
}

export { webrtcTransport } from '@weft-db/webrtc/node'

/** Opens a replica on this machine's disk. `opened` rejects with `AlreadyOpen` while another process has the directory. */
export const open = (options: NodeOptions): Database => {
  const { url, schemas, rules, directory, network, captureRate, offlineWindow, sync, mesh } = options
  return new Database({
    schemas,
    runtime: nodeRuntime(),
    storage: async () => ({
      files: nodeFiles(directory),
      // Made at the first login and there until the logout: a session outlives the process that logged in.
      keys: fileKeys((key) => `${directory}.${key === 'session' ? 'key' : `${key}.key`}`),
      mode: 'node',
      lasting: true,
    }),
    transports: options.transports ?? [socketIoTransport({ url })],
    ...(rules !== undefined && { rules }),
    ...(network !== undefined && { network }),
    ...(captureRate !== undefined && { captureRate }),
    ...(offlineWindow !== undefined && { offlineWindow }),
    ...(sync !== undefined && { sync }),
    ...(mesh !== undefined && { mesh }),
  })
}
