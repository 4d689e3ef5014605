/**
 * The accepting side of a transport pair for a page: a real Socket.IO acceptor, which stands in the process that serves the page. Its
 * channels are here as likenesses. What is sent in one go reaches the real channel in one turn of its loop, by a synchronous request, so
 * that `buffered`, a refusal and the end of a channel are what the real one says at that moment. What it hears comes as a stream.
 */
import { type Channel, type ChannelListener, limits, WeftError } from '@weft-db/engine'
import { socketIoTransport } from '@weft-db/socketio/client'
import type { Pair } from '../../contracts/transport.ts'
import { type Answer, Cutter, frame, type Opened, orders, tidings } from '../wire.ts'

// The suite compares bytes by the one function of Node's Buffer.
const compare = (one: Uint8Array, other: Uint8Array): number => {
  if (one.length !== other.length) return one.length - other.length
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return (one[at] ?? 0) - (other[at] ?? 0)
  return 0
}
Object.assign(globalThis, { Buffer: { compare } })

const text = new TextDecoder()
const bytesOf = (string: string): Uint8Array => new TextEncoder().encode(string)

class Likeness implements Channel {
  readonly remote: string
  readonly initiator: boolean
  readonly #ask: (number: number, read: boolean) => number
  readonly #queue: (order: number, number: number, payload: Uint8Array) => void
  readonly #number: number
  #listener: ChannelListener | undefined
  #closed = false

  constructor(
    number: number,
    about: { remote: string; initiator: boolean },
    ask: (number: number, read: boolean) => number,
    queue: (order: number, number: number, payload: Uint8Array) => void,
  ) {
    this.#number = number
    this.remote = about.remote
    this.initiator = about.initiator
    this.#ask = ask
    this.#queue = queue
  }

  get buffered(): number {
    return this.#ask(this.#number, true)
  }

  send(message: Uint8Array): void {
    this.#queue(orders.send, this.#number, message.slice())
    if (message.length > limits.frameBytes) this.#ask(this.#number, false)
  }

  close(reason: string): void {
    this.#queue(orders.close, this.#number, bytesOf(reason))
    this.#ask(this.#number, false)
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
  }

  hear(tiding: number, payload: Uint8Array): void {
    if (this.#closed) return
    this.#closed = tiding === tidings.closed
    if (tiding === tidings.message) this.#listener?.message(payload)
    if (tiding === tidings.drain) this.#listener?.drain()
    if (tiding === tidings.closed) this.#listener?.closed(text.decode(payload))
  }
}

const soon = { firstDelay: 5, longestDelay: 50 }

/** Socket.IO from this page to an acceptor outside, over a line that can be held. */
export const fromPage = async (): Promise<Pair> => {
  const { pair, port }: Opened = await (await fetch('/pair', { method: 'POST' })).json()
  const channels = new Map<number, Likeness>()
  const dialling = [dial(port)]
  let waiting: Uint8Array[] = []

  const request = (path: string, body: Uint8Array<ArrayBuffer>): Answer => {
    const asked = new XMLHttpRequest()
    asked.open('POST', `/pair/${pair}/${path}`, false)
    asked.send(body)
    if (asked.status !== 200) throw new Error(`${path}: ${asked.status} ${asked.responseText}`)
    return JSON.parse(asked.responseText)
  }
  const flush = (number = -1, read = false): number => {
    const body = new Uint8Array(waiting.reduce((sum, part) => sum + part.length, 0))
    let at = 0
    for (const part of waiting) {
      body.set(part, at)
      at += part.length
    }
    if (body.length === 0 && !read) return 0
    waiting = []
    const { buffered, refused, closed } = request(`orders?channel=${number}`, body)
    for (const [gone, reason] of closed) channels.get(gone)?.hear(tidings.closed, bytesOf(reason))
    if (refused !== undefined)
      throw refused.weft ? new WeftError(refused.weft, refused.about) : new Error(refused.about)
    return buffered
  }
  const queue = (order: number, number: number, payload: Uint8Array): void => {
    if (waiting.length === 0) queueMicrotask(() => flush())
    waiting.push(frame(order, number, payload))
  }
  const order = (code: number): void => {
    queue(code, 0, new Uint8Array(0))
    flush()
  }

  const listening = async (onAccepted: (channel: Channel) => void): Promise<void> => {
    const stream = (await fetch(`/pair/${pair}/tidings`)).body?.getReader()
    if (stream === undefined) throw new Error('no stream')
    void (async () => {
      const cutter = new Cutter()
      for (let piece = await stream.read(); !piece.done; piece = await stream.read()) {
        for (const { code, number, payload } of cutter.push(piece.value)) {
          if (code === tidings.accepted) {
            const channel = new Likeness(number, JSON.parse(text.decode(payload)), flush, queue)
            channels.set(number, channel)
            onAccepted(channel)
          } else channels.get(number)?.hear(code, payload)
        }
      }
    })()
  }
  const tell = async (path: string): Promise<void> => {
    const { ok, status } = await fetch(`/pair/${pair}/${path}`, { method: 'POST' })
    if (!ok) throw new Error(`${path}: ${status}`)
  }

  return {
    async start(onDialled, onAccepted) {
      await listening(onAccepted)
      dialling[0]?.start(onDialled)
    },
    another(onDialled) {
      const other = dial(port)
      dialling.push(other)
      other.start(onDialled)
    },
    leave: () => tell('leave'),
    comeBack: () => tell('come-back'),
    hold: () => order(orders.hold),
    release: () => order(orders.release),
    stopDialling: async () => dialling[0]?.stop(),
    stopAccepting: () => tell('stop'),
    async end() {
      await Promise.all(dialling.map((transport) => transport.stop()))
      await tell('end')
    },
  }
}

const dial = (port: number) => socketIoTransport({ url: `http://127.0.0.1:${port}`, retry: soon })
