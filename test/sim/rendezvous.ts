/** How two simulated attempts find each other: an offer names a token, the answer repeats it, and what joins them is told. */
import { type Attempt, type AttemptListener, type AttemptOptions, type Refusal, refusal } from '@weft-db/engine'

export interface Begun {
  readonly listener: AttemptListener
  readonly options: AttemptOptions
  isOver: boolean
}

export class Rendezvous<Side extends Begun> {
  readonly #join: (token: string, offered: Side, answered: Side) => void
  readonly #offers = new Map<string, Side>()
  readonly #answers = new Map<string, Side>()
  #tokens = 0

  constructor(join: (token: string, offered: Side, answered: Side) => void) {
    this.#join = join
  }

  /** `soon` runs what it is given after the caller is done. */
  attempt(begun: Side, soon: (offer: () => void) => void): Attempt {
    if (begun.options.initiator) {
      const token = `${++this.#tokens}`
      this.#offers.set(token, begun)
      soon(() => {
        if (!begun.isOver) begun.listener.signal(encode(`offer ${token}`))
      })
    }
    return {
      signal: (bytes) => this.#heard(begun, new TextDecoder().decode(bytes)),
      end: () => {
        begun.isOver = true
      },
    }
  }

  #heard(begun: Side, text: string): Refusal | undefined {
    const [kind, token = ''] = text.split(' ')
    const offered = this.#offers.get(token)
    if (kind !== (begun.options.initiator ? 'answer' : 'offer') || offered === undefined)
      return refusal('Malformed', 'signal')
    if (kind === 'offer') {
      this.#answers.set(token, begun)
      begun.listener.signal(encode(`answer ${token}`))
      return undefined
    }
    const answered = this.#answers.get(token)
    if (answered !== undefined && offered === begun) this.#join(token, offered, answered)
    return undefined
  }
}

/** What both ends of a channel hold in common: names the pair, as the fingerprints of DTLS do. */
export const bindingOf = (token: string): Uint8Array => encode(token.padEnd(64, '.'))

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
