/**
 * The transport contract, run against the memory transport and Socket.IO over loopback; then what Socket.IO alone can be asked: who may
 * connect, and what a stranger may send.
 */
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net'
import { type Channel, limits, type Transport } from '@weft-db/engine'
import { socketIoTransport } from '@weft-db/socketio/client'
import { type AcceptorOptions, socketIoAcceptor } from '@weft-db/socketio/server'
import { Manager, type Socket as RawSocket } from 'socket.io-client'
import { afterEach, describe, expect, test } from 'vitest'
import { memoryPair } from '../sim/memory-transport.ts'
import { Arrivals, type Ear, type Pair, transportContract } from './transport.ts'

const inMemory = async (): Promise<Pair> => {
  const pair = memoryPair()
  let accept: (channel: Channel) => void
  let dialling = false
  return {
    async start(onDialled, onAccepted) {
      accept = onAccepted
      dialling = true
      pair.a.start(onDialled)
      pair.b.start(onAccepted)
      pair.connect()
    },
    another(onDialled) {
      const other = memoryPair()
      other.a.start(onDialled)
      other.b.start(accept)
      other.connect()
    },
    leave: async () => pair.disconnect(),
    comeBack: async () => {
      if (dialling) pair.connect()
    },
    hold: () => pair.hold(),
    release: () => pair.release(),
    async stopDialling() {
      dialling = false
      await pair.a.stop()
    },
    stopAccepting: () => pair.b.stop(),
    async end() {
      await Promise.all([pair.a.stop(), pair.b.stop()])
    },
  }
}

const portOf = (server: Server | TcpServer): number => (server.address() as AddressInfo).port
const listening = (server: Server | TcpServer, port = 0): Promise<void> =>
  new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
const closed = (server: Server | TcpServer): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
const soon = { firstDelay: 5, longestDelay: 50 }

/** Passes bytes on to a port, and can stop reading. */
const valve = async (to: number) => {
  const joints = new Set<[Socket, Socket]>()
  const held = new Set<[Socket, Socket]>()
  const server = createTcpServer((near) => {
    const far = connect(to, '127.0.0.1')
    const joint: [Socket, Socket] = [near, far]
    joints.add(joint)
    for (const [one, other] of [joint, [far, near] as const]) {
      one.on('error', () => other.destroy())
      one.on('close', () => {
        other.destroy()
        joints.delete(joint)
      })
    }
    near.pipe(far)
    far.pipe(near)
  })
  await listening(server)
  return {
    port: portOf(server),
    hold() {
      for (const joint of joints) {
        const [near, far] = joint
        near.unpipe(far).pause()
        far.unpipe(near).pause()
        held.add(joint)
      }
    },
    release() {
      for (const [near, far] of held) {
        near.pipe(far)
        far.pipe(near)
      }
      held.clear()
    },
    async end() {
      for (const [near] of joints) near.destroy()
      await closed(server)
    },
  }
}

const overLoopback = async (): Promise<Pair> => {
  let server = createServer()
  await listening(server)
  const port = portOf(server)
  const between = await valve(port)
  const dial = () => socketIoTransport({ url: `http://127.0.0.1:${between.port}`, retry: soon })
  const dialling = [dial()]
  let accepting = socketIoAcceptor(server)
  let accept: (channel: Channel) => void
  const leave = async () => {
    await accepting.stop()
    if (server.listening) await closed(server)
  }
  return {
    async start(onDialled, onAccepted) {
      accept = onAccepted
      accepting.start(onAccepted)
      dialling[0]?.start(onDialled)
    },
    another(onDialled) {
      const other = dial()
      dialling.push(other)
      other.start(onDialled)
    },
    leave,
    async comeBack() {
      server = createServer()
      accepting = socketIoAcceptor(server)
      accepting.start(accept)
      await listening(server, port)
    },
    hold: between.hold,
    release: between.release,
    stopDialling: async () => dialling[0]?.stop(),
    stopAccepting: () => accepting.stop(),
    async end() {
      await Promise.all(dialling.map((transport) => transport.stop()))
      await leave()
      await between.end()
    },
  }
}

transportContract('memory', inMemory)
transportContract('socket.io', overLoopback)

