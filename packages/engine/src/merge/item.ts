/**
 * The values of one item: at its heads, at the parents of any change, at any version. Merging replays edits: what one side has beyond
 * the other is applied where its authors made it. Nothing is kept but caches, keyed by heads and by what counted as dead.
 */
import type { Refusal } from '../bytes/refusal.ts'
import type { Operation } from '../commit/operation.ts'
import { ItemGraph, type NewNode, type Node, nodeOf } from '../graph/item.ts'
import type { Schema } from '../schema/schema.ts'
import { diffText } from './diff.ts'
import type { Splice } from './splice.ts'
import {
  appliesAnywhere,
  applyAlone,
  applyMerged,
  emptyState,
  type ItemState,
  judge,
  ropeOf,
  splicedFields,
  splicesOf,
  withText,
} from './state.ts'
import { type TextHistory, transform } from './walker.ts'

/** As of when the authority's verdicts apply: now, or a position in its log that an author had seen. */
type View = number
const now: View = Number.POSITIVE_INFINITY
const nothingSeen: View = -1

const cachedVersions = 32

/** The value without a change and with it, which may be worked out only when they are looked at. */
export interface Outcome {
  readonly before: ItemState
  readonly after: ItemState
}

/** Why a change that can be applied does not count all the same. */
export type Authorize = (outcome: Outcome) => Refusal | undefined

const allow: Authorize = () => undefined

/** Of a change that can be applied to whatever it builds on. */
class LateOutcome implements Outcome {
  readonly #item: MergedItem
  readonly #change: NewNode
  #before: ItemState | undefined
  #after: ItemState | undefined

  constructor(item: MergedItem, change: NewNode) {
    this.#item = item
    this.#change = change
  }

  get before(): ItemState {
    this.#before ??= this.#item.seenBy(this.#change)
    return this.#before
  }

  get after(): ItemState {
    const { graph } = this.#item
    this.#after ??= applyAlone(this.before, nodeOf(this.#change, graph.nodes.length), undefined, graph)
    return this.#after
  }

  /** Whether somebody looked. */
  get isKnown(): boolean {
    return this.#before !== undefined
  }
}

/** How an item got from one value to the next, for editors: per text field the splices in sequence. */
export interface Advance {
  readonly state: ItemState
  readonly texts: ReadonlyMap<string, readonly Splice[]>
}

interface Version {
  readonly heads: readonly number[]
  /** The first so many nodes are in it, and no others. */
  readonly nodes: number
  readonly state: ItemState
}

const none: readonly number[] = []
const onlyFirst: readonly number[] = [0]
/** A head alone. Most items have one change. */
const only = (index: number): readonly number[] => (index === 0 ? onlyFirst : [index])
const nothing: Version = { heads: none, nodes: 0, state: emptyState }

const textFields = new WeakMap<Schema, readonly string[]>()

const textFieldsOf = (schema: Schema): readonly string[] => {
  const known = textFields.get(schema) ?? schema.names.filter((name) => schema.fields[name]?.kind === 'text')
  textFields.set(schema, known)
  return known
}

/** An item as it was when it was stored, with what its changes are read from when somebody asks for them. */
export interface Restored {
  /** Its heads, as numbers of nodes, and its value. All its changes count. */
  readonly heads: readonly number[]
  readonly state: ItemState
  /** How many changes it has. */
  readonly size: number
  /** How many of them were dropped. */
  readonly dropped: number
  /** Adds its changes to an empty graph, in the order they were counted. Returns its floor, where its first changes were dropped. */
  fill(graph: ItemGraph): Floor | undefined
  /** The commit of a node. */
  nameOf(index: number): { readonly id: string; readonly clock: number }
}

/**
 * What is left of the changes that an item began with. They stand in its graph one behind the other, as nodes that say no more than what they are
 * called; whatever else is in the graph builds on the last of them.
 */
export interface Floor {
  /** Numbers of the commits they are of. */
  readonly commits: readonly number[]
  /** The value at the last of them. */
  readonly state: ItemState
}

