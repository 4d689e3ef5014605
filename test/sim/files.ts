/**
 * The `Files` port over a simulated disk that keeps exactly what its contract promises and no more: bytes last after `sync`, names after
 * `syncNames`, and everything else is at the mercy of a crash. Each call takes virtual time and takes effect at its end, so calls
 * that were not awaited may change places. Faults are drawn from the stream of the disk.
 */
import { type File, type Files, StorageError } from '@weft-db/engine'
import { type Bytes, type CrashFaults, Inode, surviving } from './inode.ts'
import type { Life } from './life.ts'
import type { Stream } from './random.ts'

export interface DiskFaults extends CrashFaults {
  /** Mean duration of a call, and of `sync` and `syncNames`, ms. */
  readonly latency: number
  readonly syncLatency: number
  /** Bytes that fit; null for no end. */
  readonly capacity: number | null
  /** Chances, per call. `nameError` is for `open`, `list`, `rename`, `remove` and `syncNames`. */
  readonly shortWrite: number
  readonly readError: number
  readonly writeError: number
  readonly syncError: number
  readonly nameError: number
}

/** A disk that works, as far as disks do: a crash still loses what was not synced. */
export const soundDisk: DiskFaults = {
  latency: 0.1,
  syncLatency: 1,
  capacity: null,
  shortWrite: 0,
  readError: 0,
  writeError: 0,
  syncError: 0,
  nameError: 0,
  subset: 0.5,
  tear: 0.5,
  zeroSector: 0.1,
}

export interface Crash {
  /** `lost` when the power fails; `kept` when the process dies alone and what it wrote stays in the cache of the system. */
  readonly cache: 'lost' | 'kept'
  /** `kept` leaves a lock behind that nobody holds, as lock files do. */
  readonly lock: 'released' | 'kept'
}

type NameOperation =
  | { readonly kind: 'link'; readonly name: string; readonly inode: Inode }
  | { readonly kind: 'rename'; readonly from: string; readonly to: string; readonly inode: Inode }
  | { readonly kind: 'unlink'; readonly name: string }

type Names = Map<string, Inode>

const applyName = (names: Names, operation: NameOperation): void => {
  if (operation.kind === 'link') names.set(operation.name, operation.inode)
  else if (operation.kind === 'unlink') names.delete(operation.name)
  else {
    if (names.get(operation.from) === operation.inode) names.delete(operation.from)
    names.set(operation.to, operation.inode)
  }
}

/** Holds a lock whose owner is dead. */
const stale = {}

const validName = /^[0-9a-z._-]{1,80}$/

export class Disk {
  faults: DiskFaults
  readonly #stream: Stream
  #cached: Names = new Map()
  #durable: Names = new Map()
  #unsynced: NameOperation[] = []
  #lives = new Set<Life>()
  #holder: object | undefined
  #clones = 0

  constructor(stream: Stream, faults: DiskFaults = soundDisk) {
    this.#stream = stream
    this.faults = faults
  }

