/**
 * Row F7: a server that lost its disk, or got an older one back, and clients that bring it less than they hold, or say that they hold more. Of
 * some nobody knows how far the logs went: then somebody has to give up what is missing, at the worst moment or at a better one.
 */
import { type Item, keyOf } from '@weft-db/engine'
import type { Position } from '../../../packages/engine/src/commit/commit.ts'
import { Card, type Lab, outcomeOf, type Replica } from '../../road/lab.ts'
import { acknowledgedBy, boardOf, ownerOf, rules, Town } from '../../road/town.ts'
import type { Disk } from '../../sim/files.ts'
import { stream } from '../../sim/random.ts'
import { mustHold, type Row } from '../row.ts'

const shownBy = (replica: Replica): string =>
  JSON.stringify(
    (boardOf(replica).query(Card).current ?? [])
      .map((card: Item<typeof Card>) => `${keyOf(card)} ${JSON.stringify(card)}`)
      .sort(),
  )

const isBefore = (one: Position | null, other: Position | null): boolean =>
  other !== null && (one === null || one.epoch < other.epoch || (one.epoch === other.epoch && one.n < other.n))

const wait = async (lab: Lab, asked: Promise<unknown>): Promise<void> => {
  const outcome = outcomeOf(asked)
  await lab.until(() => outcome.current !== 'pending')
  if (outcome.current !== 'resolved') throw new Error(`it was refused: ${outcome.current}`)
}

/**
 * `trials` schedules: the owner of a board, a friend, and up to three who conspire. They leave before the owner ends the access of one of them;
 * then the server dies, and what it stored is gone or old. The conspirators come back first, with what they have and with false claims, and
 * the honest come later, or not at all. In a third of them the landmarks are gone, or as old as the folder that was restored.
 */
