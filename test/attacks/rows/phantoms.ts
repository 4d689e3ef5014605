/**
 * Row E6: whoever has the authority's key makes a session in the name of a real person, and the server says nothing of it. It shows the
 * session to somebody else, by a channel or by a commit; then two honest replicas meet, and the person has to see it.
 */
import { isRefusal, proveFork } from '@weft-db/engine'
import { Accounts } from '../../road/accounts.ts'
import { board } from '../../road/lab.ts'
import { memoryPair } from '../../sim/memory-transport.ts'
import { stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'
import { commitOf } from '../target.ts'

/** `trials` phantoms, half of them with a number that the account has already. */
export const phantoms: Row = async ({ trials, seed }) => {
  let [violations, twice, written] = [0, 0, 0]
  const through = new Set<string>()
  const fail = (what: string): void => {
    violations++
    through.add(what)
  }
  for (let trial = 0; trial < trials; trial++) {
    const draws = stream(seed, `phantoms ${trial}`)
    const town = await Accounts.open(`${seed} phantoms ${trial}`)
    const { lab } = town
    const [phantom, friends] = [memoryPair(), memoryPair()]
    // The witness is another device of the same person, or somebody else.
    const isSame = draws.chance(0.5)
    const ada = await town.enter('ada', 'ada', [friends.a])
    const witness = await town.enter('witness', isSame ? 'ada' : 'bob', [friends.b, phantom.b])
    for (let more = draws.int(3); more > 0; more--) await town.enter(`device ${more}`, 'ada')
    for (const { database } of [ada, witness]) database.repository(board)
    await lab.run(1_000)
    const own = ada.database.sessions
    if (own.length === 0) throw new Error('nobody is logged in')
    for (const line of town.lines.values()) line.disconnect()
    const isTwice = draws.chance(0.5)
    const number = isTwice ? draws.pick(own).number : own.length + 1 + draws.int(3)
    const speaker = await town.pose({ number })
    const { session } = speaker.certificate
    if (draws.chance(0.5)) await town.speak(speaker, phantom)
    else {
      written++
      const { pipeline } = witness.database.repository(board)
      const commit = await commitOf(witness.database, { ...speaker, session }, draws, { path: board })
      await pipeline.receive({}, { certificates: [speaker.certificate.bytes], commits: [commit.bytes], entries: [] })
    }
    if (draws.chance(0.3)) await lab.run(draws.int(100_000))
    friends.connect()
    await lab.run(5_000)
    for (const replica of isSame ? [ada, witness] : [ada])
      if (!replica.database.sessions.some((one) => one.session === session)) fail('a session that nobody sees')
    if (isTwice) {
      twice++
      const [kept] = await ada.database.evidence()
      const proved = kept && (await proveFork(kept.bytes, lab.runtime(`judge ${trial}`)))
      if (proved === undefined || isRefusal(proved) || proved.fork.kind !== 'certificate') fail('no evidence')
    } else if ((await ada.database.evidence()).length > 0) fail('evidence of nothing')
    await town.close(ada)
    const again = await lab.start('ada')
    if (!again.database.sessions.some((one) => one.session === session)) fail('it was forgotten')
    for (const replica of [again, witness, town.authority]) await town.close(replica)
  }
  mustHold(twice > 0 && twice < trials && written > 0, 'all phantoms are alike', violations)
  return { trials, violations, twice, written, through: [...through].join('; ') }
}
