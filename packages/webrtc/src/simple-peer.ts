/**
 * One RTCPeerConnection with its data channel, by simple-peer, which nobody else here knows. It makes descriptions and candidates, and
 * says when the channel is open and when all is over. What it does not do well enough is done on the platform's own objects:
 *
 * - Messages go past its stream, whose queues have no bound and whose `write` waits for a mark of its own.
 * - Both ends name the channel beforehand (`negotiated`), so that no other can be opened in its place.
 * - A candidate that the platform refuses is let go; simple-peer ends the connection over it.
 * - Its list of STUN servers is that of third parties, so the servers are always given.
 */
import { type AttemptOptions, limits, type Runtime } from '@weft-db/engine'
import Peer from 'simple-peer/simplepeer.min.js'
import { lowMark, type Pipe } from './channel.ts'
import type { PeerSignal } from './signal.ts'
import { goesByRelay } from './way.ts'

/** WebRTC as a browser has it. */
export interface Platform {
  readonly RTCPeerConnection: typeof RTCPeerConnection
  readonly RTCSessionDescription: typeof RTCSessionDescription
  readonly RTCIceCandidate: typeof RTCIceCandidate
}

export interface LineEvents {
  /** For the other end. */
  signal(signal: PeerSignal): void
  /** A STUN or TURN server was asked in vain. */
  candidateError(code: number, url: string): void
  /** Nothing more is looked for; `some` when anything was found. */
  gathered(some: boolean): void
  ice(state: RTCIceConnectionState): void
  open(agreed: Agreed): void
  /** A piece; undefined for text. */
  piece(bytes: Uint8Array | undefined): void
  /** The backlog fell to the low mark. */
  low(): void
  /** Told once, and nothing after it. */
  gone(end: Ending): void
}

/** What an open connection stands on. */
export interface Agreed {
  /** The two descriptions, SDP. */
  readonly local: string
  readonly remote: string
  readonly relayed: boolean
}

export interface Ending {
  readonly reason: string
  /** `refused`: a description was. `unreached`: no candidates worked. `lost`: all else. */
  readonly kind: 'refused' | 'unreached' | 'lost'
}

/** The end of one connection here. */
export interface Line extends Pipe {
  signal(signal: PeerSignal): void
}

export type Lay = (options: AttemptOptions, events: LineEvents) => Line

/** Milliseconds between looks at a backlog that falls without an event, as Node's does. */
const lookAgain = 5

