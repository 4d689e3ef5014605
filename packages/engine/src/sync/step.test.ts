import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { concatBytes, encodeUtf8, equalBytes, fromHex, toHex } from '../bytes/bytes.ts'
import { decode, encode } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { type Code, isRefusal } from '../bytes/refusal.ts'
import type { Head } from '../graph/commits.ts'
import { fingerprint } from './fingerprint.ts'
import type { Held } from './held.ts'
import { decodeMessage, encodeMessage, type Message } from './message.ts'
import type { Effect, Event, Session } from './session.ts'
import { start, step } from './step.ts'

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const hashText = (text: string) => toHex(hash(encodeUtf8(text)))

/** mulberry32. */
const randomFrom = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
}

interface Commit {
  readonly id: string
  readonly chain: string
  readonly seq: number
  readonly previous: string | undefined
  readonly parents: readonly string[]
  readonly size: number
}

/** Every commit there is, by id: what travels is the id, padded to the commit's size where that matters. */
const universe = new Map<string, Commit>()

const chainOf = (name: string) => hashText(name) + hashText(`${name} incarnation`).slice(0, 16)

const commitAfter = (
  chain: string,
  previous: Commit | undefined,
  parents: readonly string[] = [],
  branch = '',
  size = 300,
): Commit => {
  const seq = previous ? previous.seq + 1 : 0
  const id = hashText([chain, seq, previous?.id, branch, ...parents].join())
  const commit = { id, chain, seq, previous: previous?.id, parents, size }
  universe.set(id, commit)
  return commit
}

class Store implements Held {
  readonly order: string[] = []
  readonly place = new Map<string, number>()
  readonly tips = new Map<string, Head[]>()
  readonly log: Uint8Array[] = []
  pool: Commit[] = []
  epoch = 0
  /** Answers asked of the store, as a measure of work. */
  walked = 0

  heads = () => [...this.tips.values()].flat()
  headsOf = (chain: string) => this.tips.get(chain) ?? []
  count = () => this.order.length
  has = (id: string) => this.place.has(id)
  previous = (id: string) => {
    this.walked++
    return universe.get(id)?.previous
  }
  arrivalIndex = (id: string) => this.place.get(id) ?? -1
  arrival = (from: number, limit: number) => this.order.slice(from, from + limit)
  size = (id: string) => universe.get(id)?.size ?? 0
  fingerprint = () => fingerprint(this.heads(), hash)
  logHash = (n: number) => (this.log[n] ? toHex(hash(this.log[n])) : undefined)
  logPosition = () => {
    const n = this.log.length - 1
    const last = this.logHash(n)
    return last === undefined ? undefined : { epoch: this.epoch, n, hash: last }
  }
  entriesFrom = (n: number) => this.log.slice(n)

  /** What became held, what was dropped from a full pool never. */
  admit(commits: readonly Commit[]): string[] {
    const admitted: string[] = []
    this.pool.push(...commits.filter((commit) => !this.has(commit.id) && !this.pool.includes(commit)))
    for (let again = true; again; ) {
      again = false
      this.pool = this.pool.filter((commit) => {
        if (![commit.previous, ...commit.parents].every((id) => id === undefined || this.has(id))) return true
        again = true
        this.place.set(commit.id, this.order.length)
        this.order.push(commit.id)
        const tips = this.headsOf(commit.chain).filter((tip) => tip.id !== commit.previous)
        this.tips.set(commit.chain, [...tips, { chain: commit.chain, seq: commit.seq, id: commit.id }])
        admitted.push(commit.id)
        return false
      })
    }
    return admitted
  }
}

class Side {
  session: Session
  readonly store: Store
  readonly inbox: Uint8Array[] = []
  jobs: (readonly Commit[])[] = []
  levels = 0
  level = false
  rests: (readonly string[])[] = []
  offences: Extract<Effect, { kind: 'offence' }>[] = []
  refusedByThem: Code[] = []
  wakes: number[] = []
  sent = 0
  disk: Code | undefined
  received: string[] = []

  constructor(leads: boolean, store: Store) {
    this.session = start(leads)
    this.store = store
  }
}

const payload = (commit: Commit) => concatBytes(fromHex(commit.id), new Uint8Array(Math.max(0, commit.size - 32)))

/** Two sides, a channel that keeps order, pipelines that take their time, and virtual time. */
class Pair {
  now = 1_000
  bytes = 0
  messages = 0
  filters = 0
  restedAt = 0
  lines: string[] = []
  readonly sides: readonly [Side, Side]
  readonly random: () => number
  /** Changes a message on its way; null loses it. */
  onWire: (message: Message, from: number) => readonly Message[] = (message) => [message]
  steps = 0

