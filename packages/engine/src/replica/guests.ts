/**
 * The repositories that are open because peers asked for them, and not because the app holds them. The authority opens whatever a peer
 * may read, so it has to let go as well: of one that nobody ever wrote to at once, of the others when more than a few are open that nobody
 * asks for any more, the one left for longest first.
 */
import type { Repository } from './repository.ts'

/** Repositories kept open that nobody asks for. */
export const mostIdle = 256

export class Guests {
  readonly #most: number
  readonly #letGo: (repository: Repository) => void
  readonly #peers = new Map<Repository, number>()
  /** In the order in which the last peer left. */
  readonly #idle = new Set<Repository>()
  /** Those of the app stay. */
  readonly #kept = new WeakSet<Repository>()

  constructor(letGo: (repository: Repository) => void, most = mostIdle) {
    this.#letGo = letGo
    this.#most = most
  }

  get idle(): number {
    return this.#idle.size
  }

  keep(repository: Repository): void {
    this.#kept.add(repository)
    this.#idle.delete(repository)
  }

  came(repository: Repository): void {
    this.#idle.delete(repository)
    this.#peers.set(repository, (this.#peers.get(repository) ?? 0) + 1)
  }

  left(repository: Repository): void {
    const peers = (this.#peers.get(repository) ?? 0) - 1
    if (peers > 0) {
      this.#peers.set(repository, peers)
      return
    }
    this.#peers.delete(repository)
    if (this.#kept.has(repository)) return
    if (repository.pipeline.isBlank) return this.#letGo(repository)
    this.#idle.add(repository)
    const [oldest] = this.#idle
    if (this.#idle.size <= this.#most || oldest === undefined) return
    this.#idle.delete(oldest)
    this.#letGo(oldest)
  }
}
