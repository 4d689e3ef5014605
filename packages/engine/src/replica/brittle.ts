/** A disk in memory whose calls a test makes fail, and whose power a test cuts. Only tests use it. */
import { StorageError } from '../bytes/refusal.ts'
import type { File, Files } from './ports.ts'

type Change = { at: number; bytes: Uint8Array } | { truncate: number }
interface Content {
  /** What a reader sees. */
  seen: Uint8Array
  /** What a power cut leaves, but for a beginning of `unsynced`. */
  durable: Uint8Array
  unsynced: Change[]
}
export type Fault = 'DiskFull' | 'DiskError' | 'short'

const applied = (bytes: Uint8Array, change: Change): Uint8Array => {
  const length = 'truncate' in change ? change.truncate : Math.max(bytes.length, change.at + change.bytes.length)
  const next = new Uint8Array(length)
  next.set(bytes.subarray(0, length))
  if ('bytes' in change) next.set(change.bytes, change.at)
  return next
}

/**
 * A disk that counts calls and fails those it is told to. A sync that fails drops what it was to store and says nothing of it to the
 * next one, while readers go on seeing it. Handles refuse to be used after a failure.
 */
export class Disk implements Files {
  readonly contents = new Map<string, Content>()
  readonly #fresh = new Set<string>()
  readonly #nameless = new Set<string>()
  calls = 0
  log: string[] = []
  fault: (call: number) => Fault | undefined = () => undefined
  onCall: () => void = () => undefined

  #enter(name: string): Fault | undefined {
    this.onCall()
    this.log.push(name)
    const fault = this.fault(this.calls++)
    if (fault === 'DiskFull' || fault === 'DiskError') {
      if (name !== 'sync') throw new StorageError(fault)
    }
    return fault
  }

  async open(name: string, create: boolean): Promise<File | undefined> {
    this.#enter('open')
    let content = this.contents.get(name)
    if (content === undefined) {
      if (!create) return undefined
      content = { seen: new Uint8Array(0), durable: new Uint8Array(0), unsynced: [] }
      this.contents.set(name, content)
      this.#fresh.add(name)
    }
    return this.#file(content)
  }

  #file(content: Content): File {
    let usable = true
    const enter = (name: string): Fault | undefined => {
      if (!usable) throw new Error(`${name} on a handle that failed`)
      try {
        return this.#enter(name)
      } catch (error) {
        if (name !== 'read') usable = false
        throw error
      }
    }
    const change = (next: Change): void => {
      content.seen = applied(content.seen, next)
      content.unsynced.push(next)
    }
    return {
      size: async () => content.seen.length,
      read: async (offset, length) => {
        enter('read')
        return content.seen.slice(offset, offset + length)
      },
      write: async (at, bytes) => {
        const part = enter('write') === 'short' ? bytes.slice(0, Math.ceil(bytes.length / 2)) : bytes.slice()
        change({ at, bytes: part })
        return part.length
      },
      sync: async () => {
        const fault = enter('sync')
        const unsynced = content.unsynced
        content.unsynced = []
        if (fault === 'DiskFull' || fault === 'DiskError') {
          usable = false
          throw new StorageError(fault)
        }
        for (const next of unsynced) content.durable = applied(content.durable, next)
      },
      truncate: async (truncate) => {
        enter('truncate')
        change({ truncate })
      },
      close: async () => {
        usable = false
      },
    }
  }

  async list(): Promise<string[]> {
    return [...this.contents.keys()]
  }
  async rename(from: string, to: string): Promise<void> {
    this.#enter('rename')
    const content = this.contents.get(from)
    if (content === undefined) throw new Error(`no ${from}`)
    this.contents.delete(from)
    this.contents.set(to, content)
  }
  async remove(removed: string): Promise<void> {
    this.#enter('remove')
    this.contents.delete(removed)
    this.#fresh.delete(removed)
    this.#nameless.delete(removed)
  }
  async syncNames(): Promise<void> {
    try {
      this.#enter('syncNames')
    } catch (error) {
      // The failed names count as stored from now on, and never are.
      for (const fresh of this.#fresh) this.#nameless.add(fresh)
      throw error
    } finally {
      this.#fresh.clear()
    }
  }

  /** What a power cut leaves when everything but names is stored. */
  loseNames(): void {
    for (const lost of [...this.#fresh, ...this.#nameless]) this.contents.delete(lost)
  }
  async lock(): Promise<() => Promise<void>> {
    throw new Error('not used')
  }

  /** Disks as power cuts now may leave this one: with nothing unsynced, with every change and half of each change more. */
  *crashes(): Generator<Disk> {
    for (const [name, { durable, unsynced }] of this.contents) {
      let bytes = durable
      const states = [bytes]
      for (const change of unsynced) {
        if ('bytes' in change) {
          for (const length of [1, change.bytes.length >> 1, change.bytes.length - 1]) {
            states.push(applied(bytes, { at: change.at, bytes: change.bytes.subarray(0, length) }))
          }
        }
        bytes = applied(bytes, change)
        states.push(bytes)
      }
      for (const state of states) {
        const disk = new Disk()
        for (const [other, content] of this.contents) {
          const kept = other === name ? state : content.durable
          disk.contents.set(other, { seen: kept, durable: kept, unsynced: [] })
        }
        yield disk
      }
    }
  }

  put(name: string, bytes: Uint8Array): void {
    this.contents.set(name, { seen: bytes, durable: bytes, unsynced: [] })
  }
}
