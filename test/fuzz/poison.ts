/**
 * The campaign of poison commits: commits that are hashed and chained as they should be and whose content is what nobody should write, among
 * good ones, on a few items with fields of all kinds. However they come, nothing throws, every item opens, and two replicas that hold the same
 * commits show the same values: compared between two orders, one of them with duplicates and with commits before their parents, and now and
 * then with the oracle, which writes out the rules slowly.
 */
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import { isRefusal } from '../../packages/engine/src/bytes/refusal.ts'
import type { Commit } from '../../packages/engine/src/commit/commit.ts'
import type { MergedItem } from '../../packages/engine/src/merge/item.ts'
import { Oracle } from '../../packages/engine/src/merge/oracle.ts'
import { type Stream, stream } from '../sim/random.ts'
import { BareReplica, type Verdict } from './bare.ts'
import { processorTime } from './meter.ts'
import { plainly, readAll } from './plainly.ts'
import { changedPrototype } from './prototypes.ts'
import { Scene, schemas } from './scene.ts'

export interface PoisonFinding {
  readonly seed: string
  readonly world: number
  readonly what: string
}

/** What became of the commits of one kind. */
export interface Fate {
  made: number
  /** Not read, or not admitted. */
  refused: number
  /** Counted as a change that cannot be applied or is not allowed. */
  dead: number
  waiting: number
  counted: number
}

export interface PoisonReport {
  /** Poison commits; the good ones come on top. */
  readonly trials: number
  readonly violations: number
  readonly seed: string
  readonly commits: number
  readonly worlds: number
  /** Items whose value two replicas agreed on, and those that the oracle agreed on too. */
  readonly compared: number
  readonly judged: number
  readonly seconds: number
  /** ms of the processor to read, check and count one commit and to read the items it changes. */
  readonly p9999: number
  readonly worst: number
  readonly worstKind: string
  /** MB on the heap after all, above what was there before. */
  readonly heap: number
  readonly kinds: Readonly<Record<string, Fate>>
  readonly found: readonly PoisonFinding[]
}

export interface PoisonOptions {
  readonly commits: number
  readonly seed: string
}

const mostFindings = 10

interface Regression {
  readonly seed: string
  readonly world: number
}

export const poisonRegressions = (): Regression[] =>
  JSON.parse(readFileSync(new URL('./regressions/poison.json', import.meta.url), 'utf8'))

export const poison = ({ commits, seed }: PoisonOptions): PoisonReport => {
  const began = performance.now()
  const heapBefore = process.memoryUsage().heapUsed
  const tally = new Tally()
  const found: PoisonFinding[] = []
  const play = (of: string, world: number): void => {
    try {
      playWorld(stream(of, `poison ${world}`), tally)
      const changed = changedPrototype()
      if (changed !== undefined) throw new Error(`${changed} was changed`)
    } catch (error) {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
      found.push({ seed: of, world, what: what.split('\n').slice(0, 6).join(' ') })
    }
  }
  for (const known of poisonRegressions()) play(known.seed, known.world)
  let worlds = 0
  while (tally.poison < commits && found.length < mostFindings) play(seed, worlds++)
  const round = (value: number): number => Math.round(value * 1000) / 1000
  const times = tally.times.sort((a, b) => a - b)
  return {
    trials: tally.poison,
    violations: found.length,
    seed,
    commits: times.length,
    worlds,
    compared: tally.compared,
    judged: tally.judged,
    seconds: round((performance.now() - began) / 1000),
    p9999: round(times[Math.floor(times.length * 0.9999)] ?? 0),
    worst: round(times.at(-1) ?? 0),
    worstKind: tally.worstKind,
    heap: round((process.memoryUsage().heapUsed - heapBefore) / 1_048_576),
    kinds: Object.fromEntries([...tally.kinds].sort(([a], [b]) => (a < b ? -1 : 1))),
    found,
  }
}

class Tally {
  poison = 0
  compared = 0
  judged = 0
  worstKind = ''
  readonly times: number[] = []
  readonly kinds = new Map<string, Fate>()
  #worst = 0

