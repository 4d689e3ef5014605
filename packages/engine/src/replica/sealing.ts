/**
 * Signs the commits this replica makes, in the order in which it made them: a chain has no gaps, so one that cannot be signed holds back
 * those after it until it can. What was made in one go is one run, under the signature of its last.
 */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { type Commit, sealCommit, signedBytes, sizeOf, type UnsignedCommit } from '../commit/commit.ts'
import { fitsRun, type Run } from '../commit/run.ts'
import type { Runtime, SigningKey } from './ports.ts'

export interface SealingEvents {
  sealed(run: Run): void
  /** Signing failed and is tried again, or works again. */
  problem(why: Refusal | undefined): void
}

interface Unsealed {
  readonly unsigned: UnsignedCommit
  readonly key: SigningKey
}

const firstRetry = 500
const lastRetry = 30_000
const noSignature = new Uint8Array(0)
/** A record is so much longer than what `sizeOf` says: the signature, and heads of what it is made of. */
const envelopeOf = ({ parts }: UnsignedCommit): number => 80 + 16 * parts.length

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
    this.#waiting.push({ unsigned, key })
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
    // Calls made in one go are one run.
    await undefined
    for (let next = this.#next(); next.length > 0; next = this.#next()) {
      const last = next.at(-1)
      if (last === undefined) return true
      let signature: Uint8Array
      try {
        signature = await last.key.sign(signedBytes(last.unsigned.id))
      } catch (error) {
        this.#failed(error)
        return false
      }
      this.#waiting.splice(0, next.length)
      if (this.#retry !== firstRetry) this.#events.problem(undefined)
      this.#retry = firstRetry
      this.#events.sealed(next.map((one): Commit => sealCommit(one.unsigned, one === last ? signature : noSignature)))
    }
    return true
  }

  /** The run at the beginning of what waits. */
  #next(): readonly Unsealed[] {
    const run: Unsealed[] = []
    let bytes = 0
    for (const one of this.#waiting) {
      const before = run.at(-1)
      bytes += sizeOf(one.unsigned) + envelopeOf(one.unsigned)
      const goesOn = before === undefined || (one.unsigned.fields.prev === before.unsigned.id && one.key === before.key)
      if (!goesOn || !fitsRun(run.length + 1, bytes)) break
      run.push(one)
    }
    return run
  }

  #failed(error: unknown): void {
    this.#events.problem(refusal('SigningFailed', String(error)))
    if (this.#closed) return
    this.#cancelRetry = this.#runtime.timer(this.#retry, () => {
      this.#cancelRetry = undefined
      this.#start()
    })
    this.#retry = Math.min(this.#retry * 2, lastRetry)
  }
}
