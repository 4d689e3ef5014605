import { limits, WeftError } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { highMark, lowMark, PeerChannel } from './channel.ts'
import { cut, endPiece, isEnd } from './pieces.ts'

/** A data channel that hands over what it is told to, and keeps nothing else. */
const make = () => {
  const told: string[] = []
  const errors: unknown[] = []
  const timers = new Map<number, () => void>()
  const pipe = {
    backlog: 0,
    most: 0,
    sent: 0,
    watched: 0,
    ends: 0,
    destroyed: 0,
    fault: undefined as Error | undefined,
    onSend: (_: Uint8Array): void => undefined,
    send(piece: Uint8Array) {
      if (pipe.fault) throw pipe.fault
      pipe.sent += isEnd(piece) ? 0 : 1
      pipe.ends += isEnd(piece) ? 1 : 0
      pipe.backlog += piece.length
      pipe.most = Math.max(pipe.most, pipe.backlog)
      pipe.onSend(piece)
    },
    watch: () => {
      pipe.watched += 1
    },
    destroy: () => {
      pipe.destroyed += 1
    },
  }
  const channel = new PeerChannel({
    remote: 'there',
    initiator: true,
    binding: new Uint8Array(64),
    pipe,
    timer: (ms, run) => {
      timers.set(ms, run)
      return () => void timers.delete(ms)
    },
    report: (error) => void errors.push(error),
  })
  const listener = {
    message: (bytes: Uint8Array) => void told.push(`message ${bytes.length}`),
    drain: () => void told.push('drain'),
    closed: (reason: string) => void told.push(`closed ${reason}`),
  }
  /** The network takes everything down to `rest` bytes. */
  const drainTo = (rest: number): void => {
    pipe.backlog = Math.min(pipe.backlog, rest)
    channel.settle()
  }
  return { channel, pipe, told, errors, timers, listener, drainTo }
}
const deliver = (channel: PeerChannel, message: Uint8Array): void => {
  for (const piece of cut(message)) channel.deliver(piece)
}

describe('sending', () => {
  test('what the data channel holds is not asked for each message, since the answer may wait for another thread', () => {
    const { channel, pipe, listener } = make()
    channel.listen(listener)
    let asked = 0
    pipe.send = () => {
      pipe.sent += 1
    }
    Object.defineProperty(pipe, 'backlog', {
      get: () => {
        asked += 1
        return 0
      },
    })
    for (let count = 0; count < 1_000; count++) {
      expect(channel.buffered).toBeLessThan(limits.channelLowWater)
      channel.send(new Uint8Array(999))
    }
    expect(asked).toBeLessThan(10)
    expect(pipe.sent).toBe(1_000)
  })

  test('the data channel never holds more than 1 MiB, in pieces of limits.pieceBytes, and all of it goes in order', () => {
    const { channel, pipe, listener, drainTo, told } = make()
    const other = make()
    other.channel.listen(other.listener)
    channel.listen(listener)
    pipe.onSend = (piece) => {
      expect(piece.length).toBeLessThanOrEqual(limits.pieceBytes)
      other.channel.deliver(piece.slice())
    }
    for (let count = 0; count < 20; count++) channel.send(new Uint8Array(limits.frameBytes - count))
    channel.send(new Uint8Array(3))
    const total = 20 * limits.frameBytes
    expect(channel.buffered).toBeGreaterThan(total)
    expect(channel.buffered).toBeLessThan(total * 1.001)
    for (let rounds = 0; channel.buffered > 0 && rounds < 1_000; rounds++) drainTo(rounds % 2 ? 0 : lowMark)
    expect(pipe.most).toBeGreaterThan(highMark - limits.pieceBytes)
    expect(pipe.most).toBeLessThanOrEqual(highMark)
    expect(other.told).toEqual([
      ...Array.from({ length: 20 }, (_, count) => `message ${limits.frameBytes - count}`),
      'message 3',
    ])
    expect(told).toEqual(['drain'])
  })

  test('drain is told once each time what is buffered has been at the low mark and is below it', () => {
    const { channel, pipe, told, listener, drainTo } = make()
    channel.listen(listener)
    channel.send(new Uint8Array(1_000))
    drainTo(0)
    expect([told, pipe.watched]).toEqual([[], 0])
    channel.send(new Uint8Array(limits.frameBytes))
    channel.send(new Uint8Array(limits.frameBytes))
    expect(pipe.watched).toBeGreaterThan(0)
    drainTo(lowMark)
    expect(told).toEqual([])
    expect(channel.buffered).toBeGreaterThan(limits.channelLowWater)
    drainTo(lowMark)
    drainTo(0)
    expect(told).toEqual(['drain'])
  })

  test('a drain that sends above the mark again is told again', () => {
    const { channel, told, listener, drainTo } = make()
    let again = 2
    channel.listen({
      ...listener,
      drain: () => {
        told.push('drain')
        if (again-- > 0) channel.send(new Uint8Array(limits.frameBytes))
      },
    })
    channel.send(new Uint8Array(limits.frameBytes))
    for (let rounds = 0; rounds < 10; rounds++) drainTo(0)
    expect(told).toEqual(['drain', 'drain', 'drain'])
  })

  test('a data channel that takes no more loses the connection', () => {
    const { channel, pipe, told, listener } = make()
    channel.listen(listener)
    pipe.fault = new Error('queue is full')
    channel.send(new Uint8Array(1))
    expect([told, pipe.destroyed, channel.buffered]).toEqual([['closed sending failed: queue is full'], 1, 0])
  })

  test('a message over limits.frameBytes is the caller’s bug, on an open channel and a closed one', () => {
    const { channel } = make()
    const send = () => channel.send(new Uint8Array(limits.frameBytes + 1))
    expect(send).toThrow(WeftError)
    channel.ended('lost')
    expect(send).toThrow(WeftError)
  })
})

