/**
 * Tabs that the browser itself freezes or keeps for the way back, and tabs that fall asleep without a word. All of them are in the background,
 * where browsers hold timers back.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { schema, text } from '@weft-db/engine'
import { serve } from '@weft-db/server'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { buildApp } from './app.ts'
import { PlainBrowser, type PlainTab } from './devtools.ts'
import { Front } from './front.ts'
import type {} from './page/tabs.ts'
import { Witness } from './witness.ts'

let folder: string
let server: Awaited<ReturnType<typeof serve>>
let front: Front
let browser: PlainBrowser
let witness: Witness
let boards = 0
const tabs: PlainTab[] = []
const ends: (() => Promise<void>)[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-tabs-frozen-'))
  const app = await buildApp(folder, 'watched-tabs.ts', 'watched-worker.ts')
  server = await serve({
    schemas: [schema('card', 1, { notes: text() })],
    data: join(folder, 'data'),
    port: 0,
    static: app,
  })
  await begin(true)
})
beforeEach(() => {
  boards++
})
afterEach(async () => {
  await Promise.all(tabs.splice(0).map((tab) => tab.close().catch(() => undefined)))
  expect(witness.clashes).toEqual([])
})
afterAll(async () => {
  for (const end of ends) await end()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

/** A browser in which somebody is logged in. `hasFiles`: whether it offers the Origin Private File System. */
const begin = async (hasFiles: boolean): Promise<void> => {
  front = await Front.before(server.url, { hasWorker: hasFiles })
  witness = new Witness()
  const own = witness
  front.onReport = (report) => own.hear(report)
  browser = await PlainBrowser.start(join(folder, hasFiles ? 'files' : 'chunks'))
  const [current, before] = [browser, front]
  ends.push(async () => {
    await current.close()
    await before.close()
  })
  const first = await openTab()
  await first.evaluate(() => globalThis.tabs.login('Ada'))
  await first.close()
}

const openTab = async (): Promise<PlainTab> => {
  const tab = await browser.open()
  tabs.push(tab)
  await tab.goto(front.url)
  await tab.evaluate(async (path) => {
    await globalThis.tabs.start(path)
    await globalThis.tabs.ready()
  }, `/board/${boards}`)
  return tab
}

const notes = (tab: PlainTab) => tab.evaluate(() => globalThis.tabs.notes())
const status = (tab: PlainTab) => tab.evaluate(() => globalThis.tabs.status())
const states = (tab: PlainTab) => tab.evaluate(() => globalThis.tabs.states())
const isBehind = (tab: PlainTab) => tab.evaluate(() => globalThis.tabs.isBehind())
const create = (tab: PlainTab, text: string) => tab.evaluate((one) => globalThis.tabs.create(one), text)
const write = (tab: PlainTab, text: string, level: 'local' | 'authority') =>
  tab.evaluate(({ text, level }) => globalThis.tabs.write(text, level), { text, level })
/** The page that holds the first lock whose name begins so. */
const holderOf = (tab: PlainTab, name: string) =>
  tab.evaluate(
    async (name) => (await navigator.locks.query()).held?.find((lock) => lock.name?.startsWith(name))?.clientId,
    name,
  )
/** Freezes the tab in the moment in which the lock is given to it. Gives who has the lock. */
const freezeWith = async (tab: PlainTab, name: string, witness: PlainTab): Promise<string> => {
  await tab.evaluate((name) => globalThis.tabs.askAsItFreezes(name), name)
  // Now and then it is given a moment before, and then at once to nobody any more.
  for (let tries = 0; tries < 50; tries++) {
    await tab.freeze()
    await expect.poll(() => holderOf(witness, 'weft-asleep'), patient).toBeDefined()
    const holder = await holderOf(witness, name)
    if (holder !== undefined) return holder
    await tab.resume()
  }
  throw new Error('the browser gives it to no page that is frozen')
}
const patient = { interval: 20, timeout: 10_000 }
const untilShown = (tab: PlainTab, texts: readonly string[]) =>
  expect.poll(() => notes(tab), patient).toEqual([...texts].sort())

