/**
 * The one writer of one log file. Its promises:
 *
 * 1. What `append` resolved for is there at every later opening, whatever the crash: written and synced on a handle that never failed.
 * 2. What `append` rejected for is not: the file is cut back, and the cut is synced, before anything else is acknowledged. Only a disk
 *    that refuses the cut as well delays this until it takes it, and until then it takes nothing else either.
 * 3. Appends are stored in the order of the calls. When one fails, all that wait behind it fail with it, because they may build on it.
 *
 * While one batch is being written, the next gathers: one write and one sync for all of it.
 * 4. What `rewrite` drops is in no file of this log any more once it has resolved, whatever the crash; until then the old file or the new
 *    one is there, whole.
 *
 * After a failed sync the system may count pages as clean that never reached the disk, so that the next sync succeeds over a hole
 * (Rebello et al., "Can Applications Recover from fsync Failures?", 2020). Hence no handle is used again after a failure: the file is
 * opened anew, what was synced before is read and compared with the checksum kept of it, and the rest is cut off.
 */
import { concatBytes } from '../bytes/bytes.ts'
import { crc32c } from '../bytes/crc32c.ts'
import { type Refusal, refusal, StorageError, WeftError } from '../bytes/refusal.ts'
import { encodeFrame, type Frame, type Framed, type Hole, Scanner, scan } from '../log/frame.ts'
import type { File, Files } from './ports.ts'

/** Bytes read at once. */
const pieceBytes = 1_048_576
/** The same where each frame is looked into, so that others have their turn. */
const rewrittenBytes = 65_536
/** Read of a log at once that a snapshot may vouch for: what takes time in browsers is each question. */
const vouchedBytes = 4_194_304
/** A header takes less. */
const mostHeader = 4_096
/** A batch takes no further appends from here on. */
const batchBytes = 4_194_304

export interface JournalOptions {
  /** Payload of the first frame, of kind 0, if the file is new. */
  readonly header: Uint8Array
  /** What is known of the beginning of the file, asked when there is one: where it is so, its frames are not looked at. */
  readonly known?: () => Promise<Known | undefined>
  /** Told of what no caller is told of by a rejection: damage, and a cut that has to wait. */
  onIncident(incident: Refusal): void
}

/** The first so many bytes of a log, all of them whole frames that are stored, have this checksum. */
export interface Known {
  readonly size: number
  readonly checksum: number
}

export interface OpenJournal {
  readonly journal: Journal
  /** The first frame's payload; undefined when damage has taken it. */
  readonly header: Uint8Array | undefined
  /** The bytes that were known; undefined where they are others. */
  readonly known: Uint8Array | undefined
  /** Whether all that was read lasts: false where there was no room to make it so. */
  readonly isStored: boolean
  /** All whole frames after the header, or after what was known. */
  readonly frames: readonly Frame[]
  /** What is damaged in the middle. It stays as it is. */
  readonly damage: readonly Hole[]
}

interface Append {
  readonly parts: readonly Uint8Array[]
  readonly bytes: number
  /** Run while the disk works on it. */
  meanwhile(): void
  resolve(ends: readonly number[]): void
  reject(error: WeftError): void
}

export class Journal {
  readonly #files: Files
  readonly #name: string
  readonly #onIncident: (incident: Refusal) => void
  /** Undefined when the last handle failed. */
  #file: File | undefined
  /** What the file is to begin with, until it is there. */
  #header: Uint8Array | undefined
  /** The file up to here is synced, and this is its checksum. */
  #size = 0
  #checksum = 0
  /** Whether what lies behind `#size` is a tail that a crash left, to be kept aside before it is cut. */
  #torn = false
  /** Whether the name may still be that of a file before a copy or a rewrite: nothing behind it lasts until it is written anew. */
  #isNameDoubtful = false
  #waiting: Append[] = []
  #pump: Promise<void> | undefined
  #closed = false

  private constructor(files: Files, name: string, options: JournalOptions) {
    this.#files = files
    this.#name = name
    this.#onIncident = options.onIncident
  }

