/**
 * What the authority keeps of its logs where they are not, beside its key: the whole root log, how far each repository's log went, and the
 * numbers of certificates. Whoever lost the logs, or put an older copy of them back, learns it from here. Every entry is kept here, with its
 * bytes, before it is stored, and so before anybody sees it: a log never goes further than its landmark, and where it ends one entry before
 * it, that one is here. Certificates are counted within ten seconds.
 *
 * Landmarks that are gone, damaged, or older than the logs say nothing of how far those went. Then all logs are taken for lost, and go on in an
 * epoch that is the time of this moment in seconds: none that was ever begun has that number.
 */
import { fromHex, toHex } from '../bytes/bytes.ts'
import { decode, encode } from '../bytes/cbor.ts'
import type { Plain } from '../bytes/plain.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { isBytes } from '../bytes/shape.ts'
import { format, type Position } from '../commit/commit.ts'
import { type Framed, frameKinds } from '../log/frame.ts'
import { type Entry, type Place, readEntry, rootPath } from '../trust/entry.ts'
import { Journal } from './journal.ts'
import type { Files, Runtime } from './ports.ts'

/** Whether what a log held is being taken back: `known`, where nothing stood behind its landmark; `open`, where nobody can tell. */
export type Missing = 'nothing' | 'known' | 'open'

/** How far a log went. */
interface Landmark extends Position {
  /** The entry itself; null once it is in the log. The file goes on holding it: of a log that is lost later it may be the one that nobody else has. */
  readonly entry: Uint8Array | null
  readonly missing: Missing
  /** Whoever runs the server gives up what is missing. */
  readonly isAccepted: boolean
  /** Who founded the repository; null where nobody did. */
  readonly founder: Founder | null
}

/** An owner, and the role that founding gave them. */
export interface Founder {
  readonly owner: string
  readonly role: string
}

interface Numbers {
  /** How many certificates were stored, the highest number of any account, and the one up to which none is given. */
  readonly given: number
  readonly highest: number
  readonly from: number
  /** The epoch in which logs go on of which there is no landmark, also the root log; 0 while there is one of each. */
  readonly anew: number
  /** Whoever runs the server gives up what is missing of logs without a landmark. */
  readonly isAccepted: boolean
}

/** What a folder holds that is opened. */
export interface Holding {
  /** Entries of the root log, and the epoch of the last. */
  readonly entries: number
  readonly epoch: number
  readonly certificates: number
  /** The highest number of any certificate. */
  readonly highest: number
  /** When the backup was made that it was restored from, ms since 1970. */
  readonly restored: number | undefined
}

/** Until what need not be kept at once is kept, ms. */
const interval = 10_000
/** More numbers than any account gets in that time. */
const spareNumbers = 1_000
/** Frames that say nothing any more, beside one for each log, before the file is written anew. */
const mostStale = 4_096
const fileName = 'landmarks.log'
const numbersName = ''
const missings: readonly Missing[] = ['nothing', 'known', 'open']

/** Whether an entry at the first place stands before one at the second. */
export const isBefore = (one: Place | null, other: Place): boolean =>
  one === null || one.epoch < other.epoch || (one.epoch === other.epoch && one.n < other.n)

export class Landmarks {
  /** The root log, from the first entry on. */
  readonly root: Entry[] = []
  readonly #runtime: Runtime
  readonly #journal: Journal
  readonly #logs = new Map<string, Landmark>()
  /** When something was written here last, ms since 1970. */
  #time = 0
  /** Whether something that was kept cannot be read. */
  readonly #isDamaged: boolean
  #numbers: Numbers = { given: 0, highest: 0, from: 0, anew: 0, isAccepted: false }
  /** What is to be kept before long, by name. */
  readonly #soon = new Set<string>()
  #cancel: (() => void) | undefined
  #stale = 0
  #compacting: Promise<void> | undefined
  readonly #onIncident: (why: Refusal) => void

  private constructor(journal: Journal, runtime: Runtime, onIncident: (why: Refusal) => void, isDamaged: boolean) {
    this.#isDamaged = isDamaged
    this.#journal = journal
    this.#runtime = runtime
    this.#onIncident = onIncident
  }

  /** Rejects with a `StorageError`. */
  static async open(files: Files, runtime: Runtime, onIncident: (why: Refusal) => void): Promise<Landmarks> {
    const header = encode([format, null, rootPath, runtime.random(16)])
    const { journal, frames, damage } = await Journal.open(files, fileName, { header, onIncident })
    const landmarks = new Landmarks(journal, runtime, onIncident, damage.length > 0)
    for (const { kind, payload } of frames) {
      if (kind === frameKinds.entry) {
        const entry = readEntry(payload, runtime.hash)
        if (!isRefusal(entry)) landmarks.#takeRoot(entry)
      } else if (kind === frameKinds.landmark) landmarks.#read(payload)
    }
    await landmarks.#compact()
    return landmarks
  }

