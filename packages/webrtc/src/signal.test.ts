import { isRefusal, limits, type Refusal } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { fingerprintOf, type PeerSignal, readSignal, SignalGate, writeSignal } from './signal.ts'

const certificate = Array.from({ length: 32 }, (_, index) => (index * 7).toString(16).padStart(2, '0').toUpperCase())
const fingerprint = `a=fingerprint:sha-256 ${certificate.map((pair) => pair.slice(-2)).join(':')}`
const lines = [
  'v=0',
  'o=- 4611731400430051336 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:AbCd',
  'a=ice-pwd:0123456789abcdefghijklmn',
  fingerprint,
  'a=setup:actpass',
  'a=mid:0',
  'a=sctp-port:5000',
  'a=max-message-size:262144',
]
const sdpOf = (of: readonly string[]): string => of.map((line) => `${line}\r\n`).join('')
const sdp = sdpOf(lines)
const instead = (old: string, line: string): string => sdpOf(lines.map((had) => (had === old ? line : had)))
const host = 'candidate:1 1 udp 2122265343 192.0.2.1 54253 typ host generation 0 ufrag AbCd network-id 2'
const relay = 'candidate:2 1 udp 33562623 198.51.100.9 49200 typ relay raddr 192.0.2.1 rport 40000 generation 0'

const offer: PeerSignal = { kind: 'offer', sdp }
const answer: PeerSignal = { kind: 'answer', sdp }
const candidate = (text: string, mid = '0'): PeerSignal => ({ kind: 'candidate', mid, candidate: text })
const codeOf = (result: PeerSignal | Refusal): string => (isRefusal(result) ? result.code : result.kind)
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

test('signals are written as a kind and text, and read back', () => {
  for (const signal of [offer, answer, candidate(host), candidate(relay, 'data-1')])
    expect(readSignal(writeSignal(signal))).toEqual(signal)
  expect([...writeSignal(candidate('x', 'y'))]).toEqual([2, 121, 10, 120])
})

describe('refused', () => {
  const described = (text: string): PeerSignal => ({ kind: 'offer', sdp: text })
  const media = 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel'
  const other = fingerprint.replace(/..$/, '00')
  test.each<[what: string, bytes: Uint8Array, code: string]>([
    ['nothing', new Uint8Array(0), 'UnknownMessage'],
    ['another kind', Uint8Array.of(3, 120), 'UnknownMessage'],
    ['JSON', utf8('{"type":"offer"}'), 'UnknownMessage'],
    ['a wish to renegotiate', utf8('{"renegotiate":true}'), 'UnknownMessage'],
    ['a wish for a transceiver', utf8('{"transceiverRequest":{"kind":"audio"}}'), 'UnknownMessage'],
    ['an empty description', Uint8Array.of(0), 'Malformed'],
    ['a description that is not text', Uint8Array.of(0, 0xff, 0xfe), 'Malformed'],
    ['a byte more than limits.signalBytes', new Uint8Array(limits.signalBytes + 1), 'TooLarge'],
    ['video beside the data', writeSignal(described(`${sdp}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n`)), 'Malformed'],
    ['audio alone', writeSignal(described(instead(media, 'm=audio 9 UDP/TLS/RTP/SAVPF 111'))), 'Malformed'],
    ['two data sections', writeSignal(described(`${sdp}${media}\r\n`)), 'Malformed'],
    ['no section', writeSignal(described(sdpOf(lines.filter((line) => line !== media)))), 'Malformed'],
    ['data over TCP', writeSignal(described(instead(media, 'm=application 9 TCP/DTLS/SCTP x'))), 'Malformed'],
    ['a candidate inside', writeSignal(described(`${sdp}a=${host}\r\n`)), 'Malformed'],
    ['no certificate', writeSignal(described(instead(fingerprint, 'a=x'))), 'Malformed'],
    ['two certificates', writeSignal(described(`${sdp}${other}\r\n`)), 'Malformed'],
    ['SHA-1', writeSignal(described(instead(fingerprint, 'a=fingerprint:sha-1 00:11'))), 'Malformed'],
    ['a short SHA-256', writeSignal(described(instead(fingerprint, fingerprint.slice(0, -3)))), 'Malformed'],
    ['no end of line', writeSignal(described(sdp.trimEnd())), 'Malformed'],
    ['a line that is none', writeSignal(described(`${sdp}what\r\n`)), 'Malformed'],
    [
      'no room for a piece',
      writeSignal(described(instead('a=max-message-size:262144', 'a=max-message-size:65535'))),
      'Malformed',
    ],
    [
      'a size that is none',
      writeSignal(described(instead('a=max-message-size:262144', 'a=max-message-size:NaN'))),
      'Malformed',
    ],
    ['a candidate without a mid', Uint8Array.of(2, ...utf8(host)), 'Malformed'],
    ['a TCP candidate', writeSignal(candidate(host.replace(' udp ', ' tcp '))), 'Malformed'],
    ['a DNS name', writeSignal(candidate(host.replace('192.0.2.1', 'tracker.example'))), 'Malformed'],
    ['a second component', writeSignal(candidate(host.replace(' 1 udp', ' 2 udp'))), 'Malformed'],
    ['the end of candidates', writeSignal(candidate('')), 'Malformed'],
    ['two candidates', writeSignal(candidate(`${host}\r\na=${host}`)), 'Malformed'],
  ])('%s', (_, bytes, code) => {
    expect(codeOf(readSignal(bytes))).toBe(code)
  })

  test('what reads nearly the same is not', () => {
    const allowed = [
      described(sdp.replaceAll('\r\n', '\n')),
      described(`${sdp}${fingerprint.toLowerCase()}\r\n`),
      described(instead('a=max-message-size:262144', 'a=max-message-size:0')),
      described(sdpOf(lines.slice(0, -1))),
      candidate(host.replace('192.0.2.1', 'fd00::2')),
      candidate(host.replace('192.0.2.1', '5a3b0a0e-0000-4000-8000-1234567890ab.local')),
      candidate(host.replace(' udp ', ' UDP ')),
    ]
    for (const signal of allowed) expect(codeOf(readSignal(writeSignal(signal)))).toBe(signal.kind)
    const padded = `${sdp}a=x:${'x'.repeat(limits.signalBytes - sdp.length - 7)}\r\n`
    const full = writeSignal(described(padded))
    expect(full.length).toBe(limits.signalBytes)
    expect(codeOf(readSignal(full))).toBe('offer')
  })
})

