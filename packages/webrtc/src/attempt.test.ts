import { type AttemptOptions, type Channel, limits, type PathFailure } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { PeerAttempt } from './attempt.ts'
import { cut, isEnd } from './pieces.ts'
import { type PeerSignal, writeSignal } from './signal.ts'
import type { Lay, LineEvents } from './simple-peer.ts'

const sdpOf = (certificate: number): string => {
  const pair = certificate.toString(16).padStart(2, '0').toUpperCase()
  const lines = [
    'v=0',
    'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
    `a=fingerprint:sha-256 ${Array<string>(32).fill(pair).join(':')}`,
  ]
  return lines.map((line) => `${line}\r\n`).join('')
}
const own = sdpOf(0xaa)
const others = sdpOf(0xbb)
const host = 'candidate:1 1 udp 2122265343 192.0.2.1 54253 typ host'
const candidate: PeerSignal = { kind: 'candidate', mid: '0', candidate: host }
const turn = { urls: ['turn:198.51.100.1:3478'], username: 'a', credential: 'b' }

/** An attempt on a line that does nothing by itself. */
const make = (about: Partial<AttemptOptions> = {}, { lay = true, listens = true } = {}) => {
  const options = { remote: 'there', initiator: true, servers: [], relayOnly: false, ...about }
  const told: string[] = []
  const errors: unknown[] = []
  const signals: Uint8Array[] = []
  const failures: PathFailure[] = []
  const timers = new Set<{ readonly ms: number; readonly run: () => void }>()
  const line = { given: [] as PeerSignal[], destroyed: 0, ends: 0, over: 0, channel: undefined as Channel | undefined }
  let events: LineEvents | undefined
  const laying: Lay = (_, of) => {
    events = of
    return {
      backlog: 0,
      signal: (signal) => void line.given.push(signal),
      send: (piece) => {
        if (isEnd(piece)) line.ends += 1
      },
      watch: () => undefined,
      destroy: () => {
        line.destroyed += 1
      },
    }
  }
  const attempt = new PeerAttempt(
    options,
    {
      signal: (signal) => void signals.push(signal),
      opened: (channel, path) => {
        told.push(`opened ${path}`)
        line.channel = channel
        if (listens)
          channel.listen({
            message: (bytes) => void told.push(`message ${bytes.length}`),
            drain: () => void told.push('drain'),
            closed: (reason) => void told.push(`closed ${reason}`),
          })
      },
      failed: (failure) => {
        told.push(`failed ${failure.kind}`)
        failures.push(failure)
      },
    },
    {
      lay: lay ? laying : undefined,
      timer: (ms, run) => {
        const timer = { ms, run }
        timers.add(timer)
        return () => void timers.delete(timer)
      },
      patience: 10_000,
      grace: 2_000,
      report: (error) => void errors.push(error),
      over: () => {
        line.over += 1
      },
    },
  )
  const on = (): LineEvents => {
    if (!events) throw new Error('no line was laid')
    return events
  }
  const pass = (ms: number): void => {
    for (const timer of [...timers]) {
      if (timer.ms !== ms) continue
      timers.delete(timer)
      timer.run()
    }
  }
  return { attempt, told, errors, signals, failures, timers, line, on, pass }
}
const agreed = { local: own, remote: others, relayed: false }
const answer = writeSignal({ kind: 'answer', sdp: others })
const offer = writeSignal({ kind: 'offer', sdp: others })

