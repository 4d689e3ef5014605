/**
 * One log of the authority, as a replica holds it: linear, gapless, each entry naming the hash of the one before. It says which commits
 * are covered (checkpoints), who has which role, and from which position on a commit is dead to whoever knows the log that far.
 *
 * After a loss the authority begins a new epoch: its first entry names the last one that is kept, and takes the place of all that stood
 * behind that. Positions of an older epoch beyond it are read as the last one kept.
 */
import { concatBytes, fromHex, toHex } from '../bytes/bytes.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Commit, Hash, Position } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'
import type { Entry, Statement } from './entry.ts'
import { type Erased, Erasures } from './erasure.ts'

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

/** Why a commit is dead to everybody who knows the log up to there. */
export interface Death {
  /** Position of the entry that ends it. */
  readonly from: number
  readonly why: Refusal
}

export type Invitation = Extract<Statement, { kind: 'invitation' }>
type Grant = Extract<Statement, { kind: 'grant' }>

interface Placed<Kind> {
  readonly n: number
  readonly statement: Kind
}

export class AuthorityLog {
  readonly path: string
  readonly entries: Entry[] = []
  /** Chain to the last commit of it that a checkpoint covers. */
  readonly covered = new Map<string, Head>()
  /** Chain to the heads that checkpoints covered, ascending. */
  readonly #coverings = new Map<string, { readonly n: number; readonly head: Head }[]>()
  /** Commit to what voids it, all of it or the change of one item. */
  readonly #verdicts = new Map<string, { readonly n: number; readonly key: string | null; readonly why: Refusal }[]>()
  /** Owner to what was given and taken, ascending. */
  readonly #grants = new Map<string, Placed<Grant>[]>()
  readonly #invitations = new Map<string, Placed<Invitation>>()
  readonly erasures = new Erasures()

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

  /** Whether this log knows the position: an entry with that hash stands there, or a newer epoch left it out. */
  knows(position: Position | null): boolean {
    return position === null || this.placeOf(position) !== undefined
  }

  /** Where a position stands: that of an entry which a newer epoch left out is the last one kept, -1 for none. Undefined: not known. */
  placeOf({ epoch, n, hash }: Position): number | undefined {
    const entry = this.entries[n]
    if (entry !== undefined && entry.id === hash && entry.epoch === epoch) return n
    const start = this.startAfter(epoch)
    return start !== undefined && n >= start ? start - 1 : undefined
  }

  /** The place that a commit cites, as rules and deaths count it: -1 for none. */
  cited(position: Position | null): number {
    return position === null ? -1 : (this.placeOf(position) ?? position.n)
  }

  /** Where the first epoch after that one begins; undefined while there is none. */
  startAfter(epoch: number): number | undefined {
    if ((this.entries.at(-1)?.epoch ?? 0) <= epoch) return undefined
    return this.entries.findIndex((entry) => entry.epoch > epoch)
  }

