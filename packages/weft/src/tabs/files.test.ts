import type { Files } from '@weft-db/engine'
import { memoryFiles } from '@weft-db/storage/memory'
import { describe, expect, test } from 'vitest'
import { TabFiles } from './files.ts'

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values)

const contentOf = async (files: Files, name: string): Promise<number[] | undefined> => {
  const file = await files.open(name, false)
  return file && [...(await file.read(0, await file.size()))]
}

const write = async (files: Files, name: string, content: Uint8Array): Promise<void> => {
  const file = await files.open(name, true)
  await file?.write(0, content)
  await file?.sync()
}

describe('the files of a tab that leads', () => {
  test('are the ones of the browser', async () => {
    const stored = memoryFiles()
    const files = new TabFiles(stored, async () => undefined)
    await write(files, 'a.log', bytes(1, 2))
    await files.rename('a.log', 'b.log')
    expect([await contentOf(stored, 'b.log'), await files.list()]).toEqual([[1, 2], ['b.log']])
    await files.remove('b.log')
    expect(await stored.list()).toEqual([])
  })

  test('are let go for good: what is still open takes what is written and stores nothing', async () => {
    const stored = memoryFiles()
    const files = new TabFiles(stored, async () => undefined)
    const open = await files.open('a.log', true)
    if (open === undefined) throw new Error('no file')
    await open.write(0, bytes(1, 2))
    files.letGo()
    expect(await open.write(2, bytes(3))).toBe(1)
    await open.sync()
    await open.truncate(0)
    await open.close()
    await files.remove('a.log')
    await files.rename('a.log', 'b.log')
    await write(files, 'c.log', bytes(4))
    expect([await stored.list(), await contentOf(stored, 'a.log')]).toEqual([['a.log'], [1, 2]])
    expect([await open.size(), [...(await open.read(0, 2))]]).toEqual([0, []])
  })
})

describe('files that are let go', () => {
  test('while they are read go on as the next leader has them, so that a log is opened whole', async () => {
    const stored = memoryFiles()
    await write(stored, 'a.log', bytes(1, 2, 3))
    const files = new TabFiles(stored, async () => bytes(1, 2, 3, 4))
    const file = await files.open('a.log', false)
    expect([...((await file?.read(0, 2)) ?? [])]).toEqual([1, 2])
    files.letGo()
    expect([...((await file?.read(2, 9)) ?? [])]).toEqual([3, 4])
    expect([await file?.size(), files.isLetGo]).toEqual([4, true])
  })

  test('in the middle of a read that then fails are read from the next leader', async () => {
    const stored = memoryFiles()
    await write(stored, 'a.log', bytes(1))
    let fail: (error: Error) => void = () => undefined
    const failing: Files = {
      ...stored,
      open: async () => ({
        ...(await stored.open('a.log', true)),
        size: async () => 1,
        write: async () => 0,
        sync: async () => undefined,
        truncate: async () => undefined,
        close: async () => undefined,
        read: () =>
          new Promise((_, reject) => {
            fail = reject
          }),
      }),
    }
    const files = new TabFiles(failing, async () => bytes(1, 2))
    const file = await files.open('a.log', false)
    const read = file?.read(0, 9)
    files.letGo()
    fail(new Error('the worker ended'))
    expect([...((await read) ?? [])]).toEqual([1, 2])
  })

  test('while they are opened are there, also where the next leader has none', async () => {
    const stored = memoryFiles()
    await write(stored, 'a.log', bytes(1))
    let isGone = false
    const failing: Files = {
      ...stored,
      open: async (name, create) => {
        const file = await stored.open(name, create)
        if (isGone) throw new Error('the worker ended')
        return file
      },
    }
    const files = new TabFiles(failing, async () => undefined)
    await files.open('a.log', false)
    isGone = true
    const opening = files.open('a.log', false)
    files.letGo()
    expect(await opening).toBeDefined()
    expect(await files.open('b.log', false)).toBeUndefined()
  })
})

describe('the files of a tab that works through another one', () => {
  test('are copies of the logs as the leader has them, made once, which go their own way', async () => {
    const asked: string[] = []
    const files = new TabFiles(undefined, async (name) => {
      asked.push(name)
      return name === 'there.log' ? bytes(1, 2, 3) : undefined
    })
    expect(await contentOf(files, 'there.log')).toEqual([1, 2, 3])
    await write(files, 'there.log', bytes(9))
    expect(await contentOf(files, 'there.log')).toEqual([9, 2, 3])
    expect(await contentOf(files, 'none.log')).toBeUndefined()
    expect(await contentOf(files, 'logout')).toBeUndefined()
    expect(asked).toEqual(['there.log', 'none.log'])
  })

  test('what was removed or replaced here is not copied again, and a copy that failed is tried again', async () => {
    let fails = true
    const files = new TabFiles(undefined, async () => {
      if (fails) throw new Error('no leader')
      return bytes(1)
    })
    await expect(files.open('a.log', false)).rejects.toThrow('no leader')
    fails = false
    expect(await contentOf(files, 'a.log')).toEqual([1])
    await write(files, 'marker', bytes(7))
    await files.rename('marker', 'a.log')
    expect(await contentOf(files, 'a.log')).toEqual([7])
    await files.remove('a.log')
    expect(await contentOf(files, 'a.log')).toBeUndefined()
  })
})
