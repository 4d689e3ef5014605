/** One end of a link: the `Channel` its owner sees, and the line on which its messages travel to the other end. */
import { type Channel, type ChannelListener, limits, WeftError } from '@weft-db/engine'
import { Gate } from './gate.ts'
import type { Life } from './life.ts'
import type { Wiring } from './wiring.ts'

export class End implements Channel {
  readonly remote: string
  readonly initiator: boolean
  readonly #network: Wiring
  readonly #life: Life
  readonly #to: string
  /** Hold what has not left, and what has, while the way is blocked. */
  readonly #exit: Gate
  readonly #entry: Gate
  readonly #forgetLife: () => void
  #peer: End | undefined
  #listener: ChannelListener | undefined
  /** Told once after the hand-over, when this end has closed or its life is over. */
  #onGone: (() => void) | undefined
  #open = true
  #broken = false
  #buffered = 0
  /** When the other end opens. */
  #opens = 0
  /** When the line is free to take the next message, and when the last one in order arrives. */
  #freeAt = 0
  #arrivesAt = 0

  constructor(network: Wiring, life: Life, to: string, remote: string, initiator: boolean) {
    this.#network = network
    this.#life = life
    this.#to = to
    this.remote = remote
    this.initiator = initiator
    const gate = (): Gate =>
      new Gate(
        () => network.isBlocked(life.name, to),
        (run) => network.world.at(0, `net ${life.name}>${to} released`, run),
      )
    this.#exit = gate()
    this.#entry = gate()
    this.#forgetLife = life.onEnd(() => this.#die())
  }

  get buffered(): number {
    return this.#open ? this.#buffered : 0
  }

  get isOpen(): boolean {
    return this.#open
  }

  join(peer: End): void {
    this.#peer = peer
  }

