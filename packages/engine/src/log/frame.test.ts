import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { concatBytes } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import { encodeFrame, type Frame, type Scan, Scanner, scan } from './frame.ts'

const mark = [0xf7, 0xe5, 0xe6, 0xf4]

/** Bytes that look random and are always the same. */
const noise = (length: number, seed: number): Uint8Array => {
  let state = seed
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state >>> 24
  })
}

const payloads = [0, 1, 2, 12, 13, 14, 40, 3].map((length, index) => noise(length, index + 1))
const log = concatBytes(...payloads.map((payload, kind) => encodeFrame(kind, payload)))
const whole = scan(log)
/** Where each frame begins, and where the last one ends. */
const edges = [...whole.frames.map(({ offset }) => offset), log.length]

const same = (frame: Frame | undefined, kind: number): boolean =>
  frame?.kind === kind && frame.payload.join() === payloads[kind]?.join()

/** The kinds of the frames, each of which must be one of ours and in its place. */
const kindsIn = ({ frames }: Scan): number[] => {
  for (const frame of frames) {
    expect(same(frame, frame.kind)).toBe(true)
    expect(frame.offset).toBe(edges[frame.kind])
  }
  return frames.map(({ kind }) => kind)
}

const all = payloads.map((_, kind) => kind)

test('what was encoded is read back, with nothing left over', () => {
  expect(kindsIn(whole)).toEqual(all)
  expect(whole).toMatchObject({ good: log.length, damage: [], torn: false })
  expect(scan(new Uint8Array(0))).toEqual({ frames: [], good: 0, damage: [], torn: false })
})

test('the layout: mark, length, CRC-32C of length, kind and body, kind, body', () => {
  // The checksum of 03000000 07 "abc", by a bitwise CRC-32C.
  let sum = 0xffffffff
  for (const byte of [3, 0, 0, 0, 7, 97, 98, 99]) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0x82f63b78 : 0)
  }
  sum = ~sum >>> 0
  const bytes = [0, 8, 16, 24].map((shift) => (sum >>> shift) & 255)
  expect([...encodeFrame(7, Uint8Array.of(97, 98, 99))]).toEqual([...mark, 3, 0, 0, 0, ...bytes, 7, 97, 98, 99])
})

test('a scan can begin at any frame', () => {
  for (const [kind, edge] of edges.entries()) {
    expect(kindsIn(scan(log, edge))).toEqual(all.slice(kind))
    expect(scan(log, edge)).toMatchObject({ good: log.length, damage: [], torn: false })
  }
})

test('cut at every byte: the whole frames before the cut, and the rest is a torn tail', () => {
  for (let cut = 0; cut <= log.length; cut++) {
    const result = scan(log.subarray(0, cut))
    const count = edges.filter((edge) => edge <= cut).length - 1
    expect(kindsIn(result)).toEqual(all.slice(0, count))
    expect(result).toMatchObject({ good: edges[count], damage: [], torn: edges[count] !== cut })
  }
})

test('every tail filled with zeros, with ones or with noise is torn, and what is before it is whole', () => {
  for (let cut = 0; cut < log.length; cut++) {
    for (const tail of [new Uint8Array(64), new Uint8Array(64).fill(255), noise(64, cut)]) {
      const bytes = concatBytes(log.subarray(0, cut), tail)
      // A tail may happen to begin as the log went on.
      const intact = bytes.findIndex((byte, at) => byte !== log[at])
      const result = scan(bytes)
      const count = edges.filter((edge) => edge <= intact).length - 1
      expect(kindsIn(result)).toEqual(all.slice(0, count))
      expect(result).toMatchObject({ good: edges[count], damage: [], torn: true })
    }
  }
})

test('every flipped bit costs its frame and no other', () => {
  for (let bit = 0; bit < log.length * 8; bit++) {
    const damaged = new Uint8Array(log)
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    const result = scan(damaged)
    const hit = edges.filter((edge) => edge <= bit >> 3).length - 1
    expect(kindsIn(result)).toEqual(all.filter((kind) => kind !== hit))
    const [from, to] = [edges[hit] ?? 0, edges[hit + 1] ?? 0]
    if (hit === all.length - 1) expect(result).toMatchObject({ good: from, damage: [], torn: true })
    else expect(result).toMatchObject({ good: log.length, damage: [{ from, to }], torn: false })
  }
})

