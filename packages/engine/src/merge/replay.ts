import { Heap } from './heap.ts'
import type { TextHistory } from './text-history.ts'
import { type Piece, type Run, Weave } from './weave.ts'

/**
 * Replays events of a text, each in the state its author edited, and tells what each does to the resulting text: the event-graph
 * walker of Gentle and Kleppmann ("Collaborative Text Editing with Eg-walker", EuroSys 2025). The weave holds the characters of all
 * branches; going from one event to another that does not follow it takes back (*retreats*) and brings back (*advances*) whole
 * events in it, which moves no character.
 *
 * Where concurrent inserts go is decided as in FugueMax (Weidner and Kleppmann, "The Art of the Fugue", 2023): the
 * characters form a tree, each a right child of its left neighbour or, where that has right children already, a left child of its
 * right neighbour. So the order depends on what the authors saw and on tie breaks alone, and runs do not interleave.
 *
 * The text before the replay is a run of its own. Its length need not be known: nobody can tell two characters of it apart. What was
 * deleted in it before needs no place either: all inserts of the replay fall between two characters that all authors saw, so they
 * are ordered among themselves only.
 *
 * An event that a later author saw as dead keeps its place in the tree, where it counts as deleted. Order thus depends on
 * causality only, whoever is dead to whom. Of an erased event so do the inserts, while its removals count.
 */
const startOfText = -1
const endOfText = Number.POSITIVE_INFINITY
/** More than any text; numbers of the characters before the replay start at 0, those of the replay here. */
const baseLength = 2 ** 40

/** Ranges of characters. */
type Ranges = { readonly start: number; readonly length: number }[]

/** One event of the replay. */
interface Step {
  readonly event: number
  /** Steps, by their place in the replay; what is older than the replay is left out. */
  readonly parents: readonly number[]
  readonly dead: boolean
  readonly erased: boolean
  /** Whether the author of the prepared version saw this event as dead. */
  hidden: boolean
  applied: boolean
  readonly runs: Run[]
  readonly removed: Ranges
}

export class Replay {
  readonly #history: TextHistory
  readonly #emit: (at: number, remove: number, insert: string) => void
  readonly #weave = new Weave()
  readonly #steps: Step[] = []
  readonly #deadSteps: Step[] = []
  /** The prepared version. */
  #version: readonly number[] = []
  #nextCharacter = baseLength
  /** Runs by the character their first one is a child of, in the order of the text. */
  readonly #leftChildren = new Map<number, Run[]>()
  readonly #rightChildren = new Map<number, Run[]>()

  /** `overText`: whether there may be text before the replay. `emit` is told what happens to the resulting text, in sequence. */
  constructor(history: TextHistory, overText: boolean, emit: (at: number, remove: number, insert: string) => void) {
    this.#history = history
    this.#emit = emit
    if (!overText) return
    const run = { start: 0, length: baseLength, tieBreak: '', right: endOfText, exists: true, hidden: false }
    this.#weave.insertAfter(undefined, run, false)
  }

  /**
   * Replays an event whose parents were replayed (`parents` are their places in the replay). A position that is not in the author's
   * text cannot come from a change that counts, its caller has declared it dead and emptied it; it is moved to the end of the text.
   */
  step(event: number, parents: readonly number[], silent: boolean): void {
    this.#prepare(parents)
    for (const step of this.#deadSteps) if (step.applied) this.#show(step, event)
    const dead = this.#history.dead(event)
    const erased = this.#history.erased?.(event) ?? false
    const step: Step = { event, parents, dead, erased, hidden: false, applied: true, runs: [], removed: [] }
    const tieBreak = this.#history.tieBreak(event)
    for (const { at, remove, insert } of this.#history.splices(event)) {
      const place = Math.min(at, this.#weave.preparedLength)
      if (remove > 0) this.#remove(step, place, remove, silent)
      if (insert.length > 0) this.#insert(step, place, insert, tieBreak, silent)
    }
    this.#version = [this.#steps.length]
    this.#steps.push(step)
    if (dead || erased) this.#deadSteps.push(step)
  }

  #remove(step: Step, at: number, units: number, silent: boolean): void {
    let left = units
    while (left > 0) {
      const found = this.#weave.at(at)
      if (!found) return
      let { piece } = found
      if (found.offset > 0) piece = this.#weave.split(piece, found.offset)
      if (piece.length > left) this.#weave.split(piece, left)
      left -= piece.length
      this.#weave.remove(piece, 1)
      step.removed.push({ start: piece.start, length: piece.length })
      if (step.dead || piece.gone) continue
      if (!silent) this.#emit(this.#weave.effectivePosition(piece), piece.length, '')
      this.#weave.take(piece)
    }
  }

  #insert(step: Step, at: number, text: string, tieBreak: string, silent: boolean): void {
    const found = at > 0 ? this.#weave.at(at - 1) : undefined
    if (found && found.offset + 1 < found.piece.length) this.#weave.split(found.piece, found.offset + 1)
    const left = found?.piece
    const right = this.#weave.nextExisting(left)
    const run: Run = {
      start: this.#nextCharacter,
      length: text.length,
      tieBreak,
      right: right ? right.start : endOfText,
      exists: true,
      hidden: false,
    }
    this.#nextCharacter += text.length
    const gone = step.dead || step.erased
    const piece = this.#weave.insertAfter(this.#integrate(run, left, right), run, gone)
    step.runs.push(run)
    if (!silent && !gone) this.#emit(this.#weave.effectivePosition(piece), 0, text)
  }

