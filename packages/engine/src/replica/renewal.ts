/**
 * Renews this device's certificate in time: whoever meets the authority within the last third of a certificate's life goes on without
 * a login. The authority knows the session by the key that the channel proved and the certificate it showed, so nothing is asked of people,
 * and the session, its chains and what is edited stay as they are. A certificate that ran out needs a login again.
 */
import type { Certificate } from '../trust/certificate.ts'
import type { Runtime } from './ports.ts'

/** The longest sleep, ms: a device may be suspended, and its clock be put right. */
const longestWait = 3_600_000
/** The shortest, after asking in vain. */
const shortestWait = 1_000

/** When a certificate is renewed: ms since 1970. */
export const renewalTime = ({ issued, expires }: Certificate): number => expires - Math.floor((expires - issued) / 3)

export interface RenewalSurroundings {
  readonly runtime: Runtime
  /** The time as the authority sees it, ms since 1970. */
  now(): number
  /** The certificate in use. */
  certificate(): Certificate | undefined
  /** Asks the authority, if it is there. */
  ask(): void
  /** The certificate ran out just now. */
  expired(): void
}

export class Renewal {
  readonly #of: RenewalSurroundings
  #cancel: (() => void) | undefined
  /** The certificate that was reported as run out. */
  #told: Certificate | undefined
  #stopped = false

  constructor(of: RenewalSurroundings) {
    this.#of = of
  }

  /** To be called when the certificate or the authority came. */
  check(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const certificate = this.#of.certificate()
    if (certificate === undefined || this.#stopped) return
    const now = this.#of.now()
    const left = certificate.expires - now
    if (left <= 0) {
      if (this.#told !== certificate) this.#of.expired()
      this.#told = certificate
      return
    }
    const due = renewalTime(certificate) - now
    if (due <= 0) this.#of.ask()
    // Asked in vain, it asks again several times before the end, and is there when the end comes.
    const wait = due > 0 ? due : Math.min(left, Math.max(shortestWait, left / 4))
    this.#cancel = this.#of.runtime.timer(Math.min(Math.ceil(wait), longestWait), () => this.check())
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }
}