  #read(payload: Uint8Array): void {
    const [name, first, second, third, entry, missing, isAccepted, time, owner, role] = fieldsOf(payload)
    if (typeof name !== 'string' || typeof first !== 'number' || typeof second !== 'number') return
    this.#stale++
    this.#time = Math.max(this.#time, Number(time))
    if (name === numbersName) {
      if (typeof third !== 'number' || typeof entry !== 'number') return
      this.#numbers = { given: first, highest: second, from: third, anew: entry, isAccepted: isAccepted === true }
    } else if (isBytes(third) && (entry === null || isBytes(entry))) {
      const [hash, before] = [toHex(third), this.#logs.get(name)]
      const held = before?.hash === hash ? before.entry : null
      this.#logs.set(name, {
        epoch: first,
        n: second,
        hash,
        entry: entry ?? held,
        missing: missings[Number(missing)] ?? 'open',
        isAccepted: isAccepted === true,
        founder: typeof owner === 'string' && typeof role === 'string' ? { owner, role } : null,
      })
    }
  }

  /** How far the log in that file went; undefined for one that never had an entry. */
  of(name: string): Landmark | undefined {
    return this.#logs.get(name)
  }

  /** Keeps an entry of the root log. Rejects with a `StorageError`. */
  async keepRoot(entry: Entry): Promise<void> {
    if (this.root[entry.n]?.id === entry.id) return
    await this.#journal.append([{ kind: frameKinds.entry, payload: entry.bytes }])
    this.#takeRoot(entry)
  }

  /** One that could not be stored afterwards, and that nobody saw, gives way to the next. */
  #takeRoot(entry: Entry): void {
    if (entry.n > this.root.length) return
    this.root.length = entry.n
    this.root.push(entry)
    this.#time = Math.max(this.#time, entry.time)
  }

  /**
   * Keeps an entry that is to be stored afterwards, and who founded the repository. What was missing before a new epoch is so no more. Rejects with a
   * `StorageError`.
   */
  async keep(name: string, { epoch, n, id, bytes }: Entry, founder: Founder | null = null): Promise<void> {
    const known = this.#logs.get(name)
    const missing = known === undefined || epoch > known.epoch ? 'nothing' : known.missing
    this.#logs.set(name, { epoch, n, hash: id, entry: bytes, missing, isAccepted: false, founder })
    await this.#append([name])
  }

  /** The entry of that hash is in the log: it need not be here any more, and nothing is given up. */
  settled(name: string, hash: string): void {
    const known = this.#logs.get(name)
    if (known?.hash !== hash || known.missing !== 'nothing') return
    if (known.isAccepted) this.#keepSoon(name)
    if (known.isAccepted || known.entry !== null) this.#logs.set(name, { ...known, entry: null, isAccepted: false })
  }

  /** The log goes that far, by what was brought; its landmark only goes on. What stands behind one that was not the end nobody knows. */
  reached(name: string, position: Position): void {
    const known = this.#logs.get(name)
    if (known !== undefined && !isBefore(known, position)) return
    const { isAccepted, founder } = { isAccepted: this.isAccepted(name), founder: known?.founder ?? null }
    this.#logs.set(name, { ...position, entry: null, missing: 'open', isAccepted, founder })
    this.#keepSoon(name)
  }

  /** What is missing is to be taken back, also after the next start. */
  lose(name: string, position: Position, missing: Missing): void {
    this.#logs.set(name, {
      entry: null,
      isAccepted: this.isAccepted(name),
      founder: null,
      ...(this.#logs.get(name) ?? position),
      missing,
    })
    void this.#append([name]).catch((error: unknown) => this.#failed(error))
  }

  /**
   * Compares itself with the folder. Where the folder held more, it is another one, and no log of it may be believed to be whole; and nobody knows
   * which numbers the certificates had. Where it holds more than is known here, or was restored from a backup that is younger than this, these
   * are not its landmarks.
   */
  async compare({ entries, certificates, highest: known, epoch, restored }: Holding): Promise<void> {
    const isOlder = restored !== undefined && entries > 0 && !(this.#time > restored)
    if (entries > this.root.length || isOlder || this.#isDamaged) {
      this.gave(known, certificates)
      return this.doubt(epoch)
    }
    const { given, highest, from } = this.#numbers
    // Whoever has these later sees that they are as new as this start.
    if (entries >= this.root.length && certificates >= given)
      return entries > 0 ? this.#append([numbersName]) : undefined
    this.#numbers = { ...this.#numbers, given: certificates, from: Math.max(from, highest + spareNumbers) }
    for (const [name, landmark] of this.#logs)
      if (landmark.missing === 'nothing') this.#logs.set(name, { ...landmark, missing: 'known' })
    await this.#append([numbersName, ...this.#logs.keys()])
  }

  /**
   * None of it says how far a log went: what is here is an older copy. `epoch`: the last one of the root log. All logs go on in an epoch that nobody
   * knows of, whatever the clock says.
   */
  async doubt(epoch: number): Promise<void> {
    const { given, highest, from } = this.#numbers
    let last = Math.max(epoch, this.#numbers.anew)
    for (const [name, landmark] of this.#logs) {
      last = Math.max(last, landmark.epoch)
      this.#logs.set(name, { ...landmark, missing: 'open', isAccepted: false })
    }
    const anew = Math.max(last + 1, Math.floor(this.#runtime.now() / 1_000))
    this.#numbers = { given, highest, from: Math.max(from, highest + spareNumbers), anew, isAccepted: false }
    await this.#append([numbersName, ...this.#logs.keys()])
  }

  /** The epoch in which logs go on of which there is no landmark, also the root log; 0 while there is one of each. */
  get anew(): number {
    return this.#numbers.anew
  }

  /** What is missing of a log is given up. */
  isAccepted(name: string): boolean {
    return (this.#logs.get(name) ?? this.#numbers).isAccepted
  }

  /** What is missing now is given up, of all logs but these: also of those that are opened later. */
  async accept(but: ReadonlySet<string>): Promise<void> {
    const names = [...this.#logs.keys()].filter((name) => !but.has(name))
    for (const [name, landmark] of this.#logs)
      if (!but.has(name)) this.#logs.set(name, { ...landmark, isAccepted: true })
    this.#numbers = { ...this.#numbers, isAccepted: true }
    await this.#append([numbersName, ...names])
  }

  /** No number up to this one is given. */
  get numbersFrom(): number {
    return this.#numbers.from
  }

  /** A certificate of that number was stored, the `given`-th. */
  gave(number: number, given = this.#numbers.given + 1): void {
    this.#numbers = { ...this.#numbers, given, highest: Math.max(this.#numbers.highest, number) }
    this.#keepSoon(numbersName)
  }

  #keepSoon(name: string): void {
    this.#soon.add(name)
    this.#cancel ??= this.#runtime.timer(interval, () => {
      this.#cancel = undefined
      this.#flush().catch((error: unknown) => this.#failed(error))
    })
  }

  #failed(error: unknown): void {
    this.#onIncident(isRefusal(error) ? refusal(error.code, error.about) : refusal('Fault', String(error)))
  }

  /** Keeps what was to be kept soon. */
  async #flush(): Promise<void> {
    const names = [...this.#soon]
    this.#soon.clear()
    if (names.length === 0) return
    try {
      await this.#append(names)
    } catch (error) {
      for (const name of names) this.#soon.add(name)
      throw error
    }
  }

  async #append(names: readonly string[]): Promise<void> {
    this.#stale += names.length
    this.#time = Math.max(this.#time, this.#runtime.now())
    await this.#journal.append(names.flatMap((name) => this.#frames(name)))
    // Whoever waits for what he kept does not wait for this.
    this.#compact().catch((error: unknown) => this.#failed(error))
  }

  #frames(name: string, entry: Uint8Array | null = null): Framed[] {
    const { given, highest, from, anew, isAccepted } = this.#numbers
    const log = this.#logs.get(name)
    const kind = frameKinds.landmark
    if (name === numbersName)
      return [{ kind, payload: encode([numbersName, given, highest, from, anew, null, isAccepted, this.#time]) }]
    if (log === undefined) return []
    const { epoch, n, hash, missing } = log
    const founder = log.founder === null ? [] : [log.founder.owner, log.founder.role]
    const fields = [epoch, n, fromHex(hash), log.entry ?? entry, missings.indexOf(missing), log.isAccepted, this.#time]
    return [{ kind, payload: encode([name, ...fields, ...founder]) }]
  }

  /** Writes the file anew without what was said again later, when that is most of it. All it says is in the new file, whatever the crash. */
  #compact(): Promise<void> {
    if (this.#stale <= mostStale + 2 * this.#logs.size) return Promise.resolve()
    this.#compacting ??= this.#rewrite().finally(() => {
      this.#compacting = undefined
    })
    return this.#compacting
  }

  async #rewrite(): Promise<void> {
    const said = new Set<string>()
    await this.#journal.rewrite((frame) => {
      if (frame.kind !== frameKinds.landmark) return [frame]
      const [name, , , hash, entry] = fieldsOf(frame.payload)
      const log = this.#logs.get(String(name))
      if (typeof name !== 'string' || said.has(name) || (name !== numbersName && log === undefined)) return []
      const isNewest = isBytes(hash) && toHex(hash) === log?.hash
      // What is not in the file yet comes behind all of it, too late for a crash in between.
      if (name !== numbersName && !isNewest && log?.entry === null && !this.#soon.has(name)) return []
      said.add(name)
      return this.#frames(name, isNewest && isBytes(entry) ? entry : null)
    })
    this.#stale = 0
  }

  async close(): Promise<void> {
    this.#cancel?.()
    this.#soon.add(numbersName)
    await this.#flush().catch((error: unknown) => this.#failed(error))
    // Whoever began it is told how it ends.
    await this.#compacting?.catch(() => undefined)
    await this.#journal.close()
  }
}

const fieldsOf = (payload: Uint8Array): readonly Plain[] => {
  const plain = decode(payload)
  return Array.isArray(plain) ? plain : []
}
