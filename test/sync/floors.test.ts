/** Stores that dropped the beginnings of chains, and others: who gets what, what it costs, and that it ends. */
import { describe, expect, test } from 'vitest'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import { mostLooks } from '../../packages/engine/src/sync/lack.ts'
import { shortChain } from '../../packages/engine/src/sync/message.ts'
import { chainOf, commitAfter, grow, Pair, randomFrom, Store, talk, universe } from './pair.ts'

type Sides = readonly [Store, Store]
type Rung = 'sums' | 'vector' | 'base'
type Drop = 'nothing' | 'what both have' | 'anything'

const rungs: readonly Rung[] = ['sums', 'vector', 'base']
/** Drawn meetings of a case. */
const seeds = 16

const isHere = (store: Store, id: string): boolean => store.has(id) || store.gone.has(id)

/** What one store could get of what another has whole: all it builds on is there, or comes too. */
const attainable = (to: Store, from: Store): Set<string> => {
  const got = new Set<string>()
  for (const id of from.order) {
    const commit = universe.get(id)
    if (commit === undefined || isHere(to, id) || from.gone.has(id) || commit.seq <= to.floorOf(commit.chain)) continue
    if (from.builtOn(id).every((one) => isHere(to, one) || got.has(one))) got.add(id)
  }
  return got
}

interface Scene {
  readonly chains: number
  /** In so many of 100 chains one side went on. */
  readonly moved: number
  readonly drops: readonly [Drop, Drop]
  /** Of the parents of what is left, so many of 100 are known by id. */
  readonly named?: number
  /** Of 100 chains, so many are forked where they went on. */
  readonly forked?: number
}

const sceneOf = (rung: Rung, drops: Scene['drops']): Scene =>
  rung === 'sums' ? { chains: 40, moved: 20, drops } : { chains: 60, moved: 90, drops }

/** Chains that both have, some that went on or began on one side, commits that build on other chains; and a store that has it all. */
const stores = (seed: number, { chains, moved, drops, named = 100, forked = 0 }: Scene): [...Sides, Store] => {
  const random = randomFrom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const [a, b, all] = [new Store(), new Store(), new Store()]
  const extend = (made: Store, others: readonly Store[], chain: string, back: boolean) => {
    const [tip] = made.headsOf(chain)
    const last = tip && universe.get(tip.id)
    const other = below(3) === 0 ? universe.get(made.order[below(made.order.length)] ?? '') : undefined
    const parents = other !== undefined && other.chain !== chain ? [other.id] : []
    const before = back ? universe.get(last?.previous ?? '') : last
    const commit = commitAfter(chain, before, parents, `floors ${seed}${back ? ' forked' : ''}`)
    for (const store of [made, ...others, all]) store.admit([commit])
  }
  const names = Array.from({ length: chains }, (_, index) => chainOf(`floors ${seed} ${index}`))
  // Not chain by chain: what a commit builds on would be older than all of its chain.
  for (const _ of [1, 2, 3]) for (const chain of names) for (let i = below(5); i > 0; i--) extend(a, [b], chain, false)
  const both = new Map(a.heads().map(({ chain, seq }) => [chain, seq]))
  for (const _ of [1, 2, 3])
    for (const chain of names) {
      if (below(100) >= moved) continue
      const store = Number.parseInt(chain.slice(0, 2), 16) % 2 === 0 ? a : b
      if (below(100) < forked && both.has(chain)) extend(store === a ? b : a, [], chain, true)
      for (let i = below(8); i > 0; i--) extend(store, [], chain, false)
    }
  for (const [at, drop] of drops.entries()) {
    const store = at === 0 ? a : b
    const floors = store.heads().flatMap(({ chain, seq }): [string, number][] => {
      const last = drop === 'what both have' ? Math.min(seq, both.get(chain) ?? -1) : seq
      const floor = drop === 'nothing' || below(3) === 0 ? -1 : below(last + 2) - 1
      return floor < 0 || store.headsOf(chain).length > 1 ? [] : [[chain, floor]]
    })
    store.drop(new Map(floors), () => below(100) < named)
  }
  return [a, b, all]
}