export const restorers: Row = async ({ trials, seed }) => {
  let [violations, stayed, epochs, late] = [0, 0, 0, 0]
  const through = new Set<string>()
  const fail = (what: string): void => {
    violations++
    through.add(what)
  }
  for (let trial = 0; trial < trials; trial++) {
    const draws = stream(seed, `restorers ${trial}`)
    const town = new Town(`${seed} restorers ${trial}`)
    const { lab } = town
    let server = await town.start()
    const owner = await lab.join('owner', { rules })
    boardOf(owner).create(Card, { title: 'first' })
    await lab.until(() => boardOf(owner).unacknowledged === 0)
    const friend = await lab.join('friend', { rules })
    const hostile: Replica[] = []
    for (let count = 1 + draws.int(3); hostile.length < count; )
      hostile.push(await lab.join(`mallory ${hostile.length}`, { rules }))
    for (const member of [friend, ...hostile]) {
      boardOf(member)
      await town.grant(owner, member, 'editor')
    }
    await lab.run(2_000)
    let edits = 0
    const work = async (who: Replica, times: number): Promise<void> => {
      for (let edit = 0; edit < times; edit++) {
        boardOf(who).create(Card, { title: `${who.name} ${edits}` }, { key: `${who.name} ${edits++}` })
        await lab.run(draws.int(900))
      }
    }
    for (const who of [owner, friend, ...hostile]) await work(who, 1 + draws.int(2))
    await lab.run(1_000)
    let backup: Disk | undefined
    const drawn = draws.pick(['gone', 'old'] as const)
    // A small sample has each of them.
    const landmarks = trial % 3 !== 2 ? 'there' : trial >= 12 ? drawn : trial % 2 === 0 ? 'gone' : 'old'
    const made = lab.runtime('clock').now()
    const old = lab.device('landmarks').disk.clone()
    if (landmarks !== 'there' || draws.chance(0.4)) {
      backup = town.backup()
      await lab.run(12_000)
    }
    for (const { name } of hostile) lab.disconnect(name)
    const [mallory] = hostile
    if (mallory === undefined) throw new Error('nobody conspires')
    // In the repository's log, or in the network's.
    const ofAll = landmarks === 'there' ? trial % 3 === 1 : draws.chance(0.5) || trial === 8
    if (ofAll) await wait(lab, server.database.revoke({ owner: ownerOf(mallory) }))
    else await town.grant(owner, mallory, null)
    if (draws.chance(0.5)) await lab.run(12_000)
    // Who leaves here holds the end of the access, and not what comes now: it may be beyond the landmark.
    if (draws.chance(0.5)) lab.disconnect('friend')
    await work(owner, 1 + draws.int(4))
    await lab.run(draws.chance(0.5) ? 300 : 12_000)
    const acked = [...acknowledgedBy(owner)]
    const highest = boardOf(owner).pipeline.position
    // The power fails, and what was stored is gone.
    if (backup === undefined) town.burn()
    else await town.restore(backup, landmarks === 'old' ? made : undefined)
    if (landmarks === 'gone') lab.device('landmarks').wipe()
    if (landmarks === 'old') lab.device('landmarks').disk.restore(old)
    // What honest people write meanwhile.
    await work(owner, draws.int(2))
    server = await town.start()
    for (const one of hostile) {
      const { pipeline } = boardOf(one)
      // A claim that nothing follows.
      if (draws.chance(0.3))
        Object.defineProperty(pipeline, 'position', {
          get: () => ({ epoch: 0, n: 5_000, hash: '5'.repeat(64) }),
          configurable: true,
        })
      lab.connect(one.name)
      await lab.run(draws.int(3_000))
      await work(one, 1)
    }
    await lab.run(30_000)
    const seen = new Set(hostile.flatMap((one) => [...acknowledgedBy(one)]))
    const isBack = server.database.recovering.length === 0
    const repository = boardOf(server)
    const roleOf = (one: Replica): string | undefined =>
      repository.pipeline.log.roleAt(ownerOf(one), repository.pipeline.log.next - 1)
    const isOut = (): boolean =>
      ofAll
        ? server.database.root.revokedAt({ session: '', owner: ownerOf(mallory) }) !== undefined
        : roleOf(mallory) === undefined
    if (landmarks !== 'there' && isBack) fail('the server is back though nobody knows what is missing')
    // What ended it for all of the network is beside the key.
    if ((isBack || (ofAll && landmarks === 'there')) && !isOut()) fail('the server is back before the end of an access')
    if (!isBack) stayed++
    const held = boardOf(mallory).pipeline.commits
    const owned = acked.filter((id) => boardOf(owner).pipeline.commits.get(id)?.session === owner.database.session?.id)
    const before = new Set(owned.filter((id) => held.has(id)))
    const returns = draws.chance(0.85) || trial === 8
    const isEarly = landmarks !== 'there' && (draws.chance(0.5) || trial === 8)
    if (isEarly) {
      await wait(lab, server.database.acceptLoss())
      await lab.run(draws.int(20_000))
    }
    for (const name of ['friend', ...(returns ? ['owner'] : [])]) {
      lab.connect(name)
      await lab.run(draws.int(20_000))
    }
    await lab.run(60_000)
    if (landmarks !== 'there' && !isEarly) {
      await wait(lab, server.database.acceptLoss())
      await lab.run(60_000)
    }
    const honest = [...(returns ? [owner] : []), friend, server]
    if (returns) {
      late++
      const { pipeline } = repository
      if (server.database.recovering.length > 0) fail('the server is not back though everything was brought')
      else if (isBefore(pipeline.position, highest)) fail('the server is behind the highest checkpoint')
      // What took it for this board alone was given up, if nobody had brought it.
      if (!isOut() && (ofAll || !isEarly)) fail('who was put out is back')
      const covered = acknowledgedBy(server)
      const due = isEarly ? owned : acked
      if (due.some((id) => !covered.has(id))) fail('an acknowledged commit is lost')
      if (boardOf(owner).unacknowledged > 0) fail('what was written meanwhile is not acknowledged')
      if (new Set(honest.map(shownBy)).size !== 1) fail('replicas part')
      const epoch = pipeline.position?.epoch ?? 0
      if (epoch === 0) fail('the log goes on in the epoch of which nobody knows the end')
      epochs++
    } else if (landmarks === 'there' && server.database.recovering.length === 0 && !isOut())
      fail('the server is back before the end of an access')
    for (const id of landmarks === 'there' || (returns && !isEarly) ? owned : [])
      if (!before.has(id) && held.has(id)) fail('somebody who was put out was shown what came after')
    for (const { incidents } of [owner, friend, server])
      if (incidents.some(({ code }) => code === 'LogForked' || code === 'NumberTwice' || code === 'EvidenceKept'))
        fail('the server forked its log')
    if (seen.size === 0) fail('the conspirators hold nothing')
    for (const { database } of [...hostile, friend, owner, server]) {
      const closing = database.close()
      await lab.run(50)
      await closing
    }
  }
  mustHold(late > 0, 'nobody honest came back', violations)
  return { trials, violations, stayed, epochs, through: [...through].sort().join(', ') }
}
