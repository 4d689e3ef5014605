/**
 * Reads what the log of a repository holds: from its snapshot where one fits it, and otherwise from the first byte. What this replica stored it
 * verified before, so only structure and hashes are checked again, and of what a snapshot vouches for nothing but a checksum.
 *
 * A snapshot is of use while nothing behind it ends what it has: entries there may cover commits, and do no more.
 */
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { type Commit, type Hash, readCommit } from '../commit/commit.ts'
import { follows, isSigned, type Run } from '../commit/run.ts'
import type { Commits } from '../graph/commits.ts'
import type { CommitSource } from '../graph/logged.ts'
import { type Frame, frameKinds, scan } from '../log/frame.ts'
import { LogLayout } from '../log/layout.ts'
import { PackedLogReader } from '../log/packedlog.ts'
import type { ItemName } from '../sync/recall.ts'
import type { AuthorityLog } from '../trust/authoritylog.ts'
import { readCertificate } from '../trust/certificate.ts'
import { readEntry } from '../trust/entry.ts'
import type { Certificates } from './certificates.ts'
import type { Cleaning } from './cleaning.ts'
import { droppedCommits, readFloor, readRecalled } from './floor.ts'
import type { OpenJournal } from './journal.ts'
import type { KnownStores } from './known.ts'
import { type Snapshot, type Unpacked, unpackSnapshot } from './snapshot.ts'

/** What is read, and where it goes. */
export interface StoredLogOptions {
  readonly path: string
  readonly network: string
  readonly hash: Hash
  readonly commits: Commits
  readonly log: AuthorityLog
  readonly cleaning: Cleaning
  readonly known: KnownStores
  readonly certificates: Certificates
  /** Sessions whose certificate is in the log. */
  readonly certified: Set<string>
  /** Why a commit cannot stand in this repository. */
  refuse(commit: Commit): Refusal | undefined
  incident(why: Refusal): void
}

/** What items are restored from. */
export interface Restored extends Pick<Snapshot, 'clock' | 'odd' | 'root' | 'shelves'> {
  /** How many bytes of the log a snapshot is of; 0 where there is none, and this is the log's floor. */
  readonly size: number
  /** How many entries of the log it knew. */
  readonly entries: number
  /** Items of which nothing is dropped any more. */
  readonly recalled: readonly ItemName[]
  /** What stands in the log in the place of dropped commits. Costs reading it. */
  floor(): Pick<Snapshot, 'shelves'>
}

export interface ReadLog {
  /** The snapshot that was used, or the floor. */
  readonly restored: Restored | undefined
  /** The commits behind it, in order. */
  readonly commits: readonly Commit[]
  /** What builds on something that was dropped while that was in memory, or that is damaged, by what it waits for. */
  readonly waiting: readonly { readonly missing: string; readonly run: Run }[]
  /** Undefined where some of the log says nothing: then no snapshot of it can be made. */
  readonly layout: LogLayout | undefined
}

export class StoredLog {
  readonly #of: StoredLogOptions

  constructor(of: StoredLogOptions) {
    this.#of = of
  }

