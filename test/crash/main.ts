/** `main.ts --kills 100 [--seed S] [--json]`: kills a server under load and prints what became of what it had acknowledged. */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { killServer } from './kill.ts'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const seed = values.seed ?? randomBytes(4).toString('hex')
const kills = Number(values.kills)
if (!Number.isInteger(kills) || kills < 1) {
  console.error(`--kills ${values.kills}: give a number from 1.`)
  process.exit(2)
}
const began = performance.now()
const since = (): number => Math.round((performance.now() - began) / 100) / 10
const { acked, ackedLost, converged, torn, oddities } = await killServer(kills, seed, (kill, acked) => {
  if (kill % 10 === 0) console.error(`${kill} kills, ${acked} commits acknowledged, ${since()} s`)
})
const seconds = since()
if (values.json) console.log(JSON.stringify({ kills, acked, ackedLost, seed, converged, torn, seconds, oddities }))
else {
  console.log(
    `${kills} kills, ${acked} commits acknowledged, ${ackedLost} of them lost, in ${seconds} s (seed ${seed})`,
  )
  for (const oddity of oddities) console.log(oddity)
}
process.exit(ackedLost === 0 && converged && oddities.length === 0 ? 0 : 1)
