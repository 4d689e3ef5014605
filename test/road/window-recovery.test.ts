/** A server that lost its disk, and devices that dropped what it had. */
import { expect, test } from 'vitest'
import { Card, outcomeOf, type Replica } from './lab.ts'
import { boardOf, rules, Town, titles } from './town.ts'

const offlineWindow = 60_000

/** Ada dropped what is older than a minute; Bob keeps everything, and is away. */
const scene = async (seed: string) => {
  const town = new Town(seed)
  const { lab } = town
  await town.start()
  let ada = await lab.join('ada', { rules, offlineWindow })
  for (let step = 0; step < 8; step++) await town.acknowledged(ada, `card ${step}`)
  const bob = await lab.join('bob', { rules })
  boardOf(bob)
  await town.grant(ada, bob, 'editor')
  await lab.until(() => titles(bob).length === 8)
  for (let step = 0; step < 30; step++) {
    for (const card of boardOf(ada).query(Card).current ?? []) card.points = step
    await lab.run(500)
  }
  await lab.until(() => boardOf(ada).unacknowledged === 0)
  await lab.run(2 * offlineWindow)
  lab.disconnect('bob')
  for (let times = 0; times < 2; times++) {
    lab.disconnect('ada')
    const closing = ada.database.close()
    await lab.run(500)
    await closing
    ada = await lab.join('ada', { rules, offlineWindow })
    await boardOf(ada).ready
    await lab.run(10_000)
  }
  expect(boardOf(ada).droppedBefore).toBeGreaterThan(0)
  return { town, lab, ada, bob }
}

const points = (replica: Replica): unknown => (boardOf(replica).query(Card).current ?? []).map((card) => card.points)

test('what some dropped comes from those who kept it', async () => {
  const { town, lab, ada, bob } = await scene('kept by one')
  town.burn()
  await town.start()
  lab.connect('ada')
  await lab.run(60_000)
  // She cannot bring it, so nothing is acknowledged.
  expect(town.server.database.recovering).toHaveLength(1)
  expect(boardOf(ada).query(Card).current).toHaveLength(8)
  lab.connect('bob')
  await lab.until(() => town.server.database.recovering.length === 0)
  await town.acknowledged(ada, 'after')
  await lab.run(10_000)
  expect(titles(town.server)).toEqual(titles(ada))
  expect(points(town.server)).toEqual(points(bob))
})

test('where nobody kept it the server waits, and who dropped it still shows it when that is given up', async () => {
  const { town, lab, ada } = await scene('kept by nobody')
  const before = titles(ada)
  town.burn()
  await town.start()
  lab.connect('ada')
  await lab.run(60_000)
  expect(town.server.database.recovering).toMatchObject([{ repository: '/board/roadmap' }])
  const accepted = outcomeOf(town.server.database.acceptLoss('/board/roadmap'))
  await lab.run(60_000)
  expect(accepted.current).toBe('resolved')
  expect(titles(ada)).toEqual(before)
  expect(titles(town.server)).toEqual([])
  // What is new goes to the server with the next run's chain: this one's begins with what nobody has.
  lab.disconnect('ada')
  const closing = ada.database.close()
  await lab.run(500)
  await closing
  const again = await lab.join('ada', { rules, offlineWindow })
  await boardOf(again).ready
  await lab.run(5_000)
  boardOf(again).create(Card, { title: 'new' })
  await lab.run(20_000)
  expect(titles(town.server)).toEqual(['new'])
  expect(titles(again)).toEqual([...before, 'new'])
})
