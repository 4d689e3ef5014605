/** Judges the mutants of the tabs one after another: a browser held up by another one would be no proof. Fails when one lives. */
import { basename } from 'node:path'
import { judge, tabMutants } from './run.ts'

let lives = 0
for (const patch of tabMutants()) {
  const { killedBy } = await judge(patch, 0)
  if (killedBy === null) lives++
  console.log(`${basename(patch, '.patch')}: ${killedBy === null ? 'LIVES' : `killed by ${killedBy}`}`)
}
process.exit(lives === 0 ? 0 : 1)
