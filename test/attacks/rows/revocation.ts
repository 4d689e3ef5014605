/** Rows B6, B8 and B9: work of somebody whose access ended, chains that go on in two ways, and logs that somebody keeps back. */

import type { Files } from '@weft-db/engine'
import {
  create,
  type Database,
  diagnose,
  grant,
  type Item,
  keyOf,
  limits,
  read,
  type SigningKey,
  write,
} from '@weft-db/engine'
import { memoryKeys } from '@weft-db/runtime/node'
import { memoryFiles } from '@weft-db/storage/memory'
import type { Commit } from '../../../packages/engine/src/commit/commit.ts'
import { Accounts } from '../../road/accounts.ts'
import { board, Card, Lab, type Replica } from '../../road/lab.ts'
import { memoryPair } from '../../sim/memory-transport.ts'
import { stream } from '../../sim/random.ts'
import { Chronicle } from '../chronicle.ts'
import { mustHold, type Row } from '../row.ts'
import { commitOf, type Person, Target } from '../target.ts'

const rules = [
  read('/board/:id', ({ session }) => session !== undefined),
  create('/board/:id', () => 'owner'),
  write('/board/:id', ({ role }) => role !== undefined),
  grant('/board/:id', ({ role }) => role === 'owner'),
]

const boardOf = (database: Database) => database.repository(board)

const shownBy = ({ database }: Replica): string =>
  JSON.stringify(
    (boardOf(database).query(Card).current ?? [])
      .map((card: Item<typeof Card>) => `${keyOf(card)} ${JSON.stringify(card)}`)
      .sort(),
  )

const commitsOf = ({ database }: Replica): Commit[] => {
  const { commits } = boardOf(database).pipeline
  return Array.from({ length: commits.size }, (_, index) => commits.at(index)).filter((one) => one !== undefined)
}

const give = async (from: Replica, commits: readonly Commit[], to: Replica): Promise<void> => {
  const certificates = [...new Set(commits.map(({ session }) => session))].flatMap(
    (session) => from.database.certificates.get(session)?.bytes ?? [],
  )
  await boardOf(to.database).pipeline.receive(
    {},
    {
      certificates,
      commits: commits.map(({ bytes }) => bytes),
      entries: [],
    },
  )
}

const closed = async (lab: Lab, replicas: readonly Replica[]): Promise<void> => {
  for (const { database } of replicas) {
    const closing = database.close()
    await lab.run(50)
    await closing
  }
}

const ownerOf = (replica: Replica): string => {
  const owner = replica.database.certificates.get(replica.database.session?.id ?? '')?.owner
  if (owner === undefined) throw new Error(`${replica.name} has no certificate`)
  return owner
}

const waits = async (lab: Lab, done: Promise<unknown>): Promise<void> => {
  let over = false
  done.then(
    () => {
      over = true
    },
    () => {
      over = true
    },
  )
  await lab.until(() => over)
  await done
}

