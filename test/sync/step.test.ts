import { describe, expect, test } from 'vitest'
import { encodeUtf8, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { limits } from '../../packages/engine/src/bytes/limits.ts'
import type { Message } from '../../packages/engine/src/sync/message.ts'
import { chainOf, commitAfter, divergent, grow, hash, Pair, randomFrom, Store, talk, universe } from './pair.ts'

describe('golden conversations', () => {
  test('[S2] equal: hello and silence', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 3)
    const pair = talk(a, b)
    expect(pair.lines).toEqual(['> hello', '< hello'])
    expect(pair.phases).toBe('level,level')
    expect(pair.sides.map((side) => side.wakes)).toEqual([[], []])
  })

  test('[S4] [S5] the leader is behind', () => {
    const [a, b] = [new Store(), new Store()]
    grow([b], '', 4, grow([a, b], 'one', 3))
    grow([a, b], 'two', 5)
    const pair = talk(a, b)
    expect(pair.lines).toEqual([
      '> hello',
      '< hello',
      '> filter 1: 2 tips, 8 B',
      '< filter 1: 2 tips, 8 B',
      '< heads 1: seq 6',
      '> want 1: 0 after 2',
      '< push 1: 4 commits, last',
      '> fingerprint 1',
      '< fingerprint 1: the same',
    ])
    expect(pair.phases).toBe('level,level')
  })

  test('[S4] the follower is behind', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a], '', 4, grow([a, b], 'one', 3))
    expect(talk(a, b).lines).toEqual([
      '> hello',
      '< hello',
      '> filter 1: 1 tip, 8 B',
      '< filter 1: 1 tip, 8 B',
      '< heads 1: seq 2',
      '> push 1: 4 commits',
      '> fingerprint 1',
      '< fingerprint 1: the same',
    ])
  })

  test('[S4] [S5] both diverged, each with a chain that the other has never seen', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a], '', 4, grow([a, b], 'one', 3))
    grow([b], '', 2, grow([a, b], 'two', 3))
    grow([a], 'three', 7)
    grow([b], 'four', 8)
    grow([a, b], 'five', 1)
    const pair = talk(a, b)
    expect(pair.lines).toEqual([
      '> hello',
      '< hello',
      '> filter 1: 4 tips, 8 B',
      '< filter 1: 4 tips, 8 B',
      '< heads 1: seq 2 4 7',
      '> push 1: 4 commits',
      '> want 1: 1 after 2, 2 after nothing',
      '> heads 1: seq 6',
      '< push 1: 10 commits, last',
      '< want 1: 0 after nothing',
      '> push 1: 7 commits, last',
      '> fingerprint 1',
      '< fingerprint 1: the same',
    ])
    expect(pair.equal).toBe(true)
  })

  test('[S3] clone, in frames, to either side', () => {
    const full = new Store()
    grow([full], 'one', 20, undefined, '', 200_000)
    expect(talk(new Store(), full).lines).toEqual([
      '> hello: empty',
      '< hello',
      '< push 1: 4 commits',
      '< push 1: 4 commits',
      '< push 1: 4 commits',
      '< push 1: 4 commits',
      '< push 1: 4 commits, last',
      '> fingerprint 1',
      '< fingerprint 1: the same',
    ])
    expect(talk(full, new Store()).lines.slice(2)).toEqual([
      '> push 1: 4 commits',
      '> push 1: 4 commits',
      '> push 1: 4 commits',
      '> push 1: 4 commits',
      '> push 1: 4 commits, last',
      '> fingerprint 1',
      '< fingerprint 1: the same',
    ])
  })

  test('[S5] a fork: each side has a branch of its own', () => {
    const [a, b] = [new Store(), new Store()]
    const shared = grow([a, b], 'one', 10)
    grow([a], '', 6, shared, 'a')
    grow([b], '', 3, shared, 'b')
    const pair = talk(a, b)
    expect(pair.lines).toEqual([
      '> hello',
      '< hello',
      '> filter 1: 1 tip, 8 B',
      '< filter 1: 1 tip, 8 B',
      '< heads 1: seq 12',
      '> want 1: 0 after 15',
      '> heads 1: seq 15',
      '< push 1: 0 commits, unknown 0, last',
      '> want 1: 0 after 14 13 11 7 0',
      '< want 1: 0 after 12',
      '> push 1: 0 commits, unknown 0, last',
      '< push 1: 5 commits, last',
      '< want 1: 0 after 11 10 8 4 0',
      '> push 1: 7 commits, last',
      '> fingerprint 1',
      '< fingerprint 1: the same',
    ])
    expect(pair.equal).toBe(true)
  })

  test('[S1] the authority log comes first, and goes on', () => {
    const [a, b] = [new Store(), new Store()]
    a.log.push(Uint8Array.of(1))
    b.log.push(Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3))
    grow([b], 'one', 1)
    const pair = talk(a, b)
    expect(pair.lines).toEqual([
      '> hello: empty',
      '< hello',
      '< entries from 1: 2',
      '< push 1: 1 commit, last',
      '> fingerprint 1',
      '< fingerprint 1: the same',
    ])
    b.log.push(Uint8Array.of(4))
    pair.give(1, { kind: 'entries' })
    pair.run(false)
    expect(pair.lines.slice(6)).toEqual(['< entries from 3: 1'])
    expect(a.log).toEqual(b.log)
  })

  test('[S8] live: one push for each commit, and none back', () => {
    const [a, b] = [new Store(), new Store()]
    const last = grow([a, b], 'one', 2)
    const pair = talk(a, b)
    const next = commitAfter(last?.chain ?? '', last)
    pair.write(0, next)
    pair.run(false)
    pair.write(1, commitAfter(chainOf('other'), undefined, [next.id]), 'other')
    pair.run(false)
    expect(pair.lines.slice(2)).toEqual(['> push 0: 1 commit', '< push 0: 1 commit'])
    expect(pair.equal).toBe(true)
    // The leader hears of a commit another way that this peer has just sent.
    const known = commitAfter(next.chain, next)
    pair.give(0, { kind: 'settled', ids: [known.id], waiting: false })
    pair.write(0, known, 'other')
    expect(pair.lines.length).toBe(4)
  })
})

