import { describe, expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { mostLinks, wantedLinks } from './degree.ts'
import type { TopologyEffect, TopologyEvent } from './overlay.ts'
import { Topology } from './topology.ts'

const server = 'server'

/** mulberry32: below the limit. */
const seeded = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296) * below)
  }
}

/** One machine, whose session is `m`. What it does reads `dial z via server`. */
class Bench {
  readonly topology = new Topology('m')
  now = 0
  readonly random: (below: number) => number
  wakes = 0
  #wakeAt = Number.POSITIVE_INFINITY

  constructor(seed = 1) {
    this.random = seeded(seed)
  }

  effects(event: TopologyEvent): TopologyEffect[] {
    const effects = this.topology.step(event, { now: this.now, random: this.random })
    const { size } = this.topology.links
    const most = mostLinks(this.members)
    if (size + this.topology.attempts > most) throw new Error(`${size} links and attempts above ${most}`)
    return effects.filter((effect) => {
      if (effect.kind === 'wake') this.#wakeAt = this.now + effect.after
      return effect.kind !== 'wake'
    })
  }

  members = 8

  do(event: TopologyEvent): string[] {
    return this.effects(event).map(inWords)
  }

  /** Lets so many ms pass; `answer` may put in what follows from an effect. */
  pass(time: number, answer: (line: string) => void = () => undefined): string[] {
    const until = this.now + time
    const done: string[] = []
    while (this.#wakeAt <= until) {
      this.now = this.#wakeAt
      this.#wakeAt = Number.POSITIVE_INFINITY
      this.wakes++
      const lines = this.do({ kind: 'wake' })
      done.push(...lines)
      for (const line of lines) answer(line)
    }
    this.now = until
    return done
  }

  introduced(members: number, ...sessions: string[]): string[] {
    this.members = members
    return this.do({ kind: 'introduced', members, sessions })
  }

  asked(session: string, lonely = false): string[] {
    return this.do({ kind: 'asked', session, lonely })
  }

  linked(...sessions: string[]): string[] {
    return sessions.flatMap((session) => this.do({ kind: 'linked', session }))
  }

  /** They asked, and a link came of it. */
  visited(...sessions: string[]): void {
    for (const session of sessions) {
      expect(this.asked(session)).toContain(`accept ${session}`)
      this.linked(session)
    }
  }

  neighbours(link: string, ...sessions: string[]): string[] {
    return this.do({ kind: 'neighbours', link, sessions })
  }

  here(): string[] {
    return this.do({ kind: 'server here', session: server })
  }

  away(): string[] {
    return this.do({ kind: 'server away' })
  }
}

const inWords = (effect: TopologyEffect): string => {
  switch (effect.kind) {
    case 'seek':
      return `seek ${effect.count}`
    case 'dial':
    case 'ask':
      return `${effect.kind} ${effect.session} via ${effect.via}${effect.lonely ? ' lonely' : ''}`
    case 'tell':
      return `tell ${effect.sessions.join(' ')}`
    case 'wake':
      return 'wake'
    default:
      return `${effect.kind} ${effect.session}`
  }
}

const wished = (lines: readonly string[]): string[] =>
  lines.flatMap((line) => {
    const [kind, session = ''] = line.split(' ')
    return kind === 'dial' || kind === 'ask' ? [session] : []
  })

/** A mesh of 1,000 in which `m` has as many links as it wants, the first two of its own choice. */
const settled = (seed = 1): Bench => {
  const bench = new Bench(seed)
  bench.here()
  bench.linked(...wished(bench.introduced(1_000, 'own0', 'own1')))
  for (let link = 2; link < wantedLinks(1_000); link++) bench.visited(`link${link}`)
  return bench
}

