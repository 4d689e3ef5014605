/** Runs seeds: regressions first, then numbered ones; shrinks what fails; counts what was met on the way. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { byzantineSights, Coverage } from './coverage.ts'
import { shrink } from './shrink.ts'
import { Failure, type WorldOptions } from './world.ts'
import { playByzantine } from './worlds/byzantine.ts'
import { type Played, play } from './worlds/play.ts'
import { byzantineWorld, type Script, scriptOf, seedName, worldOf } from './worlds/script.ts'

const regressionFolder = fileURLToPath(new URL('regressions/', import.meta.url))

export interface Failed {
  readonly seed: string
  readonly world: string
  /** The law that broke, as far as it has a name: ids and numbers left out. */
  readonly what: string
  readonly message: string
  readonly lines: readonly string[]
  /** Where the shrunk script was written. */
  readonly kept?: string
}

export interface Outcome {
  readonly seeds: number
  readonly events: number
  readonly failed: readonly Failed[]
  readonly coverage: Coverage
  /** A sample of the seeds, played twice, gave equal traces. */
  readonly traceStable: boolean
  readonly seconds: number
}

export interface CampaignOptions {
  readonly from: number
  readonly seeds: number
  /** Every seed in this world; else as `worldOf` says. */
  readonly world?: string | undefined
  /** Stops at the first failure. */
  readonly first?: boolean
  /** Failures that are shrunk and written down. */
  readonly shrinks?: number
  /** One seed in so many is played twice. */
  readonly twice?: number
  readonly regressions?: boolean
  readonly report?: (line: string) => void
}

const nameOf = (message: string): string =>
  (message.split('\n')[0] ?? '')
    .replace(/^FAIL /, '')
    .replace(/ seed=.*$/, '')
    .replace(/: \.\.\..*$/, '')
    .replace(/\b[0-9a-f]{16,}\b/g, '#')
    .replace(/\d+/g, '#')
    .slice(0, 160)

/** As `nameOf`, and without who it happened to. */
const lawOf = (failed: Failed): string =>
  failed.what.replace(/\b(server|ada|ann|bob|cai|dee|eli|flo|mal|max|mia|n#)\b/g, '*').slice(0, 60)

export const tryScript = async (script: Script, options?: WorldOptions): Promise<Played | Failed> => {
  try {
    return await (script.intrigue === undefined ? play : playByzantine)(script, options)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const lines = error instanceof Failure ? error.lines : [String(error instanceof Error ? error.stack : error)]
    const replay = message.replace(/(npm run sim --)/, `$1 --world ${script.world}`)
    return { seed: script.plan.seed, world: script.world, what: nameOf(message), message: replay, lines }
  }
}

const isFailed = (result: Played | Failed): result is Failed => 'message' in result

/** The scripts that once failed, and are played first for ever. */
export const regressions = (): readonly { readonly name: string; readonly script: Script }[] => {
  if (!existsSync(regressionFolder)) return []
  return readdirSync(regressionFolder)
    .filter((name) => name.endsWith('.json'))
    .sort()
    .map((name) => ({ name, script: JSON.parse(readFileSync(`${regressionFolder}${name}`, 'utf8')) as Script }))
}

/** Leaves out acts, by halves and then fewer, while it still fails. */
const withFewerActs = async (script: Script, fails: (candidate: Script) => Promise<boolean>): Promise<Script> => {
  let best = script
  for (let size = Math.ceil((best.intrigue?.acts.length ?? 0) / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from < (best.intrigue?.acts.length ?? 0); ) {
      const { intrigue } = best
      if (intrigue === undefined) return best
      const acts = intrigue.acts.filter((_, index) => index < from || index >= from + size)
      const candidate: Script = { ...best, intrigue: { ...intrigue, acts } }
      if (await fails(candidate)) best = candidate
      else from += size
    }
  }
  return best
}

/** Shrinks a script that fails and writes it to the regressions. Undefined when it does not fail a second time. */
const keep = async (script: Script, failed: Failed): Promise<string | undefined> => {
  const law = lawOf(failed)
  const fails = async (candidate: Script): Promise<boolean> => {
    const result = await tryScript(candidate)
    return isFailed(result) && lawOf(result) === law
  }
  if (!(await fails(script))) return undefined
  let best = script
  for (const milder of [{ hostilities: [] }, { guests: [] }, { direct: null }, { captureRate: 1000 }]) {
    const candidate: Script = { ...best, ...milder }
    if (await fails(candidate)) best = candidate
  }
  if (best.intrigue !== undefined) best = await withFewerActs(best, fails)
  const plan = await shrink(best.plan, (candidate) => fails({ ...best, plan: candidate }), 150)
  mkdirSync(regressionFolder, { recursive: true })
  const path = `${regressionFolder}${script.world}-${script.plan.seed}.json`
  writeFileSync(path, `${JSON.stringify({ ...best, plan })}\n`)
  return path
}

export const campaign = async (options: CampaignOptions): Promise<Outcome> => {
  const began = performance.now()
  const report = options.report ?? (() => undefined)
  const coverage = new Coverage(options.world === byzantineWorld ? byzantineSights : undefined)
  const failed: Failed[] = []
  let events = 0
  let seeds = 0
  let traceStable = true
  let shrinks = options.shrinks ?? 0
  const run = async (script: Script, name: string, twice: boolean): Promise<void> => {
    const result = await tryScript(script)
    if (isFailed(result)) {
      report(`${name}: ${result.message}`)
      const kept = shrinks-- > 0 ? await keep(script, result) : undefined
      if (kept !== undefined) report(`shrunk to ${kept}`)
      failed.push(kept === undefined ? result : { ...result, kept })
      return
    }
    events += result.events
    coverage.add(result.coverage)
    if (!twice) return
    const again = await tryScript(script)
    if (!isFailed(again) && again.trace === result.trace) return
    traceStable = false
    report(`${name}: another trace the second time`)
  }
  if (options.regressions !== false) {
    for (const { name, script } of regressions()) {
      if (options.first === true && failed.length > 0) break
      if ((script.intrigue !== undefined) === (options.world === byzantineWorld)) await run(script, name, false)
    }
  }
  for (let number = options.from; number < options.from + options.seeds; number++) {
    if (options.first === true && failed.length > 0) break
    seeds++
    const world = options.world ?? worldOf(number)
    const twice = options.twice !== undefined && (number - options.from) % options.twice === 0
    await run(scriptOf(seedName(number), world), `${world} ${seedName(number)}`, twice)
    if (seeds % 50 === 0) {
      const rate = Math.round(events / ((performance.now() - began) / 1000))
      report(`${seeds} seeds, ${failed.length} failed, ${events} events, ${rate} a second`)
    }
  }
  return { seeds, events, failed, coverage, traceStable, seconds: (performance.now() - began) / 1000 }
}
