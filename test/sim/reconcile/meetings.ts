/** One seed: replicas that meet again and again, and the laws that every meeting keeps. */
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import { universe } from '../../sync/pair.ts'
import type { Stream } from '../random.ts'
import { Channels, Link } from './channels.ts'
import { type Beginning, type Difference, differenceOf, estimate } from './estimate.ts'
import { Histories } from './histories.ts'
import { lying } from './lies.ts'
import { heldBack, lacking, Replica } from './replica.ts'
import { type Rung, rungsOf } from './rungs.ts'
import type { Meeting, Scenario } from './scenario.ts'

/** A law of reconciliation is broken. */
export class Unlawful extends Error {
  readonly law: 'divergence' | 'rounds' | 'time' | 'silence' | 'bytes' | 'rest'

  constructor(law: Unlawful['law'], message: string) {
    super(`${law}: ${message}`)
    this.law = law
  }
}

export interface Played {
  readonly seed: string
  readonly rungs: ReadonlySet<Rung>
  readonly rounds: number
  /** The same where a chain had forked. */
  readonly roundsOfForks: number
  readonly bytesRatio: number
  readonly weighed: number
  readonly messages: number
}

/**
 * Rounds until two honest replicas that nobody disturbs are level: a sketch, or the first filter; a filter for what that left over, whose
 * false hits (0.8 % each) the next one does not repeat; and after two fruitless ones names without a filter, which leave nothing.
 */
export const mostRounds = 4
/** So many follow each other without a pause: nothing but messages is waited for. */
const roundsAtOnce = 3
/** The branches that a want names as held are offered a round later. */
export const mostRoundsForked = mostRounds + 1
/**
 * The same where names and ids were mined to begin alike: whole names come after two fruitless rounds, and rounds that bring some of what
 * is hidden put that off.
 */
export const mostRoundsMined = 2 * mostRounds
/**
 * The same where something is held back: so many fruitless rounds before both rest, after the last one that brought something, and the rest
 * of a fork comes late beside a branch that is held back.
 */
export const mostRoundsToRest = 2 * mostRounds + limits.idleRounds
/** Rounds within `lyingTime` with a peer that lies: three at once, and then pauses that double from 250 ms to 30 s. */
const mostRoundsWithLiar = 3 + 7 + 20 + 1
const lyingTime = 600_000
/** Messages of one round by an honest side: filter, lists, wants, pushes, fingerprint, and answers to each. */
const messagesOfRound = 12
export const mostBytesRatio = 1.3
/** Commits written while a meeting goes on; each may come after a fruitless round, and begin the count anew. */
const mostWrites = 10
/** A bound for programs without end; ten times what the longest of a thousand seeds takes. */
const mostSteps = 60_000
/** Every pause and every patience is over by then. */
const longest = 7_200_000

export class Meetings {
  readonly #seed: string
  readonly #scenario: Scenario
  readonly #random: Stream
  readonly #replicas: readonly Replica[]
  readonly #links: readonly Link[]
  readonly #channels: Channels
  readonly #histories: Histories
  readonly #rungs = new Set<Rung>()
  #rounds = 0
  #roundsOfForks = 0
  #bytesRatio = 0
  #weighed = 0
  #messages = 0
  #lies: boolean

  constructor(seed: string, scenario: Scenario, random: Stream) {
    universe.clear()
    this.#seed = seed
    this.#scenario = scenario
    this.#random = random.branch('play')
    this.#replicas = Array.from(
      { length: scenario.replicas },
      (_, index) => new Replica('abcd'[index] ?? '', seed, scenario.alike),
    )
    const ends = scenario.links.map(([a, b]): [Replica, Replica] => [this.#at(a), this.#at(b)])
    this.#links = ends.map((both, index) => new Link(both, scenario.filtersAlone[index] ?? [false, false]))
    this.#channels = new Channels(this.#links, random.branch('channels'))
    this.#histories = new Histories(random.branch('histories'), scenario.shape, this.#replicas)
    this.#lies = scenario.lies.length > 0
  }

  get lines(): readonly string[] {
    return this.#channels.lines
  }

  #at(index: number): Replica {
    const replica = this.#replicas[index]
    if (replica === undefined) throw new Error(`no replica ${index}`)
    return replica
  }

