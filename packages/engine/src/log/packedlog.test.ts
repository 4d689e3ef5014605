import { createHash } from 'node:crypto'
import { constants, deflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { concatBytes, encodeUtf8, equalBytes, fromHex, toHex } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { Sink } from '../bytes/sink.ts'
import { Authors, Draw } from '../commit/authors.ts'
import { composeCommit, type Hash, type Header, sealCommit } from '../commit/commit.ts'
import { deflatePack } from '../commit/deflated.ts'
import type { Operation } from '../commit/operation.ts'
import type { Packed } from '../commit/pack.ts'
import { PackReader } from '../commit/packreader.ts'
import { PackWriter } from '../commit/packwriter.ts'
import { unsigned } from '../commit/run.ts'
import { encodeFrame, type Frame, type Framed, frameKinds, type Hole, scan } from './frame.ts'
import { PackedLogReader, PackedLogWriter } from './packedlog.ts'

const hash: Hash = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest())
const context = { network: '11'.repeat(32), repository: '/board/roadmap' }
const writer = () => new PackedLogWriter(context)
const bytesOf = (frames: readonly Framed[]): Uint8Array =>
  concatBytes(...frames.map(({ kind, payload }) => encodeFrame(kind, payload)))

interface Read {
  readonly records: readonly Packed[]
  /** Codes of the frames that were refused. */
  readonly codes: readonly string[]
  readonly holes: readonly Hole[]
}

const readFrames = (frames: readonly Frame[]): Read => {
  const reader = new PackedLogReader(hash)
  const records: Packed[] = []
  const codes: string[] = []
  for (const frame of frames) {
    const read = reader.read(frame)
    if (isRefusal(read)) codes.push(read.code)
    else records.push(...read)
  }
  return { records, codes, holes: reader.holes }
}
const read = (log: Uint8Array): Read => readFrames(scan(log).frames)

const names = (records: readonly Packed[]): string[] => records.map(({ bytes }) => toHex(hash(bytes)))

const mustBeSame = (found: readonly Packed[], records: readonly Packed[]): void => {
  expect(found.length).toBe(records.length)
  for (const [at, { id, bytes }] of records.entries()) {
    const other = found[at]
    if (other === undefined || other.id !== id || !equalBytes(other.bytes, bytes))
      throw new Error(`record ${at}\n${toHex(bytes)}\n${toHex(other?.bytes ?? new Uint8Array(0))}`)
  }
}

const isFresh = ({ payload }: Framed): boolean => ((payload[0] ?? 0) & 1) === 1
const isDeflated = ({ payload }: Framed): boolean => ((payload[0] ?? 0) & 128) === 128

/** One author who inserts a text at each commit, signed unless said otherwise. */
class Typist {
  #seq = 0
  #prev: string | null = null
  #clock = 1_750_000_000_000 * 256

  next(text: string, isSigned = true): Packed {
    this.#clock += 256 * 333
    const header: Header = {
      ...context,
      session: '22'.repeat(32),
      incarnation: '33'.repeat(8),
      seq: this.#seq++,
      prev: this.#prev,
      clock: this.#clock,
      policy: { root: { epoch: 0, n: 3, hash: '44'.repeat(32) }, authority: null },
      atomic: false,
      extended: false,
    }
    const operation: Operation = { kind: 'splice', field: 'notes', at: 0, remove: 0, length: text.length, insert: text }
    const salt = hash(encodeUtf8(`${this.#seq}`)).subarray(0, 12)
    const schema = { name: 'card', version: 1, hash: '55'.repeat(32) }
    const parents = this.#prev === null ? [] : [this.#prev]
    const composed = composeCommit(header, [{ key: 'page', parents, schema, operations: [operation], salt }], hash)
    this.#prev = composed.id
    const noise = concatBytes(hash(salt), hash(hash(salt)))
    return sealCommit(composed, isSigned ? noise : new Uint8Array(0))
  }

  some(count: number, text: string): Packed[] {
    return Array.from({ length: count }, () => this.next(text))
  }
}