  /** Enters a run in the tree and gives the piece after which it belongs. */
  #integrate(run: Run, left: Piece | undefined, right: Piece | undefined): Piece | undefined {
    const leftCharacter = left ? left.start + left.length - 1 : startOfText
    if (right && this.#hasRightChild(left, leftCharacter)) {
      const siblings = listOf(this.#leftChildren, right.start)
      const index = siblings.findIndex(({ tieBreak }) => tieBreak > run.tieBreak)
      const next = siblings[index]
      siblings.splice(next ? index : siblings.length, 0, run)
      return this.#weave.previous(next ? this.#first(next) : right)
    }
    const siblings = listOf(this.#rightChildren, leftCharacter)
    const index = siblings.findIndex((other) => this.#goesBefore(run, other))
    const next = siblings[index]
    const last = siblings.at(-1)
    siblings.splice(next ? index : siblings.length, 0, run)
    if (next) return this.#weave.previous(this.#first(next))
    return last ? this.#last(last) : left
  }

  /** Whether the author's version holds a character that was inserted right after this one. */
  #hasRightChild(left: Piece | undefined, character: number): boolean {
    const inRun = left !== undefined && character < left.run.start + left.run.length - 1
    return inRun || (this.#rightChildren.get(character)?.some(({ exists }) => exists) ?? false)
  }

  /** Right children of one character: the one inserted before a later character goes first. */
  #goesBefore(run: Run, other: Run): boolean {
    if (run.right === other.right) return run.tieBreak < other.tieBreak
    if (run.right === endOfText) return true
    return other.right !== endOfText && this.#weave.precedes(other.right, run.right)
  }

  /** The first piece of what descends from a run. */
  #first(run: Run): Piece {
    let first = run
    for (;;) {
      const child = this.#leftChildren.get(first.start)?.[0]
      if (!child) return this.#weave.find(first.start)
      first = child
    }
  }

  /** The last piece of what descends from a run. Only the last character of a run can have other right children than the run's. */
  #last(run: Run): Piece {
    let last = run
    for (;;) {
      const character = last.start + last.length - 1
      const child = this.#rightChildren.get(character)?.at(-1)
      if (!child) return this.#weave.find(character)
      last = child
    }
  }

  /** Makes a version the prepared one. */
  #prepare(version: readonly number[]): void {
    const from = this.#version
    this.#version = version
    if (from.length === version.length && from.every((step, index) => step === version[index])) return
    const inFrom = 1
    const inVersion = 2
    const inBoth = 3
    const marks = new Map<number, number>()
    const queue = new Heap()
    let apart = 0
    const mark = (step: number, where: number): void => {
      const known = marks.get(step)
      const now = (known ?? 0) | where
      if (known === now) return
      marks.set(step, now)
      if (known === undefined) queue.push(step)
      if (known === undefined && now !== inBoth) apart++
      if (known !== undefined && now === inBoth) apart--
    }
    for (const step of from) mark(step, inFrom)
    for (const step of version) mark(step, inVersion)
    const advance: Step[] = []
    while (apart > 0) {
      const number = queue.pop() as number
      const step = this.#steps[number] as Step
      const where = marks.get(number) as number
      if (where !== inBoth) apart--
      if (where === inFrom) this.#apply(step, false)
      if (where === inVersion) advance.push(step)
      for (const parent of step.parents) mark(parent, where)
    }
    for (const step of advance.reverse()) this.#apply(step, true)
  }

  #apply(step: Step, applied: boolean): void {
    step.applied = applied
    for (const run of step.runs) this.#weave.show(run, applied, run.hidden)
    if (!step.hidden) this.#count(step.removed, applied ? 1 : -1)
  }

  /** Shows a dead or erased step as its author saw it. */
  #show(step: Step, author: number): void {
    const hidden = step.dead && this.#history.deadTo(step.event, author)
    const gone = hidden || (step.erased && this.#history.erasedTo?.(step.event, author) === true)
    for (const run of step.runs) if (run.hidden !== gone) this.#weave.show(run, run.exists, gone)
    if (step.hidden === hidden) return
    step.hidden = hidden
    this.#count(step.removed, hidden ? -1 : 1)
  }

  #count(ranges: Ranges, times: 1 | -1): void {
    for (const { start, length } of ranges) {
      this.#weave.eachPiece(start, length, (piece) => this.#weave.remove(piece, times))
    }
  }
}

const listOf = (lists: Map<number, Run[]>, character: number): Run[] => {
  let list = lists.get(character)
  if (!list) {
    list = []
    lists.set(character, list)
  }
  return list
}
