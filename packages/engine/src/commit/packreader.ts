/**
 * The side that unpacks: bytes of strangers. It never throws, and what a pack unfolds to is bounded by `PackLimits` before it is
 * made. Several packs may stand for the same records, but a pack has one reading. Records come out as the pack says, canonical
 * or not: `readCommit` judges them; only the hashes of changes are right by construction. After a refusal the tables of the two sides
 * differ, so the reader refuses everything from then on: whoever owns the channel closes it.
 */
import { hexAt, toHex } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { headLength, Sink } from '../bytes/sink.ts'
import { clockTicks, type Hash } from './commit.ts'
import { chainName, type Policy, sharedPolicy } from './names.ts'
import { headerStart } from './outline.ts'
import { kind, lead, type PackContext, packVersion, type Unpacked } from './pack.ts'
import { ChangeReader } from './packchange.ts'
import { PackSource } from './packsource.ts'
import { type ChainEntry, PackTables, PassedId, type PositionEntry } from './packtable.ts'
import { type PlainChange, plainPosition } from './plain.ts'

/** What one pack may hold. */
export interface PackLimits {
  readonly commits: number
  /** Of all records together. */
  readonly bytes: number
}

/** A commit and its hashes, without content, may be as large as `readCommit` takes. */
const mostOfRecord = limits.commitBytes + limits.changes * 48

/** Of records that lie beside one another: little, where few come. */
const leastRoom = 512
const mostRoom = 4_096

export class PackReader {
  readonly #context: PackContext
  readonly #start: Uint8Array
  readonly #hash: Hash
  readonly #most: PackLimits
  readonly #source = new PackSource()
  readonly #changes: ChangeReader
  readonly #header = new Sink(512)
  /** Where records are put, one behind the other: bytes of its own for each would cost more than what is in them. */
  #records = new Sink(leastRoom)
  #state: 'new' | 'open' | 'broken' = 'new'
  /** The policy that was cited last. */
  #cited: Cited | undefined

  constructor(context: PackContext, hash: Hash, most: PackLimits) {
    const { network, repository } = context
    this.#context = { network, repository }
    this.#start = headerStart(network, repository)
    this.#hash = hash
    this.#most = most
    this.#changes = new ChangeReader(this.#source, hash)
  }

