/**
 * The dialling side of Socket.IO as a `Transport`, for browsers and Node. It holds at most one connection and dials again for as long
 * as it is not stopped, whatever ended the last one. Every attempt is a new connection with a new channel: Socket.IO's own
 * reconnection would keep unsent events and repeat them, which breaks a channel's "in order, without gaps".
 */
import { limits, type Transport } from '@weft-db/engine'
import { Manager } from 'socket.io-client'
import { Queue, reasonOf, SocketChannel } from './channel.ts'
import { frameEvent, frameHeader, parser } from './packet.ts'
import { Backoff, type Retry } from './retry.ts'
import { browserWake, type Wake } from './wake.ts'

export type { Retry, Wake }
export type ConnectionState = 'connecting' | 'online' | 'offline'

export interface ClientOptions {
  /** The server, absolute or relative to the page; its path is not used. */
  readonly url: string
  /** Where the server's Socket.IO lives; `/socket.io`. */
  readonly path?: string
  /** Told at every change. The reason says what ended or prevented the connection. */
  readonly onState?: (state: ConnectionState, reason?: string) => void
  readonly retry?: Retry
  /** Hints to dial at once instead of waiting; the browser's by default. */
  readonly wake?: Wake
  /** A listener or callback threw; `console.error` by default. */
  readonly onError?: (error: unknown) => void
}

/** Milliseconds from dialling to a joined namespace. */
const patience = 15_000
/** Milliseconds between looks at a browser's `bufferedAmount`, which falls without an event. */
const lookAgain = 20

export const socketIoTransport = (options: ClientOptions): Transport => {
  const onError = options.onError ?? ((error: unknown) => console.error(error))
  const backoff = new Backoff(options.retry)
  let current: { end(reason: string): void } | undefined
  let sleepless: (() => void) | undefined
  let waiting: ReturnType<typeof setTimeout> | undefined

  const state = (to: ConnectionState, reason?: string): void => {
    try {
      options.onState?.(to, reason)
    } catch (error) {
      onError(error)
    }
  }

  return {
    start(onChannel) {
      if (sleepless) throw new Error('The transport is started already.')
      const origin = originOf(options.url)

      const dialNow = (): void => {
        clearTimeout(waiting)
        waiting = undefined
        state('connecting')
        if (!sleepless || current) return
        current = dial(origin, options.path, onError, {
          online: (channel) => {
            state('online')
            channel.handOver(onChannel)
          },
          over: (reason, lasted) => {
            current = undefined
            if (sleepless) waiting = setTimeout(dialNow, backoff.next(lasted))
            state('offline', reason)
          },
        })
      }

      sleepless = (options.wake ?? browserWake)(() => {
        if (waiting === undefined) return
        backoff.forget()
        dialNow()
      })
      dialNow()
    },

    async stop() {
      sleepless?.()
      sleepless = undefined
      clearTimeout(waiting)
      waiting = undefined
      current?.end('stopped')
    },
  }
}

interface Outcome {
  online(channel: SocketChannel): void
  /** Told once, after the channel heard it. `lasted`: ms since it was online, else 0. */
  over(reason: string, lasted: number): void
}

/** One attempt, and the connection it becomes. `end` may be called at any time. */
const dial = (
  origin: string,
  path: string | undefined,
  onError: (error: unknown) => void,
  outcome: Outcome,
): { end(reason: string): void } => {
  const manager = new Manager(origin, {
    path: path ?? '/socket.io',
    transports: ['websocket'],
    reconnection: false,
    timeout: patience,
    parser,
    transportOptions: { websocket: { maxPayload: limits.frameBytes } },
  })
  const socket = manager.socket('/')
  const queue = new Queue()
  let channel: SocketChannel | undefined
  let onlineAt: number | undefined
  let over = false
  let looking: ReturnType<typeof setTimeout> | undefined

  const end = (reason: string): void => {
    if (over) return
    over = true
    clearTimeout(impatient)
    clearTimeout(looking)
    socket.off()
    socket.disconnect()
    channel?.close(reason)
    outcome.over(reason, onlineAt === undefined ? 0 : performance.now() - onlineAt)
  }
  const impatient = setTimeout(() => end('no answer in time'), patience)

  const look = (): void => {
    looking = channel?.settle() ? setTimeout(look, lookAgain) : undefined
  }

  socket.on('connect_error', (error) => end(reasonOf('unreachable', error)))
  socket.on('disconnect', (reason, cause) => end(reasonOf(reason, cause)))
  socket.on('connect', () => {
    clearTimeout(impatient)
    onlineAt = performance.now()
    const { engine } = manager
    engine.on('packetCreate', (packet) => queue.created(packet))
    engine.on('flush', () => queue.flushed())
    channel = new SocketChannel({
      remote: origin,
      initiator: true,
      write: (message) => {
        const { transport } = engine
        // Where nothing waits, both parts go in one write; else they wait with the rest, and go together with it.
        if (!transport.writable || engine.writeBuffer.length > 0) socket.emit(frameEvent, message)
        else
          inOneWrite(transport, () =>
            transport.send([
              { type: 'message', data: frameHeader },
              { type: 'message', data: message },
            ]),
          )
      },
      backlog: () => queue.bytes + unsentOf(engine.transport),
      watch: () => {
        looking ??= setTimeout(look, lookAgain)
      },
      end,
      report: onError,
    })
    outcome.online(channel)
  })
  socket.on(frameEvent, (message: Uint8Array) => channel?.deliver(message))
  return { end }
}

/** Bytes the WebSocket beneath holds; 0 where it cannot be seen. The field is not in engine.io's types; the contract suite guards it. */
const unsentOf = (transport: object): number => {
  const websocket: unknown = Reflect.get(transport, 'ws')
  const unsent: unknown =
    typeof websocket === 'object' && websocket !== null ? Reflect.get(websocket, 'bufferedAmount') : 0
  return typeof unsent === 'number' ? unsent : 0
}

/** Holds the socket beneath Node's WebSocket back while `send` runs. A browser's has none, and gathers by itself. */
const inOneWrite = (transport: object, send: () => void): void => {
  const websocket: unknown = Reflect.get(transport, 'ws')
  const tcp: unknown =
    typeof websocket === 'object' && websocket !== null ? Reflect.get(websocket, '_socket') : undefined
  if (!isCorked(tcp)) return send()
  tcp.cork()
  try {
    send()
  } finally {
    tcp.uncork()
  }
}

const isCorked = (tcp: unknown): tcp is { cork(): void; uncork(): void } =>
  typeof tcp === 'object' && tcp !== null && 'cork' in tcp && 'uncork' in tcp

const originOf = (url: string): string => {
  const { protocol, host } = new URL(url, typeof location === 'undefined' ? undefined : location.href)
  return `${protocol}//${host}`
}
