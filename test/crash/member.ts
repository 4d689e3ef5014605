/** Somebody with a client over sockets, who tells what nobody expects to see. */
import { anonymous, Database, type Repository } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { Card, path } from './board.ts'

export interface Member {
  readonly database: Database
  readonly repository: Repository
}

export const member = async (port: number, name: string, oddities: string[]): Promise<Member> => {
  const [files, keys] = [memoryFiles(), memoryKeys()]
  const url = `http://127.0.0.1:${port}`
  const database = new Database({
    schemas: [Card],
    runtime: nodeRuntime(),
    storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
    transports: [socketIoTransport({ url, retry: { firstDelay: 10, longestDelay: 100, settled: 100 } })],
  })
  database.onIncident(({ code, message }) => {
    if (code === 'LogForked' || code === 'NumberTwice' || code === 'EvidenceKept' || code === 'Fault')
      oddities.push(`${name}: ${message}`)
  })
  const repository = database.repository(path)
  await database.login(anonymous(name))
  await repository.ready
  return { database, repository }
}

/** Commits that a checkpoint covers, as a replica knows it. */
export const acknowledged = ({ pipeline: { commits, log } }: Repository): Set<string> => {
  const ids = new Set<string>()
  for (let index = 0; index < commits.size; index++) {
    const commit = commits.at(index)
    if (commit !== undefined && commit.seq <= (log.covered.get(commit.chain)?.seq ?? -1)) ids.add(commit.id)
  }
  return ids
}
