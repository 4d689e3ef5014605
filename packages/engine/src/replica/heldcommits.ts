/** What a repository holds, as reconciliation sees it: only what is durable. */
import { fromHex, putHex } from '../bytes/bytes.ts'
import { encode } from '../bytes/cbor.ts'
import { fingerprint } from '../sync/fingerprint.ts'
import type { Held } from '../sync/held.ts'
import { type Entries, encodeMessage, prefixBytes } from '../sync/message.ts'
import type { Runtime } from './ports.ts'
import type { Repository } from './repository.ts'

export class HeldCommits implements Held {
  readonly #repository: Repository
  readonly #runtime: Runtime
  #fingerprint: Uint8Array | undefined
  #fingerprinted = -1
  readonly #digests = new Map<string, readonly [number, number]>()
  /** Hashes of whole blocks of ids, each over the one before. */
  readonly #blocks: Uint8Array[] = []

  constructor(repository: Repository, runtime: Runtime) {
    this.#repository = repository
    this.#runtime = runtime
  }

  get #commits() {
    return this.#repository.pipeline.commits
  }

  heads() {
    return this.#commits.heads()
  }

  headsOf(chain: string) {
    return this.#commits.headsOf(chain)
  }

  count(): number {
    return this.#commits.size
  }

  digest(chain: string): readonly [number, number] {
    let digest = this.#digests.get(chain)
    if (digest === undefined) {
      const view = new DataView(this.#runtime.hash(fromHex(chain)).slice(0, 8).buffer)
      digest = [view.getUint32(0, true), view.getUint32(4, true)]
      this.#digests.set(chain, digest)
    }
    return digest
  }

  /** Chains with commits that no checkpoint covers, or of which what is covered is not here. */
  moved(): number {
    const { log } = this.#repository.pipeline
    const moved = new Set(log.covered.keys())
    for (const { chain, id } of this.heads()) {
      if (log.covered.get(chain)?.id === id) moved.delete(chain)
      else moved.add(chain)
    }
    return moved.size
  }

  placeOf(id: string) {
    return this.#commits.row(id)
  }

  floorOf(chain: string): number {
    return this.#commits.floorOf(chain)
  }

  isDropped(id: string): boolean {
    return this.#commits.isDropped(id)
  }

  builtOn(id: string): readonly string[] {
    const commit = this.#commits.get(id)
    if (commit === undefined) return []
    const parents = commit.changes.flatMap((change) => change.parents)
    return commit.prev === null ? parents : [commit.prev, ...parents]
  }

  /** The chain of a commit, and none where it has more than one branch. */
  linearChainOf(id: string): string | undefined {
    const chain = this.#commits.row(id)?.chain
    return chain === undefined || this.#commits.headsOf(chain).length > 1 ? undefined : chain
  }

  prefixHash(place: number): Uint8Array | undefined {
    if (place > this.count()) return undefined
    const hash = (before: Uint8Array, from: number, to: number): Uint8Array => {
      const bytes = new Uint8Array(32 * (1 + to - from))
      bytes.set(before)
      for (let index = from; index < to; index++) {
        const id = this.#commits.idAt(index)
        if (id !== undefined) putHex(id, bytes, 32 * (1 + index - from))
      }
      return this.#runtime.hash(bytes)
    }
    const whole = Math.floor(place / blockIds)
    for (let block = this.#blocks.length; block < whole; block++)
      this.#blocks.push(hash(this.#blocks.at(-1) ?? noBlock, block * blockIds, (block + 1) * blockIds))
    return hash(this.#blocks[whole - 1] ?? noBlock, whole * blockIds, place).slice(0, prefixBytes)
  }

  has(id: string): boolean {
    return this.#commits.has(id)
  }

  previous(id: string): string | undefined {
    const row = this.#commits.row(id)
    return row === undefined || row.prev === null || this.#commits.isBelowFloor(row) ? undefined : row.prev
  }

  vouchers(id: string): readonly string[] {
    return this.#commits.vouchersOf(id)
  }

  arrivalIndex(id: string): number {
    return this.#commits.indexOf(id)
  }

  arrival(from: number, limit: number): readonly string[] {
    const ids: string[] = []
    for (let index = from; ids.length < limit; index++) {
      const id = this.#commits.idAt(index)
      if (id === undefined) break
      ids.push(id)
    }
    return ids
  }

  size(id: string): number {
    const row = this.#commits.row(id)
    return row === undefined ? 0 : this.#commits.lengthOf(id) + 8 + (row.seq === 0 ? certificateRoom : 0)
  }

  fingerprint(): Uint8Array {
    const size = this.#commits.size
    if (this.#fingerprint === undefined || this.#fingerprinted !== size) {
      this.#fingerprint = fingerprint(this.heads(), (bytes) => this.#runtime.hash(bytes))
      this.#fingerprinted = size
    }
    return this.#fingerprint
  }

  get #durable() {
    const { log, durableEntries } = this.#repository.pipeline
    return { entries: log.entries, durableEntries }
  }

  logPosition() {
    const { entries, durableEntries } = this.#durable
    const last = entries[durableEntries - 1]
    return last === undefined ? undefined : { epoch: last.epoch, n: last.n, hash: last.id }
  }

  epochAfter(epoch: number) {
    const start = this.#repository.pipeline.log.startAfter(epoch)
    return start !== undefined && start < this.#durable.durableEntries ? start : undefined
  }

  logHash(n: number): string | undefined {
    const { entries, durableEntries } = this.#durable
    const entry = n < durableEntries ? entries[n] : undefined
    return entry?.id
  }

  #lastEntries: { readonly message: Entries; readonly encoded: Uint8Array } | undefined

  /** Encoded, since what the log grew by goes to every channel. */
  encoded(message: Entries): Uint8Array {
    const last = this.#lastEntries
    const isSame =
      last?.message.from === message.from &&
      last.message.entries.length === message.entries.length &&
      last.message.entries.every((entry, index) => entry === message.entries[index])
    if (isSame) return last.encoded
    const encoded = encode(encodeMessage(message))
    // Of a whole log no copy is kept.
    if (message.entries.length === 1) this.#lastEntries = { message, encoded }
    return encoded
  }

  entriesFrom(n: number): readonly Uint8Array[] {
    const { entries, durableEntries } = this.#durable
    return entries.slice(n, durableEntries).map((entry) => entry.bytes)
  }
}

/** Ids hashed at once for the hash of a prefix. */
const blockIds = 1_024
const noBlock = new Uint8Array(32)

/** Bytes a certificate takes in a message, at most. */
const certificateRoom = 1_024
