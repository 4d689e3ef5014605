import { describe, expect, test } from 'vitest'
import { naiveText } from '../../packages/engine/src/merge/naive.ts'
import type { TextHistory } from '../../packages/engine/src/merge/text-history.ts'
import { stream } from '../sim/random.ts'
import { type Made, Player, readmit, withHistory } from './generate.ts'

const seeds = Array.from({ length: 25 }, (_, seed) => String(seed + 1))
const steps = 60

const wholeOf = (made: Made): { history: TextHistory; events: number[]; heads: number[] } => {
  const history = made.history(made.entries.length)
  const events = [...made.commits.keys()]
  const built = new Set(events.flatMap((event) => history.parents(event)))
  return { history, events, heads: events.filter((event) => !built.has(event)) }
}

describe('a generated history', () => {
  test.each(seeds)(
    'reads the same on every replica, whatever the order, as the oracle says (seed %s)',
    { timeout: 60_000 },
    (seed) =>
      withHistory(seed, steps, async (made, town) => {
        const { history, heads } = wholeOf(made)
        const expected = naiveText(history, heads)
        for (const { text, version, entries } of made.seen) {
          const known = naiveText(
            made.history(entries),
            version.map((id) => made.indexOf(id)),
          )
          expect(text, `an author of seed ${seed}`).toBe(known)
        }
        for (let reader = 0; reader < 3; reader++) {
          const player = new Player((await town.leave(`reader ${reader}`)).replica)
          await readmit(made, player, stream(seed, `order ${reader}`))
          expect(player.repository.pipeline.commits.size).toBe(made.commits.length)
          expect(player.text, `reader ${reader} of seed ${seed}`).toBe(expected)
        }
      }),
  )

  test('holds what recorded traces lack', { timeout: 60_000 }, async () => {
    const found = {
      deadAndBuiltOn: 0,
      seenAsDead: 0,
      unseenAsDead: 0,
      merges: 0,
      insertsAtOnePlace: 0,
      removalsAroundInserts: 0,
    }
    for (const seed of seeds.slice(0, 10)) {
      await withHistory(seed, steps, async (made) => {
        const { history, events } = wholeOf(made)
        for (const event of events) {
          if (history.parents(event).length > 1) found.merges++
          for (const parent of history.parents(event).filter((one) => history.dead(one))) {
            found.deadAndBuiltOn++
            if (history.deadTo(parent, event)) found.seenAsDead++
            else found.unseenAsDead++
          }
          // Two events over the same parents are concurrent and count positions in the same text.
          const twins = events.filter(
            (other) => other > event && history.parents(other).join() === history.parents(event).join(),
          )
          const [mine] = history.splices(event)
          for (const [theirs] of twins.map((twin) => history.splices(twin))) {
            if (mine === undefined || theirs === undefined) continue
            if (mine.insert !== '' && theirs.insert !== '' && mine.at === theirs.at) found.insertsAtOnePlace++
            const around = (outer: typeof mine, inner: typeof mine): boolean =>
              inner.insert !== '' && outer.at < inner.at && inner.at < outer.at + outer.remove
            if (around(mine, theirs) || around(theirs, mine)) found.removalsAroundInserts++
          }
        }
      })
    }
    for (const [what, count] of Object.entries(found)) expect(count, what).toBeGreaterThan(0)
  })

  test('is a function of its seed', { timeout: 60_000 }, async () => {
    const ids: string[][] = []
    for (const seed of ['7', '7', '8'])
      await withHistory(seed, steps, async ({ commits }) => void ids.push(commits.map(({ id }) => id)))
    expect(ids[1]).toEqual(ids[0])
    expect(ids[2]).not.toEqual(ids[0])
  })
})
