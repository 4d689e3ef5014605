/**
 * How the page looks in each of its states, on a screen and on a phone, light and dark: nothing sticks out, nothing is reported, text can
 * be read, what can be operated has a name and shows the focus. The pictures are in `output` for whoever wants to see them.
 */
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  addCards,
  joinAt,
  joinByLink,
  linkFrom,
  openBoard,
  openCard,
  openLink,
  seedColumns,
  untilAway,
  untilLine,
} from './board-page.ts'
import { look, unfocusedOf, watchPolicy } from './look.ts'
import { openBrowser, TestServer, watchErrors } from './stage.ts'

const long = 'Find out why the second page of the report is empty when it is printed from a phone in landscape'

let browser: Browser
let server: TestServer
/** Whoever has it may edit the board of the pictures. */
let link = ''
const errors: string[] = []

const open = async (options: BrowserContextOptions = {}): Promise<Page> => {
  const page = await (await browser.newContext({ reducedMotion: 'reduce', ...options })).newPage()
  const list = watchErrors(page)
  page.on('close', () => errors.push(...list))
  await watchPolicy(page)
  return page
}

/** Both put something on the board that all the pictures show. */
const furnish = async (): Promise<void> => {
  const [ada, bob] = [await open(), await open()]
  await joinAt(ada, server.url, 'launch', 'Ada Lovelace')
  await seedColumns(ada)
  await addCards(ada, 0, 'Write the release notes', long, 'Ask Grace about the logo')
  await addCards(ada, 2, 'Choose a name')
  await ada.getByTestId('card-done').last().check()
  await openCard(ada, 'Write the release notes')
  await ada.getByTestId('tag-input').fill('docs, release')
  await ada.getByTestId('tag-input').press('Enter')
  await ada.getByTestId('notes-editor').click()
  await ada.keyboard.insertText(
    'What is new:\n- notes that several people write at once\n- boards that work offline\n\nWho reads it first?',
  )
  await ada.keyboard.press('Escape')
  await untilLine(ada, 'Saved on the server')
  link = await linkFrom(ada)
  await joinByLink(bob, link, 'Bob')
  await bob.getByTestId('card').nth(3).waitFor()
  await addCards(bob, 1, 'Measure start-up on a slow phone', 'Translate into Portuguese')
  await untilLine(bob, 'Saved on the server')
  await Promise.all([ada.context().close(), bob.context().close()])
}

beforeAll(async () => {
  ;[browser, server] = await Promise.all([openBrowser(), TestServer.start()])
  await furnish()
})
afterAll(async () => {
  await browser.close()
  await server.remove()
})

const looks = (['light', 'dark'] as const).flatMap((colorScheme) => [
  { name: `wide-${colorScheme}`, options: { colorScheme, viewport: { width: 1280, height: 800 } } },
  {
    name: `phone-${colorScheme}`,
    options: { colorScheme, viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true },
  },
])
const pages = new Map<string, Page>()

const line = '[data-testid=status-line]'
const title = '[data-testid=card-title]'

describe.each(looks)('$name', ({ name, options }) => {
  test('the question for a name, an empty board, a full one, an open card', async () => {
    const page = await open(options)
    pages.set(name, page)
    await page.goto(`${server.url}/#/empty-${name}`)
    await page.getByTestId('name-input').waitFor()
    await look(page, `${name}-1-name`, ['.lead', '.hint'])
    await page.getByTestId('name-input').fill('Grace Hopper')
    await page.getByTestId('join').click()
    await page.getByTestId('name-input').waitFor({ state: 'detached' })
    await openBoard(page, server.url, `empty-${name}`)
    await page.getByTestId('seed').waitFor()
    await untilLine(page, 'Connected')
    await look(page, `${name}-2-empty`, [line, '[data-testid=empty] p'])
    await openLink(page, link)
    await page.getByTestId('card').nth(5).waitFor()
    await untilLine(page, 'Saved on the server')
    await look(page, `${name}-3-board`, [
      line,
      title,
      '.done',
      '[data-testid=tag]',
      '.count',
      '.when',
      '[data-testid=column-title]',
    ])
    const { invisible, reached } = await unfocusedOf(page)
    expect(invisible).toEqual([])
    expect(reached).toBeGreaterThan(20)
    await openCard(page, 'Write the release notes')
    await page.getByTestId('notes-editor').waitFor()
    await look(page, `${name}-4-card`, [
      '[data-testid=panel-title]',
      '.cm-line',
      '.row h3',
      '[data-testid=card-panel] footer .who',
    ])
    const inPanel = await unfocusedOf(page)
    expect(inPanel.invisible).toEqual([])
    expect(inPanel.reached).toBeGreaterThan(5)
    await page.keyboard.press('Escape')
    await page.getByTestId('card-panel').waitFor({ state: 'detached' })
  })

  test('memory alone', async () => {
    const page = await open(options)
    await page.addInitScript(() => {
      IDBFactory.prototype.open = () => {
        throw new DOMException('The user denied permission to access the database.', 'SecurityError')
      }
    })
    await joinByLink(page, link, 'Grace Hopper')
    await page.getByTestId('memory-warning').waitFor()
    await page.getByTestId('card').nth(5).waitFor()
    await look(page, `${name}-6-memory`, [
      line,
      title,
      '[data-testid=memory-warning]',
      '[data-testid=memory-warning] .reason',
    ])
    await page.close()
  })
})

test('offline, in all four', async () => {
  await server.end('SIGKILL')
  for (const { name } of looks) {
    const page = pages.get(name)
    if (page === undefined) throw new Error(`no page for ${name}`)
    await untilAway(page)
    await addCards(page, 0, 'Written on the train')
    await page.getByTestId('card').nth(6).waitFor()
    await look(page, `${name}-5-offline`, [line, title])
    await page.close()
  }
})

test('nothing was reported on any console', async () => {
  for (const context of browser.contexts()) await context.close()
  expect(errors).toEqual([])
})
