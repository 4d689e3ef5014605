/** Serves the page of the contract tests on localhost, with real Socket.IO acceptors that the page drives. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net'
import { type Channel, type Transport, WeftError } from '@weft-db/engine'
import { socketIoAcceptor } from '@weft-db/socketio/server'
import { build, type Plugin } from 'esbuild'
import { Detour } from '../contracts/detour.ts'
import { type Answer, Cutter, frame, orders, tidings } from './wire.ts'

const entry = new URL('page/contracts.ts', import.meta.url).pathname
const worker = new URL('../../packages/storage/src/opfs-worker.ts', import.meta.url).pathname
const standIn = new URL('page/vitest.ts', import.meta.url).pathname
const utf8 = new TextEncoder()

/** Suites find the stand-in under Vitest's name, and the stand-in finds Vitest's assertions where Vitest has them. */
const vitestInPage: Plugin = {
  name: 'vitest-in-page',
  setup(bundling) {
    const require = createRequire(createRequire(import.meta.url).resolve('vitest/package.json'))
    bundling.onResolve({ filter: /^vitest$/ }, () => ({ path: standIn }))
    bundling.onResolve({ filter: /^vitest-assertions$/ }, () => ({ path: require.resolve('@vitest/expect') }))
  },
}

const bundle = async (from: string): Promise<string> => {
  const { outputFiles } = await build({
    entryPoints: [from],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    conditions: ['weft-source', 'module'],
    plugins: [vitestInPage],
    logLevel: 'warning',
  })
  return outputFiles[0]?.text ?? ''
}

/** Cases for a page that asks for its work, in the order they are asked for. */
class Work {
  readonly #told = new Map<string, (failure: string | undefined) => void>()
  readonly #open: string[] = []
  #idle: ((name: string) => void) | undefined

  do(name: string): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#told.set(name, resolve)
      if (this.#idle === undefined) this.#open.push(name)
      else this.#idle(name)
      this.#idle = undefined
    })
  }

  async next(): Promise<string> {
    return (
      this.#open.shift() ??
      new Promise((resolve) => {
        this.#idle = resolve
      })
    )
  }

  told({ name, failure }: { name: string; failure?: string }): void {
    this.#told.get(name)?.(failure)
  }
}

export class Host {
  readonly url: string
  readonly #server: Server
  readonly #pairs: Acceptor[]
  readonly #detours: Detour[]
  readonly #work: Work

  private constructor(server: Server, pairs: Acceptor[], detours: Detour[], work: Work) {
    this.#server = server
    this.#pairs = pairs
    this.#detours = detours
    this.#work = work
    // 'localhost' is a secure context whatever the scheme, and an origin other than the acceptors' 127.0.0.1.
    this.url = `http://localhost:${portOf(server)}`
  }

  static async start(): Promise<Host> {
    const scripts = new Map([
      ['page.js', await bundle(entry)],
      // Where the page looks for it: esbuild leaves the address as it is.
      ['opfs-worker.ts', await bundle(worker)],
    ])
    const pairs: Acceptor[] = []
    const detours: Detour[] = []
    const work = new Work()
    const server = createServer((request, response) => {
      answer(request, response, scripts, pairs, detours, work).catch((problem: unknown) => {
        response.writeHead(500).end(String(problem))
      })
    })
    await listening(server, 0, 'localhost')
    return new Host(server, pairs, detours, work)
  }

  /** Has the page at `#serve` run a case; resolves with its failure. */
  run(name: string): Promise<string | undefined> {
    return this.#work.do(name)
  }

  async end(): Promise<void> {
    for (const pair of this.#pairs) await pair.end()
    for (const way of this.#detours) await way.end()
    this.#server.closeAllConnections()
    await closed(this.#server)
  }
}

const answer = async (
  request: IncomingMessage,
  response: ServerResponse,
  scripts: ReadonlyMap<string, string>,
  pairs: Acceptor[],
  detours: Detour[],
  work: Work,
): Promise<void> => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  const [, first = '', number = '', what = ''] = pathname.split('/')
  if (first === '') {
    response.setHeader('content-type', 'text/html; charset=utf-8')
    response.end('<!doctype html><title>contracts</title><script type="module" src="/page.js"></script>')
  } else if (scripts.has(first)) {
    response.setHeader('content-type', 'text/javascript; charset=utf-8')
    response.end(scripts.get(first))
  } else if (first === 'next') {
    response.end(await work.next())
  } else if (first === 'told') {
    work.told(JSON.parse((await bodyOf(request)).toString()))
    response.end()
  } else if (first === 'detour' && number === '') {
    response.end(String(detours.push(new Detour()) - 1))
  } else if (first === 'detour') {
    const way = detours[Number(number)]
    if (what === 'carry') response.end(await way?.carry(await bodyOf(request)))
    else {
      if (what === 'hold') way?.hold()
      else if (what === 'release') way?.release()
      else await way?.end()
      response.end()
    }
  } else if (first === 'pair' && number === '') {
    const made = await Acceptor.open(`http://${request.headers.host}`)
    response.end(JSON.stringify({ pair: pairs.push(made) - 1, port: made.port }))
  } else {
    const pair = first === 'pair' ? pairs[Number(number)] : undefined
    if (pair === undefined) response.writeHead(404).end()
    else if (what === 'tidings') pair.tell(response)
    else if (what === 'orders') {
      response.end(JSON.stringify(pair.obey(await bodyOf(request), Number(searchParams.get('channel')))))
    } else {
      if (what === 'leave') await pair.leave()
      else if (what === 'come-back') await pair.comeBack()
      else if (what === 'stop') await pair.stop()
      else if (what === 'end') await pair.end()
      else throw new Error(`no such wish: ${what}`)
      response.end()
    }
  }
}

const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part)
  return Buffer.concat(parts)
}

