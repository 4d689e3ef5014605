/**
 * Who may do what on a board, as people meet it: an owner, an editor, a viewer and a stranger in browsers of their own. The tests follow one
 * another on one board, as such an afternoon would.
 */
import { readFile } from 'node:fs/promises'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  addCards,
  cardNamed,
  joinByLink,
  linkFrom,
  openCard,
  openLink,
  seedColumns,
  shown,
  untilAway,
  untilLine,
  untilShown,
} from './board-page.ts'
import { lookAllWays, unfocusedOf, watchPolicy } from './look.ts'
import { joinBoard, openBrowser, TestServer, watchErrors } from './stage.ts'

const mayOnlyLook = 'You can look at this board, but not change it. Ask its owner to make you an editor.'

let browser: Browser
let server: TestServer
let ada: Page
let bob: Page
let vera: Page
let board = ''
const links = { editor: '', viewer: '' }
const errors: string[][] = []

const open = async (): Promise<Page> => {
  const context = await browser.newContext({ reducedMotion: 'reduce', viewport: { width: 1280, height: 800 } })
  // Whoever is offline here is so: a neighbour would bring what they write to the server.
  await context.addInitScript(() => void Reflect.deleteProperty(globalThis, 'RTCPeerConnection'))
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  errors.push(watchErrors(page))
  await watchPolicy(page)
  return page
}

/** Takes one page off the net. What is connected stays so, so the server hangs up on everybody for a moment. */
const takeOffline = async (page: Page): Promise<void> => {
  await page.context().setOffline(true)
  await server.end('SIGKILL')
  await server.start()
  await untilAway(page)
}

const three = (todo: readonly string[]) =>
  [
    ['To do', todo],
    ['Doing', []],
    ['Done', []],
  ] as const
const toast = (page: Page, text: string): Promise<void> =>
  page.getByTestId('toast').filter({ hasText: text }).first().waitFor()
const openPeople = (page: Page): Promise<void> => page.getByTestId('people').click()
const closePeople = async (page: Page): Promise<void> => {
  await page.getByTestId('close-people').click()
  await page.getByTestId('people-panel').waitFor({ state: 'detached' })
}
const memberOf = (page: Page, name: string) => page.locator(`[data-testid=member][aria-label^="${name}, "]`)
const members = (page: Page): Promise<(string | null)[]> =>
  page.getByTestId('member').evaluateAll((list) => list.map((one) => one.getAttribute('aria-label')))

beforeAll(async () => {
  ;[browser, server] = await Promise.all([openBrowser(), TestServer.start()])
  ;[ada, bob, vera] = await Promise.all([open(), open(), open()])
  await joinBoard(ada, server.url, 'Ada Lovelace')
  await seedColumns(ada)
  await addCards(ada, 0, 'Write the release notes', 'Choose a name')
})
afterAll(async () => {
  await browser.close()
  await server.remove()
})

