/** Logging out in Chromium: after it the origin stores nothing of the person, neither content nor key, and a reload finds nobody. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { schema, text } from '@weft-db/engine'
import { serve } from '@weft-db/server'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildApp, workerAddress } from './app.ts'
import type {} from './page/logout.ts'
import { openBrowser, watchErrors } from './stage.ts'

let folder: string
let server: Awaited<ReturnType<typeof serve>>
let browser: Browser

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-logout-page-'))
  server = await serve({
    schemas: [schema('card', 1, { notes: text() })],
    data: join(folder, 'data'),
    port: 0,
    static: await buildApp(folder, 'logout.ts'),
  })
  browser = await openBrowser()
})
afterAll(async () => {
  await browser.close()
  await server.close()
  await rm(folder, { recursive: true })
})

test.each(['opfs', 'indexeddb'])(
  'no store of the origin holds anything of the person, and the next one starts with a key of its own (%s)',
  async (kind) => {
    const context = await browser.newContext()
    if (kind === 'indexeddb') await context.route(workerAddress, (route) => route.abort())
    const page = await context.newPage()
    const errors = watchErrors(page)
    const reload = async (): Promise<void> => {
      await page.goto(`${server.url.replace('127.0.0.1', 'localhost')}/?${kind}`)
      await page.waitForFunction(() => globalThis.page !== undefined)
    }
    await reload()
    await page.evaluate(() => globalThis.page.login('Adelaide Ampersand'))
    await page.evaluate(() => globalThis.page.write('what nobody else may read'))
    const person = await page.evaluate(() => globalThis.page.person())
    expect([person.storage, person.name]).toEqual([kind, 'Adelaide Ampersand'])
    const secrets = ['what nobody else may read', 'Adelaide Ampersand', String(person.owner), `/board/roadmap-${kind}`]
    const before = await page.evaluate(() => globalThis.page.look())
    expect(secrets.map((secret) => before.stored.includes(secret))).toEqual(secrets.map(() => true))
    expect(before.signers).toBe(1)

    // Before tabs shared a store, each had one, with a session of its own.
    const tab = await page.context().newPage()
    await tab.goto(`${page.url()}#-1`)
    await tab.waitForFunction(() => globalThis.page !== undefined)
    await tab.evaluate(() => globalThis.page.login('Of The Second Tab'))
    await tab.evaluate(() => globalThis.page.write('by the second tab'))
    await tab.close()
    await page.waitForFunction(async () => {
      const { held = [] } = await navigator.locks.query()
      return held.filter(({ name }) => name?.startsWith('weft logout')).length === 1
    })
    const both = await page.evaluate(() => globalThis.page.look())
    secrets.push('Of The Second Tab', 'by the second tab')
    expect([both.signers, ...secrets.map((secret) => both.stored.includes(secret))]).toEqual([
      2,
      ...secrets.map(() => true),
    ])

    await page.evaluate(() => globalThis.page.logout())
    const after = await page.evaluate(() => globalThis.page.look())
    expect(secrets.filter((secret) => after.stored.includes(secret))).toEqual([])
    expect(after.signers).toBe(0)
    // What stays is the root log: the look reaches files.
    expect(after.stored).toContain('/sys')

    await reload()
    const nobody = await page.evaluate(() => globalThis.page.person())
    expect(nobody).toEqual({ storage: kind, network: person.network })
    expect(await page.evaluate(() => globalThis.page.notes())).toEqual([])
    await page.evaluate(() => globalThis.page.login('Bea'))
    await page.evaluate(() => globalThis.page.write('by Bea'))
    const next = await page.evaluate(() => globalThis.page.person())
    expect([next.name, next.id === person.id, next.network]).toEqual(['Bea', false, person.network])
    const held = await page.evaluate(() => globalThis.page.notes())
    expect(held?.sort()).toEqual(['by Bea', 'by the second tab', 'what nobody else may read'])
    expect(errors).toEqual([])
  },
)
