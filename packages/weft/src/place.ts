import { placeBetween as between } from '@weft-db/engine'

/**
 * A place strictly between two others, for `order` fields: undefined stands for the beginning or the end. Slightly random, so that two
 * people who insert at one spot rarely get one key; when they do, item keys decide.
 */
export const placeBetween = (before?: string, after?: string): string =>
  between(before, after, (length) => crypto.getRandomValues(new Uint8Array(length)))
