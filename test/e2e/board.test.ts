/** What a newcomer does: two browsers on one board, a server that dies and comes back, a reload without it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { joinByLink, linkFrom } from './board-page.ts'
import { joinBoard, openBrowser, openProfile, TestServer, watchErrors } from './stage.ts'

let browser: Browser
let server: TestServer
const errors: string[][] = []

beforeAll(async () => {
  browser = await openBrowser()
})
afterAll(() => browser.close())
beforeEach(async () => {
  server = await TestServer.start()
  errors.length = 0
})
afterEach(async () => {
  for (const context of browser.contexts()) await context.close()
  await server.remove()
  expect(errors.flat()).toEqual([])
})

/** Somebody in a browser of their own, on a new board or, with a link, on the one it leads to. */
const person = async (name: string, link?: string): Promise<Page> => {
  const page = await (await browser.newContext({ reducedMotion: 'reduce' })).newPage()
  errors.push(watchErrors(page))
  if (link === undefined) await joinBoard(page, server.url, name)
  else await joinByLink(page, link, name)
  return page
}

/** The first makes the board and shares it, the second comes by the link. */
const pair = async (): Promise<[ada: Page, bob: Page, link: string]> => {
  const ada = await person('Ada')
  await seed(ada)
  const link = await linkFrom(ada)
  return [ada, await person('Bob', link), link]
}

const seed = async (page: Page): Promise<void> => {
  await page.getByTestId('seed').click()
  await page.getByTestId('column').nth(2).waitFor()
}

const addCard = async (page: Page, title: string, column = 0): Promise<void> => {
  const input = page.getByTestId('add-card-input').nth(column)
  await input.fill(title)
  await input.press('Enter')
}

const cards = (page: Page): Promise<string[]> =>
  page
    .getByTestId('card-title')
    .evaluateAll((titles) =>
      titles
        .map((one) =>
          one instanceof HTMLInputElement || one instanceof HTMLTextAreaElement ? one.value : (one.textContent ?? ''),
        )
        .sort(),
    )

const until = (page: Page, titles: readonly string[]): Promise<void> =>
  expect.poll(() => cards(page), { timeout: 20_000, interval: 50 }).toEqual([...titles].sort())

const line = (page: Page, text: RegExp): Promise<void> =>
  expect.poll(() => page.getByTestId('status-line').textContent(), { timeout: 20_000, interval: 50 }).toMatch(text)

const openNotes = async (page: Page): Promise<void> => {
  await page.getByTestId('card').first().hover()
  await page.getByTestId('open-card').first().click()
  await page.getByTestId('notes-editor').waitFor()
}

const notes = (page: Page): Promise<string> =>
  page
    .getByTestId('notes-editor')
    .evaluate((editor) => [...editor.querySelectorAll('.cm-line')].map((one) => one.textContent ?? '').join('\n'))

describe('two people, one board', () => {
  test('what one adds the other sees, with the name and where it is saved', async () => {
    const [ada, bob] = await pair()
    await addCard(ada, 'Ship it')
    await until(bob, ['Ship it'])
    await line(ada, /Saved on the server/)
    expect(await bob.getByTestId('saved-dot').first().getAttribute('data-state')).toBe('authority')
    expect(await bob.getByTestId('last-change').first().getAttribute('title')).toContain('Ada')
    await bob.getByTestId('card-done').first().check()
    await expect.poll(() => ada.getByTestId('card-done').first().isChecked()).toBe(true)
  })

  test('both type into the notes of one card at once and end with the same text, each run whole', async () => {
    const [ada, bob] = await pair()
    await addCard(ada, 'Write together')
    await until(bob, ['Write together'])
    await Promise.all([openNotes(ada), openNotes(bob)])
    const [first, second] = [
      'The quick brown fox jumps over the lazy dog. ',
      'Pack my box with five dozen liquor jugs. ',
    ]
    await Promise.all([
      ada.getByTestId('notes-editor').pressSequentially(first, { delay: 15 }),
      bob.getByTestId('notes-editor').pressSequentially(second, { delay: 15 }),
    ])
    await expect
      .poll(async () => {
        const [here, there] = await Promise.all([notes(ada), notes(bob)])
        return here === there && here.length === first.length + second.length
      })
      .toBe(true)
    const text = await notes(ada)
    expect([...text].sort().join('')).toBe([...(first + second)].sort().join(''))
  })

  test('the caret stays where it was while the other types before it', async () => {
    const [ada, bob] = await pair()
    await addCard(ada, 'Caret')
    await until(bob, ['Caret'])
    await openNotes(ada)
    await ada.getByTestId('notes-editor').pressSequentially('end')
    await openNotes(bob)
    await expect.poll(() => notes(bob)).toBe('end')
    await bob.getByTestId('notes-editor').press('Control+Home')
    await bob.getByTestId('notes-editor').pressSequentially('begin ')
    await expect.poll(() => notes(ada)).toBe('begin end')
    await ada.getByTestId('notes-editor').pressSequentially('!')
    await expect.poll(() => notes(bob)).toBe('begin end!')
  })
})

