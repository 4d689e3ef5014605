/**
 * Shows carets and selections of others in a CodeMirror editor, and tells one's own. Two promises:
 *
 * 1. A caret stays with the characters it stood between, whoever edits, and is never outside the text.
 * 2. Word of a caret and the edit it follows travel by different ways. A position is taken over when this text is as long as the one it was
 *    told of; until then the caret is where the edits that did arrive moved it.
 */
import { type ChangeDesc, type Extension, type Range, StateEffect, StateField } from '@codemirror/state'
import { Decoration, type DecorationSet, EditorView, WidgetType } from '@codemirror/view'
import type { Caret, NamedCaret } from './here.ts'
import { hueOf, hues } from './hue.ts'

/** A caret as it is shown; `told` waits for the text it speaks of. */
export interface ShownCaret {
  readonly session: string
  readonly name: string
  readonly anchor: number
  readonly head: number
  readonly told: Caret
  readonly isTaken: boolean
}

const taken = (caret: ShownCaret, length: number): ShownCaret => {
  const { told, isTaken } = caret
  if (isTaken || told.length !== length) return caret
  return { ...caret, anchor: Math.min(told.anchor, length), head: Math.min(told.head, length), isTaken: true }
}

const isSame = (a: Caret, b: Caret): boolean => a.anchor === b.anchor && a.head === b.head && a.length === b.length

/** The carets after others told theirs, in a text of `length`. */
export const toldCarets = (
  carets: readonly ShownCaret[],
  told: readonly NamedCaret[],
  length: number,
): readonly ShownCaret[] =>
  told.map(({ session, name, ...caret }) => {
    const before = carets.find((shown) => shown.session === session)
    if (before !== undefined && isSame(before.told, caret)) return before.name === name ? before : { ...before, name }
    const at = before ?? { anchor: Math.min(caret.anchor, length), head: Math.min(caret.head, length) }
    return taken({ session, name, anchor: at.anchor, head: at.head, told: caret, isTaken: false }, length)
  })

/** The carets after an edit. What is written right at a caret moves it on: most likely its owner wrote that. */
export const movedCarets = (
  carets: readonly ShownCaret[],
  changes: Pick<ChangeDesc, 'mapPos' | 'newLength'>,
): readonly ShownCaret[] =>
  carets.map((caret) =>
    taken(
      { ...caret, anchor: changes.mapPos(caret.anchor, 1), head: changes.mapPos(caret.head, 1) },
      changes.newLength,
    ),
  )

class Flag extends WidgetType {
  readonly #session: string
  readonly #name: string

  constructor({ session, name }: ShownCaret) {
    super()
    this.#session = session
    this.#name = name
  }

  override eq(other: Flag): boolean {
    return other.#session === this.#session && other.#name === this.#name
  }

  override toDOM(view: EditorView): HTMLElement {
    const caret = document.createElement('span')
    caret.className = `cm-other-caret ${hueClass(this.#name)}`
    caret.dataset['testid'] = 'other-caret'
    // Who is here is said elsewhere; in the middle of a sentence it would disturb its reading.
    caret.ariaHidden = 'true'
    // By the style sheet, so that the name is no text of the notes.
    const flag = caret.appendChild(document.createElement('span'))
    flag.className = 'cm-other-name'
    flag.dataset['name'] = this.#name
    turnLater(view)
    return caret
  }

  override ignoreEvent(): boolean {
    return true
  }
}

const turning = {}
/** A name that would stick out at the right goes to the left of its caret. */
const turnLater = (view: EditorView): void => {
  view.requestMeasure({
    key: turning,
    read: ({ contentDOM }) => {
      const { right } = contentDOM.getBoundingClientRect()
      return [...contentDOM.querySelectorAll<HTMLElement>('.cm-other-caret')].map((caret) => {
        const width = caret.firstElementChild?.getBoundingClientRect().width ?? 0
        return { caret, sticksOut: caret.getBoundingClientRect().left + width > right }
      })
    },
    write: (flags) => {
      for (const { caret, sticksOut } of flags) caret.classList.toggle('cm-other-turned', sticksOut)
    },
  })
}

const setCarets = StateEffect.define<readonly NamedCaret[]>()

const decorationsOf = (carets: readonly ShownCaret[]): DecorationSet => {
  const ranges: Range<Decoration>[] = []
  for (const caret of carets) {
    const [from, to] = [Math.min(caret.anchor, caret.head), Math.max(caret.anchor, caret.head)]
    if (from < to) ranges.push(Decoration.mark({ class: `cm-other-text ${hueClass(caret.name)}` }).range(from, to))
    ranges.push(Decoration.widget({ widget: new Flag(caret), side: 1 }).range(caret.head))
  }
  return Decoration.set(ranges, true)
}

export const caretsField = StateField.define<readonly ShownCaret[]>({
  create: () => [],
  update: (carets, { changes, docChanged, effects, newDoc }) => {
    let next = docChanged && carets.length > 0 ? movedCarets(carets, changes) : carets
    for (const effect of effects) if (effect.is(setCarets)) next = toldCarets(next, effect.value, newDoc.length)
    return next
  },
  provide: (field) => EditorView.decorations.from(field, decorationsOf),
})

const hueClass = (name: string): string => `cm-hue-${hueOf(name)}`

const look = EditorView.theme({
  '.cm-other-caret': {
    position: 'relative',
    display: 'inline-block',
    // Takes no place of its own: lines break where they do without it.
    width: '2px',
    height: '1.25em',
    margin: '0 -1px',
    verticalAlign: 'text-bottom',
    backgroundColor: 'var(--other)',
    pointerEvents: 'none',
  },
  '.cm-other-name': {
    position: 'absolute',
    bottom: '100%',
    left: '0',
    maxWidth: '140px',
    padding: '0 5px',
    overflow: 'hidden',
    borderRadius: '5px 5px 5px 0',
    backgroundColor: 'var(--other)',
    color: 'light-dark(#fff, #16161a)',
    fontSize: '11px',
    fontWeight: '600',
    lineHeight: '15px',
    textOverflow: 'ellipsis',
    whiteSpace: 'nowrap',
    userSelect: 'none',
  },
  '.cm-other-name::after': { content: 'attr(data-name)' },
  '.cm-other-turned .cm-other-name': { left: 'auto', right: '0', borderRadius: '5px 5px 0 5px' },
  '.cm-other-text': { backgroundColor: 'color-mix(in srgb, var(--other) 24%, transparent)' },
  ...Object.fromEntries(
    hues.map((hue) => [`.cm-hue-${hue}`, { '--other': `light-dark(oklch(0.5 0.13 ${hue}), oklch(0.78 0.11 ${hue}))` }]),
  ),
})

/** Puts carets of others into an editor that has `carets` among its extensions. */
export const showCarets = (view: EditorView, told: readonly NamedCaret[]): void => {
  if (told.length > 0 || view.state.field(caretsField).length > 0) view.dispatch({ effects: setCarets.of(told) })
}

/** `point` is told one's own selection whenever it or the text around it changes, and undefined when the editor is not typed in any more. */
export const carets = (point: (caret: Caret | undefined) => void): Extension => [
  caretsField,
  look,
  EditorView.updateListener.of(({ view, docChanged, selectionSet, focusChanged, state }) => {
    if (state.field(caretsField).length > 0) turnLater(view)
    if (!docChanged && !selectionSet && !focusChanged) return
    const { anchor, head } = state.selection.main
    point(view.hasFocus ? { anchor, head, length: state.doc.length } : undefined)
  }),
]
