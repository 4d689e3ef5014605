/** Why a card's title is not saved, in the app's words; undefined when it is. */
import { problemsOf } from '@weft-db/weft'
import type { CardItem } from './database.ts'

// The title is read first, so that whoever shows the problem is told when the title changes.
export const titleProblem = (card: CardItem): string | undefined =>
  card.title === '' || problemsOf(card).title === undefined ? undefined : 'Not saved: the title is too long.'
