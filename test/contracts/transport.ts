/**
 * The contract of the `Transport` and `Channel` ports: what every adapter promises the engine, whatever carries its bytes. Tests wait for
 * what a listener is told; a promise that is not kept shows as a test that runs into its time limit.
 */
import { type Channel, type ChannelListener, limits, WeftError } from '@weft-db/engine'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

/** A dialling and an accepting transport of one adapter, joined in whatever way it needs. */
export interface Pair {
  /** Starts both sides. Every channel is handed over as it comes; the callbacks listen to it at once. */
  start(onDialled: (channel: Channel) => void, onAccepted: (channel: Channel) => void): Promise<void>
  /** One more channel from a peer of its own. */
  another(onDialled: (channel: Channel) => void): void
  /** The accepting side goes away, and later comes back at the same address. */
  leave(): Promise<void>
  comeBack(): Promise<void>
  /** On the channels there are, neither side reads; then both do. */
  hold(): void
  release(): void
  stopDialling(): Promise<void>
  stopAccepting(): Promise<void>
  /** Frees what is left. */
  end(): Promise<void>
}

/** Listens to one channel and remembers what it was told. */
export class Ear implements ChannelListener {
  readonly channel: Channel
  readonly messages: Uint8Array[] = []
  readonly reasons: string[] = []
  /** What `buffered` was at each drain. */
  readonly drains: number[] = []
  onDrain: (() => void) | undefined
  #waiting: (() => void)[] = []

  constructor(channel: Channel) {
    this.channel = channel
    channel.listen(this)
  }

  message(bytes: Uint8Array): void {
    this.messages.push(bytes)
    this.#told()
  }

  drain(): void {
    this.drains.push(this.channel.buffered)
    this.onDrain?.()
    this.#told()
  }

