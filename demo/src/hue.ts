/** A colour that always is the same for the same name, as a hue in degrees. One of eighteen. */
export const hueOf = (name: string): number => {
  let hash = 2166136261
  for (const character of name) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16777619)
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507)
  hash = Math.imul(hash ^ (hash >>> 13), 3266489909)
  return (((hash ^ (hash >>> 16)) >>> 0) % 18) * 20 + 5
}

/** "AL" for Ada Lovelace, "A" for Ada. */
export const initialsOf = (name: string): string => {
  const words = name.trim().split(/\s+/)
  const letters = [words[0], words.length > 1 ? words.at(-1) : undefined].map((word) => [...(word ?? '')][0] ?? '')
  return letters.join('').toUpperCase()
}
