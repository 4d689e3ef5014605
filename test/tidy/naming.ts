/** Names of files, folders and exports say what a thing is. */
import { allowedPhrases, bannedWords } from './layout.ts'
import { exportsOf, isScript, type Offence, offenceAt, parse, type Source } from './source.ts'

export const namingOffences = (sources: readonly Source[]): Offence[] => {
  const offences: Offence[] = []
  const seen = new Set<string>()
  for (const source of sources) {
    const parts = source.path.split('/')
    for (const [depth, part] of parts.entries()) {
      const place = parts.slice(0, depth + 1).join('/')
      if (seen.has(place)) continue
      seen.add(place)
      const word = bannedWord(part)
      if (word) offences.push({ rule: 'banned-word', path: place, line: 1, text: `'${word}' in the name of a file` })
    }
    if (!isScript(source.path)) continue
    const file = parse(source)
    for (const { name, node } of exportsOf(file)) {
      const word = bannedWord(name)
      if (word) offences.push(offenceAt('banned-word', file, node, `'${word}' in the exported name ${name}`))
    }
  }
  return offences
}

const bannedWord = (name: string): string | undefined => {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/([A-Z]+)([A-Z][a-z])/g, '$1 $2')
    .toLowerCase()
    .split(/[^a-z]+/)
  return words.find((word, at) => bannedWords.includes(word) && !inPhrase(words, at))
}

const inPhrase = (words: readonly string[], at: number): boolean =>
  allowedPhrases.some((phrase) =>
    phrase.words.some((_, offset) => phrase.words.every((word, index) => words[at - offset + index] === word)),
  )
