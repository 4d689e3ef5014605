/**
 * Makes the snapshots of one repository: when its log has grown by a quarter since the last one and nothing is on the road, and when it is
 * closed. What is stored is one moment: whatever changes while it is written is left out of it and counted again by whoever opens it. A
 * snapshot that fails is none: nothing depends on it.
 */
import { concatBytes, equalBytes } from '../bytes/bytes.ts'
import { crc32c } from '../bytes/crc32c.ts'
import { limits } from '../bytes/limits.ts'
import { type Commit, clockTicks } from '../commit/commit.ts'
import { RowWriter } from '../graph/logged.ts'
import { MergedItem } from '../merge/item.ts'
import { firstItem, type MergedItems } from '../merge/items.ts'
import { blockItems, keyHash, RestoredItem, type Shelf } from '../merge/shelf.ts'
import type { StoredItem } from '../merge/stored.ts'
import { encodeItems } from '../merge/storing.ts'
import type { Counting } from './counting.ts'
import type { Host } from './host.ts'
import type { Pipeline } from './pipeline.ts'
import type { File, Files } from './ports.ts'
import { Rests } from './rests.ts'
import { encodeSnapshotEnd, type OddCommit, readSnapshot, type Snapshot, snapshotStart } from './snapshot.ts'

/** A log that grew by fewer bytes is read again about as quickly as a snapshot. */
export const leastGrowth = 65_536
/** By this part of that when it is closed, and nobody waits. */
const closingFraction = 16
/** Of a large log a snapshot is made when so much of it is new. */
const fraction = 4
/** After the last append, ms. */
const quiet = 2_000
/** So many items, or commits, are worked on before others have their turn. */
const [itemsAtOnce, commitsAtOnce] = [4 * blockItems, 4_096]
const mostRead = 16_777_216

const snapshotName = (log: string): string => `${log}.snapshot`

type Held = MergedItem | Commit | number

type Surroundings = Pick<Host, 'app' | 'clock' | 'isBehind' | 'lasting' | 'root' | 'runtime' | 'snapshotFrom'>

/** The items of one schema at one moment. */
interface View {
  readonly schemaHash: string
  readonly items: MergedItems
  /** Of the places that are held. */
  readonly shelf: Shelf | undefined
  /** Undefined where a place on the shelf is held. */
  readonly keys: readonly (string | undefined)[]
  readonly held: readonly Held[]
  /** How many changes each had. */
  readonly sizes: readonly number[]
}

const viewOf = (schemaHash: string, items: MergedItems): View => {
  const keys: (string | undefined)[] = []
  const held: Held[] = []
  const sizes: number[] = []
  items.eachPlace((one, key) => {
    keys.push(key)
    held.push(one)
    sizes.push(one instanceof MergedItem ? one.size : 1)
  })
  return { schemaHash, items, shelf: items.shelf, keys, held, sizes }
}

export class Snapshots {
  readonly #host: Surroundings
  readonly #pipeline: Pipeline
  readonly #counting: Counting
  #files: Files | undefined
  #name = ''
  /** The log up to where the last one was made of. */
  #covered = 0
  #cancel: (() => void) | undefined
  #writing: Promise<void> | undefined
  /** How often all that was made of the log had to go. */
  #discarded = 0
  readonly #rests: Rests

  constructor(host: Surroundings, pipeline: Pipeline, counting: Counting) {
    this.#host = host
    this.#rests = new Rests(host.runtime)
    this.#pipeline = pipeline
    this.#counting = counting
  }

  /** Where they are: beside the log of that name. */
  in(files: Files, log: string): void {
    this.#files = files
    this.#name = snapshotName(log)
  }

  /** The one that is stored, if it is of this app and of what the root log says. */
  async load(): Promise<Snapshot | undefined> {
    const snapshot = await this.#read().catch(() => undefined)
    const { app, root } = this.#host
    if (snapshot === undefined || !equalBytes(snapshot.app, app)) return undefined
    return snapshot.root === undefined || root.holds(snapshot.root) ? snapshot : undefined
  }

