/**
 * The accepting side of Socket.IO as a `Transport` on a given http server. What it promises against strangers:
 *
 * - A connection is judged at its upgrade request, before Socket.IO sees it: Origin, total and per address. It counts until its socket
 *   is closed, not until somebody says so.
 * - Nothing is answered but joining and a websocket's pings, and those only while the peer reads: nothing piles up.
 * - Whatever a peer sends that is not the protocol of `packet.ts` ends that peer's connection and touches no other.
 *
 * Socket.IO is attached to a private http server that never listens and is handed upgrades one by one. So the given server keeps its
 * handlers, and `stop` leaves no trace on it.
 */
import { EventEmitter } from 'node:events'
import { createServer, type Server as HttpServer, type IncomingMessage } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Socket as TcpSocket } from 'node:net'
import { type Channel, limits, type Transport } from '@weft-db/engine'
import { Server, type Socket } from 'socket.io'
import { forwardedFor, networkOf } from './address.ts'
import { joined, Queue, reasonOf, SocketChannel } from './channel.ts'
import { frameEvent, parser } from './packet.ts'
import { websocketFrames } from './websocket.ts'

export interface AcceptorOptions {
  /**
   * Pages that may connect: their origins (`https://example.org`), or a function of the Origin and Host headers. By default those of
   * the same host. A list also admits what sends no Origin, which no browser does.
   */
  readonly origins?: readonly string[] | ((origin: string | undefined, host: string | undefined) => boolean)
  /** Where Socket.IO lives; `/socket.io`. */
  readonly path?: string
  /** Connections in all; 10,000. */
  readonly maxConnections?: number
  /** Connections from one address, or from one /64 of IPv6; 50. */
  readonly perAddress?: number
  /**
   * How many proxies of one's own every request comes through: 0 by default, when the address is the socket's. With more it is the one so
   * far from the right in `X-Forwarded-For`. Too low a number takes a proxy for everybody, too high a one lets clients choose their address.
   */
  readonly trustProxy?: number
  /** The address of a request, where that header does not tell it. */
  readonly addressOf?: (request: IncomingMessage) => string
  /** A listener threw, or Socket.IO did; `console.error` by default. */
  readonly onError?: (error: unknown) => void
  /** A peer was cut off for breaking the protocol or its limits, before the engine saw anything of it. */
  readonly onCutOff?: (reason: string, remote: string) => void
}

/** The packet header and the engine's framing beside a message, bytes. */
const framing = 1024
/** Milliseconds for a closed connection to take what was written to it and hang up. */
const farewell = 2_000
/**
 * A ping waits behind the backlog, so a slow link is only told from a dead one by waiting for as long as the high mark takes: 60 s for
 * 4 MiB is 70 KB/s. The engine's own silence limit is what finds a dead peer sooner.
 */
const pingTimeout = 60_000

