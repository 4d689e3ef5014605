/**
 * Counting: from admitted commits to values. A change counts when everything it names is known (its schema, the authority's position it
 * cites, the time of its clock) and its parents count; until then it waits here, with its descendants and its atomic siblings, and never
 * holds up the rest of its chain.
 */

import { limits } from '../bytes/limits.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { type Change, type Commit, clockTicks } from '../commit/commit.ts'
import type { Operation } from '../commit/operation.ts'
import type { NewNode } from '../graph/item.ts'
import type { Authorize, MergedItem, Outcome } from '../merge/item.ts'
import { firstItem, type Look, MergedItems } from '../merge/items.ts'
import type { RestoredItem, Shelf } from '../merge/shelf.ts'
import { appliesAnywhere, emptyState, type ItemState } from '../merge/state.ts'
import type { Schema } from '../schema/schema.ts'
import type { ItemName } from '../sync/recall.ts'
import type { Entry } from '../trust/entry.ts'
import type { Erased } from '../trust/erasure.ts'
import type { Edit } from './judging.ts'

export interface CountingRules {
  /** The schema of that definition hash, when this replica knows it. */
  schema(hash: string): Schema | undefined
  /** Whether the positions the commit cites are known here. */
  policyKnown(commit: Commit): boolean
  /** Authority-corrected time, ms. */
  now(): number
  /** Made by this replica's session: its own clock never holds it up. */
  isOwn(commit: Commit): boolean
  /** The authority covered it, or voided it: whatever this device's clock says, there is nothing to wait for. */
  isDecided(commit: Commit): boolean
  /** The pool is full: what comes now and cannot count yet counts when the repository is opened again. Told once until there is room. */
  full(): void
  /** Why nobody here can judge the commit yet, though its positions are known. */
  undecided(commit: Commit): Refusal | undefined
  /** The place in the authority's log that the commit cites, -1 for none; what it says itself unless told. */
  cited?(commit: Commit): number
  /** What erasures make of the commit's change of that item. */
  erasure?(commit: Commit, key: string): Erased | undefined
  /** A commit that is here. */
  commit?(id: string): Commit | undefined
  /** Whether the commit stands where its chain lost others: of its items, those count it already whose first changes were dropped. */
  isBelowFloor?(commit: Commit): boolean
  /** Whether all that is here of the commit is its name. */
  isDropped?(id: string): boolean
  /** A change was made beside some that were dropped: only with those can it be merged. */
  beside?(change: Change): void
  /** Why the rules refuse the change, if they do: a pure function of the commit, its past and the logs it cites. */
  authorize(commit: Commit, edit: Edit): Refusal | undefined
}

export interface Counted {
  readonly key: string
  readonly schema: Schema
  /** Merged where nobody asked for it before. */
  readonly item: MergedItem
  readonly commit: Commit
  readonly index: number
  readonly refusal: Refusal | undefined
}

export interface Waiting {
  readonly commit: Commit
  readonly why: Refusal
  /** Which changes wait; the others of the commit count already. */
  readonly changes: readonly Change[]
}

/** The fields that operations edit, each once. */
export const fieldsOf = (operations: readonly Operation[]): readonly string[] => {
  // Most commits edit what the one before did, and an array that something is pushed to has room for seventeen.
  if (areOf(operations, lastFields)) return lastFields.slice()
  const fields: string[] = []
  for (const operation of operations)
    if ('field' in operation && (fields.length < fewFields ? !fields.includes(operation.field) : true))
      fields.push(operation.field)
  lastFields = fields.length < fewFields ? fields : [...new Set(fields)]
  return lastFields.slice()
}

let lastFields: readonly string[] = []

/** Whether each edits one of the fields, in their order. */
const areOf = (operations: readonly Operation[], fields: readonly string[]): boolean => {
  let next = 0
  for (const operation of operations) if ('field' in operation && operation.field !== fields[next++]) return false
  return next === fields.length
}

/** Looked through faster than a set of them is made. */
const fewFields = 16

/** An edit as it is judged when it counts. */
class CountedEdit implements Edit {
  readonly key: string
  readonly schema: Schema
  readonly fields: readonly string[]
  readonly #outcome: Outcome

  constructor({ key, schema }: MergedItem, operations: readonly Operation[], outcome: Outcome) {
    this.key = key
    this.schema = schema
    this.fields = fieldsOf(operations)
    this.#outcome = outcome
  }

  get before(): ItemState {
    return this.#outcome.before
  }

  get after(): ItemState {
    return this.#outcome.after
  }
}

