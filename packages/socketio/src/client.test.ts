/** What a server that does not keep to the protocol can do to a client: end the connection, and be dialled again. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Channel, limits } from '@weft-db/engine'
import { Server, type Socket } from 'socket.io'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { socketIoTransport } from './client.ts'

let io: Server
let url: string

beforeEach(async () => {
  const http = createServer()
  io = new Server(http, { maxHttpBufferSize: 1e8 })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', () => resolve()))
  const address = http.address() as AddressInfo
  url = `http://127.0.0.1:${address.port}`
})
afterEach(() => io.close())

const offences: Record<string, (socket: Socket) => void> = {
  'another event': (socket) => socket.emit('other', Uint8Array.of(1)),
  'a string': (socket) => socket.emit('frame', 'text'),
  'two arguments': (socket) => socket.emit('frame', Uint8Array.of(1), Uint8Array.of(2)),
  'a refusal to join': (socket) => void socket.conn.write('4{"message":"no"}'),
  'a frame a byte too large': (socket) => socket.emit('frame', new Uint8Array(limits.frameBytes + 1)),
  'bytes that were not announced': (socket) => void socket.conn.write(Buffer.of(1)),
  'a hang-up': (socket) => void socket.disconnect(true),
}

for (const [offence, commit] of Object.entries(offences)) {
  test(`${offence}: the channel closes with a reason, and the next one works`, async () => {
    const heard: number[][] = []
    const reasons: string[] = []
    let channels = 0
    io.once('connection', (first) => {
      io.once('connection', (second) => second.emit('frame', Uint8Array.of(7)))
      first.on('frame', () => commit(first))
    })
    const transport = socketIoTransport({ url, retry: { firstDelay: 5, longestDelay: 20 } })
    await new Promise<void>((resolve) => {
      transport.start((channel: Channel) => {
        channels += 1
        channel.listen({
          message(bytes) {
            heard.push([...bytes])
            resolve()
          },
          drain: () => undefined,
          closed: (reason) => void reasons.push(reason),
        })
        if (channels === 1) channel.send(Uint8Array.of(1))
      })
    })
    expect(channels).toBe(2)
    expect(heard).toEqual([[7]])
    expect(reasons.length).toBe(1)
    expect(reasons[0]).not.toBe('')
    await transport.stop()
    expect(reasons[1]).toBe('stopped')
  })
}

test('a stop while dialling makes no channel', async () => {
  const states: string[] = []
  const transport = socketIoTransport({ url, onState: (state) => void states.push(state) })
  transport.start(() => states.push('channel'))
  await transport.stop()
  expect(states).toEqual(['connecting', 'offline'])
})

test('an address that is none is refused to the caller', () => {
  expect(() => socketIoTransport({ url: 'http://' }).start(() => undefined)).toThrow()
})