  /**
   * Whether the entry may stand next, or begins an epoch in the place of what is held. One already held, or left out by a newer epoch, is
   * `'held'`; another one at a held place is `LogForked`: both are evidence. The signature was checked before.
   */
  check(entry: Entry, hash: Hash): Refusal | 'held' | undefined {
    if (entry.log !== this.path) return refusal('WrongRepository', entry.log)
    const about = `${entry.log} ${entry.epoch}/${entry.n}`
    const held = this.entries[entry.n]
    if (held?.id === entry.id) return 'held'
    const start = this.startAfter(entry.epoch)
    if (start !== undefined && entry.n >= start) return 'held'
    const newest = this.entries.at(-1)
    const begins = newest !== undefined && entry.epoch > newest.epoch
    if (held !== undefined && !begins) return refusal('LogForked', about)
    // An epoch begins with the entry that says so, or, where nothing was kept, with whatever stands first.
    const saysSo = entry.statement.kind === 'epoch'
    if (entry.n === 0 ? saysSo : saysSo !== begins) return refusal('BadEntry', about)
    const last = this.entries[entry.n - 1]
    if (entry.n > this.entries.length || entry.prev !== (last?.id ?? null)) return refusal('BadEntry', about)
    const { root } = entry
    const lastRoot = last?.root ?? null
    if (root !== null && lastRoot !== null && (root.epoch < lastRoot.epoch || root.n < lastRoot.n)) {
      return refusal('BadEntry', `the root position of ${entry.log} ${entry.epoch}/${entry.n}`)
    }
    if (begins && entry.n === 0) return new AuthorityLog(this.path).check(entry, hash)
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

  /** Whether an entry of a later epoch would take the place of what is held. */
  leavesOut({ epoch, n }: Entry): boolean {
    return n < this.entries.length && epoch > (this.entries.at(-1)?.epoch ?? 0)
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

  /** Whether a verdict among the first so many entries voids all of the commit. */
  isVoid(commit: string, entries = this.entries.length): boolean {
    return this.#verdicts.get(commit)?.some(({ key, n }) => key === null && n < entries) ?? false
  }

  /** The first verdict that voids the commit's change of one of these items. One on what a checkpoint covers already has no effect. */
  verdictOn({ id, chain, seq }: Pick<Commit, 'id' | 'chain' | 'seq'>, keys: readonly string[]): Death | undefined {
    const verdict = this.#verdicts.get(id)?.find(({ key }) => key === null || keys.includes(key))
    if (verdict === undefined || this.coveredAt(chain, seq) < verdict.n) return undefined
    return { from: verdict.n, why: verdict.why }
  }

  /** The owner's role at a position, undefined for none. Before the first entry nobody has one. */
  roleAt(owner: string, n: number): string | undefined {
    const given = this.#grants.get(owner)?.findLast((one) => one.n <= n)
    return given?.statement.role ?? undefined
  }

  /** Owners and their roles at the newest position; those whose role was taken are not among them. */
  *roles(): Generator<readonly [owner: string, role: string]> {
    for (const [owner, given] of this.#grants) {
      const role = given.at(-1)?.statement.role
      if (role !== null && role !== undefined) yield [owner, role]
    }
  }

  /** Where the owner's role was taken for good, undefined while there is one or never was. */
  takenAt(owner: string): number | undefined {
    const last = this.#grants.get(owner)?.at(-1)
    return last !== undefined && last.statement.role === null ? last.n : undefined
  }

  /** The invitation of that secret's hash that is in force, as far as the log knows. `n`: where it was made, whatever was used of it since. */
  invitation(secret: string): Placed<Invitation> | undefined {
    const placed = this.#invitations.get(secret)
    return placed === undefined || placed.statement.uses === 0 ? undefined : placed
  }

  get invitations(): Invitation[] {
    return [...this.#invitations.values()].map(({ statement }) => statement).filter(({ uses }) => uses > 0)
  }

  /** Position of the first checkpoint that covers the place in the chain, by whatever branch; infinity when none does. */
  coveredAt(chain: string, seq: number): number {
    return this.#coveringOf(chain, seq)?.n ?? Number.POSITIVE_INFINITY
  }

  /** Whether a checkpoint covers a chain just up to that commit. */
  coversUpTo({ id, chain, seq }: Pick<Commit, 'id' | 'chain' | 'seq'>): boolean {
    return this.#coveringOf(chain, seq)?.head.id === id
  }

  #coveringOf(chain: string, seq: number): { readonly n: number; readonly head: Head } | undefined {
    const coverings = this.#coverings.get(chain) ?? []
    let [low, high] = [0, coverings.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((coverings[middle]?.head.seq ?? -1) < seq) low = middle + 1
      else high = middle
    }
    return coverings[low]
  }

  /** What the first so many entries make of a commit's change of that item. */
  erasureOf({ id, chain, seq }: Commit, key: string, entries: number): Erased | undefined {
    if (this.erasures.isEmpty) return undefined
    const at = this.erasures.at(id, key)
    return {
      erased: at !== undefined && at < entries ? at : undefined,
      counts: this.erasures.verdict(id, key, this.coveredAt(chain, seq), entries),
    }
  }

  /** The heads of the chain that checkpoints covered, and where, ascending. */
  coverings(chain: string): readonly { readonly n: number; readonly head: Head }[] {
    return this.#coverings.get(chain) ?? []
  }

  /** The first position whose entry knows the root log up to `n`; infinity when none does yet. */
  firstKnowing(n: number): number {
    let [low, high] = [0, this.entries.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.entries[middle]?.root?.n ?? -1) < n) low = middle + 1
      else high = middle
    }
    return low < this.entries.length ? low : Number.POSITIVE_INFINITY
  }

