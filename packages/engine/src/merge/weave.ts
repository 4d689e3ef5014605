/**
 * The characters of all branches in one sequence, deleted ones kept in place, as pieces of runs. It answers, each in O(log n): which
 * character stands at a position of the text that is being replayed (*prepared*), at which position of the resulting text
 * (*effective*) a piece stands, which piece holds a character, and which of two characters comes first.
 *
 * A B-tree whose blocks know three sums. Its depth is bounded whatever the edits are, since strangers choose them.
 */
const blockSize = 32
const shelfSize = 256

/** Characters inserted together. Each one but the first was inserted after the one before it, and all before the same one. */
export interface Run {
  /** Number of its first character; the others follow. Numbers last as long as the weave and order nothing. */
  readonly start: number
  readonly length: number
  readonly tieBreak: string
  /** The character that stood on the right when it was inserted; `end` when there was none. */
  readonly right: number
  /** Whether the version that is being prepared holds the insert. */
  exists: boolean
  /** Whether the author of that version saw the insert as dead. */
  hidden: boolean
}

export interface Piece {
  readonly run: Run
  readonly start: number
  length: number
  /** How many removals of the prepared version took it away. */
  removals: number
  /** Not in the resulting text: removed, or inserted by a dead event. For good. */
  gone: boolean
  block: Block
}

interface Block {
  above: Block | undefined
  /** One of the two is empty. */
  readonly pieces: Piece[]
  readonly blocks: Block[]
  prepared: number
  effective: number
  /** Pieces whose run exists. */
  existing: number
}

const prepared = ({ run, removals, length }: Piece): number =>
  run.exists && !run.hidden && removals === 0 ? length : 0
const effective = (piece: Piece): number => (piece.gone ? 0 : piece.length)

const emptyBlock = (above: Block | undefined): Block => ({
  above,
  pieces: [],
  blocks: [],
  prepared: 0,
  effective: 0,
  existing: 0,
})

const add = (from: Block, preparedUnits: number, effectiveUnits: number, existingPieces: number): void => {
  for (let block: Block | undefined = from; block; block = block.above) {
    block.prepared += preparedUnits
    block.effective += effectiveUnits
    block.existing += existingPieces
  }
}

const recount = (block: Block): void => {
  block.prepared = 0
  block.effective = 0
  block.existing = 0
  for (const piece of block.pieces) {
    block.prepared += prepared(piece)
    block.effective += effective(piece)
    if (piece.run.exists) block.existing++
  }
  for (const inner of block.blocks) {
    block.prepared += inner.prepared
    block.effective += inner.effective
    block.existing += inner.existing
  }
}

const heir = (block: Block | undefined): Block | undefined => {
  if (!block?.above) return undefined
  const siblings = block.above.blocks
  return siblings[siblings.indexOf(block) + 1] ?? heir(block.above)
}

export class Weave {
  #root: Block = emptyBlock(undefined)
  /** Pieces by number of their first character, in shelves of bounded length. */
  readonly #shelves: Piece[][] = []

  /** Puts a piece of a run after `left`, or first. */
  insertAfter(left: Piece | undefined, run: Run, gone: boolean): Piece {
    let block = left?.block ?? this.#root
    while (block.blocks.length > 0) block = block.blocks[0] as Block
    const piece: Piece = { run, start: run.start, length: run.length, removals: 0, gone, block }
    this.#place(piece, left ? block.pieces.indexOf(left) + 1 : 0)
    return piece
  }

  /** Cuts a piece so that `length` characters stay; gives what follows them. */
  split(piece: Piece, length: number): Piece {
    const { run, removals, gone, block } = piece
    const rest: Piece = { run, start: piece.start + length, length: piece.length - length, removals, gone, block }
    const lost = prepared(rest)
    piece.length = length
    add(block, -lost, -effective(rest), 0)
    this.#place(rest, block.pieces.indexOf(piece) + 1)
    return rest
  }

  /** The piece that holds a character. */
  find(character: number): Piece {
    const shelf = this.#shelves[this.#shelfOf(character)]
    const piece = shelf?.[lastAtMost(shelf, character)]
    if (!piece) throw new Error(`character ${character} is not in the weave`)
    return piece
  }

  get preparedLength(): number {
    return this.#root.prepared
  }

