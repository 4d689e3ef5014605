/**
 * Where in a log its frames end, and how many commits each holds: enough to read any commit of it without reading what stands before. It
 * goes into snapshots, and is a cache like all of them.
 *
 *     layout = count, frame...;   frame = kind * 2 + whether it can be read alone, bytes, [commits]      commits where the frame holds any
 */
import { Cursor } from '../bytes/cursor.ts'
import { Sink } from '../bytes/sink.ts'
import { type Frame, frameKinds, scan } from './frame.ts'

const holdsCommits = (kind: number): boolean => kind === frameKinds.pack || kind === frameKinds.commit

/** A stretch of the log that is read alone, and the number of the first commit in it. */
export interface Segment {
  readonly from: number
  readonly to: number
  readonly first: number
}

export class LogLayout {
  readonly #kinds: number[] = []
  readonly #ends: number[] = []
  /** Commits in the frame. */
  readonly #commits: number[] = []
  readonly #alone: boolean[] = []
  #total = 0

  /** Where the last frame ends. */
  get end(): number {
    return this.#ends.at(-1) ?? 0
  }

  /** In all frames. */
  get commits(): number {
    return this.#total
  }

  /** `payload`: of the frame that ends there. */
  add(kind: number, payload: Uint8Array, end: number, commits: number): void {
    this.#push(kind, end, commits, kind !== frameKinds.pack || (payload[0] ?? 0) % 2 === 1)
  }

  #push(kind: number, end: number, commits: number, isAlone: boolean): void {
    this.#kinds.push(kind)
    this.#ends.push(end)
    this.#commits.push(commits)
    this.#alone.push(isAlone)
    this.#total += commits
  }

  /** Stretches of frames that hold commits: each begins with a pack that is read alone, or with the first of all. */
  segments(): Segment[] {
    const segments: { from: number; to: number; first: number }[] = []
    let first = 0
    for (const [index, kind] of this.#kinds.entries()) {
      if (!holdsCommits(kind)) continue
      const begins = kind === frameKinds.pack && this.#alone[index] === true
      const last = segments.at(-1)
      const to = this.#ends[index] ?? 0
      if (begins || last === undefined) segments.push({ from: this.#ends[index - 1] ?? 0, to, first })
      else last.to = to
      first += this.#commits[index] ?? 0
    }
    return segments
  }

  /** The frames of the log's bytes that hold neither commits nor a floor, each with how many commits stand before it. */
  *others(log: Uint8Array): Generator<{ readonly frame: Frame; readonly commits: number }> {
    let commits = 0
    for (const [index, kind] of this.#kinds.entries()) {
      const [from, to] = [this.#ends[index - 1] ?? 0, this.#ends[index] ?? 0]
      if (holdsCommits(kind)) commits += this.#commits[index] ?? 0
      else if (kind !== frameKinds.floor)
        for (const frame of scan(log.subarray(0, to), from).frames) yield { frame, commits }
    }
  }

  /** The frames of the log's bytes that hold its floor. */
  floor(log: Uint8Array): readonly Frame[] {
    return this.#kinds.flatMap((kind, index) => {
      const [from, to] = [this.#ends[index - 1] ?? 0, this.#ends[index] ?? 0]
      if (kind !== frameKinds.floor) return []
      // The header is no frame of its own here.
      return scan(log.subarray(0, to), from).frames.filter((frame) => frame.kind === kind)
    })
  }

  encode(): Uint8Array {
    const sink = new Sink(16 + 4 * this.#kinds.length)
    sink.varint(this.#kinds.length)
    let before = 0
    for (const [index, kind] of this.#kinds.entries()) {
      const end = this.#ends[index] ?? 0
      sink.varint(2 * kind + (this.#alone[index] === true ? 1 : 0))
      sink.varint(end - before)
      if (holdsCommits(kind)) sink.varint(this.#commits[index] ?? 0)
      before = end
    }
    return sink.take()
  }

  /** Undefined where these bytes are none. */
  static read(bytes: Uint8Array): LogLayout | undefined {
    const cursor = new Cursor(bytes)
    const layout = new LogLayout()
    let end = 0
    for (let left = cursor.varint(); left > 0; left--) {
      const first = cursor.varint()
      end += cursor.varint()
      const kind = Math.floor(first / 2)
      const commits = holdsCommits(kind) ? cursor.varint() : 0
      if (cursor.bad) return undefined
      layout.#push(kind, end, commits, first % 2 === 1)
    }
    return cursor.bad || cursor.at !== cursor.end ? undefined : layout
  }
}