/** The same of the first change of an item, which can be applied to anything. */
class FirstEdit implements Edit {
  readonly key: string
  readonly schema: Schema
  readonly before = emptyState
  readonly #commit: Commit
  readonly #change: Change
  #after: ItemState | undefined

  constructor(commit: Commit, change: Change, schema: Schema) {
    this.key = change.key
    this.schema = schema
    this.#commit = commit
    this.#change = change
  }

  get fields(): readonly string[] {
    return fieldsOf(this.#change.operations)
  }

  get after(): ItemState {
    this.#after ??= firstItem(this.#commit, this.#change, this.schema).value()
    return this.#after
  }
}

class FirstCounted implements Counted {
  readonly key: string
  readonly commit: Commit
  readonly index = 0
  readonly refusal: Refusal | undefined
  readonly #items: MergedItems

  constructor(key: string, commit: Commit, why: Refusal | undefined, items: MergedItems) {
    this.key = key
    this.commit = commit
    this.refusal = why
    this.#items = items
  }

  get schema(): Schema {
    return this.#items.schema
  }

  get item(): MergedItem {
    return this.#items.open(this.key)
  }
}

const noParents: readonly number[] = []

const parentsIn = ({ graph }: MergedItem, { parents }: Change): readonly number[] =>
  parents.length === 0 ? noParents : parents.flatMap((parent) => graph.indexOf(parent) ?? [])

const nothing = (): Iterable<Commit> => []
const noShelves = (): ReadonlyMap<string, Shelf> => new Map()
const notErased: Erased = { erased: undefined, counts: undefined }
const allow: Authorize = () => undefined
const unlike: Authorize = () => refusal('NotAllowed', 'it did not count when content of its item was erased')

export class Counting {
  readonly #rules: CountingRules
  /** By the hash of the schema's definition, then by key. */
  readonly items = new Map<string, MergedItems>()
  readonly #waiting = new Map<string, Waiting>()
  /** Everything it was told of, in that order, which is causal; before that, what was restored. */
  readonly #told: Commit[] = []
  #restored: () => Iterable<Commit> = nothing
  #floor: () => ReadonlyMap<string, Shelf> = noShelves
  /** Items of schemas that are not known here, whose dropped changes came back. */
  #recalled: readonly ItemName[] = []
  /** How often everything was counted again. */
  #recounts = 0
  /** By the commit they wait for; and those that wait for their clock. */
  readonly #children = new Map<string, Set<string>>()
  readonly #ahead = new Set<string>()
  /** Commits counted and not looked up in `#children` yet. */
  readonly #fresh: string[] = []
  #fullTold = false
  readonly #onCounted: (counted: Counted) => void

  constructor(rules: CountingRules, onCounted: (counted: Counted) => void) {
    this.#rules = rules
    this.#onCounted = onCounted
  }

  /** Commits that wait for their clock. */
  get ahead(): ReadonlySet<string> {
    return this.#ahead
  }

  /** Commits that wait, with the reason, and which of their changes do. */
  get waiting(): ReadonlyMap<string, Waiting> {
    return this.#waiting
  }

  item(key: string, schemaHash: string): MergedItem | undefined {
    return this.items.get(schemaHash)?.get(key)
  }

  /** Whether a dropped commit is known to have had a change of an item of that key, under whatever schema. */
  wroteTo(id: string, key: string): boolean {
    for (const items of this.items.values())
      if (items.hasFloor(key) && items.get(key)?.graph.indexOf(id) !== undefined) return true
    for (const [, shelf] of this.#unknownFloors()) {
      const floor = shelf.find(key)
      for (let index = 0; index < (floor?.size ?? 0); index++) if (floor?.nameOf(index).id === id) return true
    }
    return false
  }

  *#unknownFloors(): Generator<readonly [hash: string, shelf: Shelf]> {
    for (const floor of this.#floor()) if (this.#rules.schema(floor[0]) === undefined) yield floor
  }

  /** What stands in the place of dropped changes of items whose schema is not known here: another version of the app knows it. */
  *unknownFloors(): Generator<readonly [hash: string, floors: Generator<readonly [key: string, floor: RestoredItem]>]> {
    for (const [hash, shelf] of this.#unknownFloors()) yield [hash, this.#floorsOn(hash, shelf)]
  }

  *#floorsOn(hash: string, shelf: Shelf): Generator<readonly [key: string, floor: RestoredItem]> {
    for (let place = 0; place < shelf.size; place++) {
      const key = shelf.keyAt(place)
      const isRecalled = this.#recalled.some((item) => item.key === key && item.schema === hash)
      if (!isRecalled) yield [key, shelf.at(place)]
    }
  }