/** Checks what each side says: it asks for nothing at or below a floor. */
const meeting = (sides: Sides, seed: number, rung: Rung): Pair => {
  const pair = new Pair(sides[0], sides[1], seed, rung === 'base')
  pair.moved = rung === 'sums' && seed % 2 === 0 ? 2 : 1_000
  const listed: { round: number; names: { chain: string; seq: number }[] }[] = [0, 1].map(() => ({
    round: 0,
    names: [],
  }))
  pair.onWire = (message, from) => {
    const heard = listed[1 - from]
    if (message.kind === 'heads') {
      const said = listed[from]
      if (said !== undefined && said.round !== message.round) listed[from] = { round: message.round, names: [] }
      listed[from]?.names.push(...message.heads)
    } else if (message.kind === 'want' && heard?.round === message.round) {
      for (const { index } of message.wants) {
        const name = heard.names[index]
        for (const [chain, floor] of pair.sides[from === 0 ? 0 : 1].store.floors)
          if (name?.chain === chain || name?.chain === shortChain(chain))
            expect(name.seq, 'a want of what may have been dropped').toBeGreaterThan(floor)
      }
    }
    return [message]
  }
  return pair
}

interface Outcome {
  readonly pair: Pair
  readonly all: Store
  readonly due: readonly Set<string>[]
  readonly got: readonly Set<string>[]
  /** Commits that were sent for nothing. */
  readonly waste: number
}

const meet = (seed: number, rung: Rung, scene: Scene, prepare: (pair: Pair) => void = () => undefined): Outcome => {
  const [a, b, all] = stores(seed, scene)
  const due = [attainable(a, b), attainable(b, a)]
  const before = [new Set(a.order), new Set(b.order)]
  const pair = meeting([a, b], seed, rung)
  prepare(pair)
  pair.open()
  pair.run()
  const got = [a, b].map(({ order }, at) => new Set(order.filter((id) => before[at]?.has(id) === false)))
  const received = pair.sides.reduce((sum, side) => sum + side.received.length, 0)
  const note = `seed ${seed}, ${rung}, ${scene.drops.join(' x ')}`
  for (const side of pair.sides) {
    expect(side.offences, note).toEqual([])
    expect(side.wakes, note).toEqual([])
  }
  expect(pair.phases, note).toBe(pair.equal ? 'level,level' : 'resting,resting')
  return { pair, all, due, got, waste: received - got.reduce((sum, { size }) => sum + size, 0) }
}

const cases = (...drops: Scene['drops'][]): [Rung, Scene['drops']][] =>
  rungs.flatMap((rung) => drops.map((drop): [Rung, Scene['drops']] => [rung, drop]))

