/** simple-peer as an app would use it by itself: signals that nobody signs, and a data channel that nobody proves anything on. */
import { createRequire } from 'node:module'
import { sharedTime } from './clock.ts'
import { peer } from './peers.ts'

export interface Wrtc {
  readonly RTCPeerConnection: typeof RTCPeerConnection
  readonly RTCSessionDescription: typeof RTCSessionDescription
  readonly RTCIceCandidate: typeof RTCIceCandidate
}

export interface BareEnd {
  /** When the channel opened here, `sharedTime`. */
  readonly opened: Promise<number>
  readonly channel: RTCDataChannel | undefined
  hear(signal: string): void
  close(): Promise<void>
}

export type LayBare = (initiator: boolean, tell: (signal: string) => void) => BareEnd

interface SimplePeer {
  on(event: 'signal', heard: (signal: object) => void): void
  on(event: 'connect' | 'close', heard: () => void): void
  on(event: 'error', heard: (error: Error) => void): void
  signal(signal: string): void
  destroy(): void
}

/** WebRTC for Node, or undefined after one line about why there is none. */
export const loadWrtc = (): Promise<Wrtc | undefined> => peer<Wrtc>('@roamhq/wrtc')

export const layBare = async (wrtc: Wrtc): Promise<LayBare | undefined> => {
  const beside = createRequire(new URL('../../packages/webrtc/package.json', import.meta.url))
  const module = await peer<{ default: new (options: object) => SimplePeer }>(beside.resolve('simple-peer'))
  if (module === undefined) return undefined
  return (initiator, tell) => {
    let channel: RTCDataChannel | undefined
    const simple = new module.default({
      initiator,
      channelConfig: { negotiated: true, id: 0, ordered: true },
      config: { iceServers: [] },
      wrtc: {
        ...wrtc,
        RTCPeerConnection: new Proxy(wrtc.RTCPeerConnection, {
          construct(made, given) {
            const connection: RTCPeerConnection = Reflect.construct(made, given)
            const create = connection.createDataChannel.bind(connection)
            connection.createDataChannel = (...named) => {
              channel = create(...named)
              return channel
            }
            return connection
          },
        }),
      },
    })
    const opened = new Promise<number>((resolve, reject) => {
      simple.on('connect', () => resolve(sharedTime()))
      simple.on('error', reject)
    })
    // Whoever closes first has the other end hear of it as an error.
    opened.catch(() => undefined)
    const closed = new Promise<void>((resolve) => simple.on('close', resolve))
    simple.on('signal', (signal) => tell(JSON.stringify(signal)))
    return {
      opened,
      get channel() {
        return channel
      },
      hear: (signal) => simple.signal(signal),
      async close() {
        simple.destroy()
        await closed
      },
    }
  }
}