  get #liar(): Replica | undefined {
    return this.#lies ? this.#replicas.at(-1) : undefined
  }

  play(): Played {
    const { shape, empty, alike, meetings, reforms } = this.#scenario
    this.#histories.begin()
    if (empty !== undefined) this.#at(empty).restore(0)
    if (shape.forks > 0) this.#rungs.add('fork')
    if (shape.branches > 0) this.#rungs.add('fork of a thousand branches')
    if (shape.mined) this.#rungs.add('names and ids mined')
    if (alike) this.#rungs.add('digests alike')
    this.#refuse()
    for (const [index, kind] of meetings.entries()) {
      const last = index === meetings.length - 1
      if (this.#lies) this.#meetLiar(last)
      if (last && this.#lies && reforms) {
        this.#rungs.add('a liar reforms')
        this.#lies = false
      }
      this.#meet(kind)
      if (last) break
      for (const replica of this.#replicas) this.#between(replica)
    }
    return {
      seed: this.#seed,
      rungs: this.#rungs,
      rounds: this.#rounds,
      roundsOfForks: this.#roundsOfForks,
      bytesRatio: this.#bytesRatio,
      weighed: this.#weighed,
      messages: this.#messages,
    }
  }

  /** What some replica's pipeline does not take. */
  #refuse(): void {
    const { refusal } = this.#scenario
    const random = this.#random.branch('refusal')
    const replica = random.pick(this.#replicas)
    if (refusal === 'rate' || refusal === 'disk') {
      this.#rungs.add('refused for a while')
      let [second, left] = [0, 0]
      const until = this.#channels.now + random.int(60_000)
      replica.refuses = () => {
        if (refusal === 'disk') return this.#channels.now < until ? 'DiskFull' : undefined
        const now = Math.floor(this.#channels.now / 1_000)
        if (now !== second) [second, left] = [now, 8]
        return left-- > 0 ? undefined : 'TooFast'
      }
    }
    if (refusal !== 'for good' && refusal !== 'waits') return
    const others = this.#replicas.flatMap((other) => lacking(replica, other))
    if (others.length === 0) return
    this.#rungs.add(refusal === 'waits' ? 'held: waits for ever' : 'held: refused for good')
    for (let count = 1 + random.int(3); count > 0; count--) {
      const id = random.pick(others)
      const commit = universe.get(id)
      if (commit === undefined) continue
      if (refusal === 'waits') {
        universe.set(id, { ...commit, parents: [...commit.parents, 'f'.repeat(64)] })
        for (const other of this.#replicas) if (!other.has(id)) other.held.add(id)
      } else replica.held.add(id)
    }
    if (refusal === 'for good') replica.refuses = ({ id }) => (replica.held.has(id) ? 'BadSignature' : undefined)
  }

  #between(replica: Replica): void {
    const random = this.#random
    const { restores, refusal } = this.#scenario
    const canRestore = refusal === 'none' || refusal === 'rate' || refusal === 'disk'
    if (canRestore && restores > 0 && random.chance(restores)) {
      const count = random.int(replica.count() + 1)
      replica.restore(count)
      for (const link of this.#links)
        if (link.ends[0] === replica && link.known !== undefined && link.known.at > count) link.known = undefined
      this.#channels.lines.push(`${replica.name} is set back to ${count}`)
      this.#rungs.add('restored from an old backup')
      if (random.chance(0.3)) this.#histories.forkSelf(replica)
    }
    this.#histories.later(replica)
  }

  /** With a liar about, for a while: no more is done for it than its rounds are worth. */
  #meetLiar(last: boolean): void {
    const random = this.#random.branch('lies')
    for (const link of this.#links) {
      const at = link.ends.indexOf(this.#liar ?? link.ends[0])
      if (this.#liar === undefined || at < 0) continue
      link.moved = this.#hint(link)
      link.tamper = lying(at === 0 ? 0 : 1, this.#scenario.lies, random, (lie) => this.#rungs.add(`lie: ${lie}`))
      this.#channels.connect(link)
    }
    const until = this.#channels.now + lyingTime
    if (!this.#channels.run(mostSteps, until)) throw new Unlawful('silence', 'a liar keeps the others busy')
    for (const link of this.#channels.open) {
      const honest = link.ends[0] === this.#liar ? 1 : 0
      const sent = link.said.filter(({ from }) => from === honest).length
      const asked = link.said.filter(({ from, message }) => from === honest && message.kind === 'filter').length
      const most = mostRoundsWithLiar + (last ? 0 : 1)
      if (honest === 0 && asked > most) throw new Unlawful('rounds', `${asked} rounds with a liar at ${link.name}`)
      if (sent > messagesOfRound * most) throw new Unlawful('rounds', `${sent} messages to a liar at ${link.name}`)
      this.#messages += link.said.length
    }
    for (const link of this.#channels.open) this.#channels.drop(link, random.chance(0.5))
    for (const link of this.#links) link.tamper = undefined
    for (const replica of this.#replicas) replica.pool = []
  }

  #hint(link: Link): number {
    if (this.#scenario.hints === 'right') return differenceOf(...link.ends).chains
    this.#rungs.add('wrong hint')
    return this.#random.pick([0, 1, 3, 4, 40, 1_000, 2 ** 40])
  }

  #meet(kind: Meeting): void {
    const { twice, filtersAlone } = this.#scenario
    const random = this.#random
    const links = this.#links.filter(({ ends }) => this.#liar === undefined || !ends.includes(this.#liar))
    const before = links.map(({ ends }) => differenceOf(...ends))
    const counts = links.map(({ ends }) => ends.map((end) => end.count()))
    for (const [index, link] of links.entries()) {
      link.moved = this.#hint(link)
      const alone = filtersAlone[index] ?? [false, false]
      if (alone[0] !== alone[1]) this.#rungs.add('filters alone on one side')
      if (alone[0] && alone[1]) this.#rungs.add('filters alone on both sides')
      if (twice > 0) {
        this.#rungs.add('message twice')
        link.tamper = (message) => (message.kind !== 'hello' && random.chance(twice) ? [message, message] : [message])
      } else link.tamper = undefined
      this.#channels.connect(link)
    }
    if (kind === 'broken') return this.#breakOff(links)
    const from = this.#channels.now
    let [writes, leveled, took] = [kind === 'live' ? 1 + random.int(mostWrites) : 0, -1, 0]
    const quiet = this.#channels.run(mostSteps, this.#channels.now + longest, () => {
      if (writes > 0 && random.chance(0.1)) {
        writes--
        this.#write(random.pick(links.flatMap(({ ends }) => ends)))
      }
      if (leveled < 0 && links.every(({ pair }) => pair?.phases === 'level,level'))
        [leveled, took] = [links.reduce((sum, { said }) => sum + said.length, 0), this.#channels.now - from]
    })
    if (!quiet) throw new Unlawful('silence', `no end after ${mostSteps} steps`)
    for (const link of links) this.#judge(link, kind)
    const [only] = links
    const [difference] = before
    const undisturbed = links.length === 1 && kind === 'plain' && twice === 0 && this.#scenario.refusal === 'none'
    if (undisturbed && only !== undefined && difference !== undefined) {
      if (leveled >= 0 && only.said.length > leveled)
        throw new Unlawful('silence', 'something was said when both were level')
      const rounds = roundsOf(only)
      const { forked } = difference
      if (took > 0 && rounds <= roundsAtOnce)
        throw new Unlawful('time', `level after ${took} ms, with ${rounds} rounds`)
      if (rounds > (this.#scenario.shape.mined ? mostRoundsMined : forked ? mostRoundsForked : mostRounds))
        throw new Unlawful('rounds', `${rounds} rounds`)
      if (forked) this.#roundsOfForks = Math.max(this.#roundsOfForks, rounds)
      else if (!this.#scenario.shape.mined) this.#rounds = Math.max(this.#rounds, rounds)
      if (!difference.forked && !this.#scenario.shape.mined) this.#weigh(only, difference, counts[0] ?? [])
      this.#writeOnce(only)
    }
    for (const link of links) {
      for (const rung of rungsOf(link.said)) this.#rungs.add(rung)
      this.#messages += link.said.length
      this.#channels.drop(link, true)
    }
    for (const replica of this.#replicas) replica.pool = []
  }

  #write(replica: Replica): void {
    this.#channels.write(replica, this.#histories.write(replica))
  }

  /** Channels die anywhere, and are opened again, and die. */
  #breakOff(links: readonly Link[]): void {
    const random = this.#random
    for (let times = 1 + random.int(4); times > 0; times--) {
      for (let left = random.int(40); left > 0; left--) if (!this.#channels.once()) break
      const link = random.pick(links)
      for (const rung of rungsOf(link.said)) this.#rungs.add(rung)
      this.#channels.drop(link, random.chance(0.5))
      if (random.chance(0.3)) for (const end of link.ends) end.pool = []
      if (times > 1) this.#channels.connect(link)
    }
    for (const link of this.#channels.open) this.#channels.drop(link, random.chance(0.5))
    this.#rungs.add('channel lost')
  }

  /** Equal and level, or what is missing is held back and both rest; and no timer is left. */
  #judge(link: Link, kind: Meeting): void {
    const { pair, ends, name } = link
    if (pair === undefined) throw new Error('judged when it is over')
    let different = false
    for (const [at, end] of ends.entries()) {
      const missing = lacking(end, ends[at === 0 ? 1 : 0])
      different ||= missing.length > 0
      const back = heldBack(end, missing)
      const lost = missing.filter((id) => !back.has(id))
      if (lost.length > 0) throw new Unlawful('divergence', `${end.name} lacks ${lost.length} commits at ${name}`)
    }
    const phases = different ? 'resting,resting' : 'level,level'
    if (pair.phases !== phases) throw new Unlawful('rest', `${pair.phases} at ${name}, not ${phases}`)
    if (pair.due !== Number.POSITIVE_INFINITY) throw new Unlawful('silence', `a timer is left at ${name}`)
    const offence = pair.sides.flatMap(({ offences }) => offences)[0]
    if (offence !== undefined && this.#scenario.twice === 0)
      throw new Unlawful('rest', `an offence at ${name}: ${offence.code} ${offence.about}`)
    if (!different) return
    const rounds = roundsOf(link)
    const most = mostRoundsToRest + (kind === 'live' ? mostWrites : 0)
    if (this.#scenario.twice === 0 && this.#links.length === 1 && rounds > most)
      throw new Unlawful('rounds', `${rounds} rounds before the rest at ${name}`)
    for (const [at, end] of ends.entries()) {
      const heads = ends[at === 0 ? 1 : 0].heads().map(({ id }) => id)
      const wanted = heads.filter((id) => !end.has(id)).sort()
      const named = [...new Set(pair.sides[at === 0 ? 0 : 1].rests.at(-1))].sort()
      // Where the leader could tell by itself that the other is behind, it sent commits and named no head; and what comes twice
      // makes it compare once more, after which it names nothing.
      const isWrong =
        at === 0 && this.#scenario.twice === 0
          ? named.join() !== wanted.join()
          : named.some((id) => !wanted.includes(id))
      if (isWrong)
        throw new Unlawful('rest', `${end.name} rests at ${name} and names ${named.length} heads of ${wanted.length}`)
    }
  }

  /** Bytes against what the difference should cost. */
  #weigh(link: Link, difference: Difference, counts: readonly number[]): void {
    const { pair, said, filtersAlone } = link
    if (pair === undefined) return
    const [first] = said.flatMap(({ from, message }) => (from === 0 && message.kind === 'hello' ? [message] : []))
    const sketch = first?.sketch
    const filters = said.filter(({ from, message }) => from === 0 && message.kind === 'filter').length
    const refused = said.find(({ from, message }) => from === 1 && message.kind === 'sums')?.message
    const by: Beginning['by'] =
      (counts[0] ?? 0) === 0 || (counts[1] ?? 0) === 0
        ? 'empty'
        : filtersAlone[0] || filtersAlone[1] || sketch === undefined
          ? 'filters'
          : sketch instanceof Uint32Array
            ? { sums: sketch.length, after: 'hello' }
            : refused?.kind === 'sums'
              ? { sums: refused.sums.length, after: 'cursor' }
              : 'cursor'
    const wasted =
      (by !== 'filters' && by !== 'empty') ||
      sketch === undefined ||
      (sketch instanceof Uint32Array && sketch.length === 0)
        ? 0
        : sketch instanceof Uint32Array
          ? 2 + 4 * sketch.length
          : 11
    const expected = estimate(link.ends, difference, { by, filters, wasted })
    const ratio = pair.bytes / expected
    this.#weighed++
    this.#bytesRatio = Math.max(this.#bytesRatio, ratio)
    if (ratio > mostBytesRatio)
      throw new Unlawful(
        'bytes',
        `${pair.bytes} of ${Math.round(expected)} expected, ${JSON.stringify({ by, filters, difference })}`,
      )
  }

  /** When both are level a commit costs one push, and some time later one comparison; then there is silence again. */
  #writeOnce(link: Link): void {
    const { said, ends, filtersAlone } = link
    const before = said.length
    this.#write(ends[this.#random.int(2) === 0 ? 0 : 1])
    const quiet = this.#channels.run(mostSteps, this.#channels.now + longest)
    const kinds = said.slice(before).map(({ message }) => message.kind)
    const expected = filtersAlone[0] ? ['push'] : ['push', 'fingerprint', 'fingerprint']
    if (!quiet || kinds.join() !== expected.join())
      throw new Unlawful('silence', `a commit between two that are level: ${kinds.join()}`)
    if (!filtersAlone[0]) this.#rungs.add('comparison when level')
    this.#judge(link, 'plain')
  }
}

/** A sketch is one, and each filter of the side that dialled. */
const roundsOf = ({ said }: Link): number => {
  const sketched = said.some(
    ({ from, message }) =>
      (message.kind === 'hello' && from === 0 && message.sketch !== undefined) || message.kind === 'sums',
  )
  return (sketched ? 1 : 0) + said.filter(({ from, message }) => from === 0 && message.kind === 'filter').length
}
