/** What went wrong, as a person reads it: a sentence that says what happened and a remedy that says what to do. */
import { catalogue } from '@weft-db/engine'

export interface Failure {
  readonly code: string
  readonly sentence: string
  readonly remedy: string
}

const isCatalogued = (code: string): code is keyof typeof catalogue => Object.hasOwn(catalogue, code)

export const failureOf = (problem: unknown): Failure => {
  const { code, message } = Object.assign({ code: '', message: '' }, asProblem(problem))
  if (!isCatalogued(code)) {
    return {
      code,
      sentence: message || 'Something unexpected happened.',
      remedy: 'Reload the page; what you wrote is kept.',
    }
  }
  const [sentence, remedy] = catalogue[code]
  // The message may name what was refused between the two; that part belongs to the sentence.
  const told = message.endsWith(remedy) ? message.slice(0, -remedy.length).trim() : sentence
  return { code, sentence: told || sentence, remedy }
}

const asProblem = (problem: unknown): { code?: string; message?: string } => {
  if (typeof problem === 'string') return { message: problem }
  if (typeof problem !== 'object' || problem === null) return {}
  const code = 'code' in problem && typeof problem.code === 'string' ? problem.code : ''
  const message = 'message' in problem && typeof problem.message === 'string' ? problem.message : ''
  return { code, message }
}
