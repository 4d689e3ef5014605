/**
 * What a repository's log says is erased. Two things follow from an erasure, on every replica that knows it, whatever it had seen before:
 *
 * 1. The changes that it names have no content. Texts that they inserted count as deleted from its position on: whoever cites an older
 *    position saw them. What they assigned, added and put was never made; what they removed stays removed.
 * 2. Nobody can judge again what was judged on that content. Of an item that it names, a change that a checkpoint before it covers
 *    therefore counts, unless the authority lists it as one that did not. All others are judged with the content missing.
 */
import type { Statement } from './entry.ts'

export type Erasure = Extract<Statement, { kind: 'erasure' }>

/** What erasures make of a change. */
export interface Erased {
  /** Position of the entry that erased its content, undefined while it is there. */
  readonly erased: number | undefined
  /** Whether it counts, where that was settled before content of its item was erased. */
  readonly counts: boolean | undefined
}

const nameOf = (commit: string, key: string): string => `${commit}/${key}`

export class Erasures {
  /** Change to the position of the first entry that erased it. */
  readonly #erased = new Map<string, number>()
  readonly #commits = new Set<string>()
  /** Item to the positions of the entries that erased something of it, ascending. */
  readonly #settled = new Map<string, number[]>()
  /** Change to the position of the first entry that lists it as one that did not count. */
  readonly #dead = new Map<string, number>()

  /** Whether nothing was ever erased. */
  get isEmpty(): boolean {
    return this.#erased.size === 0
  }

  append(n: number, { changes, dead }: Erasure): void {
    for (const { commit, key } of changes) {
      const name = nameOf(commit, key)
      if (!this.#erased.has(name)) this.#erased.set(name, n)
      this.#commits.add(commit)
      const settled = this.#settled.get(key) ?? []
      if (settled.at(-1) !== n) this.#settled.set(key, [...settled, n])
    }
    for (const { commit, key } of dead) {
      const name = nameOf(commit, key)
      if (!this.#dead.has(name)) this.#dead.set(name, n)
    }
  }

  clear(): void {
    this.#erased.clear()
    this.#commits.clear()
    this.#settled.clear()
    this.#dead.clear()
  }

  /** Position of the entry that erased the change of that item, undefined while none did. */
  at(commit: string, key: string): number | undefined {
    return this.#erased.get(nameOf(commit, key))
  }

  /** Whether something of the commit is erased. */
  concerns(commit: string): boolean {
    return this.#commits.has(commit)
  }

  /** Whether the authority lists the change as one that did not count. */
  isDead(commit: string, key: string): boolean {
    return this.#dead.has(nameOf(commit, key))
  }

  /**
   * Whether the change counts, where that was settled before content of its item was erased. `covered`: see `AuthorityLog.coveredAt`.
   * `entries`: so many of the log are known.
   */
  verdict(commit: string, key: string, covered: number, entries: number): boolean | undefined {
    const settled = this.#settled.get(key)?.findLast((n) => n < entries)
    if (settled === undefined || covered >= settled) return undefined
    return (this.#dead.get(nameOf(commit, key)) ?? entries) >= entries
  }
}
