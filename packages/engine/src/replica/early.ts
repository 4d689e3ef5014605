/** What a peer says of repositories that are not open here yet: kept until they are. */
import type { Plain } from '../bytes/plain.ts'
import type { Backlog } from './backlog.ts'

/** Of one repository. */
const mostMessages = 16

export class Early {
  readonly #backlog: Backlog
  readonly #messages = new Map<string, readonly { readonly message: Plain; readonly bytes: number }[]>()

  constructor(backlog: Backlog) {
    this.#backlog = backlog
  }

  /** False when there is no room for it. */
  keep(path: string, message: Plain, bytes: number): boolean {
    const early = this.#messages.get(path) ?? []
    if (early.length >= mostMessages || !this.#backlog.queue(bytes)) return false
    this.#messages.set(path, [...early, { message, bytes }])
    return true
  }

  /** Gives the messages about a repository, and forgets them. */
  take(path: string): Plain[] {
    const early = this.#messages.get(path) ?? []
    this.#messages.delete(path)
    for (const { bytes } of early) this.#backlog.dequeue(bytes)
    return early.map(({ message }) => message)
  }
}