describe('random stores', () => {
  test.each(cases(['what both have', 'nothing'], ['nothing', 'what both have'], ['what both have', 'what both have']))(
    '[S15] by %s, %j: who has at least what the other dropped ends level with it, and what they say is what they would say otherwise',
    (rung, drops) => {
      const spoken = ({ pair }: Outcome) => pair.lines.map((line) => line.replace(/, at \d+/, ''))
      const seen = new Set<string>()
      for (let seed = 1; seed <= seeds; seed++) {
        const scene = { ...sceneOf(rung, drops), named: 50 }
        const outcome = meet(seed, rung, scene)
        const note = `seed ${seed}\n${outcome.pair.lines.join('\n')}`
        expect(outcome.pair.phases, note).toBe('level,level')
        expect(outcome.got, note).toEqual(outcome.due)
        const whole = meet(seed, rung, { ...scene, drops: ['nothing', 'nothing'] })
        if (rung !== 'base') expect(spoken(outcome)).toEqual(spoken(whole))
        // What may have to wait for a chain that a false hit hid waits for another round.
        expect(outcome.pair.filters / 2, note).toBeLessThanOrEqual(4)
        for (const line of outcome.pair.lines) seen.add(line.split(' ')[1] ?? '')
      }
      expect(seen).toContain(rung === 'base' ? 'filter' : rung === 'vector' ? 'vector' : 'moved')
    },
    60_000,
  )

  test.each(
    cases(['anything', 'nothing'], ['nothing', 'anything'], ['anything', 'anything'], ['anything', 'what both have']),
  )(
    '[S15] [S7] by %s, %j: each gets what can be had, next to nothing is sent in vain, and it ends as other conversations without progress do',
    (rung, drops) => {
      let wasted = 0
      let rested = 0
      for (let seed = 1; seed <= seeds; seed++) {
        const { pair, due, got, waste } = meet(seed, rung, sceneOf(rung, drops))
        const note = `seed ${seed}\n${pair.lines.join('\n')}`
        expect(got, note).toEqual(due)
        wasted += waste
        if (pair.phases === 'resting,resting') rested++
        // A few rounds that brought something, then those that bring nothing.
        expect(pair.filters / 2, note).toBeLessThanOrEqual(limits.idleRounds + 3)
        expect(pair.messages, note).toBeLessThanOrEqual(11 * (limits.idleRounds + 3))
      }
      expect(rested).toBeGreaterThan(0.8 * seeds)
      // A false hit, or two chains that look like one, and something goes out whose parents stay here.
      expect(wasted).toBeLessThan(rung === 'sums' ? 2 : 24)
    },
    60_000,
  )

  test.each(rungs)(
    '[S15] by %s: what is not even known by id is taken for dropped, and nothing is sent that may build on it',
    (rung) => {
      let wasted = 0
      for (let seed = 1; seed <= seeds; seed++) {
        const { due, got, waste } = meet(seed, rung, { ...sceneOf(rung, ['anything', 'anything']), named: 30 })
        for (const [at, ids] of got.entries()) for (const id of ids) expect(due[at]?.has(id), `seed ${seed}`).toBe(true)
        wasted += waste
      }
      expect(wasted).toBeLessThan(rung === 'sums' ? 2 : 24)
    },
    60_000,
  )

  test.each(rungs)(
    '[S15] by %s: somebody who has it all brings what is missing, and the two that rested are level',
    (rung) => {
      for (let seed = 1; seed <= 30; seed++) {
        const { pair, all } = meet(seed, rung, { ...sceneOf(rung, ['anything', 'anything']), named: 60 })
        for (const [at, { store }] of pair.sides.entries()) {
          const ids = store.admit(all.order.flatMap((id) => universe.get(id) ?? []))
          if (ids.length > 0) pair.give(at, { kind: 'admitted', ids, origin: 'other' })
        }
        pair.run()
        const note = `seed ${seed}\n${pair.lines.slice(-40).join('\n')}`
        expect(pair.equal, note).toBe(true)
        expect(pair.phases, note).toBe('level,level')
        expect(
          pair.sides.flatMap(({ offences }) => offences),
          note,
        ).toEqual([])
      }
    },
    60_000,
  )

  test.each(rungs)(
    '[S15] by %s: forks end too, and no dropped commit is sent or asked for',
    (rung) => {
      for (let seed = 1; seed <= seeds; seed++) {
        const scene: Scene = { ...sceneOf(rung, ['anything', seed % 2 === 0 ? 'anything' : 'nothing']), forked: 20 }
        const { pair, due, got } = meet(seed, rung, scene)
        const note = `seed ${seed}\n${pair.lines.join('\n')}`
        for (const [at, ids] of got.entries()) for (const id of ids) expect(due[at]?.has(id), note).toBe(true)
        expect(pair.filters / 2, note).toBeLessThanOrEqual(2 * limits.idleRounds)
      }
    },
    60_000,
  )

  test('[S15] [S12] stores that meet again and again with cursors, and drop in between, end level each time', () => {
    let cursors = 0
    for (let seed = 1; seed <= 40; seed++) {
      const [a, b] = stores(seed, { chains: 20, moved: 50, drops: ['nothing', 'nothing'] })
      const random = randomFrom(seed)
      let known: Pair['known']
      for (let met = 0; met < 6; met++) {
        const pair = meeting([a, b], seed + met, 'sums')
        pair.known = known
        pair.open()
        pair.run()
        const note = `seed ${seed}\n${pair.lines.join('\n')}`
        expect(pair.phases, note).toBe('level,level')
        if (pair.lines[0]?.includes('from') && pair.lines[2]?.includes('moved')) cursors++
        known = pair.known
        for (const store of [a, b]) {
          const covered = store
            .heads()
            .map(({ chain, seq }): [string, number] => [chain, seq - Math.floor(random() * 3)])
          if (random() < 0.4) store.drop(new Map(covered.filter(([, floor]) => floor >= 0)))
        }
        for (const [at, store] of [a, b].entries())
          for (const { chain, id } of store.heads())
            if (random() < 0.2 && Number.parseInt(chain.slice(0, 2), 16) % 2 === at)
              grow([store], '', 2, universe.get(id), `${seed} ${met} ${at}`)
      }
    }
    expect(cursors).toBeGreaterThan(0.8 * seeds)
  }, 60_000)
})

