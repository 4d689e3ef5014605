/** A Weft replica alone: logged in once, then out of reach of any server, so that what is measured is its own work. */
import { anonymous, Database, type Files, type Repository, type Schema } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { memoryFiles } from '@weft-db/storage/memory'
import { memoryPair } from '../sim/memory-transport.ts'

export const alonePath = '/bench/alone'
export const unhurried = { burst: 1e12, perSecond: 1e12 }

export interface Alone {
  readonly database: Database
  readonly repository: Repository
  /** Captures what is edited and resolves when all of it is in the log. */
  store(): Promise<void>
}

export const openAlone = async (schemas: readonly Schema[], files: Files, captureRate?: number): Promise<Alone> => {
  const runtime = nodeRuntime()
  const pair = memoryPair()
  const authority = new Database({
    schemas,
    runtime,
    storage: async () => ({ files: memoryFiles(), keys: memoryKeys(), mode: 'memory', lasting: true }),
    transports: [pair.b],
    authority: await runtime.generateKey(),
    logins: [anonymous()],
  })
  await authority.opened
  const database = new Database({
    schemas,
    runtime,
    storage: async () => ({ files, keys: memoryKeys(), mode: 'node', lasting: true }),
    transports: [pair.a],
    ...(captureRate !== undefined && { captureRate }),
  })
  await database.opened
  const login = database.login(anonymous('bench'))
  pair.connect()
  await login
  await authority.close()
  const repository = database.repository(alonePath)
  await repository.ready
  return { database, repository, store: () => store(database, repository) }
}

const store = (database: Database, repository: Repository): Promise<void> => {
  repository.flush()
  if (repository.unsaved === 0) return Promise.resolve()
  return new Promise((resolve) => {
    const stop = database.onStatus(() => {
      if (repository.unsaved > 0) return
      stop()
      resolve()
    })
  })
}
