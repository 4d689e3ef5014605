/**
 * Stores in a real browser: journals in the Origin Private File System that survive their worker, their page and their browser; which kind
 * of store an app gets, and what it is told; a quota that runs out and comes back.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { schema, text } from '@weft-db/engine'
import { serve } from '@weft-db/server'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { buildApp, workerAddress } from './app.ts'
import type {} from './page/storage.ts'
import { joinBoard, openBrowser, openProfile, TestServer } from './stage.ts'

let folder: string
let server: Awaited<ReturnType<typeof serve>>
let browser: Browser
let profile: BrowserContext
let url: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-storage-page-'))
  server = await serve({
    schemas: [schema('card', 1, { notes: text() })],
    data: join(folder, 'data'),
    port: 0,
    static: await buildApp(folder, 'storage.ts'),
  })
  url = server.url.replace('127.0.0.1', 'localhost')
  browser = await openBrowser()
  profile = await openProfile(join(folder, 'profile'))
})
afterEach(async () => {
  for (const context of browser.contexts()) await context.close()
})
afterAll(async () => {
  await Promise.all([browser.close(), profile.close()])
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const openPage = async (context: BrowserContext): Promise<Page> => {
  const page = await context.newPage()
  await load(page)
  return page
}

const load = async (page: Page): Promise<void> => {
  await page.goto(url)
  await page.waitForFunction(() => globalThis.storage !== undefined)
}

/** The worker ends as it would when the browser needs its memory: nobody is told. */
const endWorker = async (page: Page): Promise<void> => {
  const [worker] = page.workers()
  if (worker === undefined) throw new Error('no worker')
  await worker.evaluate(() => self.close())
}

const crash = async (victim: Page): Promise<void> => {
  const session = await victim.context().newCDPSession(victim)
  const crashed = new Promise<void>((resolve) => void victim.once('crash', () => resolve()))
  // It is never answered: who would answer is gone.
  session.send('Page.crash').catch(() => undefined)
  await crashed
  await victim.close()
}

describe('a journal in the Origin Private File System keeps what append resolved for', () => {
  /** A page that appends until that fails, and how far it has come. */
  const flood = async (name: string) => {
    const page = await openPage(profile)
    const acknowledged: number[] = []
    let heard = (): void => undefined
    await page.exposeFunction('acknowledge', (index: number) => {
      acknowledged.push(index)
      heard()
    })
    const ended = page.evaluate((journal) => {
      const { acknowledge } = globalThis as typeof globalThis & { acknowledge: (index: number) => void }
      return globalThis.storage.flood(journal, acknowledge)
    }, name)
    const failure = ended.then(
      (outcome) => outcome.failure,
      () => 'the page is gone',
    )
    const reached = async (count: number): Promise<void> => {
      while (acknowledged.length < count) {
        await new Promise<void>((resolve) => {
          heard = resolve
        })
      }
    }
    return { page, acknowledged, reached, failure }
  }

  const allOf = async (name: string, acknowledged: readonly number[]): Promise<void> => {
    const reader = await openPage(profile)
    const found = await reader.evaluate((journal) => globalThis.storage.look(journal), name)
    await reader.close()
    expect(found).toMatchObject({ header: [1, 2, 3], damage: 0, incidents: [] })
    expect(found.whole).toBeGreaterThan(Math.max(...acknowledged))
  }

  test('when its worker ends in the middle, and appends are rejected then', async () => {
    const { page, acknowledged, reached, failure } = await flood('ended')
    await reached(60)
    await endWorker(page)
    expect(await failure).toBe('DiskError')
    await page.close()
    await allOf('ended', acknowledged)
  })

  test('when its page crashes, again and again', async () => {
    for (let round = 0; round < 2; round++) {
      const { page, acknowledged, reached } = await flood('crashed')
      await reached(40)
      await crash(page)
      await allOf('crashed', acknowledged)
    }
  })

  test('when the browser is killed', async () => {
    const { page, acknowledged, reached } = await flood('killed')
    await reached(60)
    const session = await page.context().browser()?.newBrowserCDPSession()
    if (session === undefined) throw new Error('no browser')
    const { processInfo } = await session.send('SystemInfo.getProcessInfo')
    const main = processInfo.find(({ type }) => type === 'browser')
    if (main === undefined) throw new Error('no browser process')
    const gone = new Promise<void>((resolve) => void profile.once('close', () => resolve()))
    process.kill(main.id, 'SIGKILL')
    await gone
    profile = await openProfile(join(folder, 'profile'))
    await allOf('killed', acknowledged)
  })
})

