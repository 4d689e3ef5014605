/** Rows F3 and F6: a proof that was overheard, and the authority's key wherever a byte of it could turn up. */
import { execFile } from 'node:child_process'
import { createPrivateKey } from 'node:crypto'
import { chmod, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { anonymous, type Channel, type Transport } from '@weft-db/engine'
import { serve } from '@weft-db/server'
import { encode } from '../../../packages/engine/src/bytes/cbor.ts'
import { decodeFrame, encodeFrame } from '../../../packages/engine/src/replica/wire.ts'
import { Lab } from '../../road/lab.ts'
import { Card } from '../../road/ring.ts'
import { Stranger } from '../../road/stranger.ts'
import { stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'
import { serving } from './sockets.ts'

/** Keeps what goes out. */
const overheard = (transport: Transport, sent: Uint8Array[]): Transport => ({
  start: (onChannel) =>
    transport.start((channel) => {
      const listening: Channel = {
        remote: channel.remote,
        initiator: channel.initiator,
        get buffered() {
          return channel.buffered
        },
        listen: (listener) => channel.listen(listener),
        send: (message) => {
          sent.push(message.slice())
          channel.send(message)
        },
        close: (reason) => channel.close(reason),
      }
      onChannel(listening)
    }),
  stop: () => transport.stop(),
})

/**
 * F3: `trials` channels on which the greeting and the proof of an honest session are said again, word for word or with the nonce changed,
 * once the session is away, in one order and another. A violation is a channel that is not closed, or that is answered like one proved.
 */
export const replays: Row = async ({ trials, seed }) => {
  const lab = new Lab(`replays ${seed}`)
  const draws = stream(seed, 'replays')
  await lab.authority()
  const sent: Uint8Array[] = []
  const line = lab.line()
  const ada = await lab.start('ada', { transports: [overheard(line.a, sent)] })
  line.connect()
  ada.database.login(anonymous('Ada')).catch(() => undefined)
  await lab.until(() => ada.database.status.connection === 'online' && ada.database.session !== undefined)
  // Once more, now that it shows its certificate.
  line.disconnect()
  sent.length = 0
  line.connect()
  await lab.run(100)
  const frames = sent.map((bytes, number) => decodeFrame(bytes, number))
  const [greet, prove] = frames
  if (greet === undefined || prove === undefined || !('kind' in greet) || !('kind' in prove))
    throw new Error('not heard')
  mustHold(greet.kind === 'greet' && prove.kind === 'prove' && prove.certificate !== null, 'nothing was overheard', 0)
  line.disconnect()
  let [violations, refused] = [0, 0]
  for (let trial = 0; trial < trials; trial++) {
    const { channel, received, state } = lab.dial()
    await lab.run(0)
    const way = draws.int(4)
    if (way === 0 && greet.kind === 'greet') channel.send(encodeFrame(0, { ...greet, nonce: draws.bytes(32) }))
    else if (way === 1) {
      // The server's own greeting, as if it were one's own: a mirror.
      const own = received[0]
      if (own !== undefined) channel.send(own)
    } else channel.send(sent[0] ?? new Uint8Array(0))
    channel.send(sent[1] ?? new Uint8Array(0))
    channel.send(encodeFrame(2, { kind: 'login', method: 'anonymous', credentials: 'Eve' }))
    channel.send(encode([3, 6, 0, '/board/roadmap', 0]))
    await lab.run(0)
    const codes = received.map((bytes, number) => decodeFrame(bytes, number))
    const isServed = codes.some(
      (frame) => 'kind' in frame && (frame.kind === 'certified' || frame.kind === 'subscribe'),
    )
    if (codes.some((frame) => 'kind' in frame && frame.kind === 'refused' && frame.code === 'BadProof')) refused++
    if (isServed || state.closed === undefined) violations++
    if (state.closed === undefined) channel.close('over')
  }
  mustHold(refused === trials, `only ${refused} proofs were judged`, violations)
  return { trials, violations, refused }
}

const run = promisify(execFile)

/** Every way to write the key down that a search could miss: its number in bytes, hex and the base64s, and the lines of its file. */
const writings = (pem: string): readonly Buffer[] => {
  const { d } = createPrivateKey(pem).export({ format: 'jwk' })
  if (d === undefined) throw new Error('no private key')
  const number = Buffer.from(d, 'base64url')
  const texts = [
    number.toString('hex'),
    number.toString('hex').toUpperCase(),
    number.toString('base64'),
    d,
    [...number].join(','),
  ]
  // A line of base64 within another alignment would be found by its middle.
  const lines = pem.split('\n').filter((line) => line.length > 30 && !line.startsWith('-----'))
  return [number, ...texts.map((text) => Buffer.from(text)), ...lines.slice(1).map((line) => Buffer.from(line))]
}

const filesIn = async (folder: string): Promise<string[]> => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

/**
 * F6: `trials` servers that are used, offended, failed at their start and started again. Everything that leaves them is searched for their
 * key: files beside it, incidents, lines for the operator, `/health`, the app's pages, errors, frames. A violation is each of these that
 * holds it, a key file that others may read or that lies among the data, and a data folder that others may enter.
 */
export const keys: Row = async ({ trials }) => {
  let [violations, searched, bytes] = [0, 0, 0]
  for (let trial = 0; trial < trials; trial++) {
    const said: string[] = []
    const tell = (one: unknown): void =>
      void said.push(
        one instanceof Error ? `${one.message}\n${one.stack}\n${JSON.stringify(one)}` : JSON.stringify(one),
      )
    await serving({ log: tell, onIncident: tell }, async (server, folder) => {
      const keyFile = join(folder, 'store.key')
      const secrets = writings(await readFile(keyFile, 'utf8'))
      const written = await readFile(keyFile)
      mustHold(
        secrets.some((secret) => written.includes(secret)),
        'the search finds no key where it is',
        violations,
      )
      const stranger = await Stranger.member(`http://127.0.0.1:${server.port}`, '/board/searched')
      for (let offence = 0; offence < 3; offence++) stranger.sendParts(99, offence)
      await stranger.closed
      for (const path of ['/health', '/', '/store.key', '/..%2fstore.key', '/metrics']) {
        const answer = await fetch(`http://127.0.0.1:${server.port}${path}`)
        said.push(JSON.stringify([...answer.headers]), await answer.text())
      }
      const again = { schemas: [Card], data: join(folder, 'store'), port: 0, log: tell }
      // While it runs; in the wrong place; readable by others; not a key at all.
      await serve(again).then((other) => other.close(), tell)
      await serve({ ...again, keyFile: join(folder, 'store', 'key') }).then((other) => other.close(), tell)
      if (process.platform !== 'win32') {
        if (((await stat(keyFile)).mode & 0o077) !== 0) violations++
        if (((await stat(join(folder, 'store'))).mode & 0o077) !== 0) violations++
        await chmod(keyFile, 0o644)
        await serve(again).then((other) => other.close(), tell)
        await chmod(keyFile, 0o600)
      }
      tell(server.database.status)
      const places: Buffer[] = [
        Buffer.from(said.join('\n')),
        Buffer.from(encode(stranger.heard.map((frame) => JSON.stringify(frame)))),
      ]
      for (const frame of stranger.heard)
        for (const value of Object.values(frame)) if (value instanceof Uint8Array) places.push(Buffer.from(value))
      for (const file of await filesIn(folder)) if (file !== keyFile) places.push(await readFile(file))
      for (const place of places) {
        searched++
        bytes += place.length
        if (secrets.some((secret) => place.includes(secret))) violations++
      }
      mustHold(said.length > 8, 'too little was said', violations)
    })
  }
  // What others see of this process.
  const listed = await run('ps', ['-o', 'args=', '-p', String(process.pid)]).catch(() => undefined)
  if (listed?.stdout.includes('PRIVATE KEY') === true) violations++
  return { trials, violations, searched, bytes }
}
