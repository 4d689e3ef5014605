import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { limits } from '../bytes/limits.ts'
import { isRefusal } from '../bytes/refusal.ts'
import { Sink } from '../bytes/sink.ts'
import { deflatePack, inflatePack } from './deflated.ts'

const text = (length: number, first = 3): Uint8Array => {
  const bytes = Uint8Array.from({ length }, (_, at) => 97 + ((at * at) % 7))
  bytes[0] = first
  return bytes
}
const noise = (length: number): Uint8Array => {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, at) =>
    createHash('sha256').update(`${at}`).digest(),
  )
  return Uint8Array.from(Buffer.concat([Buffer.of(2), ...blocks])).slice(0, length)
}
const codeOf = (bytes: Uint8Array): string => {
  const pack = inflatePack(bytes)
  return isRefusal(pack) ? pack.code : 'read'
}

test('what is deflated is shorter by an eighth, and the same again', () => {
  for (const length of [512, 5_000, 100_000]) {
    const pack = text(length)
    const short = deflatePack(pack, 512, 0)
    expect(short.length).toBeLessThan((7 / 8) * length)
    expect(short[0]).toBe(131)
    expect(inflatePack(short)).toEqual(pack)
  }
})

test('what is short, mostly signatures or noise stays as it is', () => {
  expect(deflatePack(text(511), 512, 0)).toEqual(text(511))
  expect(deflatePack(text(1_280), 512, 10)).toEqual(text(1_280))
  expect(deflatePack(text(1_281), 512, 10).length).toBeLessThan(1_281)
  expect(deflatePack(noise(5_000), 512, 0)).toEqual(noise(5_000))
  expect(inflatePack(text(20))).toEqual(text(20))
})

test('limits.frameBytes: what promises more is not inflated, and no promise is believed', () => {
  const promising = (size: number): Uint8Array => {
    const sink = new Sink(64)
    sink.byte(131)
    sink.varint(size)
    sink.put(deflatePack(text(5_000), 512, 0).subarray(3))
    return sink.take()
  }
  expect(codeOf(promising(4_999))).toBe('read')
  for (const size of [4_998, 5_000, 0, limits.frameBytes]) expect(codeOf(promising(size))).toBe('Malformed')
  expect(codeOf(promising(limits.frameBytes + 1))).toBe('TooLarge')
  const good = deflatePack(text(5_000), 512, 0)
  for (let length = 1; length < good.length; length += 3) expect(codeOf(good.subarray(0, length))).toBe('Malformed')
  expect(codeOf(Uint8Array.from([...good, 0]))).toBe('Malformed')
  expect(codeOf(new Uint8Array(0))).toBe('read')
})