  /** The directory as one process sees it; without a life every call ends in a microtask and survives whatever comes. */
  files(life?: Life): Files {
    if (life !== undefined) {
      this.#lives.add(life)
      life.onEnd(() => this.#lives.delete(life))
    }
    return new SimulatedFiles(this, life)
  }

  get stream(): Stream {
    return this.#stream
  }

  get used(): number {
    let used = 0
    for (const inode of new Set(this.#cached.values())) used += inode.cached.size
    return used
  }

  names(): string[] {
    return [...this.#cached.keys()].sort()
  }

  find(name: string): Inode | undefined {
    return this.#cached.get(name)
  }

  /** What a power failure would leave at least: synced bytes under synced names. Copies. */
  stored(): Map<string, Uint8Array> {
    const stored = new Map<string, Uint8Array>()
    for (const [name, inode] of this.#durable) stored.set(name, inode.durable.view.slice())
    return stored
  }

  /** As `stored`, one file and no copy; undefined when it is not there. */
  storedFile(name: string): Uint8Array | undefined {
    return this.storedBytes(name)?.view
  }

  /** As `storedFile`, for whoever reads on where it stopped: another file under the name gives other `Bytes`. */
  storedBytes(name: string): Bytes | undefined {
    return this.#durable.get(name)?.durable
  }

  create(name: string): Inode {
    const inode = new Inode()
    this.#changeNames({ kind: 'link', name, inode })
    return inode
  }

  rename(from: string, to: string): void {
    const inode = this.#cached.get(from)
    if (inode === undefined) throw new StorageError('DiskError', `${from} is not there`)
    this.#changeNames({ kind: 'rename', from, to, inode })
  }

  remove(name: string): void {
    if (this.#cached.has(name)) this.#changeNames({ kind: 'unlink', name })
  }

  syncNames(): void {
    for (const operation of this.#unsynced) applyName(this.#durable, operation)
    this.#unsynced = []
  }

  failSyncNames(): void {
    for (const operation of surviving(this.#unsynced, this.#stream, 0)) applyName(this.#durable, operation)
    this.#unsynced = []
  }

  /** The lock is free again when the returned function is called or the life ends; undefined if somebody holds it. */
  lock(life: Life | undefined): (() => void) | undefined {
    if (this.#holder !== undefined) return undefined
    const holder = {}
    this.#holder = holder
    const release = (): void => {
      if (this.#holder === holder) this.#holder = undefined
    }
    life?.onEnd(release)
    return release
  }

  /** Frees a lock that a crash left behind. */
  breakStaleLock(): void {
    if (this.#holder === stale) this.#holder = undefined
  }

  /** Ends every life that uses this disk: their handles and calls never come back. */
  crash({ cache, lock }: Crash = { cache: 'lost', lock: 'released' }): void {
    const held = this.#holder !== undefined
    for (const life of [...this.#lives]) life.end()
    this.#holder = held && lock === 'kept' ? stale : undefined
    if (cache === 'kept') return
    for (const operation of surviving(this.#unsynced, this.#stream, this.faults.subset)) {
      applyName(this.#durable, operation)
    }
    this.#unsynced = []
    for (const inode of this.#inodes()) inode.losePower(this.#stream, this.faults)
    this.#cached = new Map(this.#durable)
  }

  /** The system forgets clean pages: readers see what is stored, also where a failed sync stored nothing. */
  dropCache(): void {
    for (const inode of this.#inodes()) inode.dropCache()
    this.#cached = new Map(this.#durable)
    for (const operation of this.#unsynced) applyName(this.#cached, operation)
  }

  /** Flips a stored bit of some file, larger files more often; says where, or undefined on an empty disk. */
  rot(): { name: string; offset: number } | undefined {
    const files = [...this.#durable].filter(([, inode]) => inode.durable.size > 0)
    let place = Math.floor(this.#stream.unit() * files.reduce((sum, [, inode]) => sum + inode.durable.size, 0))
    const bit = this.#stream.int(8)
    for (const [name, inode] of files) {
      if (place < inode.durable.size) {
        inode.rot(place, bit)
        return { name, offset: place }
      }
      place -= inode.durable.size
    }
    return undefined
  }

  /** One file is gone, names and all. */
  lose(name: string): void {
    this.#unsynced = this.#unsynced.filter(
      (operation) => (operation.kind === 'rename' ? operation.to : operation.name) !== name,
    )
    this.#cached.delete(name)
    this.#durable.delete(name)
  }

  /** Everything is gone, as when a user clears the browser or a server gets a new disk. Ends every life that uses it. */
  wipe(): void {
    this.crash({ cache: 'kept', lock: 'released' })
    this.#cached = new Map()
    this.#durable = new Map()
    this.#unsynced = []
  }

  /**
   * An equal disk without lives, locks and faults of calls, for asking what would be left: clone, crash the clone, open it. Takes no draw
   * from this disk; each clone crashes in another way.
   */
  clone(): Disk {
    const faults = {
      ...soundDisk,
      subset: this.faults.subset,
      tear: this.faults.tear,
      zeroSector: this.faults.zeroSector,
    }
    const clone = new Disk(this.#stream.branch(`clone ${this.#clones++}`), faults)
    clone.#take(this)
    return clone
  }

  /** Puts the contents of another disk here: a backup brought back, a cloned profile. Ends every life that uses this disk. */
  restore(backup: Disk): void {
    this.crash({ cache: 'kept', lock: 'released' })
    this.#take(backup)
  }

  #take(other: Disk): void {
    const copies = new Map<Inode, Inode>()
    for (const inode of other.#inodes()) copies.set(inode, inode.copy())
    const copyOf = (inode: Inode): Inode => copies.get(inode) ?? inode.copy()
    const copyNames = (names: Names): Names => new Map([...names].map(([name, inode]) => [name, copyOf(inode)]))
    this.#cached = copyNames(other.#cached)
    this.#durable = copyNames(other.#durable)
    this.#unsynced = other.#unsynced.map((operation) =>
      operation.kind === 'unlink' ? operation : { ...operation, inode: copyOf(operation.inode) },
    )
  }

  /** In the order of their first name, so that draws do not depend on the history of the maps. */
  #inodes(): Set<Inode> {
    const named = [...this.#durable, ...this.#cached].sort(([left], [right]) =>
      left < right ? -1 : left > right ? 1 : 0,
    )
    const inodes = new Set(named.map(([, inode]) => inode))
    for (const operation of this.#unsynced) if (operation.kind !== 'unlink') inodes.add(operation.inode)
    return inodes
  }

  #changeNames(operation: NameOperation): void {
    applyName(this.#cached, operation)
    this.#unsynced.push(operation)
  }
}

class SimulatedFiles implements Files {
  readonly #disk: Disk
  readonly #life: Life | undefined

  constructor(disk: Disk, life: Life | undefined) {
    this.#disk = disk
    this.#life = life
  }

  open(name: string, create: boolean): Promise<File | undefined> {
    return this.#named(`open ${name}`, [name], () => {
      const inode = this.#disk.find(name) ?? (create ? this.#disk.create(name) : undefined)
      return inode && new SimulatedFile(this, this.#disk, name, inode)
    })
  }

  list(): Promise<string[]> {
    return this.#named('list', [], () => this.#disk.names())
  }

  rename(from: string, to: string): Promise<void> {
    return this.#named(`rename ${from} ${to}`, [from, to], () => this.#disk.rename(from, to))
  }

  remove(name: string): Promise<void> {
    return this.#named(`remove ${name}`, [name], () => this.#disk.remove(name))
  }

  syncNames(): Promise<void> {
    return this.after('sync names', this.#disk.faults.syncLatency, () => {
      if (this.#disk.stream.chance(this.#disk.faults.nameError)) {
        this.#disk.failSyncNames()
        throw new StorageError('DiskError', 'sync names')
      }
      this.#disk.syncNames()
    })
  }

  lock(): Promise<() => Promise<void>> {
    return this.after('lock', this.#disk.faults.latency, () => {
      const release = this.#disk.lock(this.#life)
      if (release === undefined) throw new StorageError('AlreadyOpen')
      return () => this.after('unlock', this.#disk.faults.latency, release)
    })
  }

  /** Does `act` when the call has taken its time. Within a life that has ended it is never done, and the promise stays open. */
  after<Result>(what: string, mean: number, act: () => Result): Promise<Result> {
    const life = this.#life
    const delay = this.#disk.stream.exponential(mean)
    if (life === undefined) return Promise.resolve().then(act)
    return new Promise((resolve, reject) => {
      life.at(delay, `${life.name} disk ${what}`, () => {
        try {
          resolve(act())
        } catch (error) {
          reject(error)
        }
      })
    })
  }

  #named<Result>(what: string, names: readonly string[], act: () => Result): Promise<Result> {
    const wrong = names.find((name) => !validName.test(name))
    if (wrong !== undefined) return Promise.reject(new Error(`not a file name: ${wrong}`))
    return this.after(what, this.#disk.faults.latency, () => {
      if (this.#disk.stream.chance(this.#disk.faults.nameError)) throw new StorageError('DiskError', what)
      return act()
    })
  }
}

class SimulatedFile implements File {
  readonly #files: SimulatedFiles
  readonly #disk: Disk
  readonly #name: string
  readonly #inode: Inode
  #closed = false

  constructor(files: SimulatedFiles, disk: Disk, name: string, inode: Inode) {
    this.#files = files
    this.#disk = disk
    this.#name = name
    this.#inode = inode
  }

  size(): Promise<number> {
    return this.#call('size', () => this.#inode.cached.size)
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#call(`read ${length}@${offset}`, () => {
      if (this.#disk.stream.chance(this.#disk.faults.readError))
        throw new StorageError('DiskError', `read ${this.#name}`)
      return this.#inode.cached.view.slice(offset, offset + length)
    })
  }

  write(offset: number, bytes: Uint8Array): Promise<number> {
    const given = new Uint8Array(bytes)
    return this.#call(`write ${bytes.length}@${offset}`, () => this.#write(offset, given))
  }

  sync(): Promise<void> {
    return this.#call(
      'sync',
      () => {
        if (this.#disk.stream.chance(this.#disk.faults.syncError)) {
          this.#inode.failSync(this.#disk.stream)
          throw new StorageError('DiskError', `sync ${this.#name}`)
        }
        this.#inode.sync()
      },
      this.#disk.faults.syncLatency,
    )
  }

  truncate(size: number): Promise<void> {
    return this.#call(`truncate ${size}`, () => {
      if (this.#disk.stream.chance(this.#disk.faults.writeError)) {
        throw new StorageError('DiskError', `truncate ${this.#name}`)
      }
      if (size - this.#inode.cached.size > this.#room()) throw new StorageError('DiskFull', this.#name)
      this.#inode.change({ kind: 'truncate', size })
    })
  }

  close(): Promise<void> {
    return this.#call('close', () => {
      this.#closed = true
    })
  }

  #room(): number {
    const { capacity } = this.#disk.faults
    return capacity === null ? Number.POSITIVE_INFINITY : Math.max(0, capacity - this.#disk.used)
  }

  /** The number written; an error may come after a part was written. */
  #write(offset: number, bytes: Uint8Array): number {
    const { stream, faults } = this.#disk
    const [failed, short, share] = [stream.chance(faults.writeError), stream.chance(faults.shortWrite), stream.unit()]
    const room = Math.max(0, this.#inode.cached.size - offset + this.#room())
    const part = failed ? Math.floor(bytes.length * share) : Math.max(1, Math.floor(bytes.length * share))
    const written = Math.min(room, bytes.length, failed || short ? part : bytes.length)
    if (written > 0) this.#inode.change({ kind: 'write', offset, bytes: bytes.subarray(0, written) })
    if (failed) throw new StorageError('DiskError', `write ${this.#name}`)
    if (bytes.length > 0 && room <= 0) throw new StorageError('DiskFull', this.#name)
    return written
  }

  #call<Result>(what: string, act: () => Result, mean = this.#disk.faults.latency): Promise<Result> {
    if (this.#closed) return Promise.reject(new Error(`${this.#name} is closed`))
    return this.#files.after(`${what} ${this.#name}`, mean, act)
  }
}
