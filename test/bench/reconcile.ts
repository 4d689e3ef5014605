/** Bytes and messages until two replicas that differ know what to send each other, over many seeds; counts are exact. */
import { stream } from '../sim/random.ts'
import type { Area } from './area.ts'
import { converse, type Talk } from './conversation.ts'
import type { Figure } from './figure.ts'
import { quantile } from './measure.ts'
import { automergeTalks, yjsTalk } from './reconcile-peers.ts'
import { Origin, Store } from './reconcile-store.ts'

interface Case {
  readonly name: string
  readonly chains: number
  readonly length: number
  /** Sessions that moved, half of them (and the odd one) on the leader's side. */
  readonly moved: number
  /** Commits that each of them has more. */
  readonly each: number
  /** The two met before and were level then. */
  readonly known: boolean
  readonly base?: boolean
  readonly limit: number
  readonly messages: number
}

const area = 'reconcile'
/** What tags may take beside the figures of the plan, bytes. */
const tags = 24
/** One moved session in so many is new to the other side. */
const newIn = 5

const cases: readonly Case[] = [
  {
    name: 'nothing changed, N = 100k',
    chains: 100,
    length: 1_000,
    moved: 0,
    each: 0,
    known: false,
    limit: 48,
    messages: 1,
  },
  {
    name: 'known peer, N = 100k, d = 10 in 2 sessions',
    chains: 100,
    length: 1_000,
    moved: 2,
    each: 5,
    known: true,
    limit: 64,
    messages: 2,
  },
  {
    name: 'known peer, N = 100k, d = 10,000 in 4 sessions',
    chains: 100,
    length: 1_000,
    moved: 4,
    each: 2_500,
    known: true,
    limit: 64,
    messages: 2,
  },
  {
    name: 'strangers, N = 100k, d = 10 in 2 sessions',
    chains: 100,
    length: 1_000,
    moved: 2,
    each: 5,
    known: false,
    limit: 80,
    messages: 2,
  },
  {
    name: 'strangers, N = 100k, d = 10 in 10 sessions',
    chains: 100,
    length: 1_000,
    moved: 10,
    each: 1,
    known: false,
    limit: 240,
    messages: 2,
  },
  {
    name: 'strangers, N = 100k, d = 10,000 in 4 sessions',
    chains: 100,
    length: 1_000,
    moved: 4,
    each: 2_500,
    known: false,
    limit: 200,
    messages: 2,
  },
  {
    name: 'strangers, 10,000 sessions, 5 moved',
    chains: 10_000,
    length: 10,
    moved: 5,
    each: 1,
    known: false,
    limit: 210,
    messages: 2,
  },
  {
    name: 'Bloom alone, 100 sessions, 5 moved',
    chains: 100,
    length: 1_000,
    moved: 5,
    each: 1,
    known: false,
    base: true,
    limit: 560,
    messages: 5,
  },
]

/** Both sides write: an odd session more on the leader's. A chain beyond the origin's is a session nobody has met. */
const diverge = (one: Case, leader: Store, follower: Store, seed: string): void => {
  const random = stream(seed, 'diverge')
  const chains = random.shuffle(Array.from({ length: one.chains }, (_, index) => index)).slice(0, one.moved)
  for (const [index, chain] of chains.entries()) {
    const store = index % 2 === 0 ? leader : follower
    store.write(random.int(newIn) === 0 ? one.chains + index : chain, one.each)
  }
}

const talkOf = (one: Case, origin: Origin, seed: string): Talk => {
  const leader = new Store('leader', origin)
  const follower = new Store('follower', origin)
  let known: Talk['known']
  if (one.known) {
    const before = `${seed} before`
    diverge({ ...one, each: 1 }, leader, follower, before)
    known = converse(leader, follower, { seed: before, moved: one.moved }).known
  }
  diverge(one, leader, follower, seed)
  const talk = converse(leader, follower, { seed, moved: one.moved, known, base: one.base === true })
  if (!talk.level) throw new Error(`${one.name}, seed ${seed}: the two did not become level`)
  return talk
}

const figuresOf = (one: Case, seeds: number): Figure[] => {
  // One history for all seeds: what moved and the salt differ, and with the salt every key.
  const origin = new Origin(one.name, one.chains, one.length)
  const talks = Array.from({ length: seeds }, (_, index) => talkOf(one, origin, `bench ${index}`))
  const of = (metric: string, unit: string, values: readonly number[], at: number, limit?: number): Figure => ({
    area,
    case: one.name,
    engine: 'weft',
    role: 'weft',
    metric,
    value: quantile(values, at),
    unit,
    ...(limit !== undefined && { limit }),
  })
  const bytes = talks.map((talk) => talk.bytes)
  return [
    of('bytes p50', 'B', bytes, 0.5),
    of('bytes p95', 'B', bytes, 0.95, one.limit + tags),
    of('bytes max', 'B', bytes, 1),
    of(
      'bytes until both know, p95',
      'B',
      talks.map((talk) => talk.bytesUntilKnown),
      0.95,
    ),
    of(
      'messages until both know, p95',
      'messages',
      talks.map((talk) => talk.messages),
      0.95,
      one.messages,
    ),
    of(
      'messages in all, p95',
      'messages',
      talks.map((talk) => talk.allMessages),
      0.95,
    ),
    of(
      'framing p95',
      'B',
      talks.map((talk) => talk.framing),
      0.95,
    ),
  ]
}

export const reconcile: Area = async ({ quick }) => {
  const seeds = quick ? 20 : 200
  const figures = cases.flatMap((one) => figuresOf(one, seeds))
  const note = (name: string, engine: string, metric: string, value: number, unit: string): Figure => ({
    area,
    case: name,
    engine,
    role: 'peer',
    metric,
    value,
    unit,
  })
  for (const { name, chains, length, moved, each } of cases) {
    const talk = await yjsTalk(chains, length, moved, each)
    if (talk === undefined) break
    figures.push(note(name, 'Yjs state vectors', 'bytes p95', talk.bytes, 'B'))
    figures.push(note(name, 'Yjs state vectors', 'messages until both know, p95', talk.messages, 'messages'))
  }
  // Automerge knows no sessions: its bytes follow from N and d alone.
  const commits = quick ? 10_000 : 100_000
  for (const { name, bytes, messages } of await automergeTalks(commits, cases)) {
    const engine = `Automerge, N = ${commits / 1_000}k`
    figures.push(note(name, engine, 'bytes p95', bytes, 'B'))
    figures.push(note(name, engine, 'messages until both know, p95', messages, 'messages'))
  }
  return figures
}
