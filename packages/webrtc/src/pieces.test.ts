import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { isRefusal, limits } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { Assembly, cut, Outbox } from './pieces.ts'

/** Mulberry32. */
const draws = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}
const messageOf = (length: number): Uint8Array => Uint8Array.from({ length }, (_, at) => (at * 31 + length) % 251)

test('a message of any length up to the largest goes in pieces of at most limits.pieceBytes, and comes out whole', () => {
  const edges = [1, 2].flatMap((times) => [-6, -5, -4, -1, 0, 1].map((by) => times * limits.pieceBytes + by))
  const assembly = new Assembly()
  for (const length of [0, 1, 2, ...edges, limits.frameBytes - 1, limits.frameBytes]) {
    const pieces = cut(messageOf(length))
    expect(Math.max(...pieces.map((piece) => piece.length)), `${length}`).toBeLessThanOrEqual(limits.pieceBytes)
    expect(pieces.length).toBe(Math.max(1, Math.ceil((length + (length >= limits.pieceBytes ? 4 : 0)) / 65_535)))
    const taken = pieces.map((piece) => assembly.take(piece))
    expect(taken.slice(0, -1).every((part) => part === undefined)).toBe(true)
    expect(Buffer.compare(taken.at(-1) as Uint8Array, messageOf(length))).toBe(0)
  }
})

test('a piece is an array of its own: what its message was made of may change', () => {
  const message = Uint8Array.of(1, 2, 3)
  const [piece] = cut(message)
  message.fill(9)
  expect([...(piece ?? [])]).toEqual([3, 1, 2, 3])
})

describe('refused', () => {
  const begun = Uint8Array.of(1, 0, 0, 0, 4, 10)
  test.each<[what: string, pieces: Uint8Array[], code: string]>([
    ['no byte', [new Uint8Array(0)], 'Malformed'],
    ['unknown flags', [Uint8Array.of(4, 1)], 'Malformed'],
    ['a byte more than limits.pieceBytes', [new Uint8Array(limits.pieceBytes + 1).fill(3)], 'TooLarge'],
    ['a message over limits.frameBytes', [Uint8Array.of(1, 0, 16, 0, 1, 10)], 'TooLarge'],
    ['a message of 4 GiB', [Uint8Array.of(1, 255, 255, 255, 255, 10)], 'TooLarge'],
    ['a first piece without a length', [Uint8Array.of(1, 0, 0, 0)], 'Malformed'],
    ['a first piece without a payload', [Uint8Array.of(1, 0, 0, 0, 4)], 'Malformed'],
    ['a first piece with all of it', [Uint8Array.of(1, 0, 0, 0, 1, 10)], 'Malformed'],
    ['a middle before a first', [Uint8Array.of(0, 1)], 'Malformed'],
    ['a last before a first', [Uint8Array.of(2, 1)], 'Malformed'],
    ['a first within a message', [begun, begun], 'Malformed'],
    ['a whole message within a message', [begun, Uint8Array.of(3, 1)], 'Malformed'],
    ['an empty middle', [begun, Uint8Array.of(0)], 'Malformed'],
    ['a middle that completes', [begun, Uint8Array.of(0, 1, 2, 3)], 'Malformed'],
    ['a middle that is too much', [begun, Uint8Array.of(0, 1, 2, 3, 4)], 'Malformed'],
    ['a last that is too little', [begun, Uint8Array.of(2, 1, 2)], 'Malformed'],
    ['a last that is too much', [begun, Uint8Array.of(2, 1, 2, 3, 4)], 'Malformed'],
  ])('%s', (_, pieces, code) => {
    const assembly = new Assembly()
    const taken = pieces.map((piece) => assembly.take(piece))
    expect(taken.slice(0, -1).some(isRefusal)).toBe(false)
    expect(taken.at(-1)).toMatchObject({ code })
  })

  test('whatever comes, nothing is thrown, and no message is larger than its pieces were', () => {
    for (let seed = 1; seed <= 2_000; seed++) {
      const draw = draws(seed)
      const assembly = new Assembly()
      let came = 0
      for (let count = 0; count < 20; count++) {
        const piece = Uint8Array.from({ length: draw(12) }, () => draw(draw(2) === 0 ? 4 : 256))
        came += piece.length
        const taken = assembly.take(piece)
        if (isRefusal(taken)) break
        expect(taken?.length ?? 0, `seed ${seed}`).toBeLessThan(came)
      }
    }
  })
})

describe('an outbox', () => {
  test('gives back what was put into it, in order, and counts it', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const draw = draws(seed)
      const outbox = new Outbox()
      const waiting: number[][] = []
      for (let step = 0; step < 400; step++) {
        if (draw(2) === 0) {
          const piece = Uint8Array.from({ length: 1 + draw(draw(30) === 0 ? 9_000 : 40) }, () => draw(256))
          waiting.push([...piece])
          outbox.push(piece)
          piece.fill(0, piece.length <= 4_096 ? 0 : piece.length)
        } else {
          const next = outbox.next
          expect(next && [...next], `seed ${seed}`).toEqual(waiting.shift())
          outbox.shift()
        }
      }
      expect(outbox.bytes).toBe(waiting.reduce((sum, piece) => sum + piece.length, 0))
      outbox.clear()
      expect([outbox.next, outbox.bytes]).toEqual([undefined, 0])
    }
  })
  test('a million pieces of two bytes wait in less than 40 MB', () => {
    const outbox = new Outbox()
    const before = held()
    for (let count = 0; count < 1_000_000; count++) for (const piece of cut(Uint8Array.of(count))) outbox.push(piece)
    expect(held() - before).toBeLessThan(40_000_000)
    for (let count = 0; count < 1_000_000; count++) {
      if (outbox.next?.[1] !== (count & 0xff)) throw new Error(`another piece than ${count}`)
      outbox.shift()
    }
    expect([outbox.next, outbox.bytes]).toEqual([undefined, 0])
  })
})

setFlagsFromString('--expose-gc')
const collect: () => void = runInNewContext('gc')
/** Bytes that are still referred to. */
const held = (): number => {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