  /** What a stored item is that nobody asked the changes of. */
  look(key: string, schemaHash: string): Look | undefined {
    return this.items.get(schemaHash)?.look(key)
  }

  /** The item, made when absent: without changes it has no value. */
  open(key: string, schemaHash: string, schema: Schema): MergedItem {
    return this.#ofSchema(schemaHash, schema).open(key)
  }

  #ofSchema(hash: string, schema: Schema): MergedItems {
    const held = this.items.get(hash)
    if (held !== undefined) return held
    const items = new MergedItems(schema)
    this.items.set(hash, items)
    return items
  }

  get recounts(): number {
    return this.#recounts
  }

  /** Whether some commits that cannot count yet are not among those that wait. */
  get isFull(): boolean {
    return this.#fullTold
  }

  /**
   * Begins with items as a snapshot has them, or the floor where there is none. `told`: all commits they were made of that are here, for when they
   * have to be counted again. `recalled`: items for which nothing stands in the floor any more.
   */
  restore(
    shelves: ReadonlyMap<string, Shelf> | undefined,
    told: () => Iterable<Commit>,
    floor: () => ReadonlyMap<string, Shelf> = noShelves,
    recalled: readonly ItemName[] = [],
  ): void {
    this.#restored = told
    this.#floor = floor
    this.#recalled = recalled.filter(({ schema }) => this.#rules.schema(schema) === undefined)
    for (const { schema: hash, key } of recalled) {
      const schema = this.#rules.schema(hash)
      if (schema !== undefined) this.#ofSchema(hash, schema).forgetFloor(key)
    }
    for (const hash of (shelves ?? floor()).keys()) {
      const schema = this.#rules.schema(hash)
      if (schema !== undefined) this.#ofSchema(hash, schema).restore(shelves?.get(hash), () => floor().get(hash))
    }
  }

