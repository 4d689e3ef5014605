/**
 * What a replica keeps of the network as a whole: the root log, its own session's certificates and those of its account's other sessions
 * (the authority: every one it gave), in one log of its own. An entry is in
 * force when it is durable here: commits cite it, and a replica that forgot it would be behind what it wrote itself.
 */
import { encode } from '../bytes/cbor.ts'
import { isRefusal, type Refusal, refusal, WeftError } from '../bytes/refusal.ts'
import { format } from '../commit/commit.ts'
import { frameKinds, scan } from '../log/frame.ts'
import { readCertificate } from '../trust/certificate.ts'
import { type Entry, readEntry, rootPath, type Statement } from '../trust/entry.ts'
import type { Certificates } from './certificates.ts'
import type { Met } from './evidence.ts'
import { Journal } from './journal.ts'
import type { Landmarks } from './landmarks.ts'
import type { Files, Runtime } from './ports.ts'
import { forgetRestored, restoredFrom } from './restored.ts'
import { RootLog } from './rootlog.ts'
import { readSeal, writeSeal } from './seal.ts'

export interface Taken {
  readonly added: readonly Uint8Array[]
  readonly ended: readonly Statement[]
  readonly refused: Refusal | undefined
}

export class RootStore {
  readonly #runtime: Runtime
  readonly #root: RootLog
  readonly #certificates: Certificates
  readonly #onIncident: (why: Refusal) => void
  readonly #onFork: (met: Met) => void
  #journal: Journal | undefined
  /** What a start leaves to be done behind it. */
  #seal: (() => Promise<void>) | undefined
  #sealing: Promise<void> | undefined
  /** The authority's. */
  #landmarks: Landmarks | undefined
  /** Entries are taken one after the other. */
  #taking: Promise<unknown> = Promise.resolve()

  constructor(
    runtime: Runtime,
    root: RootLog,
    certificates: Certificates,
    onIncident: (why: Refusal) => void,
    onFork: (met: Met) => void,
  ) {
    this.#onFork = onFork
    this.#runtime = runtime
    this.#root = root
    this.#certificates = certificates
    this.#onIncident = onIncident
  }