describe('looking for links', () => {
  test('the server is asked for members; the smaller session dials, the larger asks', () => {
    const bench = new Bench()
    expect(bench.here()).toEqual(['seek 10'])
    const wishes = bench.introduced(2, 'a', 'z')
    expect(wishes.toSorted()).toEqual(['ask a via server lonely', 'dial z via server lonely'])
    bench.linked('a')
    expect(bench.linked('z')).toEqual([])
    expect(bench.pass(150)).toEqual(['tell a z'])
  })

  test('all are linked while they are few', () => {
    const bench = new Bench()
    bench.here()
    const names = [...'abcdefgh']
    const links = wished(bench.introduced(8, ...names))
    for (const session of links) links.push(...wished(bench.linked(session)))
    expect(links.toSorted()).toEqual(names)
  })

  test('not more than four wishes at once, nor more than wanted; the rest is kept for those that fail', () => {
    const bench = new Bench()
    bench.here()
    const introduced = Array.from({ length: 20 }, (_, index) => `member${index}`)
    const first = wished(bench.introduced(300, ...introduced))
    expect(first).toHaveLength(4)
    const [one = '', two = '', three = '', four = ''] = first
    expect(wished(bench.do({ kind: 'busy', session: one }))).toHaveLength(1)
    expect(wished(bench.do({ kind: 'failed', session: two, why: 'unreachable' }))).toHaveLength(1)
    const open = wished(bench.linked(three, four))
    while (open.length > 0) open.push(...wished(bench.linked(open.pop() ?? '')))
    expect(bench.topology.links.size + bench.topology.attempts).toBe(8)
  })

  test('an introduction is taken up to limits.meshIntroduced', () => {
    const bench = new Bench()
    bench.here()
    const many = Array.from({ length: limits.meshIntroduced + 50 }, (_, index) => `z${String(index).padStart(3, '0')}`)
    const tried = wished(bench.introduced(1_000, ...many))
    for (const session of tried) tried.push(...wished(bench.do({ kind: 'busy', session })))
    expect(new Set(tried).size).toBe(limits.meshIntroduced)
    expect(tried.every((session) => session < `z${String(limits.meshIntroduced).padStart(3, '0')}`)).toBe(true)
  })

  test('with enough links the server is asked ever more seldom how many are here', () => {
    const bench = settled()
    const seeks: number[] = []
    bench.pass(600_000, (line) => {
      if (!line.startsWith('seek')) return
      seeks.push(bench.now)
      bench.introduced(1_000)
    })
    expect(seeks.length).toBeGreaterThan(8)
    expect(seeks.length).toBeLessThan(30)
    expect(bench.wakes).toBeLessThan(60)
  })

  test('a lost link is replaced', () => {
    const bench = settled()
    bench.pass(5_000)
    const done = bench.do({ kind: 'unlinked', session: 'link3', reason: 'gone' })
    const sought = [...done, ...bench.pass(1_500)]
    expect(sought.filter((line) => line.startsWith('seek'))).not.toEqual([])
    expect(sought.find((line) => line.startsWith('tell'))).not.toContain('link3')
    expect(wished(bench.introduced(1_000, 'new'))).toEqual(['new'])
  })
})

