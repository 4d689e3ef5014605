/**
 * `main.ts [--only kill9,everyByteCut,bitFlips,nthSyscall,wiped,browsers,restored] [--full] [--kills N] [--seed S] [--json]`: what becomes of a store whose server is
 * killed, whose power fails, whose bits rot and whose disk refuses. A sample unless `--full`.
 */
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import { wipeServerOfBrowsers } from './browsers.ts'
import { failEverywhere } from './calls.ts'
import { cutEverywhere } from './cuts.ts'
import { flipEverywhere } from './flips.ts'
import { imageOf } from './image.ts'
import { killServer } from './kill.ts'
import { restoreServer } from './restored.ts'
import { type Wiped, wipeServer } from './wiped.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    full: { type: 'boolean', default: false },
    kills: { type: 'string' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
})
const { full } = values
const seed = values.seed ?? randomBytes(4).toString('hex')
const kills = Number(values.kills ?? (full ? 2_000 : 50))
if (!Number.isInteger(kills) || kills < 1) {
  console.error(`--kills ${values.kills}: give a number from 1.`)
  process.exit(2)
}

/** A log whose last 64 KiB are cut at every byte, and a shorter one each bit of which is flipped. */
const [longLog, shortLog] = [66_000, 16_000]

const parts = {
  kill9: async () => {
    const outcome = await killServer(kills, seed, (kill, acked) => {
      if (kill % 50 === 0) console.error(`${kill} kills, ${acked} commits acknowledged`)
    })
    const { kills: runs, ackedLost, converged, oddities } = outcome
    const well = ackedLost === 0 && converged && oddities.length === 0
    return { well, runs, acked: outcome.acked, ackedLost, torn: outcome.torn, converged, oddities }
  },
  everyByteCut: async () => {
    const outcome = await cutEverywhere(await imageOf(seed, longLog), seed, full ? 1 : 61)
    return { well: outcome.wrong === 0, ...outcome }
  },
  bitFlips: async () => {
    const outcome = await flipEverywhere(await imageOf(seed, shortLog), full ? 1 : 101)
    return { well: outcome.wrong === 0 && outcome.detected === outcome.flipped, ...outcome }
  },
  nthSyscall: async () => {
    const outcome = await failEverywhere(seed, full ? 1 : 10)
    return { well: outcome.wrong === 0, ...outcome }
  },
  wiped: async () => {
    const count = full ? 100_000 : 2_000
    const from = [await wipeServer(1, count, seed), await wipeServer(4, count, seed)]
    return { well: from.every(({ lost, oddities }) => lost === 0 && oddities.length === 0), from }
  },
  /** The same with clients in Chromium: one, and four. */
  browsers: async () => {
    const count = full ? 100_000 : 1_000
    const from: Wiped[] = []
    for (const browsers of full ? [1, 4] : [1]) from.push(await wipeServerOfBrowsers(browsers, count, seed))
    return { well: from.every(({ lost, oddities }) => lost === 0 && oddities.length === 0), from }
  },
  restored: async () => {
    const outcome = await restoreServer(full ? 20_000 : 1_000, seed)
    return { well: outcome.lost === 0 && !outcome.isHasty && outcome.oddities.length === 0, ...outcome }
  },
}
type Part = keyof typeof parts
const isPart = (name: string): name is Part => Object.hasOwn(parts, name)
const named = values.only?.split(',') ?? Object.keys(parts)
const chosen = named.filter(isPart)
if (chosen.length < named.length) {
  console.error(`--only ${values.only}: there are ${Object.keys(parts).join(', ')}.`)
  process.exit(2)
}

const report: Record<string, object> = {}
let well = true
for (const name of chosen) {
  const began = performance.now()
  const { well: isWell, ...figures } = await parts[name]()
  well &&= isWell
  const seconds = Math.round((performance.now() - began) / 100) / 10
  report[name] = { ...figures, seconds }
  if (!values.json) console.log(`${name}: ${isWell ? 'ok' : 'FAILED'}`, { ...figures, seconds })
}
if (values.json) console.log(JSON.stringify({ ...report, seed }))
else console.log(`seed ${seed}`)
process.exit(well ? 0 : 1)
