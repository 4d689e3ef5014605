/**
 * What channels bring to one repository, before it is on the road: checked in the order size, guard, hashes, duplicate, certificate,
 * quota, signature. Nothing of a run is taken before its one signature was verified.
 */
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { type Commit, readCommit, signedBytes } from '../commit/commit.ts'
import type { Unpacked } from '../commit/pack.ts'
import { gatherRuns, type Run } from '../commit/run.ts'
import type { Commits } from '../graph/commits.ts'
import { type Entry, readEntry } from '../trust/entry.ts'
import { messageOf } from '../trust/signed.ts'
import type { Certificates } from './certificates.ts'
import { isFirst } from './founding.ts'
import type { Brought, Pending } from './pending.ts'
import type { Runtime } from './ports.ts'
import type { Gate, Weight } from './quota.ts'
import type { RootLog } from './rootlog.ts'

export interface Received {
  readonly certificates: readonly Uint8Array[]
  /** Records; what is one run stands together. */
  readonly commits: readonly Uint8Array[]
  /** What the records were unpacked from, where they were. */
  readonly unpacked?: UnpackedFrom
  readonly entries: readonly Uint8Array[]
}

export interface UnpackedFrom {
  readonly pack: Uint8Array
  readonly records: readonly Unpacked[]
}

/** The records that were unpacked, by their bytes. They are asked for in the order in which they came. */
const recordsIn = (unpacked: UnpackedFrom | undefined): ((bytes: Uint8Array) => Unpacked | undefined) => {
  const records = unpacked?.records ?? []
  let next = 0
  return (bytes) => {
    for (let record = records[next++]; record !== undefined; record = records[next++])
      if (record.bytes === bytes) return record
    return undefined
  }
}

/** What receiving needs of the road it leads to. */
export interface Receiver {
  readonly path: string
  readonly runtime: Runtime
  readonly root: RootLog
  readonly certificates: Certificates
  readonly commits: Commits
  readonly pending: Pending
  /** The authority's time: it admits only what a certificate in force signed. Undefined for everybody else. */
  readonly now: (() => number) | undefined
  /** Whether nothing was ever written here. */
  isBlank(): boolean
  /** Whether the authority acknowledged it, and lost it: then nobody is charged for it, and it does not matter what has run out since. */
  isReceipted(commit: Commit): boolean
  isRecovering(): boolean
  refuseFounding(commit: Commit): Refusal | undefined
  refused(origin: object, id: string, why: Refusal): void
  /** It stands where its chain lost others. */
  below(origin: object, commit: Commit): void
  /** Puts it on the road. */
  take(brought: Brought): void
  takeEntry(entry: Entry, origin: object): void
  /** Resolves when all that was taken so far is durable, refused or waiting for parents. */
  through(): Promise<void>
}

/** Verifications under way at once; more only fills memory. */
const verifyWidth = 64

export class Reception {
  readonly #of: Receiver

  constructor(of: Receiver) {
    this.#of = of
  }

