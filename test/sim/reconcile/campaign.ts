/**
 * Reconciliation by seeds: nothing but the pure machines, over stores in memory, so that a thousand conversations with everything that can
 * happen to them take minutes.
 */
import { Stream } from '../random.ts'
import { Meetings, type Played, Unlawful } from './meetings.ts'
import { type Rung, rungs } from './rungs.ts'
import { scenarioOf } from './scenario.ts'

export interface FailedSeed {
  readonly seed: string
  readonly what: string
  readonly divergence: boolean
  readonly lines: readonly string[]
}

export interface Reconciled {
  readonly seeds: number
  readonly divergences: number
  readonly failures: number
  readonly worstRounds: number
  readonly worstBytesRatio: number
  readonly worstSeed: string
  /** Meetings whose bytes were held against the estimate. */
  readonly weighed: number
  readonly messages: number
  readonly seen: ReadonlyMap<Rung, number>
  readonly uncovered: readonly Rung[]
  readonly failed: readonly FailedSeed[]
  readonly seconds: number
}

export const seedName = (number: number): string => `0x${number.toString(16)}`

export const playReconcile = (number: number): Played | FailedSeed => {
  const seed = seedName(number)
  const random = new Stream(seed, 'reconcile')
  const meetings = new Meetings(seed, scenarioOf(number, random.branch('scenario')), random)
  try {
    return meetings.play()
  } catch (error) {
    const what = error instanceof Error ? error.message : String(error)
    const isLaw = error instanceof Unlawful
    const lines = isLaw
      ? meetings.lines
      : [...meetings.lines.slice(-40), String(error instanceof Error ? error.stack : '')]
    return { seed, what, divergence: isLaw && error.law === 'divergence', lines }
  }
}

export const isFailedSeed = (result: Played | FailedSeed): result is FailedSeed => 'what' in result

export interface ReconcileOptions {
  readonly from: number
  readonly seeds: number
  readonly first?: boolean
  readonly report?: (line: string) => void
}

export const reconcileCampaign = ({ from, seeds, first, report }: ReconcileOptions): Reconciled => {
  const began = performance.now()
  const failed: FailedSeed[] = []
  const seen = new Map<Rung, number>()
  let [played, worstRounds, worstBytesRatio, worstSeed, weighed, messages] = [0, 0, 0, '', 0, 0]
  for (let number = from; number < from + seeds; number++) {
    if (first === true && failed.length > 0) break
    const result = playReconcile(number)
    played++
    if (isFailedSeed(result)) {
      failed.push(result)
      report?.(`${result.seed}: ${result.what}; npm run sim -- --sync --seed ${result.seed}`)
      continue
    }
    for (const rung of result.rungs) seen.set(rung, (seen.get(rung) ?? 0) + 1)
    worstRounds = Math.max(worstRounds, result.rounds)
    if (result.bytesRatio > worstBytesRatio) [worstBytesRatio, worstSeed] = [result.bytesRatio, result.seed]
    weighed += result.weighed
    messages += result.messages
    if (played % 100 === 0)
      report?.(`${played} seeds, ${failed.length} failed, ${((performance.now() - began) / 1000).toFixed(1)} s`)
  }
  return {
    seeds: played,
    divergences: failed.filter(({ divergence }) => divergence).length,
    failures: failed.length,
    worstRounds,
    worstBytesRatio: Math.round(worstBytesRatio * 1000) / 1000,
    worstSeed,
    weighed,
    messages,
    seen,
    uncovered: rungs.filter((rung) => !seen.has(rung)),
    failed,
    seconds: (performance.now() - began) / 1000,
  }
}