/** A server with everything that is freed after the test. */
const host = async (options: AcceptorOptions = {}, onAccepted?: (channel: Channel) => void) => {
  const server = createServer((_request, response) => response.end('the app'))
  const accepting = socketIoAcceptor(server, options)
  const accepted = new Arrivals()
  const dialling: Transport[] = []
  const raws: Manager[] = []
  accepting.start(onAccepted ?? accepted.take)
  await listening(server)
  const url = `http://127.0.0.1:${portOf(server)}`
  const free = async () => {
    await Promise.all(dialling.map((transport) => transport.stop()))
    for (const manager of raws) manager.engine.close()
    await accepting.stop()
    server.closeAllConnections()
    await closed(server)
  }
  ending.push(free)
  return {
    server,
    accepting,
    accepted,
    url,
    /** A well-behaved client. */
    async client(): Promise<Ear> {
      const transport = socketIoTransport({ url, retry: soon })
      dialling.push(transport)
      const arrivals = new Arrivals()
      transport.start(arrivals.take)
      return arrivals.at(0)
    },
    /** Socket.IO's own client, with its own parser. */
    manager(extraHeaders: Record<string, string> = {}): Manager {
      const manager = new Manager(url, { transports: ['websocket'], reconnection: false, extraHeaders })
      raws.push(manager)
      return manager
    },
  }
}

const ending: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ending.splice(0)) await end()
})

const joined = (manager: Manager): Promise<RawSocket> =>
  new Promise((resolve, reject) => {
    const socket = manager.socket('/')
    socket.on('connect', () => resolve(socket))
    socket.on('connect_error', reject)
  })
const engineClosed = (manager: Manager): Promise<void> =>
  new Promise((resolve) => void manager.engine.on('close', () => resolve()))

