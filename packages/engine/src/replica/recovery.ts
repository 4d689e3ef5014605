/**
 * The authority after a loss: a folder that is empty, or older than it was. It takes back what clients hold of its own logs, shows nothing
 * to anybody and writes nothing meanwhile, and goes on in a new epoch, so that whatever stood where its log ends, it never signs a second
 * entry for a place. A repository's recovery is over when its log ends where its landmark is and all that checkpoints cover is here; where
 * nobody can tell whether that was the end, also nobody has brought anything for a while; or by the word of whoever runs the server.
 *
 * Where landmarks do not say how far the logs went, nobody can tell what is missing, and only that word ends it: first for the root log, which says
 * who may do what in the network, and then for the others.
 *
 * A server that ended between keeping an entry and storing it has lost nothing: the entry comes out of its landmark.
 */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import type { Position } from '../commit/commit.ts'
import { type Entry, type Place, rootPath, type Statement } from '../trust/entry.ts'
import { type Founder, isBefore, type Landmarks, type Missing } from './landmarks.ts'
import type { Origin } from './pending.ts'
import type { Runtime } from './ports.ts'
import type { Repository } from './repository.ts'
import { type Bringer, Turns } from './turns.ts'

export interface RecoveryParts {
  readonly runtime: Runtime
  readonly connections: Iterable<{ renew(repository: Repository): void }>
  readonly repositories: Iterable<Repository>
  /** Goes on with what is here, whatever is missing. */
  readonly acceptsLoss: boolean
  /** Where the root log ends. */
  rootPosition(): Position | null
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
  /** How far it is known to have gone; null where nobody can tell. */
  readonly want: Place | null
  /** Covered commits that are not here. */
  readonly missing: number
}

interface Loss {
  /** The last entry that is known of. */
  readonly want: Position | null
  /** Whether it was the last. */
  readonly isEnd: boolean
  /** Whoever runs the server gave up what is missing. */
  readonly isAccepted: boolean
  /** How far peers say that it went. */
  claimed: Place | undefined
  /** When somebody brought something last, ms. */
  since: number
  isOver: boolean
  readonly turns: Turns
  cancel: () => void
  /** Told when it is through, or the repository closed. */
  ended: () => void
}

/** What somebody says to have of a log, before it came. */
interface Claim {
  readonly place: Place
  readonly until: number
}

/** So long nobody brought anything, ms; and between two looks at a log of which the end is known. */
const quiet = 10_000
const glance = 1_000
/** Until a claim that nothing follows is not believed any more, ms; and how many of one repository are. */
const claimPatience = 5_000
const mostClaims = 3

