/**
 * Stands for `vitest` where a suite runs inside a page: it collects cases and runs one by its name. The assertions are Vitest's own. What
 * a case throws, and whatever else the page throws meanwhile, is its failure; the time limit is that of who asks.
 */
import { chai, JestAsymmetricMatchers, JestChaiExpect, JestExtend } from 'vitest-assertions'

chai.use(JestExtend)
chai.use(JestChaiExpect)
chai.use(JestAsymmetricMatchers)
export const expect = chai.expect

type Step = () => unknown

interface Suite {
  readonly name: string
  readonly before: Step[]
  readonly after: Step[]
}

const cases = new Map<string, { readonly suites: readonly Suite[]; readonly body: Step }>()
let open: readonly Suite[] = []

export const describe = (name: string, ...rest: readonly [Step | { readonly timeout: number }, Step?]): void => {
  const outside = open
  open = [...outside, { name, before: [], after: [] }]
  const [options, body] = rest
  if (typeof options === 'function') options()
  else body?.()
  open = outside
}

const add = (name: string, body: Step): void => {
  const full = [...open.map((suite) => suite.name), name].join(' > ')
  if (cases.has(full)) throw new Error(`two cases are called ${full}`)
  cases.set(full, { suites: open, body })
}

export const test = Object.assign(add, {
  each:
    <Value>(values: readonly Value[]) =>
    (name: string, body: (value: Value) => unknown): void => {
      for (const value of values) add(name.replace(/%[a-z]/, String(value)), () => body(value))
    },
})

const innermost = (): Suite => {
  const suite = open.at(-1)
  if (suite === undefined) throw new Error('a hook belongs into a describe')
  return suite
}
export const beforeEach = (step: Step): void => void innermost().before.push(step)
export const afterEach = (step: Step): void => void innermost().after.push(step)

export const caseNames = (): string[] => [...cases.keys()]

const told = (problem: unknown): string =>
  problem instanceof Error ? (problem.stack ?? problem.message) : String(problem)

/** Runs one case and says how it failed; undefined when it passed. */
export const runCase = async (name: string): Promise<string | undefined> => {
  const found = cases.get(name)
  if (found === undefined) return `there is no case ${name}`
  const failures: string[] = []
  const stray = (event: ErrorEvent | PromiseRejectionEvent): void => {
    const reason: unknown = 'reason' in event ? event.reason : (event.error ?? event.message)
    if (!(reason instanceof Last)) failures.push(told(reason))
  }
  addEventListener('error', stray)
  addEventListener('unhandledrejection', stray)
  const attempt = async (steps: readonly Step[]): Promise<void> => {
    try {
      for (const step of steps) await step()
    } catch (problem) {
      failures.push(told(problem))
    }
  }
  const after = found.suites.flatMap((suite) => suite.after).reverse()
  await attempt([...found.suites.flatMap((suite) => suite.before), found.body])
  for (const step of after) await attempt([step])
  await strayTold()
  removeEventListener('error', stray)
  removeEventListener('unhandledrejection', stray)
  return failures.length === 0 ? undefined : failures.join('\n')
}

/** Unhandled rejections are told of later, in their order: when one made now has come, all before it have. */
const strayTold = async (): Promise<void> => {
  const last = new Last()
  await new Promise<void>((resolve) => {
    const hear = (event: PromiseRejectionEvent): void => {
      if (event.reason !== last) return
      event.preventDefault()
      removeEventListener('unhandledrejection', hear)
      resolve()
    }
    addEventListener('unhandledrejection', hear)
    void Promise.reject(last)
  })
}
class Last extends Error {}