test('what is written during a round goes with it or before its end, once, and the round stays the only one', () => {
  const written = (steps: number) => {
    const [a, b] = [new Store(), new Store()]
    grow([b], '', 4, grow([a, b], 'one', 3))
    const pair = new Pair(a, b, 1)
    pair.open()
    for (let i = 0; i < steps; i++) pair.once(false)
    pair.write(0, commitAfter(chainOf('two'), undefined))
    pair.run(false)
    expect(pair.phases).toBe('level,level')
    return pair.lines.slice(5)
  }
  expect(written(4)).toEqual([
    '> want 1: 0 after 2',
    '> heads 1: seq 0',
    '< push 1: 4 commits, last',
    '< want 1: 0 after nothing',
    '> push 1: 1 commit, last',
    '> fingerprint 1, moved',
    '< fingerprint 1: the same',
  ])
  expect(written(5)).toEqual([
    '> want 1: 0 after 2',
    '< push 1: 4 commits, last',
    '> push 0: 1 commit',
    '> fingerprint 1, moved',
    '< fingerprint 1: the same',
  ])
})

test('a slow answer is waited for as long as something comes; silence is not', () => {
  const full = new Store()
  grow([full], 'slow', 20, undefined, '', 200_000)
  const pair = new Pair(new Store(), full, 1)
  const wake = () => {
    pair.now += 40_000
    pair.give(0, { kind: 'wake' })
  }
  pair.open()
  pair.receive(0)
  pair.receive(1)
  for (let i = 0; i < 5; i++) {
    wake()
    pair.receive(0)
    pair.work(0)
  }
  expect(pair.lines.filter((line) => line.startsWith('>'))).toEqual(['> hello: empty', '> fingerprint 1'])
  wake()
  wake()
  expect(pair.lines.at(-1)).toBe('> fingerprint 2')
  pair.run(false)
  expect(pair.phases).toBe('level,level')
})

