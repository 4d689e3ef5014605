/** A sample of the simulated worlds over the real engine: `npm run sim` plays as many seeds as one likes. */
import { describe, expect, test } from 'vitest'
import { campaign, regressions, tryScript } from '../campaign.ts'
import type { Sight } from '../coverage.ts'
import { scriptOf, seedName } from './script.ts'

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
})