describe('receiving', () => {
  test('messages are told whole, and nothing before all of it is there', () => {
    const { channel, told, listener } = make()
    channel.listen(listener)
    deliver(channel, new Uint8Array(0))
    const pieces = cut(new Uint8Array(200_000))
    for (const piece of pieces.slice(0, -1)) channel.deliver(piece)
    expect(told).toEqual(['message 0'])
    channel.deliver(pieces.at(-1))
    expect(told).toEqual(['message 0', 'message 200000'])
  })

  test.each<[string, Uint8Array | undefined, string]>([
    ['text', undefined, 'closed malformed: text'],
    ['a piece that does not fit', Uint8Array.of(2, 1), 'closed malformed: '],
    ['a message over limits.frameBytes', Uint8Array.of(1, 0, 16, 0, 1, 1), 'closed malformed: '],
  ])('%s closes at once', (_, piece, reason) => {
    const { channel, pipe, told, listener } = make()
    channel.listen(listener)
    channel.deliver(piece)
    deliver(channel, new Uint8Array(1))
    expect(told).toEqual([expect.stringContaining(reason)])
    expect(pipe.destroyed).toBe(1)
  })
})

describe('closing', () => {
  test('what was sent before goes first, then the end; nothing is told meanwhile', () => {
    const { channel, pipe, told, listener, drainTo, timers } = make()
    channel.listen(listener)
    for (let count = 0; count < 4; count++) channel.send(new Uint8Array(limits.frameBytes))
    channel.close('enough')
    channel.close('again')
    channel.send(new Uint8Array(9))
    deliver(channel, new Uint8Array(1))
    expect([told, pipe.ends, channel.buffered]).toEqual([['closed enough'], 0, 0])
    for (let rounds = 0; rounds < 20; rounds++) drainTo(0)
    expect([pipe.ends, pipe.sent]).toEqual([1, 4 * 17])
    expect([...timers.keys()]).toEqual([2_000])
    channel.ended('closed')
    expect([told, timers.size, pipe.destroyed]).toEqual([['closed enough'], 0, 0])
  })

  test('what does not go in time is let go', () => {
    const { channel, pipe, listener, timers } = make()
    channel.listen(listener)
    for (let count = 0; count < 4; count++) channel.send(new Uint8Array(limits.frameBytes))
    channel.close('enough')
    timers.get(2_000)?.()
    expect([pipe.ends, pipe.destroyed]).toEqual([0, 1])
  })

  test.each(['open', 'ending'])('whoever hears the end ends the connection: a channel that is %s', (state) => {
    const { channel, pipe, told, listener, timers } = make()
    channel.listen(listener)
    if (state === 'ending') channel.close('enough')
    channel.deliver(endPiece())
    deliver(channel, new Uint8Array(1))
    expect([told, pipe.destroyed, timers.size]).toEqual([
      [state === 'open' ? 'closed the other end closed' : 'closed enough'],
      1,
      0,
    ])
  })

  test('a lost connection is told once, and not closed once more', () => {
    const { channel, pipe, told, listener } = make()
    channel.listen(listener)
    channel.ended('lost')
    channel.close('enough')
    channel.drop('enough')
    channel.settle()
    expect([told, pipe.ends, pipe.destroyed]).toEqual([['closed lost'], 0, 0])
  })

  test('dropping waits for nothing', () => {
    const { channel, pipe, told, listener } = make()
    channel.listen(listener)
    for (let count = 0; count < 4; count++) channel.send(new Uint8Array(limits.frameBytes))
    channel.drop('the page was left')
    expect([told, pipe.ends, pipe.destroyed]).toEqual([['closed the page was left'], 0, 1])
  })
})

for (const told of ['message', 'drain', 'closed'] as const) {
  test(`a listener that throws at ${told} is reported, and the channel is closed`, () => {
    const { channel, pipe, errors, listener, drainTo, told: heard } = make()
    const fault = new Error('a bug')
    channel.listen({
      ...listener,
      [told]: () => {
        throw fault
      },
    })
    channel.send(new Uint8Array(limits.frameBytes))
    if (told === 'message') deliver(channel, new Uint8Array(1))
    drainTo(0)
    channel.close('enough')
    drainTo(0)
    expect(errors).toEqual([fault])
    expect(heard.filter((line) => line.startsWith('closed'))).toEqual(
      told === 'closed' ? [] : ['closed the listener failed'],
    )
    expect(pipe.ends).toBe(1)
  })
}

test('a channel is listened to once; one handed to nobody, or to one that throws first, is closed', () => {
  const { channel, listener } = make()
  channel.listen(listener)
  expect(() => channel.listen(listener)).toThrow('once')
  const ignored = make()
  ignored.channel.handOver(() => undefined)
  expect(ignored.pipe.ends).toBe(1)
  const lost = make()
  lost.channel.ended('lost')
  lost.channel.handOver(() => expect.unreachable())
  const failed = make()
  failed.channel.handOver(() => {
    throw new Error('a bug')
  })
  expect([failed.pipe.ends, failed.errors]).toEqual([1, [new Error('a bug')]])
})