describe('the gate', () => {
  test.each([
    [true, 'offer', 'UnknownMessage'],
    [true, 'answer', 'answer'],
    [false, 'offer', 'offer'],
    [false, 'answer', 'UnknownMessage'],
  ] as const)('an initiator: %s, an %s: %s', (initiator, kind, told) => {
    expect(codeOf(new SignalGate(initiator, false).admit(writeSignal({ kind, sdp })))).toBe(told)
  })

  test('one description passes, and what was refused before it takes nothing of that', () => {
    const gate = new SignalGate(false, false)
    expect(codeOf(gate.admit(writeSignal(answer)))).toBe('UnknownMessage')
    expect(codeOf(gate.admit(writeSignal({ kind: 'offer', sdp: 'v=0\r\n' })))).toBe('Malformed')
    expect(codeOf(gate.admit(writeSignal(offer)))).toBe('offer')
    expect(codeOf(gate.admit(writeSignal(offer)))).toBe('TooMany')
  })

  test('limits.candidates candidates pass, and not one more', () => {
    const gate = new SignalGate(true, false)
    const told = Array.from({ length: limits.candidates + 2 }, () => codeOf(gate.admit(writeSignal(candidate(host)))))
    expect(told).toEqual([...Array<string>(limits.candidates).fill('candidate'), 'TooMany', 'TooMany'])
    expect(codeOf(gate.admit(writeSignal(answer)))).toBe('answer')
  })

  test('what goes out passes the gate of the other end, keeps addresses out of descriptions, and leaves room for relays', () => {
    const [out, into] = [new SignalGate(true, false), new SignalGate(false, false)]
    const open = sdpOf([...lines, `a=${host}`, 'a=end-of-candidates'])
      .replace('m=application 9', 'm=application 54253')
      .replace('c=IN IP4 0.0.0.0', 'c=IN IP4 192.0.2.1')
    const released = out.release({ kind: 'offer', sdp: open })
    expect(released && into.admit(released)).toEqual({ kind: 'offer', sdp })
    const sent = [...Array<string>(60).fill(host), ...Array<string>(60).fill(relay)].flatMap((text) => {
      const bytes = out.release(candidate(text))
      return bytes ? [into.admit(bytes)] : []
    })
    expect(sent.length).toBe(limits.candidates)
    expect(sent).toContainEqual(candidate(host))
    expect(sent.filter((signal) => 'candidate' in signal && signal.candidate === relay).length).toBe(12)
    expect(out.release(candidate(''))).toBe(undefined)
  })

  test('TCP candidates are kept back, and in a relay-only attempt all but relays, which do not say who asked them', () => {
    const gate = new SignalGate(true, true)
    expect(gate.release(candidate(host))).toBe(undefined)
    expect(gate.release(candidate(host.replace('typ host', 'typ srflx raddr 10.0.0.1 rport 5')))).toBe(undefined)
    const bytes = gate.release(candidate(relay))
    expect(bytes && readSignal(bytes)).toEqual(
      candidate('candidate:2 1 udp 33562623 198.51.100.9 49200 typ relay raddr 0.0.0.0 rport 9 generation 0'),
    )
    expect(new SignalGate(true, false).release(candidate(host.replace(' udp ', ' tcp ')))).toBe(undefined)
  })
})

test('the fingerprint is the 32 bytes that a description names once, or several times alike', () => {
  const bytes = Uint8Array.from(certificate, (pair) => Number.parseInt(pair.slice(-2), 16))
  expect(fingerprintOf(sdp)).toEqual(bytes)
  expect(fingerprintOf(`${sdp}${fingerprint.toLowerCase()}\r\n`)).toEqual(bytes)
  expect(fingerprintOf('v=0\r\n')).toBe(undefined)
})

/** Mulberry32. */
const draws = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

test('whatever comes, nothing is thrown, and what is admitted is written again as it came', () => {
  const samples = [offer, answer, candidate(host), candidate(relay)].map(writeSignal)
  for (let seed = 1; seed <= 3_000; seed++) {
    const draw = draws(seed)
    const bytes = Uint8Array.from(samples[draw(samples.length)] ?? [])
    for (let changes = draw(4); changes > 0; changes--) bytes[draw(bytes.length)] = draw(256)
    const spoiled = draw(3) === 0 ? bytes.slice(0, draw(bytes.length)) : bytes
    const read = new SignalGate(draw(2) === 0, false).admit(spoiled)
    if (!isRefusal(read)) expect(writeSignal(read), `seed ${seed}`).toEqual(spoiled)
  }
})
