/**
 * Mutants of the attack catalogue: copies of the workspace in which one defence is gone, to see that the rows which attack it get through. A
 * mutant is a unified diff as in `test/mutants`, with a head:
 *
 *     law: what no longer holds
 *     rows: the rows that must get through, A1,A2
 *     use: a patch of `test/mutants` that stands for this one (optional)
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { applyPatch, readPatch } from '../mutants/patch.ts'
import { copyWorkspace } from '../mutants/run.ts'
import { type Result, type RunOptions, runRows } from './run.ts'

const folder = fileURLToPath(new URL('./mutants/', import.meta.url))
const shared = fileURLToPath(new URL('../mutants/', import.meta.url))

export const mutantNames = (): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.patch'))
    .map((name) => basename(name, '.patch'))
    .sort()

const read = (
  file: string,
): { readonly rows: readonly string[]; readonly files: ReturnType<typeof readPatch>['files'] } => {
  const { head, files } = readPatch(readFileSync(file, 'utf8'))
  const rows = head['rows']?.split(',') ?? []
  if (head['use'] === undefined) return { rows, files }
  return { rows, files: readPatch(readFileSync(join(shared, `${head['use']}.patch`), 'utf8')).files }
}

export const readMutant = (name: string): ReturnType<typeof read> => read(join(folder, `${name}.patch`))

/** Runs rows against a copy of the workspace that the patch breaks. */
export const runMutant = async (file: string, options: RunOptions): Promise<Record<string, Result>> => {
  const { files } = read(file)
  const copy = mkdtempSync(join(tmpdir(), 'weft-attacked-'))
  try {
    copyWorkspace(copy)
    for (const patched of files) {
      const path = join(copy, patched.path)
      writeFileSync(path, applyPatch(readFileSync(path, 'utf8'), patched))
    }
    return await runRows({ ...options, root: copy })
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

export interface Kill {
  readonly rows: readonly string[]
  /** Whether each of its rows got through. */
  readonly killed: boolean
  readonly results: Record<string, Result>
}

/** Judges the mutants, those that name one of `rows` when it is given, with the samples of the rows each of them names; two at a time. */
export const judgeMutants = async ({
  rows,
  report,
}: {
  rows: readonly string[] | undefined
  report?: (line: string) => void
}): Promise<Record<string, Kill>> => {
  const kills: Record<string, Kill> = {}
  const waiting = [...mutantNames()]
  const lane = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const file = join(folder, `${name}.patch`)
      const named = read(file).rows
      if (rows !== undefined && !named.some((row) => rows.includes(row))) continue
      const results = await runMutant(file, { rows: named, full: false, seed: '1' }).catch(
        (error: unknown): Record<string, Result> => ({
          [named[0] ?? '']: { trials: 0, violations: 1, harness: file, error: String(error) },
        }),
      )
      // A row that cannot be carried out has found nothing: the mutant must let the attack through.
      const killed = named.length > 0 && Object.values(results).every((one) => one.violations > 0 && one.trials > 0)
      kills[name] = { rows: named, killed, results }
      const faults = Object.values(results).flatMap((one) => ('error' in one ? [one.error] : []))
      report?.(`${name} (${named.join()}): ${killed ? 'killed' : `LIVES ${faults.join('\n')}`}`)
    }
  }
  await Promise.all([lane(), lane()])
  return Object.fromEntries(Object.entries(kills).sort(([a], [b]) => (a < b ? -1 : 1)))
}