describe('one side has nothing', () => {
  test.each([
    ['base', 0],
    ['base', 1],
    ['sums', 0],
    ['sums', 1],
  ] as const)(
    '[S15] [S3] by %s, side %i: it gets the chains without a floor as far as they build on nothing else',
    (rung, at) => {
      let [some, wasted] = [0, 0]
      for (let seed = 1; seed <= 40; seed++) {
        const [full] = stores(seed, { chains: 30, moved: 50, drops: ['anything', 'nothing'], named: 60 })
        const empty = new Store()
        const due = attainable(empty, full)
        const pair = meeting(at === 0 ? [empty, full] : [full, empty], seed, rung)
        pair.open()
        pair.run()
        const note = `seed ${seed}\n${pair.lines.join('\n')}`
        expect(new Set(empty.order), note).toEqual(due)
        expect(pair.phases, note).toBe('resting,resting')
        wasted += pair.sides[at].received.length - due.size
        if (due.size > 0) some++
      }
      expect(some).toBeGreaterThan(10)
      expect(wasted).toBeLessThan(60)
    },
  )

  test.each([0, 1])(
    '[S15] a place at the very beginning, which fits every order, brings side %i no dropped commit',
    (dropping) => {
      const [a, b] = [new Store(), new Store()]
      const { known } = talk(a, b, 1, false)
      expect(known).toBeUndefined()
      const last = grow([a, b], 'one', 9)
      const side = dropping === 0 ? a : b
      grow([side], '', 3, last)
      grow([dropping === 0 ? b : a], 'two', 2)
      // The other is to lack something that was dropped, or would have named it itself.
      const missing = grow([side], 'three', 4)
      side.drop(
        new Map([
          [chainOf('one'), 7],
          [chainOf('three'), 3],
        ]),
      )
      const pair = meeting([a, b], 1, 'sums')
      const hash = b.prefixHash(0)
      if (hash === undefined) throw new Error('no hash')
      pair.known = { cursor: { place: 0, hash }, count: 0 }
      pair.open()
      pair.run()
      const other = dropping === 0 ? b : a
      expect(other.headsOf(chainOf('one')), pair.lines.join('\n')).toEqual(side.headsOf(chainOf('one')))
      expect(side.headsOf(chainOf('two')).length).toBe(1)
      expect(other.has(missing?.id ?? '')).toBe(false)
      expect(pair.phases).toBe('resting,resting')
    },
  )
})

