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
  /** The change cannot be applied to the value it names, by the rules of its format: dead for everyone and always. */
  inapplicable: boolean
  /** Position of the authority's entry that voided the change, undefined while it stands. */
  voided: number | undefined
}

export class ItemGraph {
  readonly nodes: Node[] = []
  readonly #byId = new Map<string, number>()
  #heads: number[] = []

  /** Changes without children. */
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

  add(change: Omit<Node, 'index' | 'inapplicable' | 'voided'>): Node {
    const node: Node = { ...change, index: this.nodes.length, inapplicable: false, voided: undefined }
    this.nodes.push(node)
    this.#byId.set(node.id, node.index)
    this.#heads = this.#heads.filter((head) => !node.parents.includes(head))
    this.#heads.push(node.index)
    return node
  }

  /** Whether `a` is in the causal past of `b` (and not `b` itself). */
  isAncestor(a: number, b: number): boolean {
    if (a >= b) return false
    const stack = [...this.node(b).parents]
    const seen = new Set<number>()
    for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
      if (next === a) return true
      if (next < a || seen.has(next)) continue
      seen.add(next)
      stack.push(...this.node(next).parents)
    }
    return false
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
