/** Row F5 of the attack catalogue: on a board of texts that try to run, nothing runs, and the policy of the page had nothing to stop. */
import { expect, test } from 'vitest'
import { hostileBoard } from '../attacks/rows/demo.ts'

test('no text of the board, a name or a paste becomes markup', async () => {
  const { violations, first, trials } = await hostileBoard({ trials: 32, seed: '1' })
  expect({ violations, first }).toEqual({ violations: 0, first: '' })
  expect(trials).toBeGreaterThan(100)
}, 60_000)
