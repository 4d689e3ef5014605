import { limits } from '@weft-db/engine'
import { expect, test } from 'vitest'
import { inFrames } from '../../packages/engine/src/sync/answer.ts'
import { itemsPerMessage } from '../../packages/engine/src/sync/message.ts'
import { chainOf, commitAfter, Store } from './pair.ts'

/** A store of one chain, in runs of so many commits. */
class RunStore extends Store {
  readonly runLength: number

  constructor(runLength: number, count: number, size: number) {
    super()
    this.runLength = runLength
    let last: ReturnType<typeof commitAfter> | undefined
    for (let at = 0; at < count; at++) {
      last = commitAfter(chainOf(`runs of ${runLength}, ${size}`), last, [], '', size)
      this.admit([last])
    }
  }

  override vouchers = (id: string): readonly string[] => {
    const at = this.arrivalIndex(id)
    return this.order.slice(at + 1, at - (at % this.runLength) + this.runLength)
  }
}

test('A10: messages are cut where a signature is held, by number and by size', () => {
  for (const [runLength, size] of [
    [64, 300],
    [7, 300],
    [10, 50_000],
    [1, 300],
  ] as const) {
    const store = new RunStore(runLength, 6_400, size)
    const messages = inFrames(store.order, store)
    expect(messages.flat()).toEqual(store.order)
    expect(messages.length).toBeGreaterThan(1)
    for (const ids of messages) {
      expect(store.vouchers(ids.at(-1) ?? '')).toEqual([])
      expect(ids.length).toBeLessThanOrEqual(itemsPerMessage)
      expect(ids.length * size).toBeLessThan(limits.frameBytes)
    }
  }
})

test('A10: a commit goes with what vouches for it, and everything once', () => {
  const store = new RunStore(10, 100, 300)
  const picked = [13, 17, 42, 59].flatMap((at) => store.order[at] ?? [])
  const sent = inFrames(picked, store).flat()
  expect(sent.map((id) => store.arrivalIndex(id))).toEqual([
    13, 14, 15, 16, 17, 18, 19, 42, 43, 44, 45, 46, 47, 48, 49, 59,
  ])
})