describe('an attempt that opens', () => {
  test.each([
    [true, 0xaa, 0xbb],
    [false, 0xbb, 0xaa],
  ])('an initiator: %s; the binding is both certificates, the initiator’s first', (initiator, first, second) => {
    const { told, timers, line, on } = make({ initiator })
    on().open({ ...agreed, relayed: true })
    expect(told).toEqual(['opened relayed'])
    expect(line.channel?.binding).toEqual(Uint8Array.from({ length: 64 }, (_, at) => (at < 32 ? first : second)))
    expect(line.channel).toMatchObject({ initiator, remote: 'there', buffered: 0 })
    expect(timers.size).toBe(0)
    on().open(agreed)
    expect(told.length).toBe(1)
  })

  test('pieces that came before are told after it, in order', () => {
    const { told, on } = make()
    for (const piece of [...cut(new Uint8Array(3)), ...cut(new Uint8Array(70_000))]) on().piece(piece)
    on().open(agreed)
    expect(told).toEqual(['opened direct', 'message 3', 'message 70000'])
  })

  test('more of them than limits.strangerQueue is the end of it', () => {
    const { told, line, on } = make()
    for (const piece of cut(new Uint8Array(limits.frameBytes))) on().piece(piece)
    expect(told).toEqual([])
    for (let count = 0; count < 4_100; count++) on().piece(Uint8Array.of(3))
    expect(told).toEqual(['failed broke'])
    expect(line.destroyed).toBeGreaterThan(0)
    on().open(agreed)
    expect(told.length).toBe(1)
  })

  test('signals go on, before and after', () => {
    const { attempt, signals, line, on } = make()
    on().signal({ kind: 'offer', sdp: own })
    on().signal(candidate)
    expect(attempt.signal(answer)).toBe(undefined)
    on().open(agreed)
    on().signal(candidate)
    expect(attempt.signal(writeSignal(candidate))).toBe(undefined)
    expect(signals).toEqual([writeSignal({ kind: 'offer', sdp: own }), writeSignal(candidate), writeSignal(candidate)])
    expect(line.given).toEqual([{ kind: 'answer', sdp: others }, candidate])
  })

  test('descriptions without certificates open nothing', () => {
    const { told, line, on } = make()
    on().open({ ...agreed, remote: 'v=0\r\n' })
    expect([told, line.destroyed]).toEqual([['failed broke'], 1])
  })

  test('a channel nobody listens to is closed', () => {
    const { told, line, on } = make({}, { listens: false })
    on().open(agreed)
    expect([told, line.ends]).toEqual([['opened direct'], 1])
  })
})

describe('the way', () => {
  test('that is lost for two seconds closes the channel', () => {
    const { told, timers, line, on, pass } = make()
    on().ice('connected')
    on().open(agreed)
    on().ice('disconnected')
    on().ice('disconnected')
    expect([...timers].map(({ ms }) => ms)).toEqual([2_000])
    pass(2_000)
    expect([told, line.destroyed]).toEqual([['opened direct', 'closed the way to the peer was lost'], 1])
    on().gone({ reason: 'closed', kind: 'lost' })
    expect([told.length, line.over]).toEqual([2, 1])
  })

  test.each(['connected', 'completed'] as const)('that comes back (%s) before that does not', (state) => {
    const { told, timers, on } = make()
    on().open(agreed)
    on().ice('disconnected')
    on().ice(state)
    expect([told, timers.size]).toEqual([['opened direct'], 0])
    on().ice('disconnected')
    expect(timers.size).toBe(1)
  })

  test('that failed, and a connection that ended, close it at once and leave no timer', () => {
    const { told, timers, line, on } = make()
    on().open(agreed)
    on().ice('disconnected')
    on().gone({ reason: 'Ice connection failed.', kind: 'unreached' })
    expect(told).toEqual(['opened direct', 'closed Ice connection failed.'])
    expect([timers.size, line.over]).toEqual([0, 1])
  })
})