export class MergedItem {
  readonly key: string
  readonly schema: Schema
  /** Undefined while nobody asked for the changes of a restored item. */
  #graph: ItemGraph | undefined
  #restored: Restored | undefined
  #cache: Map<string, ItemState> | undefined
  /** Voided nodes, ascending; erased ones likewise; and the positions of the entries that did either. */
  #voided: readonly number[] = none
  #erased: readonly number[] = none
  #positions: readonly number[] = none
  /** How many changes count for nobody, or for nobody who knows the authority's log. */
  #dead = 0
  /** Values given out since the last verdict; undefined before the first one, when all of them were. */
  #given: WeakSet<ItemState> | undefined
  #current = nothing
  #floor = nothing
  #floorCommits: readonly number[] = none
  /** Whether some change does not count as its author meant it, for whatever reason. */
  #isOdd = false

  constructor(key: string, schema: Schema, restored?: Restored) {
    this.key = key
    this.schema = schema
    if (restored === undefined) this.#graph = new ItemGraph()
    else this.restore(restored)
  }

  /** Takes an item without changes to what was stored of it. */
  restore(restored: Restored): void {
    this.#graph = undefined
    this.#restored = restored
    this.#current = { heads: restored.heads, nodes: restored.size, state: restored.state }
  }

  get graph(): ItemGraph {
    return this.#graph ?? this.#read()
  }

