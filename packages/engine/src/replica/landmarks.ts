/**
 * What the authority keeps of its logs where they are not, beside its key: the whole root log, how far each repository's log went, and the
 * numbers of certificates. Whoever lost the logs, or put an older copy of them back, learns it from here. Every entry is kept here, with its
 * bytes, before it is stored, and so before anybody sees it: a log never goes further than its landmark, and where it ends one entry before
 * it, that one is here. Certificates are counted within ten seconds.
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
}

/** Numbers of certificates: how many were stored, the highest of any account, and the one below which none is given. */
interface Numbers {
  readonly given: number
  readonly highest: number
  readonly from: number
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
  #numbers: Numbers = { given: 0, highest: 0, from: 0 }
  /** What is to be kept before long, by name. */
  readonly #soon = new Set<string>()
  #cancel: (() => void) | undefined
  #stale = 0
  #compacting: Promise<void> | undefined
  readonly #onIncident: (why: Refusal) => void

  private constructor(journal: Journal, runtime: Runtime, onIncident: (why: Refusal) => void) {
    this.#journal = journal
    this.#runtime = runtime
    this.#onIncident = onIncident
  }

  /** Rejects with a `StorageError`. */
  static async open(files: Files, runtime: Runtime, onIncident: (why: Refusal) => void): Promise<Landmarks> {
    const header = encode([format, null, rootPath, runtime.random(16)])
    const { journal, frames } = await Journal.open(files, fileName, { header, onIncident })
    const landmarks = new Landmarks(journal, runtime, onIncident)
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
    const [name, first, second, third, entry, missing] = fieldsOf(payload)
    if (typeof name !== 'string' || typeof first !== 'number' || typeof second !== 'number') return
    this.#stale++
    if (name === numbersName) {
      if (typeof third === 'number') this.#numbers = { given: first, highest: second, from: third }
    } else if (isBytes(third) && (entry === null || isBytes(entry))) {
      const [hash, before] = [toHex(third), this.#logs.get(name)]
      const held = before?.hash === hash ? before.entry : null
      this.#logs.set(name, {
        epoch: first,
        n: second,
        hash,
        entry: entry ?? held,
        missing: missings[Number(missing)] ?? 'open',
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
  }

  /** Keeps an entry that is to be stored afterwards: nothing is missing before it. Rejects with a `StorageError`. */
  async keep(name: string, { epoch, n, id, bytes }: Entry): Promise<void> {
    this.#logs.set(name, { epoch, n, hash: id, entry: bytes, missing: 'nothing' })
    await this.#append([name])
  }

  /** The entry of that hash is in the log: it need not be here any more. */
  settled(name: string, hash: string): void {
    const known = this.#logs.get(name)
    if (known?.hash === hash && known.entry !== null) this.#logs.set(name, { ...known, entry: null })
  }

  /** The log goes that far, by what was brought; its landmark only goes on. What stands behind one that was not the end nobody knows. */
  reached(name: string, position: Position): void {
    const known = this.#logs.get(name)
    if (known !== undefined && !isBefore(known, position)) return
    this.#logs.set(name, { ...position, entry: null, missing: 'open' })
    this.#keepSoon(name)
  }

  /** What is missing is to be taken back, also after the next start. */
  lose(name: string, position: Position, missing: Missing): void {
    this.#logs.set(name, { entry: null, ...(this.#logs.get(name) ?? position), missing })
    void this.#append([name]).catch((error: unknown) => this.#failed(error))
  }

  /**
   * So many entries of the root log and certificates are stored. Where they were more, the folder is another one, and no log of it may be
   * believed to be whole; and nobody knows which numbers the certificates had.
   */
  async stored(entries: number, certificates: number): Promise<void> {
    const { given, highest, from } = this.#numbers
    if (entries >= this.root.length && certificates >= given) return
    this.#numbers = { given: certificates, highest, from: Math.max(from, highest + spareNumbers) }
    for (const [name, landmark] of this.#logs)
      if (landmark.missing === 'nothing') this.#logs.set(name, { ...landmark, missing: 'known' })
    await this.#append([numbersName, ...this.#logs.keys()])
  }

  /** No number up to this one is given. */
  get numbersFrom(): number {
    return this.#numbers.from
  }

  /** A certificate was stored. */
  gave(number: number): void {
    const { given, highest, from } = this.#numbers
    this.#numbers = { given: given + 1, highest: Math.max(highest, number), from }
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
    await this.#journal.append(names.flatMap((name) => this.#frames(name)))
    // Whoever waits for what he kept does not wait for this.
    this.#compact().catch((error: unknown) => this.#failed(error))
  }

  #frames(name: string, entry: Uint8Array | null = null): Framed[] {
    const { given, highest, from } = this.#numbers
    const log = this.#logs.get(name)
    if (name === numbersName)
      return [{ kind: frameKinds.landmark, payload: encode([numbersName, given, highest, from]) }]
    if (log === undefined) return []
    const payload = encode([
      name,
      log.epoch,
      log.n,
      fromHex(log.hash),
      log.entry ?? entry,
      missings.indexOf(log.missing),
    ])
    return [{ kind: frameKinds.landmark, payload }]
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