/** A Socket.IO acceptor behind a line that can be held, and the page at the other end of it all. */
class Acceptor {
  readonly port: number
  readonly #origin: string
  readonly #valve: Valve
  #server: Server
  #accepting: Transport
  readonly #inner: number
  readonly #channels: Channel[] = []
  #page: ServerResponse | undefined
  #closedNow: [channel: number, reason: string][] = []

  private constructor(origin: string, server: Server, valve: Valve) {
    this.#origin = origin
    this.#server = server
    this.#inner = portOf(server)
    this.#valve = valve
    this.port = valve.port
    this.#accepting = this.#accept()
  }

  static async open(origin: string): Promise<Acceptor> {
    const server = createServer()
    await listening(server)
    return new Acceptor(origin, server, await openValve(portOf(server)))
  }

  #accept(): Transport {
    const accepting = socketIoAcceptor(this.#server, { origins: [this.#origin] })
    accepting.start((channel) => {
      const number = this.#channels.push(channel) - 1
      this.#say(
        tidings.accepted,
        number,
        utf8.encode(JSON.stringify({ remote: channel.remote, initiator: channel.initiator })),
      )
      channel.listen({
        message: (bytes) => this.#say(tidings.message, number, bytes),
        drain: () => this.#say(tidings.drain, number, new Uint8Array(0)),
        closed: (reason) => {
          this.#closedNow.push([number, reason])
          this.#say(tidings.closed, number, utf8.encode(reason))
        },
      })
    })
    return accepting
  }

  #say(code: number, number: number, payload: Uint8Array): void {
    this.#page?.write(frame(code, number, payload))
  }

  tell(page: ServerResponse): void {
    this.#page = page
    page.writeHead(200, { 'content-type': 'application/octet-stream' })
    page.flushHeaders()
  }

  /** Does all of it in one turn. */
  obey(bytes: Uint8Array, asked: number): Answer {
    this.#closedNow = []
    let refused: Answer['refused']
    for (const { code, number, payload } of new Cutter().push(bytes)) {
      const channel = this.#channels[number]
      try {
        if (code === orders.send) channel?.send(payload)
        else if (code === orders.close) channel?.close(new TextDecoder().decode(payload))
        else if (code === orders.hold) this.#valve.hold()
        else this.#valve.release()
      } catch (problem) {
        refused ??=
          problem instanceof WeftError && problem.code === 'TooLarge'
            ? { weft: problem.code, about: problem.about }
            : { about: String(problem) }
      }
    }
    const buffered = this.#channels[asked]?.buffered ?? 0
    return { buffered, closed: this.#closedNow, ...(refused && { refused }) }
  }

  async leave(): Promise<void> {
    await this.stop()
    if (this.#server.listening) await closed(this.#server)
  }

  async comeBack(): Promise<void> {
    this.#server = createServer()
    this.#accepting = this.#accept()
    await listening(this.#server, this.#inner)
  }

  stop(): Promise<void> {
    return this.#accepting.stop()
  }

  async end(): Promise<void> {
    await this.leave()
    await this.#valve.end()
    this.#page?.end()
    this.#page = undefined
  }
}

/** Passes bytes on to a port, and can stop reading. */
interface Valve {
  readonly port: number
  hold(): void
  release(): void
  end(): Promise<void>
}

const openValve = async (to: number): Promise<Valve> => {
  const joints = new Set<readonly [near: Socket, far: Socket]>()
  const held = new Set<readonly [near: Socket, far: Socket]>()
  const server = createTcpServer((near) => {
    const far = connect(to, '127.0.0.1')
    const joint = [near, far] as const
    joints.add(joint)
    for (const [one, other] of [joint, [far, near] as const]) {
      one.on('error', () => other.destroy())
      one.on('close', () => {
        other.destroy()
        joints.delete(joint)
        held.delete(joint)
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
      if (server.listening) await closed(server)
    },
  }
}

const portOf = (server: { address(): AddressInfo | string | null }): number => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return address.port
}
const listening = (
  server: { listen(port: number, host: string, heard: () => void): unknown },
  port = 0,
  host = '127.0.0.1',
): Promise<void> => new Promise((resolve) => void server.listen(port, host, () => resolve()))
const closed = (server: { close(heard: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => void server.close(() => resolve()))
