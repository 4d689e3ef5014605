/**
 * Where the page is, from the hash: `#/roadmap` is a board, `#/roadmap/k3` a card of it lying open. Every hash names some board, so
 * there is no wrong address.
 */
const fallback = 'roadmap'

export const slugOf = (title: string): string =>
  title
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, ' ')
    .trim()
    .replaceAll(' ', '-')
    .slice(0, 60)

export const titleOf = (slug: string): string => {
  const words = slug.replaceAll('-', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

export const placeOf = (hash: string): { board: string; card: string | undefined } => {
  const [board = '', card = ''] = hash
    .replace(/^#?\/?/, '')
    .split('/')
    .map(decoded)
  const slug = slugOf(board)
  return slug ? { board: slug, card: card || undefined } : { board: fallback, card: undefined }
}

export const hashOf = (board: string, card?: string): string =>
  card === undefined ? `#/${board}` : `#/${board}/${encodeURIComponent(card)}`

const decoded = (part: string): string => {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
