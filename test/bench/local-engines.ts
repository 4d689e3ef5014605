/** Items of six fields in each engine: made, changed in one field, read in all of them. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFiles } from '@weft-db/storage/node'
import { cpuOf, cpuOfAsync, heldBytes } from './measure.ts'
import type { Methods } from './methods.ts'
import { peer } from './peers.ts'
import { openAlone } from './replica.ts'
import { type Fields, fieldsOf, keyOf, sumOf, Thing } from './thing.ts'

const names = ['title', 'owner', 'state', 'points', 'rank', 'done'] as const

interface Engine {
  create(key: string, fields: Fields): void
  update(key: string, points: number): void
  /** Reads all six fields; something that depends on them. */
  read(key: string): number
  /** Ends what a run of operations leaves open. Counts as theirs. */
  finish?(): void
  /** What happens behind the caller's back. */
  settle?(): Promise<void>
  /** Bytes of its files. */
  stored?(): number
  /** Where its items are, when not in the heap: in memory of its own, so that the process's counts, or on disk. */
  readonly keeps?: 'outside' | 'on disk'
}

/** Far from each other, and all of them in time: 7,919 is prime to every population used. */
export const spread = (index: number, population: number): number => (index * 7_919) % population

const methodsOf = (engine: Engine): Methods => {
  let count = 0
  let checked = 0
  let updates = 0
  const measure = async (run: () => void): Promise<{ cpu: number; behind: number }> => {
    const cpu = cpuOf(() => {
      run()
      engine.finish?.()
    })
    return { cpu, behind: await cpuOfAsync(async () => engine.settle?.()) }
  }
  return {
    /** Bytes an item; null where they are not in memory. */
    populate: async (items: number): Promise<number | null> => {
      const held = (): number => {
        const bytes = heldBytes()
        return engine.keeps === 'outside' ? process.memoryUsage().rss : bytes
      }
      const before = held()
      while (count < items) {
        const until = Math.min(items, count + 1_000)
        for (; count < until; count++) engine.create(keyOf(count), fieldsOf(count))
        engine.finish?.()
        await engine.settle?.()
      }
      return engine.keeps === 'on disk' ? null : (held() - before) / items
    },
    /** Bytes an item on disk; null where there are none. */
    stored: (): number | null => {
      const bytes = engine.stored?.()
      return bytes === undefined ? null : bytes / count
    },
    create: (times: number) =>
      measure(() => {
        for (let index = 0; index < times; index++, count++) engine.create(keyOf(count), fieldsOf(count))
      }),
    update: (times: number) =>
      measure(() => {
        for (let index = 0; index < times; index++) engine.update(keyOf(spread(index, count)), updates++)
      }),
    read: async (times: number) => {
      const spent = await measure(() => {
        for (let index = 0; index < times; index++) checked += engine.read(keyOf(spread(index, count)))
      })
      if (!(checked > 0)) throw new Error('what was read is not what was written')
      return spent
    },
  }
}

export const bytesIn = (folder: string): number =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)

const weft = async (): Promise<Methods> => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const { repository, store } = await openAlone([Thing], nodeFiles(folder))
  const item = (key: string) => {
    const found = repository.item(Thing, key)
    if (found === null || found === undefined) throw new Error(`no item ${key}`)
    return found
  }
  return methodsOf({
    create: (key, fields) => void repository.create(Thing, fields, { key }),
    update: (key, points) => {
      item(key).points = points
    },
    read: (key) => sumOf(item(key)),
    settle: store,
    stored: () => bytesIn(folder),
  })
}

/** The least that keeps items by key and in an order. */
const plain = async (): Promise<Methods> => {
  const items = new Map<string, Fields>()
  const order: Fields[] = []
  return methodsOf({
    create: (key, fields) => {
      items.set(key, fields)
      let [low, high] = [0, order.length]
      while (low < high) {
        const middle = (low + high) >> 1
        if ((order[middle]?.rank ?? 0) < fields.rank) low = middle + 1
        else high = middle
      }
      order.splice(low, 0, fields)
    },
    update: (key, points) => {
      const fields = items.get(key)
      if (fields !== undefined) fields.points = points
    },
    read: (key) => {
      const fields = items.get(key)
      return fields === undefined ? Number.NaN : sumOf(fields)
    },
  })
}

export interface Statement {
  run(...values: unknown[]): unknown
  get(...values: unknown[]): unknown
  all(...values: unknown[]): unknown[]
}

export interface Sqlite {
  exec(sql: string): unknown
  prepare(sql: string): Statement
}

