/** Several replicas of one app in this process: an authority and clients over loopback socket.io, real signatures, files in memory. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  anonymous,
  boolean,
  Database,
  type Files,
  map,
  number,
  order,
  schema,
  set,
  string,
  text,
} from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { socketIoAcceptor } from '@weft-db/socketio/server'
import { memoryFiles } from '@weft-db/storage/memory'

export const Card = schema('card', 1, {
  title: string({ max: 500 }),
  done: boolean(),
  points: number({ integer: true }),
  tags: set(string()),
  votes: map(number()),
  notes: text(),
  place: order(),
})

export const runtime = nodeRuntime()

export class Ring {
  readonly http: Server
  readonly key
  readonly files: Files
  authority: Database
  readonly clients: Database[] = []
  readonly port: number

  private constructor(http: Server, key: Awaited<ReturnType<typeof runtime.generateKey>>, files: Files) {
    this.http = http
    this.key = key
    this.files = files
    this.authority = this.#start()
    this.port = (http.address() as AddressInfo).port
  }

  static async open(): Promise<Ring> {
    const http = createServer()
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
    const ring = new Ring(http, await runtime.generateKey(), memoryFiles())
    await ring.authority.opened
    return ring
  }

  #start(): Database {
    const { files } = this
    return new Database({
      schemas: [Card],
      runtime,
      storage: async () => ({ files, keys: memoryKeys(), mode: 'memory', lasting: true }),
      transports: [socketIoAcceptor(this.http)],
      authority: this.key,
      logins: [anonymous()],
    })
  }

  /** Stops the authority; its files stay. */
  async stopAuthority(): Promise<void> {
    await this.authority.close()
  }

  async startAuthority(): Promise<void> {
    this.authority = this.#start()
    await this.authority.opened
  }

  client(options: { files?: Files; keys?: ReturnType<typeof memoryKeys>; captureRate?: number } = {}): Database {
    const files = options.files ?? memoryFiles()
    const keys = options.keys ?? memoryKeys()
    const client = new Database({
      schemas: [Card],
      runtime,
      storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
      transports: [socketIoTransport({ url: `http://127.0.0.1:${this.port}` })],
      captureRate: options.captureRate ?? 1000,
    })
    this.clients.push(client)
    return client
  }

  async join(name: string, options?: Parameters<Ring['client']>[0]): Promise<Database> {
    const client = this.client(options)
    await client.login(anonymous(name))
    return client
  }

  async close(): Promise<void> {
    for (const client of this.clients) await client.close()
    await this.authority.close()
    this.http.closeAllConnections()
    await new Promise((resolve) => this.http.close(resolve))
  }
}

/** Resolves when `holds` does, looked at whenever a repository of the replicas changes. */
export const until = (replicas: readonly Database[], holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const stops: (() => void)[] = []
    const look = (): void => {
      if (!holds()) return
      for (const stop of stops) stop()
      stops.length = 0
      resolve()
    }
    for (const replica of replicas) {
      stops.push(replica.onStatus(look))
      for (const repository of replica.repositories) stops.push(repository.onChange(look))
    }
    look()
  })
