/** Two people, each with a browser of their own: whom they see, how they are connected, and where the other one writes. */
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { addCards, joinByLink, linkFrom, openCard, seedColumns, untilDirect, untilLine } from './board-page.ts'
import { lookAllWays, unfocusedOf, watchPolicy } from './look.ts'
import { joinBoard, openBrowser, TestServer, watchErrors } from './stage.ts'

let server: TestServer
const browsers: Browser[] = []
const errors: string[][] = []
let ada: Page
let bob: Page

const person = async (name: string, link?: string): Promise<Page> => {
  const browser = await openBrowser()
  browsers.push(browser)
  const page = await (await browser.newContext({ reducedMotion: 'reduce' })).newPage()
  page.setDefaultTimeout(20_000)
  errors.push(watchErrors(page))
  await watchPolicy(page)
  if (link === undefined) await joinBoard(page, server.url, name)
  else await joinByLink(page, link, name)
  return page
}

const titles = (page: Page): Promise<string[]> =>
  page
    .getByTestId('card-title')
    .evaluateAll((cards) => cards.map((card) => (card instanceof HTMLTextAreaElement ? card.value : '')).sort())

const until = (page: Page, wanted: readonly string[]): Promise<void> =>
  expect.poll(() => titles(page), { timeout: 20_000, interval: 50 }).toEqual([...wanted].sort())

const openMesh = (page: Page): Promise<void> => page.getByTestId('mesh').click()
const closeMesh = async (page: Page): Promise<void> => {
  await page.getByTestId('close-mesh').click()
  await page.getByTestId('mesh-panel').waitFor({ state: 'detached' })
}
const pressSwitch = async (page: Page, label: string): Promise<void> => {
  await openMesh(page)
  await page.getByTestId('server-switch').filter({ hasText: label }).click()
  await closeMesh(page)
}
const notes = (page: Page) => page.getByTestId('notes-editor')
const faces = (page: Page) => page.getByTestId('people').getByTestId('face').allTextContents()
const caret = (page: Page) => page.getByTestId('other-caret')
const nameAtCaret = (page: Page): Promise<string | null> => page.locator('.cm-other-name').getAttribute('data-name')
/** What stands before the caret of the other, in the text of that page. */
const beforeCaret = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const [text, mark] = [document.querySelector('.cm-content'), document.querySelector('.cm-other-caret')]
    if (text === null || mark === null) return 'no caret'
    const range = document.createRange()
    range.setStart(text, 0)
    range.setEndBefore(mark)
    return range.toString()
  })

beforeAll(async () => {
  server = await TestServer.start()
  ada = await person('Ada Lovelace')
  await seedColumns(ada)
  await addCards(ada, 0, 'Write together')
  bob = await person('Bob', await linkFrom(ada))
  await bob.getByTestId('card').waitFor()
  for (const page of [ada, bob]) await untilDirect(page, 1)
})
afterEach(() => {
  expect(errors.flat()).toEqual([])
})
afterAll(async () => {
  for (const browser of browsers) await browser.close()
  await server.remove()
})

describe('who is here', () => {
  test('each sees the face of the other', async () => {
    await expect.poll(() => faces(ada), { timeout: 20_000 }).toEqual(['BBob'])
    await expect.poll(() => faces(bob), { timeout: 20_000 }).toEqual(['ALAda Lovelace'])
  })
})

describe('the panel', () => {
  test('shows the other with a direct path that is measured and level, in words and in the picture', async () => {
    await openMesh(ada)
    const row = ada.getByTestId('mesh-person')
    await row.and(ada.locator('[data-name=Bob][data-way=direct]')).waitFor()
    expect(await row.count()).toBe(1)
    await row.filter({ hasText: /Connected directly, (under 1|\d+) ms/ }).waitFor()
    await row.getByTestId('level').filter({ hasText: 'up to date' }).waitFor()
    await ada
      .getByTestId('mesh-server')
      .filter({ hasText: /Connected, (under 1|\d+) ms/ })
      .waitFor()
    const picture = ada.getByTestId('mesh-picture')
    expect(await picture.locator('[data-line=direct]').count()).toBe(1)
    expect(await picture.locator('[data-line=server]').count()).toBe(1)
    await lookAllWays(ada, '13-mesh', [
      '[data-testid=mesh-person] .says',
      '[data-testid=level]',
      '[data-testid=mesh-panel] .hint',
      '[data-testid=mesh-panel] figcaption span',
      '[data-testid=server-switch]',
    ])
    const { invisible, reached } = await unfocusedOf(ada)
    expect(invisible).toEqual([])
    expect(reached).toBeGreaterThan(1)
    await ada.keyboard.press('Escape')
    await ada.getByTestId('mesh-panel').waitFor({ state: 'detached' })
  })
})

