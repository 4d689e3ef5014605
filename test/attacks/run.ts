/** Runs rows of the catalogue, each harness in a process of its own, two at a time: a row that ends its process has failed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { catalogue } from './catalogue.ts'
import type { Outcome } from './row.ts'

export type Result =
  | (Outcome & { readonly harness: string; readonly seconds: number })
  /** The row could not be carried out; with one trial, the attack ended the process or kept it busy for ever. */
  | { readonly trials: 0 | 1; readonly violations: 1; readonly harness: string; readonly error: string }

/** How long the rows of one harness may take, ms. */
const patience = { sample: 120_000, full: 2_700_000 }

export interface RunOptions {
  readonly rows: readonly string[]
  readonly full: boolean
  readonly seed: string
  readonly report?: (line: string) => void
  /** The workspace whose engine is attacked. */
  readonly root?: string
}

/** One row here and now. */
export const attack = async (row: string, full: boolean, seed: string): Promise<Result> => {
  const entry = catalogue[row]
  if (entry === undefined) throw new Error(`there is no row ${row}`)
  const { harness } = entry
  const began = performance.now()
  try {
    const run = await entry.load()
    const outcome = await run({ trials: full ? entry.full : entry.sample, seed })
    if (outcome.trials === 0) throw new Error('nothing was tried')
    return { ...outcome, harness, seconds: Math.round((performance.now() - began) / 100) / 10 }
  } catch (error) {
    return {
      trials: 0,
      violations: 1,
      harness,
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    }
  }
}

export const runRows = async ({ rows, full, seed, report, root }: RunOptions): Promise<Record<string, Result>> => {
  const results = new Map<string, Result>()
  const byHarness = new Map<string, string[]>()
  for (const row of rows) {
    const harness = catalogue[row]?.harness
    if (harness === undefined) throw new Error(`there is no row ${row}`)
    byHarness.set(harness, [...(byHarness.get(harness) ?? []), row])
  }
  const waiting = [...byHarness]
  const cwd = root ?? fileURLToPath(new URL('../../', import.meta.url))
  const done = (row: string, result: Result): void => {
    results.set(row, result)
    report?.(describe(row, result))
  }
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [harness, mine] = next
      const flags = ['--import', 'tsx', '--conditions=weft-source', '--expose-gc', 'test/attacks/main.ts', '--here']
      const options = ['--rows', mine.join(), '--seed', seed, ...(full ? ['--full'] : [])]
      const child = spawn(process.execPath, [...flags, ...options], {
        cwd,
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: full ? patience.full : patience.sample,
        killSignal: 'SIGKILL',
      })
      const ended = await listen(child, done)
      const [broken, ...left] = mine.filter((row) => !results.has(row))
      if (broken === undefined) continue
      done(broken, { trials: 1, violations: 1, harness, error: `the process ended: ${ended}` })
      // What was to come after it has a process of its own.
      if (left.length > 0) waiting.push([harness, left])
    }
  }
  await Promise.all([lane(), lane()])
  return Object.fromEntries(rows.flatMap((row) => (results.has(row) ? [[row, results.get(row) as Result]] : [])))
}

/** Hands on what the child says row by row, and gives its last words. */
const listen = async (child: ChildProcess, onResult: (row: string, result: Result) => void): Promise<string> => {
  let words = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-4_000)
  })
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(`${signal ?? code} ${words}`))
  })
  if (child.stdout !== null)
    for await (const line of createInterface({ input: child.stdout })) {
      if (!line.startsWith('{')) continue
      const { row, result } = JSON.parse(line) as { row: string; result: Result }
      onResult(row, result)
    }
  return ended
}

const describe = (row: string, result: Result): string =>
  'error' in result
    ? `${row}: ${result.trials === 0 ? 'could not be carried out' : 'ended its process'}\n${result.error}`
    : `${row}: ${result.violations} of ${result.trials} got through (${result.seconds} s)`
