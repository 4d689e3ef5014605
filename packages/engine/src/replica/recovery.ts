/**
 * The authority after a loss: a folder that is empty, or older than it was. It takes back what clients hold of its own logs, shows nothing
 * to anybody and writes nothing meanwhile, and goes on in a new epoch, so that whatever stood where its log ends, it never signs a second
 * entry for a place. A repository's recovery is over when its log goes as far as the landmark, all that checkpoints cover is here, and
 * nobody has brought anything for a while; or by the word of whoever runs the server.
 */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Position } from '../commit/commit.ts'
import type { Entry, Place, Statement } from '../trust/entry.ts'
import { isBefore, type Landmarks } from './landmarks.ts'
import type { Origin } from './pending.ts'
import type { Runtime } from './ports.ts'
import type { Repository } from './repository.ts'

export interface RecoveryParts {
  readonly runtime: Runtime
  readonly connections: Iterable<{ renew(repository: Repository): void }>
  /** Goes on with what is here, whatever is missing. */
  readonly acceptsLoss: boolean
  name(path: string): string
  /** The repository's next entry is due. */
  write(repository: Repository): void
  incident(why: Refusal, path: string): void
}

/** A repository that is being taken back. */
export interface Recovering {
  readonly repository: string
  /** Where its log ends by now. */
  readonly have: Place | null
  /** How far it is known to have gone. */
  readonly want: Place
  /** Covered commits that are not here. */
  readonly missing: number
}

interface Loss {
  readonly want: Place
  isOver: boolean
  cancel: () => void
}

/** What somebody says to have of a log, before it came. */
interface Claim {
  readonly place: Place
  readonly until: number
}

/** So long nobody brought anything, ms. */
const quiet = 10_000
/** Until a claim that nothing follows is not believed any more, ms; and how many of one repository are. */
const claimPatience = 5_000
const mostClaims = 3

export class Recovery {
  readonly #of: RecoveryParts
  #landmarks: Landmarks | undefined
  readonly #losses = new Map<Repository, Loss>()
  readonly #claims = new WeakMap<Repository, Claim>()
  readonly #claimed = new WeakMap<Repository, number>()

  constructor(of: RecoveryParts) {
    this.#of = of
  }

  /** Without landmarks nothing that was lost is missed. */
  set landmarks(landmarks: Landmarks | undefined) {
    this.#landmarks = landmarks
  }

