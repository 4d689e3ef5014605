/**
 * The repositories of a replica: made when somebody asks for them, opened as soon as their log can be, again while the disk does not let it,
 * and, at the authority, let go when nobody asks any more.
 */
import { type Refusal, refusal, StorageError } from '../bytes/refusal.ts'
import { Guests } from './guests.ts'
import { HeldCommits } from './heldcommits.ts'
import type { Files, Runtime } from './ports.ts'
import type { Repository } from './repository.ts'

export interface RepositoriesOptions {
  readonly runtime: Runtime
  make(path: string): Repository
  /** Where their logs are; undefined while none can be opened. */
  files(): Files | undefined
  /** A log's file. */
  name(path: string): string
  opened(repository: Repository): void
  /** It is forgotten here, and closed when this resolves. */
  closing(repository: Repository): Promise<void>
  incident(why: Refusal, path: string): void
  /** It will never open. */
  fault(why: Refusal, path: string): void
}

/** Between two tries to open a log, ms. */
const firstRetry = 500
const lastRetry = 30_000

export class Repositories {
  readonly #of: RepositoriesOptions
  readonly #byPath = new Map<string, Repository>()
  readonly #held = new Map<Repository, HeldCommits>()
  readonly #opening = new Set<Repository>()
  /** Repositories whose log could not be opened, until the next try. */
  readonly #reopening = new Map<Repository, () => void>()
  /** Repositories that are being closed, while the replica is not. */
  readonly #lettingGo = new Map<string, Promise<void>>()
  readonly #guests = new Guests((repository) => this.#letGo(repository))
  /** Why nothing could be opened. */
  #failure: unknown

  constructor(of: RepositoriesOptions) {
    this.#of = of
  }

  get size(): number {
    return this.#byPath.size
  }

  [Symbol.iterator](): Iterator<Repository> {
    return this.#byPath.values()
  }

  get(path: string): Repository | undefined {
    return this.#byPath.get(path)
  }

  /** The repository of that path, made when there is none. */
  at(path: string): Repository {
    const known = this.#byPath.get(path)
    if (known !== undefined) return known
    const repository = this.#of.make(path)
    this.#byPath.set(path, repository)
    if (this.#failure !== undefined) repository.failed(this.#failure)
    else this.open(repository)
    return repository
  }

  /** The app holds it: it stays. */
  keep(repository: Repository): void {
    this.#guests.keep(repository)
  }

  /** A peer asked for it. */
  came(repository: Repository): void {
    this.#guests.came(repository)
  }

  /** A peer asks for it no more. */
  left(repository: Repository): void {
    this.#guests.left(repository)
  }

  /** What it holds, as reconciliation sees it. */
  held(repository: Repository): HeldCommits {
    const held = this.#held.get(repository) ?? new HeldCommits(repository, this.#of.runtime)
    this.#held.set(repository, held)
    return held
  }

  /** Runs `use` with the open repository, and lets go of it afterwards. */
  async with<Result>(path: string, use: (repository: Repository) => Promise<Result>): Promise<Result> {
    const repository = this.at(path)
    this.came(repository)
    try {
      await repository.ready
      return await use(repository)
    } finally {
      this.left(repository)
    }
  }

  /** Nothing can be opened on this device. */
  failed(error: unknown): void {
    this.#failure = error
    for (const repository of this) repository.failed(error)
  }

  openAll(): void {
    for (const repository of this) this.open(repository)
  }

  /** Opens its log, when that can be done by now. */
  open(repository: Repository, wait = firstRetry): void {
    const files = this.#of.files()
    if (files === undefined || this.#opening.has(repository)) return
    this.#opening.add(repository)
    const name = this.#of.name(repository.path)
    // One at a time has a file, and the one that was let go may still be storing.
    const busy = this.#lettingGo.get(repository.path)
    const opened = busy === undefined ? repository.open(files, name) : busy.then(() => repository.open(files, name))
    opened.then(
      () => this.#of.opened(repository),
      (error: unknown) => {
        if (this.#of.files() === undefined || this.#byPath.get(repository.path) !== repository) return
        if (!(error instanceof StorageError)) return this.#of.fault(refusal('Fault', String(error)), repository.path)
        this.#of.incident(refusal(error.code, error.about), repository.path)
        const cancel = this.#of.runtime.timer(wait, () => {
          this.#reopening.delete(repository)
          this.#opening.delete(repository)
          this.open(repository, Math.min(2 * wait, lastRetry))
        })
        this.#reopening.set(repository, cancel)
      },
    )
  }

  /** Closes a repository that no peer asks for and the app does not hold. Whoever asks for it next opens it anew. */
  #letGo(repository: Repository): void {
    const { path } = repository
    if (this.#of.files() === undefined || this.#byPath.get(path) !== repository) return
    this.#byPath.delete(path)
    this.#held.delete(repository)
    this.#opening.delete(repository)
    this.#reopening.get(repository)?.()
    this.#reopening.delete(repository)
    const closing = this.#of.closing(repository)
    const closed = (this.#lettingGo.get(path) ?? Promise.resolve())
      .then(() => closing)
      .then(() => repository.close())
      .catch((error: unknown) => this.#of.incident(refusal('Fault', String(error)), path))
      .finally(() => {
        if (this.#lettingGo.get(path) === closed) this.#lettingGo.delete(path)
      })
    this.#lettingGo.set(path, closed)
  }

  /** The path of one with own work that is not at the authority. */
  unacknowledged(): string | undefined {
    for (const { path, unsaved, unacknowledged } of this) if (unsaved + unacknowledged > 0) return path
    return undefined
  }

  /** Whether the log of that file is open. */
  hasOpen(name: string): boolean {
    return [...this].some(({ path, pipeline }) => pipeline.isOpen && name === this.#of.name(path))
  }

  /** Tries to open nothing any more. */
  stop(): void {
    for (const cancel of this.#reopening.values()) cancel()
    this.#reopening.clear()
  }

  /** Resolves when those that were let go are closed. */
  async letGo(): Promise<void> {
    await Promise.all(this.#lettingGo.values())
  }

  /** Forgets all of them, and gives them to be closed. */
  clear(): readonly Repository[] {
    const all = [...this]
    this.stop()
    this.#byPath.clear()
    this.#held.clear()
    this.#opening.clear()
    return all
  }
}
