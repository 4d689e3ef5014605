/**
 * The root log of the network, as a replica holds it: everybody has it, it is small, and it begins with the genesis entry whose hash is
 * the network's name. A replica that has none takes the first one that an authority shows which proved its key (trust on first use),
 * unless the app names the network.
 *
 * An authority that lost what it wrote last goes on in a new epoch, as every log does. Who held more drops it, and keeps it at hand: what ended
 * somebody's access is written anew as soon as the authority is shown it.
 */
import { toHex } from '../bytes/bytes.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Position } from '../commit/commit.ts'
import { AuthorityLog } from '../trust/authoritylog.ts'
import { type Entry, noNetwork, readEntry, rootPath, type Statement, type Subject } from '../trust/entry.ts'
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
  /** What this replica held and a newer epoch left out. */
  readonly dropped: Entry[] = []

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

  /** Whether that entry stood here, also one that a newer epoch left out. */
  knows(position: Position): boolean {
    return this.#log.knows(position)
  }

  /** Whether that very entry stands here. */
  holds({ n, hash }: Pick<Position, 'n' | 'hash'>): boolean {
    return this.#log.entries[n]?.id === hash
  }

  /** The place that a commit cites, as rules and deaths count it: of an entry that was left out, the last one kept. */
  cited(position: Position): number {
    return this.#log.cited(position)
  }

  /** Entries from `n` on, as bytes. */
  after(n: number): Uint8Array[] {
    return this.#log.entries.slice(n).map((entry) => entry.bytes)
  }

  /** What somebody lacks who holds so many entries, perhaps of an older epoch. */
  lackedBy(size: number): Uint8Array[] {
    const begun = this.#log.entries.findLastIndex(({ statement }) => statement.kind === 'epoch')
    return this.after(begun < 0 ? size : Math.min(size, begun))
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
    const key = statement.kind === 'genesis' ? statement.publicKey : this.#keyFor(entry)
    if (key === undefined) return refusal('BadEntry', 'an unknown key')
    const message = messageOf('entry', entry.body, this.#runtime.hash)
    if (!(await this.#runtime.verify(key, message, entry.signature))) return refusal('BadSignature', entry.id)
    return entry
  }

  /**
   * The key that may sign an entry. One that leaves others out is in force by what is kept, and by what it leaves out as well: a key that was
   * retired does not undo that.
   */
  #keyFor(entry: Entry): Uint8Array | undefined {
    if (!this.#log.leavesOut(entry)) return this.keyAt(entry.signer, entry.n)
    const kept = new RootLog(this.#runtime)
    for (const one of this.#log.entries.slice(0, entry.n)) kept.append(one)
    return this.keyAt(entry.signer, this.size) && kept.keyAt(entry.signer, entry.n)
  }

  /**
   * What an entry says that a newer epoch left out and that takes away what is not taken yet, when a key that is in force now signed it:
   * somebody's access, or that of another key. Refused when it was signed by nobody.
   */
  async takenAway(bytes: Uint8Array): Promise<Statement | Refusal | undefined> {
    const entry = readEntry(bytes, this.#runtime.hash)
    if (isRefusal(entry) || entry.network !== this.network) return undefined
    const { statement, signer, epoch, n } = entry
    const start = this.#log.startAfter(epoch)
    const key = this.keyAt(signer, this.size)
    if (start === undefined || n < start || key === undefined) return undefined
    if (!this.#takesAway(statement)) return undefined
    const message = messageOf('entry', entry.body, this.#runtime.hash)
    return (await this.#runtime.verify(key, message, entry.signature)) ? statement : refusal('BadSignature', entry.id)
  }

  /** What a newer epoch left out here and that took away what is not taken again yet. */
  get missed(): Uint8Array[] {
    return this.dropped.filter(({ statement }) => this.#takesAway(statement)).map(({ bytes }) => bytes)
  }

  #takesAway(statement: Statement): boolean {
    if (statement.kind === 'revocation') return !this.hasEnded(statement.subject)
    return statement.kind === 'retirement' && this.keyAt(statement.signer, this.size) !== undefined
  }

  /** Adds an entry that was checked before: made here, or read from this replica's own log. */
  append(entry: Entry): void {
    const left = this.#log.entries.slice(entry.n)
    this.#log.append(entry)
    if (left.length > 0) {
      this.dropped.push(...left)
      for (const said of [this.#keys, this.#revoked.session, this.#revoked.owner]) said.clear()
      this.#rules.length = 0
      this.#lastEnd = -1
      for (const kept of this.#log.entries.slice(0, entry.n)) this.#apply(kept)
    }
    this.#apply(entry)
  }

  #apply(entry: Entry): void {
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
