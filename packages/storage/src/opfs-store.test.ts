import { expect, test } from 'vitest'
import type { AccessHandle, Directory } from './opfs-directory.ts'
import { OpfsStore } from './opfs-store.ts'

type Change = { readonly at: number; readonly bytes: Uint8Array } | { readonly size: number }

const applied = (bytes: Uint8Array, change: Change): Uint8Array => {
  const length = 'size' in change ? change.size : Math.max(bytes.length, change.at + change.bytes.length)
  const next = new Uint8Array(length)
  next.set(bytes.subarray(0, length))
  if ('bytes' in change) next.set(change.bytes, change.at)
  return next
}

class Content {
  seen = new Uint8Array(0)
  durable = new Uint8Array(0)
  unsynced: Change[] = []
  held = false
}

class PowerCut extends Error {}

/** A disk whose power is cut before the n-th thing that changes it, and whose calls can fail. */
class Disk implements Directory {
  readonly contents = new Map<string, Content>()
  steps = 0
  readonly log: string[] = []
  cutAt = Number.POSITIVE_INFINITY
  fault: (what: string) => Error | 'short' | undefined = () => undefined

  #step(what: string): Error | 'short' | undefined {
    if (this.steps++ >= this.cutAt) throw new PowerCut()
    this.log.push(what)
    const fault = this.fault(what)
    if (fault instanceof Error && what !== 'flush') throw fault
    return fault
  }

  async list(): Promise<string[]> {
    return [...this.contents.keys()]
  }

  async has(name: string): Promise<boolean> {
    return this.contents.has(name)
  }

  async open(name: string): Promise<AccessHandle> {
    let content = this.contents.get(name)
    if (content === undefined) {
      this.#step('create')
      content = new Content()
      this.contents.set(name, content)
    }
    if (content.held) throw new DOMException('held', 'NoModificationAllowedError')
    content.held = true
    return this.#handle(content)
  }

  async remove(name: string): Promise<void> {
    this.#step('remove')
    if (this.contents.get(name)?.held) throw new DOMException('held', 'NoModificationAllowedError')
    this.contents.delete(name)
  }

  #handle(content: Content): AccessHandle {
    const change = (next: Change): void => {
      content.seen = Uint8Array.from(applied(content.seen, next))
      content.unsynced.push(next)
    }
    return {
      getSize: () => content.seen.length,
      read: (into, { at }) => {
        const bytes = content.seen.subarray(at, at + into.length)
        into.set(bytes)
        return bytes.length
      },
      write: (bytes, { at }) => {
        const part = this.#step('write') === 'short' ? bytes.slice(0, bytes.length >> 1) : bytes.slice()
        change({ at, bytes: part })
        return part.length
      },
      truncate: (size) => {
        this.#step('truncate')
        change({ size })
      },
      flush: () => {
        const fault = this.#step('flush')
        const unsynced = content.unsynced
        content.unsynced = []
        // What failed counts as clean afterwards.
        if (fault instanceof Error) throw fault
        for (const next of unsynced) content.durable = Uint8Array.from(applied(content.durable, next))
      },
      close: () => {
        content.held = false
      },
    }
  }

  /** Whoever held the files is gone. `kept` of each file's changes are there, and half of the one after them; -1: nothing at all. */
  after(kept: (unsynced: readonly Change[], name: string) => number): Disk {
    const disk = new Disk()
    for (const [name, { durable, unsynced }] of this.contents) {
      const content = new Content()
      const count = kept(unsynced, name)
      let bytes: Uint8Array = durable
      for (const change of unsynced.slice(0, Math.max(0, count))) bytes = applied(bytes, change)
      const next = unsynced[count]
      if (next !== undefined && 'bytes' in next) {
        bytes = applied(bytes, { at: next.at, bytes: next.bytes.subarray(0, next.bytes.length >> 1) })
      }
      content.seen = Uint8Array.from(bytes)
      content.durable = content.seen
      disk.contents.set(name, content)
    }
    return disk
  }
}

const make = async (store: OpfsStore, name: string, ...bytes: number[]): Promise<void> => {
  const file = await store.open(name, true)
  if (file === undefined) throw new Error('no file')
  store.write(file, 0, Uint8Array.from(bytes))
  store.sync(file)
  store.release(file)
}

