/**
 * A gate holds back what must not happen now and lets it happen later, in the order in which it came: the events of a frozen process, the
 * messages of a cut line. What arrives while others still wait goes behind them even if the gate is open again.
 */
export class Gate {
  readonly #shut: () => boolean
  readonly #later: (run: () => void) => void
  readonly #waiting: (() => void)[] = []
  #releasing = false

  /** `later` schedules an event: one for each that waits, so that they stay events of their own. */
  constructor(shut: () => boolean, later: (run: () => void) => void) {
    this.#shut = shut
    this.#later = later
  }

  get waiting(): boolean {
    return this.#waiting.length > 0
  }

  pass(run: () => void): void {
    if (this.#waiting.length > 0 || this.#shut()) this.#waiting.push(run)
    else run()
  }

  /** To be called when the gate has opened. */
  release(): void {
    if (this.#releasing || this.#waiting.length === 0 || this.#shut()) return
    this.#releasing = true
    this.#later(() => {
      this.#releasing = false
      if (this.#shut()) return
      const next = this.#waiting.shift()
      this.release()
      next?.()
    })
  }
}
