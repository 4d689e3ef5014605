/**
 * Wipes a real server that holds so many commits and starts it again with its key and landmarks: clients over sockets bring everything back.
 * Afterwards a client that never was there before clones the repository, and every commit that was acknowledged before has to be in
 * the clone, acknowledged.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anonymous, Database, type Repository } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { Stream } from '../sim/random.ts'
import { Card, path } from './board.ts'
import { until } from './load.ts'
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

interface Member {
  readonly database: Database
  readonly repository: Repository
}

const member = async (port: number, name: string, oddities: string[]): Promise<Member> => {
  const [files, keys] = [memoryFiles(), memoryKeys()]
  const url = `http://127.0.0.1:${port}`
  const database = new Database({
    schemas: [Card],
    runtime: nodeRuntime(),
    storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
    transports: [socketIoTransport({ url, retry: { firstDelay: 10, longestDelay: 100, settled: 100 } })],
  })
  database.onIncident(({ code, message }) => {
    if (code === 'LogForked' || code === 'NumberTwice' || code === 'Fault') oddities.push(`${name}: ${message}`)
  })
  const repository = database.repository(path)
  await database.login(anonymous(name))
  await repository.ready
  return { database, repository }
}

const acknowledged = ({ pipeline: { commits, log } }: Repository): Set<string> => {
  const ids = new Set<string>()
  for (let index = 0; index < commits.size; index++) {
    const commit = commits.at(index)
    if (commit !== undefined && commit.seq <= (log.covered.get(commit.chain)?.seq ?? -1)) ids.add(commit.id)
  }
  return ids
}

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
