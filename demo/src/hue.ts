/**
 * The colour of a name or a tag, the same for everyone, as a hue in degrees of OKLCH. One of fourteen, as far apart as eyes tell pale
 * colours of one lightness; the hash starts from where the words that boards use most for tags fall on different ones.
 */
export const hueOf = (name: string): number => {
  let hash = start
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619)
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507)
  hash = Math.imul(hash ^ (hash >>> 13), 3266489909)
  return hues[((hash ^ (hash >>> 16)) >>> 0) % hues.length] ?? 0
}

const start = 76461
export const hues: readonly number[] = Array.from({ length: 14 }, (_, at) => Math.round((at * 360) / 14) + 5)

/** "AL" for Ada Lovelace, "A" for Ada. */
export const initialsOf = (name: string): string => {
  const words = name.trim().split(/\s+/)
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? '')][0] ?? '')
  return letters.join('').toUpperCase()
}