describe('coming to a board', () => {
  test('what is made here has a name that nobody guesses, and a link is copied for those who are invited', async () => {
    board = new URL(ada.url()).hash
    expect(board).toMatch(/^#\/roadmap\.[a-z2-7]{16}$/)
    await ada.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    links.editor = await linkFrom(ada)
    expect(await ada.evaluate(() => navigator.clipboard.readText())).toBe(links.editor)
    links.viewer = await linkFrom(ada, 'viewer')
    await Promise.all([joinByLink(bob, links.editor, 'Bob'), joinByLink(vera, links.viewer, 'Vera')])
    await untilShown([bob, vera], three(['Write the release notes', 'Choose a name']))
    expect(new URL(bob.url()).hash).toBe(board)
  })

  test('everybody sees who is on the board by name, also who has written nothing', async () => {
    await openPeople(ada)
    await expect.poll(() => members(ada)).toEqual(['Ada Lovelace, owner', 'Bob, editor', 'Vera, viewer'])
    expect(await ada.getByTestId('invitation').allInnerTexts()).toEqual([
      expect.stringContaining('19 uses left'),
      expect.stringContaining('19 uses left'),
    ])
    await lookAllWays(ada, '7-people', ['.does', '.hint', '.role', '.you', '[data-testid=invite]'])
    expect((await unfocusedOf(ada)).invisible).toEqual([])
    await closePeople(ada)
    await openPeople(vera)
    expect(await members(vera)).toEqual(['Vera, viewer', 'Ada Lovelace, owner', 'Bob, editor'])
    expect(await vera.getByTestId('member-role').count()).toBe(0)
    await closePeople(vera)
  })

  test('a stranger is told no more than that there may be no such board; a link that was withdrawn leads nowhere', async () => {
    const eve = await open()
    await eve.goto(`${server.url}/${board}`)
    await eve.getByTestId('name-input').fill('Eve')
    await eve.getByTestId('join').click()
    await eve.getByTestId('stranger').getByText('There is no such board, or you may not see it.').waitFor()
    expect(await eve.getByTestId('card').count()).toBe(0)
    expect(await eve.getByTestId('problem').count()).toBe(0)
    await lookAllWays(eve, '8-stranger', ['[data-testid=stranger] p', '[data-testid=own-board]'])
    await openPeople(ada)
    const viewers = ada.locator('[data-testid=invitation][data-role=viewer]')
    await viewers.getByTestId('withdraw').click()
    await viewers.waitFor({ state: 'detached' })
    await closePeople(ada)
    await eve.goto(links.viewer)
    await eve.getByTestId('stranger').getByText('This invitation does not work any more').waitFor()
    await eve.getByTestId('own-board').click()
    await eve.getByTestId('seed').waitFor()
    await eve.context().close()
  })
})

describe('a viewer', () => {
  test('finds nothing to change, and hears why when the keyboard tries', async () => {
    await vera.getByTestId('view-only').waitFor()
    expect(await vera.getByTestId('add-card-input').count()).toBe(0)
    expect(await vera.getByTestId('column-menu').count()).toBe(0)
    expect(await vera.getByTestId('share').count()).toBe(0)
    expect(await vera.getByTestId('card-title').first().getAttribute('readonly')).not.toBeNull()
    for (const key of ['Space', 'Delete', 'Alt+ArrowRight']) {
      await cardNamed(vera, 'Choose a name').focus()
      await vera.keyboard.press(key)
      await toast(vera, mayOnlyLook)
      await vera.getByRole('button', { name: 'Dismiss' }).click()
      await vera.getByTestId('toast').waitFor({ state: 'detached' })
    }
    await untilShown([vera, ada], three(['Write the release notes', 'Choose a name']))
    expect(await cardNamed(vera, 'Choose a name').getByTestId('card-done').isChecked()).toBe(false)
    await openCard(vera, 'Choose a name')
    await vera.getByTestId('notes-editor').click()
    await vera.keyboard.type('no')
    expect(await vera.getByTestId('notes-editor').textContent()).toBe('No notes')
    expect(await vera.getByTestId('tag-input').count()).toBe(0)
    await vera.keyboard.press('Escape')
    await cardNamed(vera, 'Choose a name').focus()
    await vera.keyboard.press('Space')
    await toast(vera, mayOnlyLook)
    await lookAllWays(vera, '9-viewer', [
      '[data-testid=view-only]',
      '[data-testid=toast] .text',
      '[data-testid=card-title]',
    ])
  })

  test('who is made an editor edits at once, without a reload', async () => {
    await openPeople(ada)
    await memberOf(ada, 'Vera').getByTestId('member-role').selectOption('editor')
    await memberOf(ada, 'Vera').and(ada.locator('[data-role=editor]')).waitFor()
    await closePeople(ada)
    await addCards(vera, 0, 'By Vera')
    await untilShown([ada, bob, vera], three(['Write the release notes', 'Choose a name', 'By Vera']))
    await untilLine(vera, 'Saved on the server')
  })
})

describe('who is put out', () => {
  test('reads what was there, is told who did it, and takes along what had not arrived', async () => {
    await takeOffline(bob)
    await untilLine(ada, 'Saved on the server')
    await addCards(bob, 1, 'Written on the train')
    await bob.getByTestId('card').nth(3).waitFor()
    await openPeople(ada)
    await memberOf(ada, 'Bob').getByTestId('remove-member').click()
    await ada.getByTestId('confirm-remove').click()
    await memberOf(ada, 'Bob').waitFor({ state: 'detached' })
    await closePeople(ada)
    await bob.context().setOffline(false)
    const banner = bob.getByTestId('removed')
    await banner.getByText('Ada Lovelace removed you from this board').waitFor()
    await expect.poll(() => banner.getAttribute('data-lost')).toBe('1')
    expect(await banner.textContent()).toContain('Written on the train')
    await untilShown([bob, ada], three(['Write the release notes', 'Choose a name', 'By Vera']))
    expect(await bob.getByTestId('add-card-input').count()).toBe(0)
    const [download] = await Promise.all([bob.waitForEvent('download'), bob.getByTestId('export').click()])
    expect(download.suggestedFilename()).toMatch(/-not-saved\.json$/)
    const exported: unknown = JSON.parse(await readFile(await download.path(), 'utf8'))
    expect(exported).toMatchObject({
      rejections: [{ code: 'RevokedBeforeSync', schema: 'card', content: { title: 'Written on the train' } }],
    })
    await lookAllWays(bob, '10-removed', [
      '[data-testid=removed] strong',
      '[data-testid=removed] li',
      '[data-testid=export]',
    ])
  })

  test('still sees it after a reload, and comes back by no old link', async () => {
    await bob.reload()
    await bob.getByTestId('removed').getByText('Ada Lovelace removed you from this board').waitFor()
    await untilShown([bob], three(['Write the release notes', 'Choose a name', 'By Vera']))
    await bob.goto(links.editor)
    await bob.getByTestId('stranger').getByText('This invitation does not work any more').waitFor()
    const link = await linkFrom(ada)
    await openLink(bob, link)
    await addCards(bob, 0, 'Back again')
    await untilShown([ada, bob], three(['Write the release notes', 'Choose a name', 'By Vera', 'Back again']))
  })
})

describe('who did what', () => {
  const rows = (page: Page) => page.getByTestId('history-row')

  test('is listed, the latest first, checked on this device; what does not count is struck through with the reason', async () => {
    for (const page of [ada, bob]) {
      await page.getByTestId('me').click()
      await page.getByTestId('open-history').click()
      await rows(page).first().waitFor()
    }
    const texts = await rows(ada).allInnerTexts()
    expect(texts[0]).toMatch(/Bob\s*editor\s*added the card “Back again”/)
    // It came with him when he came back, and is kept for whoever looks into it.
    expect(texts[1]).toMatch(/Bob\s*editor\s*added the card “Written on the train”/)
    expect(texts[2]).toMatch(/Vera\s*editor\s*added the card “By Vera”/)
    expect(texts.at(-1)).toMatch(/Ada Lovelace\s*owner\s*added the column “To do”/)
    await expect.poll(() => ada.getByTestId('verified').count()).toBe(texts.length)
    expect(await ada.getByTestId('not-verified').count()).toBe(0)
    for (const page of [ada, bob]) {
      const refused = page.locator('[data-testid=history-row][data-refused=true]')
      await expect
        .poll(() => refused.locator('.refused').allInnerTexts())
        .toEqual(['added the card “Written on the train”'])
      expect(await refused.textContent()).toContain('Access ended before this reached the server')
      await expect.poll(() => page.locator('[data-refused=false][data-covered=false]').count()).toBe(0)
    }
    await lookAllWays(bob, '11-history', ['.state', '.role', '.why', '[data-testid=history] header p'])
    await bob.getByTestId('back-to-board').click()
    await expect.poll(() => shown(bob)).toHaveLength(3)
  })
})

test('everybody sees where they are logged in', async () => {
  await bob.getByTestId('me').click()
  await bob.getByTestId('open-sessions').click()
  const sessions = bob.getByTestId('session')
  await expect
    .poll(() => sessions.allInnerTexts())
    .toEqual([expect.stringMatching(/This browser\s+From .+ to .+, certificate 1$/)])
  await lookAllWays(bob, '13-sessions', ['[data-testid=sessions-sheet] p', '[data-testid=sessions-sheet] .does'])
  await bob.getByTestId('close-sessions').click()
  await bob.getByTestId('sessions-sheet').waitFor({ state: 'detached' })
})

describe('logging out', () => {
  test('asks before it throws away what the server does not have, and then the next person is asked for a name', async () => {
    await vera.evaluate(async () => {
      await navigator.serviceWorker.ready
    })
    await takeOffline(vera)
    await addCards(vera, 2, 'Never sent')
    await untilAway(vera)
    const choose = async (): Promise<void> => {
      await vera.getByTestId('me').click()
      await vera.getByTestId('log-out').click()
      await vera.getByTestId('leave').click()
      await vera.getByTestId('log-out-sheet').getByText('Some of your work is not on the server').waitFor()
    }
    await choose()
    await vera.getByTestId('stay').click()
    await vera.getByTestId('log-out-sheet').waitFor({ state: 'detached' })
    expect(await vera.getByTestId('card-title').last().inputValue()).toBe('Never sent')
    await choose()
    await lookAllWays(vera, '12-log-out', ['[data-testid=log-out-sheet] p', '[data-testid=leave]'])
    await vera.getByTestId('leave').click()
    await vera.getByTestId('name-input').waitFor()
    expect(await vera.getByTestId('name-input').inputValue()).toBe('')
    expect(await vera.getByTestId('card').count()).toBe(0)
  })
})

test('nothing was reported on any console', () => {
  expect(errors.flat()).toEqual([])
})
