import { afterEach, expect, test, vi } from 'vitest'
import { opfsDirectory } from './opfs-directory.ts'

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

const held = new DOMException('held', 'NoModificationAllowedError')

/** A file system of which only what opening a file needs is there. */
const stub = (createSyncAccessHandle?: () => Promise<object>): string[] => {
  const made: string[] = []
  const getFileHandle = async () => ({ ...(createSyncAccessHandle && { createSyncAccessHandle }) })
  const getDirectoryHandle = async (name: string) => {
    made.push(name)
    return { getFileHandle }
  }
  vi.stubGlobal('navigator', { storage: { getDirectory: async () => ({ getDirectoryHandle }) } })
  return made
}

test('a file that a tab held which has just ended is waited for', async () => {
  vi.useFakeTimers()
  const handle = {}
  let tries = 0
  stub(async () => {
    if (++tries < 5) throw held
    return handle
  })
  const opened = opfsDirectory('a').then((directory) => directory.open('0'))
  await vi.advanceTimersByTimeAsync(100)
  expect(await opened).toBe(handle)
})

test('one that somebody keeps is given up, and what else goes wrong is told at once', async () => {
  vi.useFakeTimers()
  stub(() => Promise.reject(held))
  const refused = expect(opfsDirectory('a').then((directory) => directory.open('0'))).rejects.toBe(held)
  await vi.advanceTimersByTimeAsync(3_000)
  await refused
  const other = new DOMException('no', 'InvalidStateError')
  stub(() => Promise.reject(other))
  await expect((await opfsDirectory('a')).open('0')).rejects.toBe(other)
  stub()
  await expect((await opfsDirectory('a')).open('0')).rejects.toThrow('no synchronous access')
})

test('no name of a store leads elsewhere', async () => {
  const made = stub()
  for (const store of ['..', 'a/b', '../c']) await opfsDirectory(store)
  expect(made).toEqual(['weft ..', 'weft a%2Fb', 'weft ..%2Fc'])
})
