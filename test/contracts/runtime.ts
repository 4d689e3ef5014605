/**
 * What every implementation of the `Runtime` port promises. It imports nothing of a platform, so that the same suite runs in Node and in a
 * browser. `others` are the implementations whose signatures must be understood, and theirs by them.
 */
import type { Runtime } from '@weft-db/engine'
import { describe, expect, test } from 'vitest'
import { deflate, inflate } from '../../packages/engine/src/bytes/deflate.ts'

type Make = () => Runtime | Promise<Runtime>

const bytesOf = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0))
const fromHex = (hex: string): Uint8Array =>
  Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
const toHex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x${toHex(bytes)}`)
const toBytes = (number: bigint): Uint8Array => fromHex(number.toString(16).padStart(64, '0'))

const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const prime = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn

const withS = (signature: Uint8Array, s: bigint): Uint8Array =>
  new Uint8Array([...signature.subarray(0, 32), ...toBytes(s)])
const withR = (signature: Uint8Array, r: bigint): Uint8Array =>
  new Uint8Array([...toBytes(r), ...signature.subarray(32)])
const sOf = (signature: Uint8Array): bigint => toNumber(signature.subarray(32))

/** FIPS 180-4 examples, and lengths around the ends of a block. */
const hashes: [string, string][] = [
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  ['a'.repeat(1_000_000), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
]

/** RFC 6979, A.2.5: P-256 with SHA-256 and the message "sample"; s there is above n / 2. */
const sample = {
  publicKey: fromHex(
    '0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb67903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299',
  ),
  r: 0xefd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716n,
  s: 0xf7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8n,
}

export const runtimeContract = (name: string, make: Make, others: Record<string, Make> = {}): void => {
  describe(`runtime: ${name}`, () => {
    test('hash is SHA-256 in a plain array of its own', async () => {
      const runtime = await make()
      for (const [text, hash] of hashes) expect(toHex(runtime.hash(bytesOf(text)))).toBe(hash)
      const part = bytesOf('xabcx').subarray(1, 4)
      expect(toHex(runtime.hash(part))).toBe(hashes[1]?.[1])
      expect(Object.getPrototypeOf(runtime.hash(part))).toBe(Uint8Array.prototype)
    })

    test('what it inflates is what the engine inflates, to the byte, and it takes nothing else', async () => {
      const { inflate: inflated = inflate } = await make()
      const words = ['item', 'title', 'a', 'owner-17', '\u0000\u0001', 'ä']
      let state = 7
      const next = (below: number): number => {
        state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
        return (state >>> 8) % below
      }
      let [taken, refused] = [0, 0]
      for (const length of [0, 1, 40, 900, 3_000]) {
        const text = Array.from({ length }, () => words[next(words.length)]).join('')
        const bytes = new TextEncoder().encode(text)
        const stream = deflate(bytes, bytes.length + 64) ?? new Uint8Array(0)
        expect(toHex(inflated(stream, bytes.length) ?? stream)).toBe(toHex(bytes))
        for (const size of [0, bytes.length - 1, bytes.length + 1, 2 * bytes.length + 9])
          if (size >= 0 && size !== bytes.length) expect(inflated(stream, size)).toBe(undefined)
        expect(inflated(stream.subarray(0, -1), bytes.length)).toBe(undefined)
        expect(inflated(new Uint8Array([...stream, 0]), bytes.length)).toBe(undefined)
        for (let round = 0; round < 200; round++) {
          const damaged = stream.slice()
          const at = next(damaged.length)
          damaged[at] = (damaged[at] ?? 0) ^ (1 << next(8))
          const expected = inflate(damaged, bytes.length)
          const met = inflated(damaged, bytes.length)
          expect(met && toHex(met)).toBe(expected && toHex(expected))
          if (expected === undefined) refused++
          else taken++
        }
      }
      expect(taken).toBeGreaterThan(50)
      expect(refused).toBeGreaterThan(300)
    })

    test('random gives the length asked for, never the same twice', async () => {
      const runtime = await make()
      for (const length of [0, 1, 12, 65_536, 65_537, 200_000]) expect(runtime.random(length)).toHaveLength(length)
      expect(Object.getPrototypeOf(runtime.random(8))).toBe(Uint8Array.prototype)
      const drawn = new Set(Array.from({ length: 1_000 }, () => toHex(runtime.random(8))))
      expect(drawn.size).toBe(1_000)
      const tail = runtime.random(200_000).subarray(190_000)
      expect(tail.some((byte) => byte !== 0)).toBe(true)
    })

    test('what random gave once is in nothing that it gives later, and belongs to whoever asked', async () => {
      const runtime = await make()
      const windows = new Set<string>()
      let expected = 0
      for (let round = 0; round < 400; round++) {
        const bytes = runtime.random([12, 96, 8, 1_000, 24, 1_024, 16][round % 7] ?? 8)
        const hex = toHex(bytes)
        for (let at = 0; at + 8 <= bytes.length; at++, expected++) windows.add(hex.slice(2 * at, 2 * at + 16))
        bytes.fill(0)
      }
      expect(windows.size).toBe(expected)
    })

    test('the wall clock is in ms since 1970 and the monotonic one does not go back', async () => {
      const runtime = await make()
      expect(runtime.now()).toBeGreaterThan(Date.UTC(2024, 0, 1))
      expect(runtime.now()).toBeLessThan(Date.UTC(2100, 0, 1))
      let before = runtime.elapsed()
      for (let round = 0; round < 1_000; round++) {
        const now = runtime.elapsed()
        expect(now).toBeGreaterThanOrEqual(before)
        before = now
      }
    })

    test('a timer runs once, not before its time, and not when it was cancelled', async () => {
      const runtime = await make()
      const runs: string[] = []
      const cancel = runtime.timer(1, () => runs.push('cancelled'))
      // Longer than the platform's timers can count: they would run it at once.
      const cancelFar = runtime.timer(2 ** 40, () => runs.push('far'))
      runtime.timer(2, () => runs.push('first'))
      cancel()
      cancel()
      const start = runtime.elapsed()
      await new Promise<void>((resolve) => runtime.timer(20, resolve))
      expect(runtime.elapsed() - start).toBeGreaterThanOrEqual(20)
      expect(runs).toEqual(['first'])
      cancelFar()
    })

    test('a timer of no time still lets the caller finish first', async () => {
      const runtime = await make()
      const steps: string[] = []
      const ran = new Promise<void>((resolve) => {
        runtime.timer(-1, () => {
          steps.push('timer')
          resolve()
        })
      })
      steps.push('caller')
      await ran
      expect(steps).toEqual(['caller', 'timer'])
    })

    test('every key is another one, an uncompressed point', async () => {
      const runtime = await make()
      const [one, two] = [await runtime.generateKey(), await runtime.generateKey()]
      expect(one.publicKey).toHaveLength(65)
      expect(one.publicKey[0]).toBe(4)
      expect(toHex(one.publicKey)).not.toBe(toHex(two.publicKey))
    })

    test('signatures have 64 bytes, are low-S, and verify for their message and key alone', async () => {
      const runtime = await make()
      const [key, other] = [await runtime.generateKey(), await runtime.generateKey()]
      for (let round = 0; round < 20; round++) {
        const message = runtime.hash(bytesOf(`message ${round}`))
        const signature = await key.sign(message)
        expect(signature).toHaveLength(64)
        expect(sOf(signature) <= order / 2n).toBe(true)
        expect(await runtime.verify(key.publicKey, message, signature)).toBe(true)
        expect(await runtime.verify(other.publicKey, message, signature)).toBe(false)
        expect(await runtime.verify(key.publicKey, bytesOf('another'), signature)).toBe(false)
      }
    })

    test('messages of any length are signed, also views into a larger array', async () => {
      const runtime = await make()
      const key = await runtime.generateKey()
      for (const length of [0, 1, 31, 32, 64, 262_144]) {
        const message = new Uint8Array(length + 2).fill(7).subarray(1, length + 1)
        const signature = await key.sign(message)
        expect(await runtime.verify(key.publicKey, new Uint8Array(message), signature)).toBe(true)
        expect(await runtime.verify(key.publicKey, new Uint8Array(length + 1).fill(7), signature)).toBe(false)
      }
    })

    test('a known signature verifies in its low form alone', async () => {
      const runtime = await make()
      const high = new Uint8Array([...toBytes(sample.r), ...toBytes(sample.s)])
      const low = withS(high, order - sample.s)
      expect(await runtime.verify(sample.publicKey, bytesOf('sample'), low)).toBe(true)
      expect(await runtime.verify(sample.publicKey, bytesOf('sample'), high)).toBe(false)
      expect(await runtime.verify(sample.publicKey, bytesOf('Sample'), low)).toBe(false)
    })

    test('high s, r or s of zero or out of range, wrong lengths: false, never a throw', async () => {
      const runtime = await make()
      const key = await runtime.generateKey()
      const message = bytesOf('message')
      const good = await key.sign(message)
      const bad: Record<string, Uint8Array> = {
        'high s': withS(good, order - sOf(good)),
        'half the order and one': withS(good, order / 2n + 1n),
        'half the order': withS(good, order / 2n),
        's of zero': withS(good, 0n),
        's of n': withS(good, order),
        'r of zero': withR(good, 0n),
        'r of n': withR(good, order),
        'r and n': withR(good, (toNumber(good.subarray(0, 32)) + order) % 2n ** 256n),
        'r of all ones': withR(good, 2n ** 256n - 1n),
        zeros: new Uint8Array(64),
        ones: new Uint8Array(64).fill(255),
        empty: new Uint8Array(0),
        short: good.subarray(0, 63),
        long: new Uint8Array([...good, 0]),
        DER: fromHex('3006020101020101'),
      }
      for (const [what, signature] of Object.entries(bad)) {
        expect(await runtime.verify(key.publicKey, message, signature), what).toBe(false)
      }
      for (let bit = 0; bit < 512; bit++) {
        const signature = new Uint8Array(good)
        signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expect(await runtime.verify(key.publicKey, message, signature), `bit ${bit}`).toBe(false)
      }
      expect(await runtime.verify(key.publicKey, message, good)).toBe(true)
    })

    test('public keys that are no point in the uncompressed form: false, never a throw', async () => {
      const runtime = await make()
      const key = await runtime.generateKey()
      const message = bytesOf('message')
      const good = await key.sign(message)
      const x = key.publicKey.subarray(1, 33)
      const y = key.publicKey.subarray(33)
      const sign = (y[31] ?? 0) & 1
      const bad: Record<string, Uint8Array> = {
        empty: new Uint8Array(0),
        short: key.publicKey.subarray(0, 64),
        long: new Uint8Array([...key.publicKey, 0]),
        compressed: new Uint8Array([2 + sign, ...x]),
        hybrid: new Uint8Array([6 + sign, ...x, ...y]),
        infinity: new Uint8Array(65),
        origin: new Uint8Array([4, ...new Uint8Array(64)]),
        'off the curve': new Uint8Array([4, ...x, ...y.with(31, (y[31] ?? 0) ^ 1)]),
        'coordinates exchanged': new Uint8Array([4, ...y, ...x]),
        'x not below the prime': new Uint8Array([4, ...toBytes(prime), ...y]),
        'the point mirrored': new Uint8Array([4, ...x, ...toBytes(prime - toNumber(y))]),
        ones: new Uint8Array(65).fill(255),
      }
      for (const [what, publicKey] of Object.entries(bad)) {
        expect(await runtime.verify(publicKey, message, good), what).toBe(false)
        // Asked twice: a key that was refused must not have been kept.
        expect(await runtime.verify(publicKey, message, good), what).toBe(false)
      }
    })

    for (const [other, makeOther] of Object.entries(others)) {
      test(`signatures verify at ${other}, and those of ${other} here`, async () => {
        const [here, there] = [await make(), await makeOther()]
        for (const [signer, verifier] of [
          [here, there],
          [there, here],
        ] as const) {
          const key = await signer.generateKey()
          for (let round = 0; round < 8; round++) {
            const message = signer.hash(bytesOf(`${round}`))
            const signature = await key.sign(message)
            expect(await verifier.verify(key.publicKey, message, signature)).toBe(true)
            const high = withS(signature, order - sOf(signature))
            expect(await verifier.verify(key.publicKey, message, high)).toBe(false)
          }
        }
      })
    }
  })
}