  /** Whether messages between these two travel on this link, in either direction. */
  joins(one: string, other: string): boolean {
    const from = this.#life.name
    return (from === one && this.#to === other) || (from === other && this.#to === one)
  }

  /** Gives this end to its owner. An end that closed before is not handed over. */
  handOver(onChannel: (channel: Channel) => void, onGone: () => void): void {
    this.#onGone = onGone
    onChannel(this)
  }

  listen(listener: ChannelListener): void {
    if (this.#listener !== undefined) throw new Error('a channel has one listener')
    this.#listener = listener
  }

  send(message: Uint8Array): void {
    if (message.length > limits.frameBytes) throw new WeftError('TooLarge', `a message of ${message.length} bytes`)
    if (!this.#open) return
    this.#network.count(this.#life.name, this.#to, message.length)
    for (const bytes of this.#network.wire(this.#life.name, this.#to, new Uint8Array(message), this)) this.#queue(bytes)
  }

  /** Messages sent before still arrive; then the other end closes too. */
  close(reason: string): void {
    if (!this.#open) return
    this.#finish()
    this.#exit.pass(() => this.#farewell('closed by the peer'))
    this.#tell(reason)
  }

  /** Nothing sent from here arrives before this time. */
  opensAt(time: number): void {
    this.#opens = time
    this.#arrivesAt = time
  }

  /** The way to the peer is free again. */
  release(): void {
    this.#entry.release()
    this.#exit.release()
  }

  /** The way is cut: gives up some time, unless it is healed by then. */
  doubt(): void {
    const wait = this.#network.stream.exponential(this.#network.faults.patience)
    this.#life.at(wait, `net ${this.#life.name}>${this.#to} times out`, () => {
      const cut = this.#network.isCut(this.#life.name, this.#to) || this.#network.isCut(this.#to, this.#life.name)
      if (cut) this.close('timed out')
    })
  }

  /** The link breaks: what is on its way in both directions is lost, and each end hears of it in its own time. */
  break(): void {
    for (const end of [this, this.#peer]) {
      if (end === undefined || end.#broken) continue
      end.#broken = true
      end.#life.at(this.#network.flight(), `net ${end.#life.name}>${end.#to} broken`, () => end.#closed('broken'))
    }
  }

  #queue(bytes: Uint8Array): void {
    this.#buffered += bytes.length
    this.#exit.pass(() => this.#leave(bytes))
  }

  /** Takes its turn on the line. */
  #leave(bytes: Uint8Array): void {
    const { bandwidth } = this.#network.faults
    const { world } = this.#network
    const go = (): void => {
      if (!this.#life.alive) return
      this.#depart(bytes)
      this.#sent(bytes.length)
    }
    if (bandwidth === null && this.#freeAt <= world.now) {
      go()
      return
    }
    this.#freeAt = Math.max(this.#freeAt, world.now) + (bandwidth === null ? 0 : bytes.length / bandwidth)
    world.when(this.#freeAt, `net ${this.#life.name}>${this.#to} leaves ${bytes.length}`, go)
  }

  #sent(bytes: number): void {
    const before = this.#buffered
    this.#buffered -= bytes
    if (before < limits.channelLowWater || this.#buffered >= limits.channelLowWater) return
    this.#life.at(0, `net ${this.#life.name}>${this.#to} drains`, () => {
      if (this.#open && this.#buffered < limits.channelLowWater) this.#listener?.drain()
    })
  }

  /** All draws are made whatever comes of them, so that turning off one fault leaves the others where they were. */
  #depart(bytes: Uint8Array): void {
    const { stream, faults, world } = this.#network
    const breaks = stream.chance(faults.break)
    const drops = stream.chance(faults.drop)
    const repeats = stream.chance(faults.duplicate)
    const overtaken = stream.chance(faults.reorder)
    const cut = stream.chance(faults.truncate)
    const share = stream.unit()
    const late = stream.exponential(10 * (faults.least + faults.delay))
    const arrival = world.now + this.#network.flight()
    if (breaks) this.break()
    if (breaks || drops) return
    const whole = cut ? bytes.slice(0, Math.floor(bytes.length * share)) : bytes
    if (overtaken) {
      this.#travel(whole, Math.max(this.#opens, arrival + late))
      return
    }
    this.#inOrder(arrival, (time) => this.#travel(whole, time))
    if (repeats) this.#travel(whole.slice(), Math.max(arrival, this.#arrivesAt) + late)
  }

  #inOrder(arrival: number, travel: (time: number) => void): void {
    this.#arrivesAt = Math.max(this.#arrivesAt, arrival)
    travel(this.#arrivesAt)
  }

  #travel(bytes: Uint8Array, time: number): void {
    const label = `net ${this.#life.name}>${this.#to} ${bytes.length}`
    this.#network.world.when(time, label, () => this.#entry.pass(() => this.#peer?.receive(bytes)))
  }

  /** A message has come to this end; a frozen process gets it when it thaws. */
  receive(bytes: Uint8Array): void {
    this.#life.pass(() => {
      if (!this.#open || this.#broken) return
      if (this.#listener === undefined) throw new Error(`nobody listens to the channel with ${this.remote}`)
      this.#listener.message(bytes)
    })
  }

  /** The other side has closed. */
  hangUp(reason: string): void {
    this.#life.pass(() => this.#closed(reason))
  }

  /** Tells the other end, behind everything that is on its way. */
  #farewell(reason: string): void {
    const { world } = this.#network
    const leave = (): void => {
      this.#inOrder(world.now + this.#network.flight(), (time) => {
        world.when(time, `net ${this.#life.name}>${this.#to} end`, () => {
          this.#entry.pass(() => {
            this.#network.forget(this)
            this.#peer?.hangUp(reason)
          })
        })
      })
    }
    if (this.#freeAt <= world.now) leave()
    else world.when(this.#freeAt, `net ${this.#life.name}>${this.#to} leaves`, leave)
  }

  /** Closed by the other side or by the network. */
  #closed(reason: string): void {
    if (!this.#open) return
    this.#finish()
    this.#network.forget(this)
    this.#tell(reason)
  }

  #tell(reason: string): void {
    if (this.#onGone === undefined) return
    if (this.#listener === undefined) throw new Error(`nobody listens to the channel with ${this.remote}`)
    this.#listener.closed(reason)
    this.#onGone()
  }

  #finish(): void {
    this.#open = false
    this.#forgetLife()
  }

  #die(): void {
    if (!this.#open) return
    this.#open = false
    this.#buffered = 0
    const { stream, faults } = this.#network
    if (stream.chance(faults.silentDeath)) this.#network.forget(this)
    else {
      this.#freeAt = 0
      this.#farewell('reset by the peer')
    }
    this.#onGone?.()
  }
}
