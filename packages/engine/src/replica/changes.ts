/** That something changed, told once a microtask, and a number for each schema by which a query knows that its items may be others. */
import { Listeners } from './listeners.ts'
import type { Readable } from './reads.ts'

export class Changes implements Readable {
  readonly #listeners: Listeners
  readonly #versions = new Map<string, number>()
  #telling = false

  constructor(threw: (error: unknown) => void) {
    this.#listeners = new Listeners(threw)
  }

  subscribe(listener: () => void): () => void {
    return this.#listeners.add(listener)
  }

  version(schemaHash: string): number {
    return this.#versions.get(schemaHash) ?? 0
  }

  /** Items of that schema changed; of none, when it is about the repository as a whole. */
  tell(schemaHash = ''): void {
    this.#versions.set(schemaHash, this.version(schemaHash) + 1)
    if (this.#telling) return
    this.#telling = true
    // Listeners cannot throw here.
    void Promise.resolve().then(() => {
      this.#telling = false
      this.#listeners.tell()
    })
  }

  /** Everything may be another. */
  tellAll(schemaHashes: Iterable<string>): void {
    for (const hash of new Set([...schemaHashes, ...this.#versions.keys()])) this.tell(hash)
    this.tell()
  }
}
