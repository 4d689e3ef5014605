/** Rows D9, F2 and F4: sockets that are slow or silent, pages of other sites, and packets that are no Socket.IO, against a real server. */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anonymous, Database } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { type ServeOptions, type Server, serve } from '@weft-db/server'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { Card } from '../../road/ring.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'

const megabyte = 1_048_576

const occupied = (): number => {
  globalThis.gc?.()
  return process.memoryUsage().rss
}

/** A server with its data in a folder of its own, for as long as `use` takes. */
export const serving = async <Result>(
  options: Partial<ServeOptions>,
  use: (server: Server, folder: string) => Promise<Result>,
): Promise<Result> => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-attacked-'))
  try {
    const server = await serve({ schemas: [Card], data: join(folder, 'store'), port: 0, ...options })
    try {
      return await use(server, folder)
    } finally {
      await server.close()
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const upgrade = (port: number, headers: Readonly<Record<string, string>> = {}): string => {
  const lines = Object.entries({
    Host: `127.0.0.1:${port}`,
    Upgrade: 'websocket',
    Connection: 'Upgrade',
    'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': randomBytes(16).toString('base64'),
    ...headers,
  }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** One whole message as a masked websocket frame (RFC 6455, 5.2); a mask of zeros leaves it as it is. */
const framed = (payload: Uint8Array | string, first = typeof payload === 'string' ? 0x81 : 0x82): Buffer => {
  const bytes = Buffer.from(payload)
  const head = Buffer.alloc(bytes.length > 125 ? 4 : 2)
  head[0] = first
  head[1] = 0x80 | (bytes.length > 125 ? 126 : bytes.length)
  if (bytes.length > 125) head.writeUInt16BE(bytes.length, 2)
  return Buffer.concat([head, Buffer.alloc(4), bytes])
}

/** Resolves with what has been heard as soon as it fits, or the socket ends, or nothing came for so long. */
const heard = (socket: Socket, fits: (text: string) => boolean, patience: number): Promise<string> =>
  new Promise((resolve) => {
    let text = ''
    const done = (): void => {
      socket.off('data', take)
      socket.setTimeout(0)
      resolve(text)
    }
    const take = (chunk: Buffer): void => {
      text += chunk.toString('latin1')
      if (fits(text)) done()
    }
    socket.on('data', take)
    socket.once('close', done)
    socket.setTimeout(patience, done)
  })

const opened = (port: number): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(socket))
    socket.once('error', reject)
  })

/** How long a person takes to be logged in, ms. */
const loginTime = async (port: number): Promise<number> => {
  const files = memoryFiles()
  const client = new Database({
    schemas: [Card],
    runtime: nodeRuntime(),
    storage: async () => ({ files, keys: memoryKeys(), mode: 'memory', lasting: true }),
    transports: [socketIoTransport({ url: `http://127.0.0.1:${port}` })],
  })
  const began = performance.now()
  await client.login(anonymous('Ada'))
  const took = performance.now() - began
  await client.close()
  return took
}

/** What is asked of an unburdened machine is a second and 200 MB; a machine that does other things is given more. */
const longestLogin = 5_000
const mostGrowth = 200 * megabyte

/**
 * D9: `trials` sockets that say nothing, that stop within their headers, that never join, and that join and never say who they are: half of
 * them from one address, the others from as many addresses as they are. A violation is one more from one address than may be, an honest
 * login that takes long, and memory.
 */
export const slow: Row = ({ trials, seed }) =>
  serving({ trustProxy: 1 }, async (server) => {
    const draws = stream(seed, 'slow sockets')
    const { port } = server
    const before = occupied()
    const sockets: Socket[] = []
    let [violations, ofOne, refused, logins] = [0, 0, 0, 0]
    try {
      const calm = await loginTime(port)
      for (let trial = 0; trial < trials; trial++) {
        const socket = await opened(port)
        socket.on('error', () => undefined)
        sockets.push(socket)
        const crowd = trial % 2 === 0
        const address = crowd ? '192.0.2.66' : `10.${trial >> 16}.${(trial >> 8) & 255}.${trial & 255}`
        const kind = (trial >> 1) % 4
        if (kind === 0) continue
        const ask = upgrade(port, { 'X-Forwarded-For': `203.0.113.1, ${address}` })
        if (kind === 1) {
          socket.write(ask.slice(0, 1 + draws.int(ask.length - 4)))
          continue
        }
        socket.write(ask)
        const answer = await heard(socket, (text) => text.includes('\r\n\r\n'), 5_000)
        if (!answer.startsWith('HTTP/1.1 101')) refused++
        else {
          if (crowd) ofOne++
          if (kind === 3) socket.write(framed('40'))
        }
        if (trial % 500 === 499) logins = Math.max(logins, await loginTime(port))
      }
      logins = Math.max(logins, await loginTime(port))
      const grown = occupied() - before
      if (ofOne > 50) violations += ofOne - 50
      if (logins > longestLogin) violations++
      if (grown > mostGrowth) violations++
      mustHold(trials < 250 || refused > 0, 'nobody was refused', violations)
      return {
        trials,
        violations,
        admittedFromOneAddress: ofOne,
        refused,
        calmLoginMilliseconds: Math.round(calm),
        slowestLoginMilliseconds: Math.round(logins),
        grownMegabytes: Math.max(0, Math.round(grown / megabyte)),
      }
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  })

/** Twelve origins. A server that names `https://app.example` admits that one; one that names none, its own host. */
const originsOf = (port: number): readonly (string | undefined)[] => [
  'https://app.example',
  `http://127.0.0.1:${port}`,
  undefined,
  'http://app.example',
  'https://app.example:8443',
  'https://app.example.evil.test',
  'https://evil.test',
  'https://sub.app.example',
  'https://evilapp.example',
  'null',
  'file://',
  `http://127.0.0.1:${port}.evil.test`,
]

/**
 * F2: each of twelve origins by websocket and by polling, `trials` times each, at a server with a list and at one without. A violation is a
 * connection of a page that is not named, one refused to a page that is, polling at all, and a cookie or a permission for other sites in
 * any answer.
 */
export const origins: Row = async ({ trials }) => {
  let [tried, violations, admitted] = [0, 0, 0]
  for (const names of [['https://app.example'], undefined]) {
    await serving(names === undefined ? {} : { origins: names }, async ({ port }) => {
      for (let trial = 0; trial < trials; trial++) {
        for (const origin of originsOf(port)) {
          // What is no browser sends none.
          const isAllowed = origin === undefined || (names ?? [`http://127.0.0.1:${port}`]).includes(origin)
          const socket = await opened(port)
          socket.write(upgrade(port, origin === undefined ? {} : { Origin: origin }))
          const answer = await heard(socket, (text) => text.includes('\r\n\r\n'), 5_000)
          socket.destroy()
          const isAdmitted = answer.startsWith('HTTP/1.1 101')
          if (isAdmitted) admitted++
          if (isAdmitted !== isAllowed) violations++
          if (/^(?:set-cookie|access-control-allow-\S+):/im.test(answer)) violations++
          const polled = await poll(port, origin)
          if (polled.text.includes('"sid"') || polled.isOpen) violations++
          tried += 2
        }
      }
    })
  }
  mustHold(admitted > 0, 'nobody was admitted', violations)
  return { trials: tried, violations, admitted }
}

const poll = (port: number, origin: string | undefined): Promise<{ text: string; isOpen: boolean }> =>
  new Promise((resolve, reject) => {
    const asked = request(
      {
        port,
        host: '127.0.0.1',
        path: '/socket.io/?EIO=4&transport=polling',
        headers: origin === undefined ? {} : { origin },
        agent: false,
      },
      (answer) => {
        const names = Object.keys(answer.headers)
        const isOpen = names.some((name) => name === 'set-cookie' || name.startsWith('access-control-allow'))
        let text = ''
        answer.on('data', (chunk: Buffer) => {
          text += chunk.toString('latin1')
        })
        answer.on('end', () => resolve({ text, isOpen }))
      },
    )
    asked.once('error', reject)
    asked.end()
  })

const garbage = (draws: Stream, length: number): Buffer => Buffer.from(draws.bytes(length))

/** Packets that a joined client never sends, one each time. */
const malformed = (draws: Stream): Buffer => {
  const header = '451-["frame",{"_placeholder":true,"num":0}]'
  const ways: (() => Buffer)[] = [
    () => framed(`45${draws.int(1e9)}-["frame",{"_placeholder":true,"num":0}]`),
    () => framed(`451-["frame",${'['.repeat(draws.int(5_000))}`),
    () => framed(`42["__proto__",{"polluted":true}]`),
    () => framed(`42["constructor","prototype"]`),
    () => framed(`42${draws.int(1e6)}["frame"]`),
    () => framed(`43${draws.int(1e6)}[]`),
    () => framed(`40/admin,{"token":"x"}`),
    () => framed('40'),
    () => framed(`42["disconnect"]`),
    () => framed(`44{"message":"x"}`),
    () => framed(String.fromCharCode(48 + draws.int(80)) + draws.int(1e9)),
    () => framed(garbage(draws, 1 + draws.int(200))),
    () => framed(garbage(draws, 1 + draws.int(200)), 0x81),
    () => framed(garbage(draws, 1 + draws.int(60)), draws.int(256)),
    () => Buffer.concat([framed(header), framed(header)]),
    () => Buffer.concat([framed(header), framed('1')]),
    () => Buffer.concat([framed(header), framed(garbage(draws, draws.int(300)))]),
    () => garbage(draws, 1 + draws.int(100)),
  ]
  return ways[draws.int(ways.length)]?.() ?? framed('')
}

/**
 * F4: `trials` malformed packets, each by a connection that joined before. A violation is a server that does not answer `/health`
 * afterwards, an object that everybody inherits from and that was changed, and memory that grows with their number.
 */
export const packets: Row = ({ trials, seed }) =>
  serving(
    { connectionsPerAddress: 1_000, rates: { connectionsPerAddress: { burst: 1e9, perSecond: 1e9 } } },
    async (server) => {
      const draws = stream(seed, 'packets')
      const { port } = server
      let [violations, joined, sent] = [0, 0, 0]
      const attack = async (): Promise<void> => {
        const socket = await opened(port)
        socket.on('error', () => undefined)
        socket.write(upgrade(port))
        await heard(socket, (text) => text.includes('"sid"'), 5_000)
        socket.write(framed('40'))
        const answer = await heard(socket, (text) => text.includes('40{'), 5_000)
        if (answer.includes('40{')) joined++
        socket.write(malformed(draws))
        const ends = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
        // Some are only a part, after which the server waits for the rest.
        socket.end()
        socket.resume()
        await ends
      }
      await Promise.all(Array.from({ length: Math.min(64, trials) }, attack))
      sent = Math.min(64, trials)
      const before = occupied()
      for (; sent < trials; ) {
        const width = Math.min(32, trials - sent)
        await Promise.all(Array.from({ length: width }, attack))
        sent += width
      }
      const grown = occupied() - before
      if (grown > 100 * megabyte) violations++
      if ('polluted' in {}) violations++
      const health = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined)
      if (health?.status !== 200) violations++
      if ((await loginTime(port)) > longestLogin) violations++
      mustHold(joined >= trials * 0.9, `only ${joined} joined`, violations)
      return { trials: sent, violations, joined, grownMegabytes: Math.max(0, Math.round(grown / megabyte)) }
    },
  )
