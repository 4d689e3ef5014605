import { describe, expect, test } from 'vitest'
import { epoch } from './clock.ts'
import { Device, type DeviceOptions } from './device.ts'
import * as ecdsa from './ecdsa.ts'
import { soundNode } from './plan.ts'
import { stream } from './random.ts'
import { Signatures } from './signatures.ts'
import { World } from './world.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

const deviceOf = (seed: string, options: Partial<DeviceOptions> = {}, mode: 'real' | 'fast' = 'fast') => {
  const world = new World(seed)
  const signatures = new Signatures(mode, world.stream('signatures'))
  return {
    world,
    signatures,
    device: new Device(world, 'ada', signatures, { ...soundNode('ada', 'browser'), ...options }),
  }
}

describe('deterministic ECDSA', () => {
  // RFC 6979, A.2.5.
  const secret = Buffer.from('c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721', 'hex')
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  test.each([
    [
      'sample',
      'efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716',
      'f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8',
    ],
    [
      'test',
      'f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367',
      '019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083',
    ],
  ])('signs %j as the RFC does, with a low s', (message, r, s) => {
    const second = BigInt(`0x${s}`)
    const low = second > order / 2n ? order - second : second
    expect(hex(ecdsa.sign(secret, Buffer.from(message)))).toBe(r + low.toString(16).padStart(64, '0'))
  })
})

describe.each(['real', 'fast'] as const)('signatures in %s mode', (mode) => {
  const draws = stream(`signatures ${mode}`, 'test')
  const signatures = new Signatures(mode, draws.branch('secret'))

  test('are a function of key and message and fit nothing else', async () => {
    const [key, other] = [signatures.generate(draws), signatures.generate(draws)]
    const message = draws.bytes(100)
    const signature = await key.sign(message)
    expect(signature.length).toBe(64)
    expect(await key.sign(message)).toEqual(signature)
    expect(signatures.verify(key.publicKey, message, signature)).toBe(true)
    expect(signatures.verify(other.publicKey, message, signature)).toBe(false)
    for (let trial = 0; trial < 20; trial++) {
      const [wrong, text] = [signature.slice(), message.slice()]
      const [place, bit] = [draws.int(64), 1 << draws.int(8)]
      wrong[place] = (wrong[place] ?? 0) ^ bit
      text[place] = (text[place] ?? 0) ^ bit
      expect(signatures.verify(key.publicKey, message, wrong)).toBe(false)
      expect(signatures.verify(key.publicKey, text, signature)).toBe(false)
    }
    expect(signatures.verify(key.publicKey, message, signature.slice(1))).toBe(false)
    expect(signatures.verify(key.publicKey.slice(1), message, signature)).toBe(false)
    expect(signatures.verify(new Uint8Array(65), message, signature)).toBe(false)
  })
})

test('keys are the same in both modes, and fast signatures of another world are worth nothing', async () => {
  const [real, fast, elsewhere] = [
    new Signatures('real', stream('1', 'secret')),
    new Signatures('fast', stream('1', 'secret')),
    new Signatures('fast', stream('2', 'secret')),
  ]
  const [key, same] = [real.generate(stream('1', 'keys')), fast.generate(stream('1', 'keys'))]
  expect(same.publicKey).toEqual(key.publicKey)
  const message = Buffer.from('message')
  const forged = await elsewhere.generate(stream('1', 'keys')).sign(message)
  expect(fast.verify(key.publicKey, message, forged)).toBe(false)
  expect(fast.verify(key.publicKey, message, await same.sign(message))).toBe(true)
})

describe('the runtime of a device', () => {
  test('timers keep to its clock, never early', async () => {
    const { world, device } = deviceOf('timer', { clock: { drift: 1.1, offset: 5000 }, lateness: 2 })
    const { runtime } = device.boot()
    const waited: number[] = []
    for (let index = 0; index < 200; index++) {
      const start = runtime.elapsed()
      runtime.timer(110, () => waited.push(runtime.elapsed() - start))
    }
    runtime.timer(1, () => expect.unreachable())()
    expect(runtime.now()).toBe(epoch + 5000)
    await world.run(1000)
    expect(runtime.now()).toBe(epoch + 6100)
    expect(waited.length).toBe(200)
    expect(Math.min(...waited)).toBeGreaterThanOrEqual(110)
    expect(Math.min(...waited)).toBeLessThan(111)
    expect(Math.max(...waited)).toBeGreaterThan(112)
  })

  test('jumps move the wall clock alone; a new drift starts where the old one stopped', async () => {
    const { world, device } = deviceOf('jump')
    const { runtime } = device.boot()
    await world.run(1000)
    device.clock.jump(-86_400_000)
    expect(runtime.now()).toBe(epoch + 1000 - 86_400_000)
    expect(runtime.elapsed()).toBe(1000)
    device.clock.setDrift(0.5)
    expect(runtime.elapsed()).toBe(1000)
    await world.run(2000)
    expect(runtime.elapsed()).toBe(1500)
  })

  test('randomness goes on over a restart and is the same for the same seed', () => {
    const drawn = (seed: string): string[] => {
      const { device } = deviceOf(seed)
      const first = hex(device.boot().runtime.random(16))
      device.crash()
      return [first, hex(device.boot().runtime.random(16))]
    }
    const [first, second] = drawn('random')
    expect(first).not.toBe(second)
    expect(drawn('random')).toEqual([first, second])
  })

  test('a stored key signs again after a restart, also where signing takes time', async () => {
    const { world, device } = deviceOf('keys', { cryptoDelay: 3 })
    let publicKey: Uint8Array | undefined
    const first = device.boot()
    void (async () => {
      const key = await first.runtime.generateKey()
      await first.keys.save('session', key)
      publicKey = key.publicKey
    })()
    await world.run(100)
    device.crash()
    const second = device.boot()
    const results: unknown[] = []
    const message = Buffer.from('message')
    void (async () => {
      const key = await second.keys.load('session')
      if (key === undefined) return
      results.push(key.publicKey, await second.runtime.verify(key.publicKey, message, await key.sign(message)))
      await second.keys.remove('session')
      results.push(await second.keys.load('session'))
    })()
    await world.run(200)
    expect(results).toEqual([publicKey, true, undefined])
  })

  test('a killed process hears nothing of its signatures and timers', async () => {
    const { world, device } = deviceOf('killed', { cryptoDelay: 3 })
    const { runtime } = device.boot()
    void runtime.generateKey().then(() => expect.unreachable())
    runtime.timer(10, () => expect.unreachable())
    device.crash()
    await world.run(1000)
    expect(device.on).toBe(false)
  })
})
