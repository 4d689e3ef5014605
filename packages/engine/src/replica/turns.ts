/**
 * Whose turn it is to bring what is being taken back. Each client has all of it, and would send all of it to a replica that has nothing: what
 * comes twice is packed, sent, unpacked and hashed twice. So one is answered at a time, and the next one when both are level, when it has
 * gone, or when it brings nothing. Nobody holds the others up for long: who stalls has a short turn and who drips a longer one, and
 * after a few such turns everybody is answered at once.
 */
import type { Runtime } from './ports.ts'

/** A repository that is being taken back. */
export interface Taken {
  readonly path: string
  readonly pipeline: { readonly commits: { readonly size: number }; readonly log: { readonly next: number } }
}

/** Somebody who may bring it. */
export interface Bringer {
  /** What the peer asks for. */
  readonly paths: ReadonlyMap<string, Taken>
  reconciler(path: string): { readonly isLevel: boolean } | undefined
}

/** Between two looks at who has the turn, ms. */
const glance = 50
/** Without anything new, and in all, a turn ends after so long, ms. */
const patience = 2_000
const longest = 30_000
/** Turns that end so, until nobody waits any more. */
const mostInVain = 3

interface Turn {
  readonly bringer: Bringer
  readonly since: number
  /** How much was here when something came last, and when. */
  held: number
  movedAt: number
}

export class Turns {
  readonly #runtime: Pick<Runtime, 'elapsed' | 'timer'>
  readonly #repository: Taken
  readonly #waiting = new Map<Bringer, () => void>()
  #turn: Turn | undefined
  #inVain = 0
  #cancel: (() => void) | undefined

  constructor(runtime: Pick<Runtime, 'elapsed' | 'timer'>, repository: Taken) {
    this.#runtime = runtime
    this.#repository = repository
  }

  /** Resolves when it may bring what it has. */
  async next(bringer: Bringer): Promise<void> {
    if (this.#inVain >= mostInVain || this.#turn?.bringer === bringer) return
    if (this.#turn === undefined) return this.#give(bringer)
    // Named anew while it waits.
    this.#waiting.get(bringer)?.()
    await new Promise<void>((resolve) => this.#waiting.set(bringer, resolve))
  }

  /** Nobody waits any more. */
  end(): void {
    this.#cancel?.()
    this.#cancel = undefined
    this.#turn = undefined
    const waiting = [...this.#waiting.values()]
    this.#waiting.clear()
    for (const go of waiting) go()
  }

  get #held(): number {
    const { commits, log } = this.#repository.pipeline
    return commits.size + log.next
  }

  #give(bringer: Bringer): void {
    const now = this.#runtime.elapsed()
    this.#turn = { bringer, since: now, held: this.#held, movedAt: now }
    this.#look()
  }

  #look(): void {
    this.#cancel = this.#runtime.timer(glance, () => {
      const turn = this.#turn
      if (turn === undefined) return
      const now = this.#runtime.elapsed()
      if (turn.held !== this.#held) Object.assign(turn, { held: this.#held, movedAt: now })
      const isThrough = !this.#isThere(turn.bringer) || this.#isLevel(turn.bringer)
      const isInVain = now - turn.movedAt >= patience || now - turn.since >= longest
      if (!isThrough && !isInVain) return this.#look()
      if (!isThrough) this.#inVain++
      this.#pass()
    })
  }

  #isThere({ paths }: Bringer): boolean {
    return paths.get(this.#repository.path) === this.#repository
  }

  #isLevel(bringer: Bringer): boolean {
    return bringer.reconciler(this.#repository.path)?.isLevel === true
  }

  #pass(): void {
    if (this.#inVain >= mostInVain) return this.end()
    this.#turn = undefined
    for (const [bringer, go] of this.#waiting) {
      this.#waiting.delete(bringer)
      go()
      if (this.#isThere(bringer)) return this.#give(bringer)
    }
  }
}
