/**
 * One file of a simulated disk, seen twice: `cached` is what readers see, `durable` is what a power failure leaves, and between them lie the
 * operations that were not synced, in order. After a failed sync the two differ for good: a prefix was stored, the rest is
 * forgotten by the disk yet still shown and taken for clean, so that the next sync succeeds and stores nothing of it. That is what
 * Linux did and may do (Rebello and others, "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
 */
import type { Stream } from './random.ts'

/** A growing run of bytes; a gap that a write leaves is zero. */
export class Bytes {
  #room = new Uint8Array(256)
  #size = 0
  #rewrites = 0

  /** How often bytes that were there were taken away or written over: while it stays the same, nothing was done but to append. */
  get rewrites(): number {
    return this.#rewrites
  }

  get size(): number {
    return this.#size
  }

  /** A view that the next write may change. */
  get view(): Uint8Array {
    return this.#room.subarray(0, this.#size)
  }

  write(offset: number, bytes: Uint8Array): void {
    if (offset < this.#size) this.#rewrites++
    const end = offset + bytes.length
    if (end > this.#room.length) {
      const room = new Uint8Array(Math.max(end, 2 * this.#room.length))
      room.set(this.view)
      this.#room = room
    }
    this.#room.set(bytes, offset)
    this.#size = Math.max(this.#size, end)
  }

  truncate(size: number): void {
    if (size > this.#size) this.write(this.#size, new Uint8Array(size - this.#size))
    if (size < this.#size) this.#rewrites++
    this.#room.fill(0, size, this.#size)
    this.#size = size
  }

  apply(operation: Operation): void {
    if (operation.kind === 'truncate') this.truncate(operation.size)
    else this.write(operation.offset, operation.bytes)
  }

  copy(): Bytes {
    const copy = new Bytes()
    copy.write(0, this.view)
    return copy
  }
}

export type Operation =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly size: number }

/** How a power failure treats what was not synced. */
export interface CrashFaults {
  /** Chance that any subset of the operations is kept, where a prefix is kept otherwise. */
  readonly subset: number
  /** Chance that the last write kept is cut at a random byte. */
  readonly tear: number
  /** Chance that a part of an unsynced write within one sector of 512 bytes is zero. Synced bytes beside it stay whole. */
  readonly zeroSector: number
}

const sectorSize = 512

/** The operations of which some survive, in order. The draws depend on how many there are, not on what they hold. */
export const surviving = <Item>(items: readonly Item[], stream: Stream, subset: number): Item[] => {
  if (!stream.chance(subset)) return items.slice(0, stream.int(items.length + 1))
  const share = stream.unit()
  return items.filter(() => stream.chance(share))
}

const tornAt = (operation: Operation, share: number): Operation =>
  operation.kind === 'truncate'
    ? operation
    : { ...operation, bytes: operation.bytes.subarray(0, Math.floor(operation.bytes.length * share)) }

const zeroed = (operation: Operation, share: number): Operation => {
  if (operation.kind === 'truncate' || operation.bytes.length === 0) return operation
  const sector = Math.floor((operation.offset + Math.floor(operation.bytes.length * share)) / sectorSize) * sectorSize
  const bytes = operation.bytes.slice()
  bytes.fill(0, Math.max(0, sector - operation.offset), Math.max(0, sector + sectorSize - operation.offset))
  return { ...operation, bytes }
}

export class Inode {
  #cached = new Bytes()
  #durable = new Bytes()
  #unsynced: Operation[] = []

  get cached(): Bytes {
    return this.#cached
  }

  get durable(): Bytes {
    return this.#durable
  }

  get dirty(): boolean {
    return this.#unsynced.length > 0
  }

  change(operation: Operation): void {
    this.#cached.apply(operation)
    this.#unsynced.push(operation)
  }

  sync(): void {
    for (const operation of this.#unsynced) this.#durable.apply(operation)
    this.#unsynced = []
  }

  /** The disk forgets a random part of what it was asked to store, and the cache does not notice. */
  failSync(stream: Stream): void {
    const kept = surviving(this.#unsynced, stream, 0)
    const torn = stream.unit()
    const last = this.#unsynced[kept.length]
    if (last !== undefined) kept.push(tornAt(last, torn))
    for (const operation of kept) this.#durable.apply(operation)
    this.#unsynced = []
  }

  losePower(stream: Stream, faults: CrashFaults): void {
    const kept = surviving(this.#unsynced, stream, faults.subset)
    const tear = stream.chance(faults.tear)
    const torn = stream.unit()
    const zero = stream.chance(faults.zeroSector)
    const hole = stream.unit()
    const last = kept.pop()
    if (last !== undefined) kept.push(tear ? tornAt(last, torn) : last)
    for (const [index, operation] of kept.entries()) {
      const holed = zero && index === Math.floor(hole * kept.length)
      this.#durable.apply(holed ? zeroed(operation, (hole * kept.length) % 1) : operation)
    }
    this.#unsynced = []
    this.#cached = this.#durable.copy()
  }

  /** The cache lets go of clean pages, so readers see what is stored. */
  dropCache(): void {
    this.#cached = this.#durable.copy()
    for (const operation of this.#unsynced) this.#cached.apply(operation)
  }

  /** Changes one stored bit, for readers too. */
  rot(offset: number, bit: number): void {
    for (const bytes of [this.#durable, this.#cached]) {
      const byte = bytes.view[offset]
      if (byte !== undefined) bytes.write(offset, Uint8Array.of(byte ^ (1 << bit)))
    }
  }

  copy(): Inode {
    const copy = new Inode()
    copy.#cached = this.#cached.copy()
    copy.#durable = this.#durable.copy()
    copy.#unsynced = [...this.#unsynced]
    return copy
  }
}
