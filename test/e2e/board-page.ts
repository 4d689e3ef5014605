/** A board as a person has it before them: what is on it, and the ways to put something there. Used on any page that has joined. */
import type { Page } from 'playwright-core'
import { joinBoard } from './stage.ts'

const patience = { timeout: 20_000, polling: 30 }

/** Title of each column with the titles of its cards, in the order shown. */
export type Shown = readonly (readonly [column: string, cards: readonly string[]])[]

export const shown = (page: Page): Promise<Shown> =>
  page.getByTestId('column').evaluateAll((columns) =>
    columns.map((column) => {
      const titles = [...column.querySelectorAll<HTMLTextAreaElement>('[data-testid=card-title]')]
      const head = column.querySelector<HTMLInputElement>('[data-testid=column-title]')
      return [head?.value ?? '', titles.map((title) => title.value)] as const
    }),
  )

/** Waits until every one of the pages shows this. */
export const untilShown = async (pages: readonly Page[], board: Shown): Promise<void> => {
  const wanted = JSON.stringify(board)
  for (const page of pages) {
    // The page looks; what it sees is asked again for the sentence that says what is wrong.
    const seen = page.waitForFunction(
      (text) => {
        const columns = [...document.querySelectorAll('[data-testid=column]')].map((column) => {
          const titles = [...column.querySelectorAll<HTMLTextAreaElement>('[data-testid=card-title]')]
          const head = column.querySelector<HTMLInputElement>('[data-testid=column-title]')
          return [head?.value ?? '', titles.map((title) => title.value)]
        })
        return JSON.stringify(columns) === text
      },
      wanted,
      patience,
    )
    try {
      await seen
    } catch (cause) {
      throw new Error(`the board shows ${JSON.stringify(await shown(page))}, not ${wanted}`, { cause })
    }
  }
}

/** Goes to a board of its own, and waits until it is there. */
export const openBoard = async (page: Page, url: string, board: string): Promise<void> => {
  await page.goto(`${url}/#/${board}`)
  const title = board.replaceAll('-', ' ')
  const seen = page.waitForFunction(
    (start) =>
      document.title.toLowerCase().startsWith(start) &&
      document.querySelector('[data-testid=board]:is([data-stage=empty], [data-stage=filled])') !== null,
    `${title} `,
    patience,
  )
  try {
    await seen
  } catch (cause) {
    const shows = await page.evaluate(() => `${document.title}: ${document.body.textContent.slice(0, 500)}`)
    throw new Error(`${board} did not open; the page shows ${shows}`, { cause })
  }
}

/** Joins with a name on a board of its own. */
export const joinAt = async (page: Page, url: string, board: string, name: string): Promise<void> => {
  await joinBoard(page, `${url}/#/${board}`, name)
  await openBoard(page, url, board)
}

/** With as many people as that the page is connected straight. */
export const untilDirect = async (page: Page, people: number): Promise<void> => {
  await page.locator(`[data-testid=mesh][data-direct="${people}"]`).waitFor({ timeout: patience.timeout })
}

/** A link that brings others to the board that the page shows, with that role. */
export const linkFrom = async (page: Page, role: 'editor' | 'viewer' = 'editor'): Promise<string> => {
  await page.getByTestId('share').click()
  await page.getByTestId('invite-role').selectOption(role)
  await page.getByTestId('invite').click()
  const link = await page.getByTestId('invite-link').inputValue({ timeout: patience.timeout })
  await page.getByTestId('close-people').click()
  await page.getByTestId('people-panel').waitFor({ state: 'detached' })
  return link
}

/** The code leaves the address when it was changed for a role. */
const untilIn = async (page: Page): Promise<void> => {
  const isIn = (): boolean =>
    !location.hash.includes('/invite/') &&
    document.querySelector('[data-testid=board]:is([data-stage=empty], [data-stage=filled])') !== null
  await page.waitForFunction(isIn, undefined, patience)
}

/** Opens an invitation in a page that has joined, and waits until the board is there. */
export const openLink = async (page: Page, link: string): Promise<void> => {
  await page.goto(link)
  await untilIn(page)
}

/** Comes by an invitation as somebody new. */
export const joinByLink = async (page: Page, link: string, name: string): Promise<void> => {
  await joinBoard(page, link, name)
  await untilIn(page)
}

export const seedColumns = async (page: Page): Promise<void> => {
  await page.getByTestId('seed').click()
  await page.getByTestId('column').nth(2).waitFor()
}

export const addCards = async (page: Page, column: number, ...titles: readonly string[]): Promise<void> => {
  const input = page.getByTestId('add-card-input').nth(column)
  for (const title of titles) {
    await input.fill(title)
    await input.press('Enter')
  }
}

export const cardNamed = (page: Page, title: string) => page.locator(`[data-testid=card][aria-label="${title}"]`)

export const openCard = async (page: Page, title: string): Promise<void> => {
  await cardNamed(page, title).focus()
  await page.keyboard.press('Enter')
  await page.getByTestId('card-panel').waitFor()
}

export const untilLine = async (page: Page, start: string): Promise<void> => {
  await page.getByTestId('status-line').filter({ hasText: start }).waitFor({ timeout: patience.timeout })
}

/** The server is away, whoever else may be connected. */
export const untilAway = async (page: Page): Promise<void> => {
  await page.locator('[data-testid=status-line][data-tone=offline]').waitFor({ timeout: patience.timeout })
}