  /** What the item began with, and what stood in its place till now, is counted by these commits, in whatever order, and by those that it has. */
  recall({ key, schema: schemaHash }: ItemName, recalled: readonly Commit[]): void {
    const items = this.items.get(schemaHash)
    const item = items?.get(key)
    if (items === undefined || item === undefined || !items.hasFloor(key)) return
    const kept = item.graph.nodes.slice(item.dropped).map(({ id }) => id)
    const told = new Map(this.#told.map((commit) => [commit.id, commit]))
    items.recall(key)
    for (const commit of recalled) if (!told.has(commit.id)) this.#told.push(commit)
    for (const commit of [...recalled, ...kept.flatMap((id) => told.get(id) ?? this.#rules.commit?.(id) ?? [])]) {
      const changes = commit.changes.filter((change) => change.key === key && change.schema.hash === schemaHash)
      this.#count(commit, changes)
      this.#countChildren()
    }
    this.retry()
  }

  /** Counts changes of a restored commit whose items were not stored. */
  countAgain(commit: Commit, changes: readonly Change[]): void {
    this.#count(commit, changes)
    this.#countChildren()
  }

  /** Counts the commit's changes as far as they can be, and what waited for them; the rest waits. */
  count(commit: Commit): void {
    this.#told.push(commit)
    this.#count(commit, this.#uncounted(commit))
    this.#countChildren()
  }

  /** The changes of the commit that stand in no floor: whatever does not builds on the last one that does, and is later. */
  #uncounted(commit: Commit): readonly Change[] {
    if (this.#rules.isBelowFloor?.(commit) !== true) return commit.changes
    return commit.changes.filter(({ key, schema: { hash } }) => {
      const floor = this.items.get(hash)?.floorOf(key)
      return floor === undefined || commit.clock > floor.last.clock
    })
  }

  /** Asks for what was dropped of the items that these changed, where they build on something that is not here. */
  lacking(run: readonly Commit[], recalling: { want(item: ItemName): void }): void {
    for (const { changes } of run)
      for (const change of changes)
        if (this.lacks(change)) recalling.want({ schema: change.schema.hash, key: change.key })
  }

  /** Whether what the change builds on is not here, and may have been dropped. */
  lacks({ key, parents, schema }: Change): boolean {
    const isHere = (id: string): boolean => this.#rules.commit?.(id) !== undefined || this.wroteTo(id, key)
    return this.items.get(schema.hash)?.hasFloor(key) === true && !parents.every(isHere)
  }

  /** Asks for what was dropped of the items of which these erase something that was. */
  erased(entries: readonly Pick<Entry, 'statement'>[], recalling: { want(item: ItemName): void }): void {
    for (const { statement } of entries) {
      if (statement.kind !== 'erasure') continue
      for (const { commit: id, key } of statement.changes)
        for (const [schema, items] of this.items) {
          const floor = items.floorOf(key)
          const commit = this.#rules.commit?.(id)
          if (floor !== undefined && (commit?.clock ?? -1) <= floor.last.clock) recalling.want({ schema, key })
        }
    }
  }

  /** Whether something was made beside what was dropped, and waits for that. */
  get isBesideFloor(): boolean {
    for (const { why } of this.#waiting.values()) if (why.code === 'HistoryDropped') return true
    return false
  }

  /** The same commits, as they are held now: some lost content. They have to be counted again. */
  renew(held: (id: string) => Commit | undefined): void {
    for (const [index, commit] of this.#told.entries()) this.#told[index] = held(commit.id) ?? commit
  }

  /** Counts everything again: what was known later than it should have been is known now. */
  recount(): void {
    for (const ofSchema of this.items.values()) ofSchema.clear()
    this.#waiting.clear()
    this.#children.clear()
    this.#ahead.clear()
    this.#fresh.length = 0
    this.#recounts++
    for (const commit of this.#restored()) this.countAgain(commit, this.#uncounted(commit))
    for (const commit of this.#told) this.countAgain(commit, this.#uncounted(commit))
  }

  #count(commit: Commit, changes: readonly Change[]): void {
    let held: Map<Change, Refusal> | undefined
    for (const change of changes) {
      const why = this.#mustWait(commit, change)
      if (why !== undefined) held = (held ?? new Map<Change, Refusal>()).set(change, why)
    }
    if (held === undefined) {
      this.#release(commit.id)
      this.#apply(commit, changes)
      return
    }
    const waits = commit.atomic ? changes : [...held.keys()]
    if (this.#waiting.has(commit.id) || this.#waiting.size < limits.heldChanges)
      this.#hold(commit, waits, [...held.values()])
    else if (!this.#fullTold) {
      this.#fullTold = true
      this.#rules.full()
    }
    if (!commit.atomic && waits.length < changes.length)
      this.#apply(
        commit,
        changes.filter((change) => !held.has(change)),
      )
  }

  #hold(commit: Commit, changes: readonly Change[], reasons: readonly Refusal[]): void {
    const why =
      reasons.find(({ code }) => code !== 'MissingParents') ?? reasons[0] ?? refusal('MissingParents', commit.id)
    this.#waiting.set(commit.id, { commit, why, changes })
    if (why.code === 'ClockAhead') this.#ahead.add(commit.id)
    else this.#ahead.delete(commit.id)
    for (const { code, about } of reasons) {
      if (code !== 'MissingParents') continue
      const children = this.#children.get(about) ?? new Set<string>()
      this.#children.set(about, children.add(commit.id))
    }
  }

  #release(id: string): void {
    if (this.#waiting.delete(id)) this.#fullTold = false
    this.#ahead.delete(id)
  }

  #countChildren(): void {
    for (let parent = this.#fresh.pop(); parent !== undefined; parent = this.#fresh.pop()) {
      const children = this.#children.get(parent)
      this.#children.delete(parent)
      for (const id of children ?? []) {
        const waiting = this.#waiting.get(id)
        if (waiting !== undefined) this.#count(waiting.commit, waiting.changes)
      }
    }
  }

  /** Its time is to come, and the authority has said nothing of it. */
  #isAhead(commit: Commit): boolean {
    if (commit.clock <= (this.#rules.now() + limits.clockAhead) * clockTicks) return false
    return !this.#rules.isOwn(commit) && !this.#rules.isDecided(commit)
  }

  #mustWait(commit: Commit, change: Change): Refusal | undefined {
    if (commit.extended) return refusal('UnknownFormat', 'a field of the header')
    if (this.#isAhead(commit)) return refusal('ClockAhead', commit.id)
    if (!this.#rules.policyKnown(commit)) return refusal('BadEntry', 'a position that is not known yet')
    const undecided = this.#rules.undecided(commit)
    if (undecided !== undefined) return undecided
    if (this.#rules.schema(change.schema.hash) === undefined) {
      return refusal('UnknownSchema', `${change.schema.name} ${change.schema.version}`)
    }
    const items = this.items.get(change.schema.hash)
    if (change.parents.length === 0 && items?.hasFloor(change.key) !== true) return undefined
    const item = items?.get(change.key)
    for (const parent of change.parents) {
      if (item?.graph.indexOf(parent) !== undefined) continue
      return this.#isDropped(parent, item) ? this.#besideFloor(change) : refusal('MissingParents', parent)
    }
    return item?.isBesideFloor(parentsIn(item, change)) ? this.#besideFloor(change) : undefined
  }

  /** Whether a change of the item is not known because it was dropped, though its commit is here or named for another one. One that waits was not. */
  #isDropped(id: string, item: MergedItem | undefined): boolean {
    if (this.#waiting.has(id)) return false
    if (item === undefined || item.dropped === 0) return false
    const commit = this.#rules.commit?.(id)
    return commit === undefined ? this.#rules.isDropped?.(id) === true : this.#rules.isBelowFloor?.(commit) === true
  }

  #besideFloor(change: Change): Refusal {
    this.#rules.beside?.(change)
    return refusal('HistoryDropped', `${change.schema.name} ${change.key}`)
  }

  #apply(commit: Commit, changes: readonly Change[]): void {
    this.#fresh.push(commit.id)
    // Of an atomic commit all changes are looked at before any of them counts.
    const isAlone = changes.length === 1 || !commit.atomic
    const others = isAlone ? changes.filter((change) => !this.#begins(commit, change)) : changes
    if (others.length > 0) this.#merge(commit, others)
  }

  #merge(commit: Commit, changes: readonly Change[]): void {
    const seen = this.#cited(commit)
    const prepared: { readonly item: MergedItem; readonly node: NewNode; readonly authorize: Authorize }[] = []
    for (const change of changes) {
      const schema = this.#rules.schema(change.schema.hash)
      if (schema === undefined) continue
      const item = this.open(change.key, change.schema.hash, schema)
      const parents = parentsIn(item, change)
      const { erased, counts } = this.#rules.erasure?.(commit, change.key) ?? notErased
      const settled = counts !== undefined
      const node = { id: commit.id, clock: commit.clock, parents, operations: change.operations, seen, erased, settled }
      const authorize = settled ? (counts ? allow : unlike) : this.#authorize(commit, item, node)
      prepared.push({ item, node, authorize })
    }
    // A change without siblings is checked when it counts.
    const broken =
      commit.atomic && prepared.length > 1
        ? prepared.map(({ item, node, authorize }) => item.check(node, authorize)).find((one) => one !== undefined)
        : undefined
    for (const { item, node, authorize } of prepared) {
      const { node: counted, refusal } = item.count(
        node,
        broken === undefined || node.settled ? authorize : () => broken,
      )
      this.#onCounted({ key: item.key, schema: item.schema, item, commit, index: counted.index, refusal })
    }
  }

  #cited(commit: Commit): number {
    return this.#rules.cited?.(commit) ?? commit.policy.authority?.n ?? -1
  }

  /** Counts the first change of an item, if that takes no merging. Says whether it did. */
  #begins(commit: Commit, change: Change): boolean {
    const schema = this.#rules.schema(change.schema.hash)
    if (schema === undefined || change.parents.length > 0) return false
    if (this.#cited(commit) !== (commit.policy.authority?.n ?? -1)) return false
    const items = this.#ofSchema(change.schema.hash, schema)
    if (items.has(change.key)) return false
    const { erased, counts } = this.#rules.erasure?.(commit, change.key) ?? notErased
    if (erased !== undefined || counts !== undefined || !appliesAnywhere(change.operations, items.schema)) return false
    const why = this.#rules.authorize(commit, new FirstEdit(commit, change, items.schema))
    items.begin(commit, change, why)
    this.#onCounted(new FirstCounted(change.key, commit, why, items))
    return true
  }

  #authorize(commit: Commit, item: MergedItem, { operations }: NewNode): Authorize {
    return (outcome) => this.#rules.authorize(commit, new CountedEdit(item, operations, outcome))
  }

  /** Tries again what waits: something became known, or time went on. */
  retry(): void {
    // Insertion order is the order of admission, so parents come first.
    for (const { commit, changes, why } of [...this.#waiting.values()]) {
      if (this.#waiting.get(commit.id)?.changes !== changes) continue
      // Thousands may wait for their time, and are looked at with every entry.
      if (why.code === 'ClockAhead' && this.#isAhead(commit)) continue
      this.#count(commit, changes)
      this.#countChildren()
    }
  }

  /** When the earliest waiting clock comes due, ms of corrected time; undefined when none waits for its clock. */
  nextDue(): number | undefined {
    let due: number | undefined
    for (const id of this.#ahead) {
      const clock = this.#waiting.get(id)?.commit.clock
      if (clock === undefined) continue
      const at = clock / clockTicks - limits.clockAhead
      if (due === undefined || at < due) due = at
    }
    return due
  }
}
