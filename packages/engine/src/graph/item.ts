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
  /** Where among the heads it stands, -1 for nowhere. The graph's own. */
  place: number
}

export type NewNode = Omit<Node, 'index' | 'refused' | 'inapplicable' | 'ignored' | 'voided' | 'place'>

/** Stands alone before it is added: a question, not a part of a graph. */
export const nodeOf = (change: NewNode, index: number): Node => ({
  index,
  id: change.id,
  clock: change.clock,
  parents: change.parents,
  operations: change.operations,
  seen: change.seen,
  erased: change.erased,
  settled: change.settled,
  refused: false,
  inapplicable: false,
  ignored: undefined,
  voided: undefined,
  place: -1,
})

/** Up to so many nodes are looked through for an id: most items have few, and a map takes more room than they do. */
const fewNodes = 8

const noWalks = new Uint32Array(0)

/** Heads where there is one change, as in most items: shared by them, and copied before they move. */
const onlyFirst = [0]

export class ItemGraph {
  #nodes: Node[] = []
  #byId: Map<string, number> | undefined
  #heads: number[] = []
  /** The walk that reached a node last. */
  #reached = noWalks
  #walk = 0

  get nodes(): readonly Node[] {
    return this.#nodes
  }

  /** Changes without children, in no order. The array moves with the graph: copy it to keep it. */
  get heads(): readonly number[] {
    return this.#heads
  }

  node(index: number): Node {
    const node = this.#nodes[index]
    if (node === undefined) throw new RangeError(`no node ${index}`)
    return node
  }

  indexOf(id: string): number | undefined {
    if (this.#byId !== undefined) return this.#byId.get(id)
    const index = this.#nodes.findLastIndex((node) => node.id === id)
    return index < 0 ? undefined : index
  }

  add(change: NewNode): Node {
    const node = nodeOf(change, this.#nodes.length)
    if (this.#heads === onlyFirst) this.#heads = [0]
    for (const parent of node.parents) this.#cover(this.node(parent))
    node.place = this.#heads.length
    if (node.index === 0) {
      // Most items have one change. An array that something is pushed to has room for seventeen at once.
      this.#nodes = [node]
      this.#heads = onlyFirst
      return node
    }
    this.#nodes.push(node)
    this.#heads.push(node.index)
    if (this.#byId !== undefined) this.#byId.set(node.id, node.index)
    else if (this.#nodes.length > fewNodes) this.#byId = new Map(this.#nodes.map(({ id, index }) => [id, index]))
    return node
  }

  #cover(head: Node): void {
    const last = this.#heads.at(-1)
    if (head.place < 0 || last === undefined) return
    this.#heads[head.place] = last
    this.node(last).place = head.place
    this.#heads.pop()
    head.place = -1
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
      const larger = new Uint32Array(Math.max(64, 2 * this.nodes.length))
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
