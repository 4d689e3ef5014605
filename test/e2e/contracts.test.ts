/**
 * The contracts of the ports inside Chromium, over what a browser really has: its IndexedDB, Web Locks, WebCrypto and WebSocket. Each case
 * of a suite is a test of its own here. Then what only a browser can show: a page that crashes, a browser that is killed.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SigningKey } from '@weft-db/engine'
import { nodeRuntime } from '@weft-db/runtime/node'
import type { BrowserContext, Page } from 'playwright-core'
import { afterAll, describe, expect, test } from 'vitest'
import { Host } from './host.ts'
import type {} from './page/contracts.ts'
import { openPlain, openProfile, plainAddresses } from './stage.ts'

const host = await Host.start()
const directory = await mkdtemp(join(tmpdir(), 'weft-contracts-'))
let profile = await openProfile(join(directory, 'watched'), [plainAddresses])
const plain = await openPlain(join(directory, 'plain'), `${host.url}/#serve`)
afterAll(async () => {
  await Promise.all([profile.close(), plain.close()])
  await host.end()
  await rm(directory, { recursive: true, force: true })
})

const node = nodeRuntime()
const nodeKeys = new Map<string, SigningKey>()
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
const unhex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))

const offerNode = async (context: BrowserContext): Promise<void> => {
  await context.exposeFunction('nodeKey', async () => {
    const key = await node.generateKey()
    nodeKeys.set(hex(key.publicKey), key)
    return hex(key.publicKey)
  })
  await context.exposeFunction('nodeSign', async (publicKey: string, message: string) =>
    hex((await nodeKeys.get(publicKey)?.sign(unhex(message))) ?? new Uint8Array(0)),
  )
  await context.exposeFunction('nodeVerify', (publicKey: string, message: string, signature: string) =>
    node.verify(unhex(publicKey), unhex(message), unhex(signature)),
  )
}

const openPage = async (): Promise<Page> => {
  const page = await profile.newPage()
  await page.goto(host.url)
  await page.waitForFunction(() => globalThis.weft !== undefined)
  return page
}

await offerNode(profile)
const page = await openPage()
const names = await page.evaluate(() => weft.caseNames())
const run = (name: string): Promise<string | undefined> => page.evaluate((one) => weft.runCase(one), name)

describe('in Chromium', () => {
  for (const name of names.filter((one) => !one.startsWith('planted'))) {
    test(name, async () => {
      const failure = await (name.startsWith('socket.io') ? host.run(name) : run(name))
      if (failure !== undefined) throw new Error(failure)
    })
  }
})

describe('the runner in the page', () => {
  test('reports every planted failure with what was wrong, and nothing else', async () => {
    const told: Record<string, string> = {}
    for (const name of names) if (name.startsWith('planted')) told[name] = (await run(name)) ?? 'passed'
    expect(told).toEqual({
      'planted > wrong value': expect.stringContaining('to deeply equal'),
      'planted > wrong promise': expect.stringContaining('instead of rejecting'),
      'planted > wrong throw': expect.stringContaining('to throw an error'),
      'planted > wrong shape': expect.stringContaining('to deeply equal'),
      'planted > forgotten rejection': expect.stringContaining('nobody waits for this'),
      'planted > right': 'passed',
    })
  })

  test('has all suites: files thrice, the runtime with Node as the other side, signatures, keys twice, both transports', () => {
    const suites = new Map<string, number>()
    for (const name of names) {
      const suite = name.slice(0, name.indexOf(' > '))
      suites.set(suite, (suites.get(suite) ?? 0) + 1)
    }
    expect([...suites.keys()]).toEqual([
      'files: indexeddb',
      'files: opfs',
      'files: memory',
      'runtime: browser',
      'signatures: browser',
      'keys: indexeddb',
      'keys: memory',
      'keys: indexeddb of a browser',
      'socket.io from a page: transport contract',
      'webrtc in a page: transport contract',
      'planted',
    ])
    for (const kind of ['indexeddb', 'opfs']) expect(suites.get(`files: ${kind}`)).toBe(suites.get('files: memory'))
    expect(names).toContain('runtime: browser > signatures verify at node, and those of node here')
  })
})

/** A page that appends to the journal without end; `acknowledged` grows as appends resolve there. */
const flood = async (
  name: string,
): Promise<{ page: Page; acknowledged: number[]; reached: (count: number) => Promise<void> }> => {
  const writer = await openPage()
  const acknowledged: number[] = []
  let heard = (): void => undefined
  await writer.exposeFunction('acknowledge', (index: number) => {
    acknowledged.push(index)
    heard()
  })
  await writer.evaluate(async (journal) => {
    const { go } = await weft.openJournal(journal)
    const { acknowledge } = globalThis as typeof globalThis & { acknowledge: (index: number) => void }
    void go((index) => acknowledge(index))
  }, name)
  const reached = async (count: number): Promise<void> => {
    while (acknowledged.length < count) {
      await new Promise<void>((resolve) => {
        heard = resolve
      })
    }
  }
  return { page: writer, acknowledged, reached }
}

