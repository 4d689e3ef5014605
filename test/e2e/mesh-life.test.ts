/**
 * What becomes of people's pages: frozen, stopped without a word, reloaded, killed. A browser freezes pages when it wants to, not when it is asked: here
 * the page is told so, its process is stopped, and it is told again when that goes on. (`tabs-frozen.test.ts` has Chromium freeze them.)
 */
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Members, untilCards, untilMet, untilSaved, write } from './members.ts'

let members: Members
let pages: Page[] = []
const cards: string[] = []

beforeAll(async () => {
  members = await Members.start()
  pages = await members.gather(3)
  await untilMet(pages, 2)
})
afterAll(() => members.end())

const three = (): [ada: Page, bob: Page, eve: Page] => {
  const [ada, bob, eve] = pages
  if (ada === undefined || bob === undefined || eve === undefined) throw new Error('somebody did not come')
  return [ada, bob, eve]
}
/** Process ids of a page's browser, by what they are for. */
const processes = async (page: Page, type: 'browser' | 'renderer'): Promise<number[]> => {
  const session = await page.context().browser()?.newBrowserCDPSession()
  const found = await session?.send('SystemInfo.getProcessInfo')
  return found?.processInfo.filter((one) => one.type === type).map(({ id }) => id) ?? []
}
const add = async (page: Page, title: string): Promise<void> => {
  await write(page, title)
  cards.push(title)
}
const levelAgain = async (): Promise<void> => {
  await untilCards(pages, ...cards)
  await untilMet(pages, pages.length - 1)
  await untilSaved(pages)
}

const told = (page: Page, what: string): Promise<void> =>
  page.evaluate((name) => void document.dispatchEvent(new Event(name)), what)

test.each([
  ['frozen', told],
  ['stopped without a word', async () => undefined],
])('who is %s is missed by the others, and level again afterwards', async (how, tell) => {
  const [ada, bob, eve] = three()
  const renderers = await processes(eve, 'renderer')
  await tell(eve, 'freeze')
  for (const id of renderers) process.kill(id, 'SIGSTOP')
  try {
    await add(ada, `While one is ${how}`)
    await untilCards([bob], ...cards)
    await untilMet([ada, bob], 1)
  } finally {
    for (const id of renderers) process.kill(id, 'SIGCONT')
  }
  await tell(eve, 'resume')
  await add(eve, `No more ${how}`)
  await levelAgain()
})

test('a page that is reloaded is the same member again, and nothing is doubled', async () => {
  const [ada, bob, eve] = three()
  const faces = (): Promise<string[]> => ada.getByTestId('people').getByTestId('face').allTextContents()
  const before = await faces()
  expect(before.length).toBe(2)
  await eve.reload()
  await add(bob, 'While one comes back')
  await levelAgain()
  await expect.poll(async () => (await faces()).sort(), { timeout: 20_000 }).toEqual(before.sort())
  await add(eve, 'By the one who came back')
  await levelAgain()
})

test('a reload without the server shows what was there, and the others go on', async () => {
  const [ada, bob, eve] = three()
  await members.server.end('SIGKILL')
  await eve.reload()
  await untilCards([eve], ...cards)
  await untilMet([ada, bob], 1)
  await add(ada, 'By two without the server')
  await untilCards([ada, bob], ...cards)
  await add(eve, 'By one alone')
  await members.server.start()
  await levelAgain()
})

test('a browser that is killed is missed, and the others go on without it and the server', async () => {
  const [ada, bob, eve] = three()
  for (const id of await processes(eve, 'browser')) process.kill(id, 'SIGKILL')
  pages = [ada, bob]
  await untilMet(pages, 1)
  await members.server.end('SIGKILL')
  await add(bob, 'After the death of one')
  await untilCards(pages, ...cards)
})
