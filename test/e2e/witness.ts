/**
 * Who writes into the files of a browser's store, as the scripts that touch them report it before they do: an opinion that owes nothing to the
 * product's own about who leads. Reports come one at a time and in order, because whoever reports waits for the answer.
 */
import type { Report } from './page/witness.ts'

/** Somebody changed a file that another one had opened since. */
export interface Clash {
  readonly file: string
  readonly writer: string
  /** Who has the file. */
  readonly holder: string
}

export class Witness {
  /** File to who opened it last. */
  readonly #holders = new Map<string, string>()
  readonly #writers = new Set<string>()
  readonly clashes: Clash[] = []
  /** How many changes were reported. */
  changes = 0

  hear(text: string): void {
    const { writer, did, file } = JSON.parse(text) as Report
    if (did === 'open') {
      this.#holders.set(file, writer)
      return
    }
    this.changes++
    this.#writers.add(writer)
    const holder = this.#holders.get(file)
    if (holder !== undefined && holder !== writer) this.clashes.push({ file, writer, holder })
  }

  /** How many have written. */
  get writers(): number {
    return this.#writers.size
  }
}
