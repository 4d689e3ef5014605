/** One end of a WebRTC attempt that a test drives from outside, in a page as in Node: what goes in and out is text. */
import type { Attempt, PeerTransport } from '@weft-db/engine'
import { Ear } from '../../contracts/transport.ts'

const hexOf = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const bytesOf = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))

/** Sizes that fit a piece, just do not, and are the largest. */
const lengthOf = (index: number): number => [1, 0, 65_535, 65_536, 70_000, 200_000, 1_048_576][index % 7] ?? 0
const byteOf = (index: number, at: number): number => (index * 31 + at * 7) & 0xff

export interface Opened {
  readonly binding: string
  readonly path: string
}

export class PeerEnd {
  readonly #transport: PeerTransport
  #attempt: Attempt | undefined
  #opened: Promise<{ ear: Ear; path: string }> | undefined

  constructor(transport: PeerTransport) {
    this.#transport = transport
  }

  begin(initiator: boolean, tell: (signal: string) => void): void {
    this.#opened = new Promise((resolve, reject) => {
      this.#attempt = this.#transport.attempt(
        { remote: 'the other end', initiator, servers: [], relayOnly: false },
        {
          signal: (signal) => tell(hexOf(signal)),
          opened: (channel, path) => resolve({ ear: new Ear(channel), path }),
          failed: ({ kind, detail }) => reject(new Error(`${kind}: ${detail}`)),
        },
      )
    })
    // Whoever asks is told.
    this.#opened.catch(() => undefined)
  }

  take(signal: string): string | undefined {
    return this.#attempt?.signal(bytesOf(signal))?.code
  }

  async opened(): Promise<Opened> {
    const { ear, path } = await this.#open()
    return { binding: hexOf(ear.channel.binding ?? new Uint8Array(0)), path }
  }

  async send(count: number): Promise<void> {
    const { ear } = await this.#open()
    for (let index = 0; index < count; index++)
      ear.channel.send(Uint8Array.from({ length: lengthOf(index) }, (_, at) => byteOf(index, at)))
  }

  /** Waits for as many messages and gives the first that is not what was sent; -1 when all are. */
  async heard(count: number): Promise<number> {
    const { ear } = await this.#open()
    await ear.heard(count)
    return ear.messages.findIndex(
      (message, index) => message.length !== lengthOf(index) || message.some((byte, at) => byte !== byteOf(index, at)),
    )
  }

  async close(reason: string): Promise<void> {
    ;(await this.#open()).ear.channel.close(reason)
  }

  async ended(): Promise<string> {
    const { ear } = await this.#open()
    await ear.ended()
    return ear.reasons.join()
  }

  #open(): Promise<{ ear: Ear; path: string }> {
    return this.#opened ?? Promise.reject(new Error('no attempt was begun'))
  }
}
