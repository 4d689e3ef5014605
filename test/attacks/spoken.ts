/**
 * A session that speaks by hand, over any channel: it greets and proves its key as an honest one does, keeps every frame that it hears, and
 * says then whatever a row wants.
 */
import type { Channel, SigningKey } from '@weft-db/engine'
import { encode } from '../../packages/engine/src/bytes/cbor.ts'
import { decodeFrame, encodeFrame, type Frame } from '../../packages/engine/src/replica/wire.ts'
import type { Certificate } from '../../packages/engine/src/trust/certificate.ts'
import { messageOf } from '../../packages/engine/src/trust/signed.ts'
import { hash } from './target.ts'

export interface Speaker {
  readonly key: SigningKey
  readonly certificate: Certificate
}

/** A frame as it came, and its length. */
export type Heard = Frame & { readonly bytes: number }

export class Spoken {
  readonly heard: Heard[] = []
  closed: string | undefined
  readonly #channel: Channel
  readonly #speaker: Speaker
  readonly #network: string
  readonly #binding: Uint8Array
  #greeting = new Uint8Array(0)
  #sent = 0
  #received = 0
  #hasProved = false

  /** It greets at once, and proves itself as soon as it is greeted. */
  constructor(
    channel: Channel,
    speaker: Speaker,
    { network, binding = new Uint8Array(0) }: { network: string; binding?: Uint8Array },
  ) {
    this.#channel = channel
    this.#speaker = speaker
    this.#network = network
    this.#binding = binding
    channel.listen({
      message: (bytes) => this.#hear(bytes),
      drain: () => undefined,
      closed: (reason) => {
        this.closed = reason
      },
    })
    this.#greeting = Uint8Array.from(this.send({ kind: 'greet', network, nonce: new Uint8Array(32), time: 0, root: 0 }))
  }

  get isProved(): boolean {
    return this.closed === undefined && this.#hasProved
  }

  send(frame: Frame): Uint8Array {
    const bytes = encodeFrame(this.#sent++, frame)
    this.#channel.send(bytes)
    return bytes
  }

  /** Asks for a repository of which it holds nothing. */
  subscribe(tag: number, path: string): void {
    this.send({ kind: 'subscribe', tag, path, log: undefined, moved: 0, store: new Uint8Array(8) })
  }

  close(): void {
    this.#channel.close('over')
  }

  #hear(bytes: Uint8Array): void {
    const frame = decodeFrame(bytes, this.#received++)
    if (!('kind' in frame)) throw new Error(`a frame that is ${frame.code} (${frame.about})`)
    this.heard.push({ ...frame, bytes: bytes.length })
    if (frame.kind === 'prove') this.#hasProved = true
    if (frame.kind === 'greet') void this.#prove(Uint8Array.from(bytes))
  }

  async #prove(greeted: Uint8Array): Promise<void> {
    const { key, certificate } = this.#speaker
    const { initiator } = this.#channel
    const greetings = [hash(this.#greeting), hash(greeted)]
    if (!initiator) greetings.reverse()
    const challenge = encode([key.publicKey, ...greetings, initiator, this.#binding])
    const signature = await key.sign(messageOf('proof', challenge, hash))
    if (certificate.network !== this.#network) throw new Error('a certificate of another network')
    this.send({ kind: 'prove', publicKey: key.publicKey, certificate: certificate.bytes, signature, root: [] })
  }
}
