/**
 * What the authority alone does: it founds the network, certifies sessions, and writes checkpoints over what it has made durable.
 */
import { toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal, StorageError } from '../bytes/refusal.ts'
import type { Commit } from '../commit/commit.ts'
import type { Head } from '../graph/commits.ts'
import { type Certificate, encodeCertificate, readCertificate } from '../trust/certificate.ts'
import {
  type Entry,
  type EntryBody,
  encodeEntry,
  noNetwork,
  readEntry,
  rootPath,
  type Statement,
} from '../trust/entry.ts'
import { clockRule } from '../trust/rules.ts'
import { messageOf, sealBody } from '../trust/signed.ts'
import type { Clock } from './clock.ts'
import type { Judging } from './judging.ts'
import type { Person } from './login.ts'
import { Outdated } from './outdated.ts'
import type { Runtime, SigningKey } from './ports.ts'
import type { Recovery } from './recovery.ts'
import type { Repository } from './repository.ts'
import type { RootLog } from './rootlog.ts'

/**
 * Least time between two checkpoints of a repository, ms; the first change is covered at once. Each of them is a message to every reader, so
 * that where many read at once one covers more.
 */
const checkpointInterval = 200
const longestInterval = 1_000
const intervalOfReader = 10
/** Until signing is tried again, ms. */
const signingRetry = 1_000

export type Verdict = Extract<Statement, { kind: 'verdict' }>

interface Queued {
  /** What is left to write. */
  readonly statements: readonly (Statement | (() => Statement))[]
  mayNot(): Refusal | 'done' | undefined
  done(why: Refusal | undefined): void
  isJudged: boolean
}

export class Authority {
  readonly key: SigningKey
  readonly #runtime: Runtime
  readonly #root: RootLog
  readonly #clock: Clock
  readonly #signer: string
  readonly #last = new Map<Repository, number>()
  readonly #readers = new WeakMap<Repository, number>()
  readonly #scheduled = new Map<Repository, () => void>()
  readonly #writing = new Set<Repository>()
  readonly #queued = new Map<Repository, Queued[]>()
  /** What the entry under way settles. */
  readonly #current = new Map<Repository, Queued>()
  /** Entries that are kept beside the key before they are stored. */
  readonly #submitting = new Map<Repository, Promise<void>>()
  /** Repositories that are being closed: nothing is signed for them. */
  readonly #forgotten = new WeakSet<Repository>()
  readonly #judging: Judging
  /** Repositories whose last entry voided a clock. */
  readonly #clockLast = new WeakSet<Repository>()
  readonly #outdated: Outdated
  readonly #recovery: Recovery | undefined
  readonly #onIncident: (why: Refusal, repository: string) => void
  #stopped = false

  constructor(
    key: SigningKey,
    runtime: Runtime,
    root: RootLog,
    clock: Clock,
    judging: Judging,
    onIncident: (why: Refusal, repository: string) => void,
    recovery?: Recovery,
  ) {
    this.#recovery = recovery
    this.#onIncident = onIncident
    this.#judging = judging
    this.#outdated = new Outdated(judging)
    this.key = key
    this.#runtime = runtime
    this.#root = root
    this.#clock = clock
    this.#signer = toHex(runtime.hash(key.publicKey))
  }