  /**
   * Reads what is stored, and what is kept beside the key. `found` makes the network's first entry when there is none. Rejects with
   * `LogCorrupt` rather than found another network over what may be left of one, and with `WrongNetwork` when the two are of different ones.
   */
  async open(
    files: Files,
    name: string,
    found: (() => Promise<Entry>) | undefined,
    landmarks?: Landmarks,
  ): Promise<void> {
    this.#landmarks = landmarks
    let [certificates, highest] = [0, 0]
    const header = this.#header()
    const isSealed = files.readsOnlyStored !== true
    const opened = await Journal.open(files, name, {
      header,
      ...(isSealed && { known: () => readSeal(files, name) }),
      onIncident: this.#onIncident,
    })
    const { journal, damage, known } = opened
    const frames = known === undefined ? opened.frames : [...scan(known).frames, ...opened.frames]
    this.#journal = journal
    const { size, checksum } = journal
    // What is damaged is looked at each time.
    const isFresh = opened.isStored && known?.length !== size && frames.length > 0 && damage.length === 0
    this.#seal = async () => {
      await files.syncNames()
      if (isSealed && isFresh) await writeSeal(files, name, { size, checksum })
    }
    const { hash } = this.#runtime
    for (const frame of frames) {
      if (frame.kind === frameKinds.entry) {
        const entry = readEntry(frame.payload, hash)
        const why = isRefusal(entry) ? entry : this.#root.place(entry)
        if (isRefusal(entry) || isRefusal(why)) this.#onIncident(isRefusal(why) ? why : refusal('Malformed', rootPath))
        else if (why === undefined) this.#root.append(entry)
      } else if (frame.kind === frameKinds.certificate || frame.kind === frameKinds.met) {
        const certificate = readCertificate(frame.payload, hash)
        if (isRefusal(certificate)) this.#onIncident(certificate)
        else {
          this.#certificates.keep(certificate)
          certificates++
          highest = Math.max(highest, certificate.number)
        }
      }
    }
    if (landmarks !== undefined) {
      const [first, { network, size: entries, position }] = [landmarks.root[0], this.#root]
      if (first !== undefined && first.id !== (network ?? first.id)) throw new WeftError('WrongNetwork', first.id)
      const restored = await restoredFrom(files)
      await landmarks.compare({ entries, epoch: position?.epoch ?? 0, certificates, highest, restored })
      await this.#level(journal, landmarks)
      if (restored !== undefined) await forgetRestored(files)
    }
    if (found === undefined || this.#root.network !== undefined) return
    if (damage.length > 0 || frames.length > 0) throw new WeftError('LogCorrupt', rootPath)
    const genesis = await found()
    if (await this.#hadNetwork(files, name, genesis.bytes.length)) throw new WeftError('LogCorrupt', rootPath)
    await landmarks?.keepRoot(genesis)
    await journal.append([{ kind: frameKinds.entry, payload: genesis.bytes }])
    this.#root.append(genesis)
  }

  /**
   * Writes what makes the next start quicker, where that is not there, and stores the names that this one took for stored: a person may have
   * put a copy of the files here. Nobody has to wait for it.
   */
  seal(): void {
    this.#sealing = this.#seal?.().catch(() => undefined)
    this.#seal = undefined
  }

  /** Takes from beside the key what is lost here, and keeps there what it lacks. */
  async #level(journal: Journal, landmarks: Landmarks): Promise<void> {
    for (const entry of landmarks.root) {
      const why = this.#root.place(entry)
      if (why === 'held') continue
      if (why !== undefined) throw new WeftError(entry.n === 0 ? 'WrongNetwork' : why.code, entry.id)
      await journal.append([{ kind: frameKinds.entry, payload: entry.bytes }])
      this.#root.append(entry)
    }
    for (const bytes of this.#root.after(landmarks.root.length)) {
      const entry = readEntry(bytes, this.#runtime.hash)
      if (!isRefusal(entry)) await landmarks.keepRoot(entry)
    }
  }

  /** Whether a network was founded here whose first entry cannot be read: there are logs of it, or that entry was whole once. */
  async #hadNetwork(files: Files, name: string, bytes: number): Promise<boolean> {
    const names = await files.list()
    if (names.some((other) => other.endsWith('.log') && other !== name)) return true
    const aside = await files.open(`${name}.torn`, false)
    const size = await aside?.size()
    await aside?.close()
    return size !== undefined && size >= bytes
  }

  /**
   * Takes entries that a peer showed. `publicKey` is the one the peer proved: a replica without a network takes one only from the
   * authority itself, unless the app named it (`expected`). Gives those that are new, what others say that a newer epoch left out and that
   * ended somebody's access, and why the next one was refused.
   */
  take(entries: readonly Uint8Array[], publicKey: Uint8Array, expected: string | undefined): Promise<Taken> {
    const taken = this.#taking.then(async () => {
      const added: Uint8Array[] = []
      const ended: Statement[] = []
      const isFirst = this.#root.network === undefined && expected === undefined
      if (isFirst && !(await this.#isFromAuthority(entries, publicKey)))
        return { added, ended, refused: refusal('NotAuthority', rootPath) }
      for (const bytes of entries) {
        const why = await this.#takeEntry(bytes, expected)
        // Of use to the authority alone.
        const end = why === 'held' && this.#landmarks !== undefined ? await this.#root.takenAway(bytes) : undefined
        if (isRefusal(end)) return { added, ended, refused: end }
        if (end !== undefined) ended.push(end)
        if (why === undefined) added.push(bytes)
        else if (why !== 'held') return { added, ended, refused: why }
      }
      return { added, ended, refused: undefined }
    })
    this.#taking = taken.catch(() => undefined)
    return taken
  }

  /** Whether the log that somebody shows makes them an authority: by its first entry, or by the keys that came after. */
  async #isFromAuthority(entries: readonly Uint8Array[], publicKey: Uint8Array): Promise<boolean> {
    const shown = new RootLog(this.#runtime)
    for (const bytes of entries) {
      const entry = await shown.check(bytes)
      if (entry === 'held' || isRefusal(entry)) return false
      shown.append(entry)
    }
    return shown.isAuthority(publicKey)
  }

  async #takeEntry(bytes: Uint8Array, expected: string | undefined): Promise<Refusal | 'held' | undefined> {
    const entry = await this.#root.check(bytes, expected)
    if (isRefusal(entry) && entry.code === 'LogForked') this.#forked(bytes)
    if (entry === 'held' || isRefusal(entry)) return entry
    // What could not be stored comes again with the next channel.
    const kept = await stored(this.#landmarks?.keepRoot(entry))
    const why = kept ?? (await this.#append(frameKinds.entry, bytes))
    if (why === undefined) this.#root.append(entry)
    return why
  }

  #forked(bytes: Uint8Array): void {
    const { hash } = this.#runtime
    const other = readEntry(bytes, hash)
    const [first] = isRefusal(other) ? [] : this.#root.after(other.n)
    const held = first && readEntry(first, hash)
    if (held !== undefined && !isRefusal(held) && !isRefusal(other)) this.#onFork({ kind: 'log', held, other })
  }

  #header(): Uint8Array {
    return encode([format, null, rootPath, this.#runtime.random(16)])
  }

  /** Runs `use`, with what the log is to begin with when it is made anew, while no entry is taken. */
  hold<Result>(use: (header: Uint8Array) => Promise<Result>): Promise<Result> {
    const held = this.#taking.then(() => use(this.#header()))
    this.#taking = held.catch(() => undefined)
    return held
  }

  /** Closes the file, within `hold`, until `open` is called again. */
  async letGo(): Promise<void> {
    await this.#sealing
    await this.#journal?.close()
    this.#journal = undefined
  }

  /** Keeps the certificate of this replica's own session for the next start. */
  keepCertificate(bytes: Uint8Array): Promise<Refusal | undefined> {
    return this.#append(frameKinds.certificate, bytes)
  }

  /** Keeps another certificate: of the same account, or one that the authority gives. */
  keepMet(bytes: Uint8Array): Promise<Refusal | undefined> {
    return this.#append(frameKinds.met, bytes)
  }

  async #append(kind: number, payload: Uint8Array): Promise<Refusal | undefined> {
    if (this.#journal === undefined) return refusal('Closed', rootPath)
    return stored(this.#journal.append([{ kind, payload }]))
  }

  async close(): Promise<void> {
    await this.#taking
    await this.#sealing
    await this.#journal?.close()
  }
}

/** Why it could not be stored. */
const stored = async (storing: Promise<unknown> | undefined): Promise<Refusal | undefined> => {
  try {
    await storing
    return undefined
  } catch (error) {
    return error instanceof WeftError ? refusal(error.code, error.about) : refusal('DiskError', String(error))
  }
}
