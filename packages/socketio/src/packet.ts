/**
 * The part of the Socket.IO protocol (revision 5) that a channel uses, as a parser for both sides. Four packets exist:
 *
 *     0  or  0{...}                                  client: join the only namespace, once; the braces' content is not used
 *     0{"sid":"..."}                                 server: joined
 *     1                                              either: leaving
 *     51-["frame",{"_placeholder":true,"num":0}]     either: one binary part follows, the message
 *
 * Any standard Socket.IO client that emits `frame` with one binary argument speaks exactly this. Everything else (other events and
 * namespaces, acknowledgements, nested or several arguments) is an error here, before it is parsed: the standard parser would build
 * and answer it, and what a stranger makes a server answer piles up when the stranger does not read.
 */
import { limits } from '@weft-db/engine'

export const frameEvent = 'frame'

/** The text that announces a message. */
export const frameHeader = `51-["${frameEvent}",{"_placeholder":true,"num":0}]`
const longestJoin = 1024
const types = { connect: 0, disconnect: 1, event: 2 } as const

/** What passes between Socket.IO and a parser. */
export interface Packet {
  readonly type: number
  readonly nsp: string
  readonly data?: unknown
}

export class Encoder {
  encode(packet: Packet): (string | Uint8Array)[] {
    if (packet.type === types.connect) return [packet.data === undefined ? '0' : `0${JSON.stringify(packet.data)}`]
    if (packet.type === types.disconnect) return ['1']
    const [name, message] = packet.type === types.event && Array.isArray(packet.data) ? packet.data : []
    if (name !== frameEvent || !(message instanceof Uint8Array))
      throw new Error(`A packet of type ${packet.type} is never sent.`)
    return [frameHeader, message]
  }
}

type Decoded = (packet: Packet) => void

export class Decoder {
  readonly #listeners = new Set<Decoded>()
  #joined = false
  #awaitsBinary = false

  /** Takes one engine.io message: text, a Buffer in Node, an ArrayBuffer in a browser. Throws for everything the grammar lacks. */
  add(part: unknown): void {
    if (typeof part === 'string') this.#text(part)
    else this.#binary(part)
  }

  destroy(): void {
    this.#awaitsBinary = false
  }

  on(_event: 'decoded', listener: Decoded): void {
    this.#listeners.add(listener)
  }

  off(_event: 'decoded', listener: Decoded): void {
    this.#listeners.delete(listener)
  }

  removeListener(event: 'decoded', listener: Decoded): void {
    this.off(event, listener)
  }

  #text(text: string): void {
    if (this.#awaitsBinary) throw new Error('text where a binary part was announced')
    if (text === frameHeader) this.#awaitsBinary = true
    else if (text === '1') this.#emit({ type: types.disconnect, nsp: '/' })
    else if (text === '0' && !this.#joined) this.#join({ type: types.connect, nsp: '/' })
    else if (text.startsWith('0{') && text.length <= longestJoin && !this.#joined) {
      this.#join({ type: types.connect, nsp: '/', data: { sid: sidOf(text.slice(1)) } })
    } else throw new Error('a packet that is not part of the protocol')
  }

  #join(packet: Packet): void {
    this.#joined = true
    this.#emit(packet)
  }

  #binary(part: unknown): void {
    if (!this.#awaitsBinary) throw new Error('a binary part that was not announced')
    this.#awaitsBinary = false
    const message = viewOf(part)
    if (message.byteLength > limits.frameBytes)
      throw new Error(`a message of ${message.byteLength} bytes, over the limit`)
    this.#emit({ type: types.event, nsp: '/', data: [frameEvent, message] })
  }

  #emit(packet: Packet): void {
    for (const listener of this.#listeners) listener(packet)
  }
}

const sidOf = (json: string): string => {
  const joined: unknown = JSON.parse(json)
  return typeof joined === 'object' && joined !== null && 'sid' in joined && typeof joined.sid === 'string'
    ? joined.sid
    : ''
}

/** A plain Uint8Array over the same memory. */
const viewOf = (part: unknown): Uint8Array => {
  if (part instanceof ArrayBuffer) return new Uint8Array(part)
  if (ArrayBuffer.isView(part)) return new Uint8Array(part.buffer, part.byteOffset, part.byteLength)
  throw new Error('a part that is neither text nor binary')
}

/** The `parser` option of Socket.IO, on both sides. */
export const parser = { Encoder, Decoder }
