/**
 * `main.ts [--inputs 1000000] [--poison 100000] [--graphs 100000] [--target name] [--seed s] [--json]`: the campaigns of bytes, of poison
 * commits, of orders and of expensive graphs, and what they found. With `--target` that target's bytes alone. A finding is printed with
 * what brings it back; once fixed, its input goes into `regressions`.
 */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { fuzzBytes } from './bytes.ts'
import { manyHeads } from './heads.ts'
import { permutations } from './permutations.ts'
import { poison } from './poison.ts'
import { targets } from './targets.ts'

const { values } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    poison: { type: 'string', default: '100000' },
    graphs: { type: 'string', default: '100000' },
    target: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})

const countOf = (option: 'inputs' | 'poison' | 'graphs'): number => {
  const count = Number(values[option])
  if (Number.isInteger(count) && count >= 0) return count
  console.error(`--${option} ${values[option]}: give a number from 0.`)
  process.exit(2)
}

const seed = values.seed ?? randomBytes(4).toString('hex')
const names = targets.map(({ name }) => name)
if (values.target !== undefined && !names.includes(values.target)) {
  console.error(`--target ${values.target}: there are ${names.join(', ')}.`)
  process.exit(2)
}
const isWhole = values.target === undefined
const [inputs, commits, graphs] = [countOf('inputs'), countOf('poison'), countOf('graphs')]
const report = {
  seed,
  bytes: inputs > 0 ? fuzzBytes({ inputs, seed, target: values.target }) : undefined,
  poison: isWhole && commits > 0 ? poison({ commits, seed }) : undefined,
  permutations: isWhole && graphs > 0 ? permutations({ graphs, seed }) : undefined,
  heads: isWhole ? manyHeads() : undefined,
}
const { seed: _, ...parts } = report
const violations = Object.values(parts).reduce((sum, part) => sum + (part?.violations ?? 0), 0)

if (values.json) console.log(JSON.stringify({ ...report, violations }))
else {
  const { bytes, poison: poisoned, permutations: permuted, heads } = report
  console.log(`seed ${seed}`)
  if (bytes !== undefined) {
    console.log(
      `${bytes.trials} inputs in ${bytes.seconds.toFixed(1)} s, ${bytes.processorSeconds.toFixed(1)} s of the processor`,
    )
    console.table(
      Object.fromEntries(
        bytes.targets.map(({ name, memory, ...figures }) => [
          name,
          { ...figures, 'MB a batch': memory.batch, 'MB process': memory.process, 'MB kept': memory.heap },
        ]),
      ),
    )
    for (const { target, input, what } of bytes.found) console.log(`${target}: ${what}\n  ${input}`)
  }
  if (poisoned !== undefined) {
    const { kinds, found, ...figures } = poisoned
    console.log(figures)
    console.table(kinds)
    for (const { seed: of, world, what } of found) console.log(`seed ${of}, world ${world}: ${what}`)
  }
  if (permuted !== undefined) console.log(permuted)
  if (heads !== undefined) {
    console.table(heads.shapes)
    for (const what of heads.found) console.log(what)
  }
  console.log(violations === 0 ? 'nothing found' : `${violations} violations`)
}
process.exit(violations === 0 ? 0 : 1)