/** Text that an eighth can be saved of. */
const prose = (words: number): string => 'over and under goes the weft, '.repeat(Math.ceil(words / 6))
const noise = (length: number): string => {
  let text = ''
  for (let at = 0; text.length < length; at++) text += toHex(hash(encodeUtf8(`noise ${at}`)))
  return text.slice(0, length)
}

describe('a log of packed commits', () => {
  test('gives every record byte for byte, whatever the appends were', () => {
    for (let seed = 1; seed <= 25; seed++) {
      const draw = new Draw(seed)
      const authors = new Authors(seed, { ...context, hash })
      const log = writer()
      const all: Packed[] = []
      const frames: Framed[] = []
      for (let append = 0; append < 40; append++) {
        const records = authors.some(draw.pick([0, 1, 1, 1, 2, 7, 120]))
        const made = log.write(records)
        if (draw.chance(5)) {
          log.reset()
          continue
        }
        frames.push(...made)
        all.push(...records)
        if (draw.chance(10)) frames.push({ kind: frameKinds.entry, payload: draw.bytes(40) })
        if (draw.chance(10)) log.reset()
      }
      try {
        const found = read(bytesOf(frames))
        mustBeSame(found.records, all)
        expect(found).toMatchObject({ codes: [], holes: [] })
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error })
      }
    }
  })

  test('is many times smaller than its records, and one append of many commits is few frames', () => {
    const records = new Typist().some(2_000, prose(20))
    const frames = writer().write(records)
    expect(bytesOf(frames).length * 3).toBeLessThan(records.reduce((sum, { bytes }) => sum + bytes.length, 0))
    expect(frames.length).toBeLessThan(15)
    expect(frames.every(isFresh)).toBe(true)
  })

  test('begins anew after some 32 KiB, after a reset, and not before', () => {
    const [author, log] = [new Typist(), writer()]
    const frames = author.some(1_000, noise(100)).flatMap((record) => log.write([record]))
    const begins = frames.flatMap((frame, at) => (isFresh(frame) ? [at] : []))
    expect(begins.length).toBeGreaterThan(4)
    for (const [index, at] of begins.entries()) {
      const next = begins[index + 1]
      const bytes = frames.slice(at, next).reduce((sum, { payload }) => sum + payload.length, 0)
      if (next !== undefined) expect(bytes).toBeGreaterThan(32_000)
      expect(bytes).toBeLessThan(33_100)
    }
    log.reset()
    expect(log.write(author.some(1, 'x')).map(isFresh)).toEqual([true])
    expect(log.write(author.some(1, 'x')).map(isFresh)).toEqual([false])
  })

  test('holds what goes on where another writer stopped, and reads it from any frame that begins anew', () => {
    const author = new Typist()
    const parts = [5, 5, 5].map((count) => {
      const log = writer()
      return author.some(count, 'x').map((record) => ({ record, frames: log.write([record]) }))
    })
    const all = parts.flat()
    const { frames } = scan(bytesOf(all.flatMap((one) => one.frames)))
    const records = all.map(({ record }) => record)
    for (const from of [0, 5, 10]) mustBeSame(readFrames(frames.slice(from)).records, records.slice(from))
    mustBeSame(readFrames(frames.slice(3)).records, records.slice(5))
  })

  test('takes no more than its records but for a few bytes a frame', () => {
    const authors = new Authors(77, { ...context, hash })
    const log = writer()
    for (let times = 0; times < 300; times++) {
      const [record] = authors.some(1)
      if (record === undefined) continue
      const bytes = log.write([record]).reduce((sum, { payload }) => sum + payload.length, 0)
      expect(bytes).toBeLessThanOrEqual(record.bytes.length + 13 + 33 + 15)
    }
  })
})