test('every byte missing or doubled in the middle costs its frame and no other', () => {
  for (let at = 0; at < (edges.at(-2) ?? 0); at++) {
    for (const middle of [new Uint8Array(0), log.subarray(at, at + 1), Uint8Array.of(log[at] ?? 0, 0)]) {
      const result = scan(concatBytes(log.subarray(0, at), middle, log.subarray(at + 1)))
      const hit = edges.filter((edge) => edge <= at).length - 1
      const kinds = result.frames.map(({ kind }) => kind)
      if (middle.length === 1) expect(kinds).toEqual(all)
      // A byte more behind a frame leaves the frame whole.
      else expect(kinds.filter((kind) => kind !== hit)).toEqual(all.filter((kind) => kind !== hit))
    }
  }
})

test('swapped blocks: frames across their ends are lost and reported, none is made up', () => {
  const block = 24
  for (let first = 0; first + 2 * block <= log.length; first++) {
    for (let second = first + block; second + block <= log.length; second += 5) {
      const swapped = new Uint8Array(log)
      swapped.set(log.subarray(second, second + block), first)
      swapped.set(log.subarray(first, first + block), second)
      const { frames, damage, good, torn } = scan(swapped)
      for (const frame of frames) expect(same(frame, frame.kind)).toBe(true)
      const read = frames.reduce((sum, { payload }) => sum + payload.length + 13, 0)
      const lost = damage.reduce((sum, { from, to }) => sum + to - from, 0)
      expect(read + lost).toBe(good)
      expect(torn).toBe(good < swapped.length)
    }
  }
})

describe("a stranger's payload", () => {
  const inner = encodeFrame(9, Uint8Array.of(1, 2, 3))

  test('that holds a frame never yields it, however the frame around it is torn or damaged', () => {
    const outer = encodeFrame(1, concatBytes(noise(20, 1), inner, noise(20, 2)))
    const bytes = concatBytes(outer, encodeFrame(2, Uint8Array.of(5)))
    for (let cut = 0; cut < bytes.length; cut++) {
      expect(scan(bytes.subarray(0, cut)).frames.some(({ kind }) => kind === 9)).toBe(false)
      expect(scan(bytes, cut).frames.some(({ kind }) => kind === 9)).toBe(false)
      const damaged = new Uint8Array(bytes)
      damaged[cut] = (damaged[cut] ?? 0) ^ 0x55
      expect(scan(damaged).frames.some(({ kind }) => kind === 9)).toBe(false)
    }
    expect(scan(bytes).frames[0]?.payload).toEqual(concatBytes(noise(20, 1), inner, noise(20, 2)))
  })

  test('the mark stands at the start of a frame and nowhere else, whatever is written', () => {
    const piece = fc.oneof(
      fc.constantFrom(mark, mark.slice(0, 3), mark.slice(0, 2), mark.slice(1), [0xf7], [0], [...mark.slice(0, 3), 0]),
      fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 6 }),
    )
    const payload = fc.array(piece, { maxLength: 12 }).map((pieces) => Uint8Array.from(pieces.flat()))
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 127 }), payload), { maxLength: 6 }), (written) => {
        const encoded = written.map(([kind, bytes]) => encodeFrame(kind, bytes))
        const bytes = concatBytes(...encoded)
        const { frames, damage, torn } = scan(bytes)
        expect(frames.map(({ kind, payload: read }) => [kind, new Uint8Array(read)])).toEqual(written)
        expect({ damage, torn }).toEqual({ damage: [], torn: false })
        const marks = bytes.reduce(
          (count, _, at) => count + (mark.every((byte, index) => bytes[at + index] === byte) ? 1 : 0),
          0,
        )
        expect(marks).toBe(written.length)
      }),
      { numRuns: 500 },
    )
  })

  test('cannot make the checksum spell the mark', () => {
    // CRC is affine: four free bytes reach every checksum, so one of them spells the mark.
    const wanted = [0xf7, 0xe5, 0xe6, 0xf4]
    const sumOf = (bytes: Uint8Array): number => {
      const frame = encodeFrame(0, bytes)
      return ((frame[8] ?? 0) | ((frame[9] ?? 0) << 8) | ((frame[10] ?? 0) << 16) | ((frame[11] ?? 0) << 24)) >>> 0
    }
    const zero = sumOf(new Uint8Array(4))
    const basis: { sum: number; input: number }[] = []
    for (let bit = 0; bit < 32; bit++) {
      const bytes = new Uint8Array(4)
      bytes[bit >> 3] = 1 << (bit & 7)
      let entry = { sum: (sumOf(bytes) ^ zero) >>> 0, input: (1 << bit) >>> 0 }
      for (const known of basis) {
        if ((entry.sum ^ known.sum) >>> 0 < entry.sum) {
          entry = { sum: (entry.sum ^ known.sum) >>> 0, input: (entry.input ^ known.input) >>> 0 }
        }
      }
      basis.push(entry)
      basis.sort((left, right) => right.sum - left.sum)
    }
    let target = ((0xf7 | (0xe5 << 8) | (0xe6 << 16) | (0xf4 << 24)) ^ zero) >>> 0
    let input = 0
    for (const known of basis) {
      if ((target ^ known.sum) >>> 0 < target) {
        target = (target ^ known.sum) >>> 0
        input = (input ^ known.input) >>> 0
      }
    }
    expect(target).toBe(0)
    const crafted = Uint8Array.from([0, 8, 16, 24], (shift) => (input >>> shift) & 255)
    const frame = encodeFrame(0, crafted)
    expect([...frame.subarray(8, 12)]).toEqual([0xf6, ...wanted.slice(1)])
    expect(scan(frame).frames[0]?.payload).toEqual(crafted)
  })
})

