/** Row E7: what a peer's signals may ask of this device's WebRTC. */
import { isRefusal, limits } from '@weft-db/engine'
import { PeerAttempt } from '../../../packages/webrtc/src/attempt.ts'
import { type PeerSignal, writeSignal } from '../../../packages/webrtc/src/signal.ts'
import type { Lay } from '../../../packages/webrtc/src/simple-peer.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'

const media = 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel'

const fingerprint = (random: Stream): string =>
  `a=fingerprint:sha-256 ${Array.from(random.bytes(32), (byte) => byte.toString(16).padStart(2, '0').toUpperCase()).join(':')}`

/** A description as platforms write it, in one of their ways. */
const description = (random: Stream): string[] => [
  'v=0',
  `o=${random.pick(['-', 'mozilla...THIS_IS_SDPARTA-99.0'])} ${random.int(2 ** 31)} 2 IN IP4 ${random.pick(['127.0.0.1', '0.0.0.0'])}`,
  's=-',
  't=0 0',
  ...(random.chance(0.5) ? ['a=group:BUNDLE 0'] : []),
  ...(random.chance(0.5) ? ['a=extmap-allow-mixed', 'a=msid-semantic: WMS'] : []),
  media,
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:AbCd',
  'a=ice-pwd:0123456789abcdefghijklmn',
  'a=ice-options:trickle',
  fingerprint(random),
  'a=setup:actpass',
  'a=mid:0',
  'a=sctp-port:5000',
  `a=max-message-size:${random.pick([262_144, 1_073_741_823, 0])}`,
]

const textOf = (lines: readonly string[], end = '\r\n'): string => lines.map((line) => `${line}${end}`).join('')
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const replaced = (lines: readonly string[], starts: string, ...by: string[]): string[] =>
  lines.flatMap((line) => (line.startsWith(starts) ? by : [line]))
const host = (random: Stream): string =>
  `candidate:${random.int(1_000)} 1 udp ${random.int(2 ** 31)} 192.0.2.${random.int(255)} ${1 + random.int(65_535)} typ host`

/** What an offer must not hold. */
const wrongOffers: readonly (readonly [string, (lines: readonly string[], random: Stream) => readonly string[]])[] = [
  ['video too', (lines) => [...lines, 'm=video 9 UDP/TLS/RTP/SAVPF 96', 'a=rtpmap:96 VP8/90000']],
  ['audio first', (lines) => replaced(lines, 'm=', 'm=audio 9 UDP/TLS/RTP/SAVPF 111', media)],
  ['audio instead', (lines) => replaced(lines, 'm=', 'm=audio 9 UDP/TLS/RTP/SAVPF 111')],
  ['two channels of data', (lines) => [...lines, media, 'a=mid:1']],
  ['no section', (lines) => replaced(lines, 'm=')],
  ['TCP', (lines) => replaced(lines, 'm=', 'm=application 9 TCP/DTLS/SCTP webrtc-datachannel')],
  ['another protocol', (lines) => replaced(lines, 'm=', 'm=application 9 UDP/DTLS/SCTP webrtc-tunnel')],
  ['no DTLS', (lines) => replaced(lines, 'm=', 'm=application 9 SCTP webrtc-datachannel')],
  ['no certificate', (lines) => replaced(lines, 'a=fingerprint')],
  ['two certificates', (lines, random) => [...lines, fingerprint(random)]],
  [
    'SHA-1',
    (lines) =>
      replaced(
        lines,
        'a=fingerprint',
        'a=fingerprint:sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33',
      ),
  ],
  [
    'SHA-1 too',
    (lines) => [...lines, 'a=fingerprint:sha-1 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33'],
  ],
  ['candidates inside', (lines, random) => [...lines, `a=${host(random)}`]],
  ['a TCP candidate inside', (lines) => [...lines, 'a=candidate:1 1 tcp 1 10.0.0.1 22 typ host tcptype passive']],
  ['remote candidates', (lines) => [...lines, 'a=remote-candidates:1 10.0.0.1 22']],
  ['no room for a piece', (lines) => replaced(lines, 'a=max-message-size', 'a=max-message-size:16')],
  ['not SDP', (lines) => lines.slice(1)],
  ['a line that is none', (lines) => [...lines, 'hello']],
  ['an empty line', (lines) => [...lines.slice(0, 4), '', ...lines.slice(4)]],
]

