/** A sample of `npm run crash -- --only browsers --full`. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { wipeServerOfBrowsers } from '../crash/browsers.ts'

const seed = process.env.SEED ?? randomBytes(4).toString('hex')

test('[R2] [R5] a server whose disk is wiped has everything back from a browser', async () => {
  const outcome = await wipeServerOfBrowsers(1, 1_000, seed)
  expect(outcome, `SEED=${seed} replays it`).toMatchObject({ commits: 1_000, lost: 0, oddities: [] })
}, 60_000)