const contentsOf = async (store: OpfsStore): Promise<Record<string, number[]>> => {
  const found: Record<string, number[]> = {}
  for (const name of store.list()) {
    const file = await store.open(name, false)
    if (file === undefined) throw new Error(`${name} is listed and not there`)
    found[name] = [...store.read(file, 0, 100)]
    store.release(file)
  }
  return found
}

type Bytes = readonly number[] | undefined

/** Steps that end in names that last: what is there then, and what else a name may have meant on the way. */
const life: readonly {
  readonly step: (store: OpfsStore) => Promise<void>
  readonly end: Readonly<Record<string, Bytes>>
  readonly way: Readonly<Record<string, readonly Bytes[]>>
}[] = [
  { step: (store) => make(store, 'a', 1), end: { a: [1] }, way: { a: [undefined, []] } },
  { step: (store) => make(store, 'b', 2), end: { a: [1], b: [2] }, way: { b: [undefined, []] } },
  {
    step: async (store) => {
      await make(store, 'a.new', 3)
      await store.rename('a.new', 'a')
    },
    end: { a: [3], b: [2] },
    way: { a: [[1]], 'a.new': [undefined, [], [3]] },
  },
  { step: (store) => store.remove('b'), end: { a: [3] }, way: { b: [[2]] } },
  {
    step: async (store) => {
      await make(store, 'c', 4)
      await store.rename('a', 'c')
    },
    end: { c: [3] },
    way: { a: [[3]], c: [undefined, [], [4]] },
  },
]

const live = async (disk: Disk, lasted: (step: number) => void): Promise<void> => {
  let store = await OpfsStore.open(disk)
  for (const [index, { step }] of life.entries()) {
    await step(store)
    await store.syncNames()
    lasted(index)
    if (index % 2 === 1) {
      store.close()
      store = await OpfsStore.open(disk)
    }
  }
}

/** Lives until power is cut before that step; gives how many steps of life lasted. */
const liveUntil = async (disk: Disk, cutAt: number): Promise<number> => {
  disk.cutAt = cutAt
  let lasted = 0
  try {
    await live(disk, (step) => {
      lasted = step + 1
    })
  } catch (error) {
    if (!(error instanceof PowerCut)) throw error
  }
  return lasted
}

const survivals = {
  'nothing unsynced': () => 0,
  'half of it': (unsynced: readonly Change[]) => unsynced.length >> 1,
  everything: (unsynced: readonly Change[]) => unsynced.length,
}

test.each(Object.entries(survivals))(
  'wherever power is cut, names are as they were or as they become (%s stays)',
  async (_, kept) => {
    const whole = new Disk()
    expect(await liveUntil(whole, Number.POSITIVE_INFINITY)).toBe(life.length)
    expect(whole.steps).toBeGreaterThan(30)
    for (let cutAt = 0; cutAt <= whole.steps; cutAt++) {
      const disk = new Disk()
      const lasted = await liveUntil(disk, cutAt)
      const left = disk.after(kept)
      const store = await OpfsStore.open(left)
      const found = await contentsOf(store)
      const before = lasted === 0 ? {} : (life[lasted - 1]?.end ?? {})
      const coming = life[lasted]
      for (const name of new Set([...Object.keys(found), ...Object.keys(before), ...Object.keys(coming?.end ?? {})])) {
        if (name.startsWith('lost-')) continue
        const may = [before[name], ...(coming === undefined ? [] : [coming.end[name], ...(coming.way[name] ?? [])])]
        expect(may, `${name}, cut at ${cutAt}`).toContainEqual(found[name])
      }
      // What is made next lasts.
      await make(store, 'next', 9)
      await store.syncNames()
      const again = await OpfsStore.open(left.after(() => 0))
      expect(await contentsOf(again)).toEqual({ ...found, next: [9] })
    }
  },
)

test('a file that was removed or replaced gives its bytes back once that lasts', async () => {
  const disk = new Disk()
  const store = await OpfsStore.open(disk)
  for (const name of ['a', 'b', 'c']) await make(store, name, 1)
  await store.syncNames()
  const files = async (): Promise<number> => (await disk.list()).filter((name) => /^[0-9]+$/.test(name)).length
  const replaced = await store.open('b', false)
  if (replaced === undefined) throw new Error('no file')
  await store.remove('a')
  await store.rename('c', 'b')
  expect(await files()).toBe(3)
  await store.syncNames()
  expect(await files()).toBe(2)
  expect([...store.read(replaced, 0, 9)]).toEqual([1])
  store.release(replaced)
  await store.syncNames()
  expect(await files()).toBe(1)
})

