/** A sample of the world of reconciliation: `npm run sim -- --sync` plays as many seeds as one likes. */
import { expect, test } from 'vitest'
import { reconcileCampaign } from '../reconcile/campaign.ts'
import { mostBytesRatio, mostRounds } from '../reconcile/meetings.ts'

test('forty seeds of reconciliation keep every law', () => {
  const outcome = reconcileCampaign({ from: 0, seeds: 40 })
  const notes = outcome.failed.map(({ seed, what, lines }) => `${seed}: ${what}\n${lines.slice(-30).join('\n')}`)
  expect(notes.join('\n')).toBe('')
  expect(outcome.worstRounds).toBeLessThanOrEqual(mostRounds)
  expect(outcome.worstBytesRatio).toBeLessThanOrEqual(mostBytesRatio)
  expect(outcome.weighed).toBeGreaterThan(10)
  const met = [
    'cursor accepted',
    'vector of the follower',
    'filter',
    '64 sums',
    'sums of the hello settled by the follower',
  ] as const
  for (const rung of met) expect(outcome.seen.get(rung), rung).toBeGreaterThan(0)
}, 60_000)
