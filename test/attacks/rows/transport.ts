/** Row C7: nothing below the engine inflates what a stranger sends. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { deflateRawSync } from 'node:zlib'
import { socketIoAcceptor } from '@weft-db/socketio/server'
import { mustHold, type Row } from '../row.ts'

/** A masked frame of a websocket, by default a whole binary message. RFC 6455, 5.2; 0x40 is RSV1, which RFC 7692 makes "compressed". */
const websocketFrame = (payload: Uint8Array, first = 0x82): Buffer => {
  const long = payload.length > 65_535
  const head = Buffer.alloc(long ? 10 : 4)
  head[0] = first
  head[1] = 0x80 | (long ? 127 : 126)
  if (long) head.writeBigUInt64BE(BigInt(payload.length), 2)
  else head.writeUInt16BE(payload.length, 2)
  // A mask of zeros leaves the payload as it is.
  return Buffer.concat([head, Buffer.alloc(4), payload])
}

interface Seen {
  readonly agreed: boolean
  readonly closed: boolean
  readonly milliseconds: number
}

/** Asks for compression, then sends a compressed frame whether it was agreed or not, and waits until the server ends it. */
const offer = (port: number, frame: Buffer, extensions: string): Promise<Seen> =>
  new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let heard = Buffer.alloc(0)
    let [agreed, upgraded, sentAt] = [false, false, 0]
    const done = (closed: boolean): void => {
      socket.destroy()
      resolve({ agreed, closed, milliseconds: performance.now() - sentAt })
    }
    socket.setTimeout(2_000, () => done(false))
    socket.once('error', reject)
    socket.once('close', () => (upgraded ? done(true) : reject(new Error(`not upgraded: ${heard.toString('latin1')}`))))
    socket.on('data', (chunk) => {
      heard = Buffer.concat([heard, chunk])
      const end = heard.indexOf('\r\n\r\n')
      if (upgraded || end < 0) return
      const head = heard.subarray(0, end).toString('latin1')
      if (!head.startsWith('HTTP/1.1 101')) return reject(new Error(head))
      upgraded = true
      agreed = /sec-websocket-extensions:/i.test(head)
      sentAt = performance.now()
      socket.write(frame)
    })
    const key = randomBytes(16).toString('base64')
    socket.write(
      `GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n` +
        `Sec-WebSocket-Extensions: ${extensions}\r\n\r\n`,
    )
  })

const ways = [
  'permessage-deflate',
  'permessage-deflate; client_max_window_bits',
  'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
  'x-webkit-deflate-frame',
]

/** C7: compressed frames that would inflate to 1, 16 and 64 MiB, and one of frames within frames. */
export const bombs: Row = async ({ trials }) => {
  const http = createServer()
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  let delivered = 0
  const acceptor = socketIoAcceptor(http, { onCutOff: () => undefined, onError: () => undefined, perAddress: 10_000 })
  acceptor.start((channel) => {
    channel.listen({ message: () => delivered++, drain: () => undefined, closed: () => undefined })
  })
  const { port } = http.address() as AddressInfo
  const inner = deflateRawSync(Buffer.alloc(64 * 1_048_576))
  const payloads = [1, 16, 64].map((size) => deflateRawSync(Buffer.alloc(size * 1_048_576)))
  payloads.push(deflateRawSync(Buffer.concat(Array.from({ length: 16 }, () => inner))))
  let [violations, slowest] = [0, 0]
  const before = process.memoryUsage().rss
  try {
    for (let trial = 0; trial < trials; trial++) {
      const payload = payloads[trial % payloads.length] ?? inner
      const extensions = ways[Math.floor(trial / payloads.length) % ways.length] ?? ''
      const seen = await offer(port, websocketFrame(payload, 0xc2), extensions)
      slowest = Math.max(slowest, seen.milliseconds)
      if (seen.agreed || !seen.closed) violations++
    }
    const grown = (process.memoryUsage().rss - before) / 1_048_576
    violations += delivered
    mustHold(
      payloads.every((payload) => payload.length < 1_048_576),
      'the bombs are too large to be read',
      violations,
    )
    return {
      trials,
      violations,
      slowestMilliseconds: Math.round(slowest),
      grownMegabytes: Math.max(0, Math.round(grown)),
    }
  } finally {
    await acceptor.stop()
    http.closeAllConnections()
    await new Promise((resolve) => http.close(resolve))
  }
}
