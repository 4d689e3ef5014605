/**
 * The one world of a simulation: virtual time, an agenda of events, and a trace. One event runs at a time, and everything it sets going in
 * microtasks comes to rest before the checks run and before the next event is taken, so a run is a function of the seed. Nothing
 * in a world may wait for anything real: a promise that only a real timer, socket or thread settles would settle at another step
 * in every run. Times are milliseconds since the world began.
 */
import { createHash } from 'node:crypto'
import { type Event, EventHeap } from './heap.ts'
import { Stream } from './random.ts'

export interface WorldOptions {
  /** Stops before the event after this many steps: a replay up to a failure. */
  readonly until?: number
  /** More steps than this are a failure: something goes round without time passing. */
  readonly stepLimit?: number
  /** Lines of the trace kept for printing. */
  readonly keep?: number
  /** Gets every line of the trace. */
  readonly log?: (line: string) => void
}

/** Why `run` came back: the time is up, the step to stop at is reached, or what was waited for came true. */
export type Ended = 'time' | 'step' | 'met'

/** A seed failed. The message names the place and how to see it again; `lines` are the last lines of the trace. */
export class Failure extends Error {
  readonly seed: string
  readonly step: number
  readonly time: number
  readonly lines: readonly string[]

  constructor(what: string, world: World, cause?: unknown) {
    const place = `seed=${world.seed} step=${world.steps} t=${(world.now / 1000).toFixed(3)}s`
    super(`FAIL ${what} ${place}\nreplay: npm run sim -- --seed ${world.seed} --until ${world.steps} --log`, { cause })
    this.name = 'Failure'
    this.seed = world.seed
    this.step = world.steps
    this.time = world.now
    this.lines = world.lines()
  }
}

interface Check {
  readonly name: string
  readonly every: number
  readonly run: () => void | Promise<void>
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** Comes back when every microtask has run. With nothing real pending, nothing else can happen meanwhile. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export class World {
  /** Unhandled rejections belong to the process, so they can be told apart only while one world runs at a time. */
  static #running: World | undefined

  readonly seed: string
  readonly #options: WorldOptions
  readonly #heap = new EventHeap()
  readonly #streams = new Map<string, Stream>()
  readonly #checks: Check[] = []
  readonly #trace = createHash('sha256')
  readonly #kept: string[] = []
  #rejected: { reason: unknown } | undefined
  #sequence = 0
  #steps = 0
  #now = 0

  constructor(seed: string, options: WorldOptions = {}) {
    this.seed = seed
    this.#options = options
  }

  get now(): number {
    return this.#now
  }

  /** Events run so far. */
  get steps(): number {
    return this.#steps
  }

  /** The stream of this name: always the same object, so that two users of one name share its draws. */
  stream(label: string): Stream {
    let known = this.#streams.get(label)
    if (known === undefined) {
      known = new Stream(this.seed, label)
      this.#streams.set(label, known)
    }
    return known
  }

  /** Runs `run` once, `delay` milliseconds from now. The returned function cancels it. */
  at(delay: number, label: string, run: () => void): () => void {
    return this.when(this.#now + Math.max(0, delay), label, run)
  }

  /** Runs `run` once at this time, or now if that has passed. Whoever must keep an order counts on equal times, not on sums of delays. */
  when(time: number, label: string, run: () => void): () => void {
    if (Number.isNaN(time)) throw new RangeError(`${label} is scheduled at no time`)
    const event: Event = { time: Math.max(time, this.#now), sequence: this.#sequence++, label, run }
    this.#heap.push(event)
    return () => this.#heap.cancel(event)
  }

  /** Runs after every event, or after every so many. A throw fails the seed. It may await microtasks but never virtual time. */
  check(name: string, run: () => void | Promise<void>, every = 1): void {
    this.#checks.push({ name, every, run })
  }

  /** Adds a line to the trace. */
  note(label: string): void {
    this.#trace.update(`${this.#now} ${label}\n`)
    const keep = this.#options.keep ?? 200
    if (keep === 0 && this.#options.log === undefined) return
    const line = `${String(this.#steps).padStart(6)} ${this.#now.toFixed(3).padStart(12)} ${label}`
    this.#options.log?.(line)
    this.#kept.push(line)
    if (this.#kept.length > 2 * keep) this.#kept.splice(0, this.#kept.length - keep)
  }

  /** The last lines of the trace. */
  lines(): string[] {
    return this.#kept.slice(-(this.#options.keep ?? 200))
  }

  /** SHA-256, in hex, over time and label of everything that happened so far. */
  traceHash(): string {
    return this.#trace.copy().digest('hex')
  }

  /** Runs events until this time, or until `met` holds after one of them. Throws `Failure`. */
  async run(until: number, met?: () => boolean): Promise<Ended> {
    if (World.#running !== undefined) throw new Error('one world runs at a time')
    World.#running = this
    const others = process.listeners('unhandledRejection')
    const note = (reason: unknown): void => {
      this.#rejected ??= { reason }
    }
    process.removeAllListeners('unhandledRejection')
    process.on('unhandledRejection', note)
    try {
      return await this.#loop(until, met)
    } finally {
      process.removeListener('unhandledRejection', note)
      for (const listener of others) process.on('unhandledRejection', listener)
      World.#running = undefined
    }
  }

  async #loop(until: number, met: (() => boolean) | undefined): Promise<Ended> {
    await this.#settled('before the first event')
    if (met?.()) return 'met'
    for (;;) {
      const next = this.#heap.peek()
      if (next === undefined || next.time > until) break
      if (this.#steps >= (this.#options.until ?? Number.POSITIVE_INFINITY)) return 'step'
      if (this.#steps >= (this.#options.stepLimit ?? 10_000_000)) throw new Failure('too many steps', this)
      await this.#step()
      if (met?.()) return 'met'
    }
    this.#now = Math.max(this.#now, until)
    return 'time'
  }

  async #step(): Promise<void> {
    const event = this.#heap.pop()
    if (event?.run === undefined) return
    this.#now = event.time
    this.#steps++
    this.note(event.label)
    try {
      event.run()
    } catch (error) {
      throw new Failure(`${event.label}: ${describe(error)}`, this, error)
    }
    await this.#settled(event.label)
    for (const check of this.#checks) if (this.#steps % check.every === 0) await this.#judge(check)
  }

  async #settled(label: string): Promise<void> {
    await settle()
    if (this.#rejected === undefined) return
    const { reason } = this.#rejected
    this.#rejected = undefined
    throw new Failure(`unhandled rejection after ${label}: ${describe(reason)}`, this, reason)
  }

  async #judge(check: Check): Promise<void> {
    const verdict: { given: boolean; error?: unknown } = { given: false }
    try {
      const pending = check.run()
      if (pending === undefined) return
      pending.then(
        () => Object.assign(verdict, { given: true }),
        (error: unknown) => Object.assign(verdict, { given: true, error: error ?? new Error('rejected') }),
      )
      await this.#settled(check.name)
      if (!verdict.given) throw new Error('the check waits for virtual time')
      if (verdict.error !== undefined) throw verdict.error
    } catch (error) {
      if (error instanceof Failure) throw error
      throw new Failure(`${check.name}: ${describe(error)}`, this, error)
    }
  }
}
