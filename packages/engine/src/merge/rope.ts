/**
 * A text as an immutable balanced tree of string leaves. A splice copies one path and shares the rest, so old values of a text stay
 * readable for the price of what changed, and an edit costs O(log n) wherever it lands. Positions are UTF-16 code units.
 *
 * The tree keeps the AVL rule (siblings differ in height by one at most) by joining: see Blelloch, Ferizovic and Sun, "Just Join
 * for Parallel Ordered Sets" (SPAA 2016).
 */
const leafLength = 1024
const smallLeaf = leafLength / 2

type Node = string | Branch

interface Branch {
  readonly left: Node
  readonly right: Node
  readonly length: number
  readonly height: number
}

const heightOf = (node: Node): number => (typeof node === 'string' ? 0 : node.height)

const branch = (left: Node, right: Node): Branch => ({
  left,
  right,
  length: left.length + right.length,
  height: Math.max(heightOf(left), heightOf(right)) + 1,
})

/** A branch of two trees whose heights differ by two at most. */
const balanced = (left: Node, right: Node): Branch => {
  const slope = heightOf(left) - heightOf(right)
  if (slope > 1 && typeof left !== 'string') {
    const inner = left.right
    if (typeof inner === 'string' || heightOf(left.left) >= inner.height) {
      return branch(left.left, branch(inner, right))
    }
    return branch(branch(left.left, inner.left), branch(inner.right, right))
  }
  if (slope < -1 && typeof right !== 'string') {
    const inner = right.left
    if (typeof inner === 'string' || heightOf(right.right) >= inner.height) {
      return branch(branch(left, inner), right.right)
    }
    return branch(branch(left, inner.left), branch(inner.right, right.right))
  }
  return branch(left, right)
}

const join = (left: Node, right: Node): Node => {
  if (left.length === 0) return right
  if (right.length === 0) return left
  const leftLeaf = typeof left === 'string'
  const rightLeaf = typeof right === 'string'
  if (leftLeaf && rightLeaf) return left.length + right.length <= leafLength ? left + right : branch(left, right)
  // A small leaf goes down to its neighbour, whatever the heights: edits would leave crumbs otherwise.
  if (rightLeaf) {
    if (!leftLeaf && (left.height > 1 || right.length < smallLeaf)) return balanced(left.left, join(left.right, right))
  } else if (leftLeaf) {
    if (right.height > 1 || left.length < smallLeaf) return balanced(join(left, right.left), right.right)
  } else {
    if (left.height > right.height + 1) return balanced(left.left, join(left.right, right))
    if (right.height > left.height + 1) return balanced(join(left, right.left), right.right)
  }
  return branch(left, right)
}

const build = (text: string): Node => {
  if (text.length <= leafLength) return text
  const leaves = Math.ceil(text.length / smallLeaf)
  const middle = Math.floor(leaves / 2) * smallLeaf
  return branch(build(text.slice(0, middle)), build(text.slice(middle)))
}

const before = (node: Node, at: number): Node => {
  if (typeof node === 'string') return node.slice(0, at)
  if (at >= node.length) return node
  const middle = node.left.length
  return at <= middle ? before(node.left, at) : join(node.left, before(node.right, at - middle))
}

const after = (node: Node, at: number): Node => {
  if (typeof node === 'string') return node.slice(at)
  if (at <= 0) return node
  const middle = node.left.length
  return at >= middle ? after(node.right, at - middle) : join(after(node.left, at), node.right)
}

/** The usual edit, inside one leaf that neither overflows nor vanishes: the shape of the tree stays. */
const spliceLeaf = (node: Node, at: number, remove: number, insert: string): Node | undefined => {
  if (typeof node === 'string') {
    const length = node.length - remove + insert.length
    return length > leafLength || length === 0 ? undefined : node.slice(0, at) + insert + node.slice(at + remove)
  }
  const middle = node.left.length
  if (at + remove <= middle) {
    const left = spliceLeaf(node.left, at, remove, insert)
    return left && { left, right: node.right, length: node.length - remove + insert.length, height: node.height }
  }
  if (at < middle) return undefined
  const right = spliceLeaf(node.right, at - middle, remove, insert)
  return right && { left: node.left, right, length: node.length - remove + insert.length, height: node.height }
}

const gather = (node: Node, from: number, to: number): string => {
  if (typeof node === 'string') return node.slice(from, to)
  const middle = node.left.length
  if (to <= middle) return gather(node.left, from, to)
  if (from >= middle) return gather(node.right, from - middle, to - middle)
  return gather(node.left, from, middle) + gather(node.right, 0, to - middle)
}

export class Rope {
  static readonly empty = new Rope('')

  readonly length: number
  readonly #root: Node
  #text: string | undefined

  private constructor(root: Node) {
    this.#root = root
    this.length = root.length
  }

  static from(text: string): Rope {
    return text.length === 0 ? Rope.empty : new Rope(build(text))
  }

  /** The units from `from` up to `to`, both clamped to the text; negative numbers do not count from the end. */
  slice(from = 0, to = this.length): string {
    const start = Math.max(0, from)
    const end = Math.min(this.length, to)
    return start >= end ? '' : gather(this.#root, start, end)
  }

  toString(): string {
    this.#text ??= gather(this.#root, 0, this.length)
    return this.#text
  }

  /** Throws a RangeError when the removal is not inside the text: check first what comes from outside. */
  splice(at: number, remove: number, insert: string): Rope {
    if (!(Number.isInteger(at) && Number.isInteger(remove) && at >= 0 && remove >= 0 && at + remove <= this.length)) {
      throw new RangeError(`a splice at ${at} of ${remove} units in a text of ${this.length}`)
    }
    if (remove === 0 && insert.length === 0) return this
    const inLeaf = spliceLeaf(this.#root, at, remove, insert)
    if (inLeaf !== undefined) return new Rope(inLeaf)
    const root = join(join(before(this.#root, at), build(insert)), after(this.#root, at + remove))
    return root.length === 0 ? Rope.empty : new Rope(root)
  }

  /** The code unit at `index`; NaN outside of the text. */
  unitAt(index: number): number {
    if (index < 0 || index >= this.length) return Number.NaN
    let node = this.#root
    let at = index
    while (typeof node !== 'string') {
      const middle = node.left.length
      if (at < middle) {
        node = node.left
      } else {
        at -= middle
        node = node.right
      }
    }
    return node.charCodeAt(at)
  }
}
