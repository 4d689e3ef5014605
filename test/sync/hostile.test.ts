import { describe, expect, test } from 'vitest'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import { fullCredit, spareOfFollower, spareOfLeader, takeRound } from '../../packages/engine/src/sync/credit.ts'
import type { Message } from '../../packages/engine/src/sync/message.ts'
import {
  type Commit,
  chainOf,
  commitAfter,
  divergent,
  grow,
  hashText,
  Pair,
  randomFrom,
  Store,
  talk,
  universe,
} from './pair.ts'

describe('hostile peers', () => {
  test.each<[string, Partial<{ count: number; hashes: number; bits: Uint8Array }>]>([
    ['all ones', { bits: new Uint8Array(8).fill(255) }],
    ['too short', { bits: new Uint8Array(7) }],
    ['too long', { bits: new Uint8Array(9) }],
    ['no bits for its tips', { bits: new Uint8Array(0) }],
    ['bits for no tips', { count: 0 }],
    ['no positions', { hashes: 0 }],
    ['too many positions', { hashes: 17 }],
    ['2^32 - 1 positions', { hashes: 2 ** 32 - 1 }],
    ['another count', { count: 50 }],
    ['too many tips', { count: 2 ** 31, bits: new Uint8Array(262_144) }],
  ])('a filter with %s is an offence and is not used, on either side', (_, change) => {
    for (const liar of [0, 1]) {
      const [a, b] = [new Store(), new Store()]
      grow([a], '', 4, grow([a, b], 'one', 3))
      grow([b], 'two', 3)
      const pair = new Pair(a, b, 1)
      pair.onWire = (message, from) => [
        message.kind === 'filter' && from === liar ? { ...message, filter: { ...message.filter, ...change } } : message,
      ]
      pair.open()
      pair.run(false, 2_000, pair.now + 10_000)
      expect(pair.sides[1 - liar]?.offences.map(({ code }) => code)).toContain(
        change.count === 2 ** 31 ? 'TooLarge' : 'Malformed',
      )
      if (liar === 0) expect(pair.lines.some((line) => line.startsWith('< heads'))).toBe(false)
    }
  })

  const nothing = { salt: new Uint8Array(16), count: 0, hashes: 7, bits: new Uint8Array(0) }
  const asking = (pair: Pair) => (round: number) =>
    pair.give(1, { kind: 'message', message: { kind: 'filter', round, filter: nothing } })
  const lists = (pair: Pair) => pair.lines.filter((line) => line.startsWith('< heads')).length

  test('[S13] rounds are answered within a rate', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a], '', 4, grow([a, b], 'one', 3))
    const pair = new Pair(a, b, 1)
    pair.open()
    pair.receive(1)
    const ask = asking(pair)
    for (let round = 1; round <= 100; round++) ask(round)
    expect(lists(pair)).toBe(8)
    // One of them waits.
    expect(pair.sides[1].offences.length).toBe(91)
    pair.now += 1_000
    for (let round = 101; round <= 110; round++) ask(round)
    expect(lists(pair)).toBe(10)
    expect(pair.sides[1].offences.length).toBe(98)
    // A round every 400 ms, which is a little more often than it may be.
    for (let round = 111; round <= 120; round++) {
      pair.now += 400
      ask(round)
    }
    expect(lists(pair)).toBe(18)
  })

  test('[S13] a round that comes too early is answered when there is credit for it, once', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a], '', 4, grow([a, b], 'one', 3))
    const pair = new Pair(a, b, 1)
    pair.open()
    pair.receive(1)
    const ask = asking(pair)
    for (let round = 1; round <= 9; round++) ask(round)
    ask(9)
    expect(lists(pair)).toBe(8)
    expect(pair.sides[1].offences).toEqual([])
    pair.sides[0].inbox.length = 0
    const { due } = pair
    expect(due).toBe(pair.now + 500)
    pair.wake(due - 1)
    expect(lists(pair)).toBe(8)
    pair.wake(due)
    expect(lists(pair)).toBe(9)
    expect(pair.lines.at(-1)).toContain('heads 9:')
    expect(pair.due).toBe(Number.POSITIVE_INFINITY)
  })

  test('[S13] rounds over many heads come seldom, and those of an honest leader without progress wait for nothing', () => {
    const [a, b] = [new Store(), new Store()]
    for (let i = 0; i < 20_000; i++) b.admit([commitAfter(chainOf(String(i)), undefined)])
    const pair = new Pair(a, b, 1)
    pair.open()
    pair.receive(1)
    const ask = asking(pair)
    const answered: number[] = []
    for (let round = 1; round <= 60; round++) {
      const before = lists(pair)
      ask(round)
      if (lists(pair) > before) answered.push(pair.now - 1_000)
      pair.now += 250
    }
    expect(answered).toEqual([
      0, 250, 500, 750, 1_000, 1_250, 1_500, 1_750, 2_000, 4_000, 6_000, 8_000, 10_000, 12_000, 14_000,
    ])
    let credit = fullCredit
    let now = 0
    let pause = 250
    // The hello, three rounds at once, and then with doubling pauses up to 30 s.
    for (let round = 0; round < 40; round++) {
      if (round > 3) {
        now += pause
        pause = Math.min(2 * pause, 30_000)
      }
      const left = takeRound({ ...credit, roundEvery: round > 0 ? 15_000 : 500 }, b, now)
      expect(left, `round ${round}`).toBeTypeOf('object')
      if (typeof left === 'object') credit = left
    }
  })

  test('[S13] whoever asks for everything in every round is sent it once, and then what the bucket has', () => {
    for (const honest of [0, 1]) {
      const [a, b] = [new Store(), new Store()]
      const [victim, liar] = honest === 0 ? [a, b] : [b, a]
      const size = 50_000
      for (let i = 0; i < 200; i++) grow([victim], `whole ${i}`, 1, undefined, '', size)
      grow([liar], 'liar', 1)
      const pair = new Pair(a, b, 1)
      let given = 0
      // Nothing is ever kept by the liar.
      pair.onWire = (message, from) => {
        if (from !== honest || message.kind !== 'push') return [message]
        given += message.commits.length * size
        return [{ ...message, commits: [] }]
      }
      pair.open()
      const from = pair.now
      // The leader makes pauses that grow: later on its rounds are within its rate.
      pair.run(false, 20_000, from + (honest === 0 ? 8_000 : 120_000))
      const store = 200 * size
      const { most, perSecond } = honest === 0 ? spareOfLeader : spareOfFollower
      expect(given, `side ${honest}`).toBeGreaterThan(store + most / 4)
      expect(given, `side ${honest}`).toBeLessThanOrEqual(
        store + most + ((pair.now - from) / 1_000) * perSecond + limits.frameBytes,
      )
    }
  })

  test('[S13] what is pushed live is never cut off, however much was given', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 3)
    const pair = talk(a, b)
    const [, side] = pair.sides
    const given = 2 ** 30
    side.session = { ...side.session, credit: { ...fullCredit, given, spare: -given, spareAt: pair.now } }
    const commit = commitAfter(chainOf('two'), undefined)
    pair.write(1, commit)
    pair.run(false)
    expect(a.has(commit.id)).toBe(true)
    expect(pair.lines.at(-1)).toBe('< push 0: 1 commit')
  })

  test('[S13] wants of one head are answered with its commits once a round', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 3)
    grow([b], 'two', 3)
    const pair = new Pair(a, b, 1)
    pair.open()
    for (let i = 0; i < 3; i++) pair.once(false)
    for (let times = 0; times < 3; times++) {
      const wants = [{ index: 0, held: [] }]
      pair.give(1, { kind: 'message', message: { kind: 'want', round: 1, more: false, wants } })
    }
    expect(pair.sides[1].sent).toBe(3)
  })

  test.each([0, 1])('[S13] side %i, whose disk was full for ten minutes, gets everything in the end', (at) => {
    const [a, b] = [new Store(), new Store()]
    const [here, there] = at === 0 ? [a, b] : [b, a]
    grow([a, b], 'one', 1)
    for (let i = 0; i < 200; i++) grow([there], `large ${i}`, 1, undefined, '', 50_000)
    const pair = new Pair(a, b, 1)
    let given = 0
    pair.onWire = (message) => {
      if (message.kind === 'push') given += message.commits.length * 50_000
      return [message]
    }
    const side = pair.sides[at === 0 ? 0 : 1]
    side.disk = 'DiskFull'
    pair.open()
    pair.run(false, 100_000, pair.now + 600_000)
    expect(here.count()).toBe(1)
    expect(given).toBeGreaterThan(200 * 50_000 + spareOfFollower.most)
    side.disk = undefined
    pair.run(false, 100_000)
    expect(pair.phases).toBe('level,level')
    expect(here.count()).toBe(201)
  })

  test('many names of one chain cost one walk of it', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 2_000)
    grow([a], 'two', 1)
    const pair = new Pair(a, b, 1)
    pair.open()
    pair.receive(0)
    const name = { chain: chainOf('one'), id: hashText('nobody') }
    pair.give(0, {
      kind: 'message',
      message: {
        kind: 'filter',
        round: 1,
        filter: { salt: new Uint8Array(16), count: 0, hashes: 7, bits: new Uint8Array(0) },
      },
    })
    a.walked = 0
    const heads = Array.from({ length: limits.headsPerMessage }, (_, i) => ({ ...name, seq: i % 2_000 }))
    pair.give(0, { kind: 'message', message: { kind: 'heads', round: 1, more: false, heads } })
    expect(a.walked).toBeLessThan(2_100)
    a.walked = 0
    const unknown = heads.map((_, i) => i)
    pair.give(0, {
      kind: 'message',
      message: { kind: 'push', round: 1, last: true, unknown, commits: [], certificates: [] },
    })
    expect(pair.lines.some((line) => line.startsWith('> want 1: 0 after 1998 1997 1995 '))).toBe(true)
    expect(a.walked).toBeLessThan(2_100)
  })

  test('what nobody offered is not sent, and an offer is answered twice at most', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 3)
    grow([b], 'two', 3)
    const pair = new Pair(a, b, 1)
    pair.open()
    for (let i = 0; i < 3; i++) pair.once(false)
    expect(pair.lines.at(-1)).toBe('< heads 1: seq 2')
    const want = (index: number, held: readonly { seq: number; id: string }[] = []) =>
      pair.give(1, { kind: 'message', message: { kind: 'want', round: 1, more: false, wants: [{ index, held }] } })
    want(1)
    expect(pair.lines.at(-1)).toBe('< push 1: 0 commits, last')
    want(0, [{ seq: 1, id: hashText('nobody') }])
    expect(pair.lines.at(-1)).toBe('< push 1: 0 commits, unknown 0, last')
    want(0, [{ seq: 1, id: hashText('nobody') }])
    expect(pair.lines.at(-1)).toBe('< push 1: 3 commits, last')
    for (let i = 0; i < 10; i++) want(0)
    expect(pair.sides[1].sent).toBe(3)
    const wants = [
      { index: 0, held: [] },
      { index: 0, held: [] },
    ]
    pair.give(1, { kind: 'message', message: { kind: 'want', round: 1, more: false, wants } })
    expect(pair.sides[1].offences.map(({ code }) => code)).toEqual(['TooMany'])
  })

  test('[S6] ids mined to begin alike cost two rounds, not the convergence', () => {
    const [a, b] = [new Store(), new Store()]
    const shared = grow([a, b], 'one', 3)
    for (const [store, tail] of [
      [a, 'a'],
      [b, 'b'],
    ] as const) {
      const twin = commitAfter(shared?.chain ?? '', shared, [], tail)
      const mined = { ...twin, id: `0123456789abcdef${twin.id.slice(16)}` }
      universe.set(mined.id, mined)
      store.admit([mined])
    }
    const pair = talk(a, b)
    expect(pair.phases).toBe('level,level')
    expect(pair.equal).toBe(true)
    expect(pair.lines.filter((line) => line.startsWith('> filter')).map((line) => line.slice(9))).toEqual([
      '1: 1 tip, 8 B',
      '2: 1 tip, 8 B',
      '3: 0 tips, 0 B',
    ])
  })

  test('chains whose short names are equal converge too', () => {
    const [a, b] = [new Store(), new Store()]
    const alike = (name: string) => {
      const chain = chainOf(name)
      return `aaaaaaaa${chain.slice(8, 64)}bbbbbbbb${chain.slice(72)}`
    }
    for (const [store, name, length] of [
      [a, 'one', 4],
      [b, 'two', 6],
      [a, 'three', 1],
      [b, 'three', 5],
    ] as const) {
      let last: Commit | undefined
      for (let i = 0; i < length; i++) {
        last = commitAfter(alike(name), last)
        store.admit([last])
      }
    }
    const pair = talk(a, b)
    expect(pair.phases).toBe('level,level')
    expect(pair.equal).toBe(true)
  })

  test('anything said in any order is taken without a throw, and within the frame', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const [a, b] = divergent(seed)
      const random = randomFrom(seed)
      const below = (limit: number) => Math.floor(random() * limit)
      const pair = new Pair(a, b, seed)
      const said: Message[] = []
      pair.onWire = (message) => {
        said.push(message)
        return [message]
      }
      pair.open()
      for (let i = 0; i < 60; i++) {
        pair.once(true)
        const message = said[below(said.length)]
        if (!message || below(2)) continue
        const altered =
          'round' in message
            ? { ...message, round: Math.max(message.kind === 'push' ? 0 : 1, message.round + below(5) - 2) }
            : message
        pair.give(below(2), { kind: 'message', message: altered })
      }
      pair.onWire = (message) => [message]
      pair.run(true, 50_000, pair.now + 3_600_000)
      // Whatever was said: a new channel sets it right.
      for (const store of [a, b]) store.pool = []
      expect(talk(a, b, seed).equal, `seed ${seed}`).toBe(true)
    }
  }, 60_000)
})
