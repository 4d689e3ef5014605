/** When a device drops history: once what went out of its offline window is much of its log, and nothing is on the road. */
import { refusal, WeftError } from '../bytes/refusal.ts'
import type { Compacted } from './cleaning.ts'
import { Compaction } from './compaction.ts'
import type { Counting } from './counting.ts'
import type { Host } from './host.ts'
import type { Pipeline } from './pipeline.ts'
import { Rests } from './rests.ts'

/** After the last append, ms. */
const quiet = 2_000
/** Between two looks at a log that goes on, by this part of the window, and ms at most. */
const looks = 16
const mostBetween = 3_600_000
/** What goes is this part of the commits in the log, at least: the log is written anew for it. */
const fraction = 4

type Surroundings = Pick<
  Host,
  'authority' | 'clock' | 'incident' | 'isBehind' | 'lasting' | 'offlineWindow' | 'runtime' | 'snapshotFrom'
>

export class Dropping {
  readonly #host: Surroundings
  readonly #pipeline: Pipeline
  readonly #counting: Counting
  #cancel: (() => void) | undefined
  /** When it was looked at last, ms of `elapsed`. */
  #looked: number | undefined
  /** The checkpoint behind which all was dropped in this run: what is in memory still has it. */
  #dropped = -1
  /** What came of it. */
  #last: Compacted | undefined
  #working: Promise<void> | undefined
  readonly #rests: Rests

  constructor(host: Surroundings, pipeline: Pipeline, counting: Counting) {
    this.#host = host
    this.#rests = new Rests(host.runtime)
    this.#pipeline = pipeline
    this.#counting = counting
  }

  get #isWanted(): boolean {
    const { authority, isBehind, lasting, offlineWindow } = this.#host
    return Number.isFinite(offlineWindow) && lasting && !authority && !isBehind && !this.#rests.isOver
  }

  get #isDue(): boolean {
    return this.#pipeline.rewriting.hasRecalled || this.#last?.isBuiltBeside() === true
  }

  /** Something was stored, or opened. */
  stored(): void {
    if (!this.#isWanted || this.#cancel !== undefined || this.#working !== undefined) return
    const { offlineWindow, runtime } = this.#host
    const between = Math.min(mostBetween, offlineWindow / looks)
    const isFirst = this.#looked === undefined || this.#isDue
    const next = isFirst ? quiet : Math.max(quiet, (this.#looked ?? 0) + between - runtime.elapsed())
    this.#cancel = runtime.timer(next, () => {
      this.#cancel = undefined
      if (!this.#pipeline.isIdle) return this.stored()
      this.#looked = runtime.elapsed()
      const n = this.#due()
      if (n !== undefined) this.#start(n)
    })
  }

  /**
   * The newest checkpoint that is older than the window, where that is worth the trouble. What came back has a place in the log twice, and some of it
   * may be erased: that is reason enough. So is what was built beside what went, in this run, in which that is in memory: whoever opens the log finds it
   * there.
   */
  #due(): number | undefined {
    const { clock, offlineWindow, snapshotFrom } = this.#host
    const { log, durableEntries } = this.#pipeline
    const before = clock.now() - offlineWindow
    const n = log.entries.findLastIndex(
      ({ statement, time }, place) => place < durableEntries && statement.kind === 'checkpoint' && time <= before,
    )
    if (this.#isDue) return Math.max(n, this.#dropped)
    if (n <= this.#dropped) return undefined
    const { goes, all } = new Compaction(this.#pipeline, this.#counting, n, this.#rest).part
    return goes >= Math.max(snapshotFrom, all / fraction) ? n : undefined
  }

  #start(n: number): void {
    this.#working = this.#drop(n)
      .catch((error: unknown) => {
        if (!this.#rests.isOver) this.#host.incident(refusal('Fault', String(error)), this.#pipeline.path)
      })
      .finally(() => {
        this.#working = undefined
      })
  }

  async #drop(n: number): Promise<void> {
    const compacted = await new Compaction(this.#pipeline, this.#counting, n, this.#rest).make()
    if (compacted === undefined || !this.#isWanted) return
    if (!(await this.#pipeline.compact(compacted))) return
    this.#dropped = n
    this.#last = compacted
  }

  /** Others have their turn; whoever closes the log need not wait for what is left to do. */
  readonly #rest = async (): Promise<void> => {
    await this.#rests.rest()
    if (this.#rests.isOver) throw new WeftError('Closed', this.#pipeline.path)
  }

  async close(): Promise<void> {
    this.#rests.end()
    this.#cancel?.()
    await this.#working
  }
}
