import { describe, expect, test } from 'vitest'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
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

  test('rounds are answered within a rate', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a], '', 4, grow([a, b], 'one', 3))
    const pair = new Pair(a, b, 1)
    pair.open()
    pair.receive(1)
    const filter = { salt: new Uint8Array(16), count: 0, hashes: 7, bits: new Uint8Array(0) }
    for (let round = 1; round <= 100; round++)
      pair.give(1, { kind: 'message', message: { kind: 'filter', round, filter } })
    expect(pair.lines.filter((line) => line.startsWith('< heads')).length).toBe(8)
    expect(pair.sides[1].offences.length).toBe(92)
    pair.now += 1_000
    for (let round = 101; round <= 110; round++)
      pair.give(1, { kind: 'message', message: { kind: 'filter', round, filter } })
    expect(pair.lines.filter((line) => line.startsWith('< heads')).length).toBe(10)
    // A round every 400 ms, which is a little more often than it may be.
    for (let round = 111; round <= 120; round++) {
      pair.now += 400
      pair.give(1, { kind: 'message', message: { kind: 'filter', round, filter } })
    }
    expect(pair.lines.filter((line) => line.startsWith('< heads')).length).toBe(18)
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