  /** `name`: of the file, for reports. */
  read({ known, frames, damage, header }: OpenJournal, snapshot: Snapshot | undefined, name: string): ReadLog {
    const isWhole = damage.length === 0
    if (snapshot !== undefined && known !== undefined && isWhole) {
      const isHarmless = frames.every((frame) => this.#isHarmless(frame))
      const unpacked = isHarmless
        ? unpackSnapshot(snapshot, (layout, dropped) => this.#source(layout, known, dropped))
        : undefined
      if (unpacked !== undefined) return this.#goOn(snapshot, unpacked, known, frames)
    }
    const [first, ...others] = known === undefined ? [] : scan(known).frames
    const before = first === undefined || first.kind === frameKinds.header ? others : [first, ...others]
    return this.#readAll([...before, ...frames], isWhole, header !== undefined, name)
  }

  #goOn(snapshot: Snapshot, unpacked: Unpacked, known: Uint8Array, frames: readonly Frame[]): ReadLog {
    const { layout, commits } = unpacked
    const { log, commits: held } = this.#of
    for (const { frame, commits: before } of layout.others(known)) this.#other(frame, before)
    const entries = log.next
    for (const frame of frames) if (frame.kind === frameKinds.entry) this.#entry(frame)
    held.restore(commits)
    const reader = new PackedLogReader(this.#of.hash)
    this.#prime(reader, layout, known, frames)
    const read = this.#commits(frames, reader, layout)
    const isSound = reader.holes.length === 0 && held.dropped + layout.commits === held.size
    let floor: Pick<Snapshot, 'shelves'> | undefined
    const floorOf = (): Pick<Snapshot, 'shelves'> => {
      floor ??= (held.dropped > 0 ? readFloor(layout.floor(known)) : undefined) ?? noFloor
      return floor
    }
    return {
      restored: { ...snapshot, entries, recalled: this.#recalled, floor: floorOf },
      commits: read,
      waiting: this.#waiting,
      layout: isSound ? layout : undefined,
    }
  }

  /** Takes in what stands in the place of dropped commits. Undefined where it is damaged, and where nothing was dropped. */
  #floor(frames: readonly Frame[], name: string): Restored | undefined {
    const laid = frames.filter(({ kind }) => kind === frameKinds.floor)
    if (laid.length === 0) return undefined
    const floor = readFloor(laid)
    const dropped = floor && droppedCommits(floor)
    if (floor === undefined || dropped === undefined) {
      this.#of.incident(refusal('LogCorrupt', `${name}: what stands for dropped commits`))
      this.#isDamaged = true
      return undefined
    }
    this.#of.commits.restore(dropped)
    return { ...floor, size: 0, entries: 0, recalled: this.#recalled, floor: () => floor }
  }

  #readAll(frames: readonly Frame[], isWhole: boolean, hasHeader: boolean, name: string): ReadLog {
    const { cleaning, commits: held, hash, incident, log } = this.#of
    const layout = new LogLayout()
    this.#isDamaged = !isWhole
    const restored = this.#floor(frames, name)
    // What is erased is so from the start, wherever it stands.
    for (const frame of frames) if (frame.kind === frameKinds.entry) this.#entry(frame)
    const reader = new PackedLogReader(hash)
    const commits = this.#commits(frames, reader, layout)
    for (const { from, to } of reader.holes) incident(refusal('LogCorrupt', `${name} ${from}-${to}`))
    const isSound = isWhole && reader.holes.length === 0
    if (!isSound && !log.erasures.isEmpty) cleaning.due()
    const isKnown = isSound && hasHeader && held.dropped + layout.commits === held.size
    return { restored, commits, waiting: this.#waiting, layout: isKnown ? layout : undefined }
  }

  /** Whether the snapshot holds whatever the frame says. */
  #isHarmless({ kind, payload }: Frame): boolean {
    if (kind === frameKinds.recalled) return false
    if (kind !== frameKinds.entry) return true
    const entry = readEntry(payload, this.#of.hash)
    return !isRefusal(entry) && entry.statement.kind === 'checkpoint' && entry.n > 0
  }

  /** A pack behind the snapshot may build on those before it. */
  #prime(reader: PackedLogReader, layout: LogLayout, log: Uint8Array, frames: readonly Frame[]): void {
    const next = frames.find(({ kind }) => kind === frameKinds.pack)
    const last = layout.segments().at(-1)
    if (next === undefined || (next.payload[0] ?? 0) % 2 === 1 || last === undefined) return
    for (const frame of scan(log.subarray(0, last.to), last.from).frames) reader.read(frame)
  }

  #source(layout: LogLayout, log: Uint8Array, dropped: number): CommitSource {
    const segments = layout.segments()
    const read = (index: number): readonly Commit[] => {
      const segment = segments[index]
      if (segment === undefined) throw new RangeError(`no segment ${index}`)
      const reader = new PackedLogReader(this.#of.hash)
      const commits: Commit[] = []
      for (const frame of scan(log.subarray(0, segment.to), segment.from).frames) {
        const records = reader.stored(frame)
        for (const record of isRefusal(records) ? [] : records) {
          const commit = record.commit ?? readCommit(record.bytes, this.#of.hash, record.hashed)
          if (isRefusal(commit)) throw new RangeError(commit.about)
          commits.push(this.#of.cleaning.strip(commit))
        }
      }
      return commits
    }
    return { starts: segments.map(({ first }) => dropped + first), read }
  }

  #entry(frame: Frame): void {
    const { hash, incident, log, network, path } = this.#of
    const entry = readEntry(frame.payload, hash)
    const foreign = !isRefusal(entry) && entry.network !== network ? refusal('WrongNetwork', entry.id) : undefined
    const why = isRefusal(entry) ? entry : (foreign ?? log.check(entry, hash))
    if (isRefusal(entry) || (why !== undefined && why !== 'held'))
      return incident(isRefusal(why) ? why : refusal('Malformed', path))
    if (why === undefined) log.append(entry)
  }

  /** `commits`: how many stand before the frame. */
  #other(frame: Frame, commits: number): void {
    if (frame.kind === frameKinds.entry) this.#entry(frame)
    else if (frame.kind === frameKinds.certificate) this.#certificate(frame)
    else if (frame.kind === frameKinds.known) this.#of.known.read(frame.payload, commits)
    else this.#recall(frame)
  }

  readonly #recalled: ItemName[] = []
  /** Whether something of what the log held cannot be read: it may come from elsewhere. */
  #isDamaged = false
  readonly #waiting: { readonly missing: string; readonly run: Run }[] = []

  #recall({ kind, payload }: Frame): void {
    const item = kind === frameKinds.recalled ? readRecalled(payload) : undefined
    if (item !== undefined) this.#recalled.push(item)
  }

  #certificate({ payload }: Frame): void {
    const certificate = readCertificate(payload, this.#of.hash)
    if (isRefusal(certificate)) return this.#of.incident(certificate)
    this.#of.certificates.keep(certificate)
    this.#of.certified.add(certificate.session)
  }

  /** Takes in what the frames hold. Entries were taken in before. */
  #commits(frames: readonly Frame[], reader: PackedLogReader, layout: LogLayout): Commit[] {
    const { cleaning, commits: held, hash, incident } = this.#of
    const commits: Commit[] = []
    let open: Commit[] = []
    for (const frame of frames) {
      const records = reader.stored(frame)
      if (frame.kind !== frameKinds.commit) open = []
      if (frame.kind === frameKinds.certificate) this.#certificate(frame)
      else if (frame.kind === frameKinds.known) this.#of.known.read(frame.payload, held.size)
      else this.#recall(frame)
      for (const { bytes, hashed, commit: unpacked } of isRefusal(records) ? [] : records) {
        const read = unpacked ?? readCommit(bytes, hash, hashed)
        const commit = isRefusal(read) ? read : cleaning.strip(read)
        if (commit !== read) cleaning.due()
        if (isRefusal(commit)) {
          incident(commit)
          open = []
          continue
        }
        // What a crash cut off before its signature was never acknowledged.
        const last = open.at(-1)
        if (last !== undefined && !follows(commit, last)) open = []
        open.push(commit)
        // Of dropped commits each one that stayed stands by itself: that it was there the checkpoint says.
        if (held.isBelowFloor(commit)) {
          held.keep(commit)
          held.settle()
          commits.push(commit)
          open = []
          continue
        }
        if (!isSigned(commit)) continue
        for (const restored of this.#restore(open)) commits.push(restored)
        open = []
      }
      if (frame.kind === frameKinds.pack) open = []
      // A record that was not taken in leaves a number that is nobody's: then the layout says more than is held.
      layout.add(frame.kind, frame.payload, frame.end, isRefusal(records) ? 0 : records.length)
    }
    return commits
  }

  /** Takes in what the log holds under one signature. Returns what was not here before; nothing, when something of it cannot stand, or has to wait. */
  #restore(stored: Run): Run {
    const { commits, incident, refuse } = this.#of
    const run = stored.filter(({ id }) => commits.indexOf(id) < 0)
    for (const [staged, commit] of run.entries()) {
      const why = refuse(commit)
      if (why !== undefined) {
        commits.rollback(staged)
        if (why.code === 'MissingParents' && (commits.dropsAny || this.#isDamaged))
          this.#waiting.push({ missing: why.about, run })
        else incident(why)
        return []
      }
      commits.stage(commit)
    }
    commits.settle()
    return run
  }
}

const noFloor = { shelves: [] }
