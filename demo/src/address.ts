/**
 * Where the page is, from the hash: `#/roadmap.k3…` is a board, `#/roadmap.k3…/card` a card of it lying open, `…/history` what was done on
 * it, `…/invite/code` the way onto it. What is made here has a tail of 16 random characters (80 bits), so that nobody comes upon a board by
 * guessing; a plain name that somebody typed is a board too.
 */
export interface Place {
  /** Undefined where the hash names none. */
  readonly board: string | undefined
  readonly card: string | undefined
  readonly view: 'board' | 'history'
  /** The code of an invitation. */
  readonly invitation: string | undefined
}

const tailed = /^([a-z0-9]+(?:-[a-z0-9]+)*)\.([a-z2-7]{16})$/

export const slugOf = (title: string): string =>
  title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim()
    .replaceAll(' ', '-')
    .slice(0, 60)

/** The board that a part of an address names: with its tail, or by a plain name. */
export const boardOf = (part: string): string => (tailed.test(part) && part.length <= 77 ? part : slugOf(part))

const letters = 'abcdefghijklmnopqrstuvwxyz234567'

/** A board that nobody has yet; `random` gives so many bytes. */
export const newBoard = (title: string, random: (length: number) => Uint8Array): string => {
  const tail = [...random(16)].map((byte) => letters[byte % letters.length]).join('')
  return `${slugOf(title).replace(/-$/, '') || 'board'}.${tail}`
}

export const titleOf = (board: string): string => {
  const words = (tailed.exec(board)?.[1] ?? board).replaceAll('-', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

export const placeOf = (hash: string): Place => {
  const [name = '', part = '', code = ''] = hash
    .replace(/^#?\/?/, '')
    .split('/')
    .map(decoded)
  const board = boardOf(name) || undefined
  const isInvited = part === 'invite' && code !== ''
  return {
    board,
    card: board === undefined || part === '' || part === 'history' || isInvited ? undefined : part,
    view: part === 'history' ? 'history' : 'board',
    invitation: board !== undefined && isInvited ? code : undefined,
  }
}

export const hashOf = (board: string, card?: string): string =>
  card === undefined ? `#/${board}` : `#/${board}/${encodeURIComponent(card)}`

export const historyHashOf = (board: string): string => `#/${board}/history`

/** Whoever opens it gets the role that the code gives. The hash stays in the browser: no server's log sees the code. */
export const invitationHashOf = (board: string, code: string): string => `#/${board}/invite/${code}`

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
