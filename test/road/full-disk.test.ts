import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  anonymous,
  Database,
  type File,
  type Files,
  type Incident,
  isRefusal,
  keyOf,
  logName,
  type Repository,
  type Runtime,
  StorageError,
  saved,
  savedState,
} from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { socketIoAcceptor } from '@weft-db/socketio/server'
import { memoryFiles } from '@weft-db/storage/memory'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { scan } from '../../packages/engine/src/log/frame.ts'
import { PackedLogReader } from '../../packages/engine/src/log/packedlog.ts'

import { Card, until } from './ring.ts'

const path = '/board/full'

/** Pauses between attempts are a fiftieth of what they are. */
const hurried = (): Runtime => {
  const runtime = nodeRuntime()
  return { ...runtime, timer: (ms, run) => runtime.timer(ms / 50, run) }
}

/** A disk with room for so many more writes. What does not fit is written by half. */
class Disk {
  readonly files: Files
  writes = Number.POSITIVE_INFINITY
  /** Writes refused so far. */
  refused = 0
  readonly #waiting: { count: number; resolve(): void }[] = []

  constructor(files: Files) {
    this.files = { ...files, open: async (name, create) => this.#wrap(await files.open(name, create)) }
  }

  /** Resolves when so many writes more have been refused. */
  refuses(more: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ count: this.refused + more, resolve }))
  }

  #wrap(file: File | undefined): File | undefined {
    if (file === undefined) return undefined
    return {
      ...file,
      write: async (offset, bytes) => {
        if (this.writes-- > 0) return file.write(offset, bytes)
        await file.write(offset, bytes.subarray(0, bytes.length >> 1))
        this.refused++
        for (const { count, resolve } of this.#waiting) if (count <= this.refused) resolve()
        throw new StorageError('DiskFull', 'no room')
      },
    }
  }
}

let http: Server
let disk: Disk
let authority: Database
let clients: Database[]
let incidents: Incident[]

beforeEach(async () => {
  http = createServer()
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  disk = new Disk(memoryFiles())
  clients = []
  incidents = []
  const runtime = hurried()
  authority = new Database({
    schemas: [Card],
    runtime,
    storage: async () => ({ files: disk.files, keys: memoryKeys(), mode: 'memory', lasting: true }),
    transports: [socketIoAcceptor(http)],
    authority: await runtime.generateKey(),
    logins: [anonymous()],
  })
  authority.onIncident((incident) => incidents.push(incident))
  await authority.opened
})

afterEach(async () => {
  disk.writes = Number.POSITIVE_INFINITY
  for (const client of clients) await client.close()
  await authority.close()
  http.closeAllConnections()
  await new Promise((resolve) => http.close(resolve))
})

const client = async (name: string): Promise<{ database: Database; board: Repository }> => {
  const [files, keys] = [memoryFiles(), memoryKeys()]
  const database = new Database({
    schemas: [Card],
    runtime: hurried(),
    storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
    transports: [socketIoTransport({ url: `http://127.0.0.1:${(http.address() as AddressInfo).port}` })],
    captureRate: 1000,
  })
  clients.push(database)
  await database.login(anonymous(name))
  const board = database.repository(path)
  await board.ready
  return { database, board }
}

/** Ids in the server's log, in its order. While the disk is full, half a write may lie behind, which is about to be cut. */
const stored = async (): Promise<string[]> => {
  const { hash } = authority.runtime
  const file = await disk.files.open(logName(path, authority.runtime), false)
  const { frames, torn, damage } = scan((await file?.read(0, 10_000_000)) ?? new Uint8Array(0))
  await file?.close()
  expect({ torn: torn && disk.writes > 0, damage }).toEqual({ torn: false, damage: [] })
  const packs = new PackedLogReader(hash)
  return frames.flatMap((frame) => {
    const packed = packs.read(frame)
    if (isRefusal(packed)) throw new Error(`stored a pack that is ${packed.code}`)
    return packed.map(({ id }) => id)
  })
}

const idsOf = ({ pipeline }: Repository): string[] => {
  const ids: string[] = []
  for (let index = 0; index < pipeline.commits.size; index++) ids.push(pipeline.commits.at(index)?.id ?? '')
  return ids
}

test('[S9] a server without room refuses with the reason; the client keeps what it wrote, says so, and brings it again', async () => {
  const [ada, bob] = [await client('Ada'), await client('Bob')]
  const card = ada.board.create(Card, { title: 'before' })
  await saved(card, 'authority')
  await until([bob.database], () => bob.board.query(Card).current?.length === 1)
  const before = await stored()

  disk.writes = 0
  const tried = disk.refuses(1)
  card.title = 'while full'
  const second = ada.board.create(Card, { title: 'second' })
  await until([ada.database], () => ada.database.status.problem?.code === 'DiskFull')
  await tried
  expect(ada.database.status.problem?.message).toContain('no room left')
  expect(incidents.map(({ code }) => code)).toContain('DiskFull')
  expect([savedState(card), savedState(second)]).toEqual(['local', 'local'])
  expect(ada.board.unacknowledged).toBeGreaterThan(0)
  expect(bob.board.query(Card).current?.map(({ title }) => title)).toEqual(['before'])

  // It is tried again by itself, and edits made meanwhile are kept like the others.
  card.notes.insert(0, 'kept')
  await disk.refuses(2)
  expect(await stored()).toEqual(before)

  disk.writes = Number.POSITIVE_INFINITY
  await Promise.all([saved(card, 'authority'), saved(second, 'authority')])
  await until([ada.database], () => ada.database.status.problem === undefined)
  await until([bob.database], () => bob.board.query(Card).current?.length === 2)
  const seen = bob.board.item(Card, keyOf(card))
  expect([seen?.title, seen?.notes.toString()]).toEqual(['while full', 'kept'])
  const after = await stored()
  expect(after.slice(0, before.length)).toEqual(before)
  expect([...after].sort()).toEqual([...new Set(idsOf(ada.board))].sort())
})

test('[H2] a server that has room for the commits and none for the checkpoint acknowledges them later', async () => {
  const ada = await client('Ada')
  const card = ada.board.create(Card, { title: 'before' })
  await saved(card, 'authority')

  disk.writes = 1
  const tried = disk.refuses(2)
  card.title = 'after'
  await tried
  expect(savedState(card)).toBe('local')
  expect(await stored()).toEqual(idsOf(ada.board))

  disk.writes = Number.POSITIVE_INFINITY
  await saved(card, 'authority')
  expect(await stored()).toEqual(idsOf(ada.board))
})
