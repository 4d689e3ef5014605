/** What went wrong, as a person reads it: a sentence that says what happened and a remedy that says what to do. */
import { catalogue } from '@weft-db/engine'

export interface Failure {
  readonly code: string
  readonly sentence: string
  readonly remedy: string
  /** What it is about, for those who look into it: a path, a file. */
  readonly about: string
}

const isCatalogued = (code: string): code is keyof typeof catalogue => Object.hasOwn(catalogue, code)

export const failureOf = (problem: unknown): Failure => {
  const { code, message } = asProblem(problem)
  if (!isCatalogued(code)) {
    const sentence = message || 'Something unexpected happened.'
    return { code, sentence, remedy: 'Reload the page; what you wrote is kept.', about: '' }
  }
  const [sentence, remedy] = catalogue[code]
  const told = message.startsWith(sentence) && message.endsWith(remedy) ? message : ''
  const about = told
    .slice(sentence.length, -remedy.length)
    .trim()
    .replace(/^\(|\)$/g, '')
  return { code, sentence, remedy, about }
}

const asProblem = (problem: unknown): { code: string; message: string } => {
  if (typeof problem === 'string') return { code: '', message: problem }
  if (typeof problem !== 'object' || problem === null) return { code: '', message: '' }
  const code = 'code' in problem && typeof problem.code === 'string' ? problem.code : ''
  const message = 'message' in problem && typeof problem.message === 'string' ? problem.message : ''
  return { code, message }
}