  /** The first entry of the root log: it makes the network. */
  async genesis(): Promise<Entry> {
    return this.#sign({
      network: noNetwork,
      log: rootPath,
      epoch: 0,
      n: 0,
      prev: null,
      root: null,
      time: this.#clock.now(),
      signer: this.#signer,
      statement: { kind: 'genesis', publicKey: this.key.publicKey, name: this.#runtime.random(16) },
    })
  }

  /**
   * A certificate for a session that proved its key on the channel it asked through. `number`: one that no certificate of the owner bears.
   * `life`: ms, cut to what the format allows.
   */
  async certify(publicKey: Uint8Array, { owner, name }: Person, number: number, life?: number): Promise<Certificate> {
    const { network } = this.#root
    if (network === undefined) throw new Error('the authority certifies after its network is founded')
    const issued = this.#clock.now()
    const body = encodeCertificate({
      network,
      publicKey,
      owner,
      name,
      issued,
      expires: issued + Math.min(life ?? limits.certificateLife, limits.certificateLife),
      number,
      signer: this.#signer,
    })
    const signature = await this.key.sign(messageOf('certificate', body, this.#runtime.hash))
    const certificate = readCertificate(sealBody(body, signature, this.#runtime.hash).bytes, this.#runtime.hash)
    if (isRefusal(certificate)) throw new Error(`made a certificate that is ${certificate.code}`)
    return certificate
  }

  /** Covers what became durable: at once when it is long since the last checkpoint, else when the interval is over. */
  cover(repository: Repository, readers = this.#readers.get(repository) ?? 0): void {
    this.#readers.set(repository, readers)
    if (this.#stopped || this.#scheduled.has(repository) || this.#writing.has(repository)) return
    const since = this.#runtime.elapsed() - (this.#last.get(repository) ?? Number.NEGATIVE_INFINITY)
    const interval = Math.min(longestInterval, Math.max(checkpointInterval, readers * intervalOfReader))
    if (since >= interval) this.#write(repository)
    else this.#schedule(repository, interval - since)
  }

  #schedule(repository: Repository, wait: number): void {
    const cancel = this.#runtime.timer(wait, () => {
      this.#scheduled.delete(repository)
      this.#write(repository)
    })
    this.#scheduled.set(repository, cancel)
  }

  /** One entry at a time: the next is signed when the one before is durable, so that no place in the log is signed twice. */
  #write(repository: Repository): void {
    if (this.#stopped || this.#forgotten.has(repository)) return
    if (this.#writing.has(repository) || !repository.pipeline.isOpen) return
    if (this.#recovery?.holds(repository)) return
    const statement =
      this.#recovery?.due(repository) ??
      this.#founding(repository) ??
      this.#outdated.verdict(repository, this.#moved(repository)) ??
      this.#due(repository) ??
      this.#inTurn(repository)
    if (statement === undefined) return
    if (isAboutClock(statement)) this.#clockLast.add(repository)
    else this.#clockLast.delete(repository)
    this.#writing.add(repository)
    this.#last.set(repository, this.#runtime.elapsed())
    const signed = this.#next(repository, statement)
    const recovery = this.#recovery
    const kept =
      recovery === undefined
        ? signed
        : signed.then(async (entry) => recovery.signed(repository, entry).then(() => entry))
    const submitted = kept.then(
      (entry) => repository.pipeline.submitEntry(entry),
      (error: unknown) => {
        const isDisk = error instanceof StorageError
        const why = isDisk ? refusal(error.code, error.about) : refusal('SigningFailed', String(error))
        this.#onIncident(why, repository.path)
        const current = this.#current.get(repository)
        const [first] = this.#queued.get(repository) ?? []
        if (current !== undefined) this.#queued.get(repository)?.unshift(current)
        // The checkpoint ahead of it is still to come.
        else if (first !== undefined) first.isJudged = false
        this.#current.delete(repository)
        this.#writing.delete(repository)
        if (!this.#stopped && !this.#forgotten.has(repository)) this.#schedule(repository, signingRetry)
      },
    )
    if (recovery === undefined) return
    this.#submitting.set(repository, submitted)
    void submitted.finally(() => this.#submitting.delete(repository))
  }

  /** Clocks and receipts take turns, so that whoever sends many clocks that are ahead holds up nobody's. */
  #inTurn(repository: Repository): Statement | undefined {
    if (this.#clockLast.has(repository)) return this.#checkpoint(repository) ?? this.#ahead(repository)
    return this.#ahead(repository) ?? this.#checkpoint(repository)
  }

  /** Of each chain the first commit whose clock is far ahead and not voided yet: nothing from there on is covered. */
  #firstAhead({ counting, pipeline }: Repository): Map<string, Commit> {
    const first = new Map<string, Commit>()
    for (const id of counting.ahead) {
      const commit = pipeline.commits.get(id)
      if (commit === undefined || pipeline.log.isVoid(id)) continue
      if (commit.seq < (first.get(commit.chain)?.seq ?? Number.POSITIVE_INFINITY)) first.set(commit.chain, commit)
    }
    return first
  }

  /** A clock that is far ahead would win every tie until its time comes: it is voided, and an honest author writes the same again. */
  #ahead({ counting, pipeline }: Repository): Statement | undefined {
    for (const commit of counting.ahead) {
      if (pipeline.log.isVoid(commit) || !pipeline.commits.has(commit)) continue
      return { kind: 'verdict', commit, key: null, code: 'ClockAhead', rule: clockRule, reason: 'ahead of the time' }
    }
    return undefined
  }

  /** A repository that somebody may found belongs to whoever came first. */
  #founding({ pipeline }: Repository): Statement | undefined {
    if (pipeline.log.next > 0) return undefined
    for (let index = 0; ; index++) {
      const commit = pipeline.commits.at(index)
      if (commit === undefined) return undefined
      const founder = this.#judging.founderOf(commit, pipeline.log)
      if (founder !== undefined)
        return { kind: 'grant', owner: founder.owner, role: founder.role, by: null, fences: false, founding: true }
    }
  }

  /** The next of what was asked for. What fences or erases comes behind a checkpoint over all that is here: that still counts. */
  #due(repository: Repository): Statement | undefined {
    const queued = this.#queued.get(repository) ?? []
    for (let next = queued[0]; next !== undefined; next = queued[0]) {
      const why = next.isJudged ? undefined : next.mayNot()
      const [statement] = next.statements
      if (why !== undefined || statement === undefined) {
        queued.shift()
        next.done(why === 'done' ? undefined : why)
        continue
      }
      const due = typeof statement === 'function' ? statement() : statement
      if (((due.kind === 'grant' && due.fences) || due.kind === 'erasure') && !next.isJudged) {
        next.isJudged = true
        const checkpoint = this.#checkpoint(repository)
        if (checkpoint !== undefined) return checkpoint
      }
      next.isJudged = true
      queued.shift()
      this.#current.set(repository, next)
      return due
    }
    return undefined
  }

  /** Over what moved; and over nothing, when an access or a key ended and this log does not know it yet. */
  #checkpoint(repository: Repository): Statement | undefined {
    const { log } = repository.pipeline
    const moved = this.#moved(repository)
    const last = log.entries.at(-1)
    const mustKnow = last !== undefined && (last.root?.n ?? -1) < this.#root.lastEnd
    if (moved.length === 0 && !mustKnow) return undefined
    const headsRoot = log.rootWith(moved, (bytes) => this.#runtime.hash(bytes))
    return { kind: 'checkpoint', headsRoot, stateRoot: null, moved }
  }

  /** The entry written last is durable, or (`why`) has no place in the log. */
  written(repository: Repository, why?: Refusal): void {
    this.#writing.delete(repository)
    const current = this.#current.get(repository)
    this.#current.delete(repository)
    if (current !== undefined) {
      const left = current.statements.slice(1)
      if (why !== undefined || left.length === 0) current.done(why)
      else this.#queued.get(repository)?.unshift({ ...current, statements: left })
    }
    const waits = (this.#queued.get(repository)?.length ?? 0) > 0 || this.#ahead(repository) !== undefined
    if (waits) this.#write(repository)
    else this.cover(repository)
  }

  /**
   * Writes these statements one after the other, unless `mayNot`, asked when it is their turn, says why not. Resolves when all of them are
   * durable. `'done'`: there is nothing to write.
   */
  write(
    repository: Repository,
    statements: readonly (Statement | (() => Statement))[],
    mayNot: () => Refusal | 'done' | undefined,
  ): Promise<Refusal | undefined> {
    if (this.#stopped) return Promise.resolve(refusal('Closed', repository.path))
    const isNext = (this.#queued.get(repository)?.length ?? 0) === 0 && !this.#writing.has(repository)
    const now = isNext ? mayNot() : undefined
    if (now !== undefined) return Promise.resolve(now === 'done' ? undefined : now)
    return new Promise((done) => {
      const queued = this.#queued.get(repository) ?? []
      this.#queued.set(repository, queued)
      queued.push({ statements, mayNot, done, isJudged: false })
      this.#write(repository)
    })
  }

  /** Voids a change that no checkpoint covers: all of a commit when `key` is null. Refused when one covers it. */
  void(repository: Repository, verdict: Verdict): Promise<Refusal | undefined> {
    const isCovered = (): Refusal | undefined =>
      repository.covers(verdict.commit) ? refusal('Receipted', verdict.commit) : undefined
    return this.write(repository, [verdict], isCovered)
  }

  /** Chains whose durable tip is beyond what is covered. Of a forked chain, the branch that is covered already, else the first to come. */
  #moved(repository: Repository): Head[] {
    const { commits, log } = repository.pipeline
    const moved = new Map<string, Head>()
    const ahead = this.#firstAhead(repository)
    for (const tip of commits.heads()) {
      const covered = log.covered.get(tip.chain)
      const head = before(ahead.get(tip.chain)) ?? tip
      if (head === 'none') continue
      if (moved.has(head.chain) || (covered !== undefined && covered.seq >= head.seq)) continue
      if (
        covered !== undefined &&
        commits.headsOf(head.chain).length > 1 &&
        !this.#continues(repository, head, covered)
      )
        continue
      moved.set(head.chain, head)
      if (moved.size === limits.headsPerMessage) break
    }
    return [...moved.values()]
  }

  #continues(repository: Repository, head: Head, covered: Head): boolean {
    const { commits } = repository.pipeline
    let at = commits.row(head.id)
    while (at !== undefined && at.seq > covered.seq && at.prev !== null) at = commits.row(at.prev)
    return at?.id === covered.id
  }

  async #next(repository: Repository, statement: Statement): Promise<Entry> {
    const { log } = repository.pipeline
    const { network, position } = this.#root
    if (network === undefined || position === null) throw new Error('the authority writes after its network is founded')
    const last = log.position
    return this.#sign({
      network,
      log: repository.path,
      epoch: this.#recovery?.epoch(repository, statement.kind === 'epoch') ?? last?.epoch ?? 0,
      n: log.next,
      prev: last?.hash ?? null,
      root: position,
      time: this.#clock.now(),
      signer: this.#signer,
      statement,
    })
  }

  async #sign(body: EntryBody, key: SigningKey = this.key): Promise<Entry> {
    const bytes = encodeEntry(body)
    const signature = await key.sign(messageOf('entry', bytes, this.#runtime.hash))
    const entry = readEntry(sealBody(bytes, signature, this.#runtime.hash).bytes, this.#runtime.hash)
    if (isRefusal(entry)) throw new Error(`made an entry that is ${entry.code}`)
    return entry
  }

  /**
   * The repository is being closed, and may be as soon as this resolves: no entry is between its landmark and its log. What it lacks of
   * checkpoints is written when it is opened again.
   */
  async forget(repository: Repository): Promise<void> {
    this.#forgotten.add(repository)
    this.#scheduled.get(repository)?.()
    this.#scheduled.delete(repository)
    this.#last.delete(repository)
    this.#writing.delete(repository)
    for (const one of [...(this.#queued.get(repository) ?? []), this.#current.get(repository)])
      one?.done(refusal('Closed', repository.path))
    this.#queued.delete(repository)
    this.#current.delete(repository)
    await this.#submitting.get(repository)
  }

  /** The next entry of the root log, signed. `begun`: the epoch that it begins. */
  signRoot(statement: Statement, key: SigningKey = this.key, begun?: number): Promise<Entry> {
    const { network, position, size } = this.#root
    if (network === undefined || position === null) throw new Error('the authority writes after its network is founded')
    const signer = toHex(this.#runtime.hash(key.publicKey))
    const time = this.#clock.now()
    const { epoch = position.epoch, hash: prev } = { ...position, epoch: begun }
    return this.#sign({ network, log: rootPath, epoch, n: size, prev, root: null, time, signer, statement }, key)
  }

  /** Resolves when no entry is between its landmark and its log. */
  async settled(): Promise<void> {
    await Promise.all(this.#submitting.values())
  }

  stop(): void {
    this.#stopped = true
    for (const queued of this.#queued.values()) for (const one of queued.splice(0)) one.done(refusal('Closed', ''))
    for (const one of this.#current.values()) one.done(refusal('Closed', ''))
    this.#current.clear()
    for (const cancel of this.#scheduled.values()) cancel()
    this.#scheduled.clear()
  }
}

/** The commit before one that must not be covered; `none` when it is the first of its chain, undefined when there is no such one. */
const before = (commit: Commit | undefined): Head | 'none' | undefined => {
  if (commit === undefined) return undefined
  return commit.prev === null ? 'none' : { chain: commit.chain, seq: commit.seq - 1, id: commit.prev }
}

const isAboutClock = (statement: Statement): boolean => statement.kind === 'verdict' && statement.rule === clockRule
