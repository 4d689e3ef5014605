/** An authority and its clients in this process, joined by memory or by loopback socket.io, with every byte between them counted. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  anonymous,
  Database,
  type Files,
  type KeyStore,
  type Runtime,
  type SigningKey,
  schema,
  type Transport,
  text,
} from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { socketIoAcceptor } from '@weft-db/socketio/server'
import { memoryFiles } from '@weft-db/storage/memory'
import { memoryPair } from '../sim/memory-transport.ts'
import { Meter } from './meter.ts'

export type Medium = 'memory' | 'socketio'

export const Page = schema('page', 1, { text: text() })

export interface Place {
  readonly files: Files
  readonly keys: KeyStore
}

const unhurried = { burst: 1e9, perSecond: 1e9 }

/** One server and how to reach it. */
interface Line {
  readonly acceptor: Transport
  dial(): Transport
  close(): Promise<void>
}

const socketLine = async (): Promise<Line> => {
  const http: Server = createServer()
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
  return {
    acceptor: socketIoAcceptor(http),
    dial: () => socketIoTransport({ url }),
    close: async () => {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
    },
  }
}

const memoryLine = (): Line => {
  const accepting: { onChannel?: Parameters<Transport['start']>[0] } = {}
  return {
    acceptor: {
      start: (onChannel) => {
        accepting.onChannel = onChannel
      },
      stop: async () => {
        delete accepting.onChannel
      },
    },
    dial: () => {
      const pair = memoryPair()
      return {
        start: (onChannel) => {
          pair.b.start((channel) => accepting.onChannel?.(channel))
          pair.a.start(onChannel)
          pair.connect()
        },
        stop: async () => {
          await pair.a.stop()
          await pair.b.stop()
        },
      }
    },
    close: async () => undefined,
  }
}

/** A transport that does not start before it is told to. */
export class Gate implements Transport {
  readonly #inner: Transport
  #onChannel: Parameters<Transport['start']>[0] | undefined
  #isOpen = false

  constructor(inner: Transport) {
    this.#inner = inner
  }

  start(onChannel: Parameters<Transport['start']>[0]): void {
    this.#onChannel = onChannel
    if (this.#isOpen) this.#inner.start(onChannel)
  }

  open(): void {
    this.#isOpen = true
    if (this.#onChannel) this.#inner.start(this.#onChannel)
  }

  async stop(): Promise<void> {
    if (this.#isOpen) await this.#inner.stop()
  }
}

export class Town {
  readonly runtime: Runtime
  /** The authority's. */
  readonly key: SigningKey
  readonly meter = new Meter()
  readonly authority: Database
  /** Refusals and oddities that any replica told of. */
  readonly incidents: string[] = []
  readonly #line: Line
  readonly #runtimeOf: (name: string) => Runtime
  readonly #open = new Set<Database>()

  private constructor(line: Line, files: Files, key: SigningKey, runtimeOf: (name: string) => Runtime) {
    this.#line = line
    this.#runtimeOf = runtimeOf
    this.runtime = runtimeOf('town')
    this.key = key
    this.authority = this.#start('authority', { files, keys: memoryKeys() }, line.acceptor, {
      authority: key,
      // A trace of months is typed in minutes.
      rates: { commitsPerUser: unhurried, bytesPerUser: unhurried, framesPerUser: unhurried },
      logins: [anonymous()],
    })
  }

  /** `runtimeOf` gives each replica its own runtime by its name; Node's unless told. */
  static async open(medium: Medium, files: Files, runtimeOf: (name: string) => Runtime = nodeRuntime): Promise<Town> {
    const line = medium === 'memory' ? memoryLine() : await socketLine()
    const town = new Town(line, files, await runtimeOf('key').generateKey(), runtimeOf)
    await town.authority.opened
    return town
  }

  #start(name: string, { files, keys }: Place, transport: Transport, more: object = {}): Database {
    const replica = new Database({
      schemas: [Page],
      runtime: this.#runtimeOf(name),
      storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
      transports: [this.meter.transport(transport)],
      ...more,
    })
    replica.onIncident(({ code, about }) => this.incidents.push(`${name}: ${code} ${about}`))
    this.#open.add(replica)
    return replica
  }

  /** A client that is logged in and connected. */
  async join(name: string, place: Place = { files: memoryFiles(), keys: memoryKeys() }): Promise<Database> {
    const client = this.#start(name, place, this.#line.dial())
    await client.login(anonymous(name))
    return client
  }

  /** A client that was certified and is away until the gate opens. */
  async leave(name: string): Promise<{ readonly replica: Database; readonly gate: Gate; readonly keys: KeyStore }> {
    const place = { files: memoryFiles(), keys: memoryKeys() }
    await this.close(await this.join(name, place))
    const gate = new Gate(this.#line.dial())
    const replica = this.#start(name, place, gate)
    await replica.opened
    return { replica, gate, keys: place.keys }
  }

  async close(replica: Database): Promise<void> {
    this.#open.delete(replica)
    await replica.close()
  }

  async end(): Promise<void> {
    for (const replica of [...this.#open].reverse()) await this.close(replica)
    await this.#line.close()
  }
}