test('a name whose file the browser lost is gone, and no other', async () => {
  const disk = new Disk()
  const store = await OpfsStore.open(disk)
  await make(store, 'a', 1)
  await make(store, 'b', 2)
  await store.syncNames()
  const left = disk.after(() => 0)
  const [first] = [...left.contents].filter(([, { seen }]) => seen.length === 1 && seen[0] === 1)
  await left.remove(first?.[0] ?? '')
  const again = await OpfsStore.open(left)
  expect(await contentsOf(again)).toEqual({ b: [2] })
  expect(await again.open('a', false)).toBeUndefined()
})

test('names that were never synced take none along, however often their store is opened and left', async () => {
  for (const torn of ['names-0', 'names-1']) {
    for (let rounds = 1; rounds < 5; rounds++) {
      const disk = new Disk()
      let store = await OpfsStore.open(disk)
      await make(store, 'a', 1)
      await store.syncNames()
      for (let round = 0; round < rounds; round++) {
        store.close()
        store = await OpfsStore.open(disk)
        const [from = '', to = ''] = round % 2 === 0 ? ['a', 'b'] : ['b', 'a']
        await store.rename(from, to)
      }
      // The disk wrote half of one log, and nothing of the other.
      const left = disk.after((_, name) => (name === torn ? 0 : -1))
      const found = await contentsOf(await OpfsStore.open(left))
      expect(Object.values(found), `${rounds} rounds, ${torn}`).toEqual([[1]])
      expect(Object.keys(found)[0]).toMatch(/^[ab]$/)
    }
  }
})

test('a handle that failed to write, to cut or to flush is never used again, and the file is opened anew', async () => {
  for (const what of ['write', 'truncate', 'flush']) {
    const disk = new Disk()
    const store = await OpfsStore.open(disk)
    await make(store, 'a', 1, 2, 3)
    await store.syncNames()
    const [one, two] = [await store.open('a', false), await store.open('a', false)]
    if (one === undefined || two === undefined) throw new Error('no file')
    disk.fault = (asked) => (asked === what ? new Error('no') : undefined)
    const run = (): void => {
      store.write(one, 3, Uint8Array.of(4))
      store.truncate(one, 4)
      store.sync(one)
    }
    expect(run, what).toThrow('no')
    disk.fault = () => undefined
    for (const file of [one, two]) {
      expect(() => store.sync(file), what).toThrow('no')
      expect(() => store.read(file, 0, 9), what).toThrow('no')
    }
    const again = await store.open('a', false)
    if (again === undefined) throw new Error('no file')
    store.release(one)
    store.release(two)
    expect([...store.read(again, 0, 3)], what).toEqual([1, 2, 3])
    store.truncate(again, 3)
    store.sync(again)
  }
})

test('a short write is continued, and one that takes nothing is a full disk', async () => {
  const disk = new Disk()
  const store = await OpfsStore.open(disk)
  disk.fault = (what) => (what === 'write' ? 'short' : undefined)
  const bytes = [1, 2, 3, 4, 5, 6, 7, 8]
  // Half of one byte is none.
  await expect(make(store, 'a', ...bytes)).rejects.toMatchObject({ name: 'QuotaExceededError' })
  let writes = 0
  disk.fault = (what) => (what === 'write' && ++writes % 2 === 0 ? 'short' : undefined)
  await make(store, 'b', ...bytes)
  expect((await contentsOf(store)).b).toEqual(bytes)
})

test('names whose change fails stay as they were, and the next change lasts', async () => {
  for (const what of ['write', 'flush', 'create']) {
    const disk = new Disk()
    const store = await OpfsStore.open(disk)
    await make(store, 'a', 1)
    await store.syncNames()
    disk.fault = (asked) => (asked === what ? new DOMException('full', 'QuotaExceededError') : undefined)
    const failing = async (): Promise<void> => {
      await store.rename('a', 'b')
      await store.syncNames()
      if (what === 'create') await store.open('c', true)
    }
    await expect(failing(), what).rejects.toMatchObject({ name: 'QuotaExceededError' })
    disk.fault = () => undefined
    // A rename whose sync failed is made again, or back.
    if (what === 'write') expect(store.list()).toEqual(['a'])
    else await store.rename('b', 'a')
    await make(store, 'd', 4)
    await store.syncNames()
    const again = await OpfsStore.open(disk.after(() => 0))
    expect(await contentsOf(again), what).toEqual({ a: [1], d: [4] })
  }
})

