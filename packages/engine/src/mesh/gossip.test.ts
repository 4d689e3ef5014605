import { describe, expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { Gossip, shortOf } from './gossip.ts'
import type { GossipEffect, GossipEvent } from './tree.ts'

const idOf = (number: number): string => number.toString(16).padStart(12, '0').padEnd(64, '7')

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

/** One machine with links named by letters; `S` is the server. What it does reads `push A 1 2`, ids by their numbers. */
class Bench {
  readonly gossip: Gossip
  now = 0
  readonly random: (below: number) => number
  #wakeAt = Number.POSITIVE_INFINITY

  constructor(links: string, options: { hub?: boolean; seed?: number } = {}) {
    this.gossip = new Gossip(options.hub)
    this.random = seeded(options.seed ?? 1)
    for (const link of links) this.do({ kind: 'linked', link, server: link === 'S' })
    // Everybody has other neighbours, too.
    for (const link of links) if (link !== 'S') this.neighbours(link, 'yz')
  }

  do(event: GossipEvent): string[] {
    return this.effects(event).map(inWords)
  }

  effects(event: GossipEvent): GossipEffect[] {
    const effects = this.gossip.step(event, { now: this.now, random: this.random })
    return effects.filter((effect) => {
      if (effect.kind === 'wake') this.#wakeAt = this.now + effect.after
      return effect.kind !== 'wake'
    })
  }

  /** Lets so many ms pass. */
  pass(time: number): string[] {
    const until = this.now + time
    const done: string[] = []
    while (this.#wakeAt <= until) {
      this.now = this.#wakeAt
      this.#wakeAt = Number.POSITIVE_INFINITY
      done.push(...this.do({ kind: 'wake' }).map((line) => `${this.now}: ${line}`))
    }
    this.now = until
    return done
  }

  neighbours(link: string, sessions: string): void {
    this.do({ kind: 'neighbours', link, sessions: [...sessions] })
  }

  made(...numbers: number[]): string[] {
    return this.do({ kind: 'made', ids: numbers.map(idOf) })
  }

  comes(link: string, author: string, ...numbers: number[]): string[] {
    const commits = numbers.map((number) => ({ id: idOf(number), author, fresh: true }))
    return this.do({ kind: 'received', link, commits })
  }

  again(link: string, author: string, ...numbers: number[]): string[] {
    const commits = numbers.map((number) => ({ id: idOf(number), author, fresh: false }))
    return this.do({ kind: 'received', link, commits })
  }

  told(link: string, ...numbers: number[]): string[] {
    return this.do({ kind: 'told', link, ids: numbers.map((number) => shortOf(idOf(number))) })
  }

  grafted(link: string, ...numbers: number[]): string[] {
    return this.do({ kind: 'grafted', link, ids: numbers.map((number) => shortOf(idOf(number))) })
  }

  pruned(links: string): void {
    for (const link of links) this.do({ kind: 'pruned', link })
  }
}

const inWords = (effect: GossipEffect): string => {
  if (effect.kind === 'wake') return 'wake'
  const ids = 'ids' in effect ? effect.ids.map((id) => ` ${Number.parseInt(id.slice(0, 12), 16)}`) : []
  return `${effect.kind} ${effect.link}${ids.join('')}`
}

describe('what is made here', () => {
  test('goes over every link at once, what is made in one tick as one push', () => {
    const bench = new Bench('ABS')
    bench.pruned('B')
    expect(bench.made(1, 2)).toEqual(['push A 1 2', 'push B 1 2', 'push S 1 2'])
    expect(bench.pass(60_000)).toEqual([])
  })
})

describe('what came', () => {
  test('is pushed over eager links, told over lazy ones after a while, and not sent back', () => {
    const bench = new Bench('ABCD')
    bench.pruned('C')
    expect(bench.comes('A', 'x', 1)).toEqual(['push B 1', 'push D 1'])
    bench.now = 50
    expect(bench.comes('D', 'x', 2)).toEqual(['push A 2', 'push B 2'])
    expect(bench.pass(100)).toEqual(['75: have C 1 2'])
    expect(bench.pass(60_000)).toEqual([])
  })

  test('is told at once to a neighbour of its author, and to the server', () => {
    const bench = new Bench('ABCS')
    bench.neighbours('B', 'ax')
    expect(bench.comes('A', 'x', 1)).toEqual(['push C 1', 'have B 1', 'have S 1'])
    expect(bench.comes('A', 'B', 2)).toEqual(['push C 2', 'have S 2'])
  })

  test('is not pushed to whom the server pushed it', () => {
    expect(new Bench('ABCS').comes('S', 'S', 1)).toEqual(['have A 1', 'have B 1', 'have C 1'])
  })

  test('is not told to those that told of it', () => {
    const bench = new Bench('ABCD')
    bench.pruned('CD')
    bench.told('C', 1)
    bench.told('B', 1)
    expect(bench.comes('A', 'x', 1)).toEqual([])
    bench.told('D', 1)
    expect(bench.pass(1_000)).toEqual([])
  })

  test('is pushed on once it is new, though it was said to be held before', () => {
    const bench = new Bench('ABC')
    bench.told('A', 1)
    expect(bench.again('A', 'x', 1)).toEqual([])
    expect(bench.pass(60_000)).toEqual([])
    expect(bench.comes('A', 'x', 1)).toEqual(['push B 1', 'push C 1'])
    expect(bench.again('A', 'x', 1)).toEqual([])
  })

  test('over a channel without gossip goes on as if a link had brought it', () => {
    const bench = new Bench('ABCS')
    bench.pruned('C')
    bench.neighbours('B', 'x')
    const brought = { kind: 'brought', commits: [{ id: idOf(1), author: 'x' }] } as const
    expect(bench.do(brought)).toEqual(['push A 1', 'have B 1', 'have S 1'])
    expect(bench.do(brought)).toEqual([])
    expect(bench.pass(60_000)).toEqual(['75: have C 1'])
  })

  test('by reconciliation is told to the others', () => {
    const bench = new Bench('ABC')
    bench.told('C', 1)
    expect(bench.do({ kind: 'known', link: 'A', ids: [idOf(1), idOf(2)] })).toEqual([])
    expect(bench.pass(1_000)).toEqual(['75: have B 1 2', '75: have C 2'])
  })
})

describe('the tree', () => {
  test('begins with a few links; what else is linked is lazy, and the server always eager', () => {
    const bench = new Bench('')
    const linked = [...'ABCDSE'].map((link) => bench.do({ kind: 'linked', link, server: link === 'S' }))
    expect(linked).toEqual([[], [], [], [], [], ['prune E']])
    expect(bench.comes('A', 'x', 1)).toEqual(['push B 1', 'push C 1', 'push D 1', 'have S 1'])
  })

  test('a link that brings what came before is pruned', () => {
    const bench = new Bench('ABC')
    bench.comes('A', 'x', 1)
    expect(bench.again('B', 'x', 1)).toEqual(['prune B'])
    expect(bench.comes('A', 'x', 2)).toEqual(['push C 2'])
    expect(bench.pass(100)).toEqual(['75: have B 2'])
  })

  test('but not one that brings something new as well, or the same link again', () => {
    const bench = new Bench('ABC')
    bench.comes('A', 'x', 1)
    expect(bench.again('A', 'x', 1)).toEqual([])
    expect(
      bench.do({
        kind: 'received',
        link: 'B',
        commits: [
          { id: idOf(1), author: 'x', fresh: false },
          { id: idOf(2), author: 'x', fresh: true },
        ],
      }),
    ).toEqual(['push A 2', 'push C 2'])
  })

  test('nor where one of the two copies came straight from the author, or by reconciliation', () => {
    const bench = new Bench('ABC')
    bench.comes('A', 'A', 1)
    expect(bench.again('B', 'A', 1)).toEqual([])
    bench.comes('A', 'B', 2)
    expect(bench.again('B', 'B', 2)).toEqual([])
    bench.do({ kind: 'known', link: 'A', ids: [idOf(3)] })
    expect(bench.again('B', 'x', 3)).toEqual([])
    bench.made(4)
    expect(bench.again('B', 'x', 4)).toEqual([])
  })

  test('of two links that bring the same the server goes, whichever came first', () => {
    const late = new Bench('AS')
    late.comes('A', 'x', 1)
    expect(late.again('S', 'x', 1)).toEqual(['prune S'])
    const early = new Bench('ABS')
    early.comes('S', 'x', 1)
    expect(early.again('A', 'x', 1)).toEqual(['prune S'])
    expect(early.again('B', 'x', 1)).toEqual(['prune B'])
  })

  test('a gift from its author over a lazy link waits for the tree, which may bring only its id', () => {
    const bench = new Bench('ABCD')
    bench.pruned('AD')
    expect(bench.comes('A', 'A', 1)).toEqual([])
    expect(bench.pass(100)).toEqual(['75: have D 1'])
    expect(bench.told('B', 1)).toEqual(['push C 1'])
    expect(bench.pass(60_000)).toEqual([])
    expect(bench.comes('A', 'A', 2)).toEqual([])
    expect(bench.again('C', 'A', 2)).toEqual(['push B 2'])
  })

  test('and goes on without it after a while', () => {
    const bench = new Bench('AB')
    bench.pruned('A')
    bench.comes('A', 'A', 1)
    expect(bench.pass(1_000)).toEqual(['500: push B 1'])
  })

  test('and at once to those that have nobody else', () => {
    const bench = new Bench('ABC')
    bench.pruned('A')
    bench.neighbours('C', 'm')
    expect(bench.comes('A', 'A', 1)).toEqual(['push C 1'])
    expect(bench.told('B', 1)).toEqual([])
  })

  test('whoever pushes over a lazy link takes it for eager: it is', () => {
    const bench = new Bench('ABC')
    bench.pruned('A')
    bench.comes('A', 'x', 1)
    expect(bench.comes('B', 'x', 2)).toEqual(['push A 2', 'push C 2'])
  })
})

describe('what is told of and does not come', () => {
  test('is asked for after 300 ms, and 500 ms later of the next', () => {
    const bench = new Bench('ABC')
    bench.pruned('ABC')
    bench.told('B', 1)
    bench.now = 100
    bench.told('A', 1)
    bench.told('C', 1)
    expect(bench.pass(60_000)).toEqual(['300: graft B 1', '800: graft A 1', '1300: graft C 1'])
    expect(bench.comes('C', 'x', 2)).toEqual(['push A 2', 'push B 2'])
  })

  test('is not asked for when it came', () => {
    const bench = new Bench('AB')
    bench.told('A', 1)
    bench.comes('B', 'x', 1)
    expect(bench.pass(60_000)).toEqual([])
  })

  test('is asked of the server last, and later', () => {
    const bench = new Bench('AS')
    bench.told('S', 1)
    bench.told('S', 2)
    bench.told('A', 2)
    expect(bench.pass(60_000)).toEqual(['300: graft A 2', '800: graft S 2', '1200: graft S 1'])
    const alone = new Bench('S')
    alone.told('S', 1)
    expect(alone.pass(60_000)).toEqual(['300: graft S 1'])
  })

  test('is asked elsewhere at once when the link that was asked is gone', () => {
    const bench = new Bench('AB')
    bench.told('A', 1)
    bench.told('B', 1)
    bench.pass(400)
    bench.do({ kind: 'unlinked', link: 'A' })
    expect(bench.pass(10)).toEqual(['401: graft B 1'])
    bench.do({ kind: 'unlinked', link: 'B' })
    expect(bench.pass(60_000)).toEqual([])
  })

  test('a link that is sending is waited for, though not for ever', () => {
    const bench = new Bench('AB')
    for (let number = 1; number <= 30; number++) bench.told('A', number)
    bench.told('B', 30)
    bench.pass(300)
    for (let number = 1; number <= 10; number++) {
      expect(bench.pass(400)).toEqual([])
      bench.comes('A', 'x', number)
    }
    const later: string[] = []
    for (let number = 11; number <= 13; number++) {
      later.push(...bench.pass(400))
      bench.comes('A', 'x', number)
    }
    expect(later).toEqual(['5300: graft B 30'])
    // Nobody else told of the others: they are given up.
    expect(bench.pass(60_000)).toEqual([])
  })

  test('a graft is answered, makes the link eager, and gives a commit once', () => {
    const bench = new Bench('AB')
    bench.pruned('B')
    bench.comes('A', 'x', 1)
    expect(bench.grafted('B', 1, 9)).toEqual(['push B 1'])
    expect(bench.grafted('B', 1)).toEqual([])
    expect(bench.comes('A', 'x', 2)).toEqual(['push B 2'])
    expect(bench.pass(60_000)).toEqual([])
  })
})

describe('what one link may say', () => {
  test('after limits.gossipWithheld grafts in vain it is named, and not asked any more', () => {
    const bench = new Bench('AB')
    for (let number = 1; number < limits.gossipWithheld; number++) {
      bench.told('A', number)
      expect(bench.pass(10_000).filter((line) => !line.includes('graft'))).toEqual([])
    }
    bench.told('A', 100)
    expect(bench.pass(10_000).filter((line) => line.includes('withholds'))).toHaveLength(1)
    bench.told('A', 200)
    bench.told('B', 200)
    expect(bench.pass(10_000).map((line) => line.replace(/^\d+: /, ''))).toEqual(['graft B 200'])
  })

  test('it fills limits.gossipWantedOfLink of the limits.gossipWanted places, in messages of limits.gossipTold', () => {
    const bench = new Bench('ABCDEF')
    const numbers = Array.from({ length: 2_000 }, (_, index) => index)
    let asked = 0
    for (const link of 'ABCDEF') {
      const from = link.charCodeAt(0) * 10_000
      const half = numbers.map((number) => from + number)
      bench.told(link, ...half)
      bench.told(link, ...half.slice(limits.gossipTold))
    }
    for (const effect of bench.pass(350)) {
      const ids = effect.split(' ').length - 3
      expect(ids).toBeLessThanOrEqual(limits.gossipTold)
      expect(ids).toBeLessThanOrEqual(limits.gossipWantedOfLink)
      asked += ids
    }
    expect(asked).toBe(limits.gossipWanted)
  })

  test('commits beyond the last limits.gossipRecent are not given any more', () => {
    const bench = new Bench('AB')
    for (let number = 0; number <= limits.gossipRecent; number++) bench.comes('A', 'x', number)
    expect(bench.grafted('B', 0, 1)).toEqual(['push B 1'])
    const ids = Array.from({ length: limits.gossipRecent }, (_, index) => index + 1)
    for (let from = 0; from < ids.length; from += 512) bench.grafted('B', ...ids.slice(from, from + 512))
    expect(bench.grafted('B', ...ids.slice(0, 512))).toEqual([])
  })

  test('ids that begin alike cost a graft that brings the other one', () => {
    const bench = new Bench('ABC')
    bench.pruned('C')
    const twin = `${shortOf(idOf(1))}${'8'.repeat(48)}`
    bench.comes('A', 'x', 1)
    const came = { kind: 'received', link: 'B', commits: [{ id: twin, author: 'x', fresh: true }] } as const
    expect(bench.do(came)).toEqual(['push A 1'])
    expect(bench.effects({ kind: 'grafted', link: 'C', ids: [shortOf(twin)] })).toEqual([
      { kind: 'push', link: 'C', ids: [twin] },
    ])
  })

  test('links that are not there say nothing', () => {
    const bench = new Bench('A')
    expect([...bench.told('Q', 1), ...bench.grafted('Q', 1), ...bench.comes('Q', 'x', 1)]).toEqual([])
    expect(bench.pass(60_000)).toEqual([])
  })
})

describe('a server', () => {
  const everybody = 'ABCDEFGHIJKL'

  test('begins with a few eager links', () => {
    const bench = new Bench('', { hub: true })
    const pruned = [...everybody].flatMap((link) => bench.do({ kind: 'linked', link, server: false }))
    expect(pruned).toEqual([...everybody.slice(6)].map((link) => `prune ${link}`))
  })

  test('carries what comes from one that has nobody else into the mesh at a few places', () => {
    const bench = new Bench(everybody, { hub: true })
    bench.pruned(everybody)
    bench.neighbours('A', '')
    const pushed = bench.comes('A', 'A', 1)
    expect(pushed).toHaveLength(3)
    expect(pushed.every((line) => line.startsWith('push'))).toBe(true)
    expect(bench.pass(100)).toHaveLength(everybody.length - 4)
  })

  test('does not carry what the mesh spreads itself', () => {
    const bench = new Bench(everybody, { hub: true })
    bench.pruned(everybody)
    expect(bench.comes('A', 'A', 1)).toEqual([])
  })
})

test('with one honest link of eight everything comes that this one says it has (D6)', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const bench = new Bench('ABCDEFGH', { seed })
    const honest = 'ABCDEFGH'[bench.random(8)] ?? 'A'
    const lacking = new Set<number>()
    const answer = (lines: string[]): void => {
      for (const line of lines) {
        const [, link, ...ids] = line.slice(line.indexOf('graft')).split(' ')
        if (!line.includes('graft') || link !== honest) continue
        for (const id of ids) if (lacking.delete(Number(id))) bench.comes(honest, 'x', Number(id))
      }
    }
    for (let number = 1; number <= 40; number++) {
      lacking.add(number)
      for (let turns = 8, from = bench.random(8); turns > 0; turns--, from++)
        bench.told('ABCDEFGH'[from % 8] ?? '', number)
      // A liar prunes, and tells of what there is not, besides.
      bench.pruned('ABCDEFGH')
      bench.told('ABCDEFGH'[bench.random(8)] ?? '', 1_000 + number)
      for (let steps = bench.random(30); steps > 0; steps--) answer(bench.pass(50))
    }
    for (let steps = 0; steps < 200 && lacking.size > 0; steps++) answer(bench.pass(50))
    expect([...lacking], `seed ${seed}`).toEqual([])
  }
})
