/**
 * Joins a CodeMirror 6 editor to a collaborative text. Three promises:
 *
 * 1. What is typed reaches the text as the splices it was, never as a new whole; what comes from others is dispatched as changes,
 *    so that CodeMirror maps caret and selection through it.
 * 2. What comes from others is marked `Transaction.remote` and stays out of the undo history: undo takes back one's own typing only.
 * 3. Editor and text hold the same characters when both are at rest. Should they ever differ (a change that arrives while the editor
 *    updates, an edit made by other code), the smallest differing span is replaced.
 *
 * The editor splits lines at "\n" alone, so that its positions are those of the text.
 */
import { ChangeSet, EditorState, type Extension, Transaction } from '@codemirror/state'
import { EditorView, type PluginValue, ViewPlugin, type ViewUpdate } from '@codemirror/view'

export interface Splice {
  readonly at: number
  readonly remove: number
  readonly insert: string
}

/** The part of a text field that the editor needs. Splices are in sequence, each on the text that the one before it left. */
export interface SharedText {
  toString(): string
  splice(at: number, remove: number, insert: string): void
  subscribe(
    listener: (change: { readonly splices: readonly Splice[]; readonly origin: 'local' | 'remote' }) => void,
  ): () => void
}

const lineBreak = '\n'

/** The splices of an edit in the editor, in sequence. */
export const splicesOf = (changes: ChangeSet): Splice[] => {
  const splices: Splice[] = []
  changes.iterChanges((fromA, toA, fromB, _toB, inserted) => {
    splices.push({ at: fromB, remove: toA - fromA, insert: inserted.sliceString(0, inserted.length, lineBreak) })
  })
  return splices
}

/** The edit in the editor that splices in sequence make of a text of `length`; undefined if they do not fit it. */
export const changesOf = (splices: readonly Splice[], length: number): ChangeSet | undefined => {
  let changes = ChangeSet.empty(length)
  for (const { at, remove, insert } of splices) {
    if (at < 0 || remove < 0 || at + remove > changes.newLength) return undefined
    changes = changes.compose(ChangeSet.of({ from: at, to: at + remove, insert }, changes.newLength, lineBreak))
  }
  return changes
}

/** The smallest single splice that makes `before` into `after`; undefined if they are equal. */
export const difference = (before: string, after: string): Splice | undefined => {
  if (before === after) return undefined
  const shorter = Math.min(before.length, after.length)
  let start = 0
  while (start < shorter && before.charCodeAt(start) === after.charCodeAt(start)) start++
  let end = 0
  while (
    end < shorter - start &&
    before.charCodeAt(before.length - 1 - end) === after.charCodeAt(after.length - 1 - end)
  )
    end++
  return { at: start, remove: before.length - start - end, insert: after.slice(start, after.length - end) }
}

class Binding implements PluginValue {
  readonly #view: EditorView
  readonly #text: SharedText
  readonly #stop: () => void
  #writing = false
  #closed = false

  constructor(view: EditorView, text: SharedText) {
    this.#view = view
    this.#text = text
    this.#stop = text.subscribe(({ splices, origin }) => this.#receive(splices, origin))
    if (view.state.doc.toString() !== text.toString()) this.#levelLater()
  }

  update(update: ViewUpdate): void {
    if (!update.docChanged) return
    this.#writing = true
    try {
      for (const transaction of update.transactions) {
        if (transaction.annotation(Transaction.remote)) continue
        for (const { at, remove, insert } of splicesOf(transaction.changes)) this.#text.splice(at, remove, insert)
      }
    } finally {
      this.#writing = false
    }
  }

  destroy(): void {
    this.#closed = true
    this.#stop()
  }

  #receive(splices: readonly Splice[], origin: 'local' | 'remote'): void {
    if (this.#writing) {
      // CodeMirror takes no change while it updates, and one's own splice is already in it.
      if (origin === 'remote') this.#levelLater()
      return
    }
    const changes = origin === 'remote' ? changesOf(splices, this.#view.state.doc.length) : undefined
    if (changes) this.#dispatch(changes)
    this.#level()
  }

  #levelLater(): void {
    queueMicrotask(() => {
      if (!this.#closed) this.#level()
    })
  }

  #level(): void {
    const { doc } = this.#view.state
    const splice = difference(doc.sliceString(0, doc.length, lineBreak), this.#text.toString())
    const changes = splice && changesOf([splice], doc.length)
    if (changes) this.#dispatch(changes)
  }

  #dispatch(changes: ChangeSet): void {
    this.#view.dispatch({ changes, annotations: [Transaction.remote.of(true), Transaction.addToHistory.of(false)] })
  }
}

/** Give the state `text.toString()` as its first content, and this among its extensions. */
export const notes = (text: SharedText): Extension => [
  EditorState.lineSeparator.of(lineBreak),
  EditorView.clipboardInputFilter.of((pasted) => pasted.replace(/\r\n?/g, lineBreak)),
  ViewPlugin.define((view) => new Binding(view, text)),
]
