/**
 * Rows D1 to D5: what a hostile peer says to the machines of reconciliation. Filters that are no filters, ids mined to hit, sets that
 * are hard to make equal, and rounds begun as fast as they can be said.
 */
import { decode, encode } from '../../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import { isRefusal } from '../../../packages/engine/src/bytes/refusal.ts'
import { type Filter, hits, makeFilter, mostTips } from '../../../packages/engine/src/sync/filter.ts'
import { hexWord, keysOf } from '../../../packages/engine/src/sync/keyed.ts'
import { decodeMessage, encodeMessage, type Message } from '../../../packages/engine/src/sync/message.ts'
import type { Effect, Session } from '../../../packages/engine/src/sync/session.ts'
import { start, step } from '../../../packages/engine/src/sync/step.ts'
import { encodeVector } from '../../../packages/engine/src/sync/vector.ts'
import { type Stream, stream } from '../../sim/random.ts'
import { Meetings, mostRounds, Unlawful } from '../../sim/reconcile/meetings.ts'
import { Replica } from '../../sim/reconcile/replica.ts'
import type { Scenario } from '../../sim/reconcile/scenario.ts'
import { commitAfter, hash, hashText, universe } from '../../sync/pair.ts'
import { mustHold, type Row } from '../row.ts'

const encoded = (message: Parameters<typeof encodeMessage>[0]): number => encode(encodeMessage(message)).length

/** A replica of so many chains that answers a peer, and the time that its answers took. */
class Victim {
  readonly store: Replica
  readonly heads: number
  session: Session
  now = 1_000
  /** CPU of its steps, ms. */
  spent = 0
  out = 0
  into = 0
  /** Of `out`, commits. */
  pushed = 0
  due = Number.POSITIVE_INFINITY
  readonly #random: Stream

  constructor(heads: number, random: Stream, size?: number) {
    universe.clear()
    this.#random = random
    this.heads = heads
    this.store = new Replica('a', random.seed, false)
    for (let index = 0; index < heads; index++)
      this.store.admit([commitAfter(this.store.newChain(), undefined, [], '', size)])
    this.session = start(false, random.bytes(16))
    this.give({ kind: 'open', log: undefined, moved: 0, known: undefined, session: undefined })
    const sketch = Uint32Array.of(1, 2, 3, 4, 5, 6, 7)
    this.hear({ kind: 'hello', fingerprint: new Uint8Array(8), empty: false, sketch })
    this.spent = this.out = this.into = this.pushed = 0
  }