describe('convergence', () => {
  test('any two stores end equal, within a few rounds, whatever the interleaving', () => {
    let rounds = 0
    const most = 4
    for (let seed = 1; seed <= 100; seed++) {
      const [a, b] = divergent(seed)
      const lacking = [b.order.filter((id) => !a.has(id)).length, a.order.filter((id) => !b.has(id)).length]
      const pair = new Pair(a, b, seed)
      pair.open()
      pair.run()
      const note = `seed ${seed}\n${pair.lines.join('\n')}`
      expect(pair.equal, note).toBe(true)
      expect(pair.phases, note).toBe('level,level')
      expect(
        pair.sides.flatMap((side) => side.offences),
        note,
      ).toEqual([])
      expect(pair.filters / 2, note).toBeLessThanOrEqual(most)
      expect(a.pool.length + b.pool.length, note).toBe(0)
      // Nothing is sent twice, but for a few commits before each fork, since a locator doubles its steps, and in a
      // second round what
      // waits for parents that the first one missed.
      const forks = [...a.tips.values()].filter((tips) => tips.length > 1).length
      const redundant = pair.sides.map((side, at) => side.received.length - (lacking[at] ?? 0))
      expect(Math.max(...redundant), note).toBeLessThanOrEqual(
        pair.filters > 2 ? 4 * forks + Math.max(...lacking) : 4 * forks,
      )
      rounds = Math.max(rounds, pair.filters / 2)
    }
    expect(rounds).toBeGreaterThan(0)
  }, 60_000)

  test('edits during and after reconciliation reach the other side, and it ends', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const [a, b] = divergent(seed)
      const pair = new Pair(a, b, seed)
      const random = randomFrom(seed * 7)
      pair.open()
      let written = 0
      while (written < 40) {
        const under = pair.once(true)
        if (under && random() < 0.7) continue
        const at = random() < 0.5 ? 0 : 1
        const store = pair.sides[at === 0 ? 0 : 1].store
        const chain = chainOf(`seed ${seed} live ${at}`)
        const [tip] = store.headsOf(chain)
        const heads = store.heads()
        const parent = heads[Math.floor(random() * heads.length)]
        pair.write(
          at,
          commitAfter(chain, tip && universe.get(tip.id), parent && parent.chain !== chain ? [parent.id] : []),
        )
        written++
        if (random() < 0.2) {
          pair.now += 300
          for (const [side, { session }] of pair.sides.entries())
            if (session.deadline !== undefined) pair.give(side, { kind: 'wake' })
        }
      }
      pair.run()
      const note = `seed ${seed}\n${pair.lines.slice(-60).join('\n')}`
      expect(pair.equal, note).toBe(true)
      expect(pair.phases, note).toBe('level,level')
    }
  }, 60_000)

  test('[S7] unending edits cost pauses that double, not rounds', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a], '', 5, grow([a, b], 'one', 3))
    const pair = new Pair(a, b, 5)
    pair.open()
    let count = 0
    // As if both wrote all the time: no two fingerprints ever meet.
    pair.onWire = (message) => {
      if (message.kind === 'fingerprint')
        return [{ ...message, fingerprint: hash(encodeUtf8(`${count++}`)).slice(0, 8), moved: true }]
      return [message]
    }
    const from = pair.now
    expect(() => pair.run(false, 20_000, from + 300_000)).not.toThrow()
    // In five minutes: 250 ms doubling to 30 s, three comparisons a round.
    expect(count).toBeGreaterThan(20)
    expect(count).toBeLessThan(50)
    expect(pair.filters / 2).toBeLessThan(10)
    expect(pair.phases).toBe('waiting,following')
    expect(pair.equal).toBe(true)
  })

  test('[C1] a connection lost anywhere is taken up again; nothing that came is sent again', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const [a, b] = seed % 3 === 0 ? [new Store(), divergent(seed)[0]] : divergent(seed)
      const random = randomFrom(seed)
      for (let connection = 0; connection < 4; connection++) {
        const pair = new Pair(a, b, seed + connection)
        pair.open()
        for (let i = Math.floor(random() * 14); i > 0; i--) pair.once(true)
        pair.give(0, { kind: 'close' })
        pair.give(1, { kind: 'close' })
        const before = pair.lines.length
        pair.run()
        expect(pair.lines.length).toBe(before)
        a.pool = []
        b.pool = []
      }
      const pair = new Pair(a, b, seed)
      pair.open()
      pair.run()
      expect(pair.equal, `seed ${seed}\n${pair.lines.join('\n')}`).toBe(true)
      expect(pair.phases).toBe('level,level')
    }
  })

  test('[S3] a clone that broke goes on from what arrived', () => {
    const full = new Store()
    for (let i = 0; i < 30; i++) grow([full], `clone ${i}`, 3, undefined, '', 100_000)
    const empty = new Store()
    const first = new Pair(empty, full, 1)
    first.open()
    for (let i = 0; i < 8; i++) first.once(false)
    expect(empty.count()).toBeGreaterThan(10)
    expect(empty.count()).toBeLessThan(60)
    const lacking = full.count() - empty.count()
    const again = talk(empty, full)
    expect(again.equal).toBe(true)
    expect(again.sides[1].sent).toBe(lacking)
  })

  test('duplicated, late and reordered messages do no harm', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const [a, b] = divergent(seed)
      const pair = new Pair(a, b, seed)
      const random = randomFrom(seed)
      const old: [Message[], Message[]] = [[], []]
      pair.onWire = (message, from) => {
        const sent = old[from === 0 ? 0 : 1]
        const again = random() < 0.3 && sent.length > 0 ? [sent[Math.floor(random() * sent.length)] ?? message] : []
        if (sent.length < 200) sent.push(message)
        // The hello stays first: nothing is taken from a channel before it.
        return message.kind === 'hello'
          ? [message]
          : random() < 0.2
            ? [...again, message, message]
            : [message, ...again]
      }
      pair.open()
      pair.run()
      expect(pair.equal, `seed ${seed}\n${pair.lines.join('\n')}`).toBe(true)
      expect(pair.phases).toBe('level,level')
    }
  }, 60_000)

  test('a message that is lost costs time only', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const [a, b] = divergent(seed)
      const pair = new Pair(a, b, seed)
      const random = randomFrom(seed)
      let lost = 0
      pair.onWire = (message) => {
        if (message.kind === 'hello' || lost > 5 || random() > 0.25) return [message]
        lost++
        return []
      }
      pair.open()
      pair.run()
      expect(pair.equal, `seed ${seed}\n${pair.lines.join('\n')}`).toBe(true)
      expect(pair.sides[0].session.phase).toBe('level')
    }
  }, 60_000)
})

