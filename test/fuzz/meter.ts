/**
 * What a campaign costs: time by input, and memory around batches. Time is that of the processor, for a machine that does other things too
 * would add its own; what V8 does beside our code, collecting and compiling, is in it.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')

/** Steps of the histogram per doubling of the time. */
const steps = 16
/** ms */
const shortest = 1e-3
const kept = 8

/** ms of processor time since the process began. */
export const processorTime = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

export interface Slow {
  readonly input: Uint8Array
  readonly ms: number
}

export class Meter {
  /** The slowest inputs, slowest first. */
  readonly slowest: Slow[] = []
  readonly #histogram = new Uint32Array(32 * steps)
  #count = 0
  #rssBefore = 0
  #rssGrowth = 0
  #heapGrowth = 0
  readonly #heapAtFirst: number
  readonly #rssAtFirst: number

  constructor() {
    collect()
    const { heapUsed, arrayBuffers, rss } = process.memoryUsage()
    this.#heapAtFirst = heapUsed + arrayBuffers
    this.#rssAtFirst = rss
    this.#rssBefore = rss
  }

  took(input: Uint8Array, ms: number): void {
    this.#count++
    const step = Math.max(
      0,
      Math.min(this.#histogram.length - 1, Math.floor(Math.log2(Math.max(ms, shortest) / shortest) * steps)),
    )
    this.#histogram[step] = (this.#histogram[step] ?? 0) + 1
    if (this.slowest.length === kept && ms <= (this.slowest.at(-1)?.ms ?? 0)) return
    this.slowest.push({ input, ms })
    this.slowest.sort((a, b) => b.ms - a.ms)
    this.slowest.length = Math.min(this.slowest.length, kept)
  }

  /** After a batch. */
  look(): void {
    const { rss } = process.memoryUsage()
    this.#rssGrowth = Math.max(this.#rssGrowth, rss - this.#rssBefore)
    this.#rssBefore = Math.max(this.#rssBefore, rss)
  }

  /** The time, ms, that this part of the inputs did not exceed, to one step of the histogram. */
  quantile(part: number): number {
    let left = this.#count * (1 - part)
    for (let step = this.#histogram.length - 1; step > 0; step--) {
      left -= this.#histogram[step] ?? 0
      if (left < 0) return shortest * 2 ** ((step + 1) / steps)
    }
    return shortest
  }

  /** MB: the most that one batch added to the process, the whole campaign, and what the heap keeps of it. */
  memory(): { readonly batch: number; readonly process: number; readonly heap: number } {
    const { rss } = process.memoryUsage()
    collect()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    this.#heapGrowth = heapUsed + arrayBuffers - this.#heapAtFirst
    const megabytes = (bytes: number): number => Math.round(bytes / 104_857.6) / 10
    return {
      batch: megabytes(this.#rssGrowth),
      process: megabytes(rss - this.#rssAtFirst),
      heap: megabytes(this.#heapGrowth),
    }
  }
}

/** The time and the memory that one input takes by itself, warm and without a collection under way: the best of a few runs. */
export const alone = (run: () => void): { readonly ms: number; readonly megabytes: number } => {
  let ms = Number.POSITIVE_INFINITY
  let bytes = Number.POSITIVE_INFINITY
  for (let times = 0; times < 5; times++) {
    collect()
    const before = process.memoryUsage()
    const began = processorTime()
    run()
    ms = Math.min(ms, processorTime() - began)
    const after = process.memoryUsage()
    bytes = Math.min(bytes, after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers)
  }
  return { ms, megabytes: Math.max(0, bytes) / 1_048_576 }
}
