/** Two tabs of one browser: how long after the leader's renderer is killed the other one has stored something, and the server has it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { schema, text } from '@weft-db/engine'
import { serve } from '@weft-db/server'
import type { Page } from 'playwright-core'
import { buildApp } from './app.ts'
import type {} from './page/tabs.ts'

/** ms from the end of the leader. */
export interface Takeover {
  readonly local: number
  readonly authority: number
}

const atOnce = 500
const path = '/board/bench'

const openTab = async (newPage: () => Promise<Page>, url: string): Promise<Page> => {
  const page = await newPage()
  await page.goto(url)
  await page.waitForFunction(() => globalThis.tabs !== undefined)
  await page.evaluate((board) => globalThis.tabs.start(board), path)
  await page.evaluate(() => globalThis.tabs.ready())
  return page
}

const fill = async (page: Page, items: number): Promise<void> => {
  for (let from = 0; from < items; from += atOnce)
    await page.evaluate(
      async ([first, behind]) => {
        for (let item = first; item < behind - 1; item++) globalThis.tabs.create(`card ${item}`)
        await globalThis.tabs.write(`card ${behind - 1}`, 'authority')
      },
      [from, Math.min(items, from + atOnce)] as const,
    )
}

const write = async (page: Page, words: string, level: 'local' | 'authority', since: number): Promise<number> => {
  await page.evaluate(([one, to]) => globalThis.tabs.write(one, to), [words, level] as const)
  return performance.now() - since
}

const kill = async (victim: Page): Promise<void> => {
  const session = await victim.context().newCDPSession(victim)
  const crashed = new Promise<void>((resolve) => void victim.once('crash', () => resolve()))
  // It is never answered: who would answer is gone.
  session.send('Page.crash').catch(() => undefined)
  await crashed
}

/** Undefined where there is no Chromium. */
export const takeovers = async (items: number, rounds: number): Promise<Takeover[] | undefined> => {
  const stage = await import('./stage.ts').catch(() => undefined)
  if (stage === undefined) return undefined
  const folder = await mkdtemp(join(tmpdir(), 'weft-takeover-'))
  const server = await serve({
    schemas: [schema('card', 1, { notes: text() })],
    data: join(folder, 'data'),
    port: 0,
    static: await buildApp(folder, 'tabs.ts'),
  })
  const profile = await stage.openProfile(join(folder, 'profile'))
  try {
    const open = (): Promise<Page> => openTab(() => profile.newPage(), server.url.replace('127.0.0.1', 'localhost'))
    let leader = await open()
    await leader.evaluate(() => globalThis.tabs.login('Ada'))
    await fill(leader, items)
    await leader.evaluate(() => globalThis.tabs.close())
    await leader.close()
    leader = await open()
    const found: Takeover[] = []
    for (let round = 0; round < rounds; round++) {
      const next = await open()
      // Nothing of opening it is under way any more.
      await write(next, `before ${round}`, 'authority', 0)
      await kill(leader)
      const killed = performance.now()
      const local = await write(next, `stored ${round}`, 'local', killed)
      found.push({ local, authority: await write(next, `there ${round}`, 'authority', killed) })
      await leader.close()
      leader = next
    }
    return found
  } finally {
    await profile.close()
    await server.close()
    await rm(folder, { recursive: true, force: true })
  }
}
