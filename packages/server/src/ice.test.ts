import { expect, test } from 'vitest'
import { iceServers } from './ice.ts'

const session = 'ab'.repeat(32)

test('credentials name the second they expire at and the session, and are an HMAC that the TURN server can compute', () => {
  const servers = iceServers(
    {
      stun: ['stun:stun.example.org:3478'],
      turn: { urls: ['turn:turn.example.org:3478?transport=udp'], secret: 'north' },
    },
    () => 1_700_000_000_000,
  )(session)
  // echo -n 1700003600:abababababababab | openssl dgst -sha1 -hmac north -binary | base64
  expect(servers).toEqual([
    { urls: ['stun:stun.example.org:3478'] },
    {
      urls: ['turn:turn.example.org:3478?transport=udp'],
      username: '1700003600:abababababababab',
      credential: 'ACtsxu5GijxfPIkt7sekGL0fVfo=',
    },
  ])
})

test('they follow the clock, and hold as long as told', () => {
  let now = 0
  const of = iceServers({ turn: { urls: ['turn:a'], secret: 's', life: 10_000 } }, () => now)
  const first = of(session)
  now = 60_000
  expect(first.map(({ username }) => username)).toEqual(['10:abababababababab'])
  expect(of(session).map(({ username }) => username)).toEqual(['70:abababababababab'])
})

test.each([
  { stun: ['https://example.org'] },
  { turn: { urls: ['stun:example.org'], secret: 's' } },
  { turn: { urls: ['turn:example.org'], secret: '' } },
])('what is no server is refused at the start: %j', (options) => {
  expect(() => iceServers(options, () => 0)).toThrow(expect.objectContaining({ code: 'BadIceServer' }))
})

test('none is told unless given', () => {
  expect(iceServers({}, () => 0)(session)).toEqual([])
})
