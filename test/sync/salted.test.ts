/** What a session shows of what is held is worth nothing in another: nobody can prepare for it, and nobody can say it again. */
import { expect, test } from 'vitest'
import { toHex } from '../../packages/engine/src/bytes/bytes.ts'
import { start, step } from '../../packages/engine/src/sync/step.ts'
import { grow, hash, Store } from './pair.ts'

const helloUnder = (salt: Uint8Array) => {
  const store = new Store()
  for (let index = 0; index < 5; index++) grow([store], `salted ${index}`, 3)
  const open = { kind: 'open', log: undefined, moved: 0, known: undefined, session: undefined } as const
  const around = { now: 0, random: (length: number) => new Uint8Array(length), hash }
  const [effect] = step(start(true, salt), open, store, around).effects
  if (effect?.kind !== 'send' || effect.message.kind !== 'hello') throw new Error('no hello')
  const { fingerprint, sketch } = effect.message
  if (!(sketch instanceof Uint32Array)) throw new Error('no sums')
  return { fingerprint: toHex(fingerprint), sums: [...sketch] }
}

test('fingerprint and sums of the same commits differ from one session to the next', () => {
  const [one, again, other] = [1, 1, 2].map((byte) => helloUnder(new Uint8Array(16).fill(byte)))
  expect(one).toEqual(again)
  expect(one?.fingerprint).not.toBe(other?.fingerprint)
  for (const [index, sum] of one?.sums.entries() ?? []) expect(sum).not.toBe(other?.sums[index])
})
