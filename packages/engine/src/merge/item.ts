/**
 * The values of one item: at its heads, at the parents of any change, at any version. Merging replays edits: what one side has beyond
 * the other is applied where its authors made it. Nothing is kept but caches, keyed by heads and by what counted as dead.
 */
import type { Refusal } from '../bytes/refusal.ts'
import { ItemGraph, type Node } from '../graph/item.ts'
import type { Schema } from '../schema/schema.ts'
import { applyOperations, checkChange, emptyState, type ItemState, ropeOf, splicesOf, withText } from './state.ts'
import { diffText } from './diff.ts'
import type { Splice } from './splice.ts'
import { type TextHistory, transform } from './walker.ts'

/** As of when the authority's verdicts apply: now, or a position in its log that an author had seen. */
type View = number
const now: View = Number.POSITIVE_INFINITY

const cachedVersions = 8

/** How an item got from one value to the next, for editors: per text field the splices in sequence. */
export interface Advance {
  readonly state: ItemState
  readonly texts: ReadonlyMap<string, readonly Splice[]>
}

interface Version {
  readonly heads: readonly number[]
  readonly state: ItemState
}

export class MergedItem {
  readonly key: string
  readonly schema: Schema
  readonly graph = new ItemGraph()
  readonly #textFields: readonly string[]
  readonly #cache = new Map<string, ItemState>()
  /** Positions of the verdicts on this item, ascending, and the changes they voided, ascending. */
  readonly #voidedAt: number[] = []
  readonly #voided: number[] = []
  #current: Version = { heads: [], state: emptyState }

  constructor(key: string, schema: Schema) {
    this.key = key
    this.schema = schema
    this.#textFields = schema.names.filter((name) => schema.fields[name]?.kind === 'text')
  }

  /**
   * Counts one more change, whose parents are all here. A change that cannot be applied to what its author saw is dead from the
   * start; the refusal says why.
   */
  count(change: Parameters<ItemGraph['add']>[0], alreadyDead = false): { node: Node; refusal: Refusal | undefined } {
    const { heads } = this.graph
    const linear = sameSet(change.parents, heads) && sameSet(this.#current.heads, heads)
    const view = this.#viewOf(change.seen)
    const before = linear && view === now ? this.#current.state : this.#stateAt(change.parents, view)
    const node = this.graph.add(change)
    const refused = checkChange(before, node, this.schema)
    node.inapplicable = refused !== undefined || alreadyDead
    const after = this.#apply(before, node)
    if (linear && view === now) this.#current = { heads: [node.index], state: after }
    else this.#remember([node.index], view, after)
    return { node, refusal: refused }
  }

  /** Whether the change could be applied to the value at `parents`. Changes nothing. */
  check(change: Parameters<ItemGraph['add']>[0]): Refusal | undefined {
    const before = this.#stateAt(change.parents, this.#viewOf(change.seen))
    const node: Node = { ...change, index: this.graph.nodes.length, inapplicable: false, voided: undefined }
    return checkChange(before, node, this.schema)
  }

  /** Marks a change as voided by the authority's entry at `position`. Its effect goes; what was built on it stays. */
  void(index: number, position: number): void {
    const node = this.graph.node(index)
    if (node.voided !== undefined) return
    node.voided = position
    this.#voidedAt.push(position)
    this.#voidedAt.sort((a, b) => a - b)
    this.#voided.push(index)
    this.#voided.sort((a, b) => a - b)
    this.#cache.clear()
    this.#current = { heads: [], state: emptyState }
  }

  /** The value everyone sees now. */
  value(): ItemState {
    return this.#advance().state
  }

  /** The heads whose merge is the value. */
  get heads(): readonly number[] {
    return this.graph.heads
  }

  /** From an older value, at `heads`, to the one now. */
  since(heads: readonly number[], older: ItemState): Advance {
    const state = this.value()
    const texts = new Map<string, readonly Splice[]>()
    for (const field of this.#textFields) {
      const [before, after] = [ropeOf(older, field), ropeOf(state, field)]
      if (before === after) continue
      // After a verdict the two values do not share a history without the dead change; then the texts themselves are compared.
      const splices = this.#voidedAt.length > 0 ? diffText(before.toString(), after.toString()) : transform(this.#history(field, now), heads, this.heads)
      if (splices.length > 0) texts.set(field, splices)
    }
    return { state, texts }
  }

  /** The value at a version: the merge of the changes `heads` and all they build on. */
  at(heads: readonly number[]): ItemState {
    return this.#stateAt(heads, now)
  }

  #advance(): Version {
    const { heads } = this.graph
    if (sameSet(heads, this.#current.heads)) return this.#current
    const from = this.#current
    const state = from.heads.length === 0 ? this.#stateAt(heads, now) : this.#merge(from.state, from.heads, heads, now)
    this.#current = { heads: [...heads], state }
    return this.#current
  }

  /** Verdicts an author had not seen are as if not made; with none in question all views are the same one. */
  #viewOf(seen: number): View {
    const last = this.#voidedAt.at(-1)
    return last === undefined || last <= seen ? now : seen
  }

  #isDead(node: Node, view: View): boolean {
    return node.inapplicable || (node.voided !== undefined && node.voided <= view)
  }

