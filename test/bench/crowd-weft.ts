/** Clients of Weft's own server. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { anonymous, Database, type Item, type Repository } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { nodeFiles } from '@weft-db/storage/node'
import { Card } from './card.ts'
import { type Gather, Roll } from './crowd.ts'

const path = '/bench/crowd'
/** Commits follow each other as fast as they are made. */
const unlimited = 1e6

const changed = (repository: Repository, holds: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    if (holds()) return resolve()
    const stop = repository.onChange(() => {
      if (!holds()) return
      stop()
      resolve()
    })
  })

export const gatherWeft: Gather = async ({ port, members, durable }) => {
  const runtime = nodeRuntime()
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  const databases: Database[] = []
  for (let member = 0; member < members; member++) {
    const files = durable ? nodeFiles(join(folder, String(member))) : memoryFiles()
    const database = new Database({
      schemas: [Card],
      runtime,
      storage: async () => ({ files, keys: memoryKeys(), mode: durable ? 'node' : 'memory', lasting: true }),
      transports: [socketIoTransport({ url: `http://127.0.0.1:${port}` })],
      captureRate: unlimited,
    })
    await database.opened
    await database.login(anonymous(`member ${member}`))
    databases.push(database)
  }
  const [writer, ...readers] = databases.map((database) => database.repository(path))
  if (writer === undefined) throw new RangeError('a crowd of none')
  await Promise.all([writer, ...readers].map((repository) => repository.ready))
  const card = writer.create(
    Card,
    { title: 'Sync that costs the difference', points: -1, done: false },
    { key: 'card' },
  )
  const roll = new Roll()
  for (const [member, repository] of readers.entries()) {
    await changed(repository, () => repository.item(Card, 'card') != null)
    const seen: Item<typeof Card> | null | undefined = repository.item(Card, 'card')
    repository.onChange(() => roll.answer(member, seen?.points ?? -1))
  }
  let bursts = 0
  return {
    send: (number) => {
      const told = roll.call(number, readers.length)
      writer.transact(() => {
        card.points = number
        card.done = number % 2 === 0
        card.title = `Sync that costs the difference ${number % 10}`
      })
      return told
    },
    burst: async (count) => {
      const burst = bursts++
      const came = readers.map((repository) =>
        changed(repository, () => repository.item(Card, `${burst}/${count - 1}`) != null),
      )
      for (let index = 0; index < count; index++)
        writer.transact(() => void writer.create(Card, { title: 'Item', points: index }, { key: `${burst}/${index}` }))
      await Promise.all(came)
    },
    close: async () => {
      for (const database of databases) await database.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
