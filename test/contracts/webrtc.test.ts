/** The transport contract over real WebRTC in Node; then what only WebRTC can be asked. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type AttemptOptions, isRefusal, limits, type PathFailure, type PeerTransport } from '@weft-db/engine'
import { type NodeOptions, webrtcTransport } from '@weft-db/webrtc/node'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { cut } from '../../packages/webrtc/src/pieces.ts'
import { fingerprintOf, readSignal, writeSignal } from '../../packages/webrtc/src/signal.ts'
import { Detour } from './detour.ts'
import { carrier, meet, type Outcome, peerPair, type Way } from './peers.ts'
import { Ear, transportContract } from './transport.ts'
import { refusingTurn } from './turn.ts'

const load = () => import('@roamhq/wrtc')
const { default: wrtc } = await load()

transportContract('webrtc', () => peerPair(() => webrtcTransport({ load }), new Detour()))

const ending: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end()
})
const transport = async (options: NodeOptions = {}): Promise<PeerTransport> => {
  const made = await webrtcTransport({ load, ...options })
  ending.push(() => made.stop())
  return made
}
/** Nothing ends by running out of time. */
const untimed = () => () => undefined
const straight: Pick<Way, 'carry'> = { carry: async (signal) => signal }

/** Both ends of one attempt, listened to. */
const join = async (
  dialling: PeerTransport,
  accepting: PeerTransport,
  way: Pick<Way, 'carry'> = straight,
  about: Partial<AttemptOptions> = {},
): Promise<{ near: Ear; far: Ear; paths: string[] }> => {
  const paths: string[] = []
  const earOf = (resolve: (ear: Ear) => void, reject: (error: Error) => void) => (outcome: Outcome) => {
    if ('failure' in outcome) return reject(new Error(`${outcome.failure.kind}: ${outcome.failure.detail}`))
    paths.push(outcome.path)
    resolve(new Ear(outcome.channel))
  }
  let far: Promise<Ear> | undefined
  const near = await new Promise<Ear>((resolve, reject) => {
    far = new Promise((resolveFar, rejectFar) => {
      meet(dialling, accepting, way, earOf(resolve, reject), earOf(resolveFar, rejectFar), about)
    })
  })
  return { near, far: (await far) as Ear, paths }
}

const failing = (
  made: PeerTransport,
  about: Partial<AttemptOptions>,
  signals: readonly Uint8Array[] = [],
): Promise<PathFailure> =>
  new Promise((resolve, reject) => {
    const attempt = made.attempt(
      { remote: 'nobody', initiator: true, servers: [], relayOnly: false, ...about },
      { signal: () => undefined, opened: () => reject(new Error('it opened')), failed: resolve },
    )
    for (const signal of signals) attempt.signal(signal)
  })

describe('webrtc: the binding', () => {
  test('is both certificates, the initiator’s first, the same at both ends and another each time', async () => {
    const [one, two] = [await transport(), await transport()]
    const seen = new Set<string>()
    for (let round = 0; round < 3; round++) {
      const named: Buffer[] = []
      const listening: Pick<Way, 'carry'> = {
        carry: async (bytes) => {
          const signal = readSignal(bytes)
          const found = 'sdp' in signal ? fingerprintOf(signal.sdp) : undefined
          if (found) named.push(Buffer.from(found))
          return bytes
        },
      }
      const { near, far, paths } = await join(one, two, listening)
      const binding = Buffer.from(near.channel.binding ?? [])
      expect(binding.equals(far.channel.binding ?? new Uint8Array(0))).toBe(true)
      expect(binding.equals(Buffer.concat(named))).toBe(true)
      expect(binding.length).toBe(64)
      expect(paths).toEqual(['direct', 'direct'])
      seen.add(binding.toString('hex'))
    }
    expect(seen.size).toBe(3)
  })

  test('differs at the two ends when somebody stands between them', async () => {
    const [one, between, alsoBetween, two] = [
      await transport(),
      await transport(),
      await transport(),
      await transport(),
    ]
    const [left, right] = [await join(one, between), await join(alsoBetween, two)]
    expect(left.near.channel.binding).not.toEqual(right.far.channel.binding)
  })
})

