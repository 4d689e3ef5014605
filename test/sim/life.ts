/**
 * One process of a node, from start to kill. What it scheduled dies with it: no timer fires and no disk call or message of it comes back
 * afterwards, which is what a kill looks like from inside. A frozen life (a tab in the background, a stopped process) loses nothing
 * and gets everything late, in order.
 */
import { Gate } from './gate.ts'
import type { World } from './world.ts'

export class Life {
  readonly world: World
  readonly name: string
  readonly #gate: Gate
  readonly #ending = new Set<() => void>()
  #alive = true
  #frozen = false

  constructor(world: World, name: string) {
    this.world = world
    this.name = name
    this.#gate = new Gate(
      () => this.#frozen && this.#alive,
      (run) => world.at(0, `${name} thawed`, run),
    )
  }

  get alive(): boolean {
    return this.#alive
  }

  /** Frozen, or not yet through with what came while it was. */
  get frozen(): boolean {
    return this.#frozen || this.#gate.waiting
  }

  at(delay: number, label: string, run: () => void): () => void {
    return this.when(this.world.now + Math.max(0, delay), label, run)
  }

  /** As `World.when`, while this life lasts. */
  when(time: number, label: string, run: () => void): () => void {
    let wanted = true
    const cancel = this.world.when(time, label, () => {
      this.pass(() => {
        if (wanted) run()
      })
    })
    return () => {
      wanted = false
      cancel()
    }
  }

  /** Does now what reaches this process from outside, or at the thaw if it is frozen, or never if it has ended. */
  pass(run: () => void): void {
    this.#gate.pass(() => {
      if (this.#alive) run()
    })
  }

  /** Calls `run` at the end of this life, unless the returned function was called before. */
  onEnd(run: () => void): () => void {
    this.#ending.add(run)
    return () => this.#ending.delete(run)
  }

  freeze(): void {
    this.#frozen = true
  }

  thaw(): void {
    this.#frozen = false
    this.#gate.release()
  }

  /** The kill. */
  end(): void {
    if (!this.#alive) return
    this.#alive = false
    for (const run of [...this.#ending]) run()
    this.#ending.clear()
  }
}
