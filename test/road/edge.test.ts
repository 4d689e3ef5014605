/** The rows of the attack catalogue that are about the edge of a server, each a few times: `npm run attacks -- --full` has the figures. */
import { expect, test } from 'vitest'
import { D7, D8, D9, D10, F1, F2, F3, F4, F6 } from '../attacks/rows/edge.ts'

const rows = { D10, D7, D8, D9, F1, F2, F3, F4, F6 }
const samples: { readonly [Name in keyof typeof rows]: number } = {
  D7: 2_000,
  D8: 30,
  D9: 300,
  D10: 1_500,
  F1: 1_000,
  F2: 1,
  F3: 50,
  F4: 150,
  F6: 1,
}

for (const [row, trials] of Object.entries(samples)) {
  test(`${row}: ${trials} attacks, none gets through`, { timeout: 60_000 }, async () => {
    const outcome = await rows[row as keyof typeof rows]({ trials, seed: 'sample' })
    expect(outcome, JSON.stringify(outcome)).toMatchObject({ violations: 0 })
    expect(outcome.trials).toBeGreaterThanOrEqual(trials)
  })
}
