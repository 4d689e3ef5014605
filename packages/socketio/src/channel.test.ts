import { limits, WeftError } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { Queue, SocketChannel } from './channel.ts'

const make = () => {
  const told: string[] = []
  const wire = { backlog: 0, written: 0, watched: 0, ends: [] as string[], errors: [] as unknown[] }
  const channel = new SocketChannel({
    remote: 'there',
    initiator: true,
    write: (message) => {
      wire.written += 1
      wire.backlog += message.byteLength
    },
    backlog: () => wire.backlog,
    watch: () => {
      wire.watched += 1
    },
    end: (reason) => void wire.ends.push(reason),
    report: (error) => void wire.errors.push(error),
  })
  const listener = {
    message: (bytes: Uint8Array) => void told.push(`message ${bytes.length}`),
    drain: () => void told.push('drain'),
    closed: (reason: string) => void told.push(`closed ${reason}`),
  }
  return { channel, wire, told, listener }
}

test('after it closed, a channel tells nothing, writes nothing and buffers nothing', () => {
  const { channel, wire, told, listener } = make()
  channel.listen(listener)
  channel.deliver(new Uint8Array(1))
  channel.send(new Uint8Array(limits.frameBytes))
  channel.close('enough')
  wire.backlog = 0
  channel.deliver(new Uint8Array(2))
  channel.ended('lost')
  channel.close('again')
  channel.send(new Uint8Array(3))
  expect(channel.settle()).toBe(false)
  wire.backlog = 9
  expect(channel.buffered).toBe(0)
  expect(told).toEqual(['message 1', 'closed enough'])
  expect(wire).toMatchObject({ written: 1, ends: ['enough'] })
})

test('a lost connection is not ended once more', () => {
  const { channel, wire, told, listener } = make()
  channel.listen(listener)
  channel.ended('lost')
  channel.close('enough')
  expect(told).toEqual(['closed lost'])
  expect(wire.ends).toEqual([])
})

test('drain is told once each time the backlog has been at the low mark and is below it', () => {
  const { channel, wire, told, listener } = make()
  channel.listen(listener)
  channel.send(new Uint8Array(limits.channelLowWater - 1))
  expect(wire.watched).toBe(0)
  wire.backlog = 0
  channel.settle()
  expect(told).toEqual([])
  channel.send(new Uint8Array(limits.channelLowWater))
  channel.send(new Uint8Array(1))
  expect(wire.watched).toBe(1)
  expect(channel.settle()).toBe(true)
  wire.backlog = limits.channelLowWater - 1
  expect(channel.settle()).toBe(false)
  expect(channel.settle()).toBe(false)
  expect(told).toEqual(['drain'])
})

test('a drain that sends above the mark again is watched on', () => {
  const { channel, wire, listener } = make()
  channel.listen({ ...listener, drain: () => channel.send(new Uint8Array(limits.frameBytes)) })
  channel.send(new Uint8Array(limits.frameBytes))
  wire.backlog = 0
  expect(channel.settle()).toBe(true)
})

for (const told of ['message', 'drain', 'closed'] as const) {
  test(`a listener that throws at ${told} is reported, and the channel is closed`, () => {
    const { channel, wire, listener } = make()
    const fault = new Error('a bug')
    channel.listen({
      ...listener,
      [told]: () => {
        throw fault
      },
    })
    channel.send(new Uint8Array(limits.frameBytes))
    channel.deliver(new Uint8Array(1))
    wire.backlog = 0
    channel.settle()
    channel.close('enough')
    expect(wire.errors).toEqual([fault])
    expect(wire.ends).toEqual([told === 'closed' ? 'enough' : 'the listener failed'])
  })
}

test('a channel is listened to once; one handed to nobody, or to one that throws first, is closed', () => {
  const { channel, listener } = make()
  channel.listen(listener)
  expect(() => channel.listen(listener)).toThrow('once')
  const ignored = make()
  ignored.channel.handOver(() => undefined)
  expect(ignored.wire.ends).toEqual(['nobody listens'])
  const lost = make()
  lost.channel.ended('lost')
  lost.channel.handOver(() => expect.unreachable())
  expect(lost.wire.errors).toEqual([])
  const failed = make()
  failed.channel.handOver(() => {
    throw new Error('a bug')
  })
  expect(failed.wire).toMatchObject({ ends: ['nobody listens'], errors: [new Error('a bug')] })
})

test('a message over the limit is the caller’s bug, on an open channel and a closed one', () => {
  const { channel } = make()
  const send = () => channel.send(new Uint8Array(limits.frameBytes + 1))
  expect(send).toThrow(WeftError)
  channel.ended('lost')
  expect(send).toThrow(WeftError)
})

test('a queue holds what was created since the last flush', () => {
  const queue = new Queue()
  queue.created({ data: 'text' })
  queue.created({ data: new Uint8Array(10) })
  queue.created({})
  expect(queue.bytes).toBe(16)
  queue.flushed()
  expect(queue.bytes).toBe(0)
})
