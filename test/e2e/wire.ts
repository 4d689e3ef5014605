/** What a page and the acceptor outside it say to each other: [payload length u32, code u8, channel u32, payload], little-endian. */

/** From the page. */
export const orders = { send: 0, close: 1, hold: 2, release: 3 } as const
/** To the page. */
export const tidings = { accepted: 0, message: 1, drain: 2, closed: 3 } as const

export interface Opened {
  readonly pair: number
  readonly port: number
}

/** What a request of orders is answered with: `closed` are the channels that ended meanwhile, at once. */
export interface Answer {
  readonly buffered: number
  readonly refused?: { readonly weft?: 'TooLarge'; readonly about: string }
  readonly closed: readonly (readonly [channel: number, reason: string])[]
}

export interface Part {
  readonly code: number
  readonly number: number
  readonly payload: Uint8Array
}

const headBytes = 9

export const frame = (code: number, number: number, payload: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(headBytes + payload.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, payload.length, true)
  view.setUint8(4, code)
  view.setUint32(5, number, true)
  bytes.set(payload, headBytes)
  return bytes
}

/** Cuts a stream into frames. Payloads are arrays of their own. */
export class Cutter {
  #head = new Uint8Array(headBytes)
  #headAt = 0
  #payload: Uint8Array | undefined
  #payloadAt = 0

  push(piece: Uint8Array): Part[] {
    const parts: Part[] = []
    let at = 0
    const fill = (into: Uint8Array, from: number): number => {
      const taken = piece.subarray(at, at + into.length - from)
      into.set(taken, from)
      at += taken.length
      return from + taken.length
    }
    for (;;) {
      if (this.#payload === undefined) {
        this.#headAt = fill(this.#head, this.#headAt)
        if (this.#headAt < headBytes) return parts
        this.#payload = new Uint8Array(new DataView(this.#head.buffer).getUint32(0, true))
        this.#payloadAt = 0
      }
      this.#payloadAt = fill(this.#payload, this.#payloadAt)
      if (this.#payloadAt < this.#payload.length) return parts
      const view = new DataView(this.#head.buffer)
      parts.push({ code: view.getUint8(4), number: view.getUint32(5, true), payload: this.#payload })
      this.#payload = undefined
      this.#headAt = 0
    }
  }
}