/** Candidates that would have the device dial into its own network or ask the DNS, or that are none. */
const wrongCandidates: readonly string[] = [
  'candidate:1 1 tcp 2105524479 10.0.0.1 9 typ host tcptype active',
  'candidate:1 1 tcp 1518280447 10.0.0.1 22 typ host tcptype passive',
  'candidate:1 1 ssltcp 1518280447 10.0.0.1 443 typ relay',
  'candidate:1 1 udp 2122265343 internal.example.org 54253 typ host',
  'candidate:1 1 udp 2122265343 x.example.local 54253 typ host',
  'candidate:1 1 udp 2122265343 localhost 54253 typ host',
  'candidate:1 1 udp 2122265343 router 80 typ srflx',
  'candidate:1 2 udp 2122265343 192.0.2.1 54253 typ host',
  'candidate:1 1 udp 2122265343 192.0.2.1 54253 typ host\r\na=candidate:2 1 tcp 1 10.0.0.1 22 typ host',
  'candidate:1 1 udp 2122265343 192.0.2.1 54253 typ other',
  'a=candidate:1 1 udp 2122265343 192.0.2.1 54253 typ host',
  '',
]

/** Bytes that are no signal of ours: what other libraries understand. */
const strange: readonly string[] = [
  '{"type":"offer","sdp":"v=0"}',
  '{"renegotiate":true}',
  '{"transceiverRequest":{"kind":"video"}}',
  '{"type":"rollback"}',
]

/** An attempt over a platform that keeps what it is given. */
const attempt = (initiator: boolean) => {
  const given: PeerSignal[] = []
  const lay: Lay = () => ({
    backlog: 0,
    signal: (signal) => void given.push(signal),
    send: () => undefined,
    watch: () => undefined,
    destroy: () => undefined,
  })
  const made = new PeerAttempt(
    { remote: 'there', initiator, servers: [], relayOnly: false },
    { signal: () => undefined, opened: () => undefined, failed: () => undefined },
    { lay, timer: () => () => undefined, patience: 1, grace: 1, report: () => undefined, over: () => undefined },
  )
  return { made, given }
}

/**
 * E7: `trials` attempts, each given something that WebRTC would do and this must not, before and after an honest signal. A violation is one
 * that reaches the platform, or that is not refused by name.
 */
export const descriptions: Row = async ({ trials, seed }) => {
  const random = stream(seed, 'E7')
  let [violations, first, honest, candidates] = [0, '', 0, 0]
  const violated = (what: string): void => {
    violations++
    first ||= what
  }
  for (let trial = 0; trial < trials; trial++) {
    const initiator = random.chance(0.5)
    const kind = initiator ? 'answer' : 'offer'
    const { made, given } = attempt(initiator)
    const refuses = (bytes: Uint8Array, what: string): void => {
      const before = given.length
      const why = made.signal(bytes)
      if (!isRefusal(why) || given.length > before) violated(what)
    }
    const lines = description(random)
    const [name, spoil] = wrongOffers[trial % wrongOffers.length] ?? ['', (same: readonly string[]) => same]
    refuses(writeSignal({ kind, sdp: textOf(spoil(lines, random)) }), name)
    refuses(utf8(random.pick([...strange])), 'a signal of others')
    refuses(writeSignal({ kind: initiator ? 'offer' : 'answer', sdp: textOf(lines) }), 'the wrong side')
    if (made.signal(writeSignal({ kind, sdp: textOf(lines, random.pick(['\r\n', '\n'])) })) === undefined) honest++
    else mustHold(false, `an honest ${kind} is refused: ${textOf(lines)}`, violations)
    refuses(writeSignal({ kind, sdp: textOf(description(random)) }), 'a second description')
    refuses(writeSignal({ kind: 'candidate', mid: '0', candidate: random.pick([...wrongCandidates]) }), 'a candidate')
    refuses(new Uint8Array(limits.signalBytes + 1 + random.int(1_000)), 'a long signal')
    const flood = limits.candidates + 1 + random.int(60)
    for (let count = 0; count < flood; count++)
      if (made.signal(writeSignal({ kind: 'candidate', mid: '0', candidate: host(random) })) === undefined) candidates++
    const told = given.filter((signal) => signal.kind === 'candidate').length
    if (told > limits.candidates) violated(`${told} candidates`)
    if (given.length - told !== 1) violated('more than one description')
  }
  mustHold(honest === trials && candidates > 0, 'nothing honest was taken', violations)
  return { trials, violations, first, honest, candidates }
}
