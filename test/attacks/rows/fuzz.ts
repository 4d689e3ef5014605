/**
 * Rows A6, C3, C5, C6, C8, C10 and D13, which the fuzzers carry out: inputs for every decoder, commits made to break merging, orders of arrival,
 * and shapes of graphs. One campaign serves all rows that it shows.
 */
import { type BytesReport, fuzzBytes } from '../../fuzz/bytes.ts'
import { manyHeads } from '../../fuzz/heads.ts'
import { permutations } from '../../fuzz/permutations.ts'
import { type PoisonReport, poison } from '../../fuzz/poison.ts'
import { changedPrototype } from '../../fuzz/prototypes.ts'
import { mustHold, type Outcome, type Row } from '../row.ts'

const played = new Map<string, BytesReport | PoisonReport>()

const once = <Report extends BytesReport | PoisonReport>(name: string, play: () => Report): Report => {
  const known = played.get(name) ?? play()
  played.set(name, known)
  // The name says which of the two it is.
  return known as Report
}

const bytesOf = (inputs: number, seed: string): BytesReport =>
  once(`bytes ${inputs} ${seed}`, () => fuzzBytes({ inputs, seed, brief: inputs < 100_000 }))

const poisonOf = (commits: number, seed: string): PoisonReport =>
  once(`poison ${commits} ${seed}`, () => poison({ commits, seed }))

const ofBytes = ({ trials, violations, targets, found }: BytesReport): Outcome => ({
  trials,
  violations,
  accepted: targets.reduce((sum, { accepted }) => sum + accepted, 0),
  worstMilliseconds: Math.max(...targets.map(({ worstAlone }) => worstAlone)),
  worstMegabytes: Math.max(...targets.map(({ worstMegabytes }) => worstMegabytes)),
  first: found[0]?.what ?? '',
})

const ofPoison = ({ trials, violations, worlds, compared, worst, p9999, heap, found }: PoisonReport): Outcome => ({
  trials,
  violations,
  worlds,
  compared,
  worstMilliseconds: worst,
  p9999Milliseconds: p9999,
  grownMegabytes: heap,
  first: found[0]?.what ?? '',
})

/** A6: what a decoder accepts it writes out as it was, `trials` inputs. */
export const canonical: Row = async ({ trials, seed }) => {
  const outcome = ofBytes(bytesOf(trials, seed))
  mustHold(Number(outcome['accepted']) > 0, 'nothing was accepted', outcome.violations)
  return outcome
}

/** D13: no input ends, stops or fills a decoder. */
export const decoders: Row = async ({ trials, seed }) => ofBytes(bytesOf(trials, seed))

/** C8: whatever a commit holds, every item opens, and the same everywhere. */
export const poisoned: Row = async ({ trials, seed }) => ofPoison(poisonOf(trials, seed))

/** C10: names that every object has, on the wire and in fields: no prototype is another afterwards. */
export const prototypes: Row = async ({ trials, seed }) => {
  const [bytes, commits] = [bytesOf(trials, seed), poisonOf(Math.ceil(trials / 10), seed)]
  const changed = changedPrototype()
  return {
    trials: bytes.trials + commits.trials,
    violations: bytes.violations + commits.violations + (changed === undefined ? 0 : 1),
    changed: changed ?? '',
  }
}

/** C5: every order of up to seven heads, and `trials` graphs in other causal orders. */
export const orders: Row = async ({ trials: graphs, seed }) => {
  const { trials, violations, found } = permutations({ graphs, seed })
  return { trials, violations, graphs, first: found[0] ?? '' }
}

/** C3: an item of `trials` heads or diamonds; a shape whose cost grows faster than n log n by much, or takes too long, has got through. */
export const heads: Row = async ({ trials: count }) => {
  const { trials, violations, shapes, found } = manyHeads({ count })
  const slow = shapes.filter(({ name, ms }) => ms > ((name.startsWith('heads') ? 2_000 : 1_000) * count) / 10_000 + 500)
  return {
    trials,
    violations: violations + slow.length,
    count,
    first: found[0] ?? '',
    slowestMilliseconds: Math.max(...shapes.map(({ ms }) => ms)),
    steepestPower: Math.max(...shapes.map(({ power }) => power)),
    slow: slow.map(({ name, ms }) => `${name}: ${ms} ms`).join('; '),
  }
}
