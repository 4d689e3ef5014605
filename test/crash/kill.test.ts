import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { killServer } from './kill.ts'

test('[H1] a server that is killed under load loses nothing it acknowledged', async () => {
  const kills = 10
  const seed = process.env.SEED ?? randomBytes(4).toString('hex')
  const outcome = await killServer(kills, seed)
  const replay = `SEED=${seed} replays it`
  expect(outcome, replay).toMatchObject({ kills, ackedLost: 0, converged: true, oddities: [] })
  expect(outcome.acked, replay).toBeGreaterThan(kills)
})
