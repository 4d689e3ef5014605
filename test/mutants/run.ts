/** node --import tsx --conditions=weft-source test/mutants/run.ts [name...]: judges the mutants named, or all. */
import { judgeMutants } from './judge.ts'

const names = process.argv.slice(2)
const kills = await judgeMutants({
  ...(names.length > 0 ? { patches: names } : {}),
  report: (line) => void process.stdout.write(`${line}\n`),
})
process.exitCode = Object.values(kills).every(({ killedBy }) => killedBy !== null) ? 0 : 1
