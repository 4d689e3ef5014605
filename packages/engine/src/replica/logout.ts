/**
 * Logging out: afterwards nothing of the person is on this device any more. Its promises:
 *
 * 1. A logout that rejects has changed nothing; one that resolved left no log, no evidence, no certificate and no key of the person.
 * 2. A crash leaves the device as it was, or logged out after the next opening, which ends the wipe before it reads anything else.
 * 3. What was written here and is not at the authority stops it, also what lies in logs that nobody opened, unless it may be discarded.
 *
 * What decides is one file, the marker, which takes its name whole or not at all. It holds what stays: the root log without the certificates.
 * So the only thing that needs room comes first, and the last step of the wipe gives the marker the root log's name. Files are emptied
 * before they are removed, because a removal whose sync failed may come back (Rebello et al., "Can Applications Recover from fsync
 * Failures?", 2020), and then brings an empty file.
 */
import { concatBytes } from '../bytes/bytes.ts'
import { isRefusal, type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { readCommit } from '../commit/commit.ts'
import { encodeFrame, type Frame, Scanner } from '../log/frame.ts'
import { readEntry } from '../trust/entry.ts'
import { frameKinds } from './pipeline.ts'
import type { File, Files, KeyStore, Runtime } from './ports.ts'

const marker = 'logout'
/** Under this name until all of it is stored. */
const draft = 'logout.new'
/** Between two tries, ms. */
const firstRetry = 500
const lastRetry = 30_000
const pieceBytes = 1_048_576

/** Where the person's things are. */
export interface Belongings {
  readonly files: Files
  readonly keys: KeyStore
  readonly keyName: string
  readonly rootName: string
}

/** What logging out needs of its replica. */
export interface Leaver {
  readonly runtime: Runtime
  belongings(): Belongings
  /** Whose commits are own ones; undefined while there can be none. */
  session(): string | undefined
  /** A repository in memory with own work that the authority has not acknowledged. */
  unacknowledged(): string | undefined
  /** Files of the repositories in memory, and the root log's. */
  isOpen(name: string): boolean
  /** Opens a repository with work that was never sent, so that it is. */
  send(path: string): void
  /** Runs `use` with what stays of the root log, as frames, while nothing is added to it. */
  keeping(use: (kept: readonly Uint8Array[]) => Promise<void>): Promise<void>
  /** Ends and forgets whatever is in memory of the person. Resolves when no file is in use. */
  part(): Promise<void>
  /** Goes on with nobody logged in. Called again when it rejects. */
  anew(): Promise<void>
  /** Storing failed and is tried again, or works again. */
  storage(problem: Refusal | undefined): void
}

export class Logout {
  readonly #of: Leaver
  #running: Promise<void> | undefined
  #frozen = false
  #closed = false
  #wake: (() => void) | undefined

  constructor(of: Leaver) {
    this.#of = of
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
    this.#frozen = true
    const { files, keys, keyName, rootName } = this.#of.belongings()
    await this.#of.keeping(async (kept) => {
      await this.#mark(files, concatBytes(...kept))
      await this.#of.part()
      await this.#persist(() => wipe(files, keys, keyName, rootName))
      await this.#persist(() => this.#of.anew())
    })
  }

  async #mustBeSynced(): Promise<void> {
    const { runtime } = this.#of
    const session = this.#of.session()
    const { files } = this.#of.belongings()
    for (const name of session === undefined ? [] : await files.list()) {
      if (!name.endsWith('.log') || this.#of.isOpen(name)) continue
      const path = await unsentIn(files, name, session ?? '', runtime)
      if (path === undefined) continue
      this.#of.send(path)
      throw new WeftError('Unsynced', path)
    }
    const path = this.#of.unacknowledged()
    if (path !== undefined) throw new WeftError('Unsynced', path)
  }

  /** Stores the marker, or leaves no trace of it. */
  async #mark(files: Files, bytes: Uint8Array): Promise<void> {
    try {
      await files.remove(draft)
      await write(files, draft, bytes)
      await files.rename(draft, marker)
      await files.syncNames()
    } catch (error) {
      // Whoever goes on working with a marker that may be there would lose that work at the next start.
      await this.#persist(async () => {
        await files.remove(draft)
        await files.remove(marker)
        await files.syncNames()
      })
      throw error instanceof StorageError ? error : new StorageError('DiskError', marker, { cause: error })
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