  /** The piece that holds the character at a prepared position, and which of its characters it is. */
  at(position: number): { piece: Piece; offset: number } | undefined {
    if (position >= this.#root.prepared) return undefined
    let offset = position
    let block = this.#root
    descend: while (block.blocks.length > 0) {
      for (const inner of block.blocks) {
        if (offset < inner.prepared) {
          block = inner
          continue descend
        }
        offset -= inner.prepared
      }
      return undefined
    }
    for (const piece of block.pieces) {
      const length = prepared(piece)
      if (offset < length) return { piece, offset }
      offset -= length
    }
    return undefined
  }

  /** The position of a piece in the resulting text: how much of it stands before. */
  effectivePosition(piece: Piece): number {
    let position = 0
    for (const other of piece.block.pieces) {
      if (other === piece) break
      position += effective(other)
    }
    for (let block = piece.block; block.above; block = block.above) {
      for (const sibling of block.above.blocks) {
        if (sibling === block) break
        position += sibling.effective
      }
    }
    return position
  }

  /** The piece after this one; after `undefined`, the first. */
  next(piece: Piece | undefined): Piece | undefined {
    if (piece) {
      const sibling = piece.block.pieces[piece.block.pieces.indexOf(piece) + 1]
      if (sibling) return sibling
    }
    let block = piece ? heir(piece.block) : this.#root
    while (block && block.blocks.length > 0) block = block.blocks[0]
    return block?.pieces[0]
  }

  /** The piece before this one. */
  previous(piece: Piece): Piece | undefined {
    const sibling = piece.block.pieces[piece.block.pieces.indexOf(piece) - 1]
    if (sibling) return sibling
    let block: Block | undefined = piece.block
    while (block.above && block.above.blocks[0] === block) block = block.above
    if (!block.above) return undefined
    block = block.above.blocks[block.above.blocks.indexOf(block) - 1]
    while (block && block.blocks.length > 0) block = block.blocks.at(-1)
    return block?.pieces.at(-1)
  }

  /** The first piece after this one (after `undefined`: of all) that the prepared version holds, be it removed or not. */
  nextExisting(piece: Piece | undefined): Piece | undefined {
    let block: Block | undefined = this.#root
    if (piece) {
      block = piece.block
      const pieces = block.pieces
      for (let index = pieces.indexOf(piece) + 1; index < pieces.length; index++) {
        if (pieces[index]?.run.exists) return pieces[index]
      }
      do block = heir(block)
      while (block && block.existing === 0)
    }
    while (block && block.blocks.length > 0) block = block.blocks.find((inner) => inner.existing > 0)
    return block?.pieces.find(({ run }) => run.exists)
  }

  /** Whether the first character stands before the second. */
  precedes(first: number, second: number): boolean {
    const left = this.find(first)
    const right = this.find(second)
    if (left === right) return first < second
    if (left.block === right.block) return left.block.pieces.indexOf(left) < left.block.pieces.indexOf(right)
    let leftBlock = left.block
    let rightBlock = right.block
    // All pieces are equally deep, so both ways up meet.
    while (leftBlock.above && rightBlock.above && leftBlock.above !== rightBlock.above) {
      leftBlock = leftBlock.above
      rightBlock = rightBlock.above
    }
    const siblings = leftBlock.above?.blocks ?? []
    return siblings.indexOf(leftBlock) < siblings.indexOf(rightBlock)
  }

  /** Changes what the prepared version holds of a run. */
  show(run: Run, exists: boolean, hidden: boolean): void {
    const was = run.exists && !run.hidden
    const is = exists && !hidden
    const pieces = Number(exists) - Number(run.exists)
    const units = Number(is) - Number(was)
    run.exists = exists
    run.hidden = hidden
    if (pieces === 0 && units === 0) return
    this.eachPiece(run.start, run.length, (piece) => {
      add(piece.block, piece.removals === 0 ? units * piece.length : 0, 0, pieces)
    })
  }

  /** Counts removals of a whole piece in the prepared version. */
  remove(piece: Piece, times: 1 | -1): void {
    const was = prepared(piece)
    piece.removals += times
    const units = prepared(piece) - was
    if (units !== 0) add(piece.block, units, 0, 0)
  }

  /** Takes a piece out of the resulting text. */
  take(piece: Piece): void {
    if (piece.gone) return
    piece.gone = true
    add(piece.block, 0, -piece.length, 0)
  }

  /** The pieces that hold `length` characters from `start` on: all of one run, and cut at both borders before. */
  eachPiece(start: number, length: number, visit: (piece: Piece) => void): void {
    const end = start + length
    let shelf = this.#shelfOf(start)
    let index = lastAtMost(this.#shelves[shelf] ?? [], start)
    for (let at = start; at < end; index++) {
      let piece = this.#shelves[shelf]?.[index]
      if (!piece) {
        index = 0
        piece = this.#shelves[++shelf]?.[0]
        if (!piece) return
      }
      at = piece.start + piece.length
      visit(piece)
    }
  }

  #place(piece: Piece, index: number): void {
    piece.block.pieces.splice(index, 0, piece)
    add(piece.block, prepared(piece), effective(piece), piece.run.exists ? 1 : 0)
    let full: Block | undefined = piece.block
    while (full && Math.max(full.pieces.length, full.blocks.length) > blockSize) full = this.#halve(full)

    const number = this.#shelfOf(piece.start)
    const shelf = this.#shelves[number]
    if (!shelf) {
      this.#shelves.push([piece])
      return
    }
    shelf.splice(lastAtMost(shelf, piece.start) + 1, 0, piece)
    if (shelf.length > shelfSize) this.#shelves.splice(number + 1, 0, shelf.splice(shelfSize / 2))
  }

  #halve(block: Block): Block {
    if (!block.above) {
      this.#root = emptyBlock(undefined)
      this.#root.blocks.push(block)
      block.above = this.#root
      recount(this.#root)
    }
    const above = block.above
    const right = emptyBlock(above)
    for (const piece of block.pieces.splice(blockSize / 2)) {
      piece.block = right
      right.pieces.push(piece)
    }
    for (const inner of block.blocks.splice(blockSize / 2)) {
      inner.above = right
      right.blocks.push(inner)
    }
    recount(block)
    recount(right)
    above.blocks.splice(above.blocks.indexOf(block) + 1, 0, right)
    return above
  }

  #shelfOf(character: number): number {
    let low = 0
    let high = this.#shelves.length
    while (high - low > 1) {
      const middle = (low + high) >> 1
      if ((this.#shelves[middle]?.[0]?.start ?? 0) <= character) low = middle
      else high = middle
    }
    return low
  }
}

/** Index of the last piece that starts at a character or before it; -1 when none does. */
const lastAtMost = (pieces: readonly Piece[], character: number): number => {
  let low = -1
  let high = pieces.length
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if ((pieces[middle] as Piece).start <= character) low = middle
    else high = middle
  }
  return low
}