  /**
   * From where on a commit of that owner is dead by what the log says of the owner: a fence that it does not reach, or another's founding.
   * `revokedAt`: the root position that ended the access of its session or owner.
   */
  deathOf(commit: Commit, owner: string, revokedAt: number | undefined): Death | undefined {
    const cited = this.cited(commit.policy.authority)
    const covered = this.coveredAt(commit.chain, commit.seq)
    const founding = this.entries[0]?.statement
    if (cited < 0 && founding?.kind === 'grant' && founding.founding && founding.owner !== owner)
      return { from: 0, why: refusal('NotFounder', commit.id) }
    const late = refusal('RevokedBeforeSync', commit.id)
    const fence = this.#grants.get(owner)?.find(({ n, statement }) => statement.fences && n > cited)
    const fenced = fence === undefined || covered < fence.n ? Number.POSITIVE_INFINITY : fence.n
    const effect = revokedAt === undefined ? Number.POSITIVE_INFINITY : this.firstKnowing(revokedAt)
    const revoked = covered <= effect ? Number.POSITIVE_INFINITY : effect
    const from = Math.min(fenced, revoked)
    return from === Number.POSITIVE_INFINITY ? undefined : { from, why: late }
  }

  /** Adds an entry that `check` accepted: what a new epoch leaves out is dropped. */
  append(entry: Entry): void {
    this.truncate(entry.n)
    this.entries.push(entry)
    const { statement, n } = entry
    switch (statement.kind) {
      case 'checkpoint':
        for (const head of statement.moved) {
          this.covered.set(head.chain, head)
          const coverings = this.#coverings.get(head.chain)
          if (coverings === undefined) this.#coverings.set(head.chain, [{ n, head }])
          else coverings.push({ n, head })
        }
        return
      case 'verdict': {
        const { rule, reason } = statement
        const why: Refusal = { ...refusal('Voided', `${rule}: ${reason}`), rule }
        const verdicts = this.#verdicts.get(statement.commit) ?? []
        this.#verdicts.set(statement.commit, [...verdicts, { n, key: statement.key, why }])
        return
      }
      case 'grant':
        this.#grants.set(statement.owner, [...(this.#grants.get(statement.owner) ?? []), { n, statement }])
        this.#use(statement.invitation)
        return
      case 'invitation':
        this.#invitations.set(statement.secret, { n: this.invitation(statement.secret)?.n ?? n, statement })
        return
      case 'erasure':
        this.erasures.append(n, statement)
        return
      default:
    }
  }

  #use(secret: string | undefined): void {
    const standing = secret === undefined ? undefined : this.invitation(secret)
    if (secret === undefined || standing === undefined) return
    const { n, statement } = standing
    this.#invitations.set(secret, { n, statement: { ...statement, uses: statement.uses - 1 } })
  }

  /** Drops the entries from `n` on: they could not be stored, or a new epoch left them out. */
  truncate(n: number): void {
    if (n >= this.entries.length) return
    const kept = this.entries.splice(0)
    this.covered.clear()
    this.#coverings.clear()
    this.#verdicts.clear()
    this.#grants.clear()
    this.#invitations.clear()
    this.erasures.clear()
    for (const entry of kept.slice(0, n)) this.append(entry)
  }
}
