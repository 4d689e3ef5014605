/**
 * The commits of a log, in packs. The frames of one append hold its records, whole runs only, so that a crash leaves a run or nothing of
 * it. What a frame leaves out is what the frames before it said, back to one that begins anew: it says whose commits these are, and is read
 * alone. A frame begins anew after some tens of kilobytes, so that damage takes no more than those, and the reader goes on behind them.
 *
 *     payload = first, [network (32), length, path], [size], rest of a pack
 *
 * `first` is the first byte of the pack (`commit/pack.ts`), 128 more where the rest is deflated, and `size` says what it inflates to.
 * Network and path stand where the tables begin empty. Numbers are varints.
 *
 * A large pack that came from elsewhere and begins with empty tables is stored as it came: packing it again would be a third of what a clone
 * costs. It takes no more room, and damage takes as much as came in one message.
 */
import { concatBytes, decodeUtf8, encodeUtf8, fromHex, toHex } from '../bytes/bytes.ts'
import { Cursor } from '../bytes/cursor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { Sink } from '../bytes/sink.ts'
import type { Hash } from '../commit/commit.ts'
import { deflatePack, inflatePack } from '../commit/deflated.ts'
import { type PackContext, type Packed, packVersion, type Unpacked } from '../commit/pack.ts'
import { PackReader } from '../commit/packreader.ts'
import { PackWriter } from '../commit/packwriter.ts'
import { bearsSignature } from '../commit/run.ts'
import { type Frame, type Framed, frameKinds, type Hole } from './frame.ts'

/**
 * Packed bytes from which on a frame begins anew. The text of a paper takes 6 % more with half of it and 8 % less with twice as much;
 * other histories take 1 % more or less.
 */
const segmentBytes = 32_768
/** Less than this is not deflated: making ready costs more than what is saved is worth. */
const deflatedFrom = 512

const fresh = 1
const deflated = 128
/** Packs of fewer commits are packed again: they cost less with the tables of the log, and little time. */
const leastArrived = 64
/** Room in a frame for what stands before a pack. */
const startBytes = 1_024

/** A pack as it came, and the records that were in it. */
export interface Arrived {
  readonly pack: Uint8Array
  readonly records: readonly Uint8Array[]
}

/** A frame of packed commits. */
export interface PackedFrame extends Framed {
  /** How many are in it. */
  readonly commits: number
}

export class PackedLogWriter {
  readonly #context: PackContext
  readonly #packs: PackWriter
  /** Packed bytes since the tables began. */
  #segment = 0

  constructor(context: PackContext) {
    this.#context = context
    this.#packs = new PackWriter(context)
  }

  /**
   * The next frame begins anew. To be called whenever the log may not end with what was written last: after an append that failed, and
   * after it was written anew.
   */
  reset(): void {
    this.#packs.reset()
    this.#segment = 0
  }

