/**
 * Takes logs from a running server, as any device does: by the session of the store that lacks something of them, over a channel on which both
 * sides prove who they are, each commit and entry verified before it is written. What comes is written to a folder of its own, and is as good
 * as another store of the network for whoever repairs one.
 */
import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { type AuditReport, Database, type Repository, StorageError, WeftError } from '@weft-db/engine'
import { fileKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { nodeFiles } from '@weft-db/storage/node'
import { openFolder, rootName } from './directory.ts'
import { keyId } from './keys.ts'
import { Usage } from './output.ts'
import { writeWhole } from './writing.ts'

/** So long nothing came, ms. */
const patience = 30_000

export const isAddress = (place: string): boolean => /^https?:\/\//.test(place)

/**
 * The damaged logs of a store, by name, and the network's, as the server has them. `report`: what is wrong with the store; `root`: its root log.
 * Rejects with a `WeftError`: `KeyMissing`, `Unreachable`, or why the server does not give them.
 */
export const fetchLogs = async (
  url: string,
  path: string,
  root: Uint8Array,
  report: AuditReport,
  network: string | undefined,
): Promise<ReadonlyMap<string, Uint8Array>> => {
  const keys = await sessionOf(path, report)
  const damaged = new Set(report.problems.map(({ file }) => file))
  const wanted = report.repositories.filter(({ file }) => damaged.has(file)).map((repository) => repository.path)
  const stage = `${resolve(path)}.fetching-${randomBytes(4).toString('hex')}`
  try {
    const files = nodeFiles(stage)
    // It says whose session this is.
    await writeWhole(files, rootName, root)
    await files.syncNames()
    const replica = new Database({
      schemas: [],
      runtime: nodeRuntime(),
      storage: async () => ({ files, keys, mode: 'node', lasting: true }),
      transports: [socketIoTransport({ url })],
      ...(network !== undefined && { network }),
    })
    try {
      await replica.opened
      const repositories = wanted.map((one) => replica.repository(one))
      await level(replica, repositories)
    } finally {
      await replica.close()
    }
    const folder = await openFolder(stage)
    const logs = new Map<string, Uint8Array>()
    for (const { name, size } of await folder.list())
      if (name.endsWith('.log')) logs.set(name, await folder.read(name, size))
    return logs
  } finally {
    await rm(stage, { recursive: true, force: true })
  }
}

/** The key of the session whose store it is. That of an authority opens no other server's door. */
const sessionOf = async (path: string, report: AuditReport): Promise<ReturnType<typeof fileKeys>> => {
  const file = `${resolve(path)}.key`
  const keys = fileKeys(() => file)
  const key = await keys.load('session')
  if (key === undefined) throw new WeftError('KeyMissing', file)
  if (report.keys.some(({ id }) => id === keyId(key.publicKey)))
    throw new Usage(`${path} is a server's: start it, its clients bring back what it lacks, and repair it then`)
  return { ...keys, save: async () => undefined, remove: async () => undefined }
}

/** Resolves when the replica holds all that the server has of these repositories. */
const level = (replica: Database, repositories: readonly Repository[]): Promise<void> =>
  new Promise((done, failed) => {
    let before = ''
    const end = (why?: WeftError): void => {
      clearTimeout(timer)
      stop()
      if (why === undefined) done()
      else failed(why)
    }
    const tooLate = (): void => {
      const problem = replica.status.problem
      end(
        problem === undefined ? new WeftError('Unreachable', 'the server') : new WeftError(problem.code, 'the server'),
      )
    }
    let timer = setTimeout(tooLate, patience)
    const look = (): void => {
      const barred = repositories.find((one) => one.barred !== undefined)
      if (barred?.barred !== undefined) return end(new WeftError(barred.barred.code, barred.path))
      const full = repositories.find(({ problem }) => problem !== undefined)
      if (full?.problem?.code === 'DiskFull') return end(new StorageError('DiskFull', full.path))
      const isOnline = replica.status.connection === 'online'
      if (isOnline && repositories.every(({ synced }) => synced)) return end()
      const now = repositories.map(({ pipeline }) => pipeline.commits.size + pipeline.log.next).join()
      if (now === before) return
      before = now
      clearTimeout(timer)
      timer = setTimeout(tooLate, patience)
    }
    const stop = replica.onStatus(look)
    look()
  })