describe('files in the Origin Private File System', () => {
  test('of a worker that ended refuse, and another worker opens them', async () => {
    const page = await openPage(profile)
    await page.exposeFunction('end', () => endWorker(page))
    const { codes, read } = await page.evaluate(() => {
      const { end } = globalThis as typeof globalThis & { end: () => Promise<void> }
      return globalThis.storage.afterEnd(end)
    })
    // To close what is gone is no failure.
    expect(codes).toEqual(['DiskError', 'DiskError', 'DiskError', 'DiskError', 'resolved', 'DiskError'])
    expect(read).toEqual([1, 2, 3])
    await page.close()
  })

  test('ask the worker by one message a turn, and for writes and the sync behind them by one in all', async () => {
    const page = await openPage(profile)
    expect(await page.evaluate(() => globalThis.storage.messages())).toEqual([1, 1])
    await page.close()
  })

  test('are locked by one tab, and by the next as soon as that one released them or crashed', async () => {
    const [one, two] = [await openPage(profile), await openPage(profile)]
    const take = (tab: Page): Promise<string> => tab.evaluate(() => globalThis.storage.lock('shared'))
    expect(await take(one)).toBe('resolved')
    expect(await take(two)).toBe('AlreadyOpen')
    await one.evaluate(() => globalThis.storage.release())
    expect(await take(two)).toBe('resolved')
    await crash(two)
    await expect.poll(() => take(one), { interval: 20 }).toBe('resolved')
    await one.close()
  })
})