export const socketIoAcceptor = (httpServer: HttpServer | HttpsServer, options: AcceptorOptions = {}): Transport => {
  const onError = options.onError ?? ((error: unknown) => console.error(error))
  const path = `${(options.path ?? '/socket.io').replace(/\/+$/, '')}/`
  const door = new Door(options)
  const channels = new Map<TcpSocket, SocketChannel>()
  let stopRunning: (() => Promise<void>) | undefined

  const accept = (socket: Socket, onChannel: (channel: Channel) => void): void => {
    const tcp = socket.request.socket
    const channel = channelOver(socket, tcp, door.networkOf(socket.request), onError)
    channels.set(tcp, channel)
    tcp.once('close', () => channels.delete(tcp))
    socket.on('error', (error) => {
      options.onCutOff?.(reasonOf('malformed', error), channel.remote)
      channel.close(reasonOf('malformed', error))
      tcp.destroy()
    })
    socket.on('disconnect', (reason, cause) => {
      channel.ended(reasonOf(reason, cause))
      part(tcp)
    })
    socket.on(frameEvent, (message: Uint8Array) => channel.deliver(message))
    channel.handOver(onChannel)
  }

  return {
    start(onChannel) {
      if (stopRunning) throw new Error('The transport is started already.')
      let stopping = false
      const gate = createServer()
      const io = new Server(gate, {
        path,
        parser,
        transports: ['websocket'],
        allowUpgrades: false,
        serveClient: false,
        perMessageDeflate: false,
        httpCompression: false,
        maxHttpBufferSize: limits.frameBytes + framing,
        connectTimeout: 10_000,
        pingTimeout,
      })
      io.engine.on('connection', ({ request }: { request: IncomingMessage }) => {
        const websocket: unknown = Reflect.get(request, 'websocket')
        if (!(websocket instanceof EventEmitter)) return
        answerPingsWhileRead(websocket, request.socket)
        websocket.on('error', (error: Error) => {
          // These are of RFC 6455 and the longest message; others are of a connection that was lost.
          const broken = 'code' in error && String(error.code).startsWith('WS_ERR_')
          if (broken) options.onCutOff?.(reasonOf('malformed', error), nameOf(request.socket))
        })
      })
      io.on('connection', (socket) => {
        try {
          if (stopping) socket.request.socket.destroy()
          else accept(socket, onChannel)
        } catch (error) {
          onError(error)
          socket.request.socket.destroy()
        }
      })

      const upgrade = (request: IncomingMessage, _stream: unknown, head: Buffer): void => {
        const tcp = request.socket
        try {
          const ours = request.url?.startsWith(path) === true
          if (!ours && httpServer.listenerCount('upgrade') > 1) return
          const status = ours ? door.judge(request) : '404 Not Found'
          if (status !== undefined) refuse(tcp, status)
          else {
            door.admit(request)
            gate.emit('upgrade', request, tcp, head)
          }
        } catch (error) {
          onError(error)
          tcp.destroy()
        }
      }
      httpServer.on('upgrade', upgrade)

      stopRunning = async () => {
        stopping = true
        httpServer.off('upgrade', upgrade)
        const gone = door.inside.map((tcp) => new Promise<void>((resolve) => void tcp.once('close', () => resolve())))
        for (const tcp of door.inside) {
          const channel = channels.get(tcp)
          if (channel) channel.close('stopped')
          else tcp.destroy()
        }
        await Promise.all(gone)
        await io.close()
      }
    },

    async stop() {
      const stop = stopRunning
      stopRunning = undefined
      await stop?.()
    },
  }
}

/** Judges upgrade requests and counts the connections that came of them. */
class Door {
  readonly #options: AcceptorOptions
  readonly #inside = new Set<TcpSocket>()
  readonly #perNetwork = new Map<string, number>()

  constructor(options: AcceptorOptions) {
    this.#options = options
  }

