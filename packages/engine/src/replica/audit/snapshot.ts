/**
 * A snapshot, compared with what its log says up to where it was made of: the columns of the commits, where they stand, and of each item which
 * changes it is of, which of them are heads, and what they merge to. Whatever is in no item has to be listed as odd, and an item has nothing in
 * it that the authority's logs end.
 *
 * Values are merged anew where the schema is at hand, and not compared without it. Whether the app's rules refuse what counts in an item
 * is not looked at: what the rules are the snapshot names by a hash alone.
 */
import { equalBytes } from '../../bytes/bytes.ts'
import { crc32c } from '../../bytes/crc32c.ts'
import type { Change, Commit } from '../../commit/commit.ts'
import { RowWriter } from '../../graph/logged.ts'
import type { FieldState } from '../../merge/fields.ts'
import { MergedItem } from '../../merge/item.ts'
import { keyHash, type RestoredItem, type Shelf } from '../../merge/shelf.ts'
import type { ItemState } from '../../merge/state.ts'
import type { StoredItem } from '../../merge/stored.ts'
import type { Schema } from '../../schema/schema.ts'
import type { RootLog } from '../rootlog.ts'
import { commitAt, shelfSource } from '../shelfsource.ts'
import { readSnapshot, type Snapshot, shelvesOf, snapshotStart } from '../snapshot.ts'
import type { Contents } from './repository.ts'

export interface SnapshotOf {
  /** The log, in which nothing is wrong. */
  readonly log: Uint8Array
  readonly root: Pick<RootLog, 'holds'>
  /** What the log says up to there. */
  contents(size: number): Promise<Contents>
  /** By the hash of its definition; undefined for what nobody gave. */
  schema(hash: string): Schema | undefined
  hash(schema: Schema): string
}

/** `wrong`: what it does not say as its log does. `unused`: why nobody would open the log from it, which is nothing wrong. */
export type Comparison = 'same' | { readonly wrong: string } | { readonly unused: string }

export const compareSnapshot = async (bytes: Uint8Array, of: SnapshotOf): Promise<Comparison> => {
  const snapshot = readSnapshot(bytes)
  if (snapshot === undefined) return whyNone(bytes)
  const { checksum, root, size } = snapshot
  if (size > of.log.length || crc32c(of.log.subarray(0, size)) !== checksum)
    return { unused: 'it is of another state of the log' }
  if (root !== undefined && !of.root.holds(root)) return { unused: 'it is of another state of the root log' }
  const wrong = new Comparing(snapshot, await of.contents(size), of).differs()
  return wrong === undefined ? 'same' : { wrong }
}

const unfinished: Comparison = { unused: 'it was not finished' }

/** What a crash leaves of one ends somewhere; what rotted is whole but for its checksum. */
const whyNone = (bytes: Uint8Array): Comparison => {
  const start = snapshotStart.length
  if (bytes.length <= start + 8) return unfinished
  if (!equalBytes(bytes.subarray(0, start), snapshotStart)) return { unused: 'it is of another version of Weft' }
  const mended = bytes.slice()
  const end = bytes.length - 4
  new DataView(mended.buffer).setUint32(end, crc32c(bytes.subarray(0, end)), true)
  return readSnapshot(mended) === undefined ? unfinished : { wrong: 'its bytes are not those that were written' }
}

/** Changes are looked for one by one in commits that have no more. */
const fewChanges = 8

class Comparing {
  readonly #snapshot: Snapshot
  readonly #contents: Contents
  readonly #of: SnapshotOf
  /** The first change of each commit among all changes; behind the last, how many there are. */
  readonly #firsts: Uint32Array
  /** The changes that are in an item or odd. */
  readonly #named: Uint8Array
  /** What does not count, as commit or as commit and key. */
  readonly #ended = new Set<string>()
  readonly #places = new WeakMap<Commit, ReadonlyMap<string, number>>()

  constructor(snapshot: Snapshot, contents: Contents, of: SnapshotOf) {
    this.#snapshot = snapshot
    this.#contents = contents
    this.#of = of
    const { commits, dead, waiting } = contents
    this.#firsts = new Uint32Array(commits.size + 1)
    for (let number = 0; number < commits.size; number++)
      this.#firsts[number + 1] = (this.#firsts[number] ?? 0) + this.#changesOf(number).length
    this.#named = new Uint8Array(this.#firsts[commits.size] ?? 0)
    for (const { commit, key } of [...dead, ...waiting]) this.#ended.add(key === null ? commit : `${commit} ${key}`)
  }

