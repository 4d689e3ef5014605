/** The servers that clients meet at, each in a process of its own: Weft's, and relays that pass bytes on. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultRates } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { serve } from '@weft-db/weft/server'
import { Card } from './card.ts'
import { Ledger } from './ledger.ts'
import type { Methods } from './methods.ts'
import { peer } from './peers.ts'
import { unhurried } from './replica.ts'

const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  process.once('exit', () => rmSync(path, { recursive: true, force: true }))
  return path
}

const listen = async (http: HttpServer): Promise<number> => {
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  return (http.address() as AddressInfo).port
}

const weft = async (): Promise<Methods> => {
  const rates = Object.fromEntries(Object.keys(defaultRates).map((name) => [name, unhurried]))
  const { port } = await serve({
    schemas: [Card],
    data: join(folder(), 'weft'),
    port: 0,
    rates,
    connectionsPerAddress: 1_000,
    onIncident: ({ code, about }) => console.error(`weft's server: ${code} ${about}`),
  })
  return { port: () => port }
}

interface Socket {
  on(event: string, heard: (message: Uint8Array) => void): void
  readonly broadcast: { emit(event: string, message: Uint8Array): void }
}

interface SocketIo {
  Server: new (http: HttpServer, options: object) => { on(event: 'connection', met: (socket: Socket) => void): void }
}

/** `pass` says when a message goes on to the others. */
const socketIo = async (pass: (message: Uint8Array, on: () => void) => void): Promise<Methods | undefined> => {
  const module = await peer<SocketIo>('socket.io')
  if (module === undefined) return undefined
  const http = createServer()
  const server = new module.Server(http, { transports: ['websocket'], maxHttpBufferSize: 2_000_000 })
  server.on('connection', (socket) => {
    socket.on('message', (message) => pass(message, () => socket.broadcast.emit('message', message)))
  })
  const port = await listen(http)
  return { port: () => port }
}

/** Verifies and stores what it passes on, like a server that vouches for it. */
const vouching = async (): Promise<Methods | undefined> => {
  const runtime = nodeRuntime()
  const ledger = await Ledger.open(join(folder(), 'ledger'))
  return socketIo((message, on) => void ledger.receive(runtime, message).then(on))
}

interface WebSocket {
  readonly readyState: number
  on(event: 'message', heard: (message: Uint8Array, isBinary: boolean) => void): void
  send(message: Uint8Array, options: { binary: boolean }): void
}

interface WebSockets {
  WebSocketServer: new (
    options: object,
  ) => {
    readonly clients: Set<WebSocket>
    on(event: 'connection', met: (socket: WebSocket, request: unknown) => void): void
  }
}

const ws = async (): Promise<Methods | undefined> => {
  const module = await peer<WebSockets>('ws')
  if (module === undefined) return undefined
  const http = createServer()
  const server = new module.WebSocketServer({ server: http })
  server.on('connection', (socket) => {
    socket.on('message', (message) => {
      for (const other of server.clients) if (other !== socket) other.send(message, { binary: true })
    })
  })
  const port = await listen(http)
  return { port: () => port }
}

const yWebsocket = async (): Promise<Methods | undefined> => {
  const sockets = await peer<WebSockets>('ws')
  const module = await peer<{ setupWSConnection(socket: WebSocket, request: unknown): void }>('y-websocket/bin/utils')
  if (module === undefined || sockets === undefined) return undefined
  const http = createServer()
  const server = new sockets.WebSocketServer({ server: http })
  server.on('connection', (socket, request) => module.setupWSConnection(socket, request))
  const port = await listen(http)
  return { port: () => port }
}

export const serverRoles: Readonly<Record<string, () => Promise<Methods | undefined>>> = {
  'server/weft': weft,
  'server/socket.io': () => socketIo((_, on) => on()),
  'server/socket.io, signed and stored': vouching,
  'server/ws': ws,
  'server/y-websocket': yWebsocket,
}
