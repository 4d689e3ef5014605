/** The page of a client whose server loses its disk: the app's database as a browser gets it. */
import { anonymous, type Database, open, type Repository } from '@weft-db/weft'
import { Card, path } from '../../crash/board.ts'
import { acknowledged, until } from '../../crash/watching.ts'

let database: Database | undefined
const opened = (): { database: Database; repository: Repository } => {
  if (database === undefined) throw new Error('nobody is logged in')
  return { database, repository: database.repository(path) }
}
const incidents: string[] = []

const stand = {
  /** Resolves with where it is stored. */
  start: async (name: string): Promise<string> => {
    database = open({ schemas: [Card], name: 'wiped', mesh: 'off' })
    database.onIncident(({ code, about }) => void incidents.push(`${code} ${about}`))
    await database.login(anonymous(name))
    await opened().repository.ready
    return database.status.storage
  },
  write: async (count: number): Promise<void> => {
    const { database, repository } = opened()
    for (let made = 0; made < count; made++)
      repository.transact(() => void repository.create(Card, { title: `${made}` }))
    await until(database, () => repository.unacknowledged === 0)
  },
  holds: (count: number): Promise<void> => {
    const { database, repository } = opened()
    const { commits } = repository.pipeline
    return until(database, () => commits.size >= count && acknowledged(repository).size >= count)
  },
  isBack: (): Promise<void> => {
    const { database, repository } = opened()
    return until(database, () => (repository.pipeline.position?.epoch ?? 0) > 0)
  },
  acknowledged: (): string[] => [...acknowledged(opened().repository)],
  incidents: (): readonly string[] => incidents,
}
declare global {
  var wiped: typeof stand
}
globalThis.wiped = stand
