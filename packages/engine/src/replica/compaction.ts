/**
 * Drops what is older than the offline window out of a device's log: what a checkpoint of the authority covers that is older than it. In its place the
 * log holds what the items came to there (`floor.ts`). The authority keeps everything.
 *
 * An item whose history is not as simple as its value keeps it: one with something that does not count, or that has changes side by side there, or to
 * which somebody wrote later without having seen all of it. So do chains that were forked. What was dropped is for ever what it was: a checkpoint
 * covers it, nothing is voided behind that, and its ids are in what builds on it. What was laid of items whose schema this app does not know stays as it
 * is.
 *
 * What this replica has in memory stays there until it opens the repository again.
 */
import { concatBytes } from '../bytes/bytes.ts'
import { crc32c } from '../bytes/crc32c.ts'
import type { Change, Commit } from '../commit/commit.ts'
import { RowWriter } from '../graph/logged.ts'
import { type LaidItem, lay, layItem } from '../merge/floor.ts'
import { MergedItem } from '../merge/item.ts'
import { firstItem, type MergedItems } from '../merge/items.ts'
import { blockItems, keyHash, type RestoredItem } from '../merge/shelf.ts'
import type { StoredItem } from '../merge/stored.ts'
import { encodeItems } from '../merge/storing.ts'
import type { Compacted } from './cleaning.ts'
import type { Counting } from './counting.ts'
import { floorFrames } from './floor.ts'
import type { Pipeline } from './pipeline.ts'
import { encodeSnapshotEnd, type SnapshotEnd, snapshotStart } from './snapshot.ts'

/** Changes and commits that are looked at in one go, before others have their turn. */
const atOnce = 512

export class Compaction {
  readonly #pipeline: Pipeline
  readonly #counting: Counting
  readonly #rest: () => Promise<void>
  readonly #recounts: number
  /** By chain, the place up to which its commits go. */
  readonly #floors = new Map<string, number>()
  /** The last commit of each. */
  readonly #heads: string[] = []
  /** Numbers of what is still named. */
  readonly #numbers = new Map<string, number>()
  /** By schema and key, the last commit that goes. */
  readonly #laid = new Map<string, Map<string, { readonly id: string; readonly clock: number }>>()
  /** Covered, and needed by what cannot be dropped. */
  readonly #kept: Commit[] = []
  #looked = 0