  took(kind: string, ms: number): void {
    this.times.push(ms)
    if (ms <= this.#worst) return
    this.#worst = ms
    this.worstKind = kind
  }

  fate(kind: string): Fate {
    const fate = this.kinds.get(kind) ?? { made: 0, refused: 0, dead: 0, waiting: 0, counted: 0 }
    this.kinds.set(kind, fate)
    return fate
  }
}

const worldLength = 48

const playWorld = (draw: Stream, tally: Tally): void => {
  const scene = new Scene(draw)
  const { replica } = scene
  const kept: Commit[] = []
  const verdicts: Verdict[] = []
  for (let turn = 0; turn < worldLength; turn++) {
    if (kept.length > 0 && draw.chance(0.04)) {
      const verdict = { commit: draw.pick(kept).id, n: verdicts.length }
      verdicts.push(verdict)
      scene.enter(verdict)
    }
    const { kind, bytes } = draw.chance(0.65) ? scene.poison() : { kind: 'good', bytes: scene.good() }
    if (kind !== 'good') tally.poison++
    const began = processorTime()
    const commit = replica.receive(bytes)
    if (!isRefusal(commit))
      for (const { key, schema } of commit.changes.slice(0, 8)) {
        const item = replica.counting.item(key, schema.hash)
        if (item !== undefined) readAll(item)
      }
    tally.took(kind, processorTime() - began)
    const fate = tally.fate(kind)
    fate.made++
    if (isRefusal(commit)) {
      fate.refused++
      if (kind === 'good') throw new Error(`a good commit was refused: ${commit.code} ${commit.about}`)
      continue
    }
    if (replica.counting.waiting.has(commit.id)) fate.waiting++
    else if (replica.refused.has(commit.id)) fate.dead++
    else fate.counted++
    kept.push(commit)
    scene.admitted(commit)
  }
  const other = inAnotherOrder(kept, verdicts, draw)
  compare(replica, other, tally)
  if (draw.chance(0.3)) for (const [name, item] of replica.items()) if (isSmall(item)) judge(name, item, tally)
}

/** A replica that was given the same in another causal order, some of it twice, some before what it builds on. */
const inAnotherOrder = (kept: readonly Commit[], verdicts: readonly Verdict[], draw: Stream): BareReplica => {
  const replica = new BareReplica(schemas)
  const left = draw.shuffle(kept)
  let entered = 0
  while (left.length > 0) {
    if (entered < verdicts.length && draw.chance(0.1)) {
      const verdict = verdicts[entered++]
      if (verdict !== undefined) replica.enter(verdict)
    }
    const index = draw.int(left.length)
    const commit = left[index]
    if (commit === undefined) continue
    const outcome = replica.receive(commit.bytes)
    if (!isRefusal(outcome)) left.splice(index, 1)
    else if (outcome.code !== 'MissingParents')
      throw new Error(`admitted in one order and refused in another: ${outcome.code} ${outcome.about}`)
    if (draw.chance(0.1) && !isRefusal(outcome) && !isRefusal(replica.receive(commit.bytes)))
      throw new Error(`${commit.id} was admitted twice`)
    // Values are read at other moments than in the first replica, so that what is cached differs.
    if (draw.chance(0.2)) for (const [, item] of replica.items()) item.value()
  }
  for (const verdict of verdicts.slice(entered)) replica.enter(verdict)
  return replica
}

const compare = (one: BareReplica, other: BareReplica, tally: Tally): void => {
  const values = new Map([...one.items()].map(([name, item]) => [name, plainly(item)]))
  const others = new Map([...other.items()].map(([name, item]) => [name, plainly(item)]))
  const empty = { presence: [], fields: {} }
  for (const name of new Set([...values.keys(), ...others.keys()])) {
    const [value = empty, otherValue = empty] = [values.get(name), others.get(name)]
    tally.compared++
    if (!isDeepStrictEqual(value, otherValue))
      throw new Error(`two orders, two values of ${name}: ${difference(value, otherValue)}`)
  }
  for (const [, item] of other.items()) readAll(item)
  const waiting = (of: BareReplica) => [...of.counting.waiting.keys()].sort((a, b) => (a < b ? -1 : 1))
  if (!isDeepStrictEqual(waiting(one), waiting(other))) throw new Error('two orders, and other commits wait')
}

const difference = (a: object, b: object): string => {
  const [one, other] = [JSON.stringify(a), JSON.stringify(b)]
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  return `${one.slice(Math.max(0, at - 80), at + 120)} | ${other.slice(at, at + 120)}`
}

/** The oracle takes the square of everything, and knows no limit of size. */
const isSmall = (item: MergedItem): boolean =>
  item.graph.nodes.length <= 40 &&
  item.graph.nodes.reduce(
    (sum, { operations }) =>
      sum + operations.reduce((units, one) => units + (one.kind === 'splice' ? one.length : 8), 0),
    0,
  ) < 1500

const judge = (name: string, item: MergedItem, tally: Tally): void => {
  const oracle = new Oracle(item.schema)
  for (const { id, clock, parents, operations, seen, refused } of item.graph.nodes)
    oracle.add({ id, clock, parents: parents.map((parent) => item.graph.node(parent).id), operations, seen, refused })
  for (const { id, voided } of item.graph.nodes) if (voided !== undefined) oracle.void(id, voided)
  for (const { id, inapplicable } of item.graph.nodes)
    if (oracle.isApplicable(id) === inapplicable) throw new Error(`the oracle does not agree on whether ${id} applies`)
  const { presence, fields } = oracle.value(oracle.heads())
  tally.judged++
  const value = plainly(item)
  if (!isDeepStrictEqual(value, { presence, fields }))
    throw new Error(`the oracle does not agree on ${name}: ${difference(value, { presence, fields })}`)
}
