/** A store as it is in use: the real server, with two people who worked on two boards over loopback, and the folder of one of them. */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type AuditSource, anonymous, Database, type DatabaseOptions, type Runtime, saved } from '@weft-db/engine'
import { fileKeys, memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { serve } from '@weft-db/server'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { nodeFiles } from '@weft-db/storage/node'
import { Card } from './lab.ts'

export interface Store {
  /** Of the server; its key is beside it. */
  readonly server: string
  /** Of one of its clients. */
  readonly client: string
  readonly network: string
  /** Removes both. */
  remove(): Promise<void>
}

export const boards = ['/board/roadmap', '/list/shopping'] as const

/** A client of the server there, that stores in a directory, with the key beside it where that is named, or in memory. */
export const clientOf = (
  url: string,
  { directory, keyFile, ...more }: { directory?: string; keyFile?: string } & Partial<DatabaseOptions> = {},
): Database => {
  const files = directory === undefined ? memoryFiles() : nodeFiles(directory)
  const keys = keyFile === undefined ? memoryKeys() : fileKeys(() => keyFile)
  return new Database({
    schemas: [Card],
    runtime: nodeRuntime(),
    storage: async () => ({ files, keys, mode: 'test', lasting: true }),
    transports: [socketIoTransport({ url })],
    ...more,
  })
}

/** `edits`: how many commits each of two people makes on each of two boards. `during` runs while the server does. */
export const makeStore = async (edits: number, during?: (server: string) => Promise<void>): Promise<Store> => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-store-'))
  const [server, client] = [join(folder, 'server'), join(folder, 'client')]
  const running = await serve({ schemas: [Card], data: server, port: 0 })
  const clients: Database[] = []
  try {
    for (const name of ['Ada', 'Bob']) {
      const directory = name === 'Ada' ? client : join(folder, 'other')
      const replica = clientOf(running.url, { directory, captureRate: 1_000 })
      clients.push(replica)
      await replica.login(anonymous(name))
    }
    for (const path of boards) {
      const repositories = clients.map((replica) => replica.repository(path))
      for (const repository of repositories) await repository.ready
      const cards = repositories.flatMap((repository, place) =>
        Array.from({ length: edits }, (_, edit) => {
          const card = repository.create(Card, { title: `${edit} of ${place}`, tags: ['x'] }, { key: `card ${edit}` })
          repository.flush()
          return card
        }),
      )
      await Promise.all(cards.map((card) => saved(card, 'authority')))
    }
    await during?.(server)
  } finally {
    for (const replica of clients) await replica.close()
    await running.close()
  }
  return { server, client, network: running.network, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** A copy of a store's folder, to be damaged. The key goes with it. */
export const copyOf = async (store: Store): Promise<{ readonly path: string; remove(): Promise<void> }> => {
  const folder = await mkdtemp(join(tmpdir(), 'weft-copy-'))
  const path = join(folder, 'server')
  await cp(store.server, path, { recursive: true })
  for (const beside of ['key', 'landmarks'])
    await cp(`${store.server}.${beside}`, `${path}.${beside}`, { recursive: true })
  return { path, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** The files of a folder in memory, by name. */
export const filesOf = async (path: string): Promise<Map<string, Uint8Array>> => {
  const files = new Map<string, Uint8Array>()
  for (const name of (await readdir(path)).sort()) files.set(name, new Uint8Array(await readFile(join(path, name))))
  return files
}

export const sourceOf = (files: ReadonlyMap<string, Uint8Array>): AuditSource => ({
  list: async () => [...files].map(([name, { length: size }]) => ({ name, size })),
  read: async (name, size) => (files.get(name) ?? new Uint8Array(0)).subarray(0, size),
})

/** A signature is a pure function of its bytes: what was verified once need not be again. */
export const remembering = (runtime: Runtime): Runtime => {
  const known = new Map<string, Promise<boolean>>()
  return {
    ...runtime,
    verify: (publicKey, message, signature) => {
      const name = [publicKey, message, signature].map((part) => Buffer.from(part).toString('latin1')).join('|')
      const answer = known.get(name) ?? runtime.verify(publicKey, message, signature)
      known.set(name, answer)
      return answer
    },
  }
}
