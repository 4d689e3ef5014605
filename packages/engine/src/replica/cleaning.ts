/**
 * Takes what a repository's log erases out of commits, and out of the file that holds them: it is written anew without it, and that is
 * tried until it works. The entry that erases is in the file already, so that whoever opens it after a crash goes on where this one stopped.
 */
import { isRefusal, type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import { type Commit, type Hash, readCommit } from '../commit/commit.ts'
import type { Packed } from '../commit/pack.ts'
import { idIn, stripCommit } from '../commit/strip.ts'
import { type Frame, type Framed, frameKinds } from '../log/frame.ts'
import { PackedLogReader, type PackedLogWriter } from '../log/packedlog.ts'
import type { AuthorityLog } from '../trust/authoritylog.ts'
import type { Journal } from './journal.ts'
import type { Runtime } from './ports.ts'

const replaced: ReadonlySet<number> = new Set([frameKinds.floor, frameKinds.recalled, frameKinds.known])
const isReplaced = (kind: number): boolean => replaced.has(kind)

/** Until the file is written anew after that failed, ms. */
const retryAfter = 30_000

/** What the log is written anew with. */
export interface Compacted {
  /** What stands behind the header. */
  readonly floor: readonly Framed[]
  /** What stays of the commits up to there: it stands behind that, ahead of all that may build on it. */
  readonly kept: readonly Commit[]
  /** Whether the commit is one of those up to there. */
  isCovered(id: string): boolean
  /** Whether nothing came since that does not fit it. */
  fits(): boolean
  /** Whether something came since that builds on what went, and not on the last of it: in memory that is still there. */
  isBuiltBeside(): boolean
}

export interface CleaningEvents {
  incident(why: Refusal): void
  /** It is time to try again. */
  again(): void
}

export class Cleaning {
  readonly #runtime: Runtime
  readonly #log: AuthorityLog
  readonly #of: CleaningEvents
  #isDue = false
  #isClosed = false
  #cancel: (() => void) | undefined
  readonly #waiting: (() => void)[] = []

  constructor(runtime: Runtime, log: AuthorityLog, of: CleaningEvents) {
    this.#runtime = runtime
    this.#log = log
    this.#of = of
  }

  /** Whether the file may hold what is erased and should be written anew now. */
  get isDue(): boolean {
    return this.#isDue && this.#cancel === undefined
  }

  /** Whether the file may hold what is erased, and will be written anew at some time. */
  get isPending(): boolean {
    return this.#isDue
  }

  /** Something was erased, or the file held what was. */
  due(): void {
    this.#isDue = true
  }

  isErased = (commit: string, key: string): boolean => this.#log.erasures.at(commit, key) !== undefined

  /** The commit without what is erased of it. */
  strip(commit: Commit): Commit {
    if (!this.#log.erasures.concerns(commit.id)) return commit
    return stripCommit(commit, (key) => this.isErased(commit.id, key), this.#runtime.hash)
  }

  /** Resolves when the file holds nothing of what is erased, or could not be written anew for now. */
  done(): Promise<void> {
    return new Promise((resolve) => {
      if (!this.isDue || this.#isClosed) resolve()
      else this.#waiting.push(resolve)
    })
  }

  /**
   * Writes the file anew, after what was made of it went (`discard`). What refers to packs before it is packed again, and `writer` begins
   * anew behind it. `compacted`: what goes beside what is erased, and what stands in its place. It never rejects.
   */
  async run(
    journal: Journal,
    writer: PackedLogWriter,
    discard: () => Promise<void>,
    compacted?: Compacted,
  ): Promise<void> {
    const reader = new PackedLogReader(this.#runtime.hash)
    writer.reset()
    await this.#try(discard().then(() => journal.rewrite((frame) => this.#clean(frame, reader, writer, compacted))))
    writer.reset()
  }

  /** Removes what a crash may have left beside the file. It never rejects. */
  async discardAside(journal: Journal): Promise<void> {
    await this.#try(journal.discardAside())
  }

  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    this.#settle()
  }

  /** The frames in the place of this one. What cannot be read is left out: nobody can tell what is in it. */
  #clean(
    frame: Frame,
    reader: PackedLogReader,
    writer: PackedLogWriter,
    compacted: Compacted | undefined,
  ): readonly Framed[] {
    const { hash } = this.#runtime
    const records = reader.read(frame)
    if (frame.kind === frameKinds.pack) {
      const stays = isRefusal(records) ? [] : records.filter(({ id }) => compacted?.isCovered(id) !== true)
      return writer.write(stays.map((record) => this.#cleanRecord(record, hash)))
    }
    if (compacted !== undefined && frame.kind === frameKinds.header)
      return [frame, ...compacted.floor, ...writer.write(compacted.kept.map((commit) => this.strip(commit)))]
    // What others held of this log was said of its beginning as it was.
    if (compacted !== undefined && isReplaced(frame.kind)) return []
    const id = frame.kind === frameKinds.commit ? idIn(frame.payload, hash) : undefined
    if (id === undefined) return [frame]
    if (compacted?.isCovered(id) === true) return []
    return [{ kind: frame.kind, payload: this.#cleanRecord({ id, bytes: frame.payload }, hash).bytes }]
  }

  #cleanRecord(record: Packed, hash: Hash): Packed {
    const commit = this.#log.erasures.concerns(record.id) ? readCommit(record.bytes, hash) : undefined
    return commit === undefined || isRefusal(commit) ? record : this.strip(commit)
  }

  async #try(work: Promise<void>): Promise<void> {
    try {
      await work
      this.#isDue = false
    } catch (error) {
      this.#isDue = true
      this.#of.incident(
        error instanceof WeftError ? refusal(error.code, error.about) : refusal('DiskError', String(error)),
      )
      if (!this.#isClosed) {
        this.#cancel ??= this.#runtime.timer(retryAfter, () => {
          this.#cancel = undefined
          this.#of.again()
        })
      }
    }
    this.#settle()
  }

  #settle(): void {
    for (const done of this.#waiting.splice(0)) done()
  }
}