/** B6: `trials` schedules in which somebody's access ends while they work, offline or not, and a friend hands on what they wrote. */
export const backdating: Row = async ({ trials, seed }) => {
  let [violations, late] = [0, 0]
  const through = new Set<string>()
  const fail = (what: string): void => {
    violations++
    through.add(what)
  }
  for (let trial = 0; trial < trials; trial++) {
    const draws = stream(seed, `backdating ${trial}`)
    const lab = new Lab(`${seed} backdating ${trial}`)
    const authority = await lab.authority({ rules })
    const owner = await lab.join('owner', { rules })
    boardOf(owner.database).create(Card, { title: 'first' })
    await lab.run(2_000)
    const [ada, friend] = [await lab.join('ada', { rules }), await lab.join('friend', { rules })]
    const honest = [authority, owner, friend]
    for (const { database } of [...honest, ada]) boardOf(database)
    const asked = boardOf(owner.database)
    for (const member of [ada, friend]) await waits(lab, asked.grant(ownerOf(member), 'editor'))
    await lab.run(2_000)
    let made = 0
    const work = async (who: Replica, times: number): Promise<void> => {
      for (let edit = 0; edit < times; edit++) {
        const shared = boardOf(who.database).query(Card).where({ title: 'first' }).current?.[0]
        if (shared !== undefined && draws.chance(0.3)) shared.notes.insert(0, `${who.name} ${made}`)
        boardOf(who.database).create(Card, { title: `${who.name} ${made++}` }, { key: `${who.name} ${made}` })
        await lab.run(draws.int(900))
      }
    }
    await work(ada, 1 + draws.int(3))
    if (draws.chance(0.7)) lab.disconnect('ada')
    await work(ada, 1 + draws.int(4))
    if (draws.chance(0.3)) lab.disconnect('friend')
    // What the authority holds before the end counts; what it lacks after the end does not; between them either may be.
    const before = new Set(commitsOf(authority).map(({ id }) => id))
    const ends = draws.chance(0.5)
      ? authority.database.revoke({ owner: ownerOf(ada) }, 'test')
      : asked.grant(ownerOf(ada), null)
    await waits(lab, ends)
    await lab.run(1_000)
    const after = new Set(commitsOf(authority).map(({ id }) => id))
    await work(ada, 1 + draws.int(4))
    await work(owner, 1)
    const own = commitsOf(ada).filter(({ session }) => session === ada.database.session?.id)
    for (const to of draws.shuffle(honest)) await give(ada, own, to)
    await lab.run(draws.int(3_000))
    for (const name of ['ada', 'friend']) lab.connect(name)
    await lab.run(30_000)
    for (const to of honest) await give(ada, own, to)
    await lab.run(10_000)
    const values = honest.map(shownBy)
    if (new Set(values).size !== 1) fail('replicas part')
    for (const commit of own) {
      const is = commit.changes.flatMap(({ key }) => (key.startsWith('ada ') ? [values[0]?.includes(`"${key} {`)] : []))
      if (!after.has(commit.id)) {
        late++
        if (is.includes(true)) fail('late work counts')
      } else if (before.has(commit.id) && is.includes(false)) fail('work that was there in time does not count')
    }
    await closed(lab, [ada, friend, owner, authority])
  }
  mustHold(late > 0, 'nothing came late', violations)
  return { trials, violations, late, through: [...through].join('; ') }
}

const copied = async (files: Files): Promise<Files> => {
  const copy = memoryFiles()
  for (const name of await files.list()) {
    const [from, to] = [await files.open(name, false), await copy.open(name, true)]
    if (from === undefined || to === undefined) continue
    await to.write(0, await from.read(0, await from.size()))
    await Promise.all([from.close(), to.close()])
  }
  return copy
}

