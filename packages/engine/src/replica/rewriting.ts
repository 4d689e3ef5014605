/** When a repository's log is written anew: without what was erased, and without what is dropped. */
import type { PackedLogWriter } from '../log/packedlog.ts'
import type { Cleaning, Compacted } from './cleaning.ts'
import type { Journal } from './journal.ts'

export interface RewritingParts {
  /** What was made of the log is about to be of another one. */
  discard(): Promise<void>
  /** `step` is to be called when the road is free. */
  soon(): void
}

export class Rewriting {
  /** Whether the history of an item stands in the log beside what stands in its place. */
  hasRecalled = false
  readonly #cleaning: Cleaning
  readonly #of: RewritingParts
  #next: { readonly compacted: Compacted; readonly done: (isDone: boolean) => void } | undefined
  #isClosed = false

  constructor(cleaning: Cleaning, of: RewritingParts) {
    this.#cleaning = cleaning
    this.#of = of
  }

  /** Takes out what was erased. It never rejects. */
  clean(journal: Journal, packing: PackedLogWriter, compacted?: Compacted): Promise<void> {
    return this.#cleaning.run(journal, packing, () => this.#of.discard(), compacted)
  }

  /** Resolves when the log was written anew, or that was given up: with whether it was. */
  compact(compacted: Compacted): Promise<boolean> {
    return new Promise((done) => {
      if (this.#isClosed || this.#next !== undefined) return done(false)
      this.#next = { compacted, done }
      this.#of.soon()
    })
  }

  /** Does what is due, between two appends. */
  async step(journal: Journal, packing: PackedLogWriter): Promise<void> {
    if (this.#cleaning.isDue) await this.clean(journal, packing)
    const next = this.#next
    if (next === undefined) return
    this.#next = undefined
    if (!next.compacted.fits()) return next.done(false)
    await this.clean(journal, packing, next.compacted)
    this.hasRecalled &&= this.#cleaning.isPending
    next.done(!this.#cleaning.isPending)
  }

  close(): void {
    this.#isClosed = true
    this.#next?.done(false)
  }
}