test('piece by piece, of any sizes, gives what the whole gives', () => {
  const damaged = new Uint8Array(log)
  for (const at of [3, 60, 61]) damaged[at] = (damaged[at] ?? 0) ^ 1
  const inputs = [
    log,
    damaged,
    log.subarray(0, -2),
    concatBytes(log, noise(50, 1), log, noise(9, 2), Uint8Array.of(0xf7)),
  ]
  for (const input of inputs) {
    const expected = scan(input)
    for (let size = 1; size <= input.length; size++) {
      const scanner = new Scanner()
      const frames: Frame[] = []
      for (let at = 0; at < input.length; at += size) frames.push(...scanner.push(input.slice(at, at + size)))
      frames.push(...scanner.end())
      expect({ frames, good: scanner.good, damage: scanner.damage, torn: scanner.torn }).toEqual(expected)
    }
  }
})

test('a length that promises more than there is does not swallow the frames behind it', () => {
  const damaged = new Uint8Array(log)
  damaged[(edges[3] ?? 0) + 6] = 0x0f
  expect(kindsIn(scan(damaged))).toEqual(all.filter((kind) => kind !== 3))
})

test('a length above the limit is not waited for: what follows comes with its piece', () => {
  for (const top of [0x16, 0x80, 0xff]) {
    const damaged = new Uint8Array(log)
    damaged[6] = top
    damaged[7] = top
    expect(new Scanner().push(damaged).map(({ kind }) => kind)).toEqual(all.slice(1))
  }
})

test('random garbage never throws and never yields a frame', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat({ max: 300 }), (garbage, at) => {
      const withMarks = new Uint8Array(garbage)
      if (at + 4 <= withMarks.length) withMarks.set(mark, at)
      for (const bytes of [garbage, withMarks]) {
        expect(scan(bytes)).toEqual({ frames: [], good: 0, damage: [], torn: bytes.length > 0 })
        expect(scan(concatBytes(bytes, log)).frames).toHaveLength(all.length)
      }
    }),
    { numRuns: 2_000 },
  )
})

test('the limit: 1 MiB of payload, also of the worst kind, and not a byte more', () => {
  const worst = new Uint8Array(limits.frameBytes)
  for (let at = 0; at < worst.length; at++) worst[at] = mark[at % 3] ?? 0
  for (const payload of [new Uint8Array(limits.frameBytes).fill(7), worst]) {
    const { frames, torn } = scan(encodeFrame(1, payload))
    expect(torn).toBe(false)
    expect(Buffer.compare(frames[0]?.payload ?? new Uint8Array(0), payload)).toBe(0)
  }
  expect(() => encodeFrame(1, new Uint8Array(limits.frameBytes + 1))).toThrow(RangeError)
  for (const kind of [-1, 1.5, 128]) expect(() => encodeFrame(kind, new Uint8Array(0))).toThrow(RangeError)
})
