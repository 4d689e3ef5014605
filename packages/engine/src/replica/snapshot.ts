/**
 * A snapshot: what opening a log came to, at one place in it, so that the next opening costs what is alive and not what ever happened. It is a
 * cache: it names the bytes of the log it was made of by length and checksum, and whatever does not fit is not used; then the log is read from
 * its beginning. Items of which all counts as it was meant are stored as merged values; of others the changes are listed, and counted again.
 *
 *     file    = "weft snapshot 2\n", block..., rest, length of the rest, CRC-32C of all before (4 bytes each, low byte first)
 *     rest    = app (32), length and checksum of the log, root entries, [id of the last (32)], latest clock, layout, ids, columns, shelves, odd
 *     shelves = count, (hash of the schema (32), items, hash of each key (4 each), blocks, length of each block...)...
 *     odd     = count, (commit - the odd one before, changes, place of each in the commit...)...
 *
 * Numbers are varints; what has no length of its own has it in front.
 */
import { concatBytes, encodeUtf8, equalBytes, fromHex, hexAt } from '../bytes/bytes.ts'
import { crc32c } from '../bytes/crc32c.ts'
import { Cursor } from '../bytes/cursor.ts'
import { Sink } from '../bytes/sink.ts'
import type { Position } from '../commit/commit.ts'
import { type CommitSource, LoggedCommits } from '../graph/logged.ts'
import { LogLayout } from '../log/layout.ts'
import { Shelf, type ShelfCommits } from '../merge/shelf.ts'

const hashBytes = 32

export interface StoredShelf {
  readonly schemaHash: string
  /** Of the keys, in the order of the items. */
  readonly hashes: Uint32Array
  readonly blocks: readonly Uint8Array[]
}

/** A commit with changes of items that are on no shelf. */
export interface OddCommit {
  readonly number: number
  /** Which of its changes. */
  readonly changes: readonly number[]
}

export interface Snapshot {
  /** What the app is, as far as it decides what counts. */
  readonly app: Uint8Array
  /** The log up to where it was made of. */
  readonly size: number
  readonly checksum: number
  /** The newest entry of the root log. */
  readonly root: Pick<Position, 'n' | 'hash'> | undefined
  /** The latest clock of all commits. */
  readonly clock: number
  readonly layout: Uint8Array
  readonly ids: Uint8Array
  readonly columns: Uint8Array
  readonly shelves: readonly StoredShelf[]
  readonly odd: readonly OddCommit[]
}

/** What a snapshot ends with, behind its blocks. */
export interface SnapshotEnd extends Omit<Snapshot, 'shelves'> {
  readonly shelves: readonly (Pick<StoredShelf, 'schemaHash'> & {
    readonly hashes: readonly number[]
    readonly lengths: readonly number[]
  })[]
}

export const snapshotStart = encodeUtf8('weft snapshot 2\n')

/** `checksum`: of all bytes before. */
export const encodeSnapshotEnd = (end: SnapshotEnd, checksumBefore: number): Uint8Array => {
  const { app, size, checksum, root, clock, layout, ids, columns, shelves, odd } = end
  const sink = new Sink(4_096 + layout.length + ids.length + columns.length)
  const part = (bytes: Uint8Array): void => {
    sink.varint(bytes.length)
    sink.put(bytes)
  }
  sink.put(app)
  sink.varint(size)
  sink.varint(checksum)
  sink.varint(root === undefined ? 0 : root.n + 1)
  if (root !== undefined) sink.put(fromHex(root.hash))
  sink.varint(clock)
  part(layout)
  part(ids)
  part(columns)
  sink.varint(shelves.length)
  for (const { schemaHash, hashes, lengths } of shelves) {
    sink.put(fromHex(schemaHash))
    sink.varint(hashes.length)
    for (const hash of hashes) putNumber(sink, hash)
    sink.varint(lengths.length)
    for (const length of lengths) sink.varint(length)
  }
  sink.varint(odd.length)
  let before = 0
  for (const { number, changes } of odd) {
    sink.varint(number - before)
    sink.varint(changes.length)
    for (const change of changes) sink.varint(change)
    before = number
  }
  putNumber(sink, sink.length)
  putNumber(sink, crc32c(sink.view(), checksumBefore))
  return sink.take()
}

const putNumber = (sink: Sink, value: number): void => {
  for (let shift = 0; shift < 32; shift += 8) sink.byte((value >>> shift) & 255)
}

const numberAt = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0

const isLittle = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

const numbersAt = (bytes: Uint8Array, from: number, count: number): Uint32Array => {
  if (isLittle) return new Uint32Array(bytes.slice(from, from + 4 * count).buffer)
  return Uint32Array.from({ length: count }, (_, at) => numberAt(bytes, from + 4 * at))
}

