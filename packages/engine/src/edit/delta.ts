import type { Splice } from '../merge/splice.ts'

/**
 * Edits of a text as one walk over it: how pending local edits are carried over remote ones (operational transformation of two
 * parties, with the remote side first; see Ellis and Gibbs, "Concurrency Control in Groupware Systems", SIGMOD 1989).
 *
 * A number passes over that many units of the text before, `{ remove }` leaves that many out, a string puts itself in. What is
 * not mentioned at the end stays. In canonical form no part is empty, no two neighbours are of one kind, a string stands before
 * the removal at its place, and the last part is not a number. All functions here return canonical deltas and take any.
 */
export type Delta = readonly Part[]
type Part = number | { readonly remove: number } | string

const removed = (part: Part | undefined): number => (typeof part === 'object' ? part.remove : 0)
const lengthOf = (part: Part): number =>
  typeof part === 'number' ? part : typeof part === 'string' ? part.length : part.remove

/** Takes parts in and keeps what it has canonical. */
class Writer {
  readonly #parts: Part[] = []

  pass(units: number): void {
    if (units === 0) return
    const last = this.#parts.at(-1)
    if (typeof last === 'number') this.#parts[this.#parts.length - 1] = last + units
    else this.#parts.push(units)
  }

  remove(units: number): void {
    if (units === 0) return
    const already = removed(this.#parts.at(-1))
    if (already > 0) this.#parts.pop()
    this.#parts.push({ remove: already + units })
  }

  insert(text: string): void {
    if (text.length === 0) return
    const removal = removed(this.#parts.at(-1)) > 0 ? this.#parts.pop() : undefined
    const last = this.#parts.at(-1)
    if (typeof last === 'string') this.#parts[this.#parts.length - 1] = last + text
    else this.#parts.push(text)
    if (removal !== undefined) this.#parts.push(removal)
  }

  finish(): Delta {
    if (typeof this.#parts.at(-1) === 'number') this.#parts.pop()
    return this.#parts
  }
}

/** Gives the parts of a delta in pieces; at its end, one that passes over everything. */
class Reader {
  readonly #parts: Delta
  #index = 0
  #offset = 0

  constructor(parts: Delta) {
    this.#parts = parts
  }

  get done(): boolean {
    return this.#index >= this.#parts.length
  }

  get part(): Part {
    return this.#parts[this.#index] ?? Number.POSITIVE_INFINITY
  }

  /** Units left of the part at hand. */
  get left(): number {
    return lengthOf(this.part) - this.#offset
  }

  /** Units of the part at hand, at most `most`, as text when it is an insert. */
  take(most = this.left): { units: number; text: string } {
    const { part } = this
    const units = Math.min(most, this.left)
    const text = typeof part === 'string' ? part.slice(this.#offset, this.#offset + units) : ''
    this.#offset += units
    if (this.#offset >= lengthOf(part)) {
      this.#index++
      this.#offset = 0
    }
    return { units, text }
  }
}

/** One delta for splices that are made in sequence. */
export function deltaOf(splices: readonly Splice[]): Delta {
  if (splices.length > 1) {
    const middle = splices.length >> 1
    return compose(deltaOf(splices.slice(0, middle)), deltaOf(splices.slice(middle)))
  }
  const writer = new Writer()
  for (const { at, remove, insert } of splices) {
    writer.pass(at)
    writer.insert(insert)
    writer.remove(remove)
  }
  return writer.finish()
}

/** The delta that does what `first` does and then, to its result, what `second` does. */
export function compose(first: Delta, second: Delta): Delta {
  const writer = new Writer()
  const earlier = new Reader(first)
  const later = new Reader(second)
  while (!(earlier.done && later.done)) {
    if (typeof later.part === 'string') {
      writer.insert(later.take().text)
    } else if (typeof earlier.part === 'object') {
      writer.remove(earlier.take().units)
    } else {
      const keeps = typeof later.part === 'number'
      const inserts = typeof earlier.part === 'string'
      const units = Math.min(earlier.left, later.left)
      const { text } = earlier.take(units)
      later.take(units)
      if (keeps && inserts) writer.insert(text)
      else if (keeps) writer.pass(units)
      else if (!inserts) writer.remove(units)
    }
  }
  return writer.finish()
}

/**
 * `pending` on the text that `remote` leaves, both being made on the same text. What both removed is removed once. Where both insert
 * at one place, the pending insert comes after the remote one; with `before`, in front of it, so that for all deltas of one text
 * `compose(remote, rebase(pending, remote))` and `compose(pending, rebase(remote, pending, 'before'))` give the same.
 */
export function rebase(pending: Delta, remote: Delta, order: 'after' | 'before' = 'after'): Delta {
  const writer = new Writer()
  const ours = new Reader(pending)
  const theirs = new Reader(remote)
  while (!ours.done) {
    if (typeof ours.part === 'string' && (order === 'before' || typeof theirs.part !== 'string')) {
      writer.insert(ours.take().text)
    } else if (typeof theirs.part === 'string') {
      writer.pass(theirs.take().units)
    } else {
      const units = Math.min(ours.left, theirs.left)
      const removes = typeof ours.part === 'object'
      const stands = typeof theirs.part === 'number'
      ours.take(units)
      theirs.take(units)
      if (stands && removes) writer.remove(units)
      else if (stands) writer.pass(units)
    }
  }
  return writer.finish()
}

/** The same edits as splices to be made in sequence, from the start of the text to its end. */
export function splicesOf(delta: Delta): Splice[] {
  const splices: Splice[] = []
  let at = 0
  for (let index = 0; index < delta.length; index++) {
    const part = delta[index] as Part
    if (typeof part === 'number') {
      at += part
    } else if (typeof part === 'string') {
      const remove = removed(delta[index + 1])
      if (remove > 0) index++
      splices.push({ at, remove, insert: part })
      at += part.length
    } else {
      splices.push({ at, remove: part.remove, insert: '' })
    }
  }
  return splices
}

/**
 * Where a position between two units of the text before is in the text after. `side` tells which of the two it belongs to when
 * something is inserted just there: -1, the one before it, so that it stays before the insert; 1, the one after it. In a removed
 * stretch it goes to where that was, after what replaced it.
 */
export function mapPosition(delta: Delta, position: number, side: -1 | 1): number {
  let before = 0
  let after = 0
  for (const part of delta) {
    if (before > position || (before === position && (side < 0 || typeof part !== 'string'))) break
    if (typeof part === 'string') {
      after += part.length
    } else {
      const units = Math.min(lengthOf(part), position - before)
      if (typeof part === 'number') after += units
      before += lengthOf(part)
      if (before > position) return after
    }
  }
  return after + Math.max(0, position - before)
}
