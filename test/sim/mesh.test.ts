import { describe, expect, test } from 'vitest'
import { commitsFor, meshCampaign, offencesOf } from './mesh/campaign.ts'
import { Scenario } from './mesh/scenario.ts'
import { World } from './mesh/world.ts'
import { Stream } from './random.ts'

/** A mesh in which all have joined, and found their links. */
const joined = (seed: string, replicas: number): World => {
  const world = new World(new Stream(seed, 'mesh'))
  const random = new Stream(seed, 'joining')
  for (let left = replicas; left > 0; left--) world.schedule(random.int(5_000), () => void world.join())
  world.run(25_000)
  return world
}

/** How many of those who are here a walk over links from the first one does not reach. */
const unreached = (world: World): number => {
  const here = world.online.filter(({ isBlocked }) => !isBlocked)
  const open = here.slice(0, 1)
  const seen = new Set(open)
  for (const node of open) {
    for (const { peer } of node.ends.values()) {
      if (peer.isServer || seen.has(peer) || !peer.alive) continue
      seen.add(peer)
      open.push(peer)
    }
  }
  return here.length - seen.size
}

describe('what the mesh promises', () => {
  test.each([2, 4, 8, 20, 60])('%i replicas', (replicas) => {
    const { failed } = meshCampaign({ replicas, from: 1, seeds: replicas < 20 ? 5 : 2, report: () => undefined })
    expect(failed).toEqual([])
  })

  test('a seed plays the same every time, and another one differs', () => {
    const played = ['0x7', '0x7', '0x8'].map((seed) => new Scenario({ seed, replicas: 24, commits: 40 }).play())
    expect(played[0]).toEqual(played[1])
    expect(played[0]).not.toEqual(played[2])
  })

  test('figures that are out of reach are named', () => {
    const { churn, ...figures } = new Scenario({ seed: '0x1', replicas: 4, commits: commitsFor(4) }).play()
    expect([...offencesOf(figures), ...offencesOf(churn)]).toEqual([])
    const worse = {
      ...figures,
      copiesMean: 1.6,
      serverCopiesMean: 1.3,
      healSeconds: 11,
      degreeMax: 17,
      deliveredAll: false,
    }
    expect(offencesOf(worse)).toHaveLength(5)
  })
})

test('one author alone: after the first commit nothing comes twice', () => {
  const world = joined('one author', 80)
  const [author] = world.online
  if (author === undefined) throw new Error('nobody is here')
  for (let warm = 0; warm < 10; warm++) {
    world.make(author)
    world.run(world.now + 3_000)
  }
  const { copies, receivers } = world.measures
  for (let commit = 0; commit < 20; commit++) {
    world.make(author)
    world.run(world.now + 3_000)
  }
  expect((world.measures.copies - copies) / (world.measures.receivers - receivers)).toBeLessThan(1.03)
})

test('a join and a leave cost a number of messages of the order of the links, however many are here', () => {
  const costs = [60, 240].map((replicas) => {
    const world = joined('join and leave', replicas)
    world.run(world.now + 60_000)
    const eventsIn = (time: number): number => {
      const before = world.events
      world.run(world.now + time)
      return world.events - before
    }
    const quiet = eventsIn(20_000)
    world.join()
    const joining = eventsIn(20_000) - quiet
    const [somebody] = world.online
    if (somebody !== undefined) world.kill(somebody)
    return [joining, eventsIn(20_000) - quiet]
  })
  for (const [joining = 0, leaving = 0] of costs) {
    expect(joining).toBeGreaterThan(20)
    expect(joining).toBeLessThan(1_500)
    expect(leaving).toBeLessThan(1_500)
  }
})

test('the overlay holds together while one after the other dies with the server away', () => {
  for (const seed of ['0x1', '0x2', '0x3']) {
    const world = joined(seed, 100)
    const random = new Stream(seed, 'dying')
    world.serverLeaves()
    world.run(world.now + 2_000)
    // Half of them within a minute.
    for (let death = 0; death < 50; death++) {
      world.kill(random.pick(world.online))
      world.run(world.now + 1_200)
    }
    world.run(world.now + 10_000)
    expect(unreached(world), seed).toBe(0)
    for (const { topology } of world.online) expect(topology.links.size, seed).toBeGreaterThanOrEqual(4)
  }
})