  closed(reason: string): void {
    this.reasons.push(reason)
    this.#told()
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async heard(count: number): Promise<void> {
    await this.until(() => this.messages.length >= count)
  }

  async ended(): Promise<void> {
    await this.until(() => this.reasons.length > 0)
  }

  #told(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }
}

/** Channels in the order they came. */
export class Arrivals {
  readonly ears: Ear[] = []
  #waiting: (() => void)[] = []
  readonly take = (channel: Channel): void => {
    this.ears.push(new Ear(channel))
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  async at(index: number): Promise<Ear> {
    for (;;) {
      const ear = this.ears[index]
      if (ear) return ear
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }
}

/** Mulberry32: the bytes of message `index` follow from it alone. */
const draws = (seed: number) => {
  let state = seed >>> 0
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}

const messageOf = (index: number, length: number): Uint8Array => {
  const draw = draws(index + 1)
  const words = new Uint32Array(Math.ceil(length / 4))
  for (let at = 0; at < words.length; at += 1) words[at] = draw()
  return new Uint8Array(words.buffer, 0, length)
}

const same = (got: Uint8Array | undefined, sent: Uint8Array): boolean =>
  got !== undefined && Buffer.compare(got, sent) === 0

export const transportContract = (name: string, makePair: () => Promise<Pair>): void => {
  describe(`${name}: transport contract`, { timeout: 30_000 }, () => {
    let pair: Pair
    let dialled: Arrivals
    let accepted: Arrivals

    beforeEach(async () => {
      pair = await makePair()
      dialled = new Arrivals()
      accepted = new Arrivals()
      await pair.start(dialled.take, accepted.take)
    })
    afterEach(async () => {
      pair.release()
      await pair.end()
    })

    /** Both ends of the first channel, in either order. */
    const ends = async (): Promise<[dialling: Ear, accepting: Ear]> => [await dialled.at(0), await accepted.at(0)]
    const bothWays = (run: (from: Ear, to: Ear) => Promise<void>) => async () => {
      const [dialling, accepting] = await ends()
      await run(dialling, accepting)
      await run(accepting, dialling)
    }

    test('one side is the initiator, and the other end has a name', async () => {
      const [dialling, accepting] = await ends()
      expect(dialling.channel.initiator).toBe(true)
      expect(accepting.channel.initiator).toBe(false)
      expect(dialling.channel.remote).not.toBe('')
      expect(accepting.channel.remote).not.toBe('')
    })

    test(
      '2,000 messages of mixed sizes up to the largest arrive whole and in order',
      bothWays(async (from, to) => {
        const size = draws(7)
        const sizes = Array.from({ length: 2_000 }, (_, index) =>
          index % 250 === 0 ? limits.frameBytes : index % 10 === 0 ? size() % 65_536 : size() % 300,
        )
        for (const [index, length] of sizes.entries()) from.channel.send(messageOf(index, length))
        await to.heard(sizes.length)
        const wrong = sizes.findIndex((length, index) => !same(to.messages[index], messageOf(index, length)))
        expect(wrong).toBe(-1)
        expect(to.messages.length).toBe(sizes.length)
      }),
    )

    test(
      'bytes arrive exactly: every value, none, and a part of a larger buffer, as plain Uint8Arrays',
      bothWays(async (from, to) => {
        const every = Uint8Array.from({ length: 256 }, (_, index) => index)
        from.channel.send(every)
        from.channel.send(new Uint8Array(0))
        from.channel.send(every.subarray(13, 113))
        await to.heard(3)
        expect(to.messages.map((message) => [...message])).toEqual([[...every], [], [...every.slice(13, 113)]])
        for (const message of to.messages) expect(Object.getPrototypeOf(message)).toBe(Uint8Array.prototype)
      }),
    )

    test(
      'two parts sent as one message arrive as one, among others and in order, and neither part is changed or kept',
      bothWays(async (from, to) => {
        if (from.channel.sendJoined === undefined) return
        const sizes = [0, 1, 124, 125, 126, 4_000, 65_535, 65_536, limits.frameBytes - 9]
        for (const [index, length] of sizes.entries()) {
          const [head, body] = [messageOf(index, 9), messageOf(index + 100, length)]
          from.channel.sendJoined(head, body)
          from.channel.send(messageOf(index, 50))
          expect([same(head, messageOf(index, 9)), same(body, messageOf(index + 100, length))]).toEqual([true, true])
        }
        await to.heard(2 * sizes.length)
        const whole = (index: number, length: number): Uint8Array =>
          new Uint8Array([...messageOf(index, 9), ...messageOf(index + 100, length)])
        const wrong = sizes.findIndex(
          (length, index) =>
            !same(to.messages[2 * index], whole(index, length)) ||
            !same(to.messages[2 * index + 1], messageOf(index, 50)),
        )
        expect(wrong).toBe(-1)
        const tooLong = new Uint8Array(limits.frameBytes)
        expect(() => from.channel.sendJoined?.(new Uint8Array(1), tooLong)).toThrow(
          expect.objectContaining({ code: 'TooLarge' }),
        )
      }),
    )

    test(
      'a message over the limit is refused to the sender and the channel goes on',
      bothWays(async (from, to) => {
        const send = () => from.channel.send(new Uint8Array(limits.frameBytes + 1))
        expect(send).toThrow(WeftError)
        expect(send).toThrow(expect.objectContaining({ code: 'TooLarge' }))
        from.channel.send(Uint8Array.of(1))
        await to.heard(1)
        expect(to.messages.map((message) => message.length)).toEqual([1])
      }),
    )

    for (const closer of ['dialling', 'accepting'] as const) {
      test(`a close by the ${closer} side is told once to either, at once to the one that closes`, async () => {
        const [dialling, accepting] = await ends()
        const [near, far] = closer === 'dialling' ? [dialling, accepting] : [accepting, dialling]
        near.channel.close('enough')
        expect(near.reasons).toEqual(['enough'])
        near.channel.close('again')
        await far.ended()
        far.channel.close('too late')
        await pair.stopDialling()
        await pair.stopAccepting()
        expect(near.reasons).toEqual(['enough'])
        expect(far.reasons.length).toBe(1)
      })

      test(`sending on a channel that the ${closer} side closed does nothing`, async () => {
        const [dialling, accepting] = await ends()
        const [near, far] = closer === 'dialling' ? [dialling, accepting] : [accepting, dialling]
        near.channel.close('enough')
        near.channel.send(new Uint8Array(100_000))
        expect(near.channel.buffered).toBe(0)
        await far.ended()
        far.channel.send(Uint8Array.of(1))
        expect(far.channel.buffered).toBe(0)
        await pair.stopDialling()
        await pair.stopAccepting()
        expect(near.messages).toEqual([])
        expect(far.messages).toEqual([])
      })
    }

    test('when the accepting side goes away and comes back, both get a new channel', async () => {
      const [dialling, accepting] = await ends()
      await pair.leave()
      await Promise.all([dialling.ended(), accepting.ended()])
      await pair.comeBack()
      const [again, there] = [await dialled.at(1), await accepted.at(1)]
      expect(again.channel).not.toBe(dialling.channel)
      again.channel.send(Uint8Array.of(1))
      there.channel.send(Uint8Array.of(2))
      await Promise.all([again.heard(1), there.heard(1)])
      dialling.channel.send(Uint8Array.of(3))
      expect([...(there.messages[0] ?? [])]).toEqual([1])
      expect([...(again.messages[0] ?? [])]).toEqual([2])
      expect(dialling.reasons.length + accepting.reasons.length).toBe(2)
      expect(dialling.messages.length + accepting.messages.length).toBe(0)
    })

    test(
      'while the other end does not read, what it does not take is buffered; one drain is told when it has read',
      bothWays(async (from, to) => {
        const frames = 1_000
        const length = 65_536
        pair.hold()
        for (let index = 0; index < frames; index += 1) from.channel.send(messageOf(index, length))
        const total = frames * length
        // What the network takes before it is full.
        expect(from.channel.buffered).toBeGreaterThanOrEqual(total - 2 * limits.channelHighWater)
        expect(from.channel.buffered).toBeLessThan(total * 1.01)
        const others = new Arrivals()
        const before = accepted.ears.length
        pair.another(others.take)
        const [here, there] = [await others.at(0), await accepted.at(before)]
        here.channel.send(Uint8Array.of(1))
        await there.heard(1)
        expect(from.channel.buffered).toBeGreaterThan(total / 2)
        expect(from.drains).toEqual([])
        const told = from.until(() => from.drains.length > 0)
        pair.release()
        await Promise.all([told, to.heard(frames)])
        expect(from.drains.length).toBe(1)
        expect(from.drains[0]).toBeLessThan(limits.channelLowWater)
        const wrong = to.messages.findIndex((message, index) => !same(message, messageOf(index, length)))
        expect(wrong).toBe(-1)
      }),
    )

    test(
      'a sender that keeps to the marks buffers no more than they allow and gets everything across',
      bothWays(async (from, to) => {
        const frames = 1_000
        const message = messageOf(1, 65_536)
        let sent = 0
        let most = 0
        const fill = (): void => {
          while (sent < frames && from.channel.buffered <= limits.channelHighWater) {
            from.channel.send(message)
            sent += 1
            most = Math.max(most, from.channel.buffered)
          }
        }
        from.onDrain = fill
        fill()
        await to.heard(frames)
        expect(from.drains.length).toBeGreaterThan(0)
        expect(most).toBeGreaterThan(limits.channelHighWater)
        expect(most).toBeLessThan(limits.channelHighWater + 2 * message.length)
      }),
    )

    test('two peers at once each have a channel of their own', async () => {
      const [first, there] = await ends()
      const others = new Arrivals()
      pair.another(others.take)
      const [second, alsoThere] = [await others.at(0), await accepted.at(1)]
      for (let index = 0; index < 50; index += 1) {
        first.channel.send(Uint8Array.of(1, index))
        second.channel.send(Uint8Array.of(2, index))
        there.channel.send(Uint8Array.of(3, index))
        alsoThere.channel.send(Uint8Array.of(4, index))
      }
      const ears = [there, alsoThere, first, second]
      await Promise.all(ears.map((ear) => ear.heard(50)))
      for (const [at, ear] of ears.entries()) {
        expect(ear.messages.map((message) => [...message])).toEqual(
          Array.from({ length: 50 }, (_, index) => [at + 1, index]),
        )
      }
      second.channel.close('enough')
      await alsoThere.ended()
      first.channel.send(Uint8Array.of(9))
      await there.heard(51)
      expect(first.reasons.length + there.reasons.length).toBe(0)
    })

    test('a stopped transport has closed its channels and makes no more', async () => {
      const [dialling, accepting] = await ends()
      await pair.stopDialling()
      expect(dialling.reasons).toEqual(['stopped'])
      await accepting.ended()
      await pair.leave()
      await pair.comeBack()
      const others = new Arrivals()
      pair.another(others.take)
      await others.at(0)
      expect(dialled.ears.length).toBe(1)
    })
  })
}