test('names that damage took leave their files under other names', async () => {
  const flip = async (disk: Disk, which: (name: string) => boolean): Promise<Disk> => {
    const left = disk.after(() => 0)
    for (const [name, content] of left.contents) if (which(name)) content.seen[3] = (content.seen[3] ?? 0) ^ 1
    return left
  }
  const disk = new Disk()
  const store = await OpfsStore.open(disk)
  await make(store, 'a', 1)
  await make(store, 'b', 2)
  await store.syncNames()
  const damaged = await OpfsStore.open(await flip(disk, (name) => name.startsWith('names-')))
  const found = await contentsOf(damaged)
  expect(Object.keys(found).every((name) => name.startsWith('lost-'))).toBe(true)
  expect(Object.values(found).sort()).toEqual([[1], [2]])
  const bare = disk.after(() => 0)
  for (const name of ['names-0', 'names-1']) await bare.remove(name)
  expect(Object.values(await contentsOf(await OpfsStore.open(bare))).sort()).toEqual([[1], [2]])
})

test('a store that the browser cleared refuses everything once it is seen, and makes no new files', async () => {
  const disk = new Disk()
  const store = await OpfsStore.open(disk)
  const file = await store.open('a', true)
  if (file === undefined) throw new Error('no file')
  await store.check()
  disk.contents.clear()
  store.sync(file)
  const message = 'The browser removed what this page had stored.'
  await expect(store.check()).rejects.toThrow(message)
  await expect(store.check()).rejects.toThrow(message)
  for (const call of [() => store.sync(file), () => store.read(file, 0, 1), () => store.list()])
    expect(call).toThrow(message)
  for (const call of [store.open('b', true), store.remove('a'), store.rename('a', 'b'), store.syncNames()]) {
    await expect(call).rejects.toThrow(message)
  }
  expect(disk.contents.size).toBe(0)
})

test('what an older log left behind a newer one is not taken for its end', async () => {
  const turns = async (disk: Disk, lasted: (name: string) => void): Promise<void> => {
    let store = await OpfsStore.open(disk)
    await make(store, 'a', 1)
    await store.syncNames()
    lasted('a')
    // All first lines are of one length, so that the lines behind an older one stand where those behind a newer one will.
    for (let turn = 0; turn < 4; turn++) {
      store.close()
      store = await OpfsStore.open(disk)
      await store.syncNames()
      const [from, to] = turn % 2 === 0 ? ['a', 'b'] : ['b', 'a']
      await store.rename(from, to)
      await store.syncNames()
      lasted(to)
    }
  }
  const whole = new Disk()
  await turns(whole, () => undefined)
  for (let cutAt = 0; cutAt < whole.steps; cutAt++) {
    const disk = new Disk()
    disk.cutAt = cutAt
    let last = ''
    const cut = turns(disk, (name) => {
      last = name
    })
    await expect(cut).rejects.toBeInstanceOf(PowerCut)
    if (last === '') continue
    const store = await OpfsStore.open(disk.after((unsynced) => unsynced.length))
    const coming = last === 'a' ? 'b' : 'a'
    // The rename itself is one write, and it lasts with the next flush.
    const isRenamed = whole.log[cutAt - 1] === 'write' && whole.log[cutAt] === 'flush'
    expect(store.list(), `cut at ${cutAt}`).toEqual([isRenamed ? coming : last])
  }
})

test('many changes do not make the names long', async () => {
  const disk = new Disk()
  const store = await OpfsStore.open(disk)
  await make(store, 'a', 1)
  for (let round = 0; round < 3_000; round++)
    await store.rename(round % 2 === 0 ? 'a' : 'b', round % 2 === 0 ? 'b' : 'a')
  await store.syncNames()
  for (const name of ['names-0', 'names-1']) expect(disk.contents.get(name)?.seen.length).toBeLessThan(100_000)
  expect(await contentsOf(await OpfsStore.open(disk.after(() => 0)))).toEqual({ a: [1] })
})
