/**
 * The names of a store in the Origin Private File System. No specification says when a creation, rename or removal there lasts, nor that
 * `move` replaces a file in one step, and Chromium does not wait for the disk with any of them. What can be made to last is content, by
 * `flush`. So the files of a store are numbered, each number is used once, and which name means which number is kept in a log of its own.
 *
 * The log is one of two files. A line is a checksum and a change: `[generation, [[name, number or null], ...]]`; the first line of a log is
 * a change from nothing. A log is written anew into the other file, with the next generation, and flushed there before it counts: the
 * higher generation with a whole first line is read, up to the first line that is torn or of another generation.
 */
import type { AccessHandle, Directory } from './opfs-directory.ts'

type Change = readonly (readonly [name: string, number: number | null])[]

const files = ['names-0', 'names-1'] as const

/** A log that grew by this much is written anew, bytes. */
const longestTail = 65_536

interface Log {
  readonly handle: AccessHandle
  readonly generation: number
  readonly table: Map<string, number>
  /** Where the first line that does not count begins. */
  readonly end: number
  /** Whether nothing follows there. */
  readonly whole: boolean
}

export class Names {
  readonly #table: Map<string, number>
  #used: AccessHandle
  #spare: AccessHandle
  #generation: number
  #end: number
  /** Where what was written at once ended. */
  #rewritten: number
  /** What is in use is to be written anew: it may end in what never lasted, or it is long. */
  #isWorn = true

  private constructor(used: Log, spare: AccessHandle) {
    this.#used = used.handle
    this.#spare = spare
    this.#table = used.table
    this.#generation = used.generation
    this.#end = used.end
    this.#rewritten = used.end
  }

  /** `whole`: no name was lost. `isNew`: no name was ever synced. */
  static async open(directory: Directory): Promise<{ names: Names; whole: boolean; isNew: boolean }> {
    const opened = await Promise.allSettled(files.map((name) => directory.open(name)))
    const handles = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    try {
      for (const one of opened) if (one.status === 'rejected') throw one.reason
      const logs = await Promise.all(handles.map(readLog))
      const [used, spare] = logs.sort((one, other) => other.generation - one.generation)
      if (used === undefined || spare === undefined) throw new Error('two files make two logs')
      const whole = used.whole && (spare.generation > 0 || spare.whole)
      return { names: new Names(used, spare.handle), whole, isNew: used.generation === 0 }
    } catch (error) {
      for (const handle of handles) handle.close()
      throw error
    }
  }

  get(name: string): number | undefined {
    return this.#table.get(name)
  }

  list(): string[] {
    return [...this.#table.keys()].sort()
  }

  numbers(): Set<number> {
    return new Set(this.#table.values())
  }

  /** All of it or nothing, also when it rejects; lasting after `sync`. */
  async change(change: Change): Promise<void> {
    const before = change.map(([name]) => [name, this.#table.get(name) ?? null] as const)
    apply(this.#table, change)
    try {
      if (this.#isWorn) return await this.#rewrite()
      const line = await encode(this.#generation, change)
      writeAll(this.#used, line, this.#end)
      this.#end += line.length
      this.#isWorn = this.#end - this.#rewritten > longestTail
    } catch (error) {
      this.#isWorn = true
      apply(this.#table, before)
      throw error
    }
  }

  /** What a flush that failed was to store is not stored by another one: it is written again. */
  async sync(): Promise<void> {
    if (this.#isWorn) return this.#rewrite()
    this.#isWorn = true
    this.#used.flush()
    this.#isWorn = false
  }

  /** Whether the logs are still in the directory. A browser that clears its storage leaves those who have files open their handles. */
  static async areIn(directory: Directory): Promise<boolean> {
    for (const name of files) if (!(await directory.has(name))) return false
    return true
  }

  close(): void {
    this.#used.close()
    this.#spare.close()
  }

  async #rewrite(): Promise<void> {
    this.#generation++
    const line = await encode(this.#generation, [...this.#table])
    writeAll(this.#spare, line, 0)
    this.#spare.truncate(line.length)
    this.#spare.flush()
    ;[this.#used, this.#spare] = [this.#spare, this.#used]
    this.#end = line.length
    this.#rewritten = line.length
    this.#isWorn = false
  }
}

/** Writes all of it. A write that takes nothing found no room. */
export const writeAll = (handle: AccessHandle, bytes: Uint8Array, at: number): void => {
  for (let written = 0; written < bytes.length; ) {
    const count = handle.write(written === 0 ? bytes : bytes.subarray(written), { at: at + written })
    if (count <= 0) throw new DOMException('Nothing more was written.', 'QuotaExceededError')
    written += count
  }
}

const apply = (table: Map<string, number>, change: Change): void => {
  for (const [name, number] of change) {
    if (number === null) table.delete(name)
    else table.set(name, number)
  }
}

const newline = 10
const checksumLength = 16

const checksumOf = async (text: string): Promise<string> => {
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
  return Array.from(hash.subarray(0, checksumLength / 2), (byte) => byte.toString(16).padStart(2, '0')).join('')
}

const encode = async (generation: number, change: Change): Promise<Uint8Array> => {
  const text = JSON.stringify([generation, change])
  return new TextEncoder().encode(`${await checksumOf(text)} ${text}\n`)
}

const decode = async (line: string): Promise<{ generation: number; change: Change } | undefined> => {
  const text = line.slice(checksumLength + 1)
  if (line.slice(0, checksumLength + 1) !== `${await checksumOf(text)} `) return undefined
  // What has the checksum was written here.
  const [generation, change]: [number, Change] = JSON.parse(text)
  return { generation, change }
}

const readLog = async (handle: AccessHandle): Promise<Log> => {
  const bytes = new Uint8Array(handle.getSize())
  const read = bytes.subarray(0, handle.read(bytes, { at: 0 }))
  const table = new Map<string, number>()
  let [generation, end] = [0, 0]
  for (let to = read.indexOf(newline); to >= 0; to = read.indexOf(newline, end)) {
    const line = await decode(new TextDecoder().decode(read.subarray(end, to)))
    if (line === undefined || (generation > 0 && line.generation !== generation)) break
    generation = line.generation
    apply(table, line.change)
    end = to + 1
  }
  return { handle, generation, table, end, whole: end === read.length }
}