describe('conversations', () => {
  const behind = (at: number): Sides => {
    const [a, b] = [new Store(), new Store()]
    const ahead = at === 0 ? b : a
    grow([ahead], '', 12, grow([a, b], 'one', 4))
    grow([a, b], 'two', 5)
    ahead.drop(new Map([[chainOf('one'), 9]]))
    return [a, b]
  }

  test('[S15] the leader is behind the floor: what it names lies below, so it need not name more', () => {
    const pair = talk(...behind(0))
    expect(pair.lines.slice(2, 9)).toEqual([
      '> filter 1: 2 tips, 8 B',
      '< filter 1: 2 tips, 8 B',
      '< heads 1: seq 15',
      '> want 1: 0 after 3',
      '< push 1: 0 commits, last',
      '> fingerprint 1',
      '< fingerprint 1',
    ])
    expect(pair.filters / 2).toBe(limits.idleRounds)
    expect(pair.restedAt - 1_000).toBe(7_750)
    // Without filters, each round lists what is level too.
    expect(pair.messages).toBe(3 + 7 * 2 + 9 * (limits.idleRounds - 2))
  })

  test('[S15] the follower is behind the floor: it is neither asked for what it has nor offered what cannot be sent', () => {
    const pair = talk(...behind(1))
    expect(pair.lines.slice(2, 7)).toEqual([
      '> filter 1: 2 tips, 8 B',
      '< filter 1: 2 tips, 8 B',
      '< heads 1: seq 3',
      '> fingerprint 1',
      '< fingerprint 1',
    ])
    expect(pair.restedAt - 1_000).toBe(7_750)
    expect(pair.messages).toBe(3 + 5 * 2 + 7 * (limits.idleRounds - 2))
  })

  test.each([0, 1])(
    '[S15] [S7] side %i goes on behind its floor: a live push and rounds as after any change, and they rest again',
    (at) => {
      const sides = behind(1 - at)
      const pair = talk(...sides)
      const { messages, filters } = pair
      const [tip] = sides[at === 0 ? 0 : 1].headsOf(chainOf('one'))
      pair.write(at, commitAfter(chainOf('one'), universe.get(tip?.id ?? '')))
      pair.run(false)
      expect(pair.phases).toBe('resting,resting')
      expect((pair.filters - filters) / 2).toBe(limits.idleRounds - 2)
      expect(pair.messages - messages).toBeLessThan(11 * limits.idleRounds)
      expect(pair.sides[at === 0 ? 0 : 1].sent).toBe(1)
    },
  )

  test.each([0, 1])('[S15] side %i stands at the floor itself: it gets all that follows', (at) => {
    const [a, b] = [new Store(), new Store()]
    const ahead = at === 0 ? b : a
    grow([ahead], '', 6, grow([a, b], 'one', 10))
    ahead.drop(new Map([[chainOf('one'), 9]]))
    for (const base of [true, false]) {
      const behind = new Store()
      behind.admit([...universe.values()].filter(({ id }) => (at === 0 ? a : b).has(id)))
      const pair = at === 0 ? talk(behind, ahead, 1, base) : talk(ahead, behind, 1, base)
      expect(pair.phases, pair.lines.join('\n')).toBe('level,level')
      expect(pair.sides[1 - at]?.sent).toBe(6)
      expect(pair.filters).toBe(base ? 2 : 0)
    }
  })

  test.each(['sums', 'base'] as const)('[S2] [S15] by %s: equal tips are level, whatever was dropped', (rung) => {
    const [a, b] = [new Store(), new Store()]
    for (const name of ['one', 'two', 'three']) grow([a, b], name, 10)
    a.drop(new Map([[chainOf('one'), 9]]))
    b.drop(
      new Map([
        [chainOf('one'), 3],
        [chainOf('two'), 5],
      ]),
    )
    const pair = talk(a, b, 1, rung === 'base')
    expect(pair.lines.length).toBe(2)
    expect(pair.phases).toBe('level,level')
  })

  test.each([0, 1])('[S15] [S5] side %i gets a branch that left the chain behind its floor', (at) => {
    const [a, b] = [new Store(), new Store()]
    const [here, there] = at === 0 ? [a, b] : [b, a]
    const shared = grow([a, b], 'one', 20)
    grow([here], '', 9, shared, 'here')
    grow([there], '', 4, shared, 'there')
    here.drop(new Map([[chainOf('one'), 12]]))
    const pair = talk(a, b)
    expect(
      here
        .headsOf(chainOf('one'))
        .map(({ seq }) => seq)
        .toSorted(),
      pair.lines.join('\n'),
    ).toEqual([23, 28])
  })

  test.each([0, 1])('[S15] a branch that left it before is sent to side %i once in no round', (at) => {
    const [a, b] = [new Store(), new Store()]
    const [here, there] = at === 0 ? [a, b] : [b, a]
    const shared = grow([a, b], 'one', 8)
    grow([here], '', 9, shared, 'here')
    grow([there], '', 30, shared, 'there')
    here.drop(new Map([[chainOf('one'), 12]]))
    const pair = talk(a, b)
    expect(pair.phases).toBe('resting,resting')
    expect(pair.sides.map(({ sent, offences }) => [sent, offences.length])).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  test('[S15] [S11] whether sums or a vector are shorter goes by the lengths of chains, not by what is left of them', () => {
    const [a, b] = [new Store(), new Store()]
    for (let index = 0; index < 120; index++) {
      const last = grow([a, b], `long ${index}`, 200)
      if (index < 20) grow([a], '', 1, last)
    }
    b.drop(new Map(b.heads().map(({ chain, seq }) => [chain, seq - 1])))
    const pair = talk(a, b, 1, false)
    expect(pair.lines[2]).toBe('< sums 1: 64')
    expect(pair.phases).toBe('level,level')
  })

  test.each([0, 1])('[S15] what one message makes side %i read is bounded, and the rounds go on from there', (at) => {
    const full = new Store()
    grow([full], 'dropped', 3)
    for (let index = 0; index < 12; index++) grow([full], `whole ${index}`, 1_000)
    full.drop(new Map([[chainOf('dropped'), 1]]))
    const looked = full.builtOn
    let looks = 0
    let most = 0
    full.builtOn = (id) => {
      looks++
      return looked(id)
    }
    const empty = new Store()
    const pair = at === 0 ? new Pair(full, empty, 1, false) : new Pair(empty, full, 1, false)
    pair.onWire = (message, from) => {
      if (from === at) return [message]
      most = Math.max(most, looks)
      looks = 0
      return [message]
    }
    pair.open()
    pair.run(false)
    expect(most).toBe(mostLooks)
    expect(empty.count()).toBe(12_000)
    expect(pair.phases).toBe('resting,resting')
    expect(pair.sides[at]?.sent).toBe(12_000)
  })

  test('[S15] commits below a floor that somebody sends all the same are no offence', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 10)
    a.drop(new Map([[chainOf('one'), 8]]))
    const pair = talk(a, b)
    const [first] = b.order
    const commit = universe.get(first ?? '')
    if (commit === undefined) throw new Error('no commit')
    pair.give(1, { kind: 'admitted', ids: [commit.id], origin: 'other' })
    pair.run(false)
    expect(pair.lines.at(-1)).toBe('< push 0: 1 commit')
    expect(a.has(commit.id)).toBe(false)
    expect(pair.sides.flatMap(({ offences }) => offences)).toEqual([])
    expect(pair.phases).toBe('level,level')
  })
})