  async #read(): Promise<Snapshot | undefined> {
    const file = await this.#files?.open(this.#name, false)
    if (file === undefined) return undefined
    try {
      const [size, first] = await Promise.all([file.size(), file.read(0, mostRead)])
      if (first.length === size) return readSnapshot(first)
      const bytes = new Uint8Array(size)
      for (let at = 0; at < bytes.length; ) {
        const piece = await file.read(at, Math.min(mostRead, bytes.length - at))
        if (piece.length === 0) return undefined
        bytes.set(piece, at)
        at += piece.length
      }
      return readSnapshot(bytes)
    } finally {
      // Nobody has to wait for it.
      file.close().catch(ignore)
    }
  }

  /** The log was opened by one that reaches so far. */
  used({ size }: Pick<Snapshot, 'size'>): void {
    this.#covered = size
  }

  /** Of a copy in memory, or of what another replica of this device keeps, nobody ever opens one. */
  get #isWanted(): boolean {
    return this.#host.lasting && !this.#host.isBehind
  }

  /** Something was stored. */
  stored(): void {
    const { layout } = this.#pipeline
    if (this.#rests.isOver || layout === undefined || this.#cancel !== undefined || !this.#isWanted) return
    if (layout.end - this.#covered < Math.max(this.#host.snapshotFrom, this.#covered / fraction)) return
    this.#cancel = this.#host.runtime.timer(quiet, () => {
      this.#cancel = undefined
      if (this.#pipeline.stored === undefined) return this.stored()
      void this.#write()
    })
  }

  /** All that was made of the log goes, also what is being made of it. Rejects with a `StorageError`. */
  async discard(): Promise<void> {
    this.#discarded++
    this.#covered = 0
    await this.#writing
    const files = this.#files
    const file = await files?.open(this.#name, false)
    if (files === undefined || file === undefined) return
    try {
      // A removal whose sync failed may come back, and then brings an empty file.
      await file.truncate(0)
      await file.sync()
    } finally {
      await file.close().catch(ignore)
    }
    await files.remove(this.#name)
  }

  /** The log is closed. `keeps`: whether what is stored stays. */
  async close(keeps: boolean): Promise<void> {
    this.#rests.end()
    this.#cancel?.()
    await this.#writing
    const { stored } = this.#pipeline
    if (!keeps || !this.#isWanted || stored === undefined) return
    if (
      stored.layout.end - this.#covered >=
      Math.max(this.#host.snapshotFrom / closingFraction, this.#covered / fraction)
    )
      await this.#write()
  }

  #write(): Promise<void> {
    const files = this.#files
    if (files === undefined || this.#writing !== undefined) return this.#writing ?? Promise.resolve()
    this.#writing = this.#store(files)
      .catch(ignore)
      .finally(() => {
        this.#writing = undefined
      })
    return this.#writing
  }

  async #store(files: Files): Promise<void> {
    const made = new Making(this.#host, this.#pipeline, this.#counting)
    if (!made.isPossible) return
    const discarded = this.#discarded
    const file = await files.open(this.#name, true)
    if (file === undefined) return
    // The one that is stored stays in use until all of the next is there.
    let [isChanged, isWhole] = [(await file.size()) === 0, false]
    try {
      const bytes = await made.encode(async () => {
        await this.#rests.rest()
        return discarded === this.#discarded
      })
      if (bytes === undefined || discarded !== this.#discarded) return
      isChanged = true
      await file.truncate(0)
      await writeAll(file, bytes)
      await file.sync()
      isWhole = discarded === this.#discarded
    } finally {
      await file.close().catch(ignore)
      if (isChanged && !isWhole) await files.remove(this.#name)
      if (isChanged) await files.syncNames()
      if (isWhole) this.#covered = made.size
    }
  }
}

/** One snapshot, from the moment at which this is made. */
class Making {
  readonly size: number
  readonly isPossible: boolean
  readonly #host: Pick<Host, 'app' | 'clock' | 'root'>
  readonly #pipeline: Pipeline
  readonly #counting: Counting
  readonly #layout: Uint8Array
  readonly #checksum: number
  readonly #root: Snapshot['root']
  readonly #recounts: number
  readonly #count: number
  readonly #views: readonly View[]
  readonly #odd = new Map<number, Set<number>>()

  constructor(host: Pick<Host, 'app' | 'clock' | 'root'>, pipeline: Pipeline, counting: Counting) {
    this.#host = host
    this.#pipeline = pipeline
    this.#counting = counting
    const { stored } = pipeline
    this.isPossible = stored !== undefined && !counting.isFull
    this.size = stored?.layout.end ?? 0
    this.#layout = stored?.layout.encode() ?? new Uint8Array(0)
    this.#checksum = stored?.checksum ?? 0
    this.#root = host.root.position ?? undefined
    this.#recounts = counting.recounts
    this.#count = pipeline.commits.size
    this.#views = this.isPossible ? [...counting.items].map(([hash, items]) => viewOf(hash, items)) : []
    for (const [id, { changes }] of counting.waiting)
      for (const { key, schema } of changes) this.#addOdd(id, key, schema.hash)
  }

  /** Undefined where it became something that no moment was like. `rest` is called between pieces of the work, and says whether it is wanted still. */
  async encode(rest: () => Promise<boolean>): Promise<Uint8Array | undefined> {
    const parts: Uint8Array[] = [snapshotStart]
    const { commits } = this.#pipeline
    const shelves: { schemaHash: string; hashes: number[]; lengths: number[] }[] = []
    for (const view of this.#views) {
      const [hashes, lengths]: [number[], number[]] = [[], []]
      let block: StoredItem[] = []
      const end = (): void => {
        if (block.length === 0) return
        const bytes = encodeItems(block, (id) => [commits.indexOf(id), commits.droppedIndexOf(id)])
        lengths.push(bytes.length)
        block = []
        parts.push(bytes)
      }
      for (let place = 0; place < view.held.length; place++) {
        if (place % itemsAtOnce === 0 && !(await rest())) return undefined
        if (this.#counting.recounts !== this.#recounts) return undefined
        const item = this.#itemAt(view, place)
        if (item === undefined) continue
        block.push(item)
        hashes.push(keyHash(item.key))
        if (block.length === blockItems) end()
      }
      end()
      shelves.push({ schemaHash: view.schemaHash, hashes, lengths })
    }
    const rows = new RowWriter(this.#count)
    let clock = 0
    const latest = (this.#host.clock.now() + limits.clockAhead) * clockTicks
    for (let index = 0; index < this.#count; index++) {
      const row = commits.loggedRow(index)
      if (row === undefined) return undefined
      rows.add(row)
      if (row.clock <= latest) clock = Math.max(clock, row.clock)
      if (index % commitsAtOnce === commitsAtOnce - 1 && !(await rest())) return undefined
    }
    const odd: OddCommit[] = [...this.#odd]
      .sort(([a], [b]) => a - b)
      .map(([number, changes]) => ({ number, changes: [...changes].sort((a, b) => a - b) }))
    if (this.#counting.recounts !== this.#recounts) return undefined
    const { app } = this.#host
    const [size, checksum, root, layout] = [this.size, this.#checksum, this.#root, this.#layout]
    const end = { app, size, checksum, root, clock, layout, ...rows.take(commits.floors), shelves, odd }
    const before = parts.reduce((sum, part) => crc32c(part, sum), 0)
    return concatBytes(...parts, encodeSnapshotEnd(end, before))
  }

  /** The item as it was, undefined where it has to be counted again. */
  #itemAt({ shelf, items, keys, held, schemaHash, sizes }: View, place: number): StoredItem | undefined {
    const one = held[place]
    if (typeof one === 'number') return shelf?.stored(one)
    const key = keys[place]
    if (one === undefined || key === undefined) return undefined
    if (!(one instanceof MergedItem)) return this.#firstOf(one, key, items)
    const size = sizes[place] ?? 0
    if (size === 0) return undefined
    if (one.restored instanceof RestoredItem) return one.restored.stored
    const { nodes } = one.graph
    const changes: number[] = [...one.floorCommits]
    for (let index = changes.length; index < size; index++) changes.push(this.#numberOf(nodes[index]?.id ?? ''))
    if (one.isPlain && one.size === size && !changes.includes(-1))
      return { key, changes, heads: one.headsNow, state: one.value() }
    for (const { id } of nodes.slice(one.dropped, size)) this.#addOdd(id, key, schemaHash)
    return undefined
  }

  #firstOf(commit: Commit, key: string, { schema }: MergedItems): StoredItem | undefined {
    const number = this.#numberOf(commit.id)
    const change = commit.changes.find((one) => one.key === key)
    if (number < 0 || change === undefined) return undefined
    return { key, changes: [number], heads: onlyFirst, state: firstItem(commit, change, schema).value() }
  }

  /** Its place among the commits of that moment, -1 for none. */
  #numberOf(id: string): number {
    const index = this.#pipeline.commits.indexOf(id)
    return index < this.#count ? index : -1
  }

  #addOdd(id: string, key: string, schemaHash: string): void {
    const number = this.#numberOf(id)
    const commit = number < 0 ? undefined : this.#pipeline.commits.at(number)
    const place = commit?.changes.findIndex((one) => one.key === key && one.schema.hash === schemaHash) ?? -1
    if (place >= 0) this.#odd.set(number, (this.#odd.get(number) ?? new Set()).add(place))
  }
}

const onlyFirst: readonly number[] = [0]

const writeAll = async (file: File, bytes: Uint8Array): Promise<void> => {
  for (let written = 0; written < bytes.length; ) {
    const count = await file.write(written, bytes.subarray(written))
    if (count <= 0) throw new Error('nothing was written')
    written += count
  }
}

const ignore = (): void => undefined