describe('an attempt that fails', () => {
  const attempted = (about: Partial<AttemptOptions>, run: (made: ReturnType<typeof make>) => void): string[] => {
    const made = make(about)
    run(made)
    made.pass(10_000)
    made.on().gone({ reason: 'closed', kind: 'lost' })
    expect(made.timers.size).toBe(0)
    expect(made.line).toMatchObject({ over: 1 })
    expect(made.line.destroyed).toBeGreaterThan(0)
    return made.told
  }
  const offers = (made: ReturnType<typeof make>): void => {
    made.on().signal({ kind: 'offer', sdp: own })
    made.on().signal(candidate)
  }

  test.each<[string, Partial<AttemptOptions>, (made: ReturnType<typeof make>) => void, string]>([
    ['nobody offers', { initiator: false }, () => undefined, 'no answer'],
    ['nobody answers', {}, offers, 'no answer'],
    [
      'nobody answers but nonsense',
      {},
      (made) => {
        offers(made)
        made.attempt.signal(offer)
      },
      'refused',
    ],
    [
      'after nonsense the answer comes',
      {},
      (made) => {
        offers(made)
        made.attempt.signal(offer)
        made.attempt.signal(answer)
      },
      'no TURN',
    ],
    ['nothing of this device is found', {}, (made) => made.on().signal({ kind: 'offer', sdp: own }), 'no candidates'],
    [
      'TURN refuses',
      { servers: [turn], relayOnly: true },
      (made) => {
        made.on().signal({ kind: 'offer', sdp: own })
        made.on().candidateError(401, 'turn:198.51.100.1:3478?transport=udp')
      },
      'bad credentials',
    ],
    [
      'TURN says nothing',
      { servers: [turn], relayOnly: true },
      (made) => made.on().signal({ kind: 'offer', sdp: own }),
      'TURN unreachable',
    ],
    [
      'TURN gives nothing',
      { servers: [turn], relayOnly: true },
      (made) => {
        made.on().signal({ kind: 'offer', sdp: own })
        made.on().gathered(false)
      },
      'no candidates',
    ],
    [
      'STUN is not there, beside a TURN server',
      { servers: [turn, { urls: ['stun:198.51.100.1:3478'] }] },
      (made) => {
        offers(made)
        made.on().candidateError(701, 'stun:198.51.100.1:3478')
        made.on().gathered(false)
        made.attempt.signal(answer)
      },
      'blocked',
    ],
    [
      'there was a way and no channel',
      {},
      (made) => {
        offers(made)
        made.attempt.signal(answer)
        made.on().ice('connected')
      },
      'broke',
    ],
  ])('%s', (_, about, run, kind) => {
    expect(attempted(about, run)).toEqual([`failed ${kind}`])
  })

  test.each([
    ['refused', 'refused'],
    ['lost', 'broke'],
    ['unreached', 'no TURN'],
  ] as const)('the connection ends before: %s', (ending, kind) => {
    const { attempt, told, failures, timers, line, on } = make()
    on().signal({ kind: 'offer', sdp: own })
    on().signal(candidate)
    attempt.signal(answer)
    on().gone({ reason: 'what it said', kind: ending })
    expect(told).toEqual([`failed ${kind}`])
    expect(failures[0]?.detail).toMatch(/^what it said; own candidates: host/)
    expect([timers.size, line.over]).toEqual([0, 1])
  })

  test.each([
    ['before the answer', [offer, answer]],
    ['after it', [answer, answer]],
  ])('what was refused %s does not explain why the connection ended', (_, signals) => {
    const { attempt, told, on } = make()
    on().signal({ kind: 'offer', sdp: own })
    on().signal(candidate)
    expect(signals.map((bytes) => attempt.signal(bytes)).filter(Boolean).length).toBe(1)
    on().gone({ reason: 'closed', kind: 'lost' })
    expect(told).toEqual(['failed broke'])
  })

  test('own candidates that are none are the end of it at once, some are not', () => {
    const none = make()
    none.on().gathered(false)
    expect(none.told).toEqual([])
    none.on().signal({ kind: 'offer', sdp: own })
    none.on().gathered(false)
    expect([none.told, none.timers.size, none.line.destroyed]).toEqual([['failed no candidates'], 0, 1])
    const some = make()
    some.on().signal({ kind: 'offer', sdp: own })
    some.on().signal(candidate)
    some.on().gathered(false)
    const early = make()
    early.on().signal({ kind: 'offer', sdp: own })
    early.on().gathered(true)
    expect([some.told, early.told]).toEqual([[], []])
  })

  test('where there is no WebRTC it is told after the attempt was given back', () => {
    const { told, line, pass } = make({}, { lay: false })
    expect(told).toEqual([])
    pass(0)
    expect([told, line.over]).toEqual([['failed unsupported'], 1])
  })
})

