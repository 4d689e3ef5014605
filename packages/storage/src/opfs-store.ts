/**
 * A store in the Origin Private File System, as the worker has it: numbered files and their names. Its promises:
 *
 * 1. What `sync` of a file returned for is read again by every later opener, whatever ended this one. After a write, cut or flush that
 *    failed, the handle is closed, and nobody goes on with it: the file is opened anew.
 * 2. Names change in one step, and last after `syncNames`. The bytes of a file that lost its name go then, not before.
 * 3. Where the browser cleared the store behind its back, nothing is stored any more, and every call says so from the next `check` on:
 *    what is written into files that have lost their place is read by nobody.
 * 4. No file is removed for a name that damage took: it is listed as `lost-<number>`, unless it is empty.
 */
import type { AccessHandle, Directory } from './opfs-directory.ts'
import { Names, writeAll } from './opfs-names.ts'

export interface OpenFile {
  readonly number: number
  readonly handle: AccessHandle
  users: number
  /** Why nobody goes on with it. */
  failure: unknown
}

export class OpfsStore {
  readonly #directory: Directory
  readonly #names: Names
  readonly #open = new Map<number, OpenFile>()
  /** Files without a name, to be removed when that lasts. */
  readonly #nameless = new Set<number>()
  #next: number
  #isGone = false

  private constructor(directory: Directory, names: Names, next: number) {
    this.#directory = directory
    this.#names = names
    this.#next = next
  }

  /** A new store has been written, flushed and read when this resolves. Rejects where that is not possible. */
  static async open(directory: Directory): Promise<OpfsStore> {
    const listing = directory.list()
    listing.catch(() => undefined)
    let { names, whole, isNew } = await Names.open(directory)
    try {
      const there = new Set((await listing).filter((name) => /^\d+$/.test(name)).map(Number))
      // Names last before there are files.
      if (isNew && there.size > 0) whole = false
      if (isNew) {
        await names.sync()
        names.close()
        ;({ names, isNew } = await Names.open(directory))
        if (isNew) throw new Error('What was written is not there.')
      }
      const store = new OpfsStore(directory, names, Math.max(0, ...there, ...names.numbers()) + 1)
      await store.#settle(there, whole)
      return store
    } catch (error) {
      names.close()
      throw error
    }
  }

  /** Names whose file is gone go too, and so do, with the next names that last, files without a name. */
  async #settle(there: ReadonlySet<number>, whole: boolean): Promise<void> {
    const gone = this.#names.list().filter((name) => !there.has(this.#names.get(name) ?? 0))
    const named = this.#names.numbers()
    const lost: [string, number][] = []
    for (const number of there) {
      if (named.has(number)) continue
      if (!whole && (await this.#sizeOf(number)) > 0) lost.push([`lost-${number}`, number])
      else this.#nameless.add(number)
    }
    if (gone.length + lost.length > 0) await this.#names.change([...gone.map((name) => [name, null] as const), ...lost])
  }

  async #sizeOf(number: number): Promise<number> {
    const handle = await this.#directory.open(String(number))
    try {
      return handle.getSize()
    } finally {
      handle.close()
    }
  }

  list(): string[] {
    this.#mustBeThere()
    return this.#names.list()
  }

  async open(name: string, create: boolean): Promise<OpenFile | undefined> {
    this.#mustBeThere()
    const known = this.#names.get(name)
    if (known === undefined && !create) return undefined
    const number = known ?? this.#next++
    let file = this.#open.get(number)
    if (file === undefined) {
      file = { number, handle: await this.#directory.open(String(number)), users: 0, failure: undefined }
      this.#open.set(number, file)
    }
    file.users++
    try {
      if (known === undefined) await this.#names.change([[name, number]])
      return file
    } catch (error) {
      this.release(file)
      this.#nameless.add(number)
      throw error
    }
  }

  async rename(from: string, to: string): Promise<void> {
    this.#mustBeThere()
    const number = this.#names.get(from)
    if (number === undefined) throw new DOMException(`There is no ${from}.`, 'NotFoundError')
    if (from === to) return
    const replaced = this.#names.get(to)
    await this.#names.change([
      [from, null],
      [to, number],
    ])
    if (replaced !== undefined) this.#nameless.add(replaced)
  }

  async remove(name: string): Promise<void> {
    this.#mustBeThere()
    const number = this.#names.get(name)
    if (number === undefined) return
    await this.#names.change([[name, null]])
    this.#nameless.add(number)
  }

  async syncNames(): Promise<void> {
    this.#mustBeThere()
    await this.#names.sync()
    await this.#removeNameless()
  }

  /** One that is still open stays until the next time. */
  async #removeNameless(): Promise<void> {
    for (const number of this.#nameless) {
      if (this.#open.has(number)) continue
      await this.#directory.remove(String(number))
      this.#nameless.delete(number)
    }
  }

  /** Rejects, for good, when the browser has removed the files. */
  async check(): Promise<void> {
    if (this.#isGone || (await Names.areIn(this.#directory))) return this.#mustBeThere()
    this.#isGone = true
    this.#failAll(gone())
    this.#mustBeThere()
  }

  #mustBeThere(): void {
    if (this.#isGone) throw gone()
  }

  size(file: OpenFile): number {
    return this.#handle(file).getSize()
  }

  /** Up to `length` bytes, fewer at the end. */
  read(file: OpenFile, at: number, length: number): Uint8Array<ArrayBuffer> {
    const handle = this.#handle(file)
    const bytes = new Uint8Array(Math.max(0, Math.min(length, handle.getSize() - at)))
    return bytes.length === 0 ? bytes : bytes.subarray(0, handle.read(bytes, { at }))
  }

  write(file: OpenFile, at: number, bytes: Uint8Array): void {
    this.#change(file, (handle) => writeAll(handle, bytes, at))
  }

  truncate(file: OpenFile, size: number): void {
    this.#change(file, (handle) => handle.truncate(size))
  }

  sync(file: OpenFile): void {
    this.#change(file, (handle) => handle.flush())
  }

  release(file: OpenFile): void {
    if (--file.users === 0 && file.failure === undefined) {
      file.handle.close()
      this.#open.delete(file.number)
    }
  }

  /** Lets go of every file, so that another tab may have them. */
  close(): void {
    this.#failAll(new Error('The store was closed.'))
    this.#names.close()
  }

  #failAll(error: Error): void {
    for (const file of this.#open.values()) this.#fail(file, error)
  }

  #handle(file: OpenFile): AccessHandle {
    if (file.failure !== undefined) throw file.failure
    return file.handle
  }

  #change(file: OpenFile, change: (handle: AccessHandle) => void): void {
    const handle = this.#handle(file)
    try {
      change(handle)
    } catch (error) {
      this.#fail(file, error)
      throw error
    }
  }

  #fail(file: OpenFile, error: unknown): void {
    file.failure = error
    this.#open.delete(file.number)
    file.handle.close()
  }
}

const gone = (): Error => new Error('The browser removed what this page had stored.')
