/**
 * A line between two tabs: questions and their answers, and at most one channel at a time. Closing it ends both. Browsers may drop what is sent
 * to a page that is held up; messages are numbered, and a line that lost one is closed, so that nobody waits for an answer that never comes.
 */
import { type Channel, type ChannelListener, limits, StorageError, WeftError } from '@weft-db/engine'
import type { LineMessage, Questions, Tidings, Topic } from './messages.ts'

export interface LineEvents {
  answer<T extends Topic>(topic: T, ask: Questions[T]['ask']): Promise<Questions[T]['answer']>
  tidings(tidings: Tidings): void
  /** The other end wants a channel. */
  dialled(call: number): void
  /** The other end closed it. */
  closed(): void
}

interface Numbered {
  readonly number: number
  readonly message: LineMessage
}

interface Asked {
  resolve(answer: unknown): void
  reject(error: Error): void
}

export class Line {
  readonly #port: BroadcastChannel
  readonly #events: LineEvents
  readonly #asked = new Map<number, Asked>()
  #sent = 0
  #received = 0
  #numbers = 0
  #channel: TabChannel | undefined
  #isClosed = false

  constructor(name: string, events: LineEvents) {
    this.#port = new BroadcastChannel(name)
    this.#events = events
    this.#port.onmessage = ({ data: { number, message } }: MessageEvent<Numbered>) => {
      if (number === this.#received++) return this.#hear(message)
      if (this.#isClosed) return
      this.close()
      events.closed()
    }
  }

  /** Rejects as the other end does, and with `Unreachable` when the line ends first. */
  ask<T extends Topic>(topic: T, ask: Questions[T]['ask']): Promise<Questions[T]['answer']> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(new WeftError('Unreachable', topic))
      const number = this.#numbers++
      this.#asked.set(number, { resolve: (answer) => resolve(answer as Questions[T]['answer']), reject })
      this.post({ kind: 'ask', number, topic, ask })
    })
  }

  /** A new channel, instead of the one there was. */
  open(call: number, initiator: boolean): Channel {
    this.#channel?.close('Superseded')
    const channel = new TabChannel(call, initiator, {
      post: (message) => this.post(message),
      over: () => {
        if (this.#channel === channel) this.#channel = undefined
      },
    })
    this.#channel = channel
    if (initiator) this.post({ kind: 'dial', call })
    return channel
  }

  hangUp(reason: string): void {
    this.#channel?.close(reason)
  }

  post(message: LineMessage): void {
    if (!this.#isClosed) this.#port.postMessage({ number: this.#sent++, message } satisfies Numbered)
  }

  close(): void {
    this.post({ kind: 'bye' })
    this.#end()
  }

  #end(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#port.close()
    this.#channel?.end('the other tab left')
    for (const { reject } of this.#asked.values()) reject(new WeftError('Unreachable', 'the other tab left'))
    this.#asked.clear()
  }

  #hear(message: LineMessage): void {
    if (this.#isClosed) return
    switch (message.kind) {
      case 'ask':
        return void this.#answer(message.number, message.topic, message.ask)
      case 'answer':
        this.#asked.get(message.number)?.resolve(message.answer)
        this.#asked.delete(message.number)
        return
      case 'failed':
        this.#asked.get(message.number)?.reject(new WeftError(message.code, message.about))
        this.#asked.delete(message.number)
        return
      case 'tidings':
        return this.#events.tidings(message.tidings)
      case 'dial':
        return this.#events.dialled(message.call)
      case 'bye':
        this.#end()
        return this.#events.closed()
      default:
        if (message.call === this.#channel?.call) return this.#channel.hear(message)
        // Nobody is there: whoever dialled tries again.
        if (message.kind === 'frame') this.post({ kind: 'hangup', call: message.call, reason: 'nobody is there' })
    }
  }

  async #answer<T extends Topic>(number: number, topic: T, ask: unknown): Promise<void> {
    try {
      const answer = await this.#events.answer(topic, ask as Questions[T]['ask'])
      this.post({ kind: 'answer', number, answer })
    } catch (error) {
      const known = error instanceof WeftError || error instanceof StorageError
      this.post({
        kind: 'failed',
        number,
        ...(known ? { code: error.code, about: error.about } : { code: 'Fault', about: String(error) }),
      })
    }
  }
}

type ChannelMessage = Extract<LineMessage, { kind: 'frame' | 'took' | 'hangup' }>

/** The channel of a line. What the other end has not taken yet is buffered: a frozen tab takes nothing. */
class TabChannel implements Channel {
  readonly remote = 'another tab'
  readonly isLocal = true
  readonly call: number
  readonly initiator: boolean
  readonly #wire: { post(message: LineMessage): void; over(): void }
  #listener: ChannelListener | undefined
  #buffered = 0
  #isOpen = true
  /** What came before anybody listened. */
  #early: Uint8Array[] = []

  constructor(call: number, initiator: boolean, wire: { post(message: LineMessage): void; over(): void }) {
    this.call = call
    this.initiator = initiator
    this.#wire = wire
  }

  get buffered(): number {
    return this.#isOpen ? this.#buffered : 0
  }

  listen(listener: ChannelListener): void {
    this.#listener = listener
    for (const bytes of this.#early.splice(0)) listener.message(bytes)
  }

  send(message: Uint8Array): void {
    if (message.byteLength > limits.frameBytes)
      throw new WeftError('TooLarge', `a message of ${message.byteLength} bytes`)
    if (!this.#isOpen) return
    this.#buffered += message.byteLength
    // A clone of a view takes the whole buffer behind it along.
    const bytes = message.byteLength === message.buffer.byteLength ? message : message.slice()
    this.#wire.post({ kind: 'frame', call: this.call, bytes })
  }

  close(reason: string): void {
    if (this.#isOpen) this.#wire.post({ kind: 'hangup', call: this.call, reason })
    this.end(reason)
  }

  end(reason: string): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#wire.over()
    this.#listener?.closed(reason)
  }

  hear(message: ChannelMessage): void {
    switch (message.kind) {
      case 'hangup':
        return this.end(message.reason)
      case 'took': {
        const before = this.#buffered
        this.#buffered -= message.bytes
        if (before >= limits.channelLowWater && this.#buffered < limits.channelLowWater) this.#listener?.drain()
        return
      }
      case 'frame':
        this.#wire.post({ kind: 'took', call: this.call, bytes: message.bytes.byteLength })
        if (this.#listener === undefined) this.#early.push(message.bytes)
        else this.#listener.message(message.bytes)
    }
  }
}