describe('ending', () => {
  test('an attempt that was given up tells nothing, whatever comes', () => {
    const { attempt, told, signals, timers, line, on } = make()
    attempt.end()
    on().signal(candidate)
    on().open(agreed)
    on().gone({ reason: 'closed', kind: 'lost' })
    expect([told, signals, timers.size, line.over]).toEqual([[], [], 0, 1])
  })

  test('an end after it opened leaves the channel', () => {
    const { attempt, told, signals, line, on } = make()
    on().open(agreed)
    attempt.end()
    on().signal(candidate)
    expect([told, signals, line.destroyed]).toEqual([['opened direct'], [], 0])
  })

  test('a page that goes away closes the channel without waiting, and fails what is not open', () => {
    const open = make()
    open.on().open(agreed)
    open.attempt.drop('the page was left')
    expect(open.told).toEqual(['opened direct', 'closed the page was left'])
    expect(open.line.destroyed).toBeGreaterThan(0)
    const pending = make()
    pending.attempt.drop('the page was left')
    expect(pending.told).toEqual(['failed broke'])
    expect(pending.line.destroyed).toBeGreaterThan(0)
  })

  test('a transport that stops closes the channel in order, and tells nothing of what is not open', () => {
    const open = make()
    open.on().open(agreed)
    open.attempt.stop('stopped')
    expect([open.told, open.line.ends, open.line.destroyed]).toEqual([['opened direct', 'closed stopped'], 1, 0])
    const pending = make()
    pending.attempt.stop('stopped')
    expect([pending.told, pending.line.destroyed]).toEqual([[], 1])
  })
})

test('what breaks the rules is refused, and the attempt lives on', () => {
  const { attempt, told, line, on } = make()
  const codes = [
    new Uint8Array(limits.signalBytes + 1),
    Uint8Array.of(9),
    offer,
    writeSignal({ kind: 'answer', sdp: 'v=0\r\n' }),
    answer,
    answer,
    ...Array<Uint8Array>(limits.candidates + 1).fill(writeSignal(candidate)),
  ].map((bytes) => attempt.signal(bytes)?.code)
  expect(codes).toEqual([
    'TooLarge',
    'UnknownMessage',
    'UnknownMessage',
    'Malformed',
    undefined,
    'TooMany',
    ...Array<undefined>(limits.candidates).fill(undefined),
    'TooMany',
  ])
  expect(line.given.length).toBe(1 + limits.candidates)
  on().open(agreed)
  expect(told).toEqual(['opened direct'])
})

test('a listener that throws is reported', () => {
  const fault = new Error('a bug')
  const reported: unknown[] = []
  let events: LineEvents | undefined
  const fail = (): void => {
    throw fault
  }
  const lay: Lay = (_, of) => {
    events = of
    const nothing = (): void => undefined
    return { backlog: 0, signal: nothing, send: nothing, watch: nothing, destroy: nothing }
  }
  new PeerAttempt(
    { remote: 'there', initiator: true, servers: [], relayOnly: false },
    { signal: fail, opened: fail, failed: fail },
    {
      lay,
      timer: () => () => undefined,
      patience: 1,
      grace: 1,
      report: (error) => void reported.push(error),
      over: () => undefined,
    },
  )
  events?.signal(candidate)
  events?.open(agreed)
  expect(reported).toEqual([fault, fault])
})
