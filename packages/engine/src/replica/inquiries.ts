/** What the two sides of a channel ask of each other's office: requests, each answered once, beside everything else and bounded. */
import type { Plain } from '../bytes/cbor.ts'
import { type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import type { Peer } from './peer.ts'
import { encodeRequest, type Request } from './requests.ts'
import type { Frame } from './wire.ts'

export interface InquiriesParts {
  send(frame: Frame): void
  tooFast(): Refusal | undefined
  /** Resolves with undefined when what was asked is durable. */
  request(method: string, args: Plain, peer: Peer): Promise<Refusal | undefined>
  incident(why: Refusal): void
}

/** Requests of one peer that are being judged or written. */
const atOnce = 16

export class Inquiries {
  readonly #parts: InquiriesParts
  /** What this side asked and the peer has not answered. */
  readonly #asked = new Map<number, (why: Refusal | null) => void>()
  #next = 0
  /** What the peer asked and this side has not answered. */
  #answering = 0
  #closed = false

  constructor(parts: InquiriesParts) {
    this.#parts = parts
  }

  /** Rejects with the reason, and with `Unreachable` when the channel closes first. */
  ask(request: Request): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new WeftError('Unreachable', request.method))
      const tag = this.#next++
      this.#asked.set(tag, (why) => (why === null ? resolve() : reject(WeftError.of(why))))
      this.#parts.send({ kind: 'request', tag, method: request.method, args: encodeRequest(request) })
    })
  }

  answered({ tag, why }: Extract<Frame, { kind: 'answer' }>): void {
    const asked = this.#asked.get(tag)
    this.#asked.delete(tag)
    asked?.(why)
  }

  /** What is asked is written to a log first. */
  async judge({ tag, method, args }: Extract<Frame, { kind: 'request' }>, peer: Peer): Promise<void> {
    const answer = (why: Refusal | undefined): void => this.#parts.send({ kind: 'answer', tag, why: why ?? null })
    if (this.#answering >= atOnce) return answer(refusal('TooMany', 'requests at once'))
    const tooFast = this.#parts.tooFast()
    if (tooFast !== undefined) return answer(tooFast)
    this.#answering++
    try {
      answer(await this.#parts.request(method, args, peer))
    } catch (error) {
      this.#parts.incident(refusal('Fault', `the request ${method} threw: ${String(error)}`))
      answer(refusal('Fault', method))
    } finally {
      this.#answering--
    }
  }

  close(): void {
    this.#closed = true
    for (const asked of this.#asked.values()) asked(refusal('Unreachable', 'the channel closed'))
    this.#asked.clear()
  }
}