describe('a tab that the browser freezes', () => {
  test('and that led gives the lead up at once, and goes on as one of the others when it wakes', async () => {
    const [one, two] = [await openTab(), await openTab()]
    await write(one, 'one', 'authority')
    await untilShown(two, ['one'])
    await one.freeze()
    const frozen = performance.now()
    await write(two, 'two', 'local')
    // It waits for no timer: in the background one would take a second.
    expect(performance.now() - frozen).toBeLessThan(3_000)
    await write(two, 'three', 'authority')
    expect(await notes(one)).toEqual(['one'])
    expect(await holderOf(two, 'weft-asleep')).toBeDefined()
    await one.resume()
    await untilShown(one, ['one', 'two', 'three'])
    expect(await isBehind(one)).toBe(true)
    await write(one, 'four', 'local')
    await untilShown(two, ['one', 'two', 'three', 'four'])
    await two.close()
    await write(one, 'five', 'authority')
    expect(await status(one)).toMatchObject({ storage: 'opfs', unsaved: 0 })
    expect(await one.evaluate(() => globalThis.tabs.incidents())).toEqual([])
  })

  test('keeps what was being written in it, and another tab stores that when it wakes', async () => {
    const [one, two] = [await openTab(), await openTab()]
    await write(one, 'one', 'authority')
    await create(one, 'half said')
    await one.freeze()
    await write(two, 'two', 'local')
    await one.resume()
    for (const tab of [one, two]) await untilShown(tab, ['one', 'half said', 'two'])
    await expect.poll(() => states(two), patient).toEqual(['authority', 'authority', 'authority'])
  })

  test('in the moment in which a lock is given to it keeps nobody from that lock', async () => {
    const [one, two] = [await openTab(), await openTab()]
    const given = await freezeWith(two, 'a lock', one)
    expect(given).toBe(await holderOf(one, 'weft-asleep'))
    await one.evaluate(() => globalThis.tabs.hold('a lock'))
    const holder = await holderOf(one, 'a lock')
    expect(holder).not.toBe(given)
    const woken = two.evaluate(() => globalThis.tabs.locksAwake())
    await two.resume()
    // What it asks for from here on it asks for without the mark.
    expect((await woken).filter((name) => name?.startsWith('weft-asleep') === true)).toEqual([])
    const again = two.evaluate(() => globalThis.tabs.hold('a lock'))
    // From a page that is awake nobody takes it, however often he looks.
    await two.evaluate(() => globalThis.tabs.looks(4))
    expect(await holderOf(one, 'a lock')).toBe(holder)
    await one.evaluate(() => globalThis.tabs.letGo())
    await again
    expect(await two.evaluate(() => globalThis.tabs.given())).toEqual([])
  })

  test('in the moment in which the lead is given to it does not keep it until somebody misses an answer', async () => {
    const [one, two] = [await browser.open(), await browser.open()]
    tabs.push(one, two)
    for (const tab of [one, two]) await tab.goto(front.url)
    await freezeWith(one, 'weft leader tabs', two)
    const looks = await two.evaluate(async (path) => {
      const { locks } = navigator
      const [query, request] = [locks.query.bind(locks), locks.request.bind(locks)]
      let looks = 0
      locks.query = () => {
        looks++
        return query()
      }
      const taken = new Promise<number>((resolve) => {
        locks.request = async (name: string, ...rest: unknown[]) => {
          if (name === 'weft leader tabs' && JSON.stringify(rest[0]) === '{"steal":true}') resolve(looks)
          return Reflect.apply(request, locks, [name, ...rest])
        }
      })
      await globalThis.tabs.start(path)
      return taken
    }, `/board/${boards}`)
    // The first look shows it. After two seconds it would be taken without one.
    expect(looks).toBeLessThan(4)
    expect(await status(two)).toMatchObject({ storage: 'opfs' })
  })

  test('at the same time as the others goes on alone when it wakes', async () => {
    const [one, two] = [await openTab(), await openTab()]
    await write(one, 'one', 'authority')
    await untilShown(two, ['one'])
    for (const [first, second] of [
      [one, two],
      [two, one],
      [one, two],
      [two, one],
    ] as const) {
      await first.freeze()
      await second.freeze()
      await first.resume()
      await write(first, 'alone', 'local')
      await second.resume()
    }
  })

  test('and that works through another one holds nobody up', async () => {
    const [one, two, three] = [await openTab(), await openTab(), await openTab()]
    await write(one, 'one', 'authority')
    await untilShown(two, ['one'])
    await two.freeze()
    await one.kill()
    await write(three, 'two', 'authority')
    await two.resume()
    await untilShown(two, ['one', 'two'])
  })
})

