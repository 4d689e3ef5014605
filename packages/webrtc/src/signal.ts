/**
 * What the two ends of an attempt tell each other, as bytes: `[kind u8, text in printable ASCII]`, where the text is an SDP description
 * (RFC 8829), or a mid, a line feed and a candidate (RFC 8839). Whoever sends signals is hardly known, so what comes in is allow-listed:
 *
 * - one description for each end, an offer to the side that did not begin or an answer to the one that did; no renegotiation;
 * - one media section, of data channels, and one certificate, named by SHA-256;
 * - candidates only as signals of their own, over UDP only, with an address or an mDNS name. A TCP candidate would have this device dial
 *   into whatever listens in its network, and another name would have it ask the DNS.
 *
 * What goes out keeps to the same rules. The text of descriptions holds no address, and in a relay-only attempt no candidate does either,
 * but the relay's.
 */
import { limits, type Refusal, refusal } from '@weft-db/engine'

export interface Description {
  readonly kind: 'offer' | 'answer'
  readonly sdp: string
}
export interface Candidate {
  readonly kind: 'candidate'
  /** The media section it belongs to, as the descriptions name it. */
  readonly mid: string
  readonly candidate: string
}
export type PeerSignal = Description | Candidate

const kinds = ['offer', 'answer', 'candidate'] as const
/** Places kept free for reflexive and relayed candidates, which come after those of the interfaces and reach further. */
const farCandidates = 12

export const writeSignal = (signal: PeerSignal): Uint8Array => {
  const text = signal.kind === 'candidate' ? `${signal.mid}\n${signal.candidate}` : signal.sdp
  const bytes = new Uint8Array(1 + text.length)
  bytes[0] = kinds.indexOf(signal.kind)
  for (let at = 0; at < text.length; at++) bytes[at + 1] = text.charCodeAt(at)
  return bytes
}

export const readSignal = (bytes: Uint8Array): PeerSignal | Refusal => {
  if (bytes.length > limits.signalBytes) return refusal('TooLarge', `a signal of ${bytes.length} bytes`)
  const kind = kinds[bytes[0] ?? kinds.length]
  if (kind === undefined) return refusal('UnknownMessage', 'a signal')
  let text = ''
  for (let at = 1; at < bytes.length; at++) {
    const code = bytes[at] ?? 0
    if (!isPrintable(code)) return refusal('Malformed', 'a signal that is not text')
    text += String.fromCharCode(code)
  }
  if (kind !== 'candidate') {
    const fault = faultOf(text)
    return fault === undefined ? { kind, sdp: text } : refusal('Malformed', fault)
  }
  const end = text.indexOf('\n')
  const signal: Candidate = { kind, mid: text.slice(0, Math.max(0, end)), candidate: text.slice(end + 1) }
  if (!midShape.test(signal.mid) || !candidateShape.test(signal.candidate)) return refusal('Malformed', 'a candidate')
  return signal
}

/** Which signals may still pass, in either direction. One for each attempt. */
export class SignalGate {
  readonly #initiator: boolean
  readonly #relayOnly: boolean
  #described = false
  #candidates = 0
  #near = 0
  #told = 0

  constructor(initiator: boolean, relayOnly: boolean) {
    this.#initiator = initiator
    this.#relayOnly = relayOnly
  }