describe('a run', () => {
  test('is in one frame, whole, however long', () => {
    const author = new Typist()
    const big = noise(7_000)
    const records = Array.from({ length: 640 }, (_, at) => author.next(big, at % limits.runCommits === 63))
    const frames = writer().write(records)
    expect(frames.length).toBe(10)
    for (const { records: found } of scan(bytesOf(frames)).frames.map((frame) => readFrames([frame])))
      expect(found.length).toBe(limits.runCommits)
    mustBeSame(read(bytesOf(frames)).records, records)
  })

  test('that is as long as may be fits a frame behind what is there already', () => {
    const author = new Typist()
    const log = writer()
    const most = limits.runBytes / limits.runCommits - 400
    log.write(author.some(1, noise(20_000)))
    const before = author.some(1, noise(12_000))
    const run = Array.from({ length: limits.runCommits }, (_, at) => author.next(noise(most), at === 63))
    const frames = log.write([...before, ...run])
    expect(frames.length).toBe(1)
    for (const { payload } of frames) expect(payload.length).toBeLessThanOrEqual(limits.frameBytes)
  })

  test('that a crash cut off is not there, and what was before it is', () => {
    const author = new Typist()
    const log = writer()
    const first = log.write(author.some(2, 'x'))
    const run = [1, 2, 3].map((at) => author.next(noise(50), at === 3))
    const bytes = bytesOf([...first, ...log.write(run)])
    const whole = bytesOf(first).length
    for (let length = whole; length < bytes.length; length++)
      expect(read(bytes.subarray(0, length)).records.length).toBe(2)
    expect(read(bytes).records.length).toBe(5)
  })
})

describe('deflating', () => {
  test('is for what is long enough, is not noise, and saves an eighth', () => {
    const author = new Typist()
    const log = writer()
    log.write(author.some(1, 'x'))
    const deflates = (records: readonly Packed[]): boolean => log.write(records).some(isDeflated)
    expect(deflates(author.some(1, prose(30)))).toBe(false)
    expect(deflates(author.some(1, prose(200)))).toBe(true)
    expect(deflates(author.some(1, noise(600)))).toBe(true)
    const dense = Array.from(
      concatBytes(...Array.from({ length: 32 }, (_, at) => hash(Uint8Array.of(at)))),
      (byte) => byte & 127,
    )
    expect(deflates([author.next(String.fromCharCode(...dense))])).toBe(false)
    // Mostly signatures.
    expect(deflates(author.some(40, 'warp'))).toBe(false)
  })

  test('does not change what is read, and reading does not need this deflate', () => {
    const records = new Typist().some(40, prose(100))
    const [frame] = writer().write(records)
    if (frame === undefined || !isDeflated(frame)) throw new Error('no deflated frame')
    mustBeSame(read(bytesOf([frame])).records, records)
    const pack = new PackWriter(context).pack(records)
    for (const level of [0, 1, 9]) {
      const other = payloadOf({ rest: pack.subarray(1), how: (rest) => deflateRawSync(rest, { level }) })
      mustBeSame(read(encodeFrame(frameKinds.pack, other)).records, records)
    }
  })
})

/** A payload made by hand. */
const payloadOf = (of: {
  readonly rest: Uint8Array
  readonly how?: (rest: Uint8Array) => Uint8Array
  readonly size?: number
  readonly path?: Uint8Array
}): Uint8Array => {
  const { rest, how, size = rest.length, path = encodeUtf8(context.repository) } = of
  const sink = new Sink(64)
  sink.byte(3 | (how === undefined ? 0 : 128))
  sink.put(fromHex(context.network))
  sink.varint(path.length)
  sink.put(path)
  if (how !== undefined) sink.varint(size)
  sink.put(how?.(rest) ?? rest)
  return sink.take()
}