/** SQLite is Node's own where this Node has one, else better-sqlite3. WAL, synchronous NORMAL, a transaction for every statement. */
const sqlite = async (): Promise<Methods | undefined> => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-bench-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  const database = await openSqlite(join(folder, 'items.sqlite'))
  if (database === undefined) return undefined
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
  database.exec(
    'CREATE TABLE item (key TEXT PRIMARY KEY, title TEXT, owner TEXT, state TEXT, points INT, rank INT, done INT) WITHOUT ROWID',
  )
  database.exec('CREATE INDEX item_rank ON item (rank)')
  const insert = database.prepare('INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)')
  const update = database.prepare('UPDATE item SET points = ? WHERE key = ?')
  const select = database.prepare('SELECT title, owner, state, points, rank, done FROM item WHERE key = ?')
  return methodsOf({
    keeps: 'on disk',
    stored: () => bytesIn(folder),
    create: (key, { title, owner, state, points, rank, done }) =>
      void insert.run(key, title, owner, state, points, rank, done ? 1 : 0),
    update: (key, points) => void update.run(points, key),
    read: (key) => sumOf(select.get(key) as Fields),
  })
}

export const openSqlite = async (path: string): Promise<Sqlite | undefined> => {
  const ready = await peer<{ default: new (path: string) => Sqlite }>('better-sqlite3')
  if (ready !== undefined) {
    try {
      return new ready.default(path)
    } catch (error) {
      // Its native part was not built for this machine.
      console.error(`better-sqlite3 is left out: ${error instanceof Error ? error.message.split('\n')[0] : error}`)
    }
  }
  try {
    const own: { DatabaseSync: new (path: string) => Sqlite } = createRequire(import.meta.url)('node:sqlite')
    return new own.DatabaseSync(path)
  } catch {
    // Node brings it from version 22 on.
    console.error('node:sqlite is left out: this Node has none')
    return undefined
  }
}

interface YMap {
  set(key: string, value: unknown): void
  get(key: string): unknown
}

const yjs = async (): Promise<Methods | undefined> => {
  const module = await peer<{
    Doc: new () => { getMap(name: string): YMap; transact(run: () => void): void }
    Map: new () => YMap
  }>('yjs')
  if (module === undefined) return undefined
  const doc = new module.Doc()
  const items = doc.getMap('items')
  return methodsOf({
    create: (key, fields) =>
      doc.transact(() => {
        const item = new module.Map()
        for (const name of names) item.set(name, fields[name])
        items.set(key, item)
      }),
    update: (key, points) => doc.transact(() => (items.get(key) as YMap).set('points', points)),
    read: (key) => {
      const item = items.get(key) as YMap
      return sumOf(fieldsFrom((name) => item.get(name)))
    },
  })
}

const fieldsFrom = (get: (name: keyof Fields) => unknown): Fields => ({
  title: get('title') as string,
  owner: get('owner') as string,
  state: get('state') as string,
  points: get('points') as number,
  rank: get('rank') as number,
  done: get('done') as boolean,
})

interface LoroMap {
  set(key: string, value: unknown): void
  get(key: string): unknown
  setContainer(key: string, container: LoroMap): LoroMap
}

const loro = async (): Promise<Methods | undefined> => {
  const module = await peer<{
    LoroDoc: new () => { getMap(name: string): LoroMap; commit(): void }
    LoroMap: new () => LoroMap
  }>('loro-crdt')
  if (module === undefined) return undefined
  const doc = new module.LoroDoc()
  const items = doc.getMap('items')
  return methodsOf({
    keeps: 'outside',
    create: (key, fields) => {
      const item = items.setContainer(key, new module.LoroMap())
      for (const name of names) item.set(name, fields[name])
    },
    update: (key, points) => (items.get(key) as LoroMap).set('points', points),
    read: (key) => {
      const item = items.get(key) as LoroMap
      return sumOf(fieldsFrom((name) => item.get(name)))
    },
    finish: () => doc.commit(),
  })
}

interface TinyStore {
  setRow(table: string, key: string, row: Fields): void
  setCell(table: string, key: string, name: string, value: number): void
  getCell(table: string, key: string, name: string): unknown
}

const tinybase = async (): Promise<Methods | undefined> => {
  const module = await peer<{ createStore(): TinyStore }>('tinybase')
  if (module === undefined) return undefined
  const rows = module.createStore()
  return methodsOf({
    create: (key, fields) => rows.setRow('items', key, fields),
    update: (key, points) => rows.setCell('items', key, 'points', points),
    read: (key) => sumOf(fieldsFrom((name) => rows.getCell('items', key, name))),
  })
}

export const localRoles: Readonly<Record<string, () => Promise<Methods | undefined>>> = {
  'local/weft': weft,
  'local/Map and sorted array': plain,
  'local/SQLite': sqlite,
  'local/Yjs': yjs,
  'local/Loro': loro,
  'local/TinyBase': tinybase,
}
