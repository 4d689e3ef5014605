/**
 * One end of a bare data channel, and of a channel of Weft's transport without a replica, in a process of its own. Their signals go by a
 * bare Socket.IO relay.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Channel, limits, type SigningKey } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { webrtcTransport } from '@weft-db/webrtc/node'
import { sharedTime } from './clock.ts'
import { dialSocketIo, type Line } from './crowd-peers.ts'
import { Ledger } from './ledger.ts'
import { type BareEnd, layBare, loadWrtc } from './mesh-bare.ts'
import type { Methods } from './methods.ts'

/** What travels by the relay begins with whose it is. */
const bareSignal = 0
const weftSignal = 1
/** What travels by the bare channel begins with what is to be done with it. */
const bulk = 0
const signed = 1
const ping = 2
const pong = 3
/** Bytes that a bare channel is given before it was told that the first of them came: half of what the platform holds. */
const window = 8 * 1_048_576
/** Bytes after which that is told. */
const told = 1_048_576

export type Pipe = 'bare' | 'weft'

const end = async (): Promise<Methods | undefined> => {
  const wrtc = await loadWrtc()
  const lay = wrtc && (await layBare(wrtc))
  if (wrtc === undefined || lay === undefined) return undefined
  const runtime = nodeRuntime()
  const transport = await webrtcTransport({ load: async () => wrtc })
  let line: Line | undefined
  let keeper: Line | undefined
  let bare: BareEnd | undefined
  let weft: Channel | undefined
  let takeSignal: ((signal: Uint8Array) => void) | undefined
  const early: Uint8Array[] = []
  let opened: Promise<void> = Promise.resolve()

  let ledger: Ledger | undefined
  let key: SigningKey | undefined
  let folder = ''
  let times = new Map<number, number>()
  let awaited: { number: number; resolve: () => void } | undefined

  let expected = 0
  let came = 0
  let untold = 0
  let free = window
  let more: () => void = () => undefined
  let whole: (at: number) => void = () => undefined
  let received: Promise<number> = Promise.resolve(0)

  const post = (kind: number, text: Uint8Array): void => {
    const message = new Uint8Array(text.length + 1)
    message[0] = kind
    message.set(text, 1)
    line?.send(message)
  }
  const heard = (message: Uint8Array): void => {
    if (message[0] === bareSignal) bare?.hear(new TextDecoder().decode(message.subarray(1)))
    else if (takeSignal !== undefined) takeSignal(message.subarray(1))
    else early.push(message.subarray(1))
  }
  const count = (bytes: number): void => {
    came += bytes
    if (came >= expected) whole(sharedTime())
  }
  const note = (number: number): void => {
    times.set(number, sharedTime())
    if (number === awaited?.number) awaited.resolve()
  }
  const numberOf = (message: Uint8Array): number => new DataView(message.buffer, message.byteOffset).getUint32(0)
  const send = (kind: number, body: Uint8Array): void => {
    const message = new Uint8Array(1 + body.length)
    message[0] = kind
    message.set(body, 1)
    bare?.channel?.send(message)
  }
  const take = (message: Uint8Array): void => {
    const body = message.subarray(1)
    if (message[0] === ping) send(pong, body)
    else if (message[0] === pong && body.length === 4) {
      free += numberOf(body)
      more()
    } else if (message[0] === pong) note(numberOf(body))
    else if (message[0] === signed) void ledger?.receive(runtime, body).then((whole) => note(numberOf(whole)))
    else if (message[0] === bulk) {
      count(message.length)
      untold += message.length
      if (untold < told && came < expected) return
      const credit = new Uint8Array(4)
      new DataView(credit.buffer).setUint32(0, untold)
      untold = 0
      send(pong, credit)
    }
  }
  const numbered = (number: number, bytes: number): Uint8Array => {
    const body = new Uint8Array(bytes)
    new DataView(body.buffer).setUint32(0, number)
    return body
  }
  const pause = (ms: number): Promise<void> => new Promise((resolve) => void runtime.timer(ms, resolve))

  const pourBare = async (bytes: number): Promise<void> => {
    const piece = new Uint8Array(limits.pieceBytes)
    for (let left = bytes; left > 0; left -= piece.length) {
      while (free < piece.length)
        await new Promise<void>((resolve) => {
          more = resolve
        })
      free -= piece.length
      bare?.channel?.send(piece)
    }
  }
  /** As a replica does: nothing more above the high mark, until it is told that it fell below the low one. */
  const pourWeft = async (bytes: number, size: number): Promise<void> => {
    const message = new Uint8Array(size)
    for (let left = bytes; left > 0; left -= size) {
      if (weft !== undefined && weft.buffered >= limits.channelHighWater)
        await new Promise<void>((resolve) => {
          more = resolve
        })
      weft?.send(message)
    }
  }

  return {
    post: async (port: number) => {
      line = await dialSocketIo(port, heard)
      return line !== undefined
    },
    /** Makes this end of a bare channel; gives when it began. */
    layBare: (initiator: boolean) => {
      const began = sharedTime()
      bare = lay(initiator, (signal) => post(bareSignal, new TextEncoder().encode(signal)))
      return began
    },
    bareOpened: async () => {
      const at = await bare?.opened
      const channel = bare?.channel
      if (channel)
        channel.onmessage = ({ data }: MessageEvent<unknown>) =>
          data instanceof ArrayBuffer && take(new Uint8Array(data))
      return at
    },
    bareClose: async () => {
      await bare?.close()
      bare = undefined
    },
    layWeft: (initiator: boolean) => {
      opened = new Promise<void>((resolve, reject) => {
        const attempt = transport.attempt(
          { remote: 'the other end', initiator, servers: [], relayOnly: false },
          {
            signal: (signal) => post(weftSignal, signal),
            opened: (channel) => {
              weft = channel
              channel.listen({
                message: (bytes) => count(bytes.length),
                drain: () => more(),
                closed: () => undefined,
              })
              resolve()
            },
            failed: ({ kind, detail }) => reject(new Error(`${kind}: ${detail}`)),
          },
        )
        takeSignal = (signal) => void attempt.signal(signal)
        for (const signal of early.splice(0)) takeSignal(signal)
      })
      opened.catch(() => undefined)
    },
    weftOpened: () => opened,

    /** Opens the file that signed messages are stored in. */
    ledger: async () => {
      folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
      ledger = await Ledger.open(join(folder, 'ledger'))
      key = await runtime.generateKey()
    },
    /** Signs, stores and sends so many messages, one every `interval` ms; gives when each began. */
    write: async (first: number, count: number, interval: number, bytes: number) => {
      const began: number[] = []
      for (let number = first; number < first + count; number++) {
        began.push(sharedTime())
        const written = key && ledger?.write(key, numbered(number, bytes))
        void written?.then((message) => {
          send(signed, message)
          keeper?.send(message)
        })
        await pause(interval)
      }
      return began
    },
    /** What is signed goes to that server as well, behind the channel: it verifies and stores. */
    keepAt: async (port: number) => {
      keeper = await dialSocketIo(port, () => undefined)
    },
    keepNoMore: () => {
      keeper?.close()
      keeper = undefined
    },
    seen: async (first: number, count: number) => {
      const number = first + count - 1
      if (!times.has(number))
        await new Promise<void>((resolve) => {
          awaited = { number, resolve }
        })
      const all = Array.from({ length: count }, (_, index) => times.get(first + index) ?? 0)
      times = new Map()
      return all
    },
    /** Half the round trip of so many messages, ms. */
    ping: async (first: number, count: number, interval: number, bytes: number) => {
      const halves: number[] = []
      for (let number = first; number < first + count; number++) {
        const back = new Promise<void>((resolve) => {
          awaited = { number, resolve }
        })
        const began = sharedTime()
        send(ping, numbered(number, bytes))
        await back
        halves.push(((times.get(number) ?? 0) - began) / 2)
        await pause(interval)
      }
      times = new Map()
      return halves
    },

    /** So many bytes are going to come. */
    expect: (bytes: number) => {
      expected = bytes
      came = 0
      received = new Promise((resolve) => {
        whole = resolve
      })
    },
    /** When the last of them came. */
    received: () => received,
    pour: async (pipe: Pipe, bytes: number, size: number) => {
      const began = sharedTime()
      await (pipe === 'bare' ? pourBare(bytes) : pourWeft(bytes, size))
      return began
    },
    close: async () => {
      await transport.stop()
      await bare?.close()
      line?.close()
      keeper?.close()
      await ledger?.close()
      if (folder !== '') rmSync(folder, { recursive: true, force: true })
    },
  }
}

export const endRoles = { 'mesh/end': end }