describe('webrtc: an end', () => {
  test('what was sent before a close arrives, all of it, and then the end is told', async () => {
    const { near, far } = await join(await transport(), await transport())
    for (let count = 0; count < 8; count++) near.channel.send(new Uint8Array(limits.frameBytes).fill(count))
    near.channel.close('enough')
    await far.ended()
    expect(far.messages.map((message) => [message.length, message.at(-1)])).toEqual(
      Array.from({ length: 8 }, (_, count) => [limits.frameBytes, count]),
    )
  })

  test('when both ends close at once, neither waits for the other', async () => {
    const [one, two] = [await transport({ timer: untimed }), await transport({ timer: untimed })]
    const { near, far } = await join(one, two)
    near.channel.close('enough')
    far.channel.close('enough')
    await Promise.all([one.stop(), two.stop()])
    expect([near.reasons, far.reasons]).toEqual([['enough'], ['enough']])
  })

  test('a page that is left tells its peers within a second, and ends its attempts', async () => {
    const leave: ((reason: string) => void)[] = []
    const listened = { now: 0 }
    const page = await transport({
      leaving: (now) => {
        leave.push(now)
        listened.now += 1
        return () => {
          listened.now -= 1
        }
      },
    })
    const { near, far } = await join(page, await transport())
    const pending = failing(page, {})
    near.channel.send(new Uint8Array(limits.frameBytes))
    const left = performance.now()
    leave[0]?.('the page was left')
    expect(near.reasons).toEqual(['the page was left'])
    expect((await pending).kind).toBe('broke')
    await far.ended()
    expect(performance.now() - left).toBeLessThan(1_000)
    await page.stop()
    expect(listened.now).toBe(0)
    const again = await join(page, await transport())
    expect([again.near.reasons, listened.now]).toEqual([[], 1])
  })

  test('a way that is cut without a word is noticed at both ends', { timeout: 40_000 }, async () => {
    const detour = new Detour()
    ending.push(() => detour.end())
    const { near, far } = await join(await transport({ grace: 100 }), await transport({ grace: 100 }), detour)
    detour.cut = true
    await Promise.all([near.ended(), far.ended()])
    expect([...near.reasons, ...far.reasons].every((reason) => /lost|failed/.test(reason))).toBe(true)
  })

  test('a way that is held for a moment is not lost, and nothing with it', async () => {
    const detour = new Detour()
    ending.push(() => detour.end())
    const { near, far } = await join(await transport(), await transport(), detour)
    detour.hold()
    for (let count = 0; count < 20; count++) near.channel.send(new Uint8Array(100_000))
    await join(await transport(), await transport())
    detour.release()
    await far.heard(20)
    expect([near.reasons, far.reasons]).toEqual([[], []])
  })
})

/** A peer of another making: it makes what it likes of its connection. */
const stranger = async (
  accepting: PeerTransport,
  init: RTCDataChannelInit = { negotiated: true, id: 0 },
): Promise<{ ear: Ear; connection: RTCPeerConnection; channel: RTCDataChannel }> => {
  const connection = new wrtc.RTCPeerConnection({ iceServers: [] })
  ending.push(async () => connection.close())
  const channel = connection.createDataChannel('weft', init)
  const opened = new Promise<void>((resolve) => void channel.addEventListener('open', () => resolve()))
  const ear = await new Promise<Ear>((resolve, reject) => {
    const take = carrier(straight, async (bytes) => {
      const signal = readSignal(bytes)
      if (isRefusal(signal)) return reject(new Error(signal.code))
      if (signal.kind === 'candidate')
        await connection.addIceCandidate({ candidate: signal.candidate, sdpMid: signal.mid, sdpMLineIndex: 0 })
      else await connection.setRemoteDescription({ type: signal.kind, sdp: signal.sdp })
    })
    const attempt = accepting.attempt(
      { remote: 'stranger', initiator: false, servers: [], relayOnly: false },
      {
        signal: take,
        opened: (channel) => resolve(new Ear(channel)),
        failed: ({ kind, detail }) => reject(new Error(`${kind}: ${detail}`)),
      },
    )
    connection.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate?.candidate)
        attempt.signal(writeSignal({ kind: 'candidate', mid: candidate.sdpMid ?? '0', candidate: candidate.candidate }))
    })
    void connection.createOffer().then(async (offer) => {
      attempt.signal(writeSignal({ kind: 'offer', sdp: offer.sdp ?? '' }))
      await connection.setLocalDescription(offer)
    })
  })
  await opened
  return { ear, connection, channel }
}

