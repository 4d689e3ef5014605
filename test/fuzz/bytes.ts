/**
 * The campaign of bytes: for each target, inputs are made from a corpus, run, and kept when they reached code or an outcome that none did
 * before. Everything follows from the seed but the times, so a finding comes back with its seed, and its input is in the report anyway.
 */
import { readFileSync } from 'node:fs'
import { createContext, Script } from 'node:vm'
import { fromHex, toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { type Stream, stream } from '../sim/random.ts'
import { Coverage, type Marks } from './coverage.ts'
import { alone, Meter, processorTime } from './meter.ts'
import { mutateBytes, mutateTree } from './mutate.ts'
import { changedPrototype } from './prototypes.ts'
import { bombs, type Target, targets } from './targets.ts'

export interface Finding {
  readonly target: string
  /** Hex. */
  readonly input: string
  readonly what: string
}

export interface TargetReport {
  readonly name: string
  readonly inputs: number
  /** Inputs that the target accepted. */
  readonly accepted: number
  readonly corpus: number
  readonly outcomes: number
  /** Characters of source that ran. */
  readonly reached: number
  /** ms of the processor, here and below, that 99.99 % of the inputs did not exceed. */
  readonly p9999: number
  readonly worst: number
  /** ms of the slowest inputs once more, each by itself, and the most memory one of them took, MB. */
  readonly worstAlone: number
  readonly worstMegabytes: number
  /** MB by which the process grew in one batch, in all, and what was still on the heap in the end. */
  readonly memory: { readonly batch: number; readonly process: number; readonly heap: number }
}

export interface BytesReport {
  readonly trials: number
  readonly violations: number
  readonly seed: string
  readonly seconds: number
  /** Of the processor. */
  readonly processorSeconds: number
  /** Inputs a second of the processor. */
  readonly perSecond: number
  readonly found: readonly Finding[]
  readonly targets: readonly TargetReport[]
}

interface Regression {
  readonly target: string
  readonly input: string
  /** What it is: what went wrong in the product, or in a copy with a bug planted. */
  readonly what: string
}

export interface BytesOptions {
  readonly inputs: number
  readonly seed: string
  /** Of the targets those with this name; all unless told. */
  readonly target?: string | undefined
  /** Without the large inputs, and without measuring the slowest ones once more: both take seconds. */
  readonly brief?: boolean
}

const batchSize = 512
const mostCorpus = 1024
/** Larger inputs cost a hundred times as much and are tried seldom. */
const longestKept = 16_384
const mostLarge = 64
/** Inputs that are looked for in a batch that reached something new. */
const mostTries = 3
const mostFindings = 10
/** Some refusals quote the input, so there is no end of them. */
const mostOutcomes = 256
/** ms after which a batch, of milliseconds usually, hangs. */
const patience = 60_000

export const regressions = (): Regression[] =>
  JSON.parse(readFileSync(new URL('./regressions/bytes.json', import.meta.url), 'utf8'))

export const fuzzBytes = (options: BytesOptions): BytesReport => {
  const began = performance.now()
  const processorBegan = processorTime()
  const chosen = targets.filter(({ name }) => options.target === undefined || name === options.target)
  if (chosen.length === 0)
    throw new RangeError(`no target ${options.target}: ${targets.map(({ name }) => name).join(', ')}`)
  const campaigns = chosen.map((target) => new Campaign(target, options.seed))
  const share = Math.ceil(options.inputs / chosen.length)
  const reports = campaigns.map((campaign) => campaign.run(share, options.brief ?? false))
  const trials = reports.reduce((sum, { inputs }) => sum + inputs, 0)
  const found = campaigns.flatMap(({ findings }) => findings)
  const seconds = (performance.now() - began) / 1000
  const processorSeconds = (processorTime() - processorBegan) / 1000
  return {
    trials,
    violations: found.length,
    seed: options.seed,
    seconds,
    processorSeconds,
    perSecond: Math.round(trials / processorSeconds),
    found,
    targets: reports,
  }
}

class Campaign {
  readonly findings: Finding[] = []
  readonly #target: Target
  readonly #draw: Stream
  readonly #corpus: Uint8Array[] = []
  readonly #large: Uint8Array[] = []
  readonly #outcomes = new Set<string>()
  readonly #broken = new Set<string>()
  #accepted = 0
  /** An input was found that does not end: those that come from it do not either. */
  #hangs = false
  #inputs = 0

  constructor(target: Target, seed: string) {
    this.#target = target
    this.#draw = stream(seed, `fuzz ${target.name}`)
  }

  run(count: number, brief: boolean): TargetReport {
    const target = this.#target
    const meter = new Meter()
    const coverage = new Coverage(target.sources)
    const watched = new Watched()
    const given = regressions().flatMap((one) => (one.target === target.name ? [fromHex(one.input)] : []))
    // One by one: a large input in a batch of them would hide what a single one takes.
    for (const input of [...given, ...(brief ? [] : bombs(this.#draw))])
      this.#runBatch([input], meter, coverage, watched)
    for (let samples = 0; samples < 64; samples++) this.#keep(target.sample(this.#draw))
    this.#runBatch(this.#corpus.slice(), meter, coverage, watched)
    while (this.#inputs < count && this.findings.length < mostFindings && !this.#hangs) {
      const size = Math.min(batchSize, count - this.#inputs)
      this.#runBatch(
        Array.from({ length: size }, () => this.#next()),
        meter,
        coverage,
        watched,
      )
    }
    coverage.stop()
    const memory = meter.memory()
    const again = (brief ? [] : meter.slowest).map(({ input }) => alone(() => void this.#target.read(input)))
    const round = (ms: number): number => Math.round(ms * 1000) / 1000
    return {
      name: target.name,
      inputs: this.#inputs,
      accepted: this.#accepted,
      corpus: this.#corpus.length,
      outcomes: this.#outcomes.size,
      reached: coverage.characters,
      p9999: round(meter.quantile(0.9999)),
      worst: round(meter.slowest[0]?.ms ?? 0),
      worstAlone: round(Math.max(0, ...again.map(({ ms }) => ms))),
      worstMegabytes: round(Math.max(0, ...again.map(({ megabytes }) => megabytes))),
      memory,
    }
  }

  #next(): Uint8Array {
    const draw = this.#draw
    if (draw.chance(0.02)) return this.#target.sample(draw)
    if (this.#large.length > 0 && draw.chance(0.0005)) {
      const large = draw.pick(this.#large)
      return mutateBytes(large, large.subarray(0, 64), draw)
    }
    // What came last has been tried least.
    const recent = draw.chance(0.3) ? Math.max(0, this.#corpus.length - 32) : 0
    const from = this.#corpus[recent + draw.int(this.#corpus.length - recent)] ?? new Uint8Array(0)
    const other = draw.pick(this.#corpus)
    const asTree = this.#target.isCbor && draw.chance(0.7) ? mutateTree(from, other, draw) : undefined
    const mutated = asTree ?? mutateBytes(from, other, draw)
    return this.#target.repair !== undefined && draw.chance(0.7) ? this.#target.repair(mutated) : mutated
  }

  #keep(input: Uint8Array): void {
    if (input.length > longestKept) {
      if (this.#large.length < mostLarge) this.#large.push(input)
    } else if (this.#corpus.length < mostCorpus) this.#corpus.push(input)
    else this.#corpus[this.#draw.int(mostCorpus)] = input
  }

  #runBatch(batch: readonly Uint8Array[], meter: Meter, coverage: Coverage, watched: Watched): void {
    const fresh = new Set<Uint8Array>()
    let current: Uint8Array | undefined
    const hung = watched.run(() => {
      for (const input of batch) {
        current = input
        const outcome = this.#judge(input, meter)
        if (outcome?.startsWith('accepted') === true) this.#accepted++
        if (outcome === undefined || this.#outcomes.has(outcome) || this.#outcomes.size === mostOutcomes) continue
        this.#outcomes.add(outcome)
        fresh.add(input)
      }
    })
    this.#inputs += batch.length
    if (hung && current !== undefined) {
      this.#hangs = true
      return this.#find(current, `it ran for more than ${patience} ms`)
    }
    meter.look()
    const marks = coverage.look()
    if (marks !== undefined) for (const input of this.#reaching(batch, marks, coverage)) fresh.add(input)
    for (const input of fresh) this.#keep(input)
    if (changedPrototype() !== undefined) this.#findPolluter(batch)
  }

  /** Inputs of the batch that reach what is marked, by halving: a look costs more than a few hundred inputs. */
  #reaching(batch: readonly Uint8Array[], marks: Marks, coverage: Coverage): Uint8Array[] {
    const reaching: Uint8Array[] = []
    let open = marks
    // What is not found in a few tries depends on what ran before; it is not worth the time.
    for (let tries = 0; tries < mostTries && open.size > 0; tries++) {
      let part = batch
      while (part.length > 1) {
        const half = part.slice(0, part.length >> 1)
        for (const input of half) this.#judge(input)
        part = coverage.divide(open).ran.size > 0 ? half : part.slice(half.length)
      }
      const [found] = part
      if (found === undefined) break
      this.#judge(found)
      const { ran, missed } = coverage.divide(open)
      if (ran.size === 0) break
      reaching.push(found)
      open = missed
    }
    return reaching
  }

  #findPolluter(batch: readonly Uint8Array[]): void {
    for (const input of batch) {
      this.#judge(input)
      const changed = changedPrototype()
      if (changed !== undefined) this.#find(input, `it changed ${changed}`)
    }
  }

  /** What came of an input; undefined when a promise was broken. */
  #judge(input: Uint8Array, meter?: Meter): string | undefined {
    try {
      const began = processorTime()
      const read = this.#target.read(input)
      meter?.took(input, processorTime() - began)
      return this.#target.judge(input, read)
    } catch (error) {
      this.#find(input, error instanceof Error ? (error.stack ?? error.message) : String(error))
      return undefined
    }
  }

  #find(input: Uint8Array, what: string): void {
    // One input a kind is enough.
    const kind = what.replace(/[0-9a-f]{4,}|\d+/g, '#').slice(0, 60)
    if (this.#broken.has(kind)) return
    this.#broken.add(kind)
    this.findings.push({ target: this.#target.name, input: toHex(input), what: what.split('\n').slice(0, 4).join(' ') })
  }
}

/** Runs code that V8 ends when it runs for too long: a loop without end is a finding, not a campaign without end. */
class Watched {
  readonly #script = new Script('run()')
  #run: () => void = () => undefined
  readonly #context = createContext({ run: () => this.#run() })

  /** Whether it had to be ended. */
  run(code: () => void): boolean {
    this.#run = code
    try {
      this.#script.runInContext(this.#context, { timeout: patience })
      return false
    } catch (error) {
      // An error of the other context, so no instance of an error here.
      if (typeof error !== 'object' || error === null || !('code' in error)) throw error
      if (error.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return true
      throw error
    }
  }
}
