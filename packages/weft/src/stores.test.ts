import { afterEach, expect, test, vi } from 'vitest'
import { beginStore } from './stores.ts'

afterEach(() => {
  vi.unstubAllGlobals()
})

/** A browser of which nothing is asked but to open databases. */
const browser = () => {
  const connections = { opened: 0, closed: 0 }
  const open = () => {
    const request = { result: { close: () => connections.closed++ }, onsuccess: () => undefined }
    connections.opened++
    queueMicrotask(() => request.onsuccess())
    return request
  }
  vi.stubGlobal('indexedDB', { open })
  return connections
}

test('what a store begins with is there for one who opens it, and closed where nobody does', async () => {
  const connections = browser()
  const [taken, unused] = [beginStore('taken'), beginStore('unused')]
  const files = await taken.take()
  expect(taken.take()).toBe(undefined)
  taken.endUnused()
  unused.endUnused()
  expect(unused.take()).toBe(undefined)
  await new Promise((resolve) => void setImmediate(resolve))
  expect(connections).toEqual({ opened: 2, closed: 1 })
  files?.abandon()
  expect(connections.closed).toBe(2)
})

test('where the browser has no databases, whoever opens the store is told', async () => {
  vi.stubGlobal('indexedDB', undefined)
  const begun = beginStore('nowhere')
  beginStore('unused').endUnused()
  await expect(begun.take()).rejects.toMatchObject({ code: 'DiskError' })
})