  #apply(before: ItemState, node: Node): ItemState {
    if (node.inapplicable) return before
    let state = applyOperations(before, node, this.graph, this.schema, true)
    for (const field of this.#textFields) state = withText(state, field, splicesOf(node, field))
    return state
  }

  #stateAt(heads: readonly number[], view: View): ItemState {
    const made = new Map<string, ItemState>()
    const known = (version: readonly number[]): ItemState | undefined => {
      if (version.length === 0) return emptyState
      if (view === now && sameSet(version, this.#current.heads)) return this.#current.state
      const name = nameOf(version, view)
      return made.get(name) ?? this.#cache.get(name)
    }
    const stack: (readonly number[])[] = [heads]
    for (let version = stack.at(-1); version !== undefined; version = stack.at(-1)) {
      if (known(version) !== undefined) {
        stack.pop()
        continue
      }
      const last = Math.max(...version)
      const node = this.graph.node(last)
      const from = version.length === 1 ? node.parents : [last]
      const before = known(from)
      if (before === undefined) {
        stack.push(from)
        continue
      }
      const dead = this.#isDead(node, view)
      const state = version.length > 1 ? this.#merge(before, from, version, view) : dead ? before : this.#apply(before, node)
      made.set(nameOf(version, view), state)
    }
    const state = known(heads) ?? emptyState
    this.#remember(heads, view, state)
    return state
  }

  #remember(heads: readonly number[], view: View, state: ItemState): void {
    const name = nameOf(heads, view)
    this.#cache.delete(name)
    this.#cache.set(name, state)
    if (this.#cache.size > cachedVersions) for (const oldest of this.#cache.keys()) return void this.#cache.delete(oldest)
  }

  /** `state`, which is the value at `from`, taken on to the value at `from` joined with `to`. */
  #merge(state: ItemState, from: readonly number[], to: readonly number[], view: View): ItemState {
    const added = this.graph.difference(from, to)
    let merged = state
    const texts = new Set<string>()
    for (const index of added) {
      const node = this.graph.node(index)
      for (const operation of node.operations) if (operation.kind === 'splice') texts.add(operation.field)
      if (!this.#isDead(node, view)) merged = applyOperations(merged, node, this.graph, this.schema, false)
    }
    for (const field of this.#textFields) {
      if (texts.has(field)) merged = withText(merged, field, transform(this.#history(field, view), from, to))
    }
    return merged
  }

  #history(field: string, view: View): TextHistory {
    const { graph } = this
    return {
      parents: (event) => graph.node(event).parents,
      splices: (event) => {
        const node = graph.node(event)
        return node.inapplicable ? [] : splicesOf(node, field)
      },
      tieBreak: (event) => graph.node(event).id,
      dead: (event) => this.#isDead(graph.node(event), view),
      // What is inapplicable has no splices for anybody, so only verdicts matter here.
      deadEvents: this.#voided.filter((index) => this.#isDead(graph.node(index), view)),
      deadTo: (event, author) => this.#isDead(graph.node(event), this.#viewOf(graph.node(author).seen)),
    }
  }
}

const nameOf = (heads: readonly number[], view: View): string => `${view}|${heads.length === 1 ? heads[0] : heads.toSorted((a, b) => a - b).join()}`

const sameSet = (a: readonly number[], b: readonly number[]): boolean => {
  if (a.length !== b.length) return false
  if (a.length === 1) return a[0] === b[0]
  return a.every((index) => b.includes(index))
}