  /**
   * Opens the log. An absent one is empty, and its file is made by the first append: asking for a log leaves nothing behind. A torn tail is
   * cut off and kept in `<name>.torn`. Rejects with a `StorageError` when the file cannot be read.
   */
  static async open(files: Files, name: string, options: JournalOptions): Promise<OpenJournal> {
    const journal = new Journal(files, name, options)
    try {
      const found = await files.open(name, false)
      if (found === undefined) {
        journal.#header = encodeFrame(0, options.header)
        return { journal, header: options.header, known: undefined, isStored: true, frames: [], damage: [] }
      }
      let { frames, damage, length, known } = await journal.#load(found, options.known)
      let { header: payload } = options
      const [only] = frames
      if (frames.length === 1 && only?.kind === 0 && only.offset === 0 && journal.#size === length) {
        // Making the file may have failed on its name, and a name's failed sync is not made good by another one: with nothing in the
        // file to lose, it is made anew.
        payload = only.payload
        await journal.#drop()
        await files.remove(name)
        journal.#size = 0
        journal.#checksum = 0
        ;({ frames, damage, length, known } = await journal.#load(await journal.#make()))
      }
      for (const { from, to } of damage) options.onIncident(refusal('LogCorrupt', `${name} ${from}-${to}`))
      if (journal.#size > 0) {
        // When there is no room to keep the tail aside or to make a copy, the log can be read all the same; the cut waits for the next
        // append, and only what an earlier failure left in doubt stays so.
        const report = (error: StorageError): void => journal.#report(error)
        // What is known has a name that lasts.
        let areNamesStored = known?.length === journal.#size
        let isStored = files.readsOnlyStored === true || areNamesStored
        if (!isStored) {
          await journal.#renew().then(() => {
            isStored = true
            areNamesStored = true
          }, report)
        } else if (journal.#torn) await journal.#handle().catch(report)
        const first = known === undefined ? frames[0] : scan(known.subarray(0, mostHeader)).frames[0]
        const intact = first !== undefined && first.offset === 0 && first.kind === 0
        if (!areNamesStored) await files.syncNames()
        return {
          journal,
          header: intact ? first.payload : undefined,
          known,
          isStored,
          frames: intact && known === undefined ? frames.slice(1) : frames,
          damage,
        }
      }
      const header = encodeFrame(0, payload)
      // A crash while the header was written leaves no more than a header.
      if (length > header.length) options.onIncident(refusal('LogCorrupt', `${name} 0-${length}`))
      await journal.#write(await journal.#handle(), [header])
      await files.syncNames()
      return { journal, header: payload, known: undefined, isStored: true, frames: [], damage }
    } catch (error) {
      await journal.#drop()
      throw storageError(error, name)
    }
  }

  /** Bytes that are durable. */
  get size(): number {
    return this.#size
  }

  /** Of the bytes that are durable. */
  get checksum(): number {
    return this.#checksum
  }