  constructor(first: Store, second: Store, seed: number) {
    this.sides = [new Side(true, first), new Side(false, second)]
    this.random = randomFrom(seed)
  }

  open(): void {
    this.give(0, { kind: 'open' })
    this.give(1, { kind: 'open' })
  }

  give(at: number, event: Event): void {
    const side = this.sides[at === 0 ? 0 : 1]
    const other = this.sides[at === 0 ? 1 : 0]
    const random = (length: number) => Uint8Array.from({ length }, () => Math.floor(this.random() * 256))
    const { session, effects } = step(side.session, event, side.store, { now: this.now, random, hash })
    side.session = session
    for (const effect of effects) {
      switch (effect.kind) {
        case 'send':
          this.transmit(at, effect.message)
          break
        case 'push': {
          const commits = effect.ids.map((id) => {
            const commit = universe.get(id)
            if (!commit || !side.store.has(id)) throw new Error('a push of what is not held')
            return payload(commit)
          })
          for (const [i, id] of effect.ids.entries()) {
            const commit = universe.get(id)
            const later = effect.ids.slice(i + 1)
            if ([commit?.previous, ...(commit?.parents ?? [])].some((parent) => parent && later.includes(parent))) {
              throw new Error('a push with a child before its parent')
            }
          }
          side.sent += commits.length
          this.transmit(at, { ...effect, commits, certificates: [] })
          break
        }
        case 'admit':
          side.jobs.push(
            effect.commits.map((bytes) => {
              const commit = universe.get(toHex(bytes.subarray(0, 32)))
              if (!commit) throw new Error('an unknown commit')
              return commit
            }),
          )
          break
        case 'deliver':
          for (const [i, entry] of effect.entries.entries())
            if (effect.from + i === side.store.log.length) side.store.log.push(entry)
          this.give(at, { kind: 'entries' })
          break
        case 'wake':
          side.wakes.push(this.now + effect.after)
          break
        case 'level':
          side.levels++
          side.level = true
          break
        case 'rest':
          side.rests.push(effect.missing)
          this.restedAt = this.now
          break
        case 'refused':
          side.refusedByThem.push(effect.code)
          break
        case 'offence':
          side.offences.push(effect)
      }
      other.level &&= true
    }
  }

  transmit(from: number, message: Message): void {
    const to = this.sides[from === 0 ? 1 : 0]
    for (const altered of this.onWire(message, from)) {
      const bytes = encode(encodeMessage(altered))
      if (bytes.length > limits.frameBytes) throw new Error(`a message of ${bytes.length} bytes`)
      this.messages++
      if (altered.kind === 'filter') this.filters++
      this.bytes +=
        bytes.length -
        (altered.kind === 'push' ? altered.commits.reduce((sum, commit) => sum + commit.length + 3, 0) : 0)
      this.lines.push(`${from === 0 ? '>' : '<'} ${inWords(altered)}`)
      to.inbox.push(bytes)
    }
  }

  receive(at: number): void {
    const side = this.sides[at === 0 ? 0 : 1]
    const bytes = side.inbox.shift()
    if (!bytes) return
    const plain = decode(bytes)
    if (isRefusal(plain)) throw new Error(`${plain.code} ${plain.about}`)
    const message = decodeMessage(plain)
    if (isRefusal(message)) throw new Error(`${message.code} ${message.about}`)
    this.give(at, { kind: 'message', message })
  }

  work(at: number): void {
    const side = this.sides[at === 0 ? 0 : 1]
    const commits = side.jobs.shift()
    if (!commits) return
    const ids = commits.map((commit) => commit.id)
    side.received.push(...ids)
    if (side.disk) this.give(at, { kind: 'refused', code: side.disk, ids })
    else {
      const admitted = side.store.admit(commits)
      if (admitted.length > 0) this.give(at, { kind: 'admitted', ids: admitted, origin: 'peer' })
    }
    this.give(at, { kind: 'settled', ids, waiting: commits.some((commit) => side.store.pool.includes(commit)) })
  }

  /** A commit made on one side. */
  write(at: number, commit: Commit, origin: 'local' | 'other' = 'local'): void {
    const admitted = this.sides[at === 0 ? 0 : 1].store.admit([commit])
    if (admitted.length !== 1) throw new Error('a commit without its parents')
    this.give(at, { kind: 'admitted', ids: admitted, origin })
  }

