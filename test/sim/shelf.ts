/**
 * What is stored of a repository's log on a simulated disk, read from the bytes a power failure would leave at least, and judged by
 * nobody but this reader: ids are computed from the bytes.
 */
import { hash } from 'node:crypto'
import { type Commit, isRefusal, readCommit } from '@weft-db/engine'
import { decode } from '../../packages/engine/src/bytes/cbor.ts'
import { frameKinds, scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../packages/engine/src/log/packedlog.ts'
import type { Disk } from './files.ts'
import type { Bytes } from './inode.ts'

export interface StoredEntry {
  readonly id: string
  readonly n: number
  /** Chain to (seq, id) for each chain that a checkpoint moves. */
  readonly moved: ReadonlyMap<string, { readonly seq: number; readonly id: string }>
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(hash('sha256', bytes, 'buffer'))

/** A commit as its bytes say, with the hashes computed here; undefined when they do not say it. */
export interface Judged {
  readonly id: string
  readonly commit: Commit
  /** Whether the header names exactly the changes that come with it. */
  readonly honest: boolean
}

const judged = new Map<string, Judged | undefined>()
const mostJudged = 20_000

/** The commit in these bytes; equal bytes are read once. */
export const judge = (bytes: Uint8Array): Judged | undefined => {
  const name = hash('sha256', bytes, 'base64')
  if (judged.has(name)) return judged.get(name)
  if (judged.size > mostJudged) judged.clear()
  const found = judgeAnew(bytes)
  judged.set(name, found)
  return found
}

const judgeAnew = (bytes: Uint8Array): Judged | undefined => {
  const plain = decode(bytes)
  if (!Array.isArray(plain)) return undefined
  const [header, , changes] = plain
  if (!(header instanceof Uint8Array) || !Array.isArray(changes)) return undefined
  const fields = decode(header)
  if (!Array.isArray(fields) || !Array.isArray(fields[10])) return undefined
  const named = fields[10].map((one) => (one instanceof Uint8Array ? hex(one) : ''))
  const made = changes.map((change) => {
    if (!Array.isArray(change)) return ''
    const parts = change.map((part) => (part instanceof Uint8Array ? sha256(part) : new Uint8Array(0)))
    return hex(sha256(Buffer.concat(parts)))
  })
  const commit = readCommit(bytes, sha256)
  if (isRefusal(commit)) return undefined
  return { id: hex(sha256(header)), commit, honest: named.join() === made.join() }
}

export const readStoredEntry = (bytes: Uint8Array): StoredEntry | undefined => {
  const signed = decode(bytes)
  if (!Array.isArray(signed) || !(signed[0] instanceof Uint8Array)) return undefined
  const body = decode(signed[0])
  if (!Array.isArray(body)) return undefined
  const moved = new Map<string, { seq: number; id: string }>()
  const statement = body[10]
  if (body[9] === 1 && Array.isArray(statement) && Array.isArray(statement[2])) {
    for (const head of statement[2]) {
      if (!Array.isArray(head)) continue
      const [session, incarnation, seq, id] = head
      if (!(session instanceof Uint8Array) || !(incarnation instanceof Uint8Array) || !(id instanceof Uint8Array))
        continue
      moved.set(hex(session) + hex(incarnation), { seq: Number(seq), id: hex(id) })
    }
  }
  return { id: hex(sha256(signed[0])), n: Number(body[4]), moved }
}

export class Shelf {
  readonly commits = new Map<string, Commit>()
  readonly entries = new Map<number, StoredEntry>()
  readonly entryIds = new Set<string>()
  readonly covered = new Map<string, { readonly seq: number; readonly id: string }>()
  /** Whether something in the middle cannot be read, or is not what it says. */
  damage: string | undefined
  #good = 0
  #bytes: Bytes | undefined
  #rewrites: number | undefined
  #packs = new PackedLogReader(sha256)
  readonly #disk: Disk
  readonly #name: string

  constructor(disk: Disk, name: string) {
    this.#disk = disk
    this.#name = name
  }

  /** Forgets everything: the disk is not what it was. */
  reset(): void {
    this.commits.clear()
    this.entries.clear()
    this.entryIds.clear()
    this.covered.clear()
    this.damage = undefined
    this.#good = 0
    this.#packs = new PackedLogReader(sha256)
  }

  /**
   * Forgets what was read when it is no longer what is stored. A failed sync may have stored whole frames; they are cut away again, and
   * the next append may end behind where they did, so that the length alone says nothing.
   */
  #current(): this {
    const bytes = this.#disk.storedBytes(this.#name)
    if (bytes !== this.#bytes || bytes?.rewrites !== this.#rewrites) this.reset()
    this.#bytes = bytes
    this.#rewrites = bytes?.rewrites
    return this
  }

  /** Reads what has come since. */
  refresh(): this {
    const bytes = this.#current().#bytes?.view
    if (bytes === undefined || bytes.length === this.#good) return this
    const { frames, good, damage } = scan(bytes, this.#good)
    this.#good = good
    for (const { from, to } of damage) this.damage ??= `bytes ${from} to ${to}`
    for (const frame of frames) {
      const { kind, payload, offset } = frame
      const records = this.#packs.records(frame)
      if (isRefusal(records)) this.damage ??= `the pack at ${offset} is ${records.code}`
      for (const bytes of isRefusal(records) ? [] : records) {
        const found = judge(bytes.slice())
        if (found === undefined || !found.honest) this.damage ??= `the commit at ${offset}`
        else this.commits.set(found.id, found.commit)
      }
      if (kind === frameKinds.entry) {
        const entry = readStoredEntry(payload)
        if (entry === undefined) this.damage ??= `the entry at ${offset}`
        else this.#keep(entry)
      }
    }
    return this
  }

  #keep(entry: StoredEntry): void {
    this.entries.set(entry.n, entry)
    this.entryIds.add(entry.id)
    for (const [chain, head] of entry.moved) {
      const before = this.covered.get(chain)
      if (before === undefined || before.seq < head.seq) this.covered.set(chain, head)
    }
  }

  has(id: string): boolean {
    return this.#current().commits.has(id) || this.refresh().commits.has(id)
  }

  hasEntry(id: string): boolean {
    return this.#current().entryIds.has(id) || this.refresh().entryIds.has(id)
  }

  /** Whether a stored checkpoint covers a stored commit. */
  covers(id: string): boolean {
    const covered = (): boolean => {
      const commit = this.commits.get(id)
      if (commit === undefined) return false
      const head = this.covered.get(commit.chain)
      return head !== undefined && head.seq >= commit.seq
    }
    this.#current()
    if (covered()) return true
    this.refresh()
    return covered()
  }
}
