/** A sample of what `npm run crash -- --full` does to a store. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { backUpUnderLoad } from './backups.ts'
import { failEverywhere } from './calls.ts'
import { cutEverywhere } from './cuts.ts'
import { flipEverywhere } from './flips.ts'
import { imageOf } from './image.ts'
import { killServer } from './kill.ts'
import { restoreServer } from './restored.ts'
import { wipeServer } from './wiped.ts'

const seed = process.env.SEED ?? randomBytes(4).toString('hex')
const replay = `SEED=${seed} replays it`

test('[H1] a server that is killed under load loses nothing it acknowledged', async () => {
  const kills = 10
  const outcome = await killServer(kills, seed)
  expect(outcome, replay).toMatchObject({ kills, ackedLost: 0, converged: true, oddities: [] })
  expect(outcome.acked, replay).toBeGreaterThan(kills)
})

test('[R2] [R5] a server whose disk is wiped has everything back from its clients', async () => {
  for (const clients of [1, 2])
    expect(await wipeServer(clients, 200, seed), replay).toMatchObject({ commits: 200, lost: 0, oddities: [] })
}, 120_000)

test('[R9] [R10] a server that is restored without its landmarks signs nothing twice', async () => {
  const expected = { commits: 200, later: 100, lost: 0, isHasty: false, oddities: [] }
  expect(await restoreServer(100, seed), replay).toEqual(expected)
}, 60_000)

test('a log that ends at any byte, with anything behind it, is read up to there and goes on', async () => {
  const { first, cuts } = await cutEverywhere(await imageOf(seed, 20_000), seed, 83)
  expect(first, replay).toBeUndefined()
  expect(cuts).toBeGreaterThan(700)
})

test('a bit that flips is noticed, and costs its frame alone', async () => {
  const image = await imageOf(seed, 10_000)
  const { first, flipped, detected } = await flipEverywhere(image, 151)
  expect(first, replay).toBeUndefined()
  expect([detected, flipped > 500]).toEqual([flipped, true])
})

test('a server whose n-th call to the file system fails loses nothing it acknowledged', async () => {
  const { first, cases } = await failEverywhere(seed, 12)
  expect(first, replay).toBeUndefined()
  expect(cases).toBeGreaterThan(5)
})

test('a backup of a server under load holds all that was acknowledged before it began, whoever is killed meanwhile', async () => {
  const backups = 8
  const outcome = await backUpUnderLoad(backups, seed)
  expect(outcome, replay).toMatchObject({ backups, ackedLost: 0, oddities: [] })
  expect(outcome.acked, replay).toBeGreaterThan(backups)
})