describe('webrtc: what a stranger does', () => {
  const first = (length: number): Uint8Array<ArrayBuffer> => {
    const piece = new Uint8Array(6)
    piece[0] = 1
    new DataView(piece.buffer).setUint32(1, length)
    return piece
  }

  test('who keeps to the protocol is heard', async () => {
    const { ear, channel } = await stranger(await transport())
    for (const piece of cut(new Uint8Array(200_000))) channel.send(piece)
    await ear.heard(1)
    expect(ear.messages[0]?.length).toBe(200_000)
  })

  test.each<[string, (channel: RTCDataChannel, connection: RTCPeerConnection) => unknown, RegExp]>([
    ['text', (channel) => channel.send('text'), /^malformed/],
    ['an empty piece', (channel) => channel.send(new Uint8Array(0)), /^malformed/],
    [
      'a piece over limits.pieceBytes',
      (channel) => channel.send(new Uint8Array(limits.pieceBytes + 1).fill(3)),
      /^malformed/,
    ],
    ['a message over limits.frameBytes', (channel) => channel.send(first(limits.frameBytes + 1)), /^malformed/],
    ['a last piece of nothing', (channel) => channel.send(Uint8Array.of(2, 1)), /^malformed/],
    ['a second channel', (_, connection) => connection.createDataChannel('more'), /second channel/],
  ])('%s: loses its channel and no other', async (_, offend, reason) => {
    const accepting = await transport()
    const { near, far } = await join(await transport(), accepting)
    const { ear, channel, connection } = await stranger(accepting)
    offend(channel, connection)
    await ear.ended()
    expect([ear.reasons, ear.messages]).toEqual([[expect.stringMatching(reason)], []])
    near.channel.send(Uint8Array.of(1))
    await far.heard(1)
    expect(far.reasons).toEqual([])
  })

  test('garbage between good signals is refused, and the attempt opens', async () => {
    const [one, two] = [await transport(), await transport()]
    const refused: string[] = []
    const attempts: { signal(bytes: Uint8Array): unknown }[] = []
    const spoil = Array.from({ length: 200 }, (_, index) =>
      Uint8Array.from({ length: index }, (_, at) => (at === 0 ? index % 4 : (index * 31 + at * 7) % 256)),
    )
    const disturbing: Pick<Way, 'carry'> = {
      carry: async (signal) => {
        for (const attempt of attempts)
          for (const bytes of spoil) {
            const told = attempt.signal(bytes)
            if (isRefusal(told)) refused.push(told.code)
          }
        return signal
      },
    }
    const keeping = (of: PeerTransport): PeerTransport => ({
      ...of,
      attempt: (options, listener) => {
        const attempt = of.attempt(options, listener)
        attempts.push(attempt)
        return attempt
      },
    })
    await join(keeping(one), keeping(two), disturbing)
    expect(refused.length % 400).toBe(0)
    expect(new Set(refused)).toEqual(new Set(['Malformed', 'UnknownMessage']))
  })

  test('candidates that lead nowhere, up to limits.candidates, do not keep the others from working', async () => {
    const [one, two] = [await transport(), await transport()]
    // simple-peer warns of those it lets go; where it knows their address it ends the connection instead.
    const warned = vi.spyOn(console, 'warn')
    ending.push(async () => warned.mockRestore())
    const wrong = [
      'candidate:1 1 udp 1 0.0.0.0 0 typ host',
      'candidate:1 1 udp 99999999999 192.0.2.77 9 typ host',
      'candidate:1 1 udp 1 999.0.2.77 9 typ host ufrag wrong',
      'candidate:1 1 udp 1 ::::: 70000 typ relay raddr x rport y',
      'candidate:1 1 udp 1 nobody.local 9 typ srflx tcptype nothing',
    ].map((candidate) => writeSignal({ kind: 'candidate', mid: '0', candidate }))
    const disturbed: PeerTransport = {
      ...two,
      attempt: (options, listener) => {
        const attempt = two.attempt(options, listener)
        for (let count = 0; count < 25; count++) attempt.signal(wrong[count % wrong.length] ?? new Uint8Array(0))
        return attempt
      },
    }
    const { near, far } = await join(one, disturbed)
    near.channel.send(Uint8Array.of(1))
    await far.heard(1)
    expect(warned).not.toHaveBeenCalled()
  })
})