describe('frames that hold no commits', () => {
  const records = new Typist().some(3, 'x')
  const rest = new PackWriter(context).pack(records).subarray(1)
  const zip = (bytes: Uint8Array): Uint8Array => deflateRawSync(bytes)
  const codeOf = (payload: Uint8Array): string => {
    const { codes, records: found, holes } = read(encodeFrame(frameKinds.pack, payload))
    if (codes.length > 0) expect(holes).toEqual([{ from: 0, to: encodeFrame(5, payload).length }])
    return codes[0] ?? `${found.length} records`
  }

  test('are refused: other versions, no path, sizes that are not so, something behind', () => {
    expect(codeOf(payloadOf({ rest }))).toBe('3 records')
    expect(codeOf(payloadOf({ rest, how: zip }))).toBe('3 records')
    const other = payloadOf({ rest })
    other[0] = 5
    expect(codeOf(other)).toBe('Malformed')
    expect(codeOf(new Uint8Array(0))).toBe('LogCorrupt')
    for (const length of [1, 20, 33, 40]) expect(codeOf(payloadOf({ rest }).subarray(0, length))).toBe('Malformed')
    expect(codeOf(payloadOf({ rest, path: encodeUtf8('/board/else') }))).toBe('Malformed')
    expect(codeOf(payloadOf({ rest, path: new Uint8Array(limits.nameBytes + 1).fill(97) }))).toBe('Malformed')
    expect(codeOf(payloadOf({ rest, path: Uint8Array.of(0xff, 0xfe) }))).toBe('Malformed')
    for (const size of [rest.length - 1, rest.length + 1, 0])
      expect(codeOf(payloadOf({ rest, how: zip, size }))).toBe('Malformed')
    expect(codeOf(concatBytes(payloadOf({ rest, how: zip }), Uint8Array.of(0)))).toBe('Malformed')
    expect(codeOf(concatBytes(payloadOf({ rest }), Uint8Array.of(0)))).toBe('Malformed')
  })

  test('that inflate to more than a frame, or than they say, are refused before they do', () => {
    expect(codeOf(payloadOf({ rest: new Uint8Array(limits.frameBytes + 1), how: zip }))).toBe('TooLarge')
    const bomb = new Uint8Array(200 * limits.frameBytes)
    const begun = process.cpuUsage()
    const payload = payloadOf({ rest: bomb, how: zip, size: limits.frameBytes })
    const made = process.cpuUsage(begun).user
    expect(codeOf(payload)).toBe('Malformed')
    expect(process.cpuUsage(begun).user - made).toBeLessThan(made / 4)
  })

  test('that unfold to more records than limits.packedRecords are refused; none is written', () => {
    const author = new Typist()
    const much = 'x'.repeat(200_000)
    const many = author.some(21, much)
    expect(many.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeGreaterThan(limits.packedRecords)
    const pack = new PackWriter(context).pack(many)
    expect(codeOf(payloadOf({ rest: pack.subarray(1), how: zip }))).toBe('TooLarge')

    const twins = Array.from({ length: 900 }, (_, at) => heir(at))
    expect(twins.reduce((sum, { bytes }) => sum + bytes.length, 0)).toBeGreaterThan(limits.packedRecords)
    const frames = writer().write(twins)
    mustBeSame(read(bytesOf(frames)).records, twins)
  })
})

/** Records that fold to next to nothing: erased content, and what operations say is a pattern. */
const heir = (seq: number): Packed => {
  const header: Header = {
    ...context,
    session: '22'.repeat(32),
    incarnation: '33'.repeat(8),
    seq,
    prev: seq === 0 ? null : '77'.repeat(32),
    clock: 1_750_000_000_000 * 256,
    policy: { root: { epoch: 0, n: 3, hash: '44'.repeat(32) }, authority: null },
    atomic: false,
    extended: false,
  }
  const schema = { name: 'n'.repeat(256), version: 1, hash: '55'.repeat(32) }
  const changes = Array.from({ length: 8 }, (_, at) => ({
    key: `${at}`.padEnd(256, 'k'),
    parents: [],
    schema,
    operations: [{ kind: 'touch' } as const],
    salt: new Uint8Array(12),
  }))
  const sealed = sealCommit(composeCommit(header, changes, hash), new Uint8Array(64).fill(7))
  return seq % 5 === 4 ? sealed : { id: sealed.id, bytes: unsigned(sealed) }
}

describe('damage', () => {
  /** Small appends, two that begin anew among them, deflated and plain, with an entry between. */
  const author = new Typist()
  const made: { readonly records: readonly Packed[]; readonly frames: readonly Framed[] }[] = []
  for (let part = 0; part < 3; part++) {
    const log = writer()
    for (const text of ['a', part === 1 ? prose(150) : 'b', 'c', 'd']) {
      const records = [author.next(text, false), author.next(text)]
      made.push({ records, frames: log.write(records) })
    }
    made.push({ records: [], frames: [{ kind: frameKinds.entry, payload: Uint8Array.of(part) }] })
  }
  const log = bytesOf(made.flatMap(({ frames }) => frames))
  const all = made.flatMap(({ records }) => records)
  const places = new Map(names(all).map((name, at) => [name, at]))

  /** What is read is ours, in our order, whole runs of it; and the places of it. */
  const mustBeOurs = (found: Read): number[] => {
    const at = names(found.records).map((name) => places.get(name) ?? -1)
    expect(at.every((place, index) => place >= 0 && (index === 0 || place > (at[index - 1] ?? -1)))).toBe(true)
    for (let index = 0; index < at.length; index += 2)
      expect((at[index] ?? 0) % 2 === 0 && at[index + 1] === (at[index] ?? 0) + 1).toBe(true)
    return at
  }

  test('a log cut at any byte gives a prefix', () => {
    for (let length = 0; length <= log.length; length++) {
      const found = read(log.subarray(0, length))
      expect(mustBeOurs(found)).toEqual(found.records.map((_, at) => at))
      expect([found.codes, found.holes]).toEqual([[], []])
    }
    expect(read(log).records.length).toBe(24)
  })

  test('any flipped byte takes its frame and those that build on it; they are told, and what begins anew behind is read', () => {
    const { frames } = scan(log)
    for (let at = 0; at < log.length; at++) {
      const bytes = log.slice()
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8))
      const scanned = scan(bytes)
      const found = readFrames(scanned.frames)
      const lost = new Set(all.map((_, place) => place))
      for (const place of mustBeOurs(found)) lost.delete(place)
      const hit = frames.findIndex(({ end }) => at < end)
      const from = [...frames.keys()]
        .filter((index) => index <= hit)
        .reduce((count, index) => count + ((made[index]?.records.length ?? 0) > 0 && index < hit ? 1 : 0), 0)
      const after = frames.findIndex((frame, index) => index > hit && frame.kind === frameKinds.pack && isFresh(frame))
      const to = after === -1 ? 12 : made.slice(0, after).filter(({ records }) => records.length > 0).length
      const expected = Array.from({ length: 2 * (to - from) }, (_, index) => 2 * from + index)
      expect([...lost], `byte ${at}`).toEqual(expected)
      // All that cannot be read is named: as damage, as a hole, or as a torn tail.
      for (const frame of frames.slice(hit + 1, after === -1 ? frames.length : after)) {
        if (frame.kind !== frameKinds.pack) continue
        const isNamed = found.holes.some((hole) => hole.from <= frame.offset && frame.end <= hole.to)
        expect(isNamed, `byte ${at}, frame at ${frame.offset}`).toBe(true)
      }
    }
  })

  test('a frame that is taken out without a trace makes nothing wrong of those behind it', () => {
    const { frames } = scan(log)
    for (const [index, gone] of frames.entries()) {
      const rest = scan(concatBytes(log.subarray(0, gone.offset), log.subarray(gone.end))).frames
      const found = readFrames(rest)
      mustBeOurs(found)
      if (
        gone.kind === frameKinds.pack &&
        (made[index + 1]?.records.length ?? 0) > 0 &&
        !isFresh(frames[index + 1] ?? gone)
      )
        expect(['Malformed', 'LogCorrupt']).toContain(found.codes[0])
    }
  })

  test('holes that lie side by side are one', () => {
    const second = scan(log).frames[1]
    const bytes = log.slice()
    bytes.fill(0, second?.offset, second?.end)
    const { holes, codes } = read(bytes)
    const { frames } = scan(log)
    expect(holes).toEqual([{ from: frames[2]?.offset, to: frames[3]?.end }])
    expect(codes).toEqual(['LogCorrupt', 'LogCorrupt'])
  })
})

