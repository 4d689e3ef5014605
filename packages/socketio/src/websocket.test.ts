import { expect, test } from 'vitest'
import { frameHeader } from './packet.ts'
import { websocketFrames } from './websocket.ts'

interface Frame {
  readonly first: number
  readonly payload: Uint8Array
}

/** Reads frames as RFC 6455, section 5.2, has them: whole and unmasked. */
const framesIn = (bytes: Uint8Array): Frame[] => {
  const frames: Frame[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < bytes.length; ) {
    const [first, short] = [view.getUint8(at), view.getUint8(at + 1)]
    const length = short < 126 ? short : short === 126 ? view.getUint16(at + 2) : Number(view.getBigUint64(at + 2))
    const from = at + (short < 126 ? 2 : short === 126 ? 4 : 10)
    frames.push({ first, payload: bytes.subarray(from, from + length) })
    at = from + length
  }
  return frames
}

for (const length of [0, 1, 125, 126, 16_384, 16_385, 65_535, 65_536, 1_048_576])
  test(`a message of ${length} bytes is announced and follows in one frame`, () => {
    const message = Uint8Array.from({ length }, (_, index) => index % 251)
    const [announced, sent, ...more] = framesIn(Buffer.concat(websocketFrames(message)))
    expect(announced?.first).toBe(0x81)
    expect(new TextDecoder().decode(announced?.payload)).toBe(`4${frameHeader}`)
    expect(sent?.first).toBe(0x82)
    expect(Buffer.compare(sent?.payload ?? new Uint8Array(1), message)).toBe(0)
    expect(more).toEqual([])
  })

for (const length of [1, 200, 16_384, 16_385])
  test(`a message of ${length} bytes that comes in two is written as one`, () => {
    const message = Uint8Array.from({ length }, (_, index) => index % 251)
    const [head, body] = [message.subarray(0, length >> 1), message.subarray(length >> 1)]
    expect(Buffer.concat(websocketFrames(head, body))).toEqual(Buffer.concat(websocketFrames(message)))
  })