  /** One thing that can happen now; false when only time can help. Without `shuffle` in a fixed order. */
  once(shuffle: boolean): boolean {
    const can = [0, 1].flatMap((at) => {
      const side = this.sides[at === 0 ? 0 : 1]
      return [
        ...(side.jobs.length ? [() => this.work(at)] : []),
        ...(side.inbox.length ? [() => this.receive(at)] : []),
      ]
    })
    can[shuffle ? Math.floor(this.random() * can.length) : 0]?.()
    this.steps++
    return can.length > 0
  }

  /** Until nothing is under way and no timer is left, or for so long. */
  run(shuffle = true, most = 20_000, until = Number.POSITIVE_INFINITY): void {
    for (let i = 0; i < most; i++) {
      if (this.once(shuffle)) continue
      const due = Math.min(...this.sides.flatMap((side) => side.wakes))
      if (due > until || due === Number.POSITIVE_INFINITY) return
      this.now = Math.max(this.now, due)
      for (const [at, side] of this.sides.entries()) {
        if (!side.wakes.includes(due)) continue
        side.wakes = side.wakes.filter((wake) => wake !== due)
        this.give(at, { kind: 'wake' })
      }
    }
    throw new Error(`no end after ${most} steps: ${this.lines.slice(-20).join('\n')}`)
  }

  get equal(): boolean {
    const [a, b] = this.sides
    return equalBytes(a.store.fingerprint(), b.store.fingerprint())
  }

  get phases(): string {
    return this.sides.map((side) => side.session.phase).join()
  }
}

const short = (count: number, noun: string) => `${count} ${noun}${count === 1 ? '' : 's'}`

const inWords = (message: Message): string => {
  switch (message.kind) {
    case 'hello':
      return `hello: ${short(message.count, 'commit')}${message.log ? `, log at ${message.log.n}` : ''}`
    case 'entries':
      return `entries from ${message.from}: ${message.entries.length}`
    case 'filter':
      return `filter ${message.round}: ${short(message.filter.count, 'tip')}, ${message.filter.bits.length} B`
    case 'heads':
      return `heads ${message.round}: seq ${message.heads.map((head) => head.seq).join(' ')}${message.more ? ' ...' : ''}`
    case 'want':
      return `want ${message.round}: ${message.wants.map((want) => `${want.index} after ${want.held.map((place) => place.seq).join(' ') || 'nothing'}`).join(', ')}${message.more ? ' ...' : ''}`
    case 'push':
      return `push ${message.round}: ${short(message.commits.length, 'commit')}${message.unknown.length ? `, unknown ${message.unknown.join(' ')}` : ''}${message.last ? ', last' : ''}`
    case 'fingerprint':
      return `fingerprint ${message.round}${message.moved ? ', moved' : ''}`
    case 'refused':
      return `refused: ${message.code}, ${short(message.ids.length, 'commit')}`
    case 'rest':
      return `rest ${message.round}`
  }
}

/** A chain of so many commits in every one of the stores. */
const grow = (
  stores: readonly Store[],
  name: string,
  length: number,
  from?: Commit,
  branch = '',
  size = 300,
): Commit | undefined => {
  let last = from
  for (let i = 0; i < length; i++) {
    last = commitAfter(from?.chain ?? chainOf(name), last, [], branch, size)
    for (const store of stores) store.admit([last])
  }
  return last
}

/**
 * Two stores with shared history, chains that moved on one side or both, forks, chains that one side lacks, and parents
 * across chains.
 */
const divergent = (seed: number): [Store, Store] => {
  const random = randomFrom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  const a = new Store()
  const b = new Store()
  const stores = [a, b] as const
  const extend = (store: Store, chain: string, branch: string) => {
    const tips = store.headsOf(chain)
    const tip = tips[below(tips.length)]
    const other = below(3) === 0 ? universe.get(store.order[below(store.order.length)] ?? '') : undefined
    const parents = other && other.chain !== chain ? [other.id] : []
    const commit = commitAfter(chain, tip && universe.get(tip.id), parents, branch)
    store.admit([commit])
    return commit
  }
  const chains = Array.from({ length: 1 + below(200) }, (_, i) => chainOf(`seed ${seed} chain ${i}`))
  for (const chain of chains) {
    const shared = below(8)
    for (let i = 0; i < shared; i++) b.admit([extend(a, chain, '')])
  }
  for (const chain of chains) {
    const kind = below(12)
    if (kind < 2) for (let i = below(30); i >= 0; i--) extend(stores[kind] ?? a, chain, '')
    // A copied key: both sides go on from their own, and sometimes one side has forked by itself.
    else if (kind === 2) {
      for (let i = below(5); i >= 0; i--) extend(a, chain, `a${seed}`)
      for (let i = below(5); i >= 0; i--) extend(b, chain, `b${seed}`)
    } else if (kind === 3 && a.headsOf(chain).length === 1) {
      const [tip] = a.headsOf(chain)
      const first = tip && universe.get(universe.get(tip.id)?.previous ?? '')
      a.admit([commitAfter(chain, first, [], `c${seed}`)])
      extend(a, chain, `c${seed}`)
    }
  }
  return [a, b]
}