describe('a tab that was left for another page', () => {
  test('goes on where it was when the browser kept it, and its successor leads', async () => {
    const [one, two] = [await openTab(), await openTab()]
    await write(one, 'one', 'authority')
    await untilShown(two, ['one'])
    const lives = () =>
      two.evaluate(
        async () => (await navigator.locks.query()).held?.filter(({ name }) => /^weft tab /.test(name ?? '')).length,
      )
    expect(await lives()).toBe(2)
    await one.goto(`${front.url}?elsewhere`)
    await write(two, 'two', 'authority')
    // Some browsers take the locks of a page that they keep.
    expect(await lives()).toBe(1)
    expect(await one.back()).toBe(true)
    await untilShown(one, ['one', 'two'])
    expect([await isBehind(one), await isBehind(two)]).toEqual([true, true])
    await write(one, 'three', 'local')
    await untilShown(two, ['one', 'two', 'three'])
  })
})

describe('a tab that was left for another page, while the server is away', () => {
  test('says at no time that the server has what it does not have', async () => {
    const tab = await openTab()
    front.isAway = true
    await write(tab, 'one', 'local')
    await tab.goto(`${front.url}?elsewhere`)
    expect(await tab.back()).toBe(true)
    await tab.evaluate(() => globalThis.tabs.waits())
    await expect.poll(() => status(tab), patient).toMatchObject({ storage: 'opfs', unsaved: 0, unacknowledged: 1 })
    // It tells of the next change when it has told of all before.
    await write(tab, 'two', 'local')
    const waits = await tab.evaluate(() => globalThis.tabs.waits())
    expect(waits.at(-1)).toBe(2)
    expect(waits).not.toContain(0)
    front.isAway = false
    await write(tab, 'three', 'authority')
    expect((await status(tab)).unacknowledged).toBe(0)
  })
})

describe('a tab that falls asleep without a word', () => {
  test('and led loses the lead; the others go on without the store until it wakes', async () => {
    const [one, two, three] = [await openTab(), await openTab(), await openTab()]
    await write(one, 'one', 'authority')
    for (const tab of [two, three]) await untilShown(tab, ['one'])
    await one.stun()
    await create(two, 'two')
    await untilShown(three, ['one', 'two'])
    await expect
      .poll(() => status(three), patient)
      .toMatchObject({ storage: 'memory', connection: 'online', unacknowledged: 0 })
    expect((await status(three)).storageReason).toContain('another tab has the files open')
    // The server has it, and this device does not.
    expect(await states(two)).toEqual(['authority', 'draft'])
    await one.unstun()
    await expect.poll(() => status(two), patient).toMatchObject({ storage: 'opfs', unsaved: 0 })
    await expect.poll(() => states(two), patient).toEqual(['authority', 'authority'])
    await write(one, 'three', 'local')
    for (const tab of [one, two, three]) await untilShown(tab, ['one', 'two', 'three'])
    expect(await notes(await openTab())).toEqual(['one', 'three', 'two'])
  })
})

test('a tab is closed although its leader does not answer', async () => {
  const [one, two] = [await openTab(), await openTab()]
  await write(one, 'one', 'authority')
  await untilShown(two, ['one'])
  await one.stun()
  await two.evaluate(async () => {
    globalThis.tabs.create('nobody stores that')
    await globalThis.tabs.close()
  })
  await one.unstun()
  expect(await notes(one)).toContain('one')
})

describe('where files are in IndexedDB', () => {
  beforeAll(() => begin(false))

  test('a tab that is frozen while it stores holds no other one up', async () => {
    const [one, two] = [await openTab(), await openTab()]
    await write(one, 'one', 'authority')
    expect((await status(two)).storage).toBe('indexeddb')
    for (const [led, next] of [
      [one, two],
      [two, one],
    ] as const) {
      // It is frozen as it begins to write, and its transaction with it.
      const frozen = new Promise<void>((resolve, reject) => {
        front.onReport = async (report) => {
          witness.hear(report)
          if (!report.includes('"change"')) return
          front.onReport = (later) => witness.hear(later)
          await led.freeze().then(resolve, reject)
        }
      })
      const written = write(led, 'while it froze', 'local')
      await frozen
      await write(next, 'by another one', 'local')
      await led.resume()
      await written
      await untilShown(led, await notes(next))
    }
    expect((await notes(two)).length).toBe(5)
  })
})