  /**
   * The frames of these records, as few as fit. What is not signed is in one frame with the signed one that comes next. `arrivedWith`: the pack
   * that began with this record; where nothing of it is missing it goes to the log as it is.
   */
  write(records: readonly Packed[], arrivedWith: (first: Uint8Array) => Arrived | undefined = nothing): PackedFrame[] {
    const frames: PackedFrame[] = []
    let [from, bytes, signed, begun] = [0, 0, 0, 0]
    const end = (): void => {
      if (bytes === 0) return
      const pack = this.#packs.take()
      this.#segment += pack.length
      frames.push({ kind: frameKinds.pack, payload: this.#payload(pack, signed), commits: from - begun })
      if (this.#segment >= segmentBytes) this.reset()
      bytes = 0
      signed = 0
      begun = from
    }
    while (from < records.length) {
      const arrived = arrivedAt(records, from, arrivedWith)
      if (arrived !== undefined) {
        end()
        const { pack, records: whole } = arrived
        const payload = this.#payload(pack, signaturesIn(whole))
        frames.push({ kind: frameKinds.pack, payload, commits: whole.length })
        this.reset()
        from += whole.length
        begun = from
        continue
      }
      const [to, length] = runFrom(records, from)
      if (bytes + length > limits.packedRecords) end()
      for (const record of records.slice(from, to)) this.#packs.add(record)
      bytes += length
      signed++
      from = to
      if (this.#segment + this.#packs.size >= segmentBytes) end()
    }
    end()
    return frames
  }

  #payload(pack: Uint8Array, signed: number): Uint8Array {
    const short = ((pack[0] ?? 0) & deflated) === 0 ? deflatePack(pack, deflatedFrom, signed) : pack
    const first = short[0] ?? 0
    if ((first & fresh) === 0) return short
    const path = encodeUtf8(this.#context.repository)
    const sink = new Sink(64 + path.length + short.length)
    sink.byte(first)
    sink.put(fromHex(this.#context.network))
    sink.varint(path.length)
    sink.put(path)
    sink.put(short, 1, short.length)
    return sink.take()
  }
}

const nothing = (): undefined => undefined

/** The pack of the records from `from` on, if it is all there, can be read alone, and does not cost more than packing them again might. */
const arrivedAt = (
  records: readonly Packed[],
  from: number,
  arrivedWith: (first: Uint8Array) => Arrived | undefined,
): Arrived | undefined => {
  const first = records[from]
  const arrived = first && arrivedWith(first.bytes)
  if (arrived === undefined || arrived.records.length < leastArrived) return undefined
  if (((arrived.pack[0] ?? 0) & ~deflated) !== 2 * packVersion + fresh) return undefined
  let bytes = 0
  let at = from
  for (const record of arrived.records) {
    if (records[at++]?.bytes !== record) return undefined
    bytes += record.length
  }
  // There is more than one pack of the same records, and whoever made this one need not have made it short.
  return arrived.pack.length <= limits.frameBytes - startBytes && 2 * arrived.pack.length <= bytes ? arrived : undefined
}

const signaturesIn = (records: readonly Uint8Array[]): number =>
  records.reduce((count, record) => count + (bearsSignature(record) ? 1 : 0), 0)

/** Where the run that begins at `from` ends, and the bytes of its records. */
const runFrom = (records: readonly Packed[], from: number): [to: number, bytes: number] => {
  let bytes = 0
  for (let at = from; at < records.length; at++) {
    const record = records[at]?.bytes
    if (record === undefined) break
    bytes += record.length
    if (bearsSignature(record)) return [at + 1, bytes]
  }
  return [records.length, bytes]
}

/** Reads the commits out of the frames of one log, in their order. It may begin anywhere, and never throws. */
export class PackedLogReader {
  /** Bytes of the log that are whole and say nothing without what is lost, or are no pack. */
  readonly holes: Hole[] = []
  readonly #hash: Hash
  /** Undefined where the frame before was lost. */
  #packs: PackReader | undefined

  constructor(hash: Hash) {
    this.#hash = hash
  }

  /** The records in a frame, each in bytes that stay as they are; none in one that holds no commits. */
  records(frame: Frame): readonly Uint8Array[] | Refusal {
    const stored = this.stored(frame)
    return isRefusal(stored) ? stored : stored.map(({ bytes }) => bytes)
  }

  /** The same, each with its id where it was put together from its parts. */
  stored(frame: Frame): readonly Omit<Unpacked, 'id'>[] | Refusal {
    return frame.kind === frameKinds.commit
      ? [{ bytes: frame.payload, hashed: undefined, commit: undefined }]
      : this.read(frame)
  }

  /**
   * What is in a frame of packed commits; nothing in any other. It is to be given all frames of the log from some place on. `LogCorrupt`
   * where a frame before it is lost, and otherwise what `PackReader` says.
   */
  read(frame: Frame): readonly Unpacked[] | Refusal {
    if (frame.afterDamage) this.#packs = undefined
    if (frame.kind !== frameKinds.pack) return []
    const packed = this.#unpack(frame)
    if (!isRefusal(packed)) return packed
    this.#packs = undefined
    const { offset: from, end: to } = frame
    const last = this.holes.at(-1)
    if (last?.to === from) this.holes[this.holes.length - 1] = { from: last.from, to }
    else this.holes.push({ from, to })
    return packed
  }

  #unpack({ payload, offset, end }: Frame): Unpacked[] | Refusal {
    const cursor = new Cursor(payload)
    const first = cursor.byte()
    if ((first & fresh) !== 0) {
      const network = cursor.skip(32)
      const length = cursor.varint()
      const path = cursor.skip(length)
      const repository = decodeUtf8(payload.subarray(path, path + length))
      if (cursor.bad || length > limits.nameBytes || repository === undefined)
        return refusal('Malformed', 'a frame of commits that does not say whose they are')
      const context = { network: toHex(payload.subarray(network, network + 32)), repository }
      this.#packs = new PackReader(context, this.#hash, most)
    }
    if (this.#packs === undefined) return refusal('LogCorrupt', `bytes ${offset} to ${end}`)
    const pack = inflatePack(
      (first & fresh) === 0 ? payload : concatBytes(payload.subarray(0, 1), payload.subarray(cursor.at)),
    )
    return isRefusal(pack) ? pack : this.#packs.unpack(pack)
  }
}

/** Bytes bound the commits too. */
const most = { commits: Number.MAX_SAFE_INTEGER, bytes: limits.packedRecords }
