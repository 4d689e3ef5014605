/** WebRTC for Node as a `PeerTransport`, by @roamhq/wrtc, which whoever wants it installs: its binaries weigh 26 MB. */
import type { PeerTransport } from '@weft-db/engine'
import type { Platform } from './simple-peer.ts'
import { peerTransport, type WebrtcOptions } from './transport.ts'

export type { WebrtcOptions } from './transport.ts'

export interface NodeOptions extends WebrtcOptions {
  /** Imports what brings WebRTC; `import('@roamhq/wrtc')`. */
  readonly load?: () => Promise<unknown>
}

const wanted = '@roamhq/wrtc'

/** Rejects when there is no @roamhq/wrtc, or none for this machine; the message says how to install it. */
export const webrtcTransport = async ({ load, ...options }: NodeOptions = {}): Promise<PeerTransport> => {
  let found: unknown
  try {
    // Named by a variable, so that bundlers and compilers leave out what may be missing.
    found = await (load ?? (() => import(wanted)))()
  } catch (cause) {
    throw new Error(advice, { cause })
  }
  const platform = [found, property(found, 'default')].find(isPlatform)
  if (platform === undefined) throw new Error(advice)
  return peerTransport(platform, options)
}

const advice = `WebRTC in Node needs the package ${wanted}, version 0.10, which is not here or not for this machine. Install it beside your app: npm install ${wanted}@0.10`

const property = (of: unknown, name: string): unknown =>
  typeof of === 'object' && of !== null ? Reflect.get(of, name) : undefined

const isPlatform = (found: unknown): found is Platform =>
  ['RTCPeerConnection', 'RTCSessionDescription', 'RTCIceCandidate'].every(
    (name) => typeof property(found, name) === 'function',
  )
