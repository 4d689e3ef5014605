/**
 * Commits that stay in the bytes of the log until somebody asks for one: of each the columns are here that most questions are about, ids as
 * bytes in a table of their own, and no object. What is asked for is read with what stands around it in the log, and of that only the
 * latest is kept.
 *
 * The first ones may be dropped: of such a commit there is only what these columns say, because something that is kept names it. The floor of a
 * chain is the place up to which commits of it were dropped; those at or below it that are here are not all there were.
 *
 *     columns = count, dropped, chains, (chain (80 digits as 40 bytes), floor + 1)..., commit...
 *     commit  = chain * 2 + signed, prev, [place in its chain], clock, bytes, [policy]
 *     prev    = 0 the last of its chain so far, 1 none that is here: then its place follows, else 2 more than its number
 *     policy  = of dropped ones: root n + 1, [epoch], n + 1 in the repository's log, [epoch]     0 for none
 */
import { fromHex, hexAt, isHexOf, toHex } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { Sink } from '../bytes/sink.ts'
import type { Commit, Position } from '../commit/commit.ts'

const idBytes = 32
const chainBytes = 40
/** No commit before. */
const none = 0xffff_ffff
/** Commits that are kept once they were read, about. */
const mostRead = 32_768

/** What the columns say of a commit. */
export interface LoggedRow {
  readonly id: string
  readonly chain: string
  /** Number of the commit before it in its chain, -1 where that is not here. */
  readonly prev: number
  /** Place in its chain. */
  readonly seq: number
  readonly clock: number
  /** Length of its record. */
  readonly bytes: number
  readonly isSigned: boolean
  /** Of a dropped commit: what it cites. */
  readonly policy?: Cited | undefined
}

/** A place in a log, without its hash. */
export type Cite = Pick<Position, 'epoch' | 'n'> | null

/** What a commit cites of the authority's logs. */
export interface Cited {
  readonly root: Cite
  readonly authority: Cite
}

/** Where commits are read from: segments of the log that are read alone. */
export interface CommitSource {
  /** Numbers of the commits that segments begin with, ascending, the first one 0. */
  readonly starts: readonly number[]
  /** The commits of a segment, in order. Throws where the log is not what it was. */
  read(segment: number): readonly Commit[]
}

/** Writes the columns, a commit at a time. */
export class RowWriter {
  readonly #ids: Sink
  readonly #body: Sink
  readonly #chains = new Map<string, { readonly at: number; last: number }>()
  #count = 0
  #dropped = 0
  #clock = 0

  constructor(room: number) {
    this.#ids = new Sink(idBytes * room)
    this.#body = new Sink(8 * room)
  }

  /** Dropped ones, which have a policy, come first. */
  add({ id, chain, prev, seq, clock, bytes, isSigned, policy }: LoggedRow): void {
    let known = this.#chains.get(chain)
    if (known === undefined) {
      known = { at: this.#chains.size, last: -1 }
      this.#chains.set(chain, known)
    }
    this.#ids.put(fromHex(id))
    this.#body.varint(2 * known.at + (isSigned ? 1 : 0))
    this.#body.varint(prev < 0 ? 1 : prev === known.last ? 0 : prev + 2)
    if (prev < 0) this.#body.varint(seq)
    this.#body.signed(clock - this.#clock)
    this.#body.varint(bytes)
    if (policy !== undefined) {
      this.#dropped++
      this.#putCite(policy.root)
      this.#putCite(policy.authority)
    }
    known.last = this.#count++
    this.#clock = clock
  }

  #putCite(cite: Cite): void {
    this.#body.varint(cite === null ? 0 : 1 + cite.n)
    if (cite !== null) this.#body.varint(cite.epoch)
  }