  /** `n`: the checkpoint behind which everything goes. `rest`: lets others have their turn. */
  constructor(pipeline: Pipeline, counting: Counting, n: number, rest: () => Promise<void>) {
    this.#pipeline = pipeline
    this.#counting = counting
    this.#rest = rest
    this.#recounts = counting.recounts
    const { commits, log } = pipeline
    const covered = new Map<string, { readonly seq: number; readonly id: string }>()
    for (const { statement } of log.entries.slice(0, n + 1))
      if (statement.kind === 'checkpoint') for (const head of statement.moved) covered.set(head.chain, head)
    for (const [chain, { seq, id }] of covered) {
      if (commits.headsOf(chain).length !== 1 || !commits.has(id) || seq < commits.floorOf(chain)) continue
      this.#floors.set(chain, seq)
      this.#heads.push(id)
    }
    // What was dropped once stays dropped.
    for (const [chain, id] of commits.floorHeads()) {
      if (this.#floors.has(chain)) continue
      this.#floors.set(chain, commits.floorOf(chain))
      this.#heads.push(id)
    }
  }

  /** Of all commits that are here, the bytes of their records that would go, at most, and did not before. */
  get part(): { readonly goes: number; readonly all: number } {
    const { commits } = this.#pipeline
    let [goes, all] = [0, 0]
    for (let index = commits.dropped; index < commits.size; index++) {
      const standing = commits.standingAt(index)
      if (standing === undefined) continue
      all += standing.bytes
      if (!commits.isBelowFloor(standing) && this.#covers(standing)) goes += standing.bytes
    }
    return { goes, all }
  }

  #covers({ chain, seq }: Pick<Commit, 'chain' | 'seq'>): boolean {
    return seq <= (this.#floors.get(chain) ?? -1)
  }

  /** Undefined where something came between. */
  async make(): Promise<Compacted | undefined> {
    const { commits } = this.#pipeline
    const parts: Uint8Array[] = [snapshotStart]
    const shelves: { schemaHash: string; hashes: number[]; lengths: number[] }[] = []
    for (const [schemaHash, items] of this.#items()) {
      const laid = new Map<string, { readonly id: string; readonly clock: number }>()
      this.#laid.set(schemaHash, laid)
      const [hashes, lengths]: [number[], number[]] = [[], []]
      let block: StoredItem[] = []
      const end = (): void => {
        if (block.length === 0) return
        const bytes = encodeItems(block, (id) => [this.#numbers.get(id) ?? -1])
        lengths.push(bytes.length)
        parts.push(bytes)
        block = []
      }
      for (const [key, item] of items) {
        if (item === undefined) continue
        const changes = item.commits.map((id) => this.#number(id))
        block.push({ key, changes, heads: [changes.length - 1], state: item.state })
        hashes.push(keyHash(key))
        laid.set(key, { id: item.commits.at(-1) ?? '', clock: item.clock })
        if (block.length === blockItems) end()
        await this.#restAfter(changes.length)
        if (this.#counting.recounts !== this.#recounts) return undefined
      }
      end()
      shelves.push({ schemaHash, hashes, lengths })
    }
    const size = commits.size
    for (let index = commits.dropped; index < size; index++) {
      const standing = commits.standingAt(index)
      const commit = standing !== undefined && this.#covers(standing) ? commits.at(index) : undefined
      if (commit !== undefined && !this.#isAllLaid(commit)) this.#kept.push(commit)
      await this.#restAfter(1)
    }
    for (const id of this.#heads) this.#number(id)
    const rows = new RowWriter(this.#numbers.size)
    let clock = 0
    for (const id of this.#numbers.keys()) {
      const row = commits.droppedRow(id)
      if (row === undefined) return undefined
      rows.add(row)
      clock = Math.max(clock, row.clock)
    }
    this.#compared = size
    const fits = (): boolean =>
      this.#counting.recounts === this.#recounts &&
      !this.#isBuiltBeside() &&
      !this.#counting.isBesideFloor &&
      !this.#isAwaited()
    if (!fits()) return undefined
    const end = { ...nothingElse, clock, ...rows.take(this.#floors), shelves }
    const before = parts.reduce((checksum, part) => crc32c(part, checksum), 0)
    return {
      floor: floorFrames(concatBytes(...parts, encodeSnapshotEnd(end, before))),
      kept: this.#kept,
      isCovered: (id) => this.#isCovered(id),
      fits,
      isBuiltBeside: () => this.#isBuiltBeside(),
    }
  }

  /** So much was looked at. */
  async #restAfter(looked: number): Promise<void> {
    this.#looked += looked
    if (this.#looked < atOnce) return
    this.#looked = 0
    await this.#rest()
  }

  /** By schema, all items and what is left of them. */
  *#items(): Generator<
    readonly [schemaHash: string, items: Iterable<readonly [key: string, item: LaidItem | undefined]>]
  > {
    for (const [schemaHash, items] of [...this.#counting.items]) yield [schemaHash, this.#layAll(schemaHash, items)]
    for (const [schemaHash, floors] of this.#counting.unknownFloors()) yield [schemaHash, allLaidBefore(floors)]
  }

  *#layAll(schemaHash: string, items: MergedItems): Generator<readonly [key: string, item: LaidItem | undefined]> {
    // Of these not all changes are in the value: what is to count later has to be there then.
    const waiting = new Set<string>()
    for (const { changes } of this.#counting.waiting.values())
      for (const { key, schema } of changes) if (schema.hash === schemaHash) waiting.add(key)
    const all: [key: string, held: MergedItem | Commit | number][] = []
    items.each((key, held) => all.push([key, held]))
    for (const [key, held] of all) {
      const item = waiting.has(key) ? undefined : this.#lay(key, held, items)
      yield [key, item ?? laidBefore(items.floorOf(key))]
    }
  }

  /** Whether something cannot count yet that would be taken for one of the changes that go: another version of the app may count it. */
  #isAwaited(): boolean {
    const { isFull, waiting } = this.#counting
    for (const { commit, changes } of waiting.values())
      for (const { key, schema } of changes)
        if (commit.clock <= (this.#laid.get(schema.hash)?.get(key)?.clock ?? -1)) return true
    return isFull
  }

  #isCovered(id: string): boolean {
    const row = this.#pipeline.commits.row(id)
    return row !== undefined && this.#covers(row)
  }

  #number(id: string): number {
    const number = this.#numbers.get(id) ?? this.#numbers.size
    this.#numbers.set(id, number)
    return number
  }

  #isAllLaid({ changes, clock }: Commit): boolean {
    return changes.every(({ key, schema: { hash } }) => clock <= (this.#laid.get(hash)?.get(key)?.clock ?? -1))
  }

  /** What is left of the item; undefined where nothing of it goes. */
  #lay(key: string, held: MergedItem | Commit | number, items: MergedItems): LaidItem | undefined {
    const isCovered = (id: string): boolean => this.#isCovered(id)
    if (typeof held === 'number') {
      const restored = items.shelf?.at(held)
      const [head, ...others] = restored?.heads ?? []
      if (restored === undefined || head === undefined) return undefined
      const { commits } = this.#pipeline
      const isAll = restored.stored.changes.every((number) => isCovered(commits.idAt(number) ?? ''))
      if (isAll && others.length === 0) return lay(restored.state, restored.nameOf(head))
      return layItem(items.open(key), isCovered)
    }
    if (held instanceof MergedItem) return layItem(held, isCovered)
    const change = held.changes.find((one) => one.key === key)
    if (change === undefined || !isCovered(held.id)) return undefined
    return lay(firstItem(held, change, items.schema).value(), held)
  }

  /** How many commits were looked at, and whether one of them was built beside what goes. */
  #compared = 0
  #hasBeside = false

  #isBuiltBeside(): boolean {
    const { commits } = this.#pipeline
    for (; !this.#hasBeside && this.#compared < commits.size; this.#compared++)
      this.#hasBeside = commits.at(this.#compared)?.changes.some((change) => this.#isBeside(change)) === true
    return this.#hasBeside
  }

  #isBeside({ key, parents, schema }: Change): boolean {
    const last = this.#laid.get(schema.hash)?.get(key)
    if (last === undefined) return false
    const { commits } = this.#pipeline
    return parents.length === 0 || parents.some((id) => id !== last.id && (commits.row(id)?.clock ?? 0) <= last.clock)
  }
}

/** What was laid once stays so: what came since stays as well. */
const laidBefore = (floor: RestoredItem | undefined): LaidItem | undefined => {
  if (floor === undefined) return undefined
  const commits = Array.from({ length: floor.size }, (_, index) => floor.nameOf(index).id)
  return { commits, clock: floor.last.clock, state: floor.state }
}

function* allLaidBefore(
  floors: Iterable<readonly [key: string, floor: RestoredItem]>,
): Generator<readonly [key: string, item: LaidItem | undefined]> {
  for (const [key, floor] of floors) yield [key, laidBefore(floor)]
}

/** A floor is of no log and of no app. */
const nothingElse: Omit<SnapshotEnd, 'clock' | 'ids' | 'columns' | 'shelves'> = {
  app: new Uint8Array(32),
  size: 0,
  checksum: 0,
  root: undefined,
  layout: new Uint8Array(0),
  odd: [],
}
