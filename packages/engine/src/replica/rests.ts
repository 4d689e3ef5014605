/** Pauses between the pieces of long work, in which others have their turn. */
import type { Runtime } from './ports.ts'

export class Rests {
  readonly #runtime: Pick<Runtime, 'timer'>
  #goOn: (() => void) | undefined
  #isOver = false

  constructor(runtime: Pick<Runtime, 'timer'>) {
    this.#runtime = runtime
  }

  /** Whether nobody is to wait any more. */
  get isOver(): boolean {
    return this.#isOver
  }

  /** One at a time. */
  readonly rest = (): Promise<void> =>
    new Promise((resolve) => {
      if (this.#isOver) return resolve()
      const cancel = this.#runtime.timer(0, resolve)
      this.#goOn = () => {
        cancel()
        resolve()
      }
    })

  /** Somebody waits for the end: the work goes on at once, and without pauses. (A timer alone does not keep a process alive.) */
  end(): void {
    this.#isOver = true
    this.#goOn?.()
  }
}
