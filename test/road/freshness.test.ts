/** A replica among peers alone says when the server's word is old, and stops when somebody brings a newer one. */
import { diagnose, limits } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { memoryPair } from '../sim/memory-transport.ts'
import { Accounts } from './accounts.ts'
import { board, Card } from './lab.ts'

/** Ada on lines to Bob and Carol, who all share a board; Dave works at the server. */
const started = async (seed: string) => {
  const town = await Accounts.open(seed)
  const [toBob, toCarol] = [memoryPair(), memoryPair()]
  const ada = await town.enter('ada', 'ada', [toBob.a, toCarol.a])
  const bob = await town.enter('bob', 'bob', [toBob.b])
  const carol = await town.enter('carol', 'carol', [toCarol.b])
  const dave = await town.enter('dave', 'dave')
  for (const { database } of [ada, bob, carol, dave]) database.repository(board)
  const work = async (ms: number): Promise<void> => {
    for (let past = 0; past < ms; past += 60_000) {
      dave.database.repository(board).create(Card, { title: `${past}` })
      await town.lab.run(60_000)
    }
  }
  await work(60_000)
  const leave = (name: string): void => town.lines.get(name)?.disconnect()
  return { town, ada, bob, carol, toBob, toCarol, work, leave }
}

test('[S14] says so within twice the limit, and stops when a second neighbour brings what the first kept back', async () => {
  const { town, ada, carol, toBob, toCarol, work, leave } = await started('withheld')
  for (const name of ['ada', 'bob']) leave(name)
  toBob.connect()
  await work(limits.authorityStale - 60_000)
  expect(ada.database.status.authStale).toBeUndefined()
  await work(limits.authorityStale + 120_000)
  const { authStale } = ada.database.status
  const known = ada.database.repository(board).pipeline.log.entries.at(-1)?.time
  expect(authStale).toEqual({ heard: known, from: undefined })
  expect(diagnose(ada.database.status)?.sentence).toContain('server is away')
  const statuses = ada.statuses.length
  toCarol.connect()
  await town.lab.run(1_000)
  expect(ada.database.status.authStale).toBeUndefined()
  expect(ada.statuses.length).toBeGreaterThan(statuses)
  // As long as she brings news it stays so, and when she brings none any more, it says from whom the last came.
  await work(3 * limits.authorityStale)
  expect(ada.statuses.slice(statuses).filter((status) => status.authStale !== undefined)).toEqual([])
  leave('carol')
  await work(2 * limits.authorityStale)
  expect(ada.database.status.authStale?.from).toBe(carol.database.session?.id)
})

test('[S14] is no matter of whoever is alone, or has the server', async () => {
  const { ada, toBob, town, work, leave } = await started('alone')
  await town.lab.run(10 * limits.authorityStale)
  expect(ada.database.status.authStale).toBeUndefined()
  leave('ada')
  await work(3 * limits.authorityStale)
  expect(ada.database.status.authStale).toBeUndefined()
  toBob.connect()
  leave('bob')
  await work(2 * limits.authorityStale)
  expect(ada.database.status.authStale).toBeDefined()
  town.lines.get('ada')?.connect()
  await town.lab.run(1_000)
  expect(ada.database.status).toMatchObject({ authStale: undefined, connection: 'online' })
  expect(town.authority.statuses.filter((status) => status.authStale !== undefined)).toEqual([])
})
