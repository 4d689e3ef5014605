/** WebRTC of a browser as a `PeerTransport`. For Node there is `@weft-db/webrtc/node`. */
import type { PeerTransport } from '@weft-db/engine'
import { peerTransport, type WebrtcOptions } from './transport.ts'

export type { Leaving } from './leaving.ts'
export type { WebrtcOptions } from './transport.ts'

/** Where there is no WebRTC, in a worker for one, every attempt fails as `unsupported`. */
export const webrtcTransport = (options?: WebrtcOptions): PeerTransport =>
  peerTransport(
    typeof RTCPeerConnection === 'undefined'
      ? undefined
      : { RTCPeerConnection, RTCSessionDescription, RTCIceCandidate },
    options,
  )