  #read(): ItemGraph {
    const graph = new ItemGraph()
    const floor = this.#restored?.fill(graph)
    if (floor !== undefined) this.#lay(floor)
    this.#graph = graph
    this.#restored = undefined
    return graph
  }

  #lay({ commits, state }: Floor): void {
    this.#floorCommits = commits
    this.#floor = { heads: only(commits.length - 1), nodes: commits.length, state }
  }

  /** Numbers of the commits of its dropped changes; empty while nobody asked for the others. */
  get floorCommits(): readonly number[] {
    return this.#floorCommits
  }

  /** What it was restored from, as long as nobody asked for its changes. */
  get restored(): Restored | undefined {
    return this.#restored
  }

  /** How many changes it has. */
  get size(): number {
    return this.#graph?.nodes.length ?? this.#current.nodes
  }

  /** How many of its changes were dropped: the first ones. */
  get dropped(): number {
    return this.#graph === undefined ? (this.#restored?.dropped ?? 0) : this.#floor.nodes
  }

  /** Whether a change that builds on these is beside some that were dropped: then it cannot be merged with them. */
  isBesideFloor(parents: readonly number[]): boolean {
    const { dropped } = this
    return dropped > 0 && (parents.length === 0 || parents.some((parent) => parent < dropped - 1))
  }

  /** Whether all its changes count as they were meant: then its value and heads say all that is to be kept of how it was merged. */
  get isPlain(): boolean {
    return !this.#isOdd
  }

  /** The commit of a node. */
  nameOf(index: number): { readonly id: string; readonly clock: number } {
    return this.#restored?.nameOf(index) ?? this.graph.node(index)
  }

  /**
   * Counts one more change, whose parents are all here. A change that cannot be applied to what its author saw, or that `authorize`
   * refuses, is dead from the start; the refusal says why.
   */
  count(change: NewNode, authorize: Authorize = allow): { node: Node; refusal: Refusal | undefined } {
    if (change.erased !== undefined) this.#knows(change.erased)
    if (change.erased !== undefined || change.settled === true) this.#isOdd = true
    const isLate = change.erased === undefined && appliesAnywhere(change.operations, this.schema)
    return isLate ? this.#countLate(change, authorize) : this.#countNow(change, authorize)
  }

  #countNow(change: NewNode, authorize: Authorize): { node: Node; refusal: Refusal | undefined } {
    const view = this.#viewOf(change.seen)
    const isCurrent = view === now && change.erased === undefined && sameSet(change.parents, this.graph.heads)
    const before = isCurrent ? this.#advance().state : this.#stateAt(change.parents, view)
    const node = this.graph.add(change)
    const judgement = this.#judge(before, node)
    const refused = judgement.refusal === undefined ? authorize({ before, after: judgement.after }) : undefined
    node.refused = refused !== undefined
    if (isNever(node)) this.#dead++
    if (isNever(node) || node.ignored !== undefined) this.#isOdd = true
    if (node.erased !== undefined) this.#erased = [...this.#erased, node.index]
    const after = node.refused ? before : judgement.after
    if (isCurrent) this.#current = { heads: only(node.index), nodes: this.graph.nodes.length, state: after }
    else if (node.erased === undefined || node.erased > view) this.#remember([node.index], view, after)
    return { node, refusal: judgement.refusal ?? refused }
  }

  /** Most changes are such, and of most of them nobody ever asks for the value: it is merged when somebody does. */
  #countLate(change: NewNode, authorize: Authorize): { node: Node; refusal: Refusal | undefined } {
    const outcome = new LateOutcome(this, change)
    const refusal = authorize(outcome)
    const isCurrent = outcome.isKnown && this.#isCurrent(change)
    const state = !isCurrent ? undefined : refusal === undefined ? outcome.after : outcome.before
    const node = this.graph.add(change)
    node.refused = refusal !== undefined
    if (node.refused) {
      this.#dead++
      this.#isOdd = true
    }
    if (state !== undefined) this.#current = { heads: only(node.index), nodes: this.graph.nodes.length, state }
    return { node, refusal }
  }

  /** Whether the change builds on just the value that is known as the current one. */
  #isCurrent({ parents, seen }: NewNode): boolean {
    const { heads, nodes } = this.#current
    return nodes === this.graph.nodes.length && sameSet(parents, heads) && this.#viewOf(seen) === now
  }

  /** The value that the author of a change saw which is not in the graph yet. */
  seenBy({ parents, seen }: Pick<NewNode, 'parents' | 'seen'>): ItemState {
    const view = this.#viewOf(seen)
    return view === now && sameSet(parents, this.graph.heads) ? this.#advance().state : this.#stateAt(parents, view)
  }

  #judge(before: ItemState, node: Node): ReturnType<typeof judge> {
    const judgement = judge(before, node, this.graph, this.schema)
    node.inapplicable = judgement.refusal !== undefined
    node.ignored = judgement.ignored
    return judgement
  }

  /** Why the change could not be applied to the value at its parents, or would be refused. Changes nothing. */
  check(change: NewNode, authorize: Authorize = allow): Refusal | undefined {
    if (change.erased === undefined && appliesAnywhere(change.operations, this.schema))
      return authorize(new LateOutcome(this, change))
    const before = this.#stateAt(change.parents, this.#viewOf(change.seen))
    const { refusal, after } = judge(before, nodeOf(change, this.graph.nodes.length), this.graph, this.schema)
    return refusal ?? authorize({ before, after })
  }

  /** The value now with these operations, as a change made now would leave it. */
  preview(operations: readonly Operation[]): ItemState {
    const change = {
      id: 'f'.repeat(64),
      clock: Number.MAX_SAFE_INTEGER,
      parents: [...this.heads],
      operations,
      seen: now,
    }
    return judge(this.value(), nodeOf(change, this.graph.nodes.length), this.graph, this.schema).after
  }

  /** What its author made of what they saw, whether it counts or not. */
  outcome(index: number): Outcome {
    const node = this.graph.node(index)
    const before = this.before(index)
    return { before, after: judge(before, { ...node }, this.graph, this.schema).after }
  }

  /** Forgets all changes, to count them again. */
  clear(): void {
    this.#graph = new ItemGraph()
    this.#restored = undefined
    this.#floor = nothing
    this.#floorCommits = none
    this.#isOdd = false
    this.#cache = undefined
    this.#voided = none
    this.#erased = none
    this.#positions = none
    this.#dead = 0
    this.#given = new WeakSet()
    this.#current = nothing
  }

  get #textFields(): readonly string[] {
    return textFieldsOf(this.schema)
  }

  /**
   * Marks a change as dead from the authority's entry at `position` on. Its effect goes; what was built on it stays. Changes whose
   * authors had seen that entry are judged anew when they were counted before it came. True when there are such: the rules have to
   * judge them anew as well.
   */
  void(index: number, position: number): boolean {
    const node = this.graph.node(index)
    if (node.voided !== undefined && node.voided <= position) return false
    let foreseen = false
    if (node.voided === undefined && !isNever(node)) this.#dead++
    node.voided = position
    this.#isOdd = true
    this.#knows(position)
    if (!this.#voided.includes(index)) this.#voided = [...this.#voided, index].sort((a, b) => a - b)
    this.#cache = undefined
    this.#given = new WeakSet()
    this.#current = this.#floor
    const below = new Set([index])
    for (let later = index + 1; later < this.graph.nodes.length; later++) {
      const author = this.graph.node(later)
      if (!author.parents.some((parent) => below.has(parent))) continue
      below.add(later)
      if (author.seen < position) continue
      foreseen = true
      this.#judge(this.#stateAt(author.parents, this.#viewOf(author.seen)), author)
    }
    // Values of versions that were judged after they were cached are stale.
    this.#cache = undefined
    return foreseen
  }

  /** The value everyone sees now. */
  value(): ItemState {
    const { state } = this.#advance()
    this.#given?.add(state)
    return state
  }

  /** The heads whose merge is the value. */
  get heads(): readonly number[] {
    return this.#graph?.heads ?? this.#current.heads
  }

  /** The same, to keep: they do not move with the graph. */
  get headsNow(): readonly number[] {
    const [head, ...others] = this.heads
    return head === undefined ? none : others.length === 0 ? only(head) : [head, ...others]
  }

  /** Changes that count and have no children that do: what the next change builds on. Dead ones would bind it to their clock for nothing. */
  get liveHeads(): readonly number[] {
    const { heads } = this
    if (this.#dead === 0) return heads
    const found = new Set<number>()
    const seen = new Set<number>(heads)
    for (const index of seen) {
      const node = this.graph.node(index)
      if (!isNever(node) && node.voided === undefined) found.add(index)
      else for (const parent of node.parents) seen.add(parent)
    }
    const covered = found.size < 2 ? found : this.graph.ancestorsAmong(found, found)
    return found.size < 2 ? [...found] : [...found].filter((index) => !covered.has(index))
  }

  /** From an older value, at `heads`, to the one now. `heads` are undefined where they are of a graph that is gone. */
  since(heads: readonly number[] | undefined, older: ItemState): Advance {
    // Across a verdict the two values do not share a history without the dead change; then the texts themselves are compared.
    const isShared = older === emptyState || this.#given === undefined || this.#given.has(older)
    const state = this.value()
    const texts = new Map<string, readonly Splice[]>()
    for (const field of this.#textFields) {
      const [before, after] = [ropeOf(older, field), ropeOf(state, field)]
      if (before === after) continue
      const splices =
        isShared && heads !== undefined
          ? transform(this.#history(field, now), heads, this.heads)
          : diffText(before.toString(), after.toString())
      if (splices.length > 0) texts.set(field, splices)
    }
    return { state, texts }
  }

  /** The value at a version: the merge of the changes `heads` and all they build on. */
  at(heads: readonly number[]): ItemState {
    return this.#stateAt(heads, now)
  }

  /** The value that the author of a change saw: what counted to it, as of the verdicts that it cites. */
  before(index: number): ItemState {
    const { parents, seen } = this.graph.node(index)
    return this.#stateAt(parents, this.#viewOf(seen))
  }

  #advance(): Version {
    if (this.#graph === undefined) return this.#current
    const { nodes } = this.#graph
    if (this.#current.nodes === nodes.length) return this.#current
    const from = this.#follow(this.#current)
    if (from.nodes === nodes.length) {
      this.#current = from
      return from
    }
    const heads = this.headsNow
    const state = this.#merge(from.state, from.heads, heads, now, nodes.slice(from.nodes))
    this.#current = { heads, nodes: nodes.length, state }
    return this.#current
  }

  /** The version with those changes after it that build on all before them, as far as they can be applied without a merge. */
  #follow(version: Version): Version {
    const { nodes } = this.graph
    let { heads, state, nodes: next } = version
    for (let node = nodes[next]; node !== undefined; node = nodes[++next]) {
      if (isNever(node) || node.voided !== undefined || node.erased !== undefined || !sameSet(node.parents, heads))
        break
      if (splicedFields(node).size > 0) break
      state = applyAlone(state, node, node.ignored, this.graph)
      heads = only(node.index)
    }
    return next === version.nodes ? version : { heads, nodes: next, state }
  }

  /** What the authority wrote and an author had not seen is as if not written: so many views there are, and no more. */
  #viewOf(seen: number): View {
    const next = this.#positions.findIndex((position) => position > seen)
    return next < 0 ? now : (this.#positions[next - 1] ?? nothingSeen)
  }

  #knows(position: number): void {
    if (!this.#positions.includes(position)) this.#positions = [...this.#positions, position].sort((a, b) => a - b)
  }

  #stateAt(heads: readonly number[], view: View): ItemState {
    // A value that is known, of a version in the past of this one: what lies between is merged in one go.
    let from = heads
    let known = this.#known(from, view)
    while (known === undefined) {
      const last = Math.max(...from)
      from = from.length === 1 ? this.graph.node(last).parents : [last]
      known = this.#known(from, view)
    }
    const state = from === heads ? known : this.#merge(known, from, heads, view, undefined)
    if (heads.length > 0) this.#remember(heads, view, state)
    return state
  }

  #known(heads: readonly number[], view: View): ItemState | undefined {
    if (heads.length === 0) return emptyState
    if (heads.every((head) => head < this.#floor.nodes)) return this.#floor.state
    if (view === now && sameSet(heads, this.#current.heads)) return this.#current.state
    return this.#cache?.get(nameOf(heads, view))
  }

  #remember(heads: readonly number[], view: View, state: ItemState): void {
    const name = nameOf(heads, view)
    const cache = this.#cache ?? new Map<string, ItemState>()
    this.#cache = cache
    cache.delete(name)
    cache.set(name, state)
    if (cache.size > cachedVersions) for (const oldest of cache.keys()) return void cache.delete(oldest)
  }

  /** `state`, which is the value at `from`, taken on to the value at `from` joined with `to`. `between`: what that adds. */
  #merge(
    state: ItemState,
    from: readonly number[],
    to: readonly number[],
    view: View,
    between: readonly Node[] | undefined,
  ): ItemState {
    const added = between ?? this.graph.difference(from, to).map((index) => this.graph.node(index))
    const alive = added.filter((node) => !isNever(node) && !isVoided(node, view))
    let merged = applyMerged(state, from, added, alive, this.graph)
    const texts = new Set<string>()
    for (const node of added) for (const field of splicedFields(node)) texts.add(field)
    for (const field of this.#textFields) {
      if (texts.has(field)) merged = withText(merged, field, transform(this.#history(field, view), from, to))
    }
    return merged
  }

  /** What never counted for anybody is an event without splices; what was voided or erased is so to those who know. */
  #history(field: string, view: View): TextHistory {
    const { graph } = this
    const isDead = (node: Node): boolean => !isNever(node) && isVoided(node, view)
    const isErased = (node: Node): boolean => !isNever(node) && isErasedTo(node, view)
    const dead = this.#voided.filter((index) => isDead(graph.node(index)))
    const erased = this.#erased.filter((index) => isErased(graph.node(index)))
    return {
      parents: (event) => graph.node(event).parents,
      splices: (event) => {
        const node = graph.node(event)
        return isNever(node) ? [] : splicesOf(node, field)
      },
      tieBreak: (event) => graph.node(event).id,
      dead: (event) => isDead(graph.node(event)),
      deadTo: (event, author) => isVoided(graph.node(event), graph.node(author).seen),
      erased: (event) => isErased(graph.node(event)),
      erasedTo: (event, author) => isErasedTo(graph.node(event), graph.node(author).seen),
      deadEvents: erased.length === 0 ? dead : [...new Set([...dead, ...erased])].sort((a, b) => a - b),
    }
  }
}

const isNever = (node: Node): boolean => node.refused || node.inapplicable

const isVoided = (node: Node, view: View): boolean => node.voided !== undefined && node.voided <= view

const isErasedTo = (node: Node, view: View): boolean => node.erased !== undefined && node.erased <= view

const nameOf = (heads: readonly number[], view: View): string =>
  `${view}|${heads.length === 1 ? heads[0] : heads.toSorted((a, b) => a - b).join()}`

const sameSet = (a: readonly number[], b: readonly number[]): boolean => {
  if (a.length !== b.length) return false
  if (a.length === 1) return a[0] === b[0]
  if (a.length <= 16) return a.every((index) => b.includes(index))
  const members = new Set(b)
  return a.every((index) => members.has(index))
}