  /** What is being taken back. */
  get all(): readonly Recovering[] {
    return [...this.#losses].map(([repository, { want }]) => ({
      repository: repository.path,
      have: placeOf(repository.pipeline.position),
      want,
      missing: missing(repository),
    }))
  }

  /** The log was read; nobody has asked for anything of it yet. */
  opened(repository: Repository): void {
    const landmarks = this.#landmarks
    if (landmarks === undefined) return
    const name = this.#of.name(repository.path)
    const landmark = landmarks.of(name)
    const { pipeline } = repository
    const { position } = pipeline
    if (landmark !== undefined && (landmark.isLost || isBefore(position, landmark))) {
      // What was kept and not stored yet when the last run ended; whether more came after it nobody can tell.
      if (landmark.entry !== null && landmark.n === pipeline.log.next)
        void pipeline.receive(this, { certificates: [], commits: [], entries: [landmark.entry] })
      this.#begin(repository, landmark)
    } else if (position !== null) landmarks.reached(name, position)
  }

  #begin(repository: Repository, position: Position): void {
    if (this.#losses.has(repository)) return
    const { epoch, n } = position
    repository.recovering = true
    this.#landmarks?.lose(this.#of.name(repository.path), position)
    this.#losses.set(repository, { want: { epoch, n }, isOver: false, cancel: () => undefined })
    this.#of.incident(refusal('Recovering', this.#standing(repository, { epoch, n })), repository.path)
    this.#wait(repository)
  }

  #standing({ path, pipeline }: Repository, want: Place): string {
    const { position } = pipeline
    const have = position === null ? 'nothing' : `entry ${position.epoch}/${position.n}`
    return `${path}: here is ${have} of ${want.epoch}/${want.n}`
  }

  #wait(repository: Repository): void {
    const loss = this.#losses.get(repository)
    if (loss === undefined) return
    loss.cancel()
    loss.cancel = this.#of.runtime.timer(quiet, () => {
      if (this.#of.acceptsLoss || this.#isWhole(repository, loss)) this.#end(repository, loss)
      else this.#wait(repository)
    })
  }

  #isWhole(repository: Repository, { want }: Loss): boolean {
    return !isBefore(repository.pipeline.position, want) && missing(repository) === 0
  }

  /** Goes on with what is here: of one repository, or of all. */
  accept(path?: string): void {
    for (const [repository, loss] of [...this.#losses])
      if (path === undefined || repository.path === path) this.#end(repository, loss)
  }

  #end(repository: Repository, loss: Loss): void {
    loss.cancel()
    loss.isOver = true
    // With nothing kept, the first entry of the new epoch is whatever comes.
    if (repository.pipeline.log.next === 0) this.#over(repository)
    this.#of.write(repository)
  }

  /** Whether nothing may be signed for the repository now. */
  holds(repository: Repository): boolean {
    if (this.#losses.get(repository)?.isOver === false) return true
    const claim = this.#claims.get(repository)
    if (claim === undefined) return false
    const holds = claim.until > this.#of.runtime.elapsed() && isBefore(repository.pipeline.position, claim.place)
    if (!holds) this.#claims.delete(repository)
    return holds
  }

  /** The entry that begins the epoch after a loss, when it is its time. */
  due(repository: Repository): Statement | undefined {
    const loss = this.#losses.get(repository)
    if (loss?.isOver !== true) return undefined
    const lost = isBefore(repository.pipeline.position, loss.want) ? loss.want : null
    return { kind: 'epoch', lost, reason: 'the server lost what it had stored' }
  }

  /** The epoch of the next entry: one that begins it, or any other. */
  epoch(repository: Repository, begins: boolean): number {
    const last = repository.pipeline.log.position?.epoch
    const landmark = this.#landmarks?.of(this.#of.name(repository.path))
    const isFirst = last === undefined && landmark !== undefined
    if (begins || isFirst) return Math.max(last ?? -1, landmark?.epoch ?? -1) + 1
    return last ?? 0
  }

  /**
   * Keeps beside the key what must not be forgotten, before it is stored: what begins a log or an epoch, what takes something away, and the
   * first in a while.
   */
  async signed(repository: Repository, entry: Entry): Promise<void> {
    const name = this.#of.name(repository.path)
    if (this.#landmarks === undefined || !(mustBeKept(entry) || this.#landmarks.isDue(name))) return
    await this.#landmarks.keep(name, entry)
  }

  /** A peer says how far its copy of the log goes. */
  shown(repository: Repository, place: Place | undefined): void {
    if (place === undefined || this.#landmarks === undefined || repository.recovering) return
    if (repository.pipeline.isOpen && !isBefore(repository.pipeline.position, place)) return
    const claims = (this.#claimed.get(repository) ?? 0) + 1
    if (claims > mostClaims) return
    this.#claimed.set(repository, claims)
    const { runtime } = this.#of
    this.#claims.set(repository, { place, until: runtime.elapsed() + claimPatience })
    runtime.timer(claimPatience, () => this.#of.write(repository))
  }

  /** Entries became durable. */
  entered(repository: Repository, entries: readonly Entry[], origin: Origin): void {
    const { position } = repository.pipeline
    const landmarks = this.#landmarks
    if (landmarks === undefined || position === null) return
    // Nobody else writes them: what comes back was here once.
    if (origin !== 'local' && origin !== this && !repository.recovering) {
      this.#begin(repository, position)
      for (const connection of this.#of.connections) connection.renew(repository)
    }
    landmarks.reached(this.#of.name(repository.path), position)
    const begun = entries.find(({ statement }) => statement.kind === 'epoch')?.statement
    if (origin !== 'local' || begun?.kind !== 'epoch') return this.#wait(repository)
    if (begun.lost !== null)
      this.#of.incident(
        refusal('EpochLost', `${repository.path} up to ${begun.lost.epoch}/${begun.lost.n}`),
        repository.path,
      )
    this.#over(repository)
  }

  #over(repository: Repository): void {
    if (!this.#losses.delete(repository)) return
    repository.recovering = false
    for (const connection of this.#of.connections) connection.renew(repository)
  }

  /** The repository is being closed. What it lacks is missed when it is opened again. */
  forget(repository: Repository): void {
    this.#losses.get(repository)?.cancel()
    this.#losses.delete(repository)
  }

  stop(): void {
    for (const { cancel } of this.#losses.values()) cancel()
  }
}

const placeOf = (position: Position | null): Place | null => position && { epoch: position.epoch, n: position.n }

/** Chains of which what is covered is not here. */
const missing = ({ pipeline }: Repository): number => {
  let count = 0
  for (const { id } of pipeline.log.covered.values()) if (!pipeline.commits.has(id)) count++
  return count
}

const mustBeKept = ({ n, statement }: Entry): boolean => {
  if (n === 0) return true
  switch (statement.kind) {
    case 'epoch':
    case 'erasure':
      return true
    case 'grant':
      return statement.fences || statement.role === null
    case 'invitation':
      return statement.uses === 0
    default:
      return false
  }
}
