/**
 * The authority as one call: an app's schemas and rules, a folder for the logs, a port. What it promises: the founding key is never made
 * anew for logs that exist; whoever connects meets a store that is open; nothing runs on after `close`, and whatever was being stored
 * then is stored.
 */
import { createServer } from 'node:http'
import {
  anonymous,
  Database,
  type Incident,
  type Login,
  type Rates,
  type Rules,
  refusal,
  type Schema,
} from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoAcceptor } from '@weft-db/socketio/server'
import { nodeFiles } from '@weft-db/storage/node'
import { answer } from './answer.ts'
import { type IceOptions, iceServers } from './ice.ts'
import { IncidentLog } from './incidents.ts'
import { listen, urlOf } from './listen.ts'
import { foundingKey, landmarksFolder, storeRefusal } from './store.ts'

export interface ServeOptions {
  readonly schemas: readonly Schema[]
  /** Whoever is logged in reads and writes, unless told. */
  readonly rules?: Rules
  /** Ways to log in, one for each method; `[anonymous()]` unless told. */
  readonly login?: readonly Login[]
  /** How long a device may stay away and go on without a login, ms; 30 days unless told, and at most. */
  readonly certificateLife?: number
  /** The folder of the logs, made when absent. One process at a time has it. */
  readonly data: string
  /** The authority's key, made with the first start; `<data>.key` unless told. Keep a copy elsewhere than the copies of `data`. */
  readonly keyFile?: string
  /** The key's file before this one, to change the key: it signs the new one in with this start, and signs nothing afterwards. */
  readonly previousKeyFile?: string
  /**
   * The folder of what the server must know after it lost `data`: the root log, and how far every other log went. Beside the key, with the
   * name of `data` and `.landmarks`, unless told. Never put an older copy of it in its place.
   */
  readonly landmarks?: string
  /** After a loss, goes on with what clients bring though it is known that there was more. What is lost is written into the logs. */
  readonly acceptLoss?: boolean
  /** 8080 unless told; 0 takes any free one. */
  readonly port?: number
  /** Where to listen; `127.0.0.1` unless told, which only this machine reaches. */
  readonly host?: string
  /** The folder of a built app, to serve beside the authority. */
  readonly static?: string
  /** Origins of pages that may connect; those of the host the request names, unless told. */
  readonly origins?: readonly string[]
  /** How much one user and one address may have of the server: the engine's `defaultRates` where not told. */
  readonly rates?: Partial<Rates>
  /** Channels open at once in all, and from one address (of IPv6 its /64): 10,000 and 50 unless told. */
  readonly maxConnections?: number
  readonly connectionsPerAddress?: number
  /**
   * How many of your own proxies stand before this server; 0 unless told. Every limit per address needs the right number: with too low a
   * one all users are the proxy, with too high a one a client names its address itself, in `X-Forwarded-For`.
   */
  readonly trustProxy?: number
  /** STUN and TURN servers for channels between members; none unless told: members reach each other within one network then. */
  readonly ice?: IceOptions
  /** Told of every refusal and oddity. */
  readonly onIncident?: (incident: Incident) => void
  /** Takes a line about each kind of incident, at most one a minute. */
  readonly log?: (line: string) => void
}

export interface Server {
  /** Where a browser on this machine finds it. */
  readonly url: string
  readonly port: number
  readonly database: Database
  /** The network's id. */
  readonly network: string
  /** Stores what is under way and lets go of everything. */
  close(): Promise<void>
}

/** Who asks slowly is let go of: ms for the headers, for all of a request, and for the next one. */
const patience = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 2_000,
} as const
const spareSockets = 2_000

/**
 * Resolves when the store is open and the port listens. Rejects with a `WeftError`: `AlreadyOpen`, `NotWritable`, `KeyMissing`,
 * `KeyExposed`, `BadKey`, `WrongKey`, `CannotListen`, `NoApp`, or what the disk said.
 */
export const serve = async (options: ServeOptions): Promise<Server> => {
  const {
    schemas,
    rules,
    login = [anonymous()],
    data,
    keyFile = `${data}.key`,
    port = 8080,
    host = '127.0.0.1',
  } = options
  const incidents = new IncidentLog(options.log)
  const http = createServer(patience)
  // Sockets that have not asked for anything yet, and requests for files, beside the channels.
  http.maxConnections = (options.maxConnections ?? 10_000) + spareSockets
  const page = answer({ folder: options.static, health: () => health() })
  const files = nodeFiles(data)
  const landmarks = nodeFiles(options.landmarks ?? landmarksFolder(data, keyFile))
  const { key: authority, previous } = await foundingKey([files, landmarks], data, keyFile, options.previousKeyFile)
  const database = new Database({
    schemas,
    runtime: nodeRuntime(),
    storage: async () => ({ files, keys: memoryKeys(), mode: 'node', lasting: true }),
    transports: [
      socketIoAcceptor(http, {
        onError: (error) => incidents.fault(error),
        onCutOff: (reason, remote) => database.incident(refusal('Malformed', `${remote}: ${reason}`)),
        ...(options.origins !== undefined && { origins: options.origins }),
        ...(options.maxConnections !== undefined && { maxConnections: options.maxConnections }),
        ...(options.connectionsPerAddress !== undefined && { perAddress: options.connectionsPerAddress }),
        ...(options.trustProxy !== undefined && { trustProxy: options.trustProxy }),
      }),
    ],
    authority,
    ...(previous !== undefined && { previousAuthority: previous }),
    landmarks,
    logins: login,
    ...(options.acceptLoss !== undefined && { acceptsLoss: options.acceptLoss }),
    iceServers: iceServers(options.ice ?? {}, Date.now),
    ...(rules !== undefined && { rules }),
    ...(options.rates !== undefined && { rates: options.rates }),
    ...(options.certificateLife !== undefined && { certificateLife: options.certificateLife }),
  })
  database.onIncident((incident) => {
    incidents.add(incident)
    options.onIncident?.(incident)
  })
  const health = () => {
    const repositories = [...database.repositories]
    const problem = repositories.find((repository) => repository.problem !== undefined)?.problem
    return {
      network: database.network,
      uptime: Math.round(process.uptime()),
      repositories: repositories.length,
      connections: database.connections,
      problem: problem?.code ?? null,
      recovering: database.recovering.length,
      incidents: incidents.counts,
    }
  }
  try {
    await database.opened
    http.on('request', page)
    await listen(http, port, host)
  } catch (error) {
    await database.close()
    throw storeRefusal(error, data)
  }
  const { network } = database
  if (network === undefined) throw new Error('an authority that opened has founded its network')
  const address = http.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  let closing: Promise<void> | undefined
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => http.close(() => resolve()))
    await database.close()
    http.closeAllConnections()
    await closed
  }
  return {
    url: urlOf(host, bound),
    port: bound,
    database,
    network,
    close() {
      closing ??= close()
      return closing
    },
  }
}