describe('webrtc: why no channel came', () => {
  test('nobody answers', async () => {
    expect((await failing(await transport({ patience: 300 }), {})).kind).toBe('no answer')
  })

  test('nobody offers', async () => {
    expect((await failing(await transport({ patience: 1 }), { initiator: false })).kind).toBe('no answer')
  })

  test('a description that the platform cannot use', async () => {
    const hollow = [
      'v=0',
      'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
      `a=fingerprint:sha-256 ${Array<string>(32).fill('00').join(':')}`,
      '',
    ].join('\r\n')
    const failure = await failing(await transport(), { initiator: false }, [
      writeSignal({ kind: 'offer', sdp: hollow }),
    ])
    expect(failure.kind).toBe('refused')
  })

  test('a server that is none', async () => {
    const failure = await failing(await transport(), { servers: [{ urls: ['nonsense'] }] })
    expect(failure.kind).toBe('broke')
  })

  test('relays only, and no TURN server is named', async () => {
    expect((await failing(await transport({ patience: 300 }), { relayOnly: true })).kind).toBe('no TURN')
  })

  test('TURN refuses the credentials', async () => {
    const turn = await refusingTurn()
    ending.push(() => turn.end())
    const servers = [{ urls: [turn.url], username: 'somebody', credential: 'wrong' }]
    const failure = await failing(await transport({ patience: 1_000 }), { servers, relayOnly: true })
    expect(failure).toMatchObject({ kind: 'bad credentials' })
  })

  test('both ends have addresses, and no packet comes through', async () => {
    const detour = new Detour()
    detour.cut = true
    ending.push(() => detour.end())
    const [one, two] = [await transport({ patience: 1_000 }), await transport({ patience: 1_000 })]
    const failures: string[] = []
    await new Promise<void>((resolve) => {
      const hear = (outcome: Outcome): void => {
        failures.push('failure' in outcome ? outcome.failure.kind : 'opened')
        if (failures.length === 2) resolve()
      }
      meet(one, two, detour, hear, hear)
    })
    expect(failures).toEqual(['no TURN', 'no TURN'])
  })
})

test('webrtc: the servers are those that were named, also when none is, and relays only when that is asked', async () => {
  const configurations: unknown[] = []
  const noting = new Proxy(wrtc.RTCPeerConnection, {
    construct(made, given) {
      configurations.push(given[0])
      return Reflect.construct(made, given)
    },
  })
  const made = await transport({ load: async () => ({ ...wrtc, RTCPeerConnection: noting }), patience: 1 })
  const server = { urls: ['turn:127.0.0.1:9'], username: 'somebody', credential: 'wrong' }
  await failing(made, {})
  await failing(made, { servers: [server], relayOnly: true })
  expect(configurations).toEqual([
    expect.objectContaining({ iceServers: [], iceTransportPolicy: 'all' }),
    expect.objectContaining({ iceServers: [server], iceTransportPolicy: 'relay' }),
  ])
})

test('webrtc: 50 connections come and go, and leave no connection, timer or listener', async () => {
  const connections: RTCPeerConnection[] = []
  const counted = new Proxy(wrtc.RTCPeerConnection, {
    construct(made, given) {
      const connection: RTCPeerConnection = Reflect.construct(made, given)
      connections.push(connection)
      return connection
    },
  })
  const own = async () => ({ ...wrtc, RTCPeerConnection: counted })
  const [one, two] = [await transport({ load: own }), await transport({ load: own })]
  await join(one, two)
  await Promise.all([one.stop(), two.stop()])
  const before = timeouts()
  for (let round = 0; round < 50; round++) {
    const { near, far } = await join(one, two)
    near.channel.send(Uint8Array.of(round))
    await far.heard(1)
    ;(round % 2 ? near : far).channel.close('enough')
    await Promise.all([near.ended(), far.ended()])
  }
  await Promise.all([one.stop(), two.stop()])
  expect(timeouts()).toBeLessThanOrEqual(before)
  expect(connections.length).toBe(102)
  expect(new Set(connections.map(({ signalingState }) => signalingState))).toEqual(new Set(['closed']))
  const weak = connections.splice(0).map((connection) => new WeakRef(connection))
  await join(one, two)
  collect()
  expect(weak.filter((ref) => ref.deref() !== undefined).length).toBeLessThan(10)
})

const timeouts = (): number => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
