/** Somebody with a client, in this process or in a browser, who tells what nobody expects to see. */
import { anonymous, Database, type Repository } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { Card, path } from './board.ts'
import { acknowledged, until } from './watching.ts'

/** What a test asks of a client, wherever it runs. */
export interface Member {
  /** Writes so many commits. Resolves when the server has acknowledged them. */
  write(count: number): Promise<void>
  /** Resolves when so many commits are here and acknowledged. */
  holds(count: number): Promise<void>
  /** Resolves when the server's log stands in another epoch than the first, as far as is known here. */
  isBack(): Promise<void>
  /** Commits that a checkpoint covers. */
  acknowledged(): Promise<ReadonlySet<string>>
  close(): Promise<void>
}

/** One of them joins the server on that port. */
export type Join = (port: number, name: string, oddities: string[]) => Promise<Member>

const odd = new Set(['LogForked', 'NumberTwice', 'EvidenceKept', 'Fault'])

export class NodeMember implements Member {
  readonly database: Database
  readonly repository: Repository

  private constructor(database: Database) {
    this.database = database
    this.repository = database.repository(path)
  }

  static async join(port: number, name: string, oddities: string[]): Promise<NodeMember> {
    const [files, keys] = [memoryFiles(), memoryKeys()]
    const url = `http://127.0.0.1:${port}`
    const database = new Database({
      schemas: [Card],
      runtime: nodeRuntime(),
      storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
      transports: [socketIoTransport({ url, retry: { firstDelay: 10, longestDelay: 100, settled: 100 } })],
    })
    database.onIncident(({ code, message }) => {
      if (odd.has(code)) oddities.push(`${name}: ${message}`)
    })
    const member = new NodeMember(database)
    await database.login(anonymous(name))
    await member.repository.ready
    return member
  }

  async write(count: number): Promise<void> {
    for (let made = 0; made < count; made++)
      this.repository.transact(() => void this.repository.create(Card, { title: `${made}` }))
    await until(this.database, () => this.repository.unacknowledged === 0)
  }

  holds(count: number): Promise<void> {
    const { pipeline } = this.repository
    return until(this.database, () => pipeline.commits.size >= count && acknowledged(this.repository).size >= count)
  }

  isBack(): Promise<void> {
    return until(this.database, () => (this.repository.pipeline.position?.epoch ?? 0) > 0)
  }

  async acknowledged(): Promise<ReadonlySet<string>> {
    return acknowledged(this.repository)
  }

  close(): Promise<void> {
    return this.database.close()
  }
}
