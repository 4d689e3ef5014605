/**
 * npm run attacks -- [--rows A1,B2] [--full] [--seed n] [--mutant FILE.patch] [--json]
 * npm run attacks -- --mutants [--rows A1,B2] [--json]
 *
 * Carries out the attack catalogue against the engine: a sample unless `--full`. With `--mutant` it attacks a copy of the workspace that the
 * patch breaks, so that the rows it concerns get through; `--mutants` does so for every patch of the catalogue, with the rows each one names.
 * With `--json` one object on standard output; the words go to standard error. Ends with 1 when an attack got through or could not be made,
 * and for `--mutants` when a mutant lives.
 */
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { catalogue } from './catalogue.ts'
import { judgeMutants, runMutant } from './mutant.ts'
import { attack, runRows } from './run.ts'

const { values } = parseArgs({
  options: {
    rows: { type: 'string' },
    full: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    mutant: { type: 'string' },
    mutants: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    here: { type: 'boolean', default: false },
  },
})

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const print = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

const rows = values.rows?.split(',') ?? Object.keys(catalogue)
const unknown = rows.filter((row) => !Object.hasOwn(catalogue, row))
if (unknown.length > 0) {
  say(`there is no row ${unknown.join(', ')}: there are ${Object.keys(catalogue).join(', ')}`)
  process.exit(2)
}
const { full, seed } = values

/** In this process, a line for each row as soon as it is done. */
const here = async (): Promise<number> => {
  for (const row of rows) print({ row, result: await attack(row, full, seed) })
  return 0
}

const run = async (): Promise<number> => {
  if (values.mutants) {
    const kills = await judgeMutants({ rows: values.rows === undefined ? undefined : rows, report: say })
    if (values.json) print(kills)
    return Object.values(kills).every(({ killed }) => killed) ? 0 : 1
  }
  const results =
    values.mutant === undefined
      ? await runRows({ rows, full, seed, report: say })
      : await runMutant(resolve(values.mutant), { rows, full, seed, report: say })
  if (values.json) print(results)
  const broken = Object.entries(results).filter(([, { violations }]) => violations > 0)
  say(
    `${Object.keys(results).length} rows, ${broken.length} got through${broken.length > 0 ? `: ${broken.map(([row]) => row).join(', ')}` : ''}`,
  )
  return broken.length > 0 ? 1 : 0
}

process.exitCode = await (values.here ? here() : run())
// A row may leave a server's timers behind.
if (values.here) process.exit()
