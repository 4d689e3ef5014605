/**
 * Which parts of the product's source have run, from V8's own block coverage: no instrumented build, no native addon. A look costs about a
 * millisecond, so inputs are looked at in batches and a batch that reached something new is halved until it is known which input did.
 *
 * V8 merges blocks that ran equally often, so that one block has another range in every report; coverage is kept by character of the
 * source therefore, not by range.
 */
import { type Profiler, Session } from 'node:inspector'

/** Characters of source, by script. */
export type Marks = ReadonlyMap<string, readonly number[]>

export class Coverage {
  readonly #session = new Session()
  readonly #places: readonly string[]
  /** By script: a mark for every character that ran. */
  readonly #reached = new Map<string, Uint8Array>()

  /** `places`: parts of the paths of the files that count. */
  constructor(places: readonly string[]) {
    this.#places = places
    this.#session.connect()
    this.#session.post('Profiler.enable')
    // Without counts: blocks of optimised functions are not reported with them.
    this.#session.post('Profiler.startPreciseCoverage', { callCount: false, detailed: true })
    this.look()
  }

  /** Characters of source that ran so far, and so a measure of how far the search got. */
  get characters(): number {
    let sum = 0
    for (const marks of this.#reached.values()) for (const mark of marks) sum += mark
    return sum
  }

  /** The characters that ran since the last look and never before; undefined for none. They count as reached from here on. */
  look(): Marks | undefined {
    const fresh = new Map<string, number[]>()
    for (const [url, ran] of this.#ran()) {
      const before = this.#reached.get(url) ?? new Uint8Array(0)
      const after = before.length >= ran.length ? before : new Uint8Array(ran.length)
      if (after !== before) after.set(before)
      const places: number[] = []
      for (let at = 0; at < ran.length; at++) {
        if (ran[at] === 0 || after[at] === 1) continue
        after[at] = 1
        places.push(at)
      }
      this.#reached.set(url, after)
      if (places.length > 0) fresh.set(url, places)
    }
    return fresh.size > 0 ? fresh : undefined
  }

  /** Those marks that ran since the last look and those that did not. */
  divide(marks: Marks): { readonly ran: Marks; readonly missed: Marks } {
    const now = this.#ran()
    const ran = new Map<string, readonly number[]>()
    const missed = new Map<string, readonly number[]>()
    for (const [url, places] of marks) {
      const script = now.get(url)
      const hit = places.filter((at) => script?.[at] === 1)
      if (hit.length > 0) ran.set(url, hit)
      if (hit.length < places.length)
        missed.set(
          url,
          places.filter((at) => script?.[at] !== 1),
        )
    }
    return { ran, missed }
  }

  stop(): void {
    this.#session.post('Profiler.stopPreciseCoverage')
    this.#session.disconnect()
  }

  #ran(): Map<string, Uint8Array> {
    const ran = new Map<string, Uint8Array>()
    for (const { url, functions } of this.#take()) {
      if (!this.#places.some((place) => url.includes(place))) continue
      const script = new Uint8Array(Math.max(...functions.map(({ ranges }) => ranges[0]?.endOffset ?? 0)))
      for (const { ranges } of functions)
        for (const range of ranges) script.fill(range.count > 0 ? 1 : 0, range.startOffset, range.endOffset)
      ran.set(url, script)
    }
    return ran
  }

  #take(): Profiler.ScriptCoverage[] {
    let taken: Profiler.ScriptCoverage[] = []
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error
      taken = answer.result
    })
    return taken
  }
}