describe('being asked', () => {
  test('the full decline', () => {
    const bench = settled()
    bench.visited('x1', 'x2', 'x3', 'x4')
    expect(bench.topology.links.size).toBe(mostLinks(1_000))
    expect(bench.asked('late')).toEqual(['decline late'])
  })

  test('but for one that has no link: then the best connected goes, never one of our choice, and seldom', () => {
    const bench = settled()
    bench.visited('x1', 'x2', 'x3', 'x4')
    bench.neighbours('own0', ...'abcdefghijk')
    bench.neighbours('link3', ...'abcde')
    bench.neighbours('x2', ...'abcdef')
    bench.neighbours('x3', ...'abc')
    expect(bench.asked('late', true)).toEqual(['drop x2', 'accept late'])
    expect(bench.asked('later', true)).toEqual(['decline later'])
    bench.now += 1_000
    expect(bench.asked('later', true)).toContain('accept later')
    bench.now += 1_000
    expect(bench.asked('last', true)).toContain('decline last')
  })

  test('two that wish each other make one link', () => {
    const larger = new Bench()
    larger.here()
    expect(wished(larger.introduced(1, 'a'))).toEqual(['a'])
    // Our ask crosses its offer.
    expect(larger.asked('a')).toEqual(['accept a'])
    expect(larger.topology.attempts).toBe(1)
    const smaller = new Bench()
    smaller.here()
    expect(wished(smaller.introduced(1, 'z'))).toEqual(['z'])
    // Its ask crosses our offer.
    expect(smaller.asked('z')).toEqual([])
    expect(smaller.topology.attempts).toBe(1)
    smaller.linked('z')
    expect(smaller.pass(60_000).filter((line) => /dial|ask/.test(line))).toEqual([])
  })

  test('nobody is linked with itself, the server, or one that is distrusted', () => {
    const bench = settled()
    expect(bench.do({ kind: 'distrusted', session: 'link3' })).toContain('drop link3')
    expect(bench.asked('link3', true)).toContain('decline link3')
    expect(bench.asked('m', true)).toContain('decline m')
    expect(bench.asked(server, true)).toContain('decline server')
    expect(wished(bench.introduced(1_000, 'm', server, 'link3'))).toEqual([])
  })

  test('a link that nobody wished is taken where there is room, and ended where there is none', () => {
    const bench = settled()
    bench.linked('x1', 'x2', 'x3', 'x4')
    expect(bench.linked('x5')).toEqual(['drop x5'])
    expect(bench.topology.links.size).toBe(mostLinks(1_000))
  })

  test('more links than there is use for are given up one by one', () => {
    const bench = settled()
    bench.visited('x1', 'x2', 'x3', 'x4')
    for (const link of bench.topology.links.keys()) bench.neighbours(link, ...'abcdefghijkl')
    const dropped = bench.pass(120_000, (line) => {
      if (line.startsWith('seek')) bench.introduced(1_000)
    })
    expect(dropped.filter((line) => line.startsWith('drop'))).toHaveLength(2)
  })
})

describe('with the server away', () => {
  test('a link is replaced by a neighbour of a neighbour, who relays the signals', () => {
    const bench = settled()
    bench.away()
    bench.neighbours('link2', 'm', 'own0', 'far')
    const done = bench.do({ kind: 'unlinked', session: 'link3', reason: 'gone' })
    done.push(...bench.pass(5_000))
    expect(done).toContain('ask far via link2')
    expect(wished(done)).toEqual(['far'])
  })

  test('the dead are not tried over and over', () => {
    const bench = settled()
    bench.away()
    bench.neighbours('link2', 'm', 'link3')
    const done = bench.do({ kind: 'unlinked', session: 'link3', reason: 'gone' })
    const fail = (lines: string[]): void => {
      for (const session of wished(lines)) fail(bench.do({ kind: 'failed', session, why: 'unanswered' }))
    }
    fail(done)
    const tried = wished(bench.pass(120_000, (line) => fail([line])))
    expect(tried.length).toBeGreaterThan(2)
    expect(tried.length).toBeLessThan(10)
    expect(bench.wakes).toBeLessThan(600)
  })

  test('without any link there is nothing to be done, and nothing is', () => {
    const bench = new Bench()
    expect(bench.pass(3_600_000)).toEqual([])
    expect(bench.wakes).toBe(0)
  })

  test('a server that does not answer is not waited for', () => {
    const bench = settled()
    bench.neighbours('link2', 'm', 'far')
    bench.do({ kind: 'unlinked', session: 'link3', reason: 'gone' })
    expect(wished(bench.pass(2_500))).toEqual([])
    expect(wished(bench.pass(3_500))).toEqual(['far'])
  })
})

test('whoever reaches nobody tries ever more seldom', () => {
  const bench = new Bench()
  const pool = Array.from({ length: 40 }, (_, index) => `z${index}`)
  const tries: number[] = []
  const fail = (lines: string[]): void => {
    for (const line of lines) {
      if (line.startsWith('seek')) fail(bench.introduced(200, ...pool))
      for (const session of wished([line])) {
        tries.push(bench.now)
        fail(bench.do({ kind: 'failed', session, why: 'unreachable' }))
      }
    }
  }
  fail(bench.here())
  bench.pass(3_600_000, (line) => fail([line]))
  const inLastHalf = tries.filter((at) => at > 1_800_000).length
  expect(tries.length).toBeLessThan(80)
  expect(inLastHalf).toBeGreaterThan(4)
  expect(inLastHalf).toBeLessThan(40)
})