/** Undefined where these bytes are no snapshot. Parts of it are views of `bytes`. */
export const readSnapshot = (bytes: Uint8Array): Snapshot | undefined => {
  const start = snapshotStart.length
  const end = bytes.length - 8
  if (end < start || !equalBytes(bytes.subarray(0, start), snapshotStart)) return undefined
  if (numberAt(bytes, end + 4) !== crc32c(bytes.subarray(0, end + 4))) return undefined
  const rest = end - numberAt(bytes, end)
  if (rest < start) return undefined
  const cursor = new Cursor(bytes, rest, end)
  let block = start
  const take = (length: number): Uint8Array => {
    const from = cursor.skip(length)
    return cursor.bad ? bytes.subarray(0, 0) : bytes.subarray(from, from + length)
  }
  const part = (): Uint8Array => take(cursor.varint())
  const app = take(hashBytes)
  const size = cursor.varint()
  const checksum = cursor.varint()
  const entries = cursor.varint()
  const last = entries === 0 ? undefined : cursor.skip(hashBytes)
  const clock = cursor.varint()
  const [layout, ids, columns] = [part(), part(), part()]
  const shelves: StoredShelf[] = []
  for (let left = cursor.varint(); left > 0 && !cursor.bad; left--) {
    const schema = cursor.skip(hashBytes)
    const items = cursor.varint()
    const from = cursor.skip(4 * items)
    if (cursor.bad) return undefined
    const hashes = numbersAt(bytes, from, items)
    const blocks: Uint8Array[] = []
    for (let more = cursor.varint(); more > 0 && !cursor.bad; more--) {
      const to = block + cursor.varint()
      if (to > rest) return undefined
      blocks.push(bytes.subarray(block, to))
      block = to
    }
    shelves.push({ schemaHash: hexAt(bytes, schema, schema + hashBytes), hashes, blocks })
  }
  const odd: OddCommit[] = []
  let before = 0
  for (let left = cursor.varint(); left > 0 && !cursor.bad; left--) {
    before += cursor.varint()
    const changes: number[] = []
    for (let more = cursor.varint(); more > 0 && !cursor.bad; more--) changes.push(cursor.varint())
    odd.push({ number: before, changes })
  }
  if (cursor.bad || cursor.at !== end) return undefined
  const root = last === undefined ? undefined : { n: entries - 1, hash: hexAt(bytes, last, last + hashBytes) }
  return { app, size, checksum, root, clock, layout, ids, columns, shelves, odd }
}

/** What is restored from a snapshot. */
export interface Unpacked {
  readonly layout: LogLayout
  readonly commits: LoggedCommits
}

/** The layout and the commits; undefined where they do not fit each other. */
export const unpackSnapshot = (
  { layout: layoutBytes, ids, columns, size }: Snapshot,
  sourceOf: (layout: LogLayout, dropped: number) => CommitSource,
): Unpacked | undefined => {
  const layout = LogLayout.read(layoutBytes)
  if (layout === undefined || layout.end !== size) return undefined
  const commits = LoggedCommits.read(ids, columns, (dropped) => sourceOf(layout, dropped))
  return commits === undefined || commits.size !== commits.dropped + layout.commits ? undefined : { layout, commits }
}

/** The shelves of items, each by the hash of its schema. `floor`: those that stand in the place of dropped changes, where these are others. */
export const shelvesOf = (
  { shelves }: Pick<Snapshot, 'shelves'>,
  commits: ShelfCommits,
  floor?: () => ReadonlyMap<string, Shelf>,
): ReadonlyMap<string, Shelf> =>
  new Map(
    shelves.map(({ schemaHash, hashes, blocks }) => {
      const below = floor && (() => floor().get(schemaHash))
      return [schemaHash, new Shelf(blocks, hashes, commits, below)]
    }),
  )

/** What the app is, as far as it decides what counts: its schemas, by hash, and the text of its rules. */
export const appHash = (
  schemaHashes: Iterable<string>,
  rules: Iterable<readonly [version: number, set: readonly { kind: string; template: string; judge: unknown }[]]>,
  hash: (bytes: Uint8Array) => Uint8Array,
): Uint8Array => {
  const texts = [...schemaHashes].sort((a, b) => (a < b ? -1 : 1))
  for (const [version, set] of [...rules].sort(([a], [b]) => a - b))
    for (const { kind, template, judge } of set) texts.push(`${version} ${kind} ${template} ${String(judge)}`)
  return hash(concatBytes(...texts.map((text) => hash(encodeUtf8(text)))))
}
