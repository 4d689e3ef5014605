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
import { ChangeSet, EditorState, type Extension, Transaction, type TransactionSpec } from '@codemirror/state'
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

/** What the binding needs of an editor; an `EditorView` is one. */
export interface Editor {
  readonly state: EditorState
  dispatch(spec: TransactionSpec): void
}

export class Binding implements PluginValue {
  readonly #editor: Editor
  readonly #text: SharedText
  readonly #refused: (problem: unknown) => void
  readonly #stop: () => void
  /** The splice that is being written just now. */
  #writing: Splice | undefined
  #updating = false
  #leveling = false
  #closed = false

  constructor(editor: Editor, text: SharedText, refused: (problem: unknown) => void) {
    this.#editor = editor
    this.#text = text
    this.#refused = refused
    this.#stop = text.subscribe(({ splices, origin }) => this.#receive(splices, origin))
    this.#levelLater()
  }

  update({ docChanged, transactions }: Pick<ViewUpdate, 'docChanged' | 'transactions'>): void {
    if (!docChanged) return
    this.#updating = true
    try {
      for (const transaction of transactions) {
        if (!transaction.annotation(Transaction.remote))
          for (const splice of splicesOf(transaction.changes)) this.#write(splice)
      }
    } catch (problem) {
      // The text did not take it (it is full, or its item is gone): the editor goes back to what the text holds.
      this.#levelLater()
      this.#refused(problem)
    } finally {
      this.#updating = false
      this.#writing = undefined
    }
  }

  destroy(): void {
    this.#closed = true
    this.#stop()
  }

  #write(splice: Splice): void {
    this.#writing = splice
    this.#text.splice(splice.at, splice.remove, splice.insert)
  }

  #receive(splices: readonly Splice[], origin: 'local' | 'remote'): void {
    // CodeMirror takes no change while it updates. One's own splice is in it already, if the text took it as it was.
    if (this.#updating) {
      if (origin === 'remote' || splices.length !== 1 || !isSame(splices[0], this.#writing)) this.#levelLater()
      return
    }
    const changes = changesOf(splices, this.#editor.state.doc.length)
    if (changes) this.#dispatch(changes)
    this.#level()
  }

  #levelLater(): void {
    if (this.#leveling) return
    this.#leveling = true
    queueMicrotask(() => {
      this.#leveling = false
      if (!this.#closed) this.#level()
    })
  }

  #level(): void {
    const { doc } = this.#editor.state
    const splice = difference(doc.sliceString(0, doc.length, lineBreak), this.#text.toString())
    const changes = splice && changesOf([splice], doc.length)
    if (changes) this.#dispatch(changes)
  }

  #dispatch(changes: ChangeSet): void {
    this.#editor.dispatch({ changes, annotations: [Transaction.remote.of(true), Transaction.addToHistory.of(false)] })
  }
}

const isSame = (a: Splice | undefined, b: Splice | undefined): boolean =>
  a?.at === b?.at && a?.remove === b?.remove && a?.insert === b?.insert

/**
 * Give the state `text.toString()` as its first content, and this among its extensions. `refused` is called with what the text
 * throws when it does not take an edit; the edit is then taken back.
 */
export const notes = (text: SharedText, refused: (problem: unknown) => void): Extension => [
  EditorState.lineSeparator.of(lineBreak),
  EditorView.clipboardInputFilter.of((pasted) => pasted.replace(/\r\n?/g, lineBreak)),
  ViewPlugin.define((view) => new Binding(view, text, refused)),
]