  /** What is to be found in an item or among what is odd: of dropped commits nothing, and nothing that stands in the floor. */
  #changesOf(number: number): readonly Change[] {
    const { commits } = this.#contents
    return number < commits.dropped ? [] : commitAt(commits, number).changes
  }

  differs(): string | undefined {
    try {
      return this.#commits() ?? this.#items() ?? this.#odd() ?? this.#rest()
    } catch (error) {
      // What the readers of blocks say of bytes that are none.
      if (error instanceof RangeError) return error.message
      throw error
    }
  }

  #commits(): string | undefined {
    const { commits, layout } = this.#contents
    const { clock, columns, ids, layout: where, size } = this.#snapshot
    if (layout.end !== size || !equalBytes(where, layout.encode())) return 'where the commits stand'
    const rows = new RowWriter(commits.size)
    let isTime = clock === 0
    for (let number = 0; number < commits.size; number++) {
      const row = commits.loggedRow(number)
      if (row === undefined) return `there is no commit ${number}`
      rows.add(row)
      isTime ||= row.clock === clock
    }
    const written = rows.take(commits.floors)
    if (!equalBytes(ids, written.ids)) return 'which commits there are'
    if (!equalBytes(columns, written.columns)) return 'what it has of the commits'
    return isTime ? undefined : 'its clock is that of no commit'
  }

  #items(): string | undefined {
    const { commits, floor, log } = this.#contents
    // By the engine's own code, whatever opening uses.
    const source = shelfSource(commits, log, undefined)
    if (floor !== undefined) this.#floor = shelvesOf(floor, source)
    this.#passFloor()
    const shelves = shelvesOf(this.#snapshot, source, () => this.#floor)
    if (shelves.size < this.#snapshot.shelves.length) return 'the items of a schema are named twice'
    for (const [index, [schemaHash, shelf]] of [...shelves].entries()) {
      const hashes = this.#snapshot.shelves[index]?.hashes
      const why = this.#shelf(schemaHash, shelf, hashes ?? new Uint32Array(0))
      if (why !== undefined) return why
    }
    return undefined
  }

  #floor: ReadonlyMap<string, Shelf> = new Map()

  /** What stayed of dropped commits for the sake of one item stands in the floor for the others. */
  #passFloor(): void {
    const { commits } = this.#contents
    for (let number = commits.dropped; number < commits.size && this.#floor.size > 0; number++) {
      const commit = commitAt(commits, number)
      if (!commits.isBelowFloor(commit)) continue
      for (const [place, { key, schema }] of commit.changes.entries()) {
        const floor = this.#floor.get(schema.hash)?.find(key)
        if (floor !== undefined && commit.clock <= floor.last.clock)
          this.#passed.add((this.#firsts[number] ?? 0) + place)
      }
    }
  }

  readonly #passed = new Set<number>()

  #shelf(schemaHash: string, shelf: Shelf, hashes: Uint32Array): string | undefined {
    const schema = this.#of.schema(schemaHash)
    for (let place = 0; place < shelf.size; place++) {
      const stored = shelf.stored(place)
      if (hashes[place] !== keyHash(stored.key)) return `item ${stored.key} cannot be found in it`
      const why = this.#item(stored, schemaHash) ?? (schema === undefined ? undefined : this.#value(stored, schema))
      if (why !== undefined) return `item ${stored.key}: ${why}`
    }
    return undefined
  }

  /** What takes no schema: which changes an item is of. */
  #item({ key, changes, heads }: StoredItem, schemaHash: string): string | undefined {
    const { commits, log } = this.#contents
    const nodes = new Map<string, number>()
    const tips = new Set<number>()
    const floor = this.#floorOf(changes, key, schemaHash)
    if (floor === 'another') return 'what stands in the place of its dropped changes'
    for (let node = 0; node < (floor?.size ?? 0); node++) {
      nodes.set(commits.idAt(changes[node] ?? -1) ?? '', node)
      tips.clear()
      tips.add(node)
    }
    for (const [node, number] of changes.entries()) {
      if (node < (floor?.size ?? 0)) continue
      const commit = commitAt(commits, number)
      const change = this.#take(number, commit, key, schemaHash)
      if (change === undefined) return `commit ${commit.id} does not change it, or is named twice`
      const isErased = change.erased || log.erasures.at(commit.id, key) !== undefined
      if (isErased || this.#ended.has(commit.id) || this.#ended.has(`${commit.id} ${key}`))
        return `the change of commit ${commit.id} does not count as it was made`
      for (const parent of change.parents) {
        const above = nodes.get(parent)
        if (above === undefined) return `commit ${commit.id} builds on ${parent}, which is not in it`
        tips.delete(above)
      }
      nodes.set(commit.id, node)
      tips.add(node)
    }
    const isSame = heads.length === tips.size && heads.every((head) => tips.has(head))
    return isSame ? undefined : 'its heads'
  }

  /** What stands in the place of its first changes, where these were dropped. */
  #floorOf(changes: readonly number[], key: string, schemaHash: string): RestoredItem | 'another' | undefined {
    const { dropped } = this.#contents.commits
    if ((changes[0] ?? dropped) >= dropped) return undefined
    const floor = this.#floor.get(schemaHash)?.find(key)
    const isSame = floor?.stored.changes.every((number, node) => changes[node] === number) === true
    return floor !== undefined && isSame ? floor : 'another'
  }

  /** The commit's change of that item, which nothing else of the snapshot has. */
  #take(number: number, commit: Commit, key: string, schemaHash: string): Change | undefined {
    const place = this.#placeOf(commit, key)
    const change = commit.changes[place]
    return change?.schema.hash === schemaHash && this.#name(number, place) ? change : undefined
  }

  #placeOf(commit: Commit, key: string): number {
    const { changes } = commit
    if (changes.length <= fewChanges) return changes.findIndex((change) => change.key === key)
    const places = this.#places.get(commit) ?? new Map(changes.map((change, place) => [change.key, place]))
    this.#places.set(commit, places)
    return places.get(key) ?? -1
  }

  /** False for one that does not exist, or was named before. */
  #name(number: number, place: number): boolean {
    const at = (this.#firsts[number] ?? 0) + place
    if (place < 0 || at >= (this.#firsts[number + 1] ?? 0) || this.#named[at] === 1) return false
    this.#named[at] = 1
    return true
  }

  #value({ key, changes, state }: StoredItem, schema: Schema): string | undefined {
    const { commits, log } = this.#contents
    const schemaHash = this.#of.hash(schema)
    const floor = this.#floorOf(changes, key, schemaHash)
    const item = new MergedItem(key, schema, floor === 'another' ? undefined : floor)
    for (const number of changes.slice(item.size)) {
      const commit = commitAt(commits, number)
      const { id, clock, policy } = commit
      const change = commit.changes[this.#placeOf(commit, key)]
      const parents = change?.parents.flatMap((parent) => item.graph.indexOf(parent) ?? []) ?? []
      const operations = change?.operations ?? []
      item.count({ id, clock, parents, operations, seen: log.cited(policy.authority) })
    }
    if (!item.isPlain) return 'a change of it cannot be applied'
    return asText(item.value()) === asText(state) ? undefined : 'its value'
  }

  #odd(): string | undefined {
    for (const { number, changes } of this.#snapshot.odd)
      for (const place of changes)
        if (!this.#name(number, place))
          return `it counts a change of commit ${number} again that is not there or counts`
    return undefined
  }

  /** What it leaves out. */
  #rest(): string | undefined {
    const at = this.#named.findIndex((named, place) => named === 0 && !this.#passed.has(place))
    if (at < 0) return undefined
    const { commits } = this.#contents
    for (let number = 0; number < commits.size; number++) {
      if (at >= (this.#firsts[number + 1] ?? 0)) continue
      const commit = commitAt(commits, number)
      const change = commit.changes[at - (this.#firsts[number] ?? 0)]
      if (change !== undefined) return `the change of ${change.key} in commit ${commit.id} is not in it`
    }
    return undefined
  }
}

const byText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** Whatever is told apart in a value, in one order. */
const asText = ({ presence, fields }: ItemState): string =>
  JSON.stringify([
    presence.toSorted((a, b) => a - b),
    [...fields].map(([name, field]) => fieldText(name, field)).sort(byText),
  ])

const fieldText = (name: string, field: FieldState): string => {
  if (field.kind === 'register') return JSON.stringify([name, field.stamp.clock, field.stamp.id, field.value])
  if (field.kind === 'text') return JSON.stringify([name, field.rope.toString()])
  const { kind, size } = field
  const parts =
    kind === 'elements'
      ? [...field.byTag].map((element) => JSON.stringify(element))
      : [...field.byKey].map(([key, entries]) =>
          JSON.stringify([key, entries.map(({ node, tag, value }) => JSON.stringify([node, tag, value])).sort(byText)]),
        )
  return JSON.stringify([name, kind, size, parts.sort(byText)])
}