  /** What the other end sent. */
  admit(bytes: Uint8Array): PeerSignal | Refusal {
    const signal = readSignal(bytes)
    if (!('kind' in signal)) return signal
    if (signal.kind === 'candidate') {
      if (this.#candidates >= limits.candidates) return refusal('TooMany', 'candidates of one end')
      this.#candidates += 1
      return signal
    }
    if ((signal.kind === 'offer') === this.#initiator) return refusal('UnknownMessage', `an ${signal.kind}`)
    if (this.#described) return refusal('TooMany', `an ${signal.kind} after the first`)
    this.#described = true
    return signal
  }

  /** What is told the other end of this one's own signal; nothing of what it would refuse or must not know. */
  release(signal: PeerSignal): Uint8Array | undefined {
    if (signal.kind !== 'candidate') return writeSignal({ kind: signal.kind, sdp: withoutAddresses(signal.sdp) })
    const type = candidateType(signal.candidate)
    if (!midShape.test(signal.mid) || !candidateShape.test(signal.candidate)) return
    if (this.#relayOnly && type !== 'relay') return
    if (this.#told >= limits.candidates) return
    if (type === 'host') {
      if (this.#near >= limits.candidates - farCandidates) return
      this.#near += 1
    }
    this.#told += 1
    return writeSignal({ ...signal, candidate: this.#relayOnly ? withoutOrigin(signal.candidate) : signal.candidate })
  }
}

/** The SHA-256 of the certificate that a description names, 32 bytes. */
export const fingerprintOf = (sdp: string): Uint8Array | undefined => {
  const named = new Set<string>()
  for (const line of sdp.split(/\r?\n/)) {
    if (!line.startsWith('a=fingerprint:')) continue
    const hex = fingerprintShape.exec(line)?.[1]
    if (hex === undefined) return
    named.add(hex.toLowerCase())
  }
  const [only, another] = named
  if (only === undefined || another !== undefined) return
  return Uint8Array.from(only.split(':'), (pair) => Number.parseInt(pair, 16))
}

/** `host`, `srflx`, `prflx` or `relay`. */
export const candidateType = (candidate: string): string | undefined => / typ (\w+)/.exec(candidate)?.[1]

const isPrintable = (code: number): boolean => (code >= 0x20 && code < 0x7f) || code === 0x0a || code === 0x0d

const midShape = /^[\w-]{1,16}$/
const fingerprintShape = /^a=fingerprint:sha-256 ((?:[\da-f]{2}:){31}[\da-f]{2})$/i
const sectionShape = /^m=application \d{1,5} UDP\/DTLS\/SCTP webrtc-datachannel$/
const candidateShape = new RegExp(
  String.raw`^candidate:[\w+/]{1,32} 1 udp \d{1,10} (?:(?:\d{1,3}\.){3}\d{1,3}|[\da-f:]{2,39}|[\w-]{1,63}\.local) \d{1,5}` +
    String.raw` typ (?:host|srflx|prflx|relay)(?: [\x21-\x7e]+ [\x21-\x7e]+){0,8}$`,
  'i',
)

/** Why a description may not be used; nothing when it may. */
const faultOf = (sdp: string): string | undefined => {
  const lines = sdp.split(/\r?\n/)
  if (lines.pop() !== '' || lines[0] !== 'v=0' || !lines.every((line) => /^[a-z]=[^\r]+$/.test(line)))
    return 'a description that is not SDP'
  const sections = lines.filter((line) => line.startsWith('m='))
  if (sections.length !== 1 || !sectionShape.test(sections[0] ?? ''))
    return 'a description of more or other than data channels'
  if (fingerprintOf(sdp) === undefined) return 'a description that names not one certificate'
  if (lines.some((line) => /^a=(?:remote-)?candidates?:/.test(line))) return 'a description that holds candidates'
  const size = lines.find((line) => line.startsWith('a=max-message-size:'))?.slice('a=max-message-size:'.length)
  if (size !== undefined && size !== '0' && !(Number(size) >= limits.pieceBytes))
    return 'a description that allows no piece of a message'
}

/** Candidates are told one by one, all of them, so a description need not repeat those that were found before it was written. */
const withoutAddresses = (sdp: string): string =>
  sdp
    .replace(/^a=candidate:.*\r?\n/gm, '')
    .replace(/^a=end-of-candidates\r?\n/gm, '')
    .replace(/^m=application \d+/m, 'm=application 9')
    .replace(/^c=.*$/gm, 'c=IN IP4 0.0.0.0')

/** The address from which this device asked the relay. */
const withoutOrigin = (candidate: string): string => candidate.replace(/ raddr \S+ rport \S+/, ' raddr 0.0.0.0 rport 9')
