/**
 * One log of the authority, as a replica holds it: linear, gapless, each entry naming the hash of the one before. Checkpoints say which
 * commits are covered; what a checkpoint covers is receipted.
 */
import { concatBytes, fromHex, toHex } from '../bytes/bytes.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Hash, Position } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'
import type { Entry } from './entry.ts'

const headBytes = (head: Head): Uint8Array => {
  const seq = new Uint8Array(4)
  new DataView(seq.buffer).setUint32(0, head.seq)
  return concatBytes(fromHex(head.chain), seq, fromHex(head.id))
}

/** SHA-256 over the heads, sorted by chain and id: chain (40 bytes), seq (4, big endian), id (32) each. */
export const headsRoot = (heads: Iterable<Head>, hash: Hash): string => {
  const sorted = [...heads].sort((a, b) =>
    a.chain < b.chain ? -1 : a.chain > b.chain ? 1 : a.id < b.id ? -1 : a.id > b.id ? 1 : 0,
  )
  return toHex(hash(concatBytes(...sorted.map(headBytes))))
}

export class AuthorityLog {
  readonly path: string
  readonly entries: Entry[] = []
  /** Chain to the last commit of it that a checkpoint covers. */
  readonly covered = new Map<string, Head>()
  /** Commit to what voids it, all of it or the change of one item. */
  readonly #verdicts = new Map<string, { readonly n: number; readonly key: string | null }[]>()

  constructor(path: string) {
    this.path = path
  }

  get position(): Position | null {
    const last = this.entries.at(-1)
    return last === undefined ? null : { epoch: last.epoch, n: last.n, hash: last.id }
  }

  get next(): number {
    return this.entries.length
  }

  /** Whether this log knows the position: an entry with that hash stands there. */
  knows(position: Position | null): boolean {
    if (position === null) return true
    const entry = this.entries[position.n]
    return entry !== undefined && entry.id === position.hash && entry.epoch === position.epoch
  }

  /**
   * Whether the entry may stand next. An entry already held is `'held'`; another one at a held place is `LogForked`: both are
   * evidence. The signature was checked before.
   */
  check(entry: Entry, hash: Hash): Refusal | 'held' | undefined {
    if (entry.log !== this.path) return refusal('WrongRepository', entry.log)
    const held = this.entries[entry.n]
    if (held !== undefined)
      return held.id === entry.id ? 'held' : refusal('LogForked', `${entry.log} ${entry.epoch}/${entry.n}`)
    const last = this.entries.at(-1)
    if (entry.n !== this.entries.length || entry.prev !== (last?.id ?? null) || entry.epoch !== (last?.epoch ?? 0)) {
      return refusal('BadEntry', `${entry.log} ${entry.epoch}/${entry.n}`)
    }
    const { root } = entry
    const lastRoot = last?.root ?? null
    if (root !== null && lastRoot !== null && (root.epoch < lastRoot.epoch || root.n < lastRoot.n)) {
      return refusal('BadEntry', `the root position of ${entry.log} ${entry.epoch}/${entry.n}`)
    }
    if (entry.statement.kind === 'checkpoint' && !this.#goesOn(entry.statement.moved)) {
      return refusal('BadEntry', `the chains of checkpoint ${entry.n}`)
    }
    if (
      entry.statement.kind === 'checkpoint' &&
      this.#rootAfter(entry.statement.moved, hash) !== entry.statement.headsRoot
    ) {
      return refusal('BadEntry', `the heads root of checkpoint ${entry.n}`)
    }
    return undefined
  }

  /** What is covered stays covered: each chain is named once and only goes on. */
  #goesOn(moved: readonly Head[]): boolean {
    const chains = new Set(moved.map((head) => head.chain))
    return chains.size === moved.length && moved.every((head) => head.seq > (this.covered.get(head.chain)?.seq ?? -1))
  }

  #rootAfter(moved: readonly Head[], hash: Hash): string {
    const heads = new Map(this.covered)
    for (const head of moved) heads.set(head.chain, head)
    return headsRoot(heads.values(), hash)
  }

  /** The heads root a checkpoint that covers `moved` as well must name. */
  rootWith(moved: readonly Head[], hash: Hash): string {
    return this.#rootAfter(moved, hash)
  }

  /** Position of the first entry that voids the commit's change of that item. */
  verdictOn(commit: string, key: string): number | undefined {
    return this.#verdicts.get(commit)?.find((verdict) => verdict.key === null || verdict.key === key)?.n
  }

  /** Adds an entry that `check` accepted. */
  append(entry: Entry): void {
    this.entries.push(entry)
    const { statement, n } = entry
    if (statement.kind === 'checkpoint') for (const head of statement.moved) this.covered.set(head.chain, head)
    if (statement.kind !== 'verdict') return
    this.#verdicts.set(statement.commit, [...(this.#verdicts.get(statement.commit) ?? []), { n, key: statement.key }])
  }

  /** Drops the entries from `n` on: they could not be stored. */
  truncate(n: number): void {
    if (n >= this.entries.length) return
    const kept = this.entries.splice(0)
    this.covered.clear()
    this.#verdicts.clear()
    for (const entry of kept.slice(0, n)) this.append(entry)
  }
}