const whatIsThere = async (name: string) => {
  const reader = await openPage()
  const found = await reader.evaluate(async (journal) => {
    const opened = await weft.openJournal(journal)
    await opened.close()
    return opened.found
  }, name)
  await reader.close()
  return found
}

const allOf = async (name: string, acknowledged: readonly number[]): Promise<void> => {
  const found = await whatIsThere(name)
  expect(found).toMatchObject({ header: [1, 2, 3], damage: 0, incidents: [] })
  // Whole is in order and without gaps, so the number says that the last one acknowledged is there, and all before it.
  expect(found.whole).toBeGreaterThan(Math.max(...acknowledged))
}

describe('a journal over IndexedDB keeps what append resolved for', () => {
  test('when its page is closed without a word', async () => {
    const { page: writer, acknowledged, reached } = await flood('closed')
    await reached(60)
    await writer.close({ runBeforeUnload: false })
    await allOf('closed', acknowledged)
  })

  test('when its page goes elsewhere', async () => {
    const { page: writer, acknowledged, reached } = await flood('left')
    await reached(60)
    await writer.goto('about:blank')
    await allOf('left', acknowledged)
    await writer.close()
  })

  test('when its page crashes, again and again', async () => {
    for (let round = 0; round < 3; round++) {
      const { page: writer, acknowledged, reached } = await flood('crashed')
      await reached(40)
      await crash(writer)
      await allOf('crashed', acknowledged)
    }
  })

  test('when the browser is killed', async () => {
    const { page: writer, acknowledged, reached } = await flood('killed')
    await reached(60)
    const session = await writer.context().browser()?.newBrowserCDPSession()
    if (session === undefined) throw new Error('no browser')
    const { processInfo } = await session.send('SystemInfo.getProcessInfo')
    const main = processInfo.find(({ type }) => type === 'browser')
    if (main === undefined) throw new Error('no browser process')
    const gone = new Promise<void>((resolve) => void profile.once('close', () => resolve()))
    process.kill(main.id, 'SIGKILL')
    await gone
    profile = await openProfile(join(directory, 'watched'))
    await offerNode(profile)
    await allOf('killed', acknowledged)
  })
})

describe('the lock of a store', () => {
  test('excludes other tabs, and falls with its page', async () => {
    const [one, two] = [await openPage(), await openPage()]
    const take = (tab: Page): Promise<string> =>
      tab.evaluate(async () => {
        try {
          await (await weft.indexedDbFiles('shared')).lock()
          return 'taken'
        } catch (problem) {
          return problem instanceof weft.StorageError ? problem.code : String(problem)
        }
      })
    expect(await take(one)).toBe('taken')
    expect(await take(two)).toBe('AlreadyOpen')
    await crash(one)
    await expect.poll(() => take(two), { interval: 20 }).toBe('taken')
    await two.close()
  })
})

async function crash(victim: Page): Promise<void> {
  const session = await victim.context().newCDPSession(victim)
  const crashed = new Promise<void>((resolve) => void victim.once('crash', () => resolve()))
  // It is never answered: who would answer is gone.
  session.send('Page.crash').catch(() => undefined)
  await crashed
  await victim.close()
}
