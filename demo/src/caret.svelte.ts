/**
 * A field whose text others may change while one types in it: the caret stays with the characters it stood between, as in the notes.
 * The browser alone would put it at the end.
 */
import type { Attachment } from 'svelte/attachments'
import { difference, type Splice } from './notes.ts'

/** Where a position goes when `splice` is made. What is written right at the caret stays behind it; in what is removed it goes to its start. */
export const movedBy = ({ at, remove, insert }: Splice, position: number): number => {
  if (position <= at) return position
  return position < at + remove ? at : position - remove + insert.length
}

/** Puts `text` into a field; its selection stays where it was in the text. */
export const rewrite = (
  field: Pick<
    HTMLInputElement,
    'value' | 'selectionStart' | 'selectionEnd' | 'selectionDirection' | 'setSelectionRange'
  >,
  text: string,
): void => {
  const splice = difference(field.value, text)
  if (!splice) return
  const { selectionStart, selectionEnd, selectionDirection } = field
  field.value = text
  if (selectionStart === null || selectionEnd === null) return
  field.setSelectionRange(
    movedBy(splice, selectionStart),
    movedBy(splice, selectionEnd),
    selectionDirection ?? undefined,
  )
}

/** Binds a field to a text. A word that is being composed is not disturbed: the field takes what is new when the word is done. */
export const written =
  (read: () => string, write: (text: string) => void): Attachment<HTMLInputElement | HTMLTextAreaElement> =>
  (field) => {
    let composing = false
    const take = (): void => {
      write(field.value)
      if (!composing) rewrite(field, read())
    }
    const begin = (): void => {
      composing = true
    }
    const end = (): void => {
      composing = false
      take()
    }
    field.addEventListener('input', take)
    field.addEventListener('compositionstart', begin)
    field.addEventListener('compositionend', end)
    $effect(() => {
      const text = read()
      if (!composing) rewrite(field, text)
    })
    return () => {
      field.removeEventListener('input', take)
      field.removeEventListener('compositionstart', begin)
      field.removeEventListener('compositionend', end)
    }
  }
