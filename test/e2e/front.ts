/**
 * What stands between a browser and the server: it serves the same pages, hears what they report of their files, and can hold the server back
 * as a broken network does, while the pages themselves still come.
 */
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import { connect, type Socket } from 'node:net'

export class Front {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #to: URL
  /** What a page or a worker of it says, as it comes. Whoever said it waits for as long as this takes. */
  onReport: (text: string) => void | Promise<void> = () => undefined
  #isAway = false
  /** Whether browsers get the worker that holds files. Without it they store in IndexedDB. */
  readonly #hasWorker: boolean

  private constructor(to: string, hasWorker: boolean) {
    this.#to = new URL(to)
    this.#hasWorker = hasWorker
    this.#server = createServer((asked, answer) => {
      const address = asked.url ?? '/'
      if (address === '/report') {
        collect(asked)
          .then((text) => this.onReport(text))
          .then(
            () => answer.writeHead(204).end(),
            () => answer.destroy(),
          )
        return
      }
      const isMissing = !this.#hasWorker && address.startsWith('/opfs-worker')
      if (isMissing || (this.#isAway && address.startsWith('/socket.io'))) return void answer.writeHead(404).end()
      const { hostname, port } = this.#to
      const passed = request(
        { hostname, port, path: address, method: asked.method, headers: asked.headers },
        (answered) => {
          answer.writeHead(answered.statusCode ?? 502, answered.headers)
          answered.pipe(answer)
        },
      )
      passed.on('error', () => answer.destroy())
      asked.pipe(passed)
    })
    this.#server.on('upgrade', (asked: IncomingMessage, socket: Socket, head: Buffer) =>
      this.#upgrade(asked, socket, head),
    )
  }

  static async before(server: string, { hasWorker = true } = {}): Promise<Front> {
    const front = new Front(server, hasWorker)
    await new Promise<void>((resolve) => void front.#server.listen(0, '127.0.0.1', resolve))
    return front
  }

  get url(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('not listening')
    return `http://localhost:${address.port}/`
  }

  /** The server is out of reach, or back. */
  set isAway(isAway: boolean) {
    this.#isAway = isAway
    if (isAway) for (const socket of this.#sockets) socket.destroy()
  }

  #upgrade(asked: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on('error', () => undefined)
    if (this.#isAway) return void socket.destroy()
    const through = connect(Number(this.#to.port), this.#to.hostname)
    this.#sockets.add(socket)
    through.on('error', () => undefined)
    through.once('close', () => socket.destroy())
    socket.once('close', () => {
      this.#sockets.delete(socket)
      through.destroy()
    })
    const lines = [`${asked.method} ${asked.url} HTTP/1.1`]
    for (let at = 0; at + 1 < asked.rawHeaders.length; at += 2)
      lines.push(`${asked.rawHeaders[at]}: ${asked.rawHeaders[at + 1]}`)
    through.write(`${lines.join('\r\n')}\r\n\r\n`)
    through.write(head)
    through.pipe(socket)
    socket.pipe(through)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    for (const socket of this.#sockets) socket.destroy()
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()))
  }
}

const collect = async (asked: IncomingMessage): Promise<string> => {
  let text = ''
  for await (const piece of asked) text += String(piece)
  return text
}
