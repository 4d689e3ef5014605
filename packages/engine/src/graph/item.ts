/**
 * The graph of one item: the counted changes of one key under one schema. Nodes are numbered in the order they were counted here,
 * so parents have smaller numbers; nothing that is the same everywhere may depend on the numbers.
 */
import type { Operation } from '../commit/operation.ts'

export interface Node {
  readonly index: number
  /** The commit's id. */
  readonly id: string
  readonly clock: number
  readonly parents: readonly number[]
  readonly operations: readonly Operation[]
  /** The author's position in the repository's authority log, -1 for none: what the author could have seen as void. */
  readonly seen: number
  /** Position of the authority's entry that erased the content: what it inserted is deleted from there on. Undefined while it is here. */
  readonly erased?: number | undefined
  /** That it counts was settled while all content of the item was there: only what makes no sense at all is still refused. */
  readonly settled?: boolean | undefined
  /** Dead for everyone and always: the rules refuse it, or another change of its atomic commit. */
  refused: boolean
  /** The change cannot be applied to the value it names, by the rules of its format: dead for everyone and always. */
  inapplicable: boolean
  /** What it removes and the value it names does not hold, as `field/tag`: as if it did not name them. */
  ignored: ReadonlySet<string> | undefined
  /** Position of the authority's entry that voided the change, undefined while it stands. */
  voided: number | undefined
}

export type NewNode = Omit<Node, 'index' | 'refused' | 'inapplicable' | 'ignored' | 'voided'>

/** Stands alone before it is added: a question, not a part of a graph. */
export const nodeOf = (change: NewNode, index: number): Node => ({
  ...change,
  index,
  refused: false,
  inapplicable: false,
  ignored: undefined,
  voided: undefined,
})

export class ItemGraph {
  readonly nodes: Node[] = []
  readonly #byId = new Map<string, number>()
  readonly #heads: number[] = []
  /** Where in `#heads` a head stands. */
  readonly #places = new Map<number, number>()
  /** The walk that reached a node last. */
  #reached = new Uint32Array(64)
  #walk = 0

  /** Changes without children, in no order. The array moves with the graph: copy it to keep it. */
  get heads(): readonly number[] {
    return this.#heads
  }

  node(index: number): Node {
    const node = this.nodes[index]
    if (node === undefined) throw new RangeError(`no node ${index}`)
    return node
  }

  indexOf(id: string): number | undefined {
    return this.#byId.get(id)
  }

  add(change: NewNode): Node {
    const node = nodeOf(change, this.nodes.length)
    this.nodes.push(node)
    this.#byId.set(node.id, node.index)
    for (const parent of node.parents) this.#cover(parent)
    this.#places.set(node.index, this.#heads.length)
    this.#heads.push(node.index)
    return node
  }

  clear(): void {
    this.nodes.length = 0
    this.#byId.clear()
    this.#heads.length = 0
    this.#places.clear()
  }

  #cover(head: number): void {
    const place = this.#places.get(head)
    const last = this.#heads.at(-1)
    if (place === undefined || last === undefined) return
    this.#heads[place] = last
    this.#places.set(last, place)
    this.#heads.pop()
    this.#places.delete(head)
  }

  /** Whether `a` is in the causal past of `b` (and not `b` itself). */
  isAncestor(a: number, b: number): boolean {
    return this.ancestorsAmong(new Set([a]), [b]).size > 0
  }

  /** Those candidates that are in the causal past of some node of `of`; a node is not in its own past. */
  ancestorsAmong(candidates: ReadonlySet<number>, of: Iterable<number>): Set<number> {
    const found = new Set<number>()
    let oldest = Number.POSITIVE_INFINITY
    for (const candidate of candidates) oldest = Math.min(oldest, candidate)
    const walk = this.#startWalk()
    const open: number[] = []
    const reach = (index: number): void => {
      for (const parent of this.node(index).parents) {
        if (parent < oldest || this.#reached[parent] === walk) continue
        this.#reached[parent] = walk
        if (candidates.has(parent)) found.add(parent)
        open.push(parent)
      }
    }
    let newest = -1
    for (const start of of) {
      newest = Math.max(newest, start)
      reach(start)
    }
    // The newest node of all is in nobody's past.
    const most = candidates.size - (candidates.has(newest) ? 1 : 0)
    while (found.size < most) {
      const next = open.pop()
      if (next === undefined) break
      reach(next)
    }
    return found
  }

  #startWalk(): number {
    if (this.#reached.length < this.nodes.length) {
      const larger = new Uint32Array(2 * this.nodes.length)
      larger.set(this.#reached)
      this.#reached = larger
    }
    this.#walk = (this.#walk + 1) >>> 0
    if (this.#walk === 0) {
      this.#reached.fill(0)
      this.#walk = 1
    }
    return this.#walk
  }

  /** The nodes in the causal past of `to` (heads included) that are not in that of `from`, ascending. */
  difference(from: readonly number[], to: readonly number[]): number[] {
    // Walks back by descending number; a node is shared once a path from `from` reached it.
    const shared = new Map<number, boolean>()
    const queue = new Descending()
    let open = 0
    const visit = (index: number, fromHere: boolean): void => {
      const known = shared.get(index)
      if (known === undefined) {
        shared.set(index, fromHere)
        queue.push(index)
        if (!fromHere) open++
      } else if (fromHere && !known) {
        shared.set(index, true)
        open--
      }
    }
    for (const head of from) visit(head, true)
    for (const head of to) visit(head, false)
    const only: number[] = []
    while (open > 0) {
      const index = queue.pop()
      if (index === undefined) break
      const isShared = shared.get(index) === true
      if (!isShared) {
        only.push(index)
        open--
      }
      for (const parent of this.node(index).parents) visit(parent, isShared)
    }
    return only.reverse()
  }
}

/** A heap that gives the largest number first. */
class Descending {
  readonly #heap: number[] = []

  push(value: number): void {
    const heap = this.#heap
    let at = heap.length
    heap.push(value)
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = heap[up] ?? 0
      if (parent >= value) break
      heap[at] = parent
      at = up
    }
    heap[at] = value
  }

  pop(): number | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      let child = at * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && (heap[child + 1] ?? 0) > (heap[child] ?? 0)) child++
      const value = heap[child] ?? 0
      if (value <= last) break
      heap[at] = value
      at = child
    }
    heap[at] = last
    return top
  }
}
