/**
 * The root log of the network, as a replica holds it: everybody has it, it is small, and it begins with the genesis entry whose hash is
 * the network's name. A replica that has none takes the first one that an authority shows which proved its key (trust on first use),
 * unless the app names the network.
 */
import { toHex } from '../bytes/bytes.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Position } from '../commit/commit.ts'
import { AuthorityLog } from '../trust/authoritylog.ts'
import { type Entry, noNetwork, readEntry, rootPath } from '../trust/entry.ts'
import { messageOf } from '../trust/signed.ts'
import type { Runtime } from './ports.ts'

export class RootLog {
  readonly #runtime: Runtime
  readonly #log = new AuthorityLog(rootPath)
  readonly #keys = new Map<string, Uint8Array>()

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  /** The network's id, undefined while this replica belongs to none. */
  get network(): string | undefined {
    return this.#log.entries[0]?.id
  }

  get position(): Position | null {
    return this.#log.position
  }

  get size(): number {
    return this.#log.entries.length
  }

  knows(position: Position): boolean {
    return this.#log.knows(position)
  }

  /** Entries from `n` on, as bytes. */
  after(n: number): Uint8Array[] {
    return this.#log.entries.slice(n).map((entry) => entry.bytes)
  }

  /** The authority key of that id. */
  key(id: string): Uint8Array | undefined {
    return this.#keys.get(id)
  }

  /** Whether that public key is the authority's. */
  isAuthority(publicKey: Uint8Array): boolean {
    return this.#keys.has(toHex(this.#runtime.hash(publicKey)))
  }

  /** Whether the entry may stand next, apart from its signature. */
  place(entry: Entry): Refusal | 'held' | undefined {
    const isFirst = entry.n === 0
    if (isFirst !== (entry.statement.kind === 'genesis') || isFirst !== (entry.network === noNetwork))
      return refusal('BadEntry', 'genesis')
    return this.#log.check(entry, this.#runtime.hash)
  }

  /** Checks an entry from outside. `'held'` when it is here already. It is in force when it was appended, once it is durable. */
  async check(bytes: Uint8Array, expectedNetwork?: string): Promise<Entry | 'held' | Refusal> {
    const entry = readEntry(bytes, this.#runtime.hash)
    if (isRefusal(entry)) return entry
    const place = this.place(entry)
    if (place !== undefined) return place
    const { statement } = entry
    if (entry.n === 0) {
      if (statement.kind !== 'genesis') return refusal('BadEntry', 'genesis')
      if (toHex(this.#runtime.hash(statement.publicKey)) !== entry.signer) return refusal('BadEntry', 'genesis')
      if (expectedNetwork !== undefined && entry.id !== expectedNetwork) return refusal('WrongNetwork', entry.id)
    } else if (entry.network !== this.network) return refusal('WrongNetwork', entry.network)
    const key = statement.kind === 'genesis' ? statement.publicKey : this.#keys.get(entry.signer)
    if (key === undefined) return refusal('BadEntry', 'an unknown key')
    const message = messageOf('entry', entry.body, this.#runtime.hash)
    if (!(await this.#runtime.verify(key, message, entry.signature))) return refusal('BadSignature', entry.id)
    return entry
  }

  /** Adds an entry that was checked before: made here, or read from this replica's own log. */
  append(entry: Entry): void {
    this.#log.append(entry)
    if (entry.statement.kind === 'genesis') this.#keys.set(entry.signer, entry.statement.publicKey)
  }
}
