import { limits } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { Decoder, Encoder, type Packet } from './packet.ts'

const header = '51-["frame",{"_placeholder":true,"num":0}]'

const decode = (...parts: unknown[]): Packet[] => {
  const decoder = new Decoder()
  const packets: Packet[] = []
  decoder.on('decoded', (packet) => packets.push(packet))
  for (const part of parts) decoder.add(part)
  return packets
}

test('what is encoded is decoded again', () => {
  const encoder = new Encoder()
  const frame = { type: 2, nsp: '/', data: ['frame', Uint8Array.of(1, 2)] }
  expect(decode(...encoder.encode(frame))).toEqual([frame])
  expect(decode(...encoder.encode({ type: 0, nsp: '/', data: { sid: 'x', pid: undefined } }))).toEqual([
    { type: 0, nsp: '/', data: { sid: 'x' } },
  ])
  expect(decode(...encoder.encode({ type: 0, nsp: '/' }))).toEqual([{ type: 0, nsp: '/' }])
  expect(decode(...encoder.encode({ type: 1, nsp: '/' }))).toEqual([{ type: 1, nsp: '/' }])
})

test('what is not part of the protocol is never encoded', () => {
  const encoder = new Encoder()
  for (const data of [undefined, ['other', Uint8Array.of(1)], ['frame', 'text'], ['frame']]) {
    expect(() => encoder.encode({ type: 2, nsp: '/', data })).toThrow('never sent')
  }
  expect(() => encoder.encode({ type: 4, nsp: '/', data: {} })).toThrow('never sent')
})

test('a message is a plain view over the same memory, from a Buffer or an ArrayBuffer', () => {
  const whole = Buffer.from([9, 1, 2, 9])
  const message = (part: unknown): unknown => {
    const data = decode(header, part)[0]?.data
    return Array.isArray(data) ? data[1] : undefined
  }
  const view = message(whole.subarray(1, 3))
  expect(view).toEqual(Uint8Array.of(1, 2))
  whole[1] = 7
  expect(view).toEqual(Uint8Array.of(7, 2))
  expect(message(Uint8Array.of(3, 4).buffer)).toEqual(Uint8Array.of(3, 4))
})

test('everything else is refused, before and inside a frame', () => {
  const wrong = [
    '',
    '2["frame"]',
    `${header} `,
    '51-["frame",{"num":0,"_placeholder":true}]',
    '0/x,',
    '01',
    '1x',
    '3',
    '4{}',
    '6',
  ]
  for (const text of wrong) {
    expect(() => decode(text), text).toThrow()
    expect(() => decode(header, text), text).toThrow()
  }
  expect(() => decode(header, header)).toThrow()
  expect(() => decode(Uint8Array.of(1))).toThrow('not announced')
  expect(() => decode(header, Uint8Array.of(1), Uint8Array.of(1))).toThrow('not announced')
  expect(() => decode(header, { base64: true })).toThrow('neither')
  expect(() => decode('0', '0')).toThrow()
  expect(() => decode(`0${'{'.repeat(100)}`)).toThrow()
  expect(() => decode(`0{"sid":"${'x'.repeat(2_000)}"}`)).toThrow()
})

test('a message of the limit passes and one byte more does not', () => {
  expect(decode(header, new Uint8Array(limits.frameBytes)).length).toBe(1)
  expect(() => decode(header, new Uint8Array(limits.frameBytes + 1))).toThrow('over the limit')
})

test('a decoder that was destroyed expects no part any more', () => {
  const decoder = new Decoder()
  decoder.add(header)
  decoder.destroy()
  expect(() => decoder.add(Uint8Array.of(1))).toThrow('not announced')
})
