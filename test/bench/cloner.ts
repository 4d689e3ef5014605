/** Replicas that fill a repository and clone it, each in a process of its own, and the floor under a clone. */
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anonymous, Database, type Repository } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { nodeFiles } from '@weft-db/storage/node'
import { concatBytes } from '../../packages/engine/src/bytes/bytes.ts'
import { decode } from '../../packages/engine/src/bytes/cbor.ts'
import { Card } from './card.ts'
import { cpuTime } from './measure.ts'
import type { Methods } from './methods.ts'

const path = '/bench/clone'
const runtime = nodeRuntime()
/** Bytes stored at once. */
const pieceBytes = 1_048_576

const until = (database: Database, repository: Repository, holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    if (holds()) return resolve()
    const look = (): void => {
      if (!holds()) return
      for (const stop of stops) stop()
      resolve()
    }
    const stops = [repository.onChange(look), database.onStatus(look)]
  })

const entered = async (port: number, name: string, folder?: string): Promise<Database> => {
  const files = folder === undefined ? memoryFiles() : nodeFiles(folder)
  const database = new Database({
    schemas: [Card],
    runtime,
    storage: async () => ({ files, keys: memoryKeys(), mode: 'node', lasting: true }),
    transports: [socketIoTransport({ url: `http://127.0.0.1:${port}` })],
    captureRate: 1e6,
  })
  await database.opened
  await database.login(anonymous(name))
  return database
}

/** Makes the commits that are to be cloned: by `sessions` replicas, each in one go or each commit by itself. */
const fill = async (port: number, count: number, sessions: number, apart: boolean): Promise<void> => {
  for (let session = 0; session < sessions; session++) {
    const database = await entered(port, `writer ${session}`)
    const repository = database.repository(path)
    await repository.ready
    for (let index = 0; index < count / sessions; index++) {
      const key = `${session}/${index % 10_000}`
      repository.transact(() => void repository.create(Card, { title: 'Item', points: index, done: false }, { key }))
      // What is made in one go has one signature.
      if (apart) await new Promise(setImmediate)
      if (index % 2_000 === 1_999) await until(database, repository, () => repository.unsaved === 0)
    }
    await until(database, repository, () => repository.unacknowledged === 0)
    await database.close()
  }
}

/** In a process of its own, as any client is. */
const cloner = async (): Promise<Methods> => {
  let records: Uint8Array[] = []
  const inFolder = async <Result>(run: (folder: string) => Promise<Result>): Promise<Result> => {
    const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
    try {
      return await run(folder)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return {
    fill,
    clone: (port: number, count: number) =>
      inFolder(async (folder) => {
        const database = await entered(port, 'cloner', folder)
        const [began, spent] = [performance.now(), cpuTime()]
        const repository = database.repository(path)
        await until(database, repository, () => repository.pipeline.commits.size >= count)
        const figures = { seconds: (performance.now() - began) / 1_000, cpu: (cpuTime() - spent) / 1e6 }
        const { commits } = repository.pipeline
        records = Array.from({ length: commits.size }, (_, index) => commits.at(index)?.bytes ?? new Uint8Array(0))
        await database.close()
        return figures
      }),
    floor: () =>
      inFolder(async (folder) => {
        const [began, spent] = [performance.now(), cpuTime()]
        const parts = records.map(partsOf)
        const read = { seconds: (performance.now() - began) / 1_000, cpu: (cpuTime() - spent) / 1e6 }
        const file = openSync(join(folder, 'log'), 'w')
        const [from, used] = [performance.now(), cpuTime()]
        for (const { header, changes } of parts) {
          runtime.hash(header)
          for (const change of changes) runtime.hash(concatBytes(...change.map((part) => runtime.hash(part))))
        }
        for (let at = 0; at < records.length; ) {
          const piece: Uint8Array[] = []
          for (let bytes = 0; bytes < pieceBytes && at < records.length; at++) {
            const record = records[at] ?? new Uint8Array(0)
            piece.push(record)
            bytes += record.length
          }
          writeSync(file, concatBytes(...piece))
          fdatasyncSync(file)
        }
        closeSync(file)
        return { seconds: (performance.now() - from) / 1_000, cpu: (cpuTime() - used) / 1e6, read }
      }),
  }
}

export const cloneRoles = { cloner }

const partsOf = (record: Uint8Array): { readonly header: Uint8Array; readonly changes: readonly Uint8Array[][] } => {
  const plain = decode(record)
  if (!Array.isArray(plain) || !(plain[0] instanceof Uint8Array) || !Array.isArray(plain[2]))
    throw new Error('not a record')
  const isBytes = (part: unknown): part is Uint8Array => part instanceof Uint8Array
  return { header: plain[0], changes: plain[2].map((change) => (Array.isArray(change) ? change.filter(isBytes) : [])) }
}
