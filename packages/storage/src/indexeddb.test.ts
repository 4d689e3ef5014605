import 'fake-indexeddb/auto'
import { IDBObjectStore } from 'fake-indexeddb'
import { afterEach, expect, test, vi } from 'vitest'
import { indexedDbFiles } from './indexeddb.ts'

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

let databases = 0
const logOf = async (name = `database-${databases++}`) => {
  const files = await indexedDbFiles(name)
  const file = await files.open('log', true)
  if (file === undefined) throw new Error('no file')
  return { files, file }
}

test('appending costs what is appended, however long the log', async () => {
  const { file } = await logOf()
  const put = vi.spyOn(IDBObjectStore.prototype, 'put')
  const others = [
    vi.spyOn(IDBObjectStore.prototype, 'delete'),
    vi.spyOn(IDBObjectStore.prototype, 'getAll'),
    vi.spyOn(IDBObjectStore.prototype, 'openCursor'),
  ]
  // Parts of one large array: a stored view must not take it along.
  const source = new Uint8Array(100_000)
  for (let index = 0; index < 50; index++) {
    put.mockClear()
    await file.write(index * 10, source.subarray(index, index + 10))
    await file.sync()
    const stored = put.mock.calls.map(([value]) => value)
    expect(stored).toHaveLength(2)
    expect(stored[0]).toBeInstanceOf(Uint8Array)
    expect(stored[0].buffer.byteLength).toBe(10)
    expect(stored[1]).toBe(index * 10 + 10)
  }
  for (const other of others) expect(other).not.toHaveBeenCalled()
})

test('neither a file that was removed nor one that was replaced leaves bytes behind', async () => {
  const name = `database-${databases++}`
  const { files, file } = await logOf(name)
  const other = await files.open('other', true)
  for (const written of [file, other]) {
    for (let index = 0; index < 5; index++) await written?.write(index, Uint8Array.of(index))
    await written?.sync()
  }
  const count = async (): Promise<number> => {
    const database = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open(name)
      request.onsuccess = () => resolve(request.result)
    })
    const chunks = database.transaction('chunks').objectStore('chunks').count()
    return new Promise((resolve) => {
      chunks.onsuccess = () => {
        database.close()
        resolve(chunks.result)
      }
    })
  }
  expect(await count()).toBe(10)
  await files.rename('log', 'other')
  expect(await count()).toBe(5)
  await files.remove('other')
  expect(await count()).toBe(0)
})

test('every transaction that changes something asks to be on disk before it is complete', async () => {
  const { files, file } = await logOf()
  const transaction = vi.spyOn(IDBDatabase.prototype, 'transaction')
  await files.open('new', true)
  await file.write(0, Uint8Array.of(1))
  await file.sync()
  await file.truncate(0)
  await files.rename('log', 'other')
  await files.remove('other')
  expect(transaction.mock.calls.length).toBeGreaterThan(4)
  for (const [, , options] of transaction.mock.calls) expect(options).toEqual({ durability: 'strict' })
})

test('sync waits for the transactions that writes started', async () => {
  const { file } = await logOf()
  let complete = 0
  const transaction = IDBDatabase.prototype.transaction
  vi.spyOn(IDBDatabase.prototype, 'transaction').mockImplementation(function (this: IDBDatabase, ...given) {
    const made = transaction.apply(this, given)
    made.addEventListener('complete', () => complete++)
    return made
  })
  for (let index = 0; index < 5; index++) await file.write(index, Uint8Array.of(index))
  expect(complete).toBe(0)
  await file.sync()
  expect(complete).toBe(5)
})

test('a full quota fails the sync with DiskFull, and every later sync of that handle', async () => {
  const { files, file } = await logOf()
  await file.write(0, Uint8Array.of(1, 2, 3))
  await file.sync()
  const put = vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(() => {
    throw new DOMException('full', 'QuotaExceededError')
  })
  await file.write(3, Uint8Array.of(4))
  await expect(file.sync()).rejects.toMatchObject({ name: 'StorageError', code: 'DiskFull' })
  put.mockRestore()
  await expect(file.sync()).rejects.toMatchObject({ code: 'DiskFull' })
  const again = await files.open('log', false)
  expect([...((await again?.read(0, 9)) ?? [])]).toEqual([1, 2, 3])
  await again?.write(3, Uint8Array.of(5))
  await again?.sync()
  expect([...((await again?.read(0, 9)) ?? [])]).toEqual([1, 2, 3, 5])
})

test('a write that fails half way leaves nothing', async () => {
  const { files, file } = await logOf()
  await file.write(0, Uint8Array.of(1, 2, 3, 4, 5, 6))
  await file.sync()
  const put = IDBObjectStore.prototype.put
  let calls = 0
  vi.spyOn(IDBObjectStore.prototype, 'put').mockImplementation(function (this: IDBObjectStore, ...given) {
    if (++calls === 2) throw new DOMException('full', 'QuotaExceededError')
    return put.apply(this, given)
  })
  await file.write(2, Uint8Array.of(9))
  await expect(file.sync()).rejects.toMatchObject({ code: 'DiskFull' })
  vi.restoreAllMocks()
  expect([...((await (await files.open('log', false))?.read(0, 9)) ?? [])]).toEqual([1, 2, 3, 4, 5, 6])
})

test('no IndexedDB, or one that refuses, is a DiskError', async () => {
  vi.stubGlobal('indexedDB', undefined)
  await expect(indexedDbFiles('a')).rejects.toMatchObject({ name: 'StorageError', code: 'DiskError' })
  vi.stubGlobal('indexedDB', {
    open: () => {
      throw new DOMException('private mode', 'SecurityError')
    },
  })
  await expect(indexedDbFiles('a')).rejects.toMatchObject({ name: 'StorageError', code: 'DiskError' })
})

test('the lock is a Web Lock where there are Web Locks', async () => {
  const held = new Map<string, Promise<unknown>>()
  const request = async (name: string, options: LockOptions, run: (lock: object | null) => Promise<unknown>) => {
    expect(options).toEqual({ ifAvailable: true })
    if (held.has(name)) return run(null)
    const running = Promise.resolve().then(() => run({ name }))
    held.set(name, running)
    await running
    held.delete(name)
  }
  vi.stubGlobal('navigator', { locks: { request } })
  const [{ files: one }, { files: two }, { files: other }] = [await logOf('same'), await logOf('same'), await logOf()]
  const release = await one.lock()
  await expect(two.lock()).rejects.toMatchObject({ code: 'AlreadyOpen' })
  await (await other.lock())()
  await release()
  expect(held.size).toBe(0)
  await (await two.lock())()
})

test('files that are abandoned hold nobody up, and what was not complete is undone', async () => {
  const name = `database-${databases++}`
  const { files, file } = await logOf(name)
  await file.write(0, Uint8Array.of(1, 2))
  await file.sync()
  const next = await indexedDbFiles(name)
  await file.write(2, Uint8Array.of(3))
  const synced = file.sync()
  files.abandon()
  await expect(synced).rejects.toMatchObject({ code: 'DiskError' })
  const found = await next.open('log', false)
  expect([...((await found?.read(0, 9)) ?? [])]).toEqual([1, 2])
  await expect(files.list()).rejects.toMatchObject({ code: 'DiskError' })
})
