/**
 * Logging out: afterwards nothing of the person is on this device any more. Its promises:
 *
 * 1. A logout that rejects has changed nothing; one that resolved left no log, no evidence, no certificate and no key of the person.
 * 2. A crash leaves the device as it was, or logged out after the next opening, which ends the wipe before it reads anything else.
 * 3. What was written here and is not at the authority stops it, also what lies in logs that nobody opened, unless it may be discarded.
 *
 * Where an app has other stores on the device that nobody has open (of tabs that were closed), the person is logged out of them first.
 */
import { type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'
import type { Runtime } from './ports.ts'
import { type Belongings, finishLogout, mark, unsentIn, wipe, wipeClosed, withdraw } from './wipe.ts'

/** Between two tries, ms. */
const firstRetry = 500
const lastRetry = 30_000

/** A store that this replica has locked for the moment. */
export interface ClosedStore extends Belongings {
  release(): Promise<void>
}

/** What logging out needs of its replica. */
export interface Leaver {
  readonly runtime: Runtime
  belongings(): Belongings
  /** The app's other stores on this device, one at a time. */
  others(): AsyncIterable<ClosedStore>
  /** A repository in memory with own work that the authority has not acknowledged. */
  unacknowledged(): string | undefined
  /** Whether the file is the log of a repository in memory. */
  isOpen(name: string): boolean
  /** Opens a repository with work that was never sent, so that it is. */
  send(path: string): void
  /** Runs `use` with what stays of the root log, while nothing is added to it. */
  keeping(use: (kept: Uint8Array) => Promise<void>): Promise<void>
  /** Ends and forgets whatever is in memory of the person. Resolves when no file is in use. */
  part(): Promise<void>
  /** Goes on with nobody logged in. Called again when it rejects. */
  anew(): Promise<void>
  /** Storing failed and is tried again, or works again. */
  storage(problem: Refusal | undefined): void
}

export class Logout {
  readonly #of: Leaver
  readonly #hash: Hash
  #running: Promise<void> | undefined
  #frozen = false
  #closed = false
  #wake: (() => void) | undefined

  constructor(of: Leaver) {
    this.#of = of
    this.#hash = (bytes) => of.runtime.hash(bytes)
  }

  /** Nothing may be edited or opened: what came now would be lost. */
  get isFrozen(): boolean {
    return this.#frozen
  }

  /** Resolves when no logout is under way. */
  async over(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined)
  }

  /**
   * Rejects, with everything as it was, with `Unsynced`, or with a `StorageError` when the marker cannot be stored. Where the disk fails
   * later it is tried until it works; `Closed` when the replica closes first, and then the next opening does the rest.
   */
  run(discard: boolean): Promise<void> {
    const running = (this.#running ?? Promise.resolve())
      .catch(() => undefined)
      .then(() => this.#run(discard))
      .finally(() => {
        this.#frozen = false
        if (this.#running === running) this.#running = undefined
      })
    this.#running = running
    return running
  }

  async #run(discard: boolean): Promise<void> {
    if (this.#closed) throw new WeftError('Closed', 'logout')
    if (!discard) await this.#mustBeSynced()
    else this.#frozen = true
    await this.#eachOther((other) => wipeClosed(other))
    await this.#of.keeping(async (kept) => {
      await this.#mark(kept)
      await this.#of.part()
      await this.#persist(() => wipe(this.#of.belongings()))
      await this.#persist(() => this.#of.anew())
    })
  }

  /** From the last look on nothing is written any more. */
  async #mustBeSynced(): Promise<void> {
    await this.#eachOther(async (other) => unsynced(await unsentIn(other, this.#hash)))
    const path = await unsentIn(this.#of.belongings(), this.#hash, (name) => this.#of.isOpen(name))
    if (path !== undefined) this.#of.send(path)
    unsynced(path ?? this.#of.unacknowledged())
    this.#frozen = true
  }

  async #eachOther(use: (other: Belongings) => Promise<void>): Promise<void> {
    for await (const other of this.#of.others()) {
      try {
        await finishLogout(other)
        await use(other)
      } finally {
        await other.release()
      }
    }
  }

  /** Stores the marker, or leaves no trace of it. */
  async #mark(kept: Uint8Array): Promise<void> {
    const { files } = this.#of.belongings()
    try {
      await mark(files, kept)
    } catch (error) {
      // Whoever goes on working with a marker that may be there would lose that work at the next start.
      await this.#persist(() => withdraw(files))
      throw error instanceof StorageError ? error : new StorageError('DiskError', 'logout', { cause: error })
    }
  }

  /** Tries until it works, or until the replica closes. */
  async #persist(attempt: () => Promise<void>): Promise<void> {
    for (let wait = firstRetry; ; wait = Math.min(2 * wait, lastRetry)) {
      if (this.#closed) throw new WeftError('Closed', 'logout')
      try {
        await attempt()
        return this.#of.storage(undefined)
      } catch (error) {
        const isOfDisk = error instanceof StorageError
        this.#of.storage(isOfDisk ? refusal(error.code, error.about) : refusal('DiskError', String(error)))
      }
      await this.#pause(wait)
    }
  }

  async #pause(ms: number): Promise<void> {
    if (this.#closed) return
    await new Promise<void>((resolve) => {
      const cancel = this.#of.runtime.timer(ms, resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
    this.#wake = undefined
  }

  /** The replica closes: what is not done is done at the next opening. Resolves when no file is touched any more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#wake?.()
    await this.over()
  }
}

const unsynced = (path: string | undefined): void => {
  if (path !== undefined) throw new WeftError('Unsynced', path)
}
