/** A sample of the simulated worlds over the real engine: `npm run sim` plays as many seeds as one likes. */
import { describe, expect, test } from 'vitest'
import { campaign, regressions, tryScript } from '../campaign.ts'
import type { Sight } from '../coverage.ts'
import { equivocations, fenceOrders, revocations } from '../fences.ts'
import { byzantineWorld, scriptOf, seedName } from './script.ts'

const patience = 300_000

/** Met in so few seeds already, or the faults no longer reach the engine. */
const expected: readonly Sight[] = [
  'sync failed',
  'write failed',
  'short write',
  'disk full',
  'storing failed at the authority',
  'checkpoint after a storage failure',
  'crash with work under way',
  'opened by a snapshot',
  'commits behind a snapshot',
  'items of a snapshot',
  'orphan pool used',
  'a gap noticed',
  'a malformed message refused',
  'altered content refused',
  'a forged signature refused',
  'remote commit under a dirty draft',
  'more than one head',
  'more than 16 heads',
  'dead change',
  'direct channel used',
  'saved locally',
  'saved by the authority',
]

const inFewSeeds: readonly Sight[] = [
  'traitor: mutate',
  'traitor: old policy',
  'traitor: equivocate',
  'change refused by the rules',
  'fence voided something',
  'branch lost',
  'a fork reported',
  'own work rejected',
  'saved by the authority',
]

describe('the simulated worlds', () => {
  test(
    'what failed once passes',
    async () => {
      for (const { name, script } of regressions()) {
        const result = await tryScript(script)
        if ('message' in result) throw new Error(`${name}: ${result.message}\n${result.lines.slice(-20).join('\n')}`)
      }
    },
    patience,
  )

  test(
    'eighty seeds keep every law, with the same trace each time',
    async () => {
      const { failed, traceStable, coverage } = await campaign({ from: 0, seeds: 80, twice: 10, regressions: false })
      expect(failed.map(({ message }) => message)).toEqual([])
      expect(traceStable).toBe(true)
      expect(expected.filter((sight) => coverage.missing.includes(sight))).toEqual([])
    },
    patience,
  )

  test('a replay stops before the step it is told', async () => {
    const whole = await tryScript(scriptOf(seedName(3), 'five'))
    const part = await tryScript(scriptOf(seedName(3), 'five'), { until: 100 })
    if ('message' in whole || 'message' in part) throw new Error('seed 0x3 fails')
    expect(part.events).toBe(100)
    expect(whole.events).toBeGreaterThan(100)
  })

  test(
    'twenty seeds with traitors keep every law, with the same trace each time',
    async () => {
      const outcome = await campaign({ from: 0, seeds: 20, world: byzantineWorld, twice: 15 })
      expect(outcome.failed.map(({ message }) => message)).toEqual([])
      expect(outcome.traceStable).toBe(true)
      expect(inFewSeeds.filter((sight) => outcome.coverage.missing.includes(sight))).toEqual([])
    },
    patience,
  )

  test.each([
    ['fences', fenceOrders, ['counts', 'refused', 'fence']],
    ['forks', equivocations, ['counts', 'refused', 'branch']],
    ['revocations', revocations, ['counts', 'refused', 'revoked']],
  ] as const)(
    'histories with %s end the same in every order of delivery',
    async (_name, orders, wanted) => {
      const { trials, violations, first, fates } = await orders({ trials: 200, seed: 'sample' })
      expect(first).toBeUndefined()
      expect({ trials, violations }).toEqual({ trials: 200, violations: 0 })
      for (const fate of wanted) expect(fates[fate] ?? 0).toBeGreaterThan(0)
    },
    patience,
  )
})
