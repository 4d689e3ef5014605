/**
 * People on one board, each with a browser process of their own, and what is asked of all of them: whom they are connected with straight, and
 * which cards they see. Every wait is for what a page shows.
 */
import type { Browser, Page } from 'playwright-core'
import { expect } from 'vitest'
import { addCards, joinByLink, linkFrom, seedColumns } from './board-page.ts'
import { joinBoard, type Launch, openBrowser, TestServer, watchErrors } from './stage.ts'

/** Where a browser runs, when it is not simply started. */
export interface Place {
  readonly flags?: readonly string[]
  readonly command?: string
}

const patience = { timeout: 30_000, interval: 50 }

export class Members {
  readonly server: TestServer
  readonly #browsers: Browser[] = []
  readonly #errors: string[][] = []

  private constructor(server: TestServer) {
    this.server = server
  }

  static async start(launch?: Launch): Promise<Members> {
    return new Members(await TestServer.start(launch))
  }

  /** A page in a browser of its own. */
  async open({ flags, command }: Place = {}): Promise<Page> {
    const browser = await openBrowser(flags, command)
    this.#browsers.push(browser)
    const page = await (await browser.newContext({ reducedMotion: 'reduce' })).newPage()
    page.setDefaultTimeout(patience.timeout)
    this.#errors.push(watchErrors(page))
    return page
  }

  /** Somebody with a new board, and the link to it. */
  async found(name: string, place?: Place): Promise<[page: Page, link: string]> {
    const page = await this.open(place)
    await joinBoard(page, this.server.url, name)
    await seedColumns(page)
    return [page, await linkFrom(page)]
  }

  async follow(link: string, name: string, place?: Place): Promise<Page> {
    const page = await this.open(place)
    await joinByLink(page, link, name)
    return page
  }

  /** So many people on one board. */
  async gather(count: number): Promise<Page[]> {
    const [first, link] = await this.found('Ada')
    const others = Array.from({ length: count - 1 }, (_, number) => this.follow(link, `Person ${number + 1}`))
    return [first, ...(await Promise.all(others))]
  }

  /** Ends them all, and demands that no page reported an error. */
  async end(): Promise<void> {
    await Promise.all(this.#browsers.map((browser) => browser.close()))
    await this.server.remove()
    expect(this.#errors.flat()).toEqual([])
  }
}

export const write = (page: Page, title: string): Promise<void> => addCards(page, 0, title)

const titles = (page: Page): Promise<string[]> =>
  page
    .getByTestId('card-title')
    .evaluateAll((cards) => cards.map((card) => (card instanceof HTMLTextAreaElement ? card.value : '')).sort())

/** Waits until each of them shows these cards and no other, each once. */
export const untilCards = async (pages: readonly Page[], ...wanted: readonly string[]): Promise<void> => {
  for (const page of pages) await expect.poll(() => titles(page), patience).toEqual([...wanted].sort())
}

/** Waits until each of them is connected straight with so many. */
export const untilMet = async (pages: readonly Page[], others: number): Promise<void> => {
  for (const page of pages) await page.locator(`[data-direct="${others}"]`).first().waitFor()
}

/** Waits until each of them says that the server has everything. */
export const untilSaved = async (pages: readonly Page[]): Promise<void> => {
  for (const page of pages) await page.getByTestId('status-line').filter({ hasText: 'Saved on the server' }).waitFor()
}

/** Waits until each of them has noticed that the server is away. */
export const untilServerless = async (pages: readonly Page[]): Promise<void> => {
  for (const page of pages) await page.locator('[data-testid=status-line][data-tone=offline]').waitFor()
}