export class Recovery {
  readonly #of: RecoveryParts
  #landmarks: Landmarks | undefined
  readonly #losses = new Map<Repository, Loss>()
  /** Whose last entry is on its way from the landmark into the log. */
  readonly #completing = new Set<Repository>()
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
    const repositories = [...this.#losses].map(([repository, { want, isEnd }]) => ({
      repository: repository.path,
      have: placeOf(repository.pipeline.position),
      want: isEnd ? placeOf(want) : null,
      missing: missing(repository),
    }))
    if (!this.isRootLost) return repositories
    const have = placeOf(this.#of.rootPosition())
    return [{ repository: rootPath, have, want: null, missing: 0 }, ...repositories]
  }

  /** Nobody knows how far the root log went: nothing is signed that goes by it. */
  get isRootLost(): boolean {
    return (this.#landmarks?.anew ?? 0) > (this.#of.rootPosition()?.epoch ?? 0)
  }

  /** The log was read; nobody has asked for anything of it yet. */
  opened(repository: Repository): void {
    const landmarks = this.#landmarks
    if (landmarks === undefined) return
    const name = this.#of.name(repository.path)
    const landmark = landmarks.of(name)
    const { position } = repository.pipeline
    if (landmark === undefined) {
      // Where landmarks are gone it may have been lost, or never have been.
      if (position === null && (landmarks.anew === 0 || landmarks.isAccepted(name))) return
      if (landmarks.anew === 0) void this.doubt()
      this.#begin(repository, position, 'open')
    } else if (landmark.missing !== 'nothing') this.#begin(repository, landmark, landmark.missing)
    else if (position?.hash === landmark.hash) landmarks.settled(name, landmark.hash)
    else if (this.#kept(repository) !== undefined) void this.#complete(repository, landmark)
    else if (isBefore(position, landmark)) this.#begin(repository, landmark, 'known')
    else {
      void this.doubt()
      this.#begin(repository, position, 'open')
    }
  }

  /** What is beside the key of what comes next in the log. */
  #kept({ path, pipeline }: Repository): Uint8Array | undefined {
    const landmark = this.#landmarks?.of(this.#of.name(path))
    return landmark?.n === pipeline.log.next ? (landmark.entry ?? undefined) : undefined
  }

  /** Stores it, as if somebody had brought it. */
  async #takeKept(repository: Repository): Promise<void> {
    const entry = this.#kept(repository)
    if (entry !== undefined)
      await repository.pipeline.receive(this, { certificates: [], commits: [], entries: [entry] })
  }

  /** The last run ended between keeping the last entry and storing it. */
  async #complete(repository: Repository, landmark: Position): Promise<void> {
    this.#completing.add(repository)
    await this.#takeKept(repository)
    if (!this.#completing.delete(repository)) return
    // In an older copy of the log, what the entry covers is missing as well.
    const isWhole = repository.pipeline.position?.hash === landmark.hash && missing(repository) === 0
    if (isWhole) this.#of.write(repository)
    else this.#begin(repository, landmark, 'known')
  }

  #begin(repository: Repository, position: Position | null, missing: Missing): void {
    if (this.#losses.has(repository)) return
    const name = this.#of.name(repository.path)
    const want = position && { epoch: position.epoch, n: position.n, hash: position.hash }
    repository.recovering = true
    if (want !== null) this.#landmarks?.lose(name, want, missing)
    this.#losses.set(repository, {
      want,
      isEnd: missing === 'known',
      isAccepted: this.#of.acceptsLoss || this.#landmarks?.isAccepted(name) === true,
      claimed: undefined,
      since: this.#of.runtime.elapsed(),
      isOver: false,
      turns: new Turns(this.#of.runtime, repository),
      cancel: () => undefined,
      ended: () => undefined,
    })
    this.#of.incident(
      refusal('Recovering', this.#standing(repository, missing === 'known' ? want : null)),
      repository.path,
    )
    void this.#takeKept(repository)
    this.#wait(repository)
  }

  #standing({ path, pipeline }: Repository, want: Place | null): string {
    const { position } = pipeline
    const have = position === null ? 'nothing' : `entry ${position.epoch}/${position.n}`
    return `${path}: here is ${have} of ${want === null ? 'nobody knows how many' : `${want.epoch}/${want.n}`}`
  }

  #wait(repository: Repository): void {
    const loss = this.#losses.get(repository)
    if (loss === undefined) return
    const { runtime } = this.#of
    loss.cancel()
    loss.cancel = runtime.timer(loss.isEnd ? glance : quiet, () => {
      const isQuiet = runtime.elapsed() - loss.since >= quiet
      if ((isQuiet && loss.isAccepted) || this.#isWhole(repository, loss, isQuiet)) this.#end(repository, loss)
      else this.#wait(repository)
    })
  }

  /** Nothing is missing, and nobody says otherwise, or brought nothing when he did. */
  #isWhole(repository: Repository, { isEnd, want, claimed }: Loss, isQuiet: boolean): boolean {
    const { position } = repository.pipeline
    if (!isEnd || position === null || position.hash !== want?.hash) return false
    return (isQuiet || claimed === undefined || !isBefore(position, claimed)) && missing(repository) === 0
  }

  /** Goes on with what is here: of one that is open, or of all, also of those that are opened later. Rejects with a `StorageError`. */
  async accept(repository?: Repository): Promise<void> {
    if (repository === undefined)
      await this.#landmarks?.accept(new Set([...this.#losses].map(([{ path }]) => this.#of.name(path))))
    const loss = repository && this.#losses.get(repository)
    // Whoever opened it for this goes on to hold it until the epoch has begun.
    const ended = loss && new Promise<void>((resolve) => Object.assign(loss, { ended: resolve }))
    for (const [one, loss] of [...this.#losses])
      if (repository === undefined || one === repository) this.#end(one, loss)
    await ended
  }

  /** Somebody showed what nobody should have who holds less than this replica: its landmarks are an older copy. */
  async doubt(): Promise<void> {
    if (this.#landmarks === undefined || this.isRootLost) return
    const doubted = this.#landmarks.doubt(this.#of.rootPosition()?.epoch ?? 0)
    this.#of.incident(refusal('Recovering', rootPath), rootPath)
    for (const repository of this.#of.repositories) {
      if (!repository.pipeline.isOpen) continue
      this.forget(repository)
      this.#begin(repository, repository.pipeline.position, 'open')
      for (const connection of this.#of.connections) connection.renew(repository)
    }
    await doubted.catch((error: unknown) => this.#of.incident(refusal('Fault', String(error)), rootPath))
  }

  #end(repository: Repository, loss: Loss): void {
    loss.cancel()
    loss.isOver = true
    // With nothing kept, the first entry of the new epoch is the founder's, or whatever comes.
    if (repository.pipeline.log.next === 0 && this.#founder(repository) === null) this.#over(repository)
    this.#of.write(repository)
  }

  /** Who founded the repository, by its log or by its landmark. */
  #founder({ path, pipeline }: Repository): Founder | null {
    const [first] = pipeline.log.entries
    return first === undefined ? (this.#landmarks?.of(this.#of.name(path))?.founder ?? null) : founderIn(first)
  }

  /** Resolves when it is that peer's turn to bring the repository: at once, unless others are bringing it. */
  async turn(bringer: Bringer, repository: Repository): Promise<void> {
    await this.#losses.get(repository)?.turns.next(bringer)
  }

  /** Whether nothing may be signed for the repository now. */
  holds(repository: Repository): boolean {
    if (this.isRootLost || this.#completing.has(repository) || this.#losses.get(repository)?.isOver === false)
      return true
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
    const { want } = loss
    const founder = repository.pipeline.log.next === 0 ? this.#founder(repository) : null
    if (founder !== null) return { kind: 'grant', ...founder, by: null, fences: false, founding: true }
    const lost = want !== null && isBefore(repository.pipeline.position, want) ? placeOf(want) : null
    return { kind: 'epoch', lost, reason: 'the server lost what it had stored' }
  }

  /** The epoch of the next entry: one that begins it, or any other. */
  epoch(repository: Repository, begins: boolean): number {
    const last = repository.pipeline.log.position?.epoch
    const landmark = this.#landmarks?.of(this.#of.name(repository.path))
    const anew = this.#landmarks?.anew ?? 0
    const isFirst = last === undefined && (landmark !== undefined || anew > 0)
    if (begins || isFirst) return Math.max(last ?? -1, landmark?.epoch ?? -1, anew - 1) + 1
    return last ?? 0
  }

  /** Keeps an entry beside the key before it is stored. */
  async signed(repository: Repository, entry: Entry): Promise<void> {
    const founder = entry.n === 0 ? founderIn(entry) : this.#founder(repository)
    await this.#landmarks?.keep(this.#of.name(repository.path), entry, founder)
  }

  /** A peer says how far its copy of the log goes. */
  shown(repository: Repository, place: Place | undefined): void {
    const loss = this.#losses.get(repository)
    if (place !== undefined && loss !== undefined && isBefore(loss.claimed ?? null, place)) loss.claimed = place
    if (place === undefined || this.#landmarks === undefined || loss !== undefined) return
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
    const name = this.#of.name(repository.path)
    if (origin === 'local' || origin === this) landmarks.settled(name, position.hash)
    else {
      // Nobody else writes them: what comes back was here once.
      if (!repository.recovering) void this.doubt()
      landmarks.reached(name, position)
      void this.#takeKept(repository)
    }
    const loss = this.#losses.get(repository)
    if (loss !== undefined) loss.since = this.#of.runtime.elapsed()
    const begun = entries.find(({ statement, n }) => statement.kind === 'epoch' || n === 0)
    if (origin !== 'local' || begun === undefined || loss?.isOver !== true) return this.#wait(repository)
    const lost = begun.statement.kind === 'epoch' ? begun.statement.lost : loss.want
    if (lost !== null)
      this.#of.incident(refusal('EpochLost', `${repository.path} up to ${lost.epoch}/${lost.n}`), repository.path)
    this.#over(repository)
  }

  #over(repository: Repository): void {
    const loss = this.#losses.get(repository)
    loss?.ended()
    if (!this.#losses.delete(repository)) return
    loss?.turns.end()
    repository.recovering = false
    for (const connection of this.#of.connections) connection.renew(repository)
  }

  /** The repository is being closed. What it lacks is missed when it is opened again. */
  forget(repository: Repository): void {
    const loss = this.#losses.get(repository)
    loss?.cancel()
    loss?.turns.end()
    loss?.ended()
    this.#losses.delete(repository)
    this.#completing.delete(repository)
  }

  stop(): void {
    for (const { cancel, ended, turns } of this.#losses.values()) {
      cancel()
      turns.end()
      ended()
    }
  }
}

const founderIn = ({ statement }: Entry): Founder | null =>
  statement.kind === 'grant' && statement.founding && statement.role !== null
    ? { owner: statement.owner, role: statement.role }
    : null

const placeOf = (position: Position | null): Place | null => position && { epoch: position.epoch, n: position.n }

/** Chains of which what is covered is not here. */
const missing = ({ pipeline }: Repository): number => {
  let count = 0
  for (const { id } of pipeline.log.covered.values()) if (!pipeline.commits.has(id)) count++
  return count
}