/** Asks for an upgrade by hand: the status, and the socket when it was granted. */
const knock = (
  url: string,
  path: string,
  headers: Record<string, string> = {},
): Promise<{ status: number; tcp?: Socket }> =>
  new Promise((resolve, reject) => {
    const key = { 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-version': '13' }
    const asked = request(`${url}${path}`, {
      headers: { connection: 'Upgrade', upgrade: 'websocket', ...key, ...headers },
    })
    asked.on('error', reject)
    asked.on('response', (response: IncomingMessage) => {
      response.resume()
      resolve({ status: response.statusCode ?? 0 })
    })
    asked.on('upgrade', (response: IncomingMessage, tcp: Socket) => {
      tcp.on('error', () => tcp.destroy())
      resolve({ status: response.statusCode ?? 0, tcp })
    })
    asked.end()
  })
const handshake = '/socket.io/?EIO=4&transport=websocket'

describe('socket.io: what a stranger sends', () => {
  const bytes = Uint8Array.of(1, 2, 3)

  test("Socket.IO's own client speaks the protocol by emitting frames", async () => {
    const { manager, accepted } = await host()
    const raw = await joined(manager())
    const there = await accepted.at(0)
    const answer = new Promise<Buffer>((resolve) => void raw.on('frame', resolve))
    raw.emit('frame', bytes)
    await there.heard(1)
    there.channel.send(Uint8Array.of(9))
    expect([...(there.messages[0] ?? [])]).toEqual([1, 2, 3])
    expect([...(await answer)]).toEqual([9])
  })

  const offences: Record<string, (raw: RawSocket) => void> = {
    'another event': (raw) => raw.emit('other', bytes),
    'no argument': (raw) => raw.emit('frame'),
    'a string': (raw) => raw.emit('frame', 'text'),
    'a number': (raw) => raw.emit('frame', 7),
    'bytes in an object': (raw) => raw.emit('frame', { deep: { deeper: [bytes] } }),
    'two arguments': (raw) => raw.emit('frame', bytes, bytes),
    'a hundred arguments': (raw) => raw.emit('frame', ...Array<number>(100).fill(1)),
    'a wish for an acknowledgement': (raw) => raw.emit('frame', bytes, () => undefined),
    'an acknowledgement': (raw) => raw.io.engine.write('31["x"]'),
    'text that is no packet': (raw) => raw.io.engine.write('garbage'),
    'an empty text': (raw) => raw.io.engine.write(''),
    'half of a packet': (raw) => raw.io.engine.write('2["frame"'),
    'nesting without end': (raw) => raw.io.engine.write(`2["frame",${'['.repeat(200_000)}`),
    'more parts than there are': (raw) => raw.io.engine.write('5999999999-["frame",{"_placeholder":true,"num":0}]'),
    'a part that does not exist': (raw) => {
      raw.io.engine.write('51-["frame",{"_placeholder":true,"num":5}]')
      raw.io.engine.write(Buffer.from(bytes))
    },
    'text instead of the part': (raw) => {
      raw.io.engine.write('51-["frame",{"_placeholder":true,"num":0}]')
      raw.io.engine.write('51-["frame",{"_placeholder":true,"num":0}]')
    },
    'another namespace': (raw) => raw.io.engine.write('0/admin,'),
    'joining twice': (raw) => raw.io.engine.write('0'),
    'a join of a megabyte': (raw) => raw.io.engine.write(`0{"token":"${'x'.repeat(1_000_000)}"}`),
    'a frame a byte too large': (raw) => raw.emit('frame', new Uint8Array(limits.frameBytes + 1)),
    'a frame twice too large': (raw) => raw.emit('frame', new Uint8Array(2 * limits.frameBytes)),
  }
  for (const [offence, commit] of Object.entries(offences)) {
    test(`${offence}: ends the connection with a reason, and no other`, async () => {
      const { manager, client, accepted } = await host()
      const neighbour = await client()
      const raw = await joined(manager())
      const hostile = await accepted.at(1)
      commit(raw)
      await hostile.ended()
      expect(hostile.reasons.length).toBe(1)
      expect(hostile.reasons[0]).toMatch(offence === 'a frame twice too large' ? /payload/ : /^malformed: ./)
      expect(hostile.messages).toEqual([])
      neighbour.channel.send(bytes)
      await (await accepted.at(0)).heard(1)
      const later = await client()
      later.channel.send(bytes)
      await (await accepted.at(2)).heard(1)
      expect(neighbour.reasons).toEqual([])
    })
  }

  for (const text of [
    '51-["frame",{"_placeholder":true,"num":0}]',
    '1',
    '2["frame"]',
    '0/admin,',
    '4{"message":"x"}',
  ]) {
    test(`before joining, ${text} ends the connection`, async () => {
      const { manager, accepted } = await host()
      const stranger = manager()
      const gone = new Promise<void>((resolve) => {
        stranger.on('open', () => {
          void engineClosed(stranger).then(resolve)
          stranger.engine.write(text)
          stranger.engine.write(Buffer.from(bytes))
        })
      })
      await gone
      expect(accepted.ears).toEqual([])
    })
  }

  test('pings without reading the answers end the connection', { timeout: 30_000 }, async () => {
    const { server, url, client, accepted } = await host()
    const neighbour = await client()
    const atServer = new Promise<Socket>((resolve) => void server.once('connection', resolve))
    const { tcp } = await knock(url, handshake)
    if (!tcp) throw new Error('no upgrade')
    const gone = new Promise<void>((resolve) => void atServer.then((socket) => socket.once('close', () => resolve())))
    tcp.pause()
    const ping = Buffer.concat([Buffer.of(0x89, 0x80 | 125, 0, 0, 0, 0), Buffer.alloc(125)])
    const pings = Buffer.concat(Array<Buffer>(1_000).fill(ping))
    const flood = (): void => {
      while (!tcp.destroyed && tcp.write(pings));
    }
    tcp.on('drain', flood)
    flood()
    await gone
    tcp.destroy()
    neighbour.channel.send(bytes)
    await (await accepted.at(0)).heard(1)
  })

  test('a listener that throws is reported, and loses its channel only', async () => {
    const errors: unknown[] = []
    const fault = new Error('a bug')
    const reasons: string[] = []
    const { client, accepted } = await host({ onError: (error) => void errors.push(error) }, (channel) => {
      if (reasons.length > 0) return accepted.take(channel)
      channel.listen({
        message: () => {
          throw fault
        },
        drain: () => undefined,
        closed: (reason) => void reasons.push(reason),
      })
    })
    const ear = await client()
    ear.channel.send(bytes)
    await ear.ended()
    await accepted.at(0)
    expect(errors).toEqual([fault])
    expect(reasons).toEqual(['the listener failed'])
  })
})

describe('socket.io: dialling again', () => {
  test('a channel that the server closed is followed by a new one, and every state is told with its reason', async () => {
    const { url, accepted } = await host()
    const told: unknown[] = []
    const arrivals = new Arrivals()
    const transport = socketIoTransport({ url, retry: soon, onState: (...state) => void told.push(state) })
    ending.unshift(() => transport.stop())
    transport.start(arrivals.take)
    await arrivals.at(0)
    ;(await accepted.at(0)).channel.close('enough')
    await arrivals.at(1)
    await transport.stop()
    expect(told).toEqual([
      ['connecting', undefined],
      ['online', undefined],
      ['offline', 'io server disconnect'],
      ['connecting', undefined],
      ['online', undefined],
      ['offline', 'stopped'],
    ])
  })

  test('a hint ends a wait at once, and does nothing to a connection', async () => {
    const server = createServer()
    await listening(server)
    const port = portOf(server)
    await closed(server)
    let hint = (): void => undefined
    let unhinted = 0
    const states: string[] = []
    const arrivals = new Arrivals()
    const offline = new Promise<void>((resolve) => {
      const transport = socketIoTransport({
        url: `http://127.0.0.1:${port}`,
        retry: { firstDelay: 1_000_000_000, longestDelay: 2_000_000_000 },
        wake: (now) => {
          hint = now
          return () => {
            unhinted += 1
          }
        },
        onState: (state) => {
          states.push(state)
          if (state === 'offline') resolve()
        },
      })
      ending.push(async () => {
        await transport.stop()
        expect(unhinted).toBe(1)
      })
      transport.start(arrivals.take)
    })
    await offline
    const accepting = socketIoAcceptor(server)
    const accepted = new Arrivals()
    accepting.start(accepted.take)
    ending.push(async () => {
      await accepting.stop()
      await closed(server)
    })
    await listening(server, port)
    hint()
    hint()
    const ear = await arrivals.at(0)
    hint()
    ear.channel.send(Uint8Array.of(1))
    await (await accepted.at(0)).heard(1)
    expect(states).toEqual(['connecting', 'offline', 'connecting', 'online'])
    expect(accepted.ears.length).toBe(1)
  })

  test('a channel that nobody listens to is closed', async () => {
    let offered = 0
    const { url } = await host({}, () => {
      offered += 1
    })
    const arrivals = new Arrivals()
    const transport = socketIoTransport({ url, retry: soon })
    ending.unshift(() => transport.stop())
    transport.start(arrivals.take)
    await (await arrivals.at(0)).ended()
    await arrivals.at(1)
    expect(offered).toBeGreaterThanOrEqual(1)
  })

  test('starting twice is a bug, starting after a stop is not', async () => {
    const { url, accepting, accepted } = await host()
    const transport = socketIoTransport({ url, retry: soon })
    ending.unshift(() => transport.stop())
    const arrivals = new Arrivals()
    transport.start(arrivals.take)
    expect(() => transport.start(arrivals.take)).toThrow('started already')
    expect(() => accepting.start(accepted.take)).toThrow('started already')
    await transport.stop()
    transport.start(arrivals.take)
    await arrivals.at(0)
  })
})

describe('socket.io: who may connect', () => {
  test('pages of the same host and programs may, other pages may not', async () => {
    const { url } = await host()
    const statusOf = async (headers: Record<string, string>) => {
      const { status, tcp } = await knock(url, handshake, headers)
      tcp?.destroy()
      return status
    }
    expect(await statusOf({})).toBe(101)
    expect(await statusOf({ origin: url })).toBe(101)
    expect(await statusOf({ origin: 'https://example.org', host: 'EXAMPLE.org' })).toBe(101)
    expect(await statusOf({ origin: 'https://elsewhere.example' })).toBe(403)
    expect(await statusOf({ origin: `${url}0` })).toBe(403)
    expect(await statusOf({ origin: 'null' })).toBe(403)
    expect(await statusOf({ origin: '' })).toBe(403)
  })

  test('a listed origin may, the own host no longer; a function decides alone', async () => {
    const listed = await host({ origins: ['https://app.example'] })
    expect((await knock(listed.url, handshake, { origin: 'https://app.example' })).status).toBe(101)
    expect((await knock(listed.url, handshake, { origin: listed.url })).status).toBe(403)
    expect((await knock(listed.url, handshake)).status).toBe(101)
    const asked: unknown[] = []
    const decided = await host({
      origins: (origin, host) => {
        asked.push([origin, host])
        return origin === 'https://app.example'
      },
    })
    expect((await knock(decided.url, handshake, { origin: 'https://app.example', host: 'x' })).status).toBe(101)
    expect((await knock(decided.url, handshake, { host: 'x' })).status).toBe(403)
    expect(asked).toEqual([
      ['https://app.example', 'x'],
      [undefined, 'x'],
    ])
  })

  test('a client with a wrong Origin learns that it is unreachable and is never accepted', async () => {
    const { manager, accepted, client } = await host()
    await expect(joined(manager({ origin: 'https://elsewhere.example' }))).rejects.toThrow()
    await client()
    expect(accepted.ears.length).toBe(1)
  })

  test('a session id in the request is refused', async () => {
    const { manager, url } = await host()
    const raw = await joined(manager())
    expect((await knock(url, `${handshake}&sid=${raw.io.engine.id}`)).status).toBe(400)
    expect((await knock(url, `${handshake}&%73id=${raw.io.engine.id}`)).status).toBe(400)
  })

  test('there are limits on connections in all and per address, and a closed one counts no more', async () => {
    const all = await host({ maxConnections: 2 })
    const [first] = [await knock(all.url, handshake), await knock(all.url, handshake)]
    expect((await knock(all.url, handshake)).status).toBe(503)
    const left = new Promise((resolve) => void first.tcp?.once('close', resolve))
    first.tcp?.destroy()
    await left
    await vacancy(all.url)

    const each = await host({ perAddress: 1, addressOf: ({ headers }) => String(headers['x-address']) })
    expect((await knock(each.url, handshake, { 'x-address': '192.0.2.1' })).status).toBe(101)
    expect((await knock(each.url, handshake, { 'x-address': '192.0.2.1' })).status).toBe(429)
    expect((await knock(each.url, handshake, { 'x-address': '192.0.2.2' })).status).toBe(101)
    expect((await knock(each.url, handshake, { 'x-address': '2001:db8::1' })).status).toBe(101)
    expect((await knock(each.url, handshake, { 'x-address': '2001:db8:0:0:1::' })).status).toBe(429)
  })

  test('polling and other paths stay with the app', async () => {
    const { url, server } = await host()
    expect(await (await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).text()).toBe('the app')
    expect((await knock(url, '/elsewhere')).status).toBe(404)
    server.on('upgrade', (asked: IncomingMessage, tcp: Socket) => {
      if (asked.url === '/elsewhere') tcp.end('HTTP/1.1 418 Mine\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
    })
    expect((await knock(url, '/elsewhere')).status).toBe(418)
  })

  test('stopping leaves the http server as it was', async () => {
    const { url, server, client, accepting, accepted } = await host()
    const ear = await client()
    const silent = await knock(url, handshake)
    const silenced = new Promise((resolve) => void silent.tcp?.once('close', resolve))
    silent.tcp?.resume()
    await accepting.stop()
    await Promise.all([ear.ended(), silenced])
    expect((await accepted.at(0)).reasons).toEqual(['stopped'])
    expect(server.listenerCount('upgrade')).toBe(0)
    expect(server.listenerCount('close')).toBe(0)
    expect(server.listening).toBe(true)
    expect(await (await fetch(url)).text()).toBe('the app')
    const again = new Arrivals()
    accepting.start(again.take)
    await again.at(0)
  })
})

/** Until the server has noticed that a place is free. */
const vacancy = async (url: string): Promise<void> => {
  while ((await knock(url, handshake)).status !== 101);
}