/** B8: `trials` chains that a copied key takes on in up to `most` ways, each told to other replicas; and backups put back. */
export const equivocation: Row = async ({ trials, seed }) => {
  let [violations, forks, backups] = [0, 0, 0]
  const through = new Set<string>()
  const fail = (what: string): void => {
    violations++
    through.add(what)
  }
  for (let trial = 0; trial < trials; trial++) {
    const draws = stream(seed, `equivocation ${trial}`)
    const lab = new Lab(`${seed} equivocation ${trial}`)
    const authority = await lab.authority()
    const [thief, bob, carol] = [await lab.join('thief'), await lab.join('bob'), await lab.join('carol')]
    const honest = [authority, bob, carol]
    for (const { database } of [...honest, thief]) boardOf(database)
    await lab.run(1_000)
    const session = thief.database.session?.id ?? ''
    const certificate = thief.database.certificates.get(session)
    const key = [...lab.device('thief').keys.values()][0]
    if (certificate === undefined || key === undefined) throw new Error('the thief has no key')
    const person: Person = { key, certificate, session }
    const first = await commitOf(bob.database, person, draws, { path: board })
    await give(thief, [first], draws.pick(honest))
    await lab.run(1_000)
    const count = draws.chance(0.1) ? 40 : 2 + draws.int(4)
    const branches: Commit[][] = []
    for (let branch = 0; branch < count; branch++) {
      const chain: Commit[] = []
      for (let step = 0; step < 1 + draws.int(3); step++)
        chain.push(
          await commitOf(bob.database, person, draws, {
            path: board,
            after: chain.at(-1) ?? first,
            draft: { operations: [{ kind: 'assign', field: 'title', value: `branch ${branch} ${step}` }] },
          }),
        )
      branches.push(chain)
    }
    if (draws.chance(0.5)) lab.disconnect('bob')
    for (const chain of branches) await give(thief, chain, draws.pick(honest))
    // Both reach one honest replica, whichever it is.
    const [one = [], other = []] = branches
    const witness = draws.pick(honest)
    await give(thief, one, witness)
    await give(thief, other, witness)
    await lab.run(500)
    lab.connect('bob')
    await lab.run(60_000)
    forks++
    if (!honest.some(({ incidents }) => incidents.some(({ code }) => code === 'ChainForked'))) fail('no evidence')
    if (new Set(honest.map(shownBy)).size !== 1) fail('replicas part')
    await closed(lab, [thief, bob, carol, authority])
  }
  for (let trial = 0; trial < trials; trial++) {
    const lab = new Lab(`${seed} backup ${trial}`)
    const draws = stream(seed, `backup ${trial}`)
    const authority = await lab.authority()
    const files = memoryFiles()
    const store = new Map<string, SigningKey>()
    const keys = {
      ...memoryKeys(),
      load: async (name: string) => store.get(name),
      save: async (name: string, saved: SigningKey) => void store.set(name, saved),
    }
    const on = (held: Files) => ({ storage: async () => ({ files: held, keys, mode: 'memory', lasting: true }) })
    const dora = await lab.join('dora', on(files))
    const work = async (who: Replica): Promise<void> => {
      for (let edit = 0; edit < 1 + draws.int(3); edit++) {
        boardOf(who.database).create(Card, { title: `${trial} ${edit}` })
        await lab.run(draws.int(800))
      }
      await lab.run(1_000)
    }
    await work(dora)
    const backup = await copied(files)
    await work(dora)
    const goesOn = draws.chance(0.5)
    if (!goesOn) await closed(lab, [dora])
    const line = lab.line()
    const restored = await lab.start('restored', { ...on(backup), transports: [line.a] })
    boardOf(restored.database)
    if (draws.chance(0.5)) line.connect()
    await work(restored)
    if (goesOn) await work(dora)
    line.connect()
    await lab.run(10_000)
    backups++
    const replicas = [authority, restored, ...(goesOn ? [dora] : [])]
    for (const { incidents } of replicas)
      if (incidents.some(({ code }) => code === 'ChainForked')) fail('a backup forks')
    if (new Set(replicas.map(shownBy)).size !== 1) fail('a backup parts')
    await closed(lab, [...(goesOn ? [dora] : []), restored, authority])
  }
  return { trials: forks + backups, violations, forks, backups, through: [...through].join('; ') }
}

/**
 * Somebody without the server, whose one neighbour keeps the entries back that come after some moment: they have to see it within twice the
 * limit, and no more once an honest neighbour is there, who may come at once. Gives how often that went wrong.
 */