test('frames of the kind before are read as they are', () => {
  const records = new Typist().some(3, 'x')
  const log = concatBytes(
    encodeFrame(frameKinds.commit, records[0]?.bytes ?? new Uint8Array(0)),
    bytesOf(writer().write(records.slice(1, 2))),
    encodeFrame(frameKinds.commit, records[2]?.bytes ?? new Uint8Array(0)),
  )
  const reader = new PackedLogReader(hash)
  const found = scan(log).frames.flatMap((frame) => {
    const bytes = reader.records(frame)
    return isRefusal(bytes) ? [] : bytes
  })
  expect(found.map(toHex)).toEqual(records.map(({ bytes }) => toHex(bytes)))
})

describe('a pack that came', () => {
  const streamed = (count: number, text = 'what somebody wrote'): { pack: Uint8Array; records: Packed[] } => {
    const typist = new Typist()
    const records = Array.from({ length: count }, (_, at) => typist.next(text, at % 50 === 49 || at === count - 1))
    return { pack: new PackWriter(context).pack(records), records }
  }
  const arrivedWith =
    ({ pack, records }: { pack: Uint8Array; records: readonly Packed[] }) =>
    (first: Uint8Array) =>
      first === records[0]?.bytes ? { pack, records: records.map(({ bytes }) => bytes) } : undefined

  const deflatedElsewhere = (pack: Uint8Array): Uint8Array => {
    const sink = new Sink(pack.length)
    sink.byte((pack[0] ?? 0) | 128)
    sink.varint(pack.length - 1)
    sink.put(deflateRawSync(pack.subarray(1), { strategy: constants.Z_FIXED }))
    return sink.take()
  }

  test('is stored as it is, deflated where it was not, and what follows begins anew', () => {
    const came = streamed(300)
    const before = new Authors(1, { hash, ...context }).some(3)
    const after = new Authors(2, { hash, ...context }).some(40)
    for (const pack of [came.pack, deflatePack(came.pack, 0, 1)]) {
      const log = writer()
      const find = arrivedWith({ ...came, pack })
      const frames = [...log.write(before), ...log.write([...came.records, ...after], find)]
      expect(frames.map(isFresh)).toEqual([true, true, true])
      expect(frames.map(({ payload }) => payload.length)[1]).toBe(
        deflatePack(came.pack, 0, 1).length + 33 + context.repository.length,
      )
      mustBeSame(read(bytesOf(frames)).records, [...before, ...came.records, ...after])
    }
  })

  test('is packed again where it is not all there, builds on others, is long for what it holds, or is small', () => {
    // Deflated by somebody else, so that it shows whether it was kept.
    const stream = streamed(300)
    const came = { records: stream.records, pack: deflatedElsewhere(stream.pack) }
    const find = arrivedWith(came)
    const whole = writer().write(came.records, find)
    const isRepacked = (records: readonly Packed[], by: typeof find): boolean => {
      const frames = writer().write(records, by)
      mustBeSame(read(bytesOf(frames)).records, records)
      const again = writer().write(records)
      return (
        frames.length === again.length &&
        frames.every(({ payload }, at) => equalBytes(payload, again[at]?.payload ?? payload.subarray(1)))
      )
    }
    expect(whole.length).toBe(1)
    expect(isRepacked(came.records, find)).toBe(false)
    expect(isRepacked(came.records.slice(0, 250), find)).toBe(true)
    expect(isRepacked(came.records.toSpliced(120, 1, ...new Authors(3, { hash, ...context }).some(1)), find)).toBe(true)
    const later = new PackWriter(context)
    later.pack(new Authors(4, { hash, ...context }).some(3))
    expect(isRepacked(came.records, arrivedWith({ ...came, pack: deflatedElsewhere(later.pack(came.records)) }))).toBe(
      true,
    )
    const long = new Sink(1)
    long.byte(stream.pack[0] ?? 0)
    for (const { bytes } of came.records) {
      long.byte(128)
      long.byte(1)
      long.varint(bytes.length)
      long.put(bytes)
    }
    long.put(stream.pack, stream.pack.length - 2)
    const listed = long.take()
    expect(isRefusal(new PackReader(context, hash, { commits: 1_000, bytes: 1e9 }).unpack(listed))).toBe(false)
    expect(isRepacked(came.records, arrivedWith({ ...came, pack: listed }))).toBe(true)
    const few = streamed(63)
    expect(isRepacked(few.records, arrivedWith({ ...few, pack: deflatedElsewhere(few.pack) }))).toBe(true)
    const enough = streamed(64)
    expect(isRepacked(enough.records, arrivedWith({ ...enough, pack: deflatedElsewhere(enough.pack) }))).toBe(false)
  })
})