const talk = (first: Store, second: Store, seed = 1) => {
  const pair = new Pair(first, second, seed)
  pair.open()
  pair.run(false)
  return pair
}

describe('golden conversations', () => {
  test('[S2] equal: hello and silence', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a, b], 'one', 3)
    const pair = talk(a, b)
    expect(pair.lines).toEqual(['> hello: 3 commits', '< hello: 3 commits'])
    expect(pair.phases).toBe('level,level')
    expect(pair.sides.map((side) => side.wakes)).toEqual([[], []])
  })

  test('[S4] [S5] the leader is behind', () => {
    const [a, b] = [new Store(), new Store()]
    grow([b], '', 4, grow([a, b], 'one', 3))
    grow([a, b], 'two', 5)
    const pair = talk(a, b)
    expect(pair.lines).toEqual([
      '> hello: 8 commits',
      '< hello: 12 commits',
      '> filter 1: 2 tips, 8 B',
      '< filter 1: 2 tips, 8 B',
      '< heads 1: seq 6',
      '> want 1: 0 after 2',
      '< push 1: 4 commits, last',
      '> fingerprint 1',
      '< fingerprint 1',
    ])
    expect(pair.phases).toBe('level,level')
  })

  test('[S4] the follower is behind', () => {
    const [a, b] = [new Store(), new Store()]
    grow([a], '', 4, grow([a, b], 'one', 3))
    expect(talk(a, b).lines).toEqual([
      '> hello: 7 commits',
      '< hello: 3 commits',
      '> filter 1: 1 tip, 8 B',
      '< filter 1: 1 tip, 8 B',
      '< heads 1: seq 2',
      '> push 1: 4 commits',
      '> fingerprint 1',
      '< fingerprint 1',
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
      '> hello: 18 commits',
      '< hello: 17 commits',
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
      '< fingerprint 1',
    ])
    expect(pair.equal).toBe(true)
  })

  test('[S3] clone, in frames, to either side', () => {
    const full = new Store()
    grow([full], 'one', 20, undefined, '', 200_000)
    expect(talk(new Store(), full).lines).toEqual([
      '> hello: 0 commits',
      '< hello: 20 commits',
      '< push 1: 4 commits',
      '< push 1: 4 commits',
      '< push 1: 4 commits',
      '< push 1: 4 commits',
      '< push 1: 4 commits, last',
      '> fingerprint 1',
      '< fingerprint 1',
    ])
    expect(talk(full, new Store()).lines.slice(2)).toEqual([
      '> push 1: 4 commits',
      '> push 1: 4 commits',
      '> push 1: 4 commits',
      '> push 1: 4 commits',
      '> push 1: 4 commits, last',
      '> fingerprint 1',
      '< fingerprint 1',
    ])
  })

  test('[S5] a fork: each side has a branch of its own', () => {
    const [a, b] = [new Store(), new Store()]
    const shared = grow([a, b], 'one', 10)
    grow([a], '', 6, shared, 'a')
    grow([b], '', 3, shared, 'b')
    const pair = talk(a, b)
    expect(pair.lines).toEqual([
      '> hello: 16 commits',
      '< hello: 13 commits',
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
      '< fingerprint 1',
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
      '> hello: 0 commits, log at 0',
      '< hello: 1 commit, log at 2',
      '< entries from 1: 2',
      '< push 1: 1 commit, last',
      '> fingerprint 1',
      '< fingerprint 1',
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
    '< fingerprint 1',
  ])
  expect(written(5)).toEqual([
    '> want 1: 0 after 2',
    '< push 1: 4 commits, last',
    '> push 0: 1 commit',
    '> fingerprint 1, moved',
    '< fingerprint 1',
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
  expect(pair.lines.filter((line) => line.startsWith('>'))).toEqual(['> hello: 0 commits', '> fingerprint 1'])
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
        return [{ ...message, fingerprint: hash(encodeUtf8(`${count++}`)).slice(0, 16), moved: true }]
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