describe('without the server', () => {
  test('killed while both edit, and started again: all edits are there', async () => {
    const [ada, bob, link] = await pair()
    await addCard(ada, 'Before')
    await until(bob, ['Before'])
    await Promise.all([addCard(ada, 'During A'), addCard(bob, 'During B'), server.end('SIGKILL')])
    const away = /Offline|Without the server/
    await Promise.all([line(ada, away), line(bob, away)])
    await addCard(ada, 'After A')
    await addCard(bob, 'After B')
    await until(ada, [...new Set([...(await cards(ada)), 'After A', 'During A', 'Before'])])
    await server.start()
    const all = ['Before', 'During A', 'During B', 'After A', 'After B']
    await Promise.all([until(ada, all), until(bob, all)])
    await Promise.all([line(ada, /Saved on the server/), line(bob, /Saved on the server/)])
    const carol = await person('Carol', link)
    await until(carol, all)
  })

  test('a reload while offline keeps what was edited', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'weft-profile-'))
    const profile = await openProfile(directory)
    try {
      const page = await profile.newPage()
      await joinBoard(page, server.url, 'Ada')
      await seed(page)
      await addCard(page, 'Online')
      await line(page, /Saved on the server/)
      await page.evaluate(async () => {
        await navigator.serviceWorker.ready
      })
      await server.end('SIGKILL')
      await line(page, /Offline/)
      await addCard(page, 'Offline')
      await line(page, /Offline/)
      await expect.poll(() => page.getByTestId('saved-dot').last().getAttribute('data-state')).toBe('local')
      await page.reload()
      await until(page, ['Online', 'Offline'])
      await server.start()
      await line(page, /Saved on the server/)
      await until(await person('Bob', await linkFrom(page)), ['Online', 'Offline'])
    } finally {
      await profile.close()
      await rm(directory, { recursive: true, force: true })
    }
  })
})

describe('one device', () => {
  test('two pages of one profile are one replica: the second shows what the first has, says the same of it, and goes on without it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'weft-profile-'))
    const profile = await openProfile(directory)
    try {
      const [one, two] = [await profile.newPage(), await profile.newPage()]
      await joinBoard(one, server.url, 'Ada')
      await seed(one)
      await addCard(one, 'From one')
      // The name and the board are remembered for the device.
      await two.goto(server.url)
      await until(two, ['From one'])
      await addCard(two, 'From two')
      await until(one, ['From one', 'From two'])
      for (const page of [one, two]) await line(page, /Saved on the server/)
      const stores = (): Promise<string[]> =>
        two.evaluate(async () =>
          (await indexedDB.databases())
            .flatMap(({ name }) => name ?? [])
            .filter((name) => !name.endsWith('-keys'))
            .sort(),
        )
      expect(await stores()).toEqual(['weft'])
      await server.end('SIGKILL')
      for (const page of [one, two]) await line(page, /Offline/)
      await one.close()
      await addCard(two, 'From two alone')
      await server.start()
      await two.goto(server.url)
      await until(two, ['From one', 'From two', 'From two alone'])
      await line(two, /Saved on the server/)
      expect(await stores()).toEqual(['weft'])
    } finally {
      await profile.close()
      await rm(directory, { recursive: true, force: true })
    }
  })

  test('a browser without storage runs in memory and says so', async () => {
    const page = await (await browser.newContext({ reducedMotion: 'reduce' })).newPage()
    errors.push(watchErrors(page))
    await page.addInitScript(() => {
      IDBFactory.prototype.open = () => {
        throw new DOMException('The user denied permission to access the database.', 'SecurityError')
      }
    })
    await joinBoard(page, server.url, 'Ada')
    await page.getByTestId('memory-warning').waitFor()
    await seed(page)
    await addCard(page, 'In memory')
    await line(page, /Saved on the server/)
    await until(await person('Bob', await linkFrom(page)), ['In memory'])
  })
})

describe('the server', () => {
  test('ends cleanly on SIGTERM and SIGINT', async () => {
    await person('Ada')
    expect(await server.end('SIGTERM')).toEqual({ code: 0, signal: null })
    await server.start()
    expect(await server.end('SIGINT')).toEqual({ code: 0, signal: null })
  })
})