test('an attempt that nothing is heard of ends', () => {
  const bench = new Bench()
  bench.here()
  bench.introduced(1, 'a')
  expect(bench.topology.attempts).toBe(1)
  bench.pass(31_000)
  expect(bench.topology.attempts).toBe(0)
})

/** Hostile members ask all the time, say that they are alone, that they are well connected, and never go. */
test('whoever is surrounded keeps two links of its own choice (E8)', () => {
  let honestOnly = 0
  const seeds = 1_000
  for (let seed = 1; seed <= seeds; seed++) {
    const bench = new Bench(seed)
    const members = 40
    const hostile = Array.from({ length: 7 * members }, (_, index) => `hostile${index}`)
    const honest = Array.from({ length: members }, (_, index) => `honest${index}`)
    const answer = (lines: string[]): void => {
      for (const line of lines) {
        // The server cannot know: it introduces as many hostile ones as honest ones.
        const some = [0, 1, 2, 3, 4, 5].map((turn) => (turn % 2 === 0 ? hostile : honest)[bench.random(members)] ?? '')
        if (line.startsWith('seek')) answer(bench.introduced(8 * members, ...some))
        for (const session of wished([line])) {
          answer(bench.do(bench.random(3) === 0 ? { kind: 'busy', session } : { kind: 'linked', session }))
        }
      }
    }
    const siege = (): void => {
      const session = hostile[bench.random(hostile.length)] ?? ''
      const lines = bench.asked(session, true)
      answer(lines)
      if (!lines.includes(`accept ${session}`)) return
      answer(bench.linked(session))
      answer(bench.neighbours(session, ...hostile.slice(0, 12)))
    }
    for (let turns = 0; turns < 12; turns++) siege()
    answer(bench.here())
    for (let turns = 0; turns < 60; turns++) {
      siege()
      bench.pass(500, (line) => answer([line]))
    }
    const chosen = [...bench.topology.links].filter(([, link]) => link.chosen)
    expect(chosen.length, `seed ${seed}`).toBeGreaterThanOrEqual(2)
    if ([...bench.topology.links.keys()].some((session) => session.startsWith('honest'))) honestOnly++
  }
  // Two at random of a half: three of four have an honest one among them, and the server besides.
  expect(honestOnly).toBeGreaterThan(seeds * 0.7)
}, 60_000)

test('whatever happens, links and attempts stay within limits.meshLinks, and no wake follows the other at once', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const bench = new Bench(seed)
    const { random } = bench
    const names = Array.from({ length: 60 }, (_, index) => `${'az'[index % 2]}${index}`)
    const name = (): string => names[random(names.length)] ?? ''
    const some = (most: number): string[] => Array.from({ length: random(most) }, name)
    bench.members = Number.POSITIVE_INFINITY
    for (let turn = 0; turn < 300; turn++) {
      const events: TopologyEvent[] = [
        { kind: 'server here', session: server },
        { kind: 'server away' },
        { kind: 'introduced', sessions: some(100), members: random(5_000) },
        { kind: 'neighbours', link: name(), sessions: some(40) },
        { kind: 'asked', session: name(), lonely: random(2) === 0 },
        { kind: 'linked', session: name() },
        { kind: 'unlinked', session: name(), reason: random(2) === 0 ? 'gone' : 'dropped' },
        { kind: 'busy', session: name() },
        { kind: 'failed', session: name(), why: random(2) === 0 ? 'unanswered' : 'unreachable' },
        { kind: 'distrusted', session: random(10) === 0 ? name() : '' },
      ]
      const event = events[random(events.length)]
      if (event !== undefined) bench.effects(event)
      const told = Math.max(0, ...[...bench.topology.links.values()].map(({ neighbours }) => neighbours.length))
      if (told > limits.meshLinks) throw new Error(`seed ${seed}: ${told} neighbours kept`)
      bench.pass(random(2_000))
    }
    expect(bench.wakes, `seed ${seed}`).toBeLessThan(5_000)
  }
}, 60_000)
