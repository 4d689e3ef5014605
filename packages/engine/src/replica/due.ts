/** Wakes when the earliest of some moments comes. */
import type { Clock } from './clock.ts'
import type { Runtime } from './ports.ts'

/** The wall clock may be set meanwhile: it is looked at this often at least, ms. */
const longest = 3_600_000

export class Due {
  readonly #runtime: Runtime
  readonly #clock: Clock
  readonly #wake: () => void
  #at = Number.POSITIVE_INFINITY
  #cancel: (() => void) | undefined
  #stopped = false

  constructor(runtime: Runtime, clock: Clock, wake: () => void) {
    this.#runtime = runtime
    this.#clock = clock
    this.#wake = wake
  }

  /** Wakes at that time (ms of corrected time) or earlier. */
  by(at: number | undefined): void {
    if (at === undefined || at >= this.#at || this.#stopped) return
    this.#cancel?.()
    this.#at = at
    const wait = Math.max(0, Math.ceil(at - this.#clock.now())) + 1
    this.#cancel = this.#runtime.timer(Math.min(wait, longest), () => {
      this.#at = Number.POSITIVE_INFINITY
      this.#cancel = undefined
      this.#wake()
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel?.()
  }
}