  give(event: Parameters<typeof step>[1]): readonly Effect[] {
    const woken: Effect[] = []
    // Timers run out one after the other, each at its time.
    for (const { now } = this; this.due <= now; ) {
      this.now = this.due
      this.due = Number.POSITIVE_INFINITY
      woken.push(...this.#take({ kind: 'wake' }))
      this.now = now
    }
    return [...woken, ...this.#take(event)]
  }

  #take(event: Parameters<typeof step>[1]): readonly Effect[] {
    const began = process.cpuUsage()
    const around = { now: this.now, random: (length: number) => this.#random.bytes(length), hash }
    const { session, effects } = step(this.session, event, this.store, around)
    const { user, system } = process.cpuUsage(began)
    this.spent += (user + system) / 1_000
    this.session = session
    for (const effect of effects) {
      if (effect.kind === 'send') this.out += encoded(effect.message)
      if (effect.kind === 'push') {
        const bytes = effect.ids.reduce((sum, id) => sum + this.store.size(id), 0)
        this.pushed += bytes
        this.out += bytes + 9
      }
      if (effect.kind === 'wake') this.due = Math.min(this.due, this.now + effect.after)
    }
    return effects
  }

  hear(message: Message): readonly Effect[] {
    this.into += encoded(message)
    return this.give({ kind: 'message', message })
  }
}

const answers = (effects: readonly Effect[]): boolean =>
  effects.some((effect) => effect.kind === 'push' || (effect.kind === 'send' && effect.message.kind !== 'refused'))

const roundsBegun = (effects: readonly Effect[]): number[] =>
  effects.flatMap((effect) =>
    effect.kind === 'send' && (effect.message.kind === 'filter' || effect.message.kind === 'sums')
      ? [effect.message.round]
      : [],
  )

/** What makes a filter no filter; and two that are. */
const spoilt: readonly (readonly [string, (filter: Filter, random: Stream) => Partial<Filter>, boolean])[] = [
  ['all ones', ({ bits }) => ({ bits: new Uint8Array(bits.length).fill(255) }), false],
  ['nearly all ones', ({ bits }, random) => ({ bits: bits.map(() => 255 - (1 << random.int(8))) }), false],
  ['all zeros', ({ bits }) => ({ bits: new Uint8Array(bits.length) }), true],
  ['as it is', () => ({}), true],
  ['too short', ({ bits }) => ({ bits: bits.slice(1) }), false],
  ['too long', ({ bits }) => ({ bits: new Uint8Array(bits.length + 1) }), false],
  ['no bits', () => ({ bits: new Uint8Array(0) }), false],
  ['no positions', () => ({ hashes: 0 }), false],
  ['2^32 - 1 positions', () => ({ hashes: 2 ** 32 - 1 }), false],
  ['a few positions too many', (_, random) => ({ hashes: limits.filterHashes + 1 + random.int(100) }), false],
  ['dense positions in sparse bits', (_, random) => ({ hashes: 8 + random.int(8) }), false],
  ['a short salt', ({ salt }) => ({ salt: salt.slice(1) }), false],
  ['another count', ({ count }, random) => ({ count: count + 9 + random.int(1_000) }), false],
  ['too many tips', () => ({ count: mostTips + 1, bits: new Uint8Array(Math.ceil((mostTips + 1) * 1.25)) }), false],
  ['the longest frame', () => ({ count: 2 ** 31, bits: new Uint8Array(limits.frameBytes - 64) }), false],
]

/** Ms for one filter, by the clock or by the processor, taken up to five times where it was more: the machine has other work. */
const longestFilter = 5
const tries = 5

/**
 * D1: `trials` filters, wrong in every way and with random bytes changed. A violation is a throw, an answer to what is no filter, or more
 * than 5 ms for one.
 */
export const filters: Row = async ({ trials, seed }) => {
  const random = stream(seed, 'D1')
  const victim = new Victim(100, random)
  const waiting = victim.session
  let [violations, first, worst, used] = [0, '', 0, 0]
  const violated = (what: string): void => {
    violations++
    first ||= what
  }
  const honest = makeFilter(
    victim.store.heads().map(({ id }) => id),
    random.bytes(16),
    hash,
  )
  for (let trial = 0; trial < trials; trial++) {
    const [name, spoil, isFilter] = spoilt[trial % spoilt.length] ?? ['', () => ({}), true]
    const filter = { ...honest, ...spoil(honest, random) }
    const bytes = encode(encodeMessage({ kind: 'filter', round: 2, filter }))
    const flipped = random.chance(0.3)
    if (flipped) bytes[random.int(bytes.length)] = random.int(256)
    let took = Number.POSITIVE_INFINITY
    try {
      for (let times = 0; times < tries && took > longestFilter; times++) {
        victim.session = waiting
        const [began, busy] = [performance.now(), process.cpuUsage()]
        const plain = decode(bytes)
        const message = isRefusal(plain) ? plain : decodeMessage(plain)
        const effects = isRefusal(message) || message.kind === 'packed' ? [] : victim.give({ kind: 'message', message })
        const { user, system } = process.cpuUsage(busy)
        took = Math.min(took, performance.now() - began, (user + system) / 1_000)
        if (!flipped && answers(effects) !== isFilter) violated(`${name}: ${isFilter ? 'not ' : ''}answered`)
        if (answers(effects)) used++
      }
    } catch (error) {
      violated(`${name}: ${String(error)}`)
    }
    if (took > longestFilter) violated(`${name}: ${took.toFixed(1)} ms`)
    worst = Math.max(worst, took)
  }
  mustHold(used > 0, 'no filter was taken', violations)
  return { trials, violations, first, used, worstMilliseconds: Math.round(worst * 100) / 100 }
}

const nominal = 0.0082
const minedIds = 100

/**
 * D2: `trials` rounds, each with ids mined to hit the filter of the round before and to have the id bits of one another. A violation is
 * more than twice as many hits as chance gives, over all rounds.
 */
export const mining: Row = async ({ trials: rounds, seed }) => {
  const random = stream(seed, 'D2')
  const victim = new Victim(200, random)
  const filterOf = (round: number): Filter | undefined => {
    victim.now += 1_000
    const ask: Message = { kind: 'filter', round, filter: makeFilter([hashText('one')], random.bytes(16), hash) }
    for (const effect of victim.hear(ask))
      if (effect.kind === 'send' && effect.message.kind === 'filter') return effect.message.filter
    return undefined
  }
  const bits = (round: number, id: string) =>
    keysOf(victim.session.salt, round).idBits(hexWord(id, 0), hexWord(id, 8), 8)
  let [tried, hit, alike, pairs] = [0, 0, 0, 0]
  let mined: string[] = []
  let twins: (readonly [string, string])[] = []
  for (let round = 2; round < rounds + 2; round++) {
    const filter = filterOf(round)
    if (filter === undefined) throw new Error('the victim did not answer a filter')
    for (const id of mined) {
      tried++
      if (hits(filter, id, hash)) hit++
    }
    for (const [one, other] of twins) {
      pairs++
      if (bits(round, one) === bits(round, other)) alike++
    }
    // What was mined serves for ten rounds: mining takes longer than hitting.
    if (round % 10 !== 2) continue
    mined = []
    twins = []
    const byBits = new Map<number, string>()
    for (let index = 0; mined.length < minedIds; index++) {
      const id = hashText(`${seed} ${round} ${index}`)
      if (hits(filter, id, hash)) mined.push(id)
      if (twins.length >= minedIds) continue
      const own = bits(round, id)
      const twin = byBits.get(own)
      if (twin !== undefined) twins.push([twin, id])
      byBits.set(own, id)
    }
  }
  const [rate, twinRate] = [hit / tried, alike / pairs]
  const violations = (rate > 2 * nominal ? 1 : 0) + (twinRate > 2 / 256 ? 1 : 0)
  return { trials: rounds, violations, hits: hit, tried, rate, twinRate }
}

const small = { length: 6, by: 5, fresh: 2, branches: 0, mined: false, crossing: 0.15 }

/**
 * D3: `trials` pairs of random sets, forked ones among them, by the ladder and by filters alone. A violation is a pair that does not end
 * equal and silent, within four rounds and 1.3 times the bytes that its difference should cost.
 */
export const rounds: Row = async ({ trials, seed }) => {
  let [violations, first, mostLadder, mostFilters, worstBytes] = [0, '', 0, 0, 0]
  for (let trial = 0; trial < trials; trial++) {
    const random = stream(seed, `D3 ${trial}`)
    const alone = trial % 2 === 1
    const scenario: Scenario = {
      replicas: 2,
      links: [[0, 1]],
      filtersAlone: [[alone, alone]],
      shape: {
        ...small,
        chains: 1 + random.int(60),
        moved: random.int(20),
        forks: random.chance(0.25) ? random.int(4) : 0,
      },
      empty: undefined,
      alike: false,
      lies: [],
      reforms: false,
      twice: 0,
      refusal: 'none',
      meetings: ['plain'],
      restores: 0,
      hints: random.chance(0.5) ? 'right' : 'wrong',
    }
    try {
      const played = new Meetings(`${seed} ${trial}`, scenario, random).play()
      const taken = Math.max(played.rounds, played.roundsOfForks)
      if (alone) mostFilters = Math.max(mostFilters, taken)
      else mostLadder = Math.max(mostLadder, taken)
      if (taken > mostRounds) {
        violations++
        first ||= `trial ${trial}: ${taken} rounds`
      }
      worstBytes = Math.max(worstBytes, played.bytesRatio)
    } catch (error) {
      if (!(error instanceof Unlawful)) throw error
      violations++
      first ||= `trial ${trial}: ${error.message}`
    }
  }
  return { trials, violations, first, mostLadder, mostFilters, worstBytes: Math.round(worstBytes * 1000) / 1000 }
}

/** What asks for most with least, as round number `round`, and what it says when it was answered. */
const greedy: readonly {
  readonly begin: (round: number, random: Stream) => Message
  readonly insist: (round: number) => Message
}[] = [
  {
    begin: (round, random) => ({
      kind: 'filter',
      round,
      filter: { salt: random.bytes(16), count: 0, hashes: 7, bits: new Uint8Array(0) },
    }),
    insist: (round) => ({
      kind: 'want',
      round,
      more: false,
      wants: Array.from({ length: greedyHeads }, (_, index) => ({ index, held: [] })),
    }),
  },
  {
    begin: (round, random) => ({
      kind: 'sums',
      round,
      sums: Uint32Array.from({ length: 7 }, () => random.int(2 ** 31 - 1)),
    }),
    insist: emptyVector,
  },
  { begin: (round) => ({ kind: 'sums', round, sums: new Uint32Array(7) }), insist: emptyVector },
]

/** Somebody who holds nothing. */
function emptyVector(round: number): Message {
  return { kind: 'vector', round, bits: encodeVector([], { round, idBits: 0 }) }
}

const greedyHeads = 500
const greedyCommit = 20_000
/** Bytes of names that an answered round lists beside its commits, for each head. */
const namesPerHead = 80
/** Rounds that are answered at once, and a second. */
const creditAtOnce = 8
const creditPerSecond = 2
/** Beyond what is held, which anybody may ask for once: bytes within a second, and within ten minutes. */
const spareAtOnce = 4 * 2 ** 20
const sparePerTenMinutes = 64 * 2 ** 20
/** Often enough to take all that there is. */
const everySeconds = 3

/**
 * D4: everything, asked for in few bytes: `trials` rounds within one second and then one every few seconds for ten minutes, and all of each
 * answer asked for again. A violation is a round beyond the credit of rounds, or a byte of commits beyond that of bytes.
 */
export const amplification: Row = async ({ trials, seed }) => {
  const random = stream(seed, 'D4')
  let [violations, answered, beyond, mostAtOnce, mostLater, worstRound, ratio] = [0, 0, 0, 0, 0, 0, 0]
  for (const [index, { begin, insist }] of greedy.entries()) {
    const victim = new Victim(greedyHeads, random.branch(String(index)), greedyCommit)
    const store = victim.store.order.reduce((sum, id) => sum + victim.store.size(id), 0)
    let [mine, number] = [0, 1]
    const ask = (): void => {
      const [before, pushed] = [victim.out, victim.pushed]
      number++
      // Now or later: one that came too early waits.
      const begun = roundsBegun(victim.hear(begin(number, random)))
      mine += begun.length
      for (const round of begun) for (let times = 0; times < 3; times++) victim.hear(insist(round))
      if (victim.pushed - pushed > begun.length * store) violations++
      worstRound = Math.max(worstRound, (victim.pushed - pushed) / Math.max(1, begun.length))
      const names = victim.out - before - (victim.pushed - pushed)
      if (names > begun.length * (200 + namesPerHead * victim.heads)) violations++
    }
    const asked = Math.ceil(trials / greedy.length)
    for (let count = 0; count < asked; count++) {
      victim.now += 1_000 / asked
      ask()
    }
    violations += Math.max(0, mine - creditAtOnce - creditPerSecond)
    const atOnce = victim.pushed - store
    for (let second = 1; second < 600; second += everySeconds) {
      victim.now += 1_000 * everySeconds
      ask()
    }
    const later = victim.pushed - store
    beyond += Math.max(0, atOnce - spareAtOnce - limits.frameBytes) + Math.max(0, later - sparePerTenMinutes)
    answered += mine
    mostAtOnce = Math.max(mostAtOnce, atOnce)
    mostLater = Math.max(mostLater, later)
    ratio = Math.max(ratio, victim.out / victim.into)
  }
  mustHold(answered > 0 && mostAtOnce > 0 && mostLater > mostAtOnce, 'nothing was answered', violations)
  return {
    trials,
    violations: violations + (beyond > 0 ? 1 : 0),
    answered,
    beyondCreditBytes: beyond,
    roundBytes: worstRound,
    spareBytesAtOnce: mostAtOnce,
    spareBytesInTenMinutes: mostLater,
    outOverIn: Math.round(ratio),
  }
}

/** Of the time that passes. */
const mostShare = 0.1

/**
 * D5: a replica of `trials` chains, and a peer that begins a hundred rounds a second for ten seconds, by filters and by sums, after its first
 * credit is spent. A violation is more than a tenth of a processor.
 */
export const work: Row = async ({ trials: heads, seed }) => {
  const random = stream(seed, 'D5')
  const figures: Record<string, number> = {}
  let violations = 0
  const asks: readonly (readonly [string, (round: number) => Message])[] = [
    ['filters', (round) => ({ kind: 'filter', round, filter: makeFilter([hashText('x')], random.bytes(16), hash) })],
    [
      'sums',
      (round) => ({ kind: 'sums', round, sums: Uint32Array.from({ length: 256 }, () => random.int(2 ** 31 - 1)) }),
    ],
    [
      'fingerprints',
      (round) => ({ kind: 'fingerprint', round, fingerprint: new Uint8Array(8), moved: false, cursor: undefined }),
    ],
  ]
  for (const [name, ask] of asks) {
    const victim = new Victim(heads, random.branch(name))
    for (let round = 2; round < 12; round++) victim.hear(ask(round))
    victim.spent = 0
    const from = victim.now
    for (let number = 0; number < 1_000; number++) {
      victim.now += 10
      victim.hear(ask(20 + number))
    }
    const share = victim.spent / (victim.now - from)
    figures[`${name}Share`] = Math.round(share * 1000) / 1000
    if (share > mostShare) violations++
  }
  return { trials: heads, violations, ...figures }
}
