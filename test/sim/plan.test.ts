import { describe, expect, test } from 'vitest'
import { nodesOf, type Plan, type PlanEvent, planOf, soundNode } from './plan.ts'
import { stream } from './random.ts'
import { minimize, shrink } from './shrink.ts'

const plans = Array.from({ length: 300 }, (_, index) => planOf(`${index}`))
const counted = (plan: Plan, kind: PlanEvent['kind']): number =>
  plan.events.filter((event) => event.kind === kind).length

describe('a plan', () => {
  test('is plain JSON and a function of its seed', () => {
    for (const plan of plans) {
      expect(JSON.parse(JSON.stringify(plan))).toEqual(plan)
      expect(planOf(plan.seed)).toEqual(plan)
    }
    expect(new Set(plans.map((plan) => JSON.stringify({ ...plan, seed: '' }))).size).toBe(plans.length)
  })

  test('is in order of time and names only its own nodes', () => {
    for (const { events, nodes, duration, items } of plans) {
      const names = nodes.map((node) => node.name)
      expect(nodes.filter((node) => node.role === 'server').length).toBe(1)
      for (const [index, event] of events.entries()) {
        expect(event.at).toBeGreaterThanOrEqual(events[index - 1]?.at ?? 0)
        expect(event.at).toBeLessThan(duration)
        for (const node of nodesOf(event)) expect(names).toContain(node)
        if (event.kind === 'edit') expect(event.item).toBeLessThan(items)
        if (event.kind === 'partition') expect([...event.left, ...event.right].sort()).toEqual([...names].sort())
        if (event.kind === 'clog') expect(event.from).not.toBe(event.to)
      }
    }
  })

  test('swarm: every fault is on in some seeds and off in others', () => {
    const kinds = [
      'crash',
      'partition',
      'clog',
      'break',
      'freeze',
      'jump',
      'drift',
      'dropCache',
      'rot',
      'wipe',
    ] as const
    for (const kind of kinds) {
      const on = plans.filter((plan) => counted(plan, kind) > 0).length
      expect(on, kind).toBeGreaterThan(3)
      expect(on, kind).toBeLessThan(200)
    }
    const faults = ['drop', 'duplicate', 'reorder', 'truncate', 'break', 'refuse', 'silentDeath', 'newAddress'] as const
    for (const fault of faults) {
      const on = plans.filter((plan) => plan.network[fault] > 0).length
      expect(on, fault).toBeGreaterThan(20)
      expect(on, fault).toBeLessThan(150)
    }
    for (const fault of ['shortWrite', 'readError', 'writeError', 'syncError', 'nameError', 'zeroSector'] as const) {
      const on = plans.filter((plan) => plan.nodes.some((node) => node.disk[fault] > 0)).length
      expect(on, fault).toBeGreaterThan(50)
    }
    expect(new Set(plans.map((plan) => plan.nodes.length))).toEqual(new Set([2, 3, 4, 5, 6, 7, 8]))
    expect(plans.filter((plan) => plan.signatures === 'real').length).toBeGreaterThan(3)
  })

  test('destroys what was stored on one node at most, and says on which', () => {
    for (const plan of plans) {
      const hit = plan.events.filter((event) => event.kind === 'rot' || event.kind === 'wipe').flatMap(nodesOf)
      expect(hit).toEqual(plan.destroys === null ? [] : [plan.destroys])
    }
  })
})

describe('minimize', () => {
  test.each(['1', '2', '3', '4', '5'])('finds the items that matter, and nothing else (seed %s)', async (seed) => {
    const draws = stream(seed, 'minimize')
    for (let round = 0; round < 30; round++) {
      const items = Array.from({ length: 1 + draws.int(80) }, (_, index) => index)
      const culprits = draws
        .shuffle(items)
        .slice(0, draws.int(5))
        .sort((left, right) => left - right)
      let runs = 0
      const found = await minimize(items, async (kept) => {
        runs++
        return culprits.every((culprit) => kept.includes(culprit))
      })
      expect(found).toEqual(culprits)
      expect(runs).toBeLessThan(400)
    }
  })

  test('one of two culprits is enough', async () => {
    const items = Array.from({ length: 50 }, (_, index) => index)
    const found = await minimize(items, async (kept) => kept.includes(7) || kept.includes(41))
    expect([[7], [41]]).toContainEqual(found)
  })
})

describe('shrink', () => {
  /** Fails when bob crashes, later the server does, and his disk fails syncs. */
  const bug = async (plan: Plan): Promise<boolean> => {
    const bob = plan.nodes.find((node) => node.name === 'bob')
    const crash = (name: string) => plan.events.findIndex((event) => event.kind === 'crash' && event.node === name)
    return (bob?.disk.syncError ?? 0) > 0 && crash('bob') >= 0 && crash('bob') < crash('server')
  }

  test('leaves the events, the nodes and the faults that the failure needs', async () => {
    let tried = 0
    for (let seed = 0; seed < 3000 && tried < 3; seed++) {
      const plan = planOf(`${seed}`)
      if (!(await bug(plan))) continue
      tried++
      const before = JSON.stringify(plan)
      const small = await shrink(plan, bug)
      expect(JSON.stringify(plan)).toBe(before)
      expect(small.events.map((event) => [event.kind, ...nodesOf(event)])).toEqual([
        ['crash', 'bob'],
        ['crash', 'server'],
      ])
      expect(small.nodes.map((node) => node.name)).toEqual(['server', 'bob'])
      const bob = soundNode('bob', 'browser')
      const { syncError } = small.nodes[1]?.disk ?? { syncError: 0 }
      expect(syncError).toBeGreaterThan(0)
      expect(small.nodes).toEqual([soundNode('server', 'server'), { ...bob, disk: { ...bob.disk, syncError } }])
      expect(small.seed).toBe(plan.seed)
    }
    expect(tried).toBe(3)
  })

  test('partitions lose the nodes that go', async () => {
    const parts = async (plan: Plan): Promise<boolean> => plan.events.some((event) => event.kind === 'partition')
    const plan = plans.find((candidate) => counted(candidate, 'partition') > 0 && candidate.nodes.length > 4)
    if (plan === undefined) throw new Error('no such plan')
    const small = await shrink(plan, parts)
    expect(small.nodes.length).toBe(2)
    const [event] = small.events
    if (event?.kind !== 'partition') throw new Error('no partition')
    expect([...event.left, ...event.right].sort()).toEqual(small.nodes.map((node) => node.name).sort())
    expect([event.left.length, event.right.length]).toEqual([1, 1])
  })

  test('keeps to its budget and still gives a plan that fails', async () => {
    const plan = plans.find((candidate) => counted(candidate, 'edit') === 150)
    if (plan === undefined) throw new Error('no such plan')
    let runs = 0
    const fails = async (candidate: Plan): Promise<boolean> => {
      runs++
      return counted(candidate, 'edit') > 20
    }
    const small = await shrink(plan, fails, 10)
    expect(runs).toBe(10)
    expect(await fails(small)).toBe(true)
    expect(small.events.length).toBeLessThan(plan.events.length)
  })

  test('refuses a plan that does not fail', async () => {
    await expect(shrink(planOf('1'), async () => false)).rejects.toThrow('does not fail')
  })
})
