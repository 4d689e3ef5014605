/** Stores of many items: filled by one process, opened by another that has seen nothing of them. */
import { closeSync, fdatasyncSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Database, type Repository } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { nodeFiles } from '@weft-db/storage/node'
import { bytesIn, openSqlite, type Sqlite } from './local-engines.ts'
import { heldBytes } from './measure.ts'
import type { Methods } from './methods.ts'
import { alonePath, openAlone } from './replica.ts'
import { type Fields, fieldsOf, keyOf, sumOf, Thing } from './thing.ts'

/** What opening took: ms until one item was read and until all were, in an order; bytes an item that are held then. */
export interface Opened {
  readonly first: number
  readonly all: number
  readonly held: number
}

interface Store {
  /** One item by its key. */
  read(key: string): number
  /** All of them, by rank. */
  all(): readonly unknown[]
}

interface Engine {
  fill(folder: string, items: number): Promise<void>
  open(folder: string): Promise<Store>
  /** A store that takes items one at a time, each durable when its promise resolves, or many at once, durable together. */
  writer(
    folder: string,
  ): Promise<{ one(index: number): Promise<void>; many(from: number, count: number): Promise<void> }>
}

const methodsOf = ({ fill, open, writer }: Engine): Methods => {
  let kept: unknown
  return {
    fill: async (folder: string, items: number) => {
      await fill(folder, items)
      return bytesIn(folder) / items
    },
    open: async (folder: string, items: number): Promise<Opened> => {
      const before = heldBytes()
      const began = performance.now()
      const store = await open(folder)
      if (!(store.read(keyOf(items >> 1)) > 0)) throw new Error('what was read is not what was written')
      const first = performance.now() - began
      kept = store.all()
      const all = performance.now() - began
      if ((kept as readonly unknown[]).length !== items) throw new Error('items are missing')
      kept = store
      // What a weak reference was asked for stays until the turn is over.
      await new Promise((resolve) => setImmediate(resolve))
      return { first, all, held: (heldBytes() - before) / items }
    },
    /** ms of each durable append, one after the other; then µs an item of many at once. */
    append: async (folder: string, times: number, many: number): Promise<{ each: number[]; batch: number }> => {
      const { one, many: all } = await writer(folder)
      const each: number[] = []
      for (let index = 0; index < times; index++) {
        const began = performance.now()
        await one(index)
        each.push(performance.now() - began)
      }
      const began = performance.now()
      await all(times, many)
      return { each: each.slice(times >> 2), batch: ((performance.now() - began) * 1_000) / many }
    },
  }
}

const weft: Engine = {
  fill: async (folder, items) => {
    const { repository, store, database } = await openAlone([Thing], nodeFiles(folder))
    for (let index = 0; index < items; index++) {
      repository.create(Thing, fieldsOf(index), { key: keyOf(index) })
      if (index % 1_000 === 999) await store()
    }
    await store()
    await database.close()
  },
  open: async (folder) => {
    const database = new Database({
      schemas: [Thing],
      runtime: nodeRuntime(),
      storage: async () => ({ files: nodeFiles(folder), keys: memoryKeys(), mode: 'node', lasting: true }),
    })
    const repository: Repository = database.repository(alonePath)
    await repository.ready
    return {
      read: (key) => sumOf(repository.item(Thing, key) as Fields),
      all: () => repository.query(Thing).orderBy('rank').current ?? [],
    }
  },
  writer: async (folder) => {
    const { repository, store } = await openAlone([Thing], nodeFiles(folder), 1e9)
    return {
      one: (index) => {
        repository.create(Thing, fieldsOf(index), { key: keyOf(index) })
        return store()
      },
      many: (from, count) => {
        for (let index = from; index < from + count; index++)
          repository.create(Thing, fieldsOf(index), { key: keyOf(index) })
        return store()
      },
    }
  },
}

const table =
  'CREATE TABLE IF NOT EXISTS item (key TEXT PRIMARY KEY, title TEXT, owner TEXT, state TEXT, points INT, rank INT, done INT) WITHOUT ROWID;' +
  'CREATE INDEX IF NOT EXISTS item_rank ON item (rank)'

/** WAL; `FULL` where each transaction is to be durable. */
const sqliteIn = async (folder: string, synchronous: 'FULL' | 'NORMAL'): Promise<Sqlite | undefined> => {
  const database = await openSqlite(join(folder, 'items.sqlite'))
  database?.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; ${table}`)
  return database
}

const insertInto = (database: Sqlite): ((index: number) => void) => {
  const insert = database.prepare('INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)')
  return (index) => {
    const { title, owner, state, points, rank, done } = fieldsOf(index)
    insert.run(keyOf(index), title, owner, state, points, rank, done ? 1 : 0)
  }
}

const sqlite = (database: (folder: string, synchronous: 'FULL' | 'NORMAL') => Promise<Sqlite>): Engine => ({
  fill: async (folder, items) => {
    const store = await database(folder, 'NORMAL')
    const insert = insertInto(store)
    store.exec('BEGIN')
    for (let index = 0; index < items; index++) insert(index)
    store.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)')
  },
  open: async (folder) => {
    const store = await database(folder, 'NORMAL')
    const columns = 'SELECT title, owner, state, points, rank, done FROM item'
    const select = store.prepare(`${columns} WHERE key = ?`)
    const every = store.prepare(`${columns} ORDER BY rank`)
    return { read: (key) => sumOf(select.get(key) as Fields), all: () => every.all() }
  },
  writer: async (folder) => {
    const store = await database(folder, 'FULL')
    const insert = insertInto(store)
    return {
      one: async (index) => insert(index),
      many: async (from, count) => {
        store.exec('BEGIN')
        for (let index = from; index < from + count; index++) insert(index)
        store.exec('COMMIT')
      },
    }
  },
})

/** A file with all items, written anew; and one with a line for each, appended to. */
const json: Engine = {
  fill: async (folder, items) => {
    const file = join(folder, 'items.json')
    const all = Array.from({ length: items }, (_, index) => [keyOf(index), fieldsOf(index)])
    writeFileSync(`${file}.new`, JSON.stringify(all), { flush: true })
    renameSync(`${file}.new`, file)
  },
  open: async (folder) => {
    const items = new Map(JSON.parse(readFileSync(join(folder, 'items.json'), 'utf8')) as [string, Fields][])
    return {
      read: (key) => sumOf(items.get(key) as Fields),
      all: () => [...items.values()].sort((one, other) => one.rank - other.rank),
    }
  },
  writer: async (folder) => {
    const file = openSync(join(folder, 'items.jsonl'), 'a')
    process.once('exit', () => closeSync(file))
    const line = (index: number): string => `${JSON.stringify([keyOf(index), fieldsOf(index)])}\n`
    return {
      one: async (index) => {
        writeSync(file, line(index))
        fdatasyncSync(file)
      },
      many: async (from, count) => {
        writeSync(file, Array.from({ length: count }, (_, index) => line(from + index)).join(''))
        fdatasyncSync(file)
      },
    }
  },
}

export const storageRoles: Readonly<Record<string, () => Promise<Methods | undefined>>> = {
  'storage/weft': async () => methodsOf(weft),
  'storage/SQLite': async () => {
    const probe = await openSqlite(':memory:')
    if (probe === undefined) return undefined
    return methodsOf(
      sqlite(async (folder, synchronous) => {
        const database = await sqliteIn(folder, synchronous)
        if (database === undefined) throw new Error('SQLite was there a moment ago')
        return database
      }),
    )
  },
  'storage/JSON': async () => methodsOf(json),
}
