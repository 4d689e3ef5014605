/** Clients of the relays, and of Yjs. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeRuntime } from '@weft-db/runtime/node'
import { type Gather, Roll } from './crowd.ts'
import { envelopeBytes, Ledger } from './ledger.ts'
import { peer } from './peers.ts'

/** A line to a relay. */
export interface Line {
  send(message: Uint8Array): void
  close(): void
}

type Dial = (port: number, heard: (message: Uint8Array) => void) => Promise<Line | undefined>

const numbered = (number: number, bytes: number): Uint8Array => {
  const message = new Uint8Array(bytes)
  new DataView(message.buffer).setUint32(0, number)
  return message
}

const numberOf = (message: Uint8Array): number =>
  new DataView(message.buffer, message.byteOffset, message.byteLength).getUint32(0)

const gatherBare =
  (dial: Dial): Gather =>
  async ({ port, members, bytes }) => {
    const roll = new Roll()
    /** Of a burst: what the reader that has the least has to come yet. */
    let left = 0
    let done: () => void = () => undefined
    const lines: Line[] = []
    for (let member = 0; member < members; member++) {
      const line = await dial(port, (message) => {
        roll.answer(member, numberOf(message))
        if (left > 0 && --left === 0) done()
      })
      if (line === undefined) return undefined
      lines.push(line)
    }
    const [writer] = lines
    return {
      send: (number) => {
        const told = roll.call(number, members - 1)
        writer?.send(numbered(number, bytes))
        return told
      },
      burst: (count) =>
        new Promise((resolve) => {
          left = count * (members - 1)
          done = resolve
          for (let index = 0; index < count; index++) writer?.send(numbered(index, bytes))
        }),
      close: async () => {
        for (const line of lines) line.close()
      },
    }
  }

interface SocketIoClient {
  io(
    url: string,
    options: object,
  ): {
    on(event: string, heard: (message: Uint8Array) => void): void
    emit(event: string, message: Uint8Array): void
    disconnect(): void
  }
}

export const dialSocketIo: Dial = async (port, heard) => {
  const module = await peer<SocketIoClient>('socket.io-client')
  if (module === undefined) return undefined
  const socket = module.io(`http://127.0.0.1:${port}`, { transports: ['websocket'], forceNew: true })
  socket.on('message', heard)
  await new Promise<void>((resolve) => socket.on('connect', () => resolve()))
  return { send: (message) => void socket.emit('message', message), close: () => void socket.disconnect() }
}

interface WebSocket {
  on(event: string, heard: (message: Uint8Array) => void): void
  send(message: Uint8Array): void
  close(): void
}

const dialWs: Dial = async (port, heard) => {
  const module = await peer<{ WebSocket: new (url: string) => WebSocket }>('ws')
  if (module === undefined) return undefined
  const socket = new module.WebSocket(`ws://127.0.0.1:${port}`)
  socket.on('message', heard)
  await new Promise<void>((resolve) => socket.on('open', () => resolve()))
  return socket
}

export const gatherSocketIo = gatherBare(dialSocketIo)
export const gatherWs = gatherBare(dialWs)

/**
 * One signature, a verification at the server and one at every reader, and each of them stores before it passes on; readers that have no
 * disk only read.
 */
export const gatherVouching: Gather = async ({ port, members, durable, bytes }) => {
  const runtime = nodeRuntime()
  const key = await runtime.generateKey()
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  const roll = new Roll()
  const lines: Line[] = []
  const ledgers: Ledger[] = []
  for (let member = 0; member < members; member++) {
    const ledger = await Ledger.open(join(folder, String(member)))
    ledgers.push(ledger)
    const line = await dialSocketIo(port, (message) => {
      if (!durable) return roll.answer(member, numberOf(message.subarray(envelopeBytes)))
      void ledger.receive(runtime, message).then((body) => roll.answer(member, numberOf(body)))
    })
    if (line === undefined) return undefined
    lines.push(line)
  }
  const [writer] = lines
  const [ledger] = ledgers
  return {
    send: async (number) => {
      const told = roll.call(number, members - 1)
      const message = await ledger?.write(key, numbered(number, bytes))
      if (message !== undefined) writer?.send(message)
      return told
    },
    close: async () => {
      for (const line of lines) line.close()
      for (const one of ledgers) await one.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

interface YMap {
  set(key: string, value: unknown): void
  get(key: string): unknown
  observe(heard: () => void): void
}

interface YDoc {
  getMap(name: string): YMap
  transact(run: () => void): void
}

interface Provider {
  on(event: 'sync', heard: (isSynced: boolean) => void): void
  destroy(): void
}

export const gatherYjs: Gather = async ({ port, members }) => {
  const yjs = await peer<{ Doc: new () => YDoc }>('yjs')
  const sockets = await peer<{ WebSocket: unknown }>('ws')
  const module = await peer<{
    WebsocketProvider: new (url: string, room: string, doc: YDoc, options: object) => Provider
  }>('y-websocket')
  if (yjs === undefined || sockets === undefined || module === undefined) return undefined
  const roll = new Roll()
  const providers: Provider[] = []
  const maps: { doc: YDoc; map: YMap }[] = []
  for (let member = 0; member < members; member++) {
    const doc = new yjs.Doc()
    const map = doc.getMap('cards')
    const options = { WebSocketPolyfill: sockets.WebSocket, disableBc: true }
    const provider = new module.WebsocketProvider(`ws://127.0.0.1:${port}`, 'bench', doc, options)
    await new Promise<void>((resolve) => provider.on('sync', (isSynced) => isSynced && resolve()))
    if (member > 0) map.observe(() => roll.answer(member, Number(map.get('points'))))
    providers.push(provider)
    maps.push({ doc, map })
  }
  const [writer, ...readers] = maps
  let bursts = 0
  return {
    send: (number) => {
      const told = roll.call(number, members - 1)
      writer?.doc.transact(() => {
        writer.map.set('done', number % 2 === 0)
        writer.map.set('title', `Sync that costs the difference ${number % 10}`)
        writer.map.set('points', number)
      })
      return told
    },
    burst: async (count) => {
      const burst = bursts++
      const came = readers.map(
        ({ map }) =>
          new Promise<void>((resolve) =>
            map.observe(() => map.get(`${burst}/${count - 1}`) !== undefined && resolve()),
          ),
      )
      for (let index = 0; index < count; index++)
        writer?.doc.transact(() => writer.map.set(`${burst}/${index}`, { title: 'Item', points: index }))
      await Promise.all(came)
    },
    close: async () => {
      for (const provider of providers) provider.destroy()
    },
  }
}