const outOfDate = async (seed: string): Promise<number> => {
  let wrong = 0
  const draws = stream(seed, 'out of date')
  const town = await Accounts.open(`${seed} out of date`)
  const { lab, lines } = town
  const [toHostile, toHonest] = [memoryPair(), memoryPair()]
  const ada = await town.enter('ada', 'ada', [toHostile.a, toHonest.a])
  const hostile = await town.enter('hostile', 'eve', [toHostile.b])
  const honest = await town.enter('honest', 'bob', [toHonest.b])
  const worker = await town.enter('worker', 'carol')
  for (const { database } of [ada, hostile, honest, worker]) boardOf(database)
  /** Somebody works at the server all the time, so that there is news in every minute. */
  const work = async (ms: number, until = (): boolean => false): Promise<number> => {
    let past = 0
    for (; past < ms && !until(); past += 30_000) {
      boardOf(worker.database).create(Card, { title: `${past}` })
      await lab.run(30_000)
    }
    return past
  }
  const isStale = (): boolean => ada.database.status.authStale !== undefined
  await work(60_000)
  toHostile.connect()
  lines.get('ada')?.disconnect()
  // For a while it hands on what comes; who hands on is heard, however long.
  await work(draws.int(4) * limits.authorityStale)
  if (isStale()) wrong++
  const hasFriend = draws.chance(0.3)
  if (hasFriend) toHonest.connect()
  lines.get('hostile')?.disconnect()
  const took = await work(2 * limits.authorityStale, isStale)
  if (isStale() === hasFriend) wrong++
  if (!hasFriend && took < limits.authorityStale / 2) wrong++
  if (!hasFriend) toHonest.connect()
  await lab.run(5_000)
  if (isStale() || diagnose(ada.database.status) !== undefined) wrong++
  for (const replica of [ada, hostile, honest, worker, town.authority]) await town.close(replica)
  return wrong
}

/**
 * B9: `trials` histories whose last entries somebody keeps back: what cites them waits, and when they come everything is as with those who
 * had them at once. Nothing is lost by a certificate that is kept back either. Beside every fifth a replica among others finds out
 * that no news comes: `outOfDate`.
 */
export const withheld: Row = async ({ trials, seed }) => {
  let [violations, waited] = [0, 0]
  const founder = await Target.open(seed, { signatures: 'fast', rules })
  const { draws } = founder
  for (let trial = 0; trial < trials; trial++) {
    const path = `/board/withheld-${trial}`
    const log = new Chronicle(founder, path)
    const [owner, ada] = [await founder.person(), await founder.person()]
    await log.give(owner.certificate.owner, 'owner', { founding: true })
    const commits: Commit[] = []
    for (let step = 0; step < 5; step++) {
      const isTaken = draws.chance(0.4)
      await log.give(ada.certificate.owner, isTaken ? null : 'editor', { fences: isTaken })
      const { position: root } = founder.database.root
      if (root === null) throw new Error('no network')
      for (const who of [ada, owner])
        commits.push(await founder.commit(who, { path, header: { policy: { root, authority: log.position } } }))
      const last = commits.at(-1)
      if (last !== undefined && draws.chance(0.3)) await log.cover(last)
    }
    const entries = log.log.entries.map(({ bytes }) => bytes)
    const certificates = [owner.certificate, ada.certificate]
    const open = async (name: string): Promise<Target> => {
      const replica = await Target.open(`${seed} ${trial} ${name}`, { of: founder, rules })
      await replica.repository(path).ready
      return replica
    }
    const [informed, deceived] = [await open('informed'), await open('deceived')]
    const shown = (replica: Target): string =>
      JSON.stringify(
        (replica.repository(path).query(Card).current ?? []).map((card: Item<typeof Card>) => keyOf(card)).sort(),
      )
    await informed.offer([], certificates, { entries, path })
    await informed.offer(commits, [], { path })
    const kept = draws.int(entries.length)
    await deceived.offer([], certificates, { entries: entries.slice(0, kept), path })
    await deceived.offer(draws.shuffle(commits), [], { path })
    for (const commit of commits) {
      if ((commit.policy.authority?.n ?? -1) < kept) continue
      waited++
      if (deceived.repository(path).item(Card, commit.changes[0]?.key ?? '')) violations++
    }
    await deceived.offer([], [], { entries: entries.slice(kept), path })
    if (shown(informed) !== shown(deceived)) violations++
    mustHold(shown(informed) !== '[]', 'nothing counts', violations)
    await informed.close()
    await deceived.close()
  }
  await founder.close()
  mustHold(waited > 0, 'nothing waited', violations)
  for (let trial = 0; trial < Math.ceil(trials / 5); trial++) violations += await outOfDate(`${seed} ${trial}`)
  return { trials, violations, waited }
}
