/** Channels that come and go in a process that does nothing else: what is left of them. */
import type { Channel } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import { webrtcTransport } from '@weft-db/webrtc/node'
import { heldBytes } from './measure.ts'
import { type LayBare, layBare, loadWrtc, type Wrtc } from './mesh-bare.ts'
import type { Methods } from './methods.ts'

export interface Left {
  /** Bytes. */
  readonly heap: number
  readonly resident: number
  /** Connections that were not closed. */
  readonly live: number
  /** Timers, sockets and whatever else keeps a process alive. */
  readonly handles: number
}

const runtime = nodeRuntime()

/** Connects, sends a message one way, closes, and resolves when both ends heard of it. */
type Cycle = () => Promise<void>

const cycles = async (make: (wrtc: Wrtc) => Promise<Cycle | undefined>): Promise<Methods | undefined> => {
  const found = await loadWrtc()
  if (found === undefined) return undefined
  const connections: WeakRef<RTCPeerConnection>[] = []
  const cycle = await make({
    ...found,
    RTCPeerConnection: new Proxy(found.RTCPeerConnection, {
      construct(made, given) {
        const connection: RTCPeerConnection = Reflect.construct(made, given)
        connections.push(new WeakRef(connection))
        return connection
      },
    }),
  })
  if (cycle === undefined) return undefined
  return {
    run: async (count: number) => {
      for (let index = 0; index < count; index++) await cycle()
    },
    left: async (): Promise<Left> => {
      // Objects of the platform are freed in turns of the event loop that follow the collection; a timer that is about to end is none left.
      let handles = Number.POSITIVE_INFINITY
      for (let turn = 0; turn < 5; turn++) {
        heldBytes()
        await new Promise<void>((resolve) => void runtime.timer(20, resolve))
        handles = Math.min(handles, process.getActiveResourcesInfo().length)
      }
      const live = connections.filter((one) => (one.deref()?.signalingState ?? 'closed') !== 'closed').length
      connections.length = 0
      await new Promise(setImmediate)
      return { heap: heldBytes(), resident: process.memoryUsage().rss, live, handles }
    },
  }
}

const weftCycle = async (wrtc: Wrtc): Promise<Cycle> => {
  const [one, two] = await Promise.all([
    webrtcTransport({ load: async () => wrtc }),
    webrtcTransport({ load: async () => wrtc }),
  ])
  const message = new Uint8Array(1_000)
  return () =>
    new Promise((resolve, reject) => {
      let closed = 0
      const heard = (channel: Channel, onMessage: () => void): void =>
        channel.listen({
          message: onMessage,
          drain: () => undefined,
          closed: () => {
            if (++closed === 2) resolve()
          },
        })
      const about = { servers: [], relayOnly: false }
      const failed = ({ kind, detail }: { kind: string; detail: string }): void =>
        reject(new Error(`${kind}: ${detail}`))
      const accepting = two.attempt(
        { ...about, remote: 'one', initiator: false },
        {
          signal: (signal) => queueMicrotask(() => void dialling.signal(signal)),
          opened: (channel) => heard(channel, () => channel.close('enough')),
          failed,
        },
      )
      const dialling = one.attempt(
        { ...about, remote: 'two', initiator: true },
        {
          signal: (signal) => queueMicrotask(() => void accepting.signal(signal)),
          opened: (channel) => {
            heard(channel, () => undefined)
            channel.send(message)
          },
          failed,
        },
      )
    })
}

const bareCycle = async (wrtc: Wrtc): Promise<Cycle | undefined> => {
  const lay: LayBare | undefined = await layBare(wrtc)
  if (lay === undefined) return undefined
  return async () => {
    const accepting = lay(false, (signal) => queueMicrotask(() => dialling.hear(signal)))
    const dialling = lay(true, (signal) => queueMicrotask(() => accepting.hear(signal)))
    await Promise.all([accepting.opened, dialling.opened])
    const came = new Promise<void>((resolve) => {
      if (accepting.channel) accepting.channel.onmessage = () => resolve()
    })
    dialling.channel?.send(new Uint8Array(1_000))
    await came
    await Promise.all([accepting.close(), dialling.close()])
  }
}

export const cycleRoles = {
  'mesh/cycles of weft': () => cycles(weftCycle),
  'mesh/cycles of simple-peer': () => cycles(bareCycle),
}
