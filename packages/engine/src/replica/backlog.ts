/** Bytes that came by one channel and wait to be handled, verified or stored. */
import { limits } from '../bytes/limits.ts'
import type { Quota } from './quota.ts'

export class Backlog {
  readonly #quota: Quota | undefined
  readonly #address: string | undefined
  readonly #isStranger: () => boolean
  #bytes = 0
  #closed = false

  constructor(quota: Quota | undefined, address: string | undefined, isStranger: () => boolean) {
    this.#quota = quota
    this.#address = address
    this.#isStranger = isStranger
  }

  /** Takes room for bytes that wait; false when there is none. */
  queue(bytes: number): boolean {
    if (this.#bytes + bytes > (this.#isStranger() ? limits.strangerQueue : limits.channelQueue)) return false
    if (this.#quota?.holds(this.#address, bytes) === false) return false
    this.#bytes += bytes
    return true
  }

  dequeue(bytes: number): void {
    // What waited on a closed channel was let go with it.
    if (this.#closed) return
    this.#bytes -= bytes
    this.#quota?.releases(this.#address, bytes)
  }

  /** Lets go of all of it. */
  close(): void {
    this.#closed = true
    this.#quota?.releases(this.#address, this.#bytes)
  }
}