  /**
   * Resolves when the frames are durable, with where each of them ends. `meanwhile`, which does not throw, may be run while the disk works on them. Rejects with a `StorageError` when they could not be stored, with `Closed` after `close`, and
   * with a RangeError when a frame cannot be encoded.
   */
  async append(frames: readonly Framed[], meanwhile: () => void = nothing): Promise<readonly number[]> {
    if (this.#closed) throw new WeftError('Closed', this.#name)
    const parts = frames.map(({ kind, payload }) => encodeFrame(kind, payload))
    const bytes = parts.reduce((sum, part) => sum + part.length, 0)
    const stored = new Promise<readonly number[]>((resolve, reject) =>
      this.#waiting.push({ parts, bytes, meanwhile, resolve, reject }),
    )
    this.#pump ??= this.#run()
    return stored
  }

  /** Stores what waits, then closes the file. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#pump
    await this.#drop()
  }

  async #run(): Promise<void> {
    // Calls made in one go are one batch.
    await undefined
    while (this.#waiting.length > 0) {
      const batch = this.#takeBatch()
      try {
        if (this.#isNameDoubtful) await this.#replace(asItIs)
        await this.#store(
          batch.flatMap(({ parts }) => parts),
          () => {
            for (const { meanwhile } of batch) meanwhile()
          },
        )
        let end = this.#size - batch.reduce((sum, { bytes }) => sum + bytes, 0)
        for (const { parts, resolve } of batch)
          resolve(
            parts.map(({ length }) => {
              end += length
              return end
            }),
          )
      } catch (error) {
        await this.#drop()
        await this.#cut().catch((again: StorageError) => this.#report(again))
        const failed = [...batch, ...this.#waiting.splice(0)]
        for (const { reject } of failed) reject(storageError(error, this.#name))
      }
    }
    this.#pump = undefined
  }

  #takeBatch(): Append[] {
    let bytes = 0
    let count = 0
    while (count < this.#waiting.length && (count === 0 || bytes < batchBytes))
      bytes += this.#waiting[count++]?.bytes ?? 0
    return this.#waiting.splice(0, count)
  }

  async #store(parts: readonly Uint8Array[], meanwhile: () => void): Promise<void> {
    const header = this.#header
    if (header === undefined) return this.#write(await this.#handle(), parts, meanwhile)
    // What an earlier try left has perhaps no name that lasts, and a name's failed sync is not made good by another one.
    await this.#files.remove(this.#name)
    this.#file = await this.#make()
    try {
      await this.#write(this.#file, [header, ...parts])
      await this.#files.syncNames()
    } catch (error) {
      this.#size = 0
      this.#checksum = 0
      throw error
    }
    this.#header = undefined
  }

  /** Writes behind what is durable, and makes that durable too. After a rejection the handle is not to be used again. */
  async #write(file: File, parts: readonly Uint8Array[], meanwhile: () => void = nothing): Promise<void> {
    const bytes = concatBytes(...parts)
    if (bytes.length === 0) return
    await writeAll(file, this.#size, bytes)
    const synced = file.sync()
    const checksum = crc32c(bytes, this.#checksum)
    meanwhile()
    await synced
    this.#checksum = checksum
    this.#size += bytes.length
  }

  /** A handle of a file that ends where what is durable ends. Rejects with a `StorageError`, leaving everything as it was. */
  async #handle(): Promise<File> {
    if (this.#file !== undefined) return this.#file
    let file: File | undefined
    try {
      file = await this.#files.open(this.#name, false)
      if (file === undefined) throw new StorageError('DiskError', `${this.#name} is gone`)
      await this.#check(file)
      if (this.#torn) await this.#keepAside(file)
      await file.truncate(this.#size)
      await file.sync()
      this.#torn = false
      this.#file = file
      return file
    } catch (error) {
      await file?.close().catch(ignore)
      throw storageError(error, this.#name)
    }
  }

  /** Takes back what a failed append left. */
  async #cut(): Promise<void> {
    if (this.#header === undefined) {
      await this.#handle()
      return
    }
    const file = await this.#files.open(this.#name, false)
    if (file === undefined) return
    try {
      // The name may be stored already, so what it names has to be nothing before it goes.
      await file.truncate(0)
      await file.sync()
    } finally {
      await file.close().catch(ignore)
    }
    await this.#files.remove(this.#name)
    await this.#files.syncNames()
  }

  /** Reads again what was durable. */
  async #check(file: File): Promise<void> {
    if (this.#files.isLetGo === true) return
    let checksum = 0
    let offset = 0
    for await (const piece of pieces(file, 0, this.#size)) {
      checksum = crc32c(piece, checksum)
      offset += piece.length
    }
    if (offset === this.#size && checksum === this.#checksum) return
    this.#onIncident(refusal('LogCorrupt', `${this.#name} 0-${this.#size}`))
    throw new StorageError('DiskError', `${this.#name} is not what was written`)
  }

  async #keepAside(file: File): Promise<void> {
    const aside = await this.#files.open(`${this.#name}.torn`, true)
    if (aside === undefined) throw new StorageError('DiskError', `${this.#name}.torn`)
    try {
      await aside.truncate(0)
      let offset = 0
      for await (const piece of pieces(file, this.#size, Number.POSITIVE_INFINITY)) {
        await writeAll(aside, offset, piece)
        offset += piece.length
      }
      await aside.sync()
    } finally {
      await aside.close().catch(ignore)
    }
    await this.#files.syncNames()
  }

  async #make(): Promise<File> {
    const file = await this.#files.open(this.#name, true)
    if (file === undefined) throw new StorageError('DiskError', this.#name)
    return file
  }

  /** Reads the whole file, and leaves a handle when there is nothing to cut. */
  async #load(
    file: File,
    knowing?: JournalOptions['known'],
  ): Promise<{ frames: Frame[]; damage: readonly Hole[]; length: number; known: Uint8Array | undefined }> {
    this.#file = file
    // All is asked for at once: what takes time in browsers is each question.
    const begun = Promise.all([file.size(), file.read(0, knowing ? vouchedBytes : pieceBytes)])
    begun.catch(ignore)
    const expected = await knowing?.()
    const [end, first] = await begun
    const known = expected && end >= expected.size ? await knownBytes(file, expected, first) : undefined
    // A process that was killed may have left what it had written and not yet synced. It counts from now on, so it has to last.
    // So it has where it was vouched for, and somebody put a copy of the file here: only appends wait for that.
    if (known?.length !== end) await file.sync()
    else this.#keepBusy(file.sync().catch((error: unknown) => this.#unsynced(error)))
    if (known !== undefined && expected !== undefined) {
      this.#size = expected.size
      this.#checksum = expected.checksum
    }
    let length = this.#size
    const scanner = new Scanner(length)
    const frames: Frame[] = []
    /** Read, and not yet known to lie before the end of a whole frame. */
    let behind: Uint8Array[] = []
    const advance = (found: Frame[]): void => {
      for (const frame of found) frames.push(frame)
      behind = behind.flatMap((piece) => {
        const whole = Math.min(scanner.good - this.#size, piece.length)
        this.#checksum = crc32c(piece.subarray(0, whole), this.#checksum)
        this.#size += whole
        return whole < piece.length ? [piece.subarray(whole)] : []
      })
    }
    for await (const piece of pieces(file, length, end, length === 0 ? first : undefined)) {
      length += piece.length
      behind.push(piece)
      advance(scanner.push(piece))
    }
    advance(scanner.end())
    this.#torn = scanner.torn
    if (this.#torn) await this.#drop()
    return { frames, damage: scanner.damage, length, known }
  }

  /**
   * Writes the log into a new file that takes its name. A process whose sync failed and that was killed before it cut what had failed
   * leaves bytes that are read and never stored, and no later sync of that file stores them (Rebello et al., "Can Applications Recover
   * from fsync Failures?", ATC 2020). Reading the whole log is what opening costs anyway.
   */
  async #renew(): Promise<void> {
    const renewed = `${this.#name}.new`
    try {
      const from = await this.#handle()
      await this.#files.remove(renewed)
      const to = await this.#files.open(renewed, true)
      if (to === undefined) throw new StorageError('DiskError', renewed)
      try {
        let offset = 0
        for await (const piece of pieces(from, 0, this.#size)) {
          await writeAll(to, offset, piece)
          offset += piece.length
        }
        await to.sync()
      } finally {
        await Promise.all([to.close().catch(ignore), this.#drop()])
      }
      await this.#files.rename(renewed, this.#name)
      this.#isNameDoubtful = true
      await this.#files.syncNames()
      this.#isNameDoubtful = false
    } catch (error) {
      await this.#drop()
      throw storageError(error, this.#name)
    }
  }

  /**
   * Writes the log into a new file that takes its name, with what `inPlaceOf` gives for each frame, asked in their order. What is damaged
   * in the middle goes, and so does what an earlier crash left aside: nobody can tell what is in it. Rejects with a `StorageError`, and then
   * may be tried again; appends go on either way.
   */
  async rewrite(inPlaceOf: (frame: Frame) => readonly Framed[]): Promise<void> {
    if (this.#closed) throw new WeftError('Closed', this.#name)
    while (this.#pump !== undefined) await this.#pump
    if (this.#header !== undefined) return
    const rewritten = this.#replace(inPlaceOf).then(() => this.discardAside())
    this.#keepBusy(rewritten.catch(ignore))
    return rewritten
  }

  /** Appends wait until this is over. */
  #keepBusy(work: Promise<void>): void {
    this.#pump = work.then(() => {
      this.#pump = undefined
      if (this.#waiting.length === 0) return undefined
      this.#pump = this.#run()
      return this.#pump
    })
  }

  async #unsynced(error: unknown): Promise<void> {
    this.#report(storageError(error, this.#name))
    await this.#drop()
  }

  /** Removes what a crash left beside the log. */
  async discardAside(): Promise<void> {
    try {
      await this.#files.remove(`${this.#name}.torn`)
      await this.#files.remove(`${this.#name}.new`)
      await this.#files.syncNames()
    } catch (error) {
      throw storageError(error, this.#name)
    }
  }

  async #replace(inPlaceOf: (frame: Frame) => readonly Framed[]): Promise<void> {
    const renewed = `${this.#name}.new`
    try {
      const from = await this.#handle()
      await this.#files.remove(renewed)
      const to = await this.#files.open(renewed, true)
      if (to === undefined) throw new StorageError('DiskError', renewed)
      let [size, checksum] = [0, 0]
      try {
        const scanner = new Scanner()
        const write = async (frames: readonly Frame[]): Promise<void> => {
          const written = frames.flatMap((frame) => inPlaceOf(frame))
          const bytes = concatBytes(...written.map(({ kind, payload }) => encodeFrame(kind, payload)))
          if (bytes.length === 0) return
          await writeAll(to, size, bytes)
          checksum = crc32c(bytes, checksum)
          size += bytes.length
        }
        for await (const piece of pieces(from, 0, this.#size, undefined, rewrittenBytes))
          await write(scanner.push(piece))
        await write(scanner.end())
        await to.sync()
      } finally {
        await to.close().catch(ignore)
      }
      await this.#drop()
      await this.#files.rename(renewed, this.#name)
      this.#size = size
      this.#checksum = checksum
      this.#isNameDoubtful = true
      await this.#files.syncNames()
      this.#isNameDoubtful = false
    } catch (error) {
      await this.#drop()
      throw storageError(error, this.#name)
    }
  }

  /** A handle that failed is closed and not used again; what closing says changes nothing. */
  async #drop(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close().catch(ignore)
  }

  #report(error: StorageError): void {
    this.#onIncident(refusal(error.code, error.about))
  }
}

const ignore = (): void => undefined

const asItIs = (frame: Frame): readonly Framed[] => [frame]

const storageError = (error: unknown, name: string): StorageError =>
  error instanceof StorageError ? error : new StorageError('DiskError', name, { cause: error })

/** Continues short writes. A write of nothing is a failure, or it would go on for ever. */
const writeAll = async (file: File, offset: number, bytes: Uint8Array): Promise<void> => {
  let written = 0
  while (written < bytes.length) {
    const count = await file.write(offset + written, written === 0 ? bytes : bytes.subarray(written))
    if (count <= 0) throw new StorageError('DiskError', 'nothing was written')
    written += count
  }
}

/** The beginning of the file, if it is what is known of it. */
const knownBytes = async (
  file: File,
  { size, checksum }: Known,
  first: Uint8Array,
): Promise<Uint8Array | undefined> => {
  const isRead = first.length >= size
  const bytes = isRead ? first.subarray(0, size) : new Uint8Array(size)
  let [read, sum] = [0, 0]
  for await (const piece of pieces(file, 0, size, first)) {
    sum = crc32c(piece, sum)
    if (!isRead) bytes.set(piece, read)
    read += piece.length
  }
  return read === size && sum === checksum ? bytes : undefined
}

/**
 * The bytes from `from` up to `to` or the end of the file. The next piece is on its way while one is looked at. `first`: what was read at
 * `from` already.
 */
async function* pieces(
  file: File,
  from: number,
  to: number,
  first?: Uint8Array,
  most = pieceBytes,
): AsyncGenerator<Uint8Array, void, undefined> {
  const read = (at: number): Promise<Uint8Array> | undefined => {
    const reading = at < to ? file.read(at, Math.min(most, to - at)) : undefined
    // Whoever comes for the piece hears of it.
    reading?.catch(ignore)
    return reading
  }
  let offset = from
  let next: Promise<Uint8Array> | Uint8Array | undefined = first?.subarray(0, to - from) ?? read(offset)
  try {
    while (next !== undefined) {
      const piece: Uint8Array = await next
      if (piece.length === 0) return
      offset += piece.length
      next = read(offset)
      yield piece
    }
  } finally {
    // Nobody closes the file under it.
    await Promise.resolve(next).catch(ignore)
  }
}

const nothing = (): void => undefined