  /** `floors`: see `LoggedCommits.floorOf`. */
  take(floors: ReadonlyMap<string, number>): { readonly ids: Uint8Array; readonly columns: Uint8Array } {
    for (const chain of floors.keys())
      if (!this.#chains.has(chain)) this.#chains.set(chain, { at: this.#chains.size, last: -1 })
    const columns = new Sink(32 + (chainBytes + 8) * this.#chains.size + this.#body.length)
    columns.varint(this.#count)
    columns.varint(this.#dropped)
    columns.varint(this.#chains.size)
    for (const chain of this.#chains.keys()) {
      columns.put(fromHex(chain))
      columns.varint(1 + (floors.get(chain) ?? -1))
    }
    columns.append(this.#body)
    return { ids: this.#ids.take(), columns: columns.take() }
  }
}

export class LoggedCommits {
  readonly size: number
  /** How many were dropped: the first ones. */
  readonly dropped: number
  readonly #ids: Uint8Array
  /** Numbers plus one by the first bytes of the id, open addressing. */
  readonly #table: Uint32Array
  /** Of dropped commits that are here all the same, what they are called as dropped ones. */
  readonly #doubles = new Map<string, number>()
  readonly #chains: readonly string[]
  readonly #floors: ReadonlyMap<string, number>
  /** Of dropped ones, four numbers each: n + 1 and epoch of either log. */
  readonly #cites: Float64Array
  readonly #chain: Uint32Array
  readonly #seq: Uint32Array
  readonly #prev: Uint32Array
  readonly #clock: Float64Array
  readonly #bytes: Uint32Array
  readonly #signed: Uint8Array
  readonly #source: CommitSource
  /** Segments that were read, the latest last. */
  readonly #read = new Map<number, readonly Commit[]>()
  #readCommits = 0

  private constructor(
    ids: Uint8Array,
    dropped: number,
    floors: ReadonlyMap<string, number>,
    chains: readonly string[],
    source: CommitSource,
  ) {
    this.size = ids.length / idBytes
    this.dropped = dropped
    this.#ids = ids
    this.#chains = chains
    this.#floors = floors
    this.#cites = new Float64Array(4 * dropped)
    this.#source = source
    this.#chain = new Uint32Array(this.size)
    this.#seq = new Uint32Array(this.size)
    this.#prev = new Uint32Array(this.size)
    this.#clock = new Float64Array(this.size)
    this.#bytes = new Uint32Array(this.size)
    this.#signed = new Uint8Array(this.size)
    this.#table = new Uint32Array(2 ** Math.ceil(Math.log2(Math.max(8, 2 * this.size))))
  }

  /** Undefined where these are not the columns of so many commits. */
  static read(
    ids: Uint8Array,
    columns: Uint8Array,
    sourceOf: (dropped: number) => CommitSource,
  ): LoggedCommits | undefined {
    const cursor = new Cursor(columns)
    const count = cursor.varint()
    const dropped = cursor.varint()
    const chainCount = cursor.varint()
    if (cursor.bad || ids.length !== idBytes * count || dropped > count) return undefined
    const chains: string[] = []
    const floors = new Map<string, number>()
    for (let left = chainCount; left > 0; left--) {
      const from = cursor.skip(chainBytes)
      const floor = cursor.varint() - 1
      if (cursor.bad) return undefined
      const chain = hexAt(columns, from, from + chainBytes)
      chains.push(chain)
      if (floor >= 0) floors.set(chain, floor)
    }
    const logged = new LoggedCommits(ids, dropped, floors, chains, sourceOf(dropped))
    return logged.#fill(cursor) ? logged : undefined
  }

  #fill(cursor: Cursor): boolean {
    const lasts = new Uint32Array(this.#chains.length).fill(none)
    let clock = 0
    for (let index = 0; index < this.size; index++) {
      const first = cursor.varint()
      const chain = first >> 1
      const named = cursor.varint()
      const last = lasts[chain]
      const prev = named === 0 ? last : named === 1 ? none : named - 2
      const seq = named === 1 ? cursor.varint() : 1 + (this.#seq[prev ?? none] ?? 0)
      clock += cursor.signed()
      const bytes = cursor.varint()
      if (index < this.dropped) {
        this.#takeCite(cursor, 4 * index)
        this.#takeCite(cursor, 4 * index + 2)
      }
      if (cursor.bad || prev === undefined || chain >= this.#chains.length) return false
      if (named === 0 && prev === none) return false
      if (prev !== none && (prev >= index || this.#chain[prev] !== chain)) return false
      this.#chain[index] = chain
      this.#signed[index] = first & 1
      this.#prev[index] = prev
      this.#seq[index] = seq
      this.#clock[index] = clock
      this.#bytes[index] = bytes
      lasts[chain] = index
      const slot = this.#slotOf(index)
      const other = (this.#table[slot] ?? 0) - 1
      // Of a dropped commit that is here all the same, there is a row of either kind.
      if (other >= this.dropped || (other >= 0 && index < this.dropped)) return false
      if (other >= 0) this.#doubles.set(this.idAt(index), other)
      this.#table[slot] = index + 1
    }
    return cursor.at === cursor.end
  }

  #takeCite(cursor: Cursor, at: number): void {
    const n = cursor.varint()
    this.#cites[at] = n
    this.#cites[at + 1] = n === 0 ? 0 : cursor.varint()
  }

  /** What a dropped commit cites. */
  citedAt(index: number): Cited {
    return { root: this.#citeAt(4 * index), authority: this.#citeAt(4 * index + 2) }
  }

  #citeAt(at: number): Cite {
    const n = this.#cites[at] ?? 0
    return n === 0 ? null : { n: n - 1, epoch: this.#cites[at + 1] ?? 0 }
  }

  /** Commits of the chain up to that place were dropped, all but some; -1 for none. */
  floorOf(chain: string): number {
    return this.#floors.get(chain) ?? -1
  }

  get floors(): ReadonlyMap<string, number> {
    return this.#floors
  }

  /** The latest clock of those that were dropped. */
  get droppedClock(): number {
    return this.#clock.subarray(0, this.dropped).reduce((latest, clock) => Math.max(latest, clock), 0)
  }

  /** By chain, the id of the last commit that was dropped, where that is known. */
  floorHeads(): ReadonlyMap<string, string> {
    const heads = new Map<string, string>()
    for (let index = 0; index < this.dropped; index++) {
      const chain = this.chainAt(index)
      if (this.seqAt(index) === this.floorOf(chain)) heads.set(chain, this.idAt(index))
    }
    return heads
  }

  /** Where the id of that number goes, or is already. */
  #slotOf(index: number): number {
    const ids = this.#ids
    const from = idBytes * index
    const mask = this.#table.length - 1
    let slot = firstOf(ids, from) & mask
    for (let held = this.#table[slot] ?? 0; held !== 0; held = this.#table[slot] ?? 0) {
      if (isSame(ids, idBytes * (held - 1), from)) return slot
      slot = (slot + 1) & mask
    }
    return slot
  }

  /** The number of the commit, -1 where it is not here. */
  indexOf(id: string): number {
    const mask = this.#table.length - 1
    let slot = Number.parseInt(id.slice(0, 8), 16) & mask
    for (let held = this.#table[slot] ?? 0; held !== 0; held = this.#table[slot] ?? 0) {
      if (isHexOf(id, this.#ids, idBytes * (held - 1))) return held - 1
      slot = (slot + 1) & mask
    }
    return -1
  }

  /** The number of the commit as a dropped one, -1 where it is none. */
  droppedIndexOf(id: string): number {
    const index = this.#doubles.get(id) ?? this.indexOf(id)
    return index < this.dropped ? index : -1
  }

  idAt(index: number): string {
    return hexAt(this.#ids, idBytes * index, idBytes * (index + 1))
  }

  chainAt(index: number): string {
    return this.#chains[this.#chain[index] ?? 0] ?? ''
  }

  seqAt(index: number): number {
    return this.#seq[index] ?? 0
  }

  /** The number of the commit before it in its chain, -1 for none. */
  prevAt(index: number): number {
    const prev = this.#prev[index] ?? none
    return prev === none ? -1 : prev
  }

  clockAt(index: number): number {
    return this.#clock[index] ?? 0
  }

  /** Length of its record. */
  bytesAt(index: number): number {
    return this.#bytes[index] ?? 0
  }

  isSignedAt(index: number): boolean {
    return this.#signed[index] === 1
  }

  row(index: number): LoggedRow {
    return {
      id: this.idAt(index),
      chain: this.chainAt(index),
      prev: this.prevAt(index),
      seq: this.seqAt(index),
      clock: this.clockAt(index),
      bytes: this.bytesAt(index),
      isSigned: this.isSignedAt(index),
      policy: index < this.dropped ? this.citedAt(index) : undefined,
    }
  }

  /** The tips of each chain, as commits that nothing in their chain builds on: what was dropped may build on those below its floor. */
  tips(): Map<string, number[]> {
    const extended = new Uint8Array(this.size)
    for (const prev of this.#prev) if (prev !== none) extended[prev] = 1
    // What has two numbers may be extended by either.
    for (const [id, double] of this.#doubles) {
      const index = this.indexOf(id)
      if (extended[double] === 1) extended[index] = 1
      extended[double] = 1
    }
    const tips = new Map<string, number[]>()
    for (let index = 0; index < this.size; index++) {
      if (extended[index] === 1) continue
      const chain = this.chainAt(index)
      if (this.seqAt(index) < this.floorOf(chain)) continue
      const held = tips.get(chain)
      if (held === undefined) tips.set(chain, [index])
      else held.push(index)
    }
    return tips
  }

  /** The commit itself, read out of the log; undefined where it was dropped. */
  commit(index: number): Commit | undefined {
    if (index < this.dropped) return undefined
    const segment = this.#segmentOf(index)
    const start = this.#source.starts[segment] ?? 0
    const commit = this.#segment(segment)[index - start]
    if (commit === undefined || !isHexOf(commit.id, this.#ids, idBytes * index))
      throw new RangeError(
        `commit ${toHex(this.#ids.subarray(idBytes * index, idBytes * index + 4))} is not where it was`,
      )
    return commit
  }

  #segmentOf(index: number): number {
    const { starts } = this.#source
    let low = 0
    let high = starts.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((starts[middle] ?? 0) <= index) low = middle
      else high = middle - 1
    }
    return low
  }

  #segment(segment: number): readonly Commit[] {
    const held = this.#read.get(segment)
    if (held !== undefined) {
      if (this.#newest !== segment) {
        this.#read.delete(segment)
        this.#read.set(segment, held)
        this.#newest = segment
      }
      return held
    }
    const read = this.#source.read(segment)
    this.#read.set(segment, read)
    this.#newest = segment
    this.#readCommits += read.length
    for (const [oldest, commits] of this.#read) {
      if (this.#readCommits <= mostRead || oldest === segment) break
      this.#read.delete(oldest)
      this.#readCommits -= commits.length
    }
    return read
  }

  #newest = -1
}

const firstOf = (bytes: Uint8Array, at: number): number =>
  (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0

const isSame = (bytes: Uint8Array, a: number, b: number): boolean => {
  for (let at = 0; at < idBytes; at++) if (bytes[a + at] !== bytes[b + at]) return false
  return true
}
