/**
 * The root log of the network, as a replica holds it: everybody has it, it is small, and it begins with the genesis entry whose hash is
 * the network's name. A replica that has none takes the first one that an authority shows which proved its key (trust on first use),
 * unless the app names the network.
 */
import { toHex } from '../bytes/bytes.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Position } from '../commit/commit.ts'
import { AuthorityLog } from '../trust/authoritylog.ts'
import { type Entry, noNetwork, readEntry, rootPath, type Subject } from '../trust/entry.ts'
import { messageOf } from '../trust/signed.ts'
import type { Runtime } from './ports.ts'

const never = Number.POSITIVE_INFINITY

export class RootLog {
  readonly #runtime: Runtime
  readonly #log = new AuthorityLog(rootPath)
  /** Every key that ever was in force, and where it was retired. */
  readonly #keys = new Map<string, { readonly publicKey: Uint8Array; retired: number; retiredTime: number }>()
  /** Session, or owner, to where its access ended. */
  readonly #revoked = { session: new Map<string, number>(), owner: new Map<string, number>() }
  readonly #rules: { readonly n: number; readonly version: number }[] = []

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

  /** How many entries there are, and the id of the last of them; undefined for none. */
  get last(): { readonly entries: number; readonly last: string } | undefined {
    const last = this.#log.entries.at(-1)
    return last && { entries: this.size, last: last.id }
  }

  /** Whether the last of so many entries is that one here. */
  holds({ entries, last }: { readonly entries: number; readonly last: string }): boolean {
    return this.#log.entries[entries - 1]?.id === last
  }

  knows(position: Position): boolean {
    return this.#log.knows(position)
  }

  /** Entries from `n` on, as bytes. */
  after(n: number): Uint8Array[] {
    return this.#log.entries.slice(n).map((entry) => entry.bytes)
  }

  /** The authority key of that id, in force or retired. */
  key(id: string): Uint8Array | undefined {
    return this.#keys.get(id)?.publicKey
  }

  /** The authority key of that id, when it may sign what knows the root log up to `n`. */
  keyAt(id: string, n: number): Uint8Array | undefined {
    const key = this.#keys.get(id)
    return key !== undefined && n < key.retired ? key.publicKey : undefined
  }

  /** Whether that public key is the authority's, and in force. */
  isAuthority(publicKey: Uint8Array): boolean {
    return this.keyAt(toHex(this.#runtime.hash(publicKey)), this.size - 1) !== undefined
  }

  /** The root position that ended the access of a session or of its owner; undefined while they have it. */
  revokedAt({ session, owner }: { readonly session: string; readonly owner: string }): number | undefined {
    const [one, all] = [this.#revoked.session.get(session), this.#revoked.owner.get(owner)]
    return one === undefined || all === undefined ? (one ?? all) : Math.min(one, all)
  }

  /** Whether an entry names just that session, or just that owner. */
  hasEnded(subject: Subject): boolean {
    return 'session' in subject ? this.#revoked.session.has(subject.session) : this.#revoked.owner.has(subject.owner)
  }

  /** The last position that ended somebody's access or the use of a key, or -1. */
  get lastEnd(): number {
    return this.#lastEnd
  }

  #lastEnd = -1

  /** When a key was retired, ms since 1970; infinity while it is in force. */
  retirementTime(id: string): number {
    return this.#keys.get(id)?.retiredTime ?? never
  }

  /** The version of the rules in force at a position. */
  rulesAt(n: number): number {
    return this.#rules.findLast((one) => one.n <= n)?.version ?? 0
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
    const key = statement.kind === 'genesis' ? statement.publicKey : this.keyAt(entry.signer, entry.n)
    if (key === undefined) return refusal('BadEntry', 'an unknown key')
    const message = messageOf('entry', entry.body, this.#runtime.hash)
    if (!(await this.#runtime.verify(key, message, entry.signature))) return refusal('BadSignature', entry.id)
    return entry
  }

  /** Adds an entry that was checked before: made here, or read from this replica's own log. */
  append(entry: Entry): void {
    this.#log.append(entry)
    const { statement, n } = entry
    switch (statement.kind) {
      case 'genesis':
      case 'key':
        this.#addKey(statement.publicKey)
        break
      case 'retirement': {
        const key = this.#keys.get(statement.signer)
        if (key !== undefined && key.retired === never) Object.assign(key, { retired: n, retiredTime: entry.time })
        this.#lastEnd = n
        break
      }
      case 'revocation': {
        this.#lastEnd = n
        const { subject } = statement
        const [places, id] =
          'session' in subject ? [this.#revoked.session, subject.session] : [this.#revoked.owner, subject.owner]
        places.set(id, Math.min(n, places.get(id) ?? n))
        break
      }
      case 'rules':
        this.#rules.push({ n, version: statement.version })
        break
      default:
    }
  }

  #addKey(publicKey: Uint8Array): void {
    const id = toHex(this.#runtime.hash(publicKey))
    if (!this.#keys.has(id)) this.#keys.set(id, { publicKey, retired: never, retiredTime: never })
  }
}
