/**
 * Wipes a real server that holds so many commits and starts it again with its key and landmarks: clients over sockets bring everything back.
 * Afterwards a client that never was there before clones the repository, and every commit that was acknowledged before has to be in
 * the clone, acknowledged.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Stream } from '../sim/random.ts'
import { Card } from './board.ts'
import { until } from './load.ts'
import { acknowledged, type Member, member } from './member.ts'
import { freePort, ServerProcess } from './process.ts'

export interface Wiped {
  readonly clients: number
  /** Acknowledged before the server was wiped. */
  readonly commits: number
  /** Of these, how many the server lacks or does not acknowledge at the end. */
  readonly lost: number
  /** From the start of the empty server until it acknowledges again, ms; ten seconds of it are the quiet at the end (R2). */
  readonly recovery: number
  /** What was not expected. */
  readonly oddities: readonly string[]
}

const atOnce = 2_000

export const wipeServer = async (clients: number, commits: number, seed: string): Promise<Wiped> => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-wiped-'))
  const store = join(folder, 'store')
  const port = await freePort(new Stream(seed, 'wiped').branch('port'))
  const oddities: string[] = []
  const members: Member[] = []
  let server = new ServerProcess(store, port, 'unlimited')
  try {
    await server.says('ready')
    for (let index = 0; index < clients; index++) members.push(await member(port, `client ${index}`, oddities))
    const each = Math.ceil(commits / clients)
    for (let made = 0; made < each; made += atOnce) {
      for (const { repository } of members)
        for (let count = made; count < Math.min(each, made + atOnce); count++)
          repository.transact(() => void repository.create(Card, { title: `${count}` }))
      await Promise.all(
        members.map(({ database, repository }) => until(database, () => repository.unacknowledged === 0)),
      )
    }
    const all = clients * each
    const holds = ({ repository }: Member): boolean =>
      repository.pipeline.commits.size === all && acknowledged(repository).size === all
    await Promise.all(members.map((member) => until(member.database, () => holds(member))))
    const [first] = members
    if (first === undefined) throw new Error('somebody has to be there')
    const before = acknowledged(first.repository)
    await server.kill()
    // The key and the landmarks are beside it.
    await rm(store, { recursive: true })
    const began = performance.now()
    server = new ServerProcess(store, port, 'unlimited')
    await server.says('ready')
    const isBack = ({ repository }: Member): boolean => (repository.pipeline.position?.epoch ?? 0) > 0
    await Promise.all(members.map((member) => until(member.database, () => isBack(member))))
    const recovery = Math.round(performance.now() - began)
    first.repository.transact(() => void first.repository.create(Card, { title: 'afterwards' }))
    await until(first.database, () => first.repository.unacknowledged === 0)
    for (const { database } of members.splice(0)) await database.close()
    const late = await member(port, 'late', oddities)
    members.push(late)
    await until(
      late.database,
      () => late.repository.pipeline.commits.size > all && acknowledged(late.repository).size > all,
    )
    const after = acknowledged(late.repository)
    const lost = [...before].filter((id) => !after.has(id)).length
    return { clients, commits: before.size, lost, recovery, oddities }
  } finally {
    for (const { database } of members) await database.close()
    await server.kill()
    await rm(folder, { recursive: true, force: true })
  }
}