describe('the store of an app', () => {
  let boards = 0
  beforeEach(() => void boards++)
  const start = (page: Page) => page.evaluate((path) => globalThis.storage.start(path), `/board/${boards}`)
  const notes = (page: Page) => page.evaluate(() => globalThis.storage.notes())
  const write = async (page: Page, text: string): Promise<void> => {
    await page.evaluate((one) => globalThis.storage.write(one), text)
    await page.waitForFunction(() => globalThis.storage.status().unacknowledged === 0)
  }
  const login = (page: Page) => page.evaluate(() => globalThis.storage.login())

  test('is in the Origin Private File System, in a private window too; it is asked for once to be kept, with the first write, and a reload finds it', async () => {
    const page = await browser.newContext().then((context) => context.newPage())
    await page.addInitScript(() => {
      const calls = { persist: 0 }
      Object.assign(globalThis, { calls })
      StorageManager.prototype.persist = async () => ++calls.persist > 0
      StorageManager.prototype.persisted = async () => calls.persist > 0
    })
    await load(page)
    expect(await page.evaluate(() => globalThis.storage.isPersistent())).toBe(false)
    expect(await start(page)).toEqual({ storage: 'opfs' })
    await login(page)
    await write(page, 'one')
    const calls = await page.evaluate(() => (globalThis as typeof globalThis & { calls: { persist: number } }).calls)
    expect(calls).toEqual({ persist: 1 })
    expect(await page.evaluate(() => globalThis.storage.isPersistent())).toBe(true)
    await load(page)
    expect(await start(page)).toEqual({ storage: 'opfs' })
    expect(await notes(page)).toEqual(['one'])
  })

  test('is in IndexedDB where the worker does not come, says why, and stays there', async () => {
    const page = await openPage(await browser.newContext())
    await page.route(workerAddress, (route) => route.abort())
    const { storage, reason } = await start(page)
    expect(storage).toBe('indexeddb')
    expect(reason).toContain('worker')
    await login(page)
    await write(page, 'in IndexedDB')
    await page.unroute(workerAddress)
    await load(page)
    expect(await start(page)).toEqual({
      storage: 'indexeddb',
      reason: 'the store was made in IndexedDB and stays there',
    })
    expect(await notes(page)).toEqual(['in IndexedDB'])
  })

  test('that cannot be reached is not replaced by an empty one: the page runs in memory and says what is missing', async () => {
    const page = await openPage(await browser.newContext())
    await start(page)
    await login(page)
    await write(page, 'out of reach')
    await page.route(workerAddress, (route) => route.abort())
    await load(page)
    const { storage, reason } = await start(page)
    expect(storage).toBe('memory')
    expect(reason).toContain('what this device holds is in files that cannot be opened')
    await page.unroute(workerAddress)
    await load(page)
    expect(await start(page)).toEqual({ storage: 'opfs' })
    expect(await notes(page)).toEqual(['out of reach'])
  })

  test('is in memory where the browser refuses locks, as it does in a frame without an origin', async () => {
    const page = await (await browser.newContext()).newPage()
    await page.addInitScript(() => {
      LockManager.prototype.request = () => Promise.reject(new DOMException('Access is denied.', 'SecurityError'))
    })
    await load(page)
    expect(await start(page)).toEqual({ storage: 'memory', reason: 'Access is denied.' })
    await login(page)
    await write(page, 'in memory')
  })

  test('is in IndexedDB at once on a page that is not secure', async () => {
    const page = await browser.newContext().then((context) => context.newPage())
    await page.addInitScript(() => {
      for (const name of ['locks', 'storage']) Object.defineProperty(navigator, name, { value: undefined })
    })
    await load(page)
    const { storage, reason } = await start(page)
    expect(storage).toBe('indexeddb')
    expect(reason).toContain('not served by https')
  })

  test('that the browser cleared behind its back says so, and takes nothing as stored', async () => {
    const context = await browser.newContext()
    const page = await openPage(context)
    await start(page)
    await login(page)
    await write(page, 'before')
    const session = await context.newCDPSession(page)
    await session.send('Storage.clearDataForOrigin', { origin: url, storageTypes: 'all' })
    // It is looked for once a second, while something is written.
    const isSeen = async (): Promise<boolean> => {
      await page.evaluate(() => globalThis.storage.write('after'))
      return page.evaluate(() => globalThis.storage.status().problem?.code === 'DiskError')
    }
    await expect.poll(isSeen, { interval: 100 }).toBe(true)
    expect((await page.evaluate(() => globalThis.storage.status())).unsaved).toBeGreaterThan(0)
    expect(await notes(page)).toContain('before')
  })

  test('that is full says so, keeps what cannot be stored, and stores it when there is room', async () => {
    const page = await openPage(profile)
    const session = await profile.newCDPSession(page)
    const quota = (quotaSize?: number) =>
      session.send('Storage.overrideQuotaForOrigin', { origin: url, ...(quotaSize !== undefined && { quotaSize }) })
    expect(await start(page)).toEqual({ storage: 'opfs' })
    await login(page)
    await write(page, 'before')
    await quota(1)
    await page.evaluate(() => globalThis.storage.writeLong(70))
    await page.waitForFunction(() => globalThis.storage.status().problem?.code === 'DiskFull')
    expect((await page.evaluate(() => globalThis.storage.status())).unsaved).toBeGreaterThan(0)
    expect(await notes(page)).toHaveLength(71)
    await quota()
    await page.waitForFunction(() => globalThis.storage.status().unsaved === 0)
    expect((await page.evaluate(() => globalThis.storage.status())).problem).toBeUndefined()
    await load(page)
    expect(await start(page)).toEqual({ storage: 'opfs' })
    expect(await notes(page)).toHaveLength(71)
    await page.close()
  })
})

test("the demo's build brings the worker along, under its Content-Security-Policy", async () => {
  const demo = await TestServer.start()
  try {
    const page = await (await browser.newContext()).newPage()
    await joinBoard(page, demo.url.replace('127.0.0.1', 'localhost'), 'Ada')
    const stored = await page.evaluate(async () => {
      const root = await navigator.storage.getDirectory()
      const sizes: number[] = []
      for await (const [name, store] of root.entries()) {
        if (store.kind !== 'directory' || name !== 'weft weft') continue
        for await (const file of store.values()) if (file.kind === 'file') sizes.push((await file.getFile()).size)
      }
      return sizes.filter((size) => size > 0).length
    })
    expect(stored).toBeGreaterThan(1)
  } finally {
    await demo.remove()
  }
})
