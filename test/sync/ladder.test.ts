/** The rungs above the filters: sums, vector, cursor, clone; what each says, what it costs, and that nothing is ever left unequal. */
import { describe, expect, test } from 'vitest'
import { equalBytes } from '../../packages/engine/src/bytes/bytes.ts'
import { chainOf, commitAfter, divergent, grow, Pair, randomFrom, Store, talk, universe } from './pair.ts'

const golden = (pair: Pair, name: string) =>
  expect(`${pair.lines.join('\n')}\n`).toMatchFileSnapshot(`../trace/${name}.txt`)

/** Two stores with so many shared chains, the first of which moved on one side or the other. */
const strangers = (chains: number, moved: number, each = 5, length = 10): [Store, Store] => {
  const [a, b] = [new Store(), new Store()]
  const last = Array.from({ length: chains }, (_, index) => grow([a, b], `chain ${index}`, length))
  for (let index = 0; index < moved; index++) grow([index % 2 === 0 ? a : b], '', each, last[index])
  return [a, b]
}

describe('golden conversations', () => {
  test('[S2] equal', async () => {
    const [a, b] = strangers(3, 0)
    const pair = talk(a, b, 1, false)
    await golden(pair, 'equal')
    expect(pair.phases).toBe('level,level')
  })

  test('[S10] sums in the hello', async () => {
    const pair = talk(...strangers(20, 4), 1, false)
    expect(pair.equal).toBe(true)
    await golden(pair, 'sums')
  })

  test('[S10] chains that only one side knows', async () => {
    const [a, b] = strangers(5, 1)
    grow([a], 'of the leader', 3)
    grow([b], 'of the follower', 4)
    const pair = talk(a, b, 1, false)
    expect(pair.equal).toBe(true)
    await golden(pair, 'unknown-chains')
  })

  test('[S11] more sums', async () => {
    const pair = talk(...strangers(400, 25), 1, false)
    expect(pair.equal).toBe(true)
    await golden(pair, 'more-sums')
  })

  test('[S11] the vector', async () => {
    const pair = talk(...strangers(60, 50), 1, false)
    expect(pair.equal).toBe(true)
    await golden(pair, 'vector')
  })

  test('[S12] a cursor', async () => {
    const [a, b] = strangers(5, 2)
    const first = talk(a, b, 1, false)
    expect(first.known).toBeDefined()
    grow([a], 'later of the leader', 2)
    grow([b], 'later of the follower', 3)
    const pair = new Pair(a, b, 2, false)
    pair.known = first.known
    pair.open()
    pair.run(false)
    expect(pair.equal).toBe(true)
    await golden(pair, 'cursor')
  })

  test('[S12] a cursor into a log that was rolled back', async () => {
    const [a, b] = strangers(5, 2)
    const first = talk(a, b, 1, false)
    const restored = new Store()
    const ids = b.order.slice(0, b.order.length - 7)
    for (const id of ids) restored.admit([universe.get(id)!])
    grow([restored], 'since', 9)
    const pair = new Pair(a, restored, 2, false)
    pair.known = first.known
    pair.open()
    pair.run(false)
    expect(pair.equal).toBe(true)
    await golden(pair, 'cursor-rolled-back')
  })

  test('[S11] a fork is left to a filter', async () => {
    const [a, b] = strangers(4, 0)
    const chain = chainOf('chain 1')
    const [tip] = a.headsOf(chain)
    const before = universe.get(tip?.id ?? '')
    a.admit([commitAfter(chain, before, [], 'one')])
    b.admit([commitAfter(chain, before, [], 'other')])
    const pair = talk(a, b, 1, false)
    expect(pair.equal).toBe(true)
    await golden(pair, 'fork')
  })

  test('[S3] clone', async () => {
    const [a] = strangers(3, 0)
    const pair = talk(new Store(), a, 1, false)
    expect(pair.equal).toBe(true)
    await golden(pair, 'clone')
  })
})

describe('convergence', () => {
  test('any two stores end equal, whatever the interleaving', () => {
    for (let seed = 1; seed <= 300; seed++) {
      const pair = new Pair(...divergent(seed), seed, false)
      pair.moved = seed % 3 === 0 ? 2 : 1_000
      pair.open()
      pair.run()
      expect(pair.equal, `seed ${seed}\n${pair.lines.slice(-60).join('\n')}`).toBe(true)
      expect(pair.phases, `seed ${seed}`).toBe('level,level')
      expect(pair.filters / 2, `seed ${seed}`).toBeLessThanOrEqual(3)
      expect(pair.sides.flatMap(({ offences }) => offences)).toEqual([])
    }
  }, 60_000)

  test('stores that meet again and again with cursors end equal each time', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const [a, b] = divergent(seed)
      const random = randomFrom(seed)
      let known: Pair['known']
      for (let meeting = 0; meeting < 5; meeting++) {
        const pair = new Pair(a, b, seed + meeting, false)
        pair.known = known
        pair.open()
        // Lost somewhere in the middle, now and then.
        if (random() < 0.3) for (let i = Math.floor(random() * 30); i > 0; i--) pair.once(true)
        else {
          pair.run()
          expect(equalBytes(a.fingerprint(), b.fingerprint()), `seed ${seed}`).toBe(true)
        }
        known = pair.known ?? known
        for (const [at, store] of [a, b].entries())
          for (let count = Math.floor(random() * 8); count > 0; count--)
            grow([store], `${seed} ${meeting} ${at} ${count}`, 3)
      }
    }
  }, 60_000)
})
