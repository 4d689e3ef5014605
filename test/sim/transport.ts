/** The two `Transport` ports of the simulated network. */
import type { Channel, Transport } from '@weft-db/engine'
import type { Life } from './life.ts'
import type { End } from './link.ts'
import type { Wiring } from './wiring.ts'

/** Backoff of a dialler, ms: the first wait, doubled after each failure in a row up to the longest, each drawn from its upper half. */
export interface DialOptions {
  readonly first: number
  readonly longest: number
}

const usualDial: DialOptions = { first: 500, longest: 10_000 }

/** What both sides do with their channels: hand them over, and close them at the end. */
class Channels {
  readonly #life: Life
  readonly #open = new Set<End>()

  constructor(life: Life) {
    this.#life = life
  }

  add(end: End, onChannel: (channel: Channel) => void, onGone: () => void): void {
    this.#open.add(end)
    end.handOver(onChannel, () => {
      this.#open.delete(end)
      onGone()
    })
  }

  /** Resolves when every channel has told its listener. */
  close(): Promise<void> {
    for (const end of [...this.#open]) end.close('stopped')
    return new Promise((resolve) => this.#life.at(0, `net ${this.#life.name} stopped`, resolve))
  }
}

/** What the two transports ask of the network. */
interface Exchange extends Wiring {
  accepting(name: string): Acceptor | undefined
  register(name: string, acceptor: Acceptor): void
  unregister(name: string, acceptor: Acceptor): void
  /** The two ends of a new link: the dialler's first. */
  link(dialing: Life, accepting: Life): [End, End]
}

export class Acceptor implements Transport {
  readonly life: Life
  readonly #network: Exchange
  readonly #channels: Channels
  #onChannel: ((channel: Channel) => void) | undefined

  constructor(network: Exchange, life: Life) {
    this.#network = network
    this.life = life
    this.#channels = new Channels(life)
  }

  start(onChannel: (channel: Channel) => void): void {
    this.#onChannel = onChannel
    this.#network.register(this.life.name, this)
    this.life.onEnd(() => this.#network.unregister(this.life.name, this))
  }

  /** A dial has come in. */
  accept(end: End): void {
    if (this.#onChannel !== undefined) this.#channels.add(end, this.#onChannel, () => undefined)
  }

  stop(): Promise<void> {
    this.#network.unregister(this.life.name, this)
    return this.#channels.close()
  }
}

export class Dialer implements Transport {
  readonly #network: Exchange
  readonly #life: Life
  readonly #to: string
  readonly #options: DialOptions
  readonly #channels: Channels
  #stopped = false
  #failures = 0

  constructor(network: Exchange, life: Life, to: string, options: DialOptions = usualDial) {
    this.#network = network
    this.#life = life
    this.#to = to
    this.#options = options
    this.#channels = new Channels(life)
  }

  start(onChannel: (channel: Channel) => void): void {
    this.#dial(onChannel)
  }

  stop(): Promise<void> {
    this.#stopped = true
    return this.#channels.close()
  }

  #dial(onChannel: (channel: Channel) => void): void {
    const { world, stream, faults } = this.#network
    const from = this.#life.name
    const refused = stream.chance(faults.refuse)
    world.at(this.#network.flight(), `net ${from}>${this.#to} dial`, () => {
      if (this.#stopped || !this.#life.alive) return
      const acceptor = this.#network.accepting(this.#to)
      const cut = this.#network.isCut(from, this.#to) || this.#network.isCut(this.#to, from)
      if (acceptor === undefined || acceptor.life.frozen || refused || cut) this.#again(onChannel)
      else this.#connect(acceptor, onChannel)
    })
  }

  /** The acceptor has its end at once, this side when the answer is back; what the acceptor sends meanwhile comes behind it. */
  #connect(acceptor: Acceptor, onChannel: (channel: Channel) => void): void {
    const [dialled, accepted] = this.#network.link(this.#life, acceptor.life)
    const answer = this.#network.world.now + this.#network.flight()
    accepted.opensAt(answer)
    this.#life.when(answer, `net ${this.#life.name}>${this.#to} open`, () => {
      if (this.#stopped) dialled.close('stopped')
      else if (!dialled.isOpen) this.#again(onChannel)
      else {
        this.#failures = 0
        this.#channels.add(dialled, onChannel, () => this.#again(onChannel))
      }
    })
    acceptor.accept(accepted)
  }

  #again(onChannel: (channel: Channel) => void): void {
    if (this.#stopped || !this.#life.alive) return
    const { first, longest } = this.#options
    const wait = Math.min(longest, first * 2 ** this.#failures++) * (0.5 + this.#network.stream.unit() / 2)
    this.#life.at(wait, `net ${this.#life.name}>${this.#to} redial`, () => {
      if (!this.#stopped) this.#dial(onChannel)
    })
  }
}
