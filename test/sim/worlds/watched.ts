/** A `Files` port that tells what goes wrong on another one. */
import { type File, type Files, StorageError } from '@weft-db/engine'
import type { Coverage } from '../coverage.ts'

class WatchedFile implements File {
  readonly #file: File
  readonly #coverage: Coverage

  constructor(file: File, coverage: Coverage) {
    this.#file = file
    this.#coverage = coverage
  }

  size(): Promise<number> {
    return this.#file.size()
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#file.read(offset, length)
  }

  async write(offset: number, bytes: Uint8Array): Promise<number> {
    try {
      const written = await this.#file.write(offset, bytes)
      if (written < bytes.length) this.#coverage.saw('short write')
      return written
    } catch (error) {
      this.#coverage.saw(error instanceof StorageError && error.code === 'DiskFull' ? 'disk full' : 'write failed')
      throw error
    }
  }

  async sync(): Promise<void> {
    try {
      await this.#file.sync()
    } catch (error) {
      this.#coverage.saw('sync failed')
      throw error
    }
  }

  truncate(size: number): Promise<void> {
    return this.#file.truncate(size)
  }

  close(): Promise<void> {
    return this.#file.close()
  }
}

export class WatchedFiles implements Files {
  readonly #files: Files
  readonly #coverage: Coverage

  constructor(files: Files, coverage: Coverage) {
    this.#files = files
    this.#coverage = coverage
  }

  async open(name: string, create: boolean): Promise<File | undefined> {
    if (create && name.endsWith('.torn')) this.#coverage.saw('torn tail cut')
    const file = await this.#files.open(name, create)
    return file === undefined ? undefined : new WatchedFile(file, this.#coverage)
  }

  list(): Promise<string[]> {
    return this.#files.list()
  }

  rename(from: string, to: string): Promise<void> {
    return this.#files.rename(from, to)
  }

  remove(name: string): Promise<void> {
    return this.#files.remove(name)
  }

  syncNames(): Promise<void> {
    return this.#files.syncNames()
  }

  lock(): Promise<() => Promise<void>> {
    return this.#files.lock()
  }
}