export const layBySimplePeer =
  (platform: Platform, timer: Runtime['timer']): Lay =>
  (options, events) => {
    const laid: { connection?: RTCPeerConnection; channel?: RTCDataChannel } = {}
    const peer = new Peer({
      initiator: options.initiator,
      channelName: 'weft',
      channelConfig: { negotiated: true, id: 0, ordered: true },
      config: {
        iceServers: options.servers.map(({ urls, ...rest }) => ({ urls: [...urls], ...rest })),
        iceTransportPolicy: options.relayOnly ? 'relay' : 'all',
      },
      // Of use without trickling only; the timer outlives the peer.
      iceCompleteTimeout: 1,
      wrtc: {
        RTCSessionDescription: platform.RTCSessionDescription,
        RTCIceCandidate: platform.RTCIceCandidate,
        RTCPeerConnection: new Proxy(platform.RTCPeerConnection, {
          construct(made, given) {
            const connection: RTCPeerConnection = Reflect.construct(made, given)
            laid.connection = connection
            const create = connection.createDataChannel.bind(connection)
            connection.createDataChannel = (...named) => {
              laid.channel = create(...named)
              return laid.channel
            }
            const add = connection.addIceCandidate.bind(connection)
            connection.addIceCandidate = (candidate?: RTCIceCandidateInit | null) =>
              add(candidate).catch(() => undefined)
            return connection
          },
        }),
      },
    })
    let over = false
    let ending: Ending = { reason: 'closed', kind: 'lost' }
    let unwatch: (() => void) | undefined
    const destroy = (reason?: string): void => {
      if (reason !== undefined) ending = { reason, kind: 'lost' }
      peer.destroy()
    }

    const asked = (event: RTCPeerConnectionIceErrorEvent): void => events.candidateError(event.errorCode, event.url)
    const second = (): void => destroy('the other end opened a second channel')
    // Node's binding says so before it has told the candidates, but they are in the description by then.
    const found = ({ candidate }: RTCPeerConnectionIceEvent): void => {
      if (candidate === null) events.gathered(/^a=candidate:/m.test(connection?.localDescription?.sdp ?? ''))
    }
    const { connection, channel } = laid
    connection?.addEventListener('icecandidate', found)
    connection?.addEventListener('icecandidateerror', asked)
    connection?.addEventListener('datachannel', second)
    const tells = channel !== undefined && 'bufferedAmountLowThreshold' in channel
    if (channel) {
      channel.bufferedAmountLowThreshold = lowMark
      channel.onbufferedamountlow = () => events.low()
      channel.onmessage = ({ data }: MessageEvent<unknown>) =>
        events.piece(data instanceof ArrayBuffer ? new Uint8Array(data) : undefined)
    }

    peer.on('signal', (signal) => {
      if (signal.type === 'offer' || signal.type === 'answer')
        events.signal({ kind: signal.type, sdp: signal.sdp ?? '' })
      else if (signal.type === 'candidate') {
        const { candidate, sdpMid } = signal.candidate
        events.signal({ kind: 'candidate', mid: sdpMid ?? '0', candidate })
      }
    })
    peer.on('iceStateChange', (state: RTCIceConnectionState) => events.ice(state))
    peer.on('connect', () => {
      if (!connection) return
      void wayOf(connection).then((relayed) => {
        const [local, remote] = [connection.localDescription?.sdp ?? '', connection.remoteDescription?.sdp ?? '']
        if (!over) events.open({ local, remote, relayed })
      })
    })
    peer.on('error', (error: Error & { code?: string }) => {
      ending = { reason: error.message, kind: endings[error.code ?? ''] ?? 'lost' }
    })
    peer.on('close', () => {
      over = true
      unwatch?.()
      connection?.removeEventListener('icecandidate', found)
      connection?.removeEventListener('icecandidateerror', asked)
      connection?.removeEventListener('datachannel', second)
      if (connection) connection.onconnectionstatechange = null
      if (channel) channel.onbufferedamountlow = null
      events.gone(ending)
    })

    const look = (): void => {
      unwatch = undefined
      if (backlog() > lowMark) unwatch = timer(lookAgain, look)
      else events.low()
    }
    const backlog = (): number => (over ? 0 : (channel?.bufferedAmount ?? 0))

    return {
      signal(signal) {
        if (over) return
        try {
          // As text, since the types of simple-peer ask for the platform's own candidates, which it makes itself.
          peer.signal(
            JSON.stringify(
              signal.kind === 'candidate'
                ? {
                    type: 'candidate',
                    candidate: { candidate: signal.candidate, sdpMid: signal.mid, sdpMLineIndex: 0 },
                  }
                : { type: signal.kind, sdp: signal.sdp },
            ),
          )
        } catch (error) {
          destroy(String(error))
        }
      },
      get backlog() {
        return backlog()
      },
      send(piece) {
        // Node's binding loses the channel over more than 262,144 bytes instead of throwing.
        if (piece.length > limits.pieceBytes) throw new RangeError(`a piece of ${piece.length} bytes`)
        if (channel === undefined || over) throw new Error('the data channel is not open')
        // One that is not open throws; asking it first waits for another thread in Node.
        channel.send(piece)
      },
      watch() {
        if (!tells && !over) unwatch ??= timer(lookAgain, look)
      },
      destroy: () => destroy(),
    }
  }

const endings: Record<string, Ending['kind']> = {
  ERR_SET_REMOTE_DESCRIPTION: 'refused',
  ERR_CREATE_ANSWER: 'refused',
  ERR_ICE_CONNECTION_FAILURE: 'unreached',
  ERR_CONNECTION_FAILURE: 'unreached',
}

/** A platform that gives no statistics is taken for a direct way. */
const wayOf = async (connection: RTCPeerConnection): Promise<boolean> => {
  const reports = new Map<string, object>()
  try {
    for (const [id, report] of (await connection.getStats()).entries()) reports.set(id, report)
  } catch {
    return false
  }
  return goesByRelay(reports)
}