describe('without the server, by one’s own choice', () => {
  test('what is written reaches the other, and the server when one is back', async () => {
    for (const page of [ada, bob]) {
      await pressSwitch(page, 'Leave the server')
      await untilLine(page, 'Without the server: 1 person connected directly')
    }
    await addCards(ada, 0, 'By Ada alone')
    await addCards(bob, 1, 'By Bob alone')
    for (const page of [ada, bob]) await until(page, ['Write together', 'By Ada alone', 'By Bob alone'])
    await openMesh(ada)
    await ada.locator('[data-testid=mesh-server][data-connected=false]').filter({ hasText: 'You left it' }).waitFor()
    await ada.getByTestId('mesh-server').filter({ hasText: 'not there yet' }).waitFor()
    expect(await ada.getByTestId('mesh-picture').locator('[data-line=server]').count()).toBe(0)
    expect(await ada.getByTestId('mesh-picture').locator('[data-line=direct]').count()).toBe(1)
    await lookAllWays(ada, '14-mesh-alone', ['[data-testid=mesh-server] .says', '[data-testid=mesh-server] .wait'])
    await closeMesh(ada)
    for (const page of [ada, bob]) {
      await pressSwitch(page, 'Use the server')
      await untilLine(page, 'Saved on the server')
    }
    // What the server says it has, it has.
    const eve = await person('Eve', await linkFrom(ada))
    await until(eve, ['Write together', 'By Ada alone', 'By Bob alone'])
    await eve.context().browser()?.close()
    await expect.poll(() => faces(ada), { timeout: 20_000 }).toEqual(['BBob'])
  })
})

describe('carets in the notes', () => {
  test('are shown where the other one writes, move with what both write, and go with the other one', async () => {
    for (const page of [ada, bob]) {
      await openCard(page, 'Write together')
      await notes(page).waitFor()
    }
    await notes(ada).click()
    await ada.keyboard.insertText('one two three')
    await expect.poll(() => notes(bob).textContent(), { timeout: 20_000 }).toBe('one two three')
    await expect.poll(() => beforeCaret(bob), { timeout: 20_000 }).toBe('one two three')
    expect(await nameAtCaret(bob)).toBe('Ada Lovelace')
    // A selection, from right to left.
    for (let count = 0; count < 'three'.length; count++) await ada.keyboard.press('Shift+ArrowLeft')
    await bob
      .locator('.cm-other-text')
      .filter({ hasText: /^three$/ })
      .waitFor()
    await expect.poll(() => beforeCaret(bob)).toBe('one two ')
    // Bob writes before it; his own caret shows at Ada's.
    await notes(bob).click()
    await bob.keyboard.press('Control+Home')
    await bob.keyboard.insertText('zero ')
    await expect.poll(() => beforeCaret(bob), { timeout: 20_000 }).toBe('zero one two ')
    await expect.poll(() => beforeCaret(ada), { timeout: 20_000 }).toBe('zero ')
    expect(await nameAtCaret(ada)).toBe('Bob')
    await lookAllWays(ada, '15-carets', ['.cm-other-name'])
    // Another field of the same card: no caret in the text any more, and back again.
    await bob.getByTestId('tag-input').click()
    await caret(ada).waitFor({ state: 'detached' })
    await notes(bob).click()
    await caret(ada).waitFor()
    await bob.getByTestId('close-panel').click()
    await caret(ada).waitFor({ state: 'detached' })
    await openCard(bob, 'Write together')
    await notes(bob).click()
    await caret(ada).waitFor()
    // Gone at once, without a word.
    await bob.context().browser()?.close()
    await caret(ada).waitFor({ state: 'detached' })
    await expect.poll(() => faces(ada), { timeout: 20_000 }).toEqual([])
  })
})
