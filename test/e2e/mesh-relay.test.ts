/** Two browsers that show their addresses to nobody, connected through a real coturn with the credentials that the server gives them. */
import { build } from 'esbuild'
import type { Page } from 'playwright-core'
import { afterEach, describe, expect, test } from 'vitest'
import { findTurnServer, TurnServer } from './coturn.ts'
import { Members } from './members.ts'
import type {} from './page/member.ts'
import type { TestServer } from './stage.ts'

const turnServer = findTurnServer()
if (turnServer === undefined)
  console.warn(
    'the mesh through relays is not tested: there is no turnserver; `apt-get install coturn`, or WEFT_TURNSERVER',
  )

const secret = 'what both servers know'
const bundle = async (): Promise<string> => {
  const { outputFiles } = await build({
    entryPoints: [new URL('page/member.ts', import.meta.url).pathname],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'es2023',
    conditions: ['weft-source', 'module'],
    logLevel: 'warning',
  })
  return outputFiles[0]?.text ?? ''
}

describe.runIf(turnServer !== undefined)('members that show their addresses to nobody', () => {
  const ending: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const end of ending.splice(0).reverse()) await end()
  })

  const start = async (told: string): Promise<[near: Page, far: Page, server: TestServer]> => {
    const turn = await TurnServer.start(turnServer ?? '', secret)
    ending.push(() => turn.end())
    const members = await Members.start({ environment: { WEFT_TURN: turn.url, WEFT_TURN_SECRET: told } })
    const script = await bundle()
    ending.push(() => members.end())
    const open = async (): Promise<Page> => {
      const page = await members.open()
      // The document is the server's own: one from nowhere would not be let near this machine.
      await page.route('**/assets/*.js', (route) => route.fulfill({ contentType: 'text/javascript', body: script }))
      await page.goto(members.server.url)
      await page.waitForFunction(() => globalThis.member !== undefined)
      return page
    }
    const [near, far] = await Promise.all([open(), open()])
    const code = await near.evaluate(() => member.come('Ada'))
    await far.evaluate((known) => member.come('Bob', known), code)
    return [near, far, members.server]
  }
  const untilPaths = async (pages: Page[], wanted: string): Promise<void> => {
    for (const page of pages)
      await page.waitForFunction((kind) => JSON.stringify(member.paths()) === JSON.stringify([kind]), wanted)
  }
  const untilTitles = async (pages: Page[], ...wanted: string[]): Promise<void> => {
    for (const page of pages)
      await expect.poll(() => page.evaluate(() => member.titles()), { timeout: 20_000 }).toEqual(wanted.sort())
  }

  test('meet through the relay, and go on through it with the server killed', async () => {
    const [near, far, server] = await start(secret)
    const pages = [near, far]
    await untilPaths(pages, 'relayed')
    await server.end('SIGKILL')
    for (const page of pages) await page.waitForFunction(() => !member.isOnline())
    await near.evaluate(() => member.write('There'))
    await untilTitles(pages, 'By the server', 'There')
    await far.evaluate(() => member.write('And back'))
    await untilTitles(pages, 'By the server', 'There', 'And back')
    await server.start()
    for (const page of pages) await page.waitForFunction(() => member.isOnline() && member.isSaved())
  })

  test('are told that the credentials are bad where the servers know different secrets, and go on through the server', async () => {
    const [near, far] = await start('something else')
    const pages = [near, far]
    await Promise.any(pages.map((page) => page.waitForFunction(() => member.paths().includes('bad credentials'))))
    await near.evaluate(() => member.write('There'))
    await far.evaluate(() => member.write('And back'))
    await untilTitles(pages, 'By the server', 'There', 'And back')
  })
})
