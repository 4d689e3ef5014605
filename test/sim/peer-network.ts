/**
 * Channels straight between replicas over the simulated network: an offer names a token, the answer repeats it, and both ends open where the
 * way between the two is not cut. They break, lose and reorder as every link of that network does.
 */
import type { Channel, PeerTransport } from '@weft-db/engine'
import type { Life } from './life.ts'
import type { End } from './link.ts'
import type { Network } from './network.ts'
import { type Begun, bindingOf, Rendezvous } from './rendezvous.ts'

interface Side extends Begun {
  readonly life: Life
  readonly open: Set<End>
}

/** Ms until an attempt that no packet gets through for fails. */
const patience = 3_000

export class PeerNetwork {
  readonly #network: Network
  readonly #rendezvous = new Rendezvous<Side>((...met) => this.#join(...met))
  /** Channels made so far. */
  made = 0

  constructor(network: Network) {
    this.#network = network
  }

  transport(life: Life): PeerTransport {
    const open = new Set<End>()
    const own = new Set<Side>()
    return {
      attempt: (options, listener) => {
        const begun: Side = { life, listener, options, open, isOver: false }
        own.add(begun)
        life.at(patience, `net ${life.name} gives an attempt up`, () => {
          own.delete(begun)
          if (begun.isOver) return
          begun.isOver = true
          listener.failed({ kind: 'blocked', detail: 'no packet came through' })
        })
        return this.#rendezvous.attempt(begun, (offer) => life.at(0, `net ${life.name} offers`, offer))
      },
      stop: () => {
        for (const begun of own) begun.isOver = true
        own.clear()
        for (const end of [...open]) end.close('stopped')
        return new Promise((resolve) => life.at(0, `net ${life.name} peers stopped`, resolve))
      },
    }
  }

  #join(token: string, offered: Side, answered: Side): void {
    const { world } = this.#network
    const [one, other] = [offered.life, answered.life]
    world.at(this.#network.flight(), `net ${one.name}-${other.name} joins`, () => {
      const isCut = this.#network.isCut(one.name, other.name) || this.#network.isCut(other.name, one.name)
      if (isCut || offered.isOver || answered.isOver || !one.alive || !other.alive) return
      this.made++
      const ends = this.#network.link(one, other)
      const opens = world.now + this.#network.flight()
      ends[1].opensAt(opens)
      this.#open(offered, ends[0], token, opens)
      this.#open(answered, ends[1], token, world.now)
    })
  }

  #open(begun: Side, end: End, token: string, at: number): void {
    const { life, listener } = begun
    begun.isOver = true
    begun.open.add(end)
    life.when(at, `net ${life.name} opens`, () => {
      if (!end.isOpen) return listener.failed({ kind: 'broke', detail: 'the link broke' })
      const bound = Object.assign(end, { binding: bindingOf(token) })
      end.handOver(
        (channel: Channel) => listener.opened(channel, 'direct'),
        () => begun.open.delete(end),
      )
      return void bound
    })
  }
}