  get inside(): TcpSocket[] {
    return [...this.#inside]
  }

  /** The status to refuse with, or `undefined` to admit. */
  judge(request: IncomingMessage): string | undefined {
    // SECURITY: a session id would make the connection another transport of an existing session, past all that is judged here. With
    // websockets alone no client sends one. Guarded by "a session id in the request is refused" in transport.test.ts.
    if (new URL(request.url ?? '', 'http://host').searchParams.has('sid')) return '400 Bad Request'
    if (!this.#mayConnect(request.headers.origin, request.headers.host)) return '403 Forbidden'
    if (this.#inside.size >= (this.#options.maxConnections ?? 10_000)) return '503 Service Unavailable'
    const ofNetwork = this.#perNetwork.get(this.networkOf(request)) ?? 0
    return ofNetwork >= (this.#options.perAddress ?? 50) ? '429 Too Many Requests' : undefined
  }

  admit(request: IncomingMessage): void {
    const tcp = request.socket
    const network = this.networkOf(request)
    this.#inside.add(tcp)
    this.#perNetwork.set(network, (this.#perNetwork.get(network) ?? 0) + 1)
    tcp.once('close', () => {
      this.#inside.delete(tcp)
      const left = (this.#perNetwork.get(network) ?? 1) - 1
      if (left === 0) this.#perNetwork.delete(network)
      else this.#perNetwork.set(network, left)
    })
  }

  /** Who shares the limits of that request. */
  networkOf(request: IncomingMessage): string {
    const { addressOf, trustProxy = 0 } = this.#options
    if (addressOf !== undefined) return networkOf(addressOf(request))
    const header = request.headers['x-forwarded-for']
    const entries = Array.isArray(header) ? header.join(',') : header
    return networkOf(forwardedFor(request.socket.remoteAddress ?? '', entries, trustProxy))
  }

  #mayConnect(origin: string | undefined, host: string | undefined): boolean {
    const { origins } = this.#options
    if (typeof origins === 'function') return origins(origin, host)
    if (origin === undefined) return true
    if (origins) return origins.includes(origin)
    return host !== undefined && URL.canParse(origin) && new URL(origin).host === host.toLowerCase()
  }
}

const channelOver = (
  socket: Socket,
  tcp: TcpSocket,
  address: string,
  onError: (error: unknown) => void,
): SocketChannel => {
  const queue = new Queue()
  const isDirect = isBare(socket.conn.transport, tcp)
  // What the engine holds goes first.
  const isNext = (): boolean => isDirect && queue.bytes === 0
  const channel = new SocketChannel({
    remote: nameOf(tcp),
    address,
    initiator: false,
    write: (message) => {
      if (!isNext()) socket.emit(frameEvent, message)
      else for (const piece of websocketFrames(message)) tcp.write(piece)
    },
    writeJoined: (head, body) => {
      if (!isNext()) socket.emit(frameEvent, joined(head, body))
      else for (const piece of websocketFrames(head, body)) tcp.write(piece)
    },
    backlog: () => queue.bytes + tcp.writableLength,
    watch: nothing,
    end: () => {
      socket.disconnect(true)
      part(tcp)
    },
    report: onError,
  })
  socket.conn.on('packetCreate', (packet: { readonly data?: unknown }) => queue.created(packet))
  socket.conn.on('flush', () => queue.flushed())
  // They come when the kernel has taken all that was flushed, not when engine.io has let go of it.
  socket.conn.transport.on('drain', () => channel.settle())
  tcp.on('drain', () => channel.settle())
  return channel
}

/**
 * Whether messages can be written to the socket itself, as the two frames that engine.io would write. It would write them one after the
 * other, with a wait in between and a dozen events for each; what a server does for a message to many is mostly that. Frames that are
 * neither compressed nor cut stand for themselves, so the engine's own ones, which are few, may come between.
 */
const isBare = (transport: object, tcp: TcpSocket): boolean => {
  const websocket: unknown = Reflect.get(transport, 'socket')
  return (
    typeof websocket === 'object' &&
    websocket !== null &&
    Reflect.get(websocket, '_socket') === tcp &&
    Reflect.get(websocket, 'extensions') === ''
  )
}

/**
 * SECURITY: a websocket answers pings by itself, and whoever pings without reading would fill the memory with answers. Guarded by "pings
 * without reading" in transport.test.ts.
 */
const answerPingsWhileRead = (websocket: EventEmitter, tcp: TcpSocket): void => {
  websocket.on('ping', () => {
    if (tcp.writableLength > limits.channelHighWater + 2 * limits.frameBytes) tcp.destroy()
  })
}

const nameOf = (tcp: TcpSocket): string => `${tcp.remoteAddress ?? 'unknown'}:${tcp.remotePort ?? 0}`

/** Leaves a closed connection a little time, then cuts it. */
const part = (tcp: TcpSocket): void => {
  if (tcp.destroyed) return
  const cut = setTimeout(() => tcp.destroy(), farewell)
  tcp.once('close', () => clearTimeout(cut))
}

const nothing = (): void => undefined

const refuse = (tcp: TcpSocket, status: string): void => {
  tcp.on('error', nothing)
  tcp.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  tcp.destroySoon()
}