  /**
   * From the first run that is over the quota on nothing of the message is taken: it builds on it, and comes again. A channel makes its
   * next call after `onRoad` of the last, so that its order is kept, and need not wait until that is stored: what comes in while one append
   * is under way goes into the next. Resolves when all of it is durable, refused or waiting for parents.
   */
  async receive(
    origin: object,
    received: Received,
    onRoad?: () => void,
    gate?: Gate,
  ): Promise<{ readonly ids: readonly string[]; readonly waiting: boolean }> {
    const of = this.#of
    for (const bytes of received.certificates) {
      const certificate = await of.certificates.admit(bytes)
      if (isRefusal(certificate)) of.refused(origin, '', certificate)
    }
    for (const bytes of received.entries) {
      const entry = await this.#readEntry(bytes)
      if (isRefusal(entry)) of.refused(origin, '', entry)
      else of.takeEntry(entry, origin)
    }
    // They say which commits were acknowledged before.
    if (received.entries.length > 0 && of.isRecovering()) await of.through()
    const ids: string[] = []
    const runs = this.#admissible(origin, received, ids, gate)
    let mustFound = gate !== undefined && of.isBlank()
    const good: Brought[] = []
    let bad = 0
    for (let from = 0; from < runs.length; from += verifyWidth) {
      const batch = runs.slice(from, from + verifyWidth)
      const signed = await Promise.all(batch.map((run) => this.#isSigned(run)))
      for (const [index, run] of batch.entries()) {
        const [first] = run
        if (first === undefined) continue
        if (signed[index] !== true) {
          bad++
          for (const { id } of run) of.refused(origin, id, refusal('BadSignature', id))
          continue
        }
        const barred = mustFound ? of.refuseFounding(first) : undefined
        if (barred !== undefined) {
          for (const { id } of run) of.refused(origin, id, barred)
          continue
        }
        // What builds on others waits for them, and founds nothing.
        if (isFirst(first)) mustFound = false
        if (!of.isReceipted(first)) gate?.signed(this.#ownerOf(first), weightOf(run))
        good.push({ run, origin })
      }
      // The channel is closed by now: nobody makes this replica verify a thousand signatures more.
      if (bad >= limits.offences) break
    }
    // At once, so that what came together is stored together.
    for (const brought of good) of.take(brought)
    const through = of.through()
    onRoad?.()
    await through
    return { ids, waiting: of.pending.runs > 0 && ids.some((id) => of.pending.has(id)) }
  }

  /** The runs that are new here, as far as everything but their signatures can tell. `ids` gets those of all that could be read. */
  #admissible(origin: object, { commits, unpacked }: Received, ids: string[], gate: Gate | undefined): Run[] {
    const of = this.#of
    const refuse = (id: string, why: Refusal): void => of.refused(origin, id, why)
    const hash = (bytes: Uint8Array): Uint8Array => of.runtime.hash(bytes)
    const recordOf = recordsIn(unpacked)
    const read = function* (): Generator<Commit, void, undefined> {
      for (const bytes of commits) {
        const record = recordOf(bytes)
        const commit = record?.commit ?? readCommit(bytes, hash, record?.hashed)
        if (isRefusal(commit)) {
          refuse('', commit)
          continue
        }
        if (of.commits.isBelowFloor(commit)) {
          of.below(origin, commit)
          continue
        }
        ids.push(commit.id)
        yield commit
      }
    }
    const runs: Run[] = []
    let founds = of.isBlank()
    for (const whole of gatherRuns(read(), ({ id }, why) => refuse(id, why))) {
      const last = whole.at(-1)
      if (last === undefined || of.commits.get(last.id) !== undefined || of.pending.includes(whole)) continue
      const run: Commit[] = []
      let barred: Refusal | undefined
      for (const commit of whole) {
        // What is here stands behind all it builds on.
        if (run.length === 0 && of.commits.get(commit.id) !== undefined) continue
        run.push(commit)
        barred ??= this.#mayStand(commit)
      }
      if (barred !== undefined) {
        for (const { id } of run) refuse(id, barred)
        continue
      }
      const over = of.isReceipted(last) ? undefined : gate?.bring(this.#ownerOf(last), weightOf(run), founds)
      if (over !== undefined) {
        refuse('', over)
        return runs
      }
      founds = false
      runs.push(run)
    }
    return runs
  }

  #mayStand(commit: Commit): Refusal | undefined {
    const { root, path, certificates } = this.#of
    const foreign = whyForeign(commit, root, path)
    if (foreign !== undefined) return foreign
    const certificate = certificates.get(commit.session)
    if (certificate === undefined) return refusal('UnknownSession', commit.session)
    if (this.#of.now === undefined || this.#of.isReceipted(commit)) return undefined
    if (certificates.isTooLate(certificate)) return refusal('CertificateExpired', commit.session)
    const now = this.#of.now()
    if (certificate.expires < now) return refusal('CertificateExpired', commit.session)
    // From before the authority's clock was set back.
    return certificate.issued > now + limits.clockAhead ? refusal('ClockAhead', commit.session) : undefined
  }

  #ownerOf(commit: Commit): string {
    return this.#of.certificates.get(commit.session)?.owner ?? commit.session
  }

  async #isSigned(run: Run): Promise<boolean> {
    const last = run.at(-1)
    const certificate = last && this.#of.certificates.get(last.session)
    if (last === undefined || certificate === undefined) return false
    return this.#of.runtime.verify(certificate.publicKey, signedBytes(last.id), last.signature)
  }

  async #readEntry(bytes: Uint8Array): Promise<Entry | Refusal> {
    const { root, runtime } = this.#of
    const entry = readEntry(bytes, runtime.hash)
    if (isRefusal(entry)) return entry
    if (entry.network !== root.network) return refusal('WrongNetwork', entry.id)
    // Whose keys are in force there, and who may do what, the root log says up to there.
    if (entry.root === null || !root.holds(entry.root)) return refusal('Undecided', entry.id)
    const key = root.keyAt(entry.signer, entry.root.n)
    if (key === undefined) return refusal('BadEntry', entry.id)
    const message = messageOf('entry', entry.body, runtime.hash)
    return (await runtime.verify(key, message, entry.signature)) ? entry : refusal('BadSignature', entry.id)
  }
}

const weightOf = (run: Run): Weight => ({
  commits: run.length,
  bytes: run.reduce((sum, { bytes }) => sum + bytes.length, 0),
})

/** Why a commit does not belong to this repository of this network. */
export const whyForeign = (commit: Commit, root: RootLog, path: string): Refusal | undefined => {
  if (commit.network !== root.network) return refusal('WrongNetwork', commit.id)
  return commit.repository === path ? undefined : refusal('WrongRepository', commit.id)
}