/** Ends a logout that a crash cut short. To be called before anything else is read. */
export const finishLogout = async ({ files, keys, keyName, rootName }: Belongings): Promise<void> => {
  const found = await files.open(marker, false)
  if (found === undefined) return
  await found.close()
  // The process may have died before its name lasted.
  await files.syncNames()
  await wipe(files, keys, keyName, rootName)
}

/** May be called again after it failed anywhere. */
const wipe = async (files: Files, keys: KeyStore, keyName: string, rootName: string): Promise<void> => {
  // A rename whose sync failed is not made good by another sync: it is made again.
  if (!(await files.list()).includes(marker)) await files.rename(rootName, marker)
  for (const name of await files.list()) if (name !== marker) await removeEmptied(files, name)
  await files.syncNames()
  await keys.remove(keyName)
  await files.rename(marker, rootName)
  await files.syncNames()
}

const removeEmptied = async (files: Files, name: string): Promise<void> => {
  const file = await files.open(name, false)
  if (file === undefined) return
  try {
    await file.truncate(0)
    await file.sync()
  } finally {
    await file.close()
  }
  await files.remove(name)
}

const write = async (files: Files, name: string, bytes: Uint8Array): Promise<void> => {
  const file = await files.open(name, true)
  if (file === undefined) throw new StorageError('DiskError', name)
  try {
    for (let written = 0; written < bytes.length; ) {
      const count = await file.write(written, bytes.subarray(written))
      if (count <= 0) throw new StorageError('DiskError', name)
      written += count
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The root log without certificates, as frames. */
export const keptFrames = (header: Uint8Array, entries: readonly Uint8Array[]): readonly Uint8Array[] => [
  encodeFrame(frameKinds.header, header),
  ...entries.map((bytes) => encodeFrame(frameKinds.entry, bytes)),
]

/** The path of a stored repository in which a chain of the session goes on behind what the authority's checkpoints cover. */
const unsentIn = async (files: Files, name: string, session: string, runtime: Runtime): Promise<string | undefined> => {
  const file = await files.open(name, false)
  if (file === undefined) return undefined
  const hash = (bytes: Uint8Array): Uint8Array => runtime.hash(bytes)
  const last = new Map<string, number>()
  const covered = new Map<string, number>()
  let path: string | undefined
  const look = ({ kind, payload }: Frame): void => {
    if (kind === frameKinds.commit) {
      const commit = readCommit(payload, hash)
      if (isRefusal(commit) || commit.session !== session) return
      path = commit.repository
      last.set(commit.chain, Math.max(commit.seq, last.get(commit.chain) ?? -1))
    } else if (kind === frameKinds.entry) {
      const entry = readEntry(payload, hash)
      if (isRefusal(entry) || entry.statement.kind !== 'checkpoint') return
      for (const { chain, seq } of entry.statement.moved) covered.set(chain, seq)
    }
  }
  try {
    for await (const frame of framesOf(file)) look(frame)
  } finally {
    await file.close()
  }
  return [...last].some(([chain, seq]) => seq > (covered.get(chain) ?? -1)) ? path : undefined
}

async function* framesOf(file: File): AsyncGenerator<Frame, void, undefined> {
  const scanner = new Scanner()
  for (let offset = 0; ; ) {
    const piece = await file.read(offset, pieceBytes)
    if (piece.length === 0) break
    offset += piece.length
    yield* scanner.push(piece)
  }
  yield* scanner.end()
}
