import { describe, expect, test } from 'vitest'
import { naiveText } from '../../packages/engine/src/merge/naive.ts'
import { stream } from '../sim/random.ts'
import { Player, readmit, withHistory } from './generate.ts'

const seeds = Array.from({ length: 25 }, (_, seed) => String(seed + 1))
const headsOf = (parents: readonly (readonly number[])[]): number[] => {
  const built = new Set(parents.flat())
  return parents.map((_, event) => event).filter((event) => !built.has(event))
}

describe('a generated history', () => {
  test.each(seeds)('reads the same on every replica, whatever the order, as the oracle says (seed %s)', { timeout: 60_000 }, (seed) =>
    withHistory(seed, 45, async (made, town) => {
      const whole = made.history(made.entries.length)
      const heads = headsOf(made.commits.map((_, event) => whole.parents(event)))
      const expected = naiveText(whole, heads)
      for (const { text, version, entries } of made.seen) {
        expect(text, `an author of seed ${seed}`).toBe(naiveText(made.history(entries), version.map((id) => made.indexOf(id))))
      }
      for (let reader = 0; reader < 3; reader++) {
        const player = new Player((await town.leave(`reader ${reader}`)).replica)
        await readmit(made, player, stream(seed, `order ${reader}`))
        expect(player.repository.pipeline.commits.size).toBe(made.commits.length)
        expect(player.text, `reader ${reader} of seed ${seed}`).toBe(expected)
      }
    }),
  )
})