describe('when it cannot', () => {
  test('[S4] [S7] commits that never get through end in rest, with the heads named, until something changes', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 3)
    const lost = grow([b], 'two', 2)
    const pair = new Pair(a, b, 3)
    const salts: string[] = []
    pair.onWire = (message) => {
      if (message.kind === 'filter') salts.push(toHex(message.filter.salt))
      return [message.kind === 'push' && message.round > 0 ? { ...message, commits: [] } : message]
    }
    pair.open()
    const from = pair.now
    pair.run()
    expect(pair.phases).toBe('resting,resting')
    expect(pair.filters / 2).toBe(limits.idleRounds)
    // Three rounds at once, then five after pauses of 250 ms, 500 ms ... 4 s.
    expect(pair.restedAt - from).toBe(7_750)
    expect(new Set(salts).size).toBe(2 * limits.idleRounds)
    expect(pair.sides[0].rests).toEqual([[lost?.id]])
    expect(pair.sides[0].wakes).toEqual([])

    pair.onWire = (message) => [message]
    pair.write(1, commitAfter(chainOf('three'), undefined))
    pair.run()
    expect(pair.phases).toBe('level,level')
    expect(pair.equal).toBe(true)
  })

  test.each([0, 1])('[S9] a full disk on side %i is told, and tried again until there is room', (at) => {
    const [a, b] = [new Store(), new Store()]
    const [here, there] = at === 0 ? [a, b] : [b, a]
    grow([a, b], 'one', 3)
    grow([there], 'two', 2)
    const pair = new Pair(a, b, 3)
    const side = pair.sides[at === 0 ? 0 : 1]
    const other = pair.sides[at === 0 ? 1 : 0]
    side.disk = 'DiskFull'
    pair.open()
    pair.run(false, 20_000, pair.now)
    expect(pair.filters / 2).toBe(1)
    pair.run(false, 20_000, pair.now + 600_000)
    expect(pair.sides[0].session.phase).toBe('waiting')
    expect(here.count()).toBe(3)
    expect(other.refusedByThem.length).toBeGreaterThan(5)
    expect(other.refusedByThem.length).toBeLessThan(40)
    side.disk = undefined
    pair.run(false)
    expect(pair.phases).toBe('level,level')
    expect(here.count()).toBe(5)
    // And once more when a live push is refused.
    side.disk = 'DiskError'
    pair.write(at === 0 ? 1 : 0, commitAfter(chainOf('four'), undefined))
    pair.run(false, 20_000, pair.now + 10_000)
    side.disk = undefined
    pair.run(false)
    expect(pair.phases).toBe('level,level')
    expect(here.count()).toBe(6)
  })

  test.each([0, 1])('a live push on what never came, to side %i, is looked into', (at) => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 3)
    const pair = talk(a, b)
    const parent = commitAfter(chainOf('two'), undefined)
    pair.onWire = () => []
    pair.write(1 - at, parent)
    pair.onWire = (message) => [message]
    pair.write(1 - at, commitAfter(chainOf('two'), parent))
    pair.run(false)
    expect(pair.phases).toBe('level,level')
    expect(pair.equal).toBe(true)
  })

  test('[S1] a forked authority log is an offence, with both entries, on both sides', () => {
    for (const [mine, theirs] of [
      [
        [1, 2],
        [1, 3],
      ],
      [
        [1, 2, 4],
        [1, 3],
      ],
      [
        [1, 2],
        [1, 3, 5],
      ],
    ] as const) {
      const [a, b] = [new Store(), new Store()]
      a.log.push(...mine.map((entry) => Uint8Array.of(entry)))
      b.log.push(...theirs.map((entry) => Uint8Array.of(entry)))
      const pair = talk(a, b)
      expect(
        pair.sides.map((side) => side.offences.map(({ code, about, evidence }) => [code, about, evidence])),
      ).toEqual([
        [['LogForked', 'entry 1', [Uint8Array.of(2), Uint8Array.of(3)]]],
        [['LogForked', 'entry 1', [Uint8Array.of(3), Uint8Array.of(2)]]],
      ])
    }
  })

  test('a log of a later epoch is delivered, and is no fork', () => {
    const [a, b] = [new Store(), new Store()]
    a.log.push(Uint8Array.of(1), Uint8Array.of(2))
    b.log.push(Uint8Array.of(1), Uint8Array.of(3))
    b.epoch = 1
    const pair = talk(a, b)
    expect(pair.lines.slice(2)).toEqual(['< entries from 0: 2'])
    expect(pair.sides.flatMap((side) => side.offences)).toEqual([])
  })
})

test('bytes: Bloom alone, 100 sessions, 5 moved', () => {
  const measure = (moved: number, seed: number) => {
    const [a, b] = [new Store(), new Store()]
    for (let i = 0; i < 100; i++) {
      const last = grow([a, b], `bytes ${seed} ${i}`, 10)
      if (i < moved) grow([i % 2 === 0 ? a : b], '', 1 + i * 3, last)
    }
    const pair = talk(a, b, seed)
    expect(pair.equal).toBe(true)
    return { bytes: pair.bytes, messages: pair.messages, rounds: pair.filters / 2 }
  }
  const runs = Array.from({ length: 20 }, (_, i) => measure(5, i + 1)).sort((x, y) => x.bytes - y.bytes)
  console.log('Bloom alone, 100 sessions, 5 moved: median', runs[10], 'worst', runs[19])
  expect(runs[10]?.bytes).toBeLessThan(600)
  expect(measure(0, 99).bytes).toBeLessThan(60)
})
