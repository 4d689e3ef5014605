/**
 * npm run sim -- [--seeds 100] [--from 0] [--world name | --byzantine] [--json] [--mutants | --no-mutants] [--no-shrink] [--first]
 * npm run sim -- --seed 0x1f [--world name] [--until step] [--log]
 * npm run sim -- --sync [--seeds 1000] [--from 0] [--json] [--first]
 * npm run sim -- --sync --seed 0x1f
 * npm run sim -- --mesh [--replicas 1000] [--seeds 1] [--from 0] [--seed 0x1f] [--json] [--log]
 *
 * Plays numbered seeds in the simulated worlds, after the regressions. With `--json` one object on standard output, and the mutants are
 * judged too unless told otherwise. Ends with 1 when something failed.
 */
import { parseArgs } from 'node:util'
import { judgeMutants, type Kill } from '../mutants/run.ts'
import { campaign, tryScript } from './campaign.ts'
import { figuresInWords, meshCampaign } from './mesh/campaign.ts'
import { reconcileCampaign } from './reconcile/campaign.ts'
import { byzantineWorld, scriptOf, worldNames, worldOf } from './worlds/script.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string', default: '0' },
    seed: { type: 'string' },
    world: { type: 'string' },
    byzantine: { type: 'boolean', default: false },
    sync: { type: 'boolean', default: false },
    mesh: { type: 'boolean', default: false },
    replicas: { type: 'string', default: '1000' },
    until: { type: 'string' },
    log: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    mutants: { type: 'boolean', default: false },
    'no-mutants': { type: 'boolean', default: false },
    'no-shrink': { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
  },
})

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const print = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)

if (values.byzantine) values.world = byzantineWorld
if (values.world === 'reconcile') {
  values.sync = true
  delete values.world
}
if (values.world !== undefined && !worldNames.includes(values.world)) {
  say(`there is no world ${values.world}: ${worldNames.join(', ')}`)
  process.exit(2)
}

/** One seed, to be looked at. */
const replay = async (seed: string): Promise<number> => {
  const number = Number(seed)
  const world = values.world ?? (Number.isInteger(number) ? worldOf(number) : worldNames[0]) ?? ''
  const result = await tryScript(scriptOf(seed, world), {
    ...(values.until === undefined ? {} : { until: Number(values.until) }),
    ...(values.log ? { log: say } : {}),
  })
  if ('message' in result) {
    if (!values.log) for (const line of result.lines) say(line)
    say(result.message)
    if (values.json) print({ seed, world, failure: result.what })
    return 1
  }
  const { events, trace, coverage } = result
  if (values.json) print({ seed, world, events, trace, coverage })
  else say(`${world} ${seed}: ${events} events, trace ${trace}`)
  return 0
}

const run = async (): Promise<number> => {
  const outcome = await campaign({
    from: Number(values.from),
    seeds: Number(values.seeds ?? 100),
    world: values.world,
    first: values.first,
    shrinks: values['no-shrink'] || values.first ? 0 : 3,
    twice: 25,
    report: say,
  })
  const { seeds, events, failed, coverage, traceStable, seconds } = outcome
  const judged = values.mutants || (values.json && !values['no-mutants'] && !values.byzantine)
  const mutants: Record<string, Kill> = judged ? await judgeMutants({ report: say }) : {}
  const survivors = Object.values(mutants).filter(({ killedBy }) => killedBy === null).length
  const uncovered = coverage.missing
  const lawless = (what: string): number => failed.filter((one) => one.what.includes(`${what}:`)).length
  if (values.json) {
    print({
      seeds,
      divergences: lawless('divergence'),
      unauthorised: lawless('unauthorised'),
      failures: failed.length,
      events,
      traceStable,
      mutants,
      uncovered,
      failed: failed.map(({ seed, world, what }) => ({ seed, world, what })),
      coverage,
      seconds: Math.round(seconds),
      eventsPerSecond: Math.round(events / seconds),
    })
  } else {
    for (const [sight, times] of coverage.counts) say(`${String(times).padStart(9)} ${sight}`)
    say(`${seeds} seeds, ${failed.length} failed, ${events} events in ${seconds.toFixed(1)} s`)
  }
  for (const sight of uncovered) say(`never seen: ${sight}`)
  return failed.length + survivors > 0 || !traceStable ? 1 : 0
}

/** Reconciliation alone, by its machines. */
const reconcile = (): number => {
  const { seed } = values
  const outcome = reconcileCampaign({
    from: Number(seed ?? values.from),
    seeds: seed === undefined ? Number(values.seeds ?? 100) : 1,
    first: values.first,
    report: say,
  })
  const { seen, failed, seconds, ...counts } = outcome
  if (seed !== undefined) for (const line of failed.flatMap(({ lines }) => lines)) say(line)
  if (values.json) {
    const short = failed.map((one) => ({ seed: one.seed, world: 'reconcile', what: one.what }))
    print({ ...counts, failed: short, coverage: Object.fromEntries(seen), seconds: Math.round(seconds) })
  } else {
    for (const [rung, times] of seen) say(`${String(times).padStart(9)} ${rung}`)
    const { seeds, worstRounds, worstBytesRatio } = counts
    say(
      `${seeds} seeds, ${failed.length} failed, at most ${worstRounds} rounds and ${worstBytesRatio} times the bytes in ${seconds.toFixed(1)} s`,
    )
  }
  if (seed === undefined) for (const rung of outcome.uncovered) say(`never seen: ${rung}`)
  return failed.length > 0 ? 1 : 0
}

/** The mesh alone, by its machines. */
const mesh = (): number => {
  const { seed } = values
  const { played, failed, seconds } = meshCampaign({
    replicas: Number(values.replicas),
    from: Number(seed ?? values.from),
    seeds: seed === undefined ? Number(values.seeds ?? 1) : 1,
    report: say,
    ...(values.log ? { log: say } : {}),
  })
  for (const figures of played) {
    if (values.json) print({ ...figures, seconds: Math.round(seconds) })
    else say(`${figures.seed}\n${figuresInWords(figures)}\nunder churn\n${figuresInWords(figures.churn)}`)
  }
  if (!values.json) say(`${played.length} seeds, ${failed.length} failed, in ${seconds.toFixed(1)} s`)
  return failed.length > 0 ? 1 : 0
}

process.exitCode = values.mesh
  ? mesh()
  : values.sync
    ? reconcile()
    : values.seed === undefined
      ? await run()
      : await replay(values.seed)
