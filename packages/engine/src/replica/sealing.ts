/**
 * Signs the commits this replica makes, in the order in which it made them: a chain has no gaps, so one that cannot be signed holds back
 * those after it until it can. All of them are signed side by side.
 */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { type Commit, sealCommit, signedBytes, type UnsignedCommit } from '../commit/commit.ts'
import type { Runtime, SigningKey } from './ports.ts'

export interface SealingEvents {
  sealed(commit: Commit): void
  /** Signing failed and is tried again, or works again. */
  problem(why: Refusal | undefined): void
}

interface Unsealed {
  readonly unsigned: UnsignedCommit
  readonly key: SigningKey
  signature: Promise<Uint8Array>
}

const firstRetry = 500
const lastRetry = 30_000

export class Sealing {
  readonly #runtime: Runtime
  readonly #events: SealingEvents
  readonly #waiting: Unsealed[] = []
  #running: Promise<void> | undefined
  #cancelRetry: (() => void) | undefined
  #retry = firstRetry
  #closed = false

  constructor(runtime: Runtime, events: SealingEvents) {
    this.#runtime = runtime
    this.#events = events
  }

  add(unsigned: UnsignedCommit, key: SigningKey): void {
    this.#waiting.push({ unsigned, key, signature: sign(unsigned, key) })
    this.#start()
  }

  /** Resolves when everything is sealed, or cannot be at the moment. Nothing is tried again afterwards. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRetry?.()
    while (this.#running !== undefined) await this.#running
  }

  #start(): void {
    if (this.#running !== undefined || this.#cancelRetry !== undefined) return
    this.#running = this.#run().then((seals) => {
      this.#running = undefined
      // What was added after the last look.
      if (seals && this.#waiting.length > 0) this.#start()
    })
  }

  /** Whether signing works. */
  async #run(): Promise<boolean> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      let signature: Uint8Array
      try {
        signature = await next.signature
      } catch (error) {
        this.#failed(error)
        return false
      }
      this.#waiting.shift()
      if (this.#retry !== firstRetry) this.#events.problem(undefined)
      this.#retry = firstRetry
      this.#events.sealed(sealCommit(next.unsigned, signature))
    }
    return true
  }

  #failed(error: unknown): void {
    this.#events.problem(refusal('SigningFailed', String(error)))
    if (this.#closed) return
    this.#cancelRetry = this.#runtime.timer(this.#retry, () => {
      this.#cancelRetry = undefined
      for (const one of this.#waiting) one.signature = sign(one.unsigned, one.key)
      this.#start()
    })
    this.#retry = Math.min(this.#retry * 2, lastRetry)
  }
}

const sign = (unsigned: UnsignedCommit, key: SigningKey): Promise<Uint8Array> => {
  const signature = (async () => key.sign(signedBytes(unsigned.id)))()
  // Awaited in its turn; until then a failure is nobody's.
  signature.catch(() => undefined)
  return signature
}