  /**
   * The records in order, in bytes that stay as they are and may lie beside one another, with their ids. `Malformed` when the bytes are no pack or do not follow the packs
   * before, `TooMany` and `TooLarge` when it holds more than it may.
   */
  unpack(pack: Uint8Array): Unpacked[] | Refusal {
    if (this.#state === 'broken') return refusal('Malformed', 'a pack after one that was refused')
    const read = this.#read(pack)
    if (isRefusal(read)) {
      this.#state = 'broken'
      this.#source.tables = new PackTables(false)
    }
    this.#source.cursor = noBytes
    return read
  }

  #read(pack: Uint8Array): Unpacked[] | Refusal {
    const source = this.#source
    const first = pack[0] ?? 0
    if (pack.length < 3 || first >> 1 !== packVersion) return refusal('Malformed', 'not a pack of this version')
    const isFresh = first % 2 === 1
    if (!isFresh && this.#state === 'new') return refusal('Malformed', 'a pack without the one that it builds on')
    if (isFresh && this.#state !== 'new') source.tables = new PackTables(false)
    this.#state = 'open'
    const cursor = new Cursor(pack, 1, pack.length - 2)
    source.cursor = cursor
    const records: Unpacked[] = []
    let left = this.#most.bytes
    while (cursor.at < cursor.end) {
      if (records.length >= this.#most.commits) return refusal('TooMany', `more than ${records.length} commits`)
      source.most = Math.min(left, mostOfRecord)
      const read = this.#next()
      if (read === undefined) {
        return source.isTooLarge
          ? refusal('TooLarge', 'unpacked commits')
          : refusal('Malformed', `commit ${records.length} of a pack`)
      }
      left -= read.bytes.length
      records.push(read)
    }
    const check = (pack[pack.length - 2] ?? 0) * 256 + (pack[pack.length - 1] ?? 0)
    return check === source.tables.check ? records : refusal('Malformed', 'a pack that does not follow the one before')
  }

  /** The next record; undefined where there is none. */
  #next(): Unpacked | undefined {
    const { cursor } = this.#source
    const flags = cursor.byte()
    if (flags < lead.other) return this.#plain(flags, false)
    const other = cursor.byte()
    if (other === kind.ext) return this.#plain(flags, true)
    return other === kind.whole && flags === lead.other ? this.#whole() : undefined
  }

  #whole(): Unpacked | undefined {
    const cursor = this.#source.cursor
    const length = cursor.varint()
    const from = cursor.skip(length)
    if (cursor.bad || !this.#source.hasRoom(length)) return undefined
    const bytes = cursor.bytes.slice(from, from + length)
    const inner = new Cursor(bytes)
    inner.expect(0x83)
    const headerLength = inner.head(2)
    const header = inner.skip(headerLength)
    if (inner.bad) return undefined
    const { id } = this.#passed(this.#hash(bytes.subarray(header, header + headerLength)))
    return { id, bytes, hashed: undefined, commit: undefined }
  }

  #plain(flags: number, isExtended: boolean): Unpacked | undefined {
    const cursor = this.#source.cursor
    const tables = this.#source.tables
    const header = this.#header
    header.clear()
    header.put(this.#start)
    const chain = (flags & lead.chain) === 0 ? tables.chain : this.#chain()
    if (chain === undefined) return undefined
    header.put(chain.bytes)
    const isJump = (flags & lead.jump) !== 0
    const seq = isJump ? this.#source.count() : chain.seq + 1
    const prev = isJump ? (seq === 0 ? undefined : this.#source.id()) : chain.last
    if (cursor.bad || seq > 0xffff_ffff || (prev === undefined) !== (seq === 0)) return undefined
    header.head(0, seq)
    if (prev === undefined) header.byte(0xf6)
    else header.hex(prev.id)
    const milliseconds = Math.floor(tables.clock / clockTicks) + cursor.signed()
    const ticks = (flags & lead.ticks) === 0 ? 0 : cursor.byte()
    const clock = milliseconds * clockTicks + ticks
    if (clock < 0 || clock > Number.MAX_SAFE_INTEGER || (ticks === 0 && (flags & lead.ticks) !== 0)) return undefined
    header.number(clock)
    if ((flags & lead.policy) !== 0) {
      tables.root = this.#position(cursor.varint())
      const authority = cursor.varint()
      tables.authority = authority === 0 ? undefined : this.#position(authority - 1)
      if (authority > 0 && tables.authority === undefined) return undefined
    }
    if (tables.root === undefined) return undefined
    header.byte(0x82)
    header.put(tables.root.bytes)
    if (tables.authority === undefined) header.byte(0xf6)
    else header.put(tables.authority.bytes)
    header.byte((flags & lead.atomic) === 0 ? 0 : 1)
    const extLength = isExtended ? cursor.varint() : 0
    const ext = cursor.skip(extLength)
    const signatureLength = (flags & lead.unsigned) === 0 ? 64 : 0
    const signature = cursor.skip(signatureLength)
    const count = (flags & lead.many) === 0 ? 1 : 2 + cursor.varint()
    if (cursor.bad || count > limits.changes || (isExtended && extLength < 2)) return undefined

    this.#changes.clear()
    const { changes } = this.#changes
    const first = this.#changes.take()
    if (first === undefined) return undefined
    const items = [first]
    for (let left = count - 1; left > 0; left--) {
      const item = this.#changes.take()
      if (item === undefined) return undefined
      items.push(item)
    }
    header.head(4, count)
    header.append(this.#changes.hashes)
    if (isExtended) header.put(cursor.bytes, ext, ext + extLength)
    else header.byte(0xa0)
    const head = header.view()
    const length = 1 + stringLength(head.length) + stringLength(signatureLength) + headLength(count) + changes.length
    if (!this.#source.hasRoom(length)) return undefined
    const sink = this.#roomFor(length)
    const from = sink.length
    sink.byte(0x83)
    sink.string(head)
    sink.string(cursor.bytes, signature, signature + signatureLength)
    sink.head(4, count)
    sink.append(changes)
    const last = this.#passed(this.#hash(head))
    for (const item of items) item.last = last
    chain.last = last
    chain.seq = seq
    tables.chain = chain
    tables.clock = clock
    const bytes = sink.view(from)
    const { id } = last
    const { read } = this.#changes
    const policy = this.#policy()
    const { session, incarnation } = chain
    const isUnread = isExtended || length > limits.commitBytes || read === undefined || policy === undefined
    if (
      isUnread ||
      session === undefined ||
      incarnation === undefined ||
      isTwice(read) ||
      this.#context.repository === ''
    )
      return { id, bytes, hashed: id, commit: undefined }
    const signedFrom = 1 + stringLength(head.length) + headLength(signatureLength)
    const commit = {
      network: this.#context.network,
      repository: this.#context.repository,
      session,
      incarnation,
      seq,
      prev: prev === undefined ? null : prev.id,
      clock,
      policy,
      atomic: (flags & lead.atomic) !== 0,
      extended: false,
      id,
      chain: chainName(session, incarnation),
      signature: signatureLength === 0 ? noSignature : bytes.subarray(signedFrom, signedFrom + signatureLength),
      changes: read,
      bytes,
    }
    return { id, bytes, hashed: id, commit }
  }

  /** What the commit cites, as it reads; undefined where no commit may. */
  #policy(): Policy | undefined {
    const { root, authority } = this.#source.tables
    if (this.#cited === undefined || this.#cited.root !== root || this.#cited.authority !== authority) {
      const isWhole = root?.position !== undefined && (authority === undefined || authority.position !== undefined)
      const policy = isWhole ? sharedPolicy(root.position, authority?.position ?? null) : undefined
      this.#cited = { root, authority, policy }
    }
    return this.#cited.policy
  }

  /** Somewhere to put so many bytes that nothing moves any more. */
  #roomFor(length: number): Sink {
    const records = this.#records
    if (length <= records.room) return records
    if (length > mostRoom / 4) return new Sink(length)
    this.#records = new Sink(Math.max(length, Math.min(mostRoom, 2 * (records.length + records.room))))
    return this.#records
  }

  #chain(): ChainEntry | undefined {
    const cursor = this.#source.cursor
    const { chains, sessions } = this.#source.tables
    const age = cursor.varint()
    if (age > 0) return chains.at(age)
    const sessionAge = cursor.varint()
    const session = sessionAge === 0 ? this.#session() : sessions.at(sessionAge)?.bytes
    const incarnation = cursor.skip(8)
    if (cursor.bad || session === undefined) return undefined
    const sink = new Sink(41)
    sink.put(session)
    sink.string(cursor.bytes, incarnation, incarnation + 8)
    const bytes = sink.take()
    const chain = {
      bytes,
      session: hexAt(bytes, 0, 32),
      incarnation: hexAt(bytes, 33, 41),
      last: undefined,
      seq: 0,
    }
    chains.add(chain)
    return chain
  }

  #session(): Uint8Array {
    const bytes = this.#source.copied(32)
    this.#source.tables.sessions.add({ bytes })
    return bytes
  }

  #position(age: number): PositionEntry | undefined {
    const { positions } = this.#source.tables
    if (age > 0) return positions.at(age)
    const sink = new Sink(46)
    sink.head(4, 3)
    sink.head(0, this.#source.count())
    sink.head(0, this.#source.count())
    const bytes = this.#source.endWithHash(sink)
    return this.#source.add(positions, { bytes, position: plainPosition(bytes) })
  }

  #passed(bytes: Uint8Array): PassedId {
    const entry = new PassedId(toHex(bytes))
    this.#source.tables.passed(entry, bytes)
    return entry
  }
}

/** Whether two changes are of one item. */
const isTwice = (changes: readonly PlainChange[]): boolean =>
  changes.length > 1 && new Set(changes.map(({ key }) => key)).size < changes.length

interface Cited {
  readonly root: PositionEntry | undefined
  readonly authority: PositionEntry | undefined
  readonly policy: Policy | undefined
}

const noSignature = new Uint8Array(0)
const noBytes = new Cursor(new Uint8Array(0))

/** Bytes that a byte string takes with its head. */
const stringLength = (length: number): number => headLength(length) + length
