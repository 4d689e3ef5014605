/**
 * The files of a tab. While it leads they are the browser's own. In any other tab they are a copy in memory: a log is read from the leader
 * when it is opened first, and from there on the copy goes its own way, because what is written here reaches the leader's log by sync.
 * A tab that leads no more lets go of the browser's files at once and for good: it reads and writes none of them any more, whatever its
 * replica still has open.
 */
import type { File, Files } from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'

/** A file as the leader has it; undefined for none. */
export type ReadFile = (name: string) => Promise<Uint8Array | undefined>

/** Logs, and what they are opened from. */
const copied = /\.log(?:\.snapshot)?$/

export class TabFiles implements Files {
  readonly readsOnlyStored?: true
  readonly #copies = memoryFiles()
  readonly #read: ReadFile
  readonly #copied = new Map<string, Promise<void>>()
  #stored: Files | undefined
  #isLetGo = false
  /** Files that were opened while they were the browser's: whoever opens one again has to find it, also where the next leader has none. */
  readonly #known = new Set<string>()

  /** `stored`: the browser's, for a tab that leads. */
  constructor(stored: Files | undefined, read: ReadFile) {
    this.#stored = stored
    this.#read = read
    if (stored === undefined || stored.readsOnlyStored === true) this.readsOnlyStored = true
  }

  /** From here on nothing of the browser's files is read or written. */
  letGo(): void {
    this.#stored = undefined
    this.#isLetGo = true
  }

  get isLetGo(): boolean {
    return this.#isLetGo
  }

  async open(name: string, create: boolean): Promise<File | undefined> {
    const stored = this.#stored
    if (stored === undefined) {
      if (copied.test(name)) await this.#copy(name)
      return this.#copies.open(name, create || this.#known.has(name))
    }
    try {
      const file = await stored.open(name, create)
      if (file === undefined) return undefined
      this.#known.add(name)
      return this.#guarded(name, file, stored)
    } catch (error) {
      if (this.#stored === stored) throw error
      return this.open(name, create)
    }
  }

  /** Reads it from the leader, unless it is here. */
  #copy(name: string): Promise<void> {
    const copied = this.#copied.get(name) ?? this.#fetch(name)
    this.#copied.set(name, copied)
    copied.catch(() => this.#copied.delete(name))
    return copied
  }

  async #fetch(name: string): Promise<void> {
    if ((await this.#copies.list()).includes(name)) return
    const bytes = await this.#read(name)
    if (bytes === undefined) return
    const file = await this.#copies.open(name, true)
    await file?.write(0, bytes)
    await file?.close()
  }

  /**
   * A handle that touches nothing once the files are let go: it takes what is written. What was only read goes on as the next leader has it,
   * so that a log that is being opened is opened whole; of what was written to by this handle nothing is read any more.
   */
  #guarded(name: string, file: File, of: Files): File {
    let isWritten = false
    let copy: Promise<File | undefined> | undefined
    const read = async <Result>(use: (file: File) => Promise<Result>, instead: Result): Promise<Result> => {
      try {
        if (this.#stored === of) return await use(file)
      } catch (error) {
        if (this.#stored === of) throw error
      }
      if (isWritten) return instead
      copy ??= this.open(name, true)
      const copied = await copy
      return copied === undefined ? instead : use(copied)
    }
    const ours = async <Result>(use: () => Promise<Result>, instead: Result): Promise<Result> => {
      if (this.#stored !== of) return instead
      try {
        return await use()
      } catch (error) {
        if (this.#stored === of) throw error
        return instead
      }
    }
    return {
      size: () => read((one) => one.size(), 0),
      read: (offset, length) => read((one) => one.read(offset, length), new Uint8Array(0)),
      write: (offset, bytes) => {
        isWritten = true
        return ours(() => file.write(offset, bytes), bytes.length)
      },
      sync: () => ours(() => file.sync(), undefined),
      truncate: (size) => ours(() => file.truncate(size), undefined),
      close: () => ours(() => file.close(), undefined),
    }
  }

  list(): Promise<string[]> {
    return (this.#stored ?? this.#copies).list()
  }

  async rename(from: string, to: string): Promise<void> {
    const stored = this.#stored
    if (stored !== undefined) return stored.rename(from, to)
    this.#copied.set(to, Promise.resolve())
    if ((await this.#copies.list()).includes(from)) await this.#copies.rename(from, to)
  }

  remove(name: string): Promise<void> {
    this.#known.delete(name)
    if (this.#stored === undefined) this.#copied.set(name, Promise.resolve())
    return (this.#stored ?? this.#copies).remove(name)
  }

  syncNames(): Promise<void> {
    return (this.#stored ?? this.#copies).syncNames()
  }

  async lock(): Promise<() => Promise<void>> {
    return async () => undefined
  }
}
