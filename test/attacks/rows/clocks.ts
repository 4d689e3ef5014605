/** Row B7: clocks of the future, of the past and of no time at all. */
import { fromHex } from '../../../packages/engine/src/bytes/bytes.ts'
import type { Plain } from '../../../packages/engine/src/bytes/cbor.ts'
import { limits } from '../../../packages/engine/src/bytes/limits.ts'
import type { Commit } from '../../../packages/engine/src/commit/commit.ts'
import { rewritten } from '../rewrite.ts'
import { mustHold, type Row } from '../row.ts'
import { Card, Target } from '../target.ts'

const minute = 60_000
const day = 1_440 * minute
const year = 365 * day

const ahead = [-year, -day, -minute, 0, minute, 4 * minute, 6 * minute, 60 * minute, day, year, 99 * year]
const noClocks: readonly Plain[] = [-1, -(2 ** 40), 0.5, 2 ** 53, 2 ** 60, 1e300, '1', null, true, []]

const isShown = (replica: Target, commit: Commit): boolean => {
  const item = replica.repository().item(Card, commit.changes[0]?.key ?? '')
  return item !== null && item !== undefined
}

/** B7: `trials` commits with clocks of any time, at two replicas whose devices are up to a day wrong. */
export const clocks: Row = async ({ trials, seed }) => {
  const founder = await Target.open(seed, { signatures: 'fast' })
  const replicas = [
    await Target.open(`${seed} slow`, { of: founder }),
    await Target.open(`${seed} fast`, { of: founder }),
  ]
  const { draws } = founder
  let [violations, held, done] = [0, 0, 0]
  const now = founder.time
  for (const replica of replicas) replica.time = now + draws.int(2 * day) - day
  try {
    const person = await founder.person()
    const made: { readonly commit: Commit; readonly time: number }[] = []
    for (const replica of replicas) await replica.offer([], [person.certificate])
    for (; done < trials; done++) {
      const time = now + draws.pick(ahead) + draws.int(minute)
      const commit = await founder.commit(person, { header: { clock: time * 256 } })
      made.push({ commit, time })
      for (const replica of replicas) {
        await replica.offer([commit])
        const isAhead = time > replica.time + limits.clockAhead
        if (isAhead) held++
        // Nothing is refused for its clock, and nothing counts before its time.
        if (!replica.has(commit) || isShown(replica, commit) === isAhead) violations++
      }
    }
    for (const clock of noClocks) {
      const right = await founder.commit(person)
      done++
      let bytes: Uint8Array
      try {
        bytes = (await rewritten(right, person, { header: (fields) => fields.with(7, clock) })).bytes
      } catch {
        // There is no encoding of it.
        continue
      }
      for (const replica of replicas) {
        const before = replica.held()
        await replica.offer([bytes])
        if (replica.held() > before) violations++
      }
    }
    for (const back of [0, 1, 256, day * 256]) {
      const first = await founder.commit(person, { header: { clock: now * 256 } })
      const [chained, child] = [
        await founder.commit(person, { after: first, header: { clock: first.clock - back } }),
        await rewritten(
          await founder.commit(person, {
            draft: { key: first.changes[0]?.key ?? '' },
            header: { clock: first.clock - back },
          }),
          person,
          { identity: (fields) => fields.with(1, [fromHex(first.id)]) },
        ),
      ]
      done += 2
      for (const replica of replicas) {
        await replica.offer([first])
        const before = replica.held()
        await replica.offer([chained, child.bytes])
        if (replica.held() > before) violations++
      }
    }
    // Time goes on, everywhere: nothing is held for ever.
    for (const replica of replicas) {
      replica.time = now + 200 * year
      replica.repository().reconsider()
    }
    for (const { commit } of made) for (const replica of replicas) if (!isShown(replica, commit)) violations++
    const [one, other] = replicas.map((replica) =>
      JSON.stringify((replica.repository().query(Card).current ?? []).map((card) => JSON.stringify(card)).sort()),
    )
    if (one !== other) violations++
    mustHold(held > 0, 'nothing was ahead of its time', violations)
  } finally {
    for (const target of [...replicas, founder]) await target.close()
  }
  return { trials: done, violations, held }
}
