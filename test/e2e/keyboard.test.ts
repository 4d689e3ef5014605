/** A board by keyboard, mouse and finger, each as the other browser sees it: one server, two people, a board for each test. */
import type { Browser, CDPSession, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import {
  addCards,
  cardNamed,
  joinAt,
  linkFrom,
  openBoard,
  openCard,
  openLink,
  type Shown,
  seedColumns,
  shown,
  untilShown,
} from './board-page.ts'
import { openBrowser, TestServer, watchErrors } from './stage.ts'

let browser: Browser
let server: TestServer
let ada: Page
let bob: Page
const errors: string[][] = []
let boards = 0
let board = ''
let link = ''

const person = async (name: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> => {
  const page = await (await browser.newContext({ reducedMotion: 'reduce', ...options })).newPage()
  errors.push(watchErrors(page))
  await joinAt(page, server.url, `lobby-of-${name.toLowerCase()}`, name)
  return page
}

beforeAll(async () => {
  ;[browser, server] = await Promise.all([openBrowser(), TestServer.start()])
  ;[ada, bob] = await Promise.all([person('Ada'), person('Bob')])
})
afterAll(async () => {
  await browser.close()
  await server.remove()
})
beforeEach(async () => {
  board = `board-${++boards}`
  await openBoard(ada, server.url, board)
  await seedColumns(ada)
  link = await linkFrom(ada)
  await openLink(bob, link)
})
// Each page's list goes on filling, so it is emptied and kept.
afterEach(() => expect(errors.flatMap((list) => list.splice(0))).toEqual([]))

const both = (show: Shown): Promise<void> => untilShown([ada, bob], show)
const three = (todo: readonly string[], doing: readonly string[] = [], done: readonly string[] = []): Shown => [
  ['To do', todo],
  ['Doing', doing],
  ['Done', done],
]
const fill = async (): Promise<void> => {
  await addCards(ada, 0, 'One', 'Two', 'Three')
  await both(three(['One', 'Two', 'Three']))
}

/** The title of the card that has the focus itself, not of one that holds the focused field. */
const focused = (page: Page): Promise<string | null> =>
  page.evaluate(() => {
    const active = document.activeElement
    return active?.hasAttribute('data-card')
      ? active.getAttribute('aria-label')
      : (active?.getAttribute('data-testid') ?? null)
  })
const heard = async (page: Page): Promise<string> => ((await page.getByTestId('announcer').textContent()) ?? '').trim()
const untilHeard = (page: Page, text: string): Promise<void> => expect.poll(() => heard(page)).toBe(text)
const untilFocused = (page: Page, name: string): Promise<void> => expect.poll(() => focused(page)).toBe(name)

describe('by keyboard', () => {
  test('a card moves within its column and across columns, keeps the focus and is announced', async () => {
    await fill()
    await cardNamed(ada, 'One').focus()
    const steps: [key: string, show: Shown, told: string][] = [
      ['Alt+ArrowDown', three(['Two', 'One', 'Three']), 'One moved to To do, 2 of 3'],
      ['Alt+ArrowDown', three(['Two', 'Three', 'One']), 'One moved to To do, 3 of 3'],
      ['Alt+ArrowDown', three(['Two', 'Three', 'One']), 'One is already at the edge'],
      ['Alt+ArrowUp', three(['Two', 'One', 'Three']), 'One moved to To do, 2 of 3'],
      ['Alt+ArrowRight', three(['Two', 'Three'], ['One']), 'One moved to Doing, 1 of 1'],
      ['Alt+ArrowRight', three(['Two', 'Three'], [], ['One']), 'One moved to Done, 1 of 1'],
      ['Alt+ArrowRight', three(['Two', 'Three'], [], ['One']), 'One is already at the edge'],
      ['Alt+ArrowLeft', three(['Two', 'Three'], ['One']), 'One moved to Doing, 1 of 1'],
      ['Alt+ArrowLeft', three(['One', 'Two', 'Three']), 'One moved to To do, 1 of 3'],
    ]
    for (const [key, show, told] of steps) {
      await ada.keyboard.press(key)
      await untilHeard(ada, told)
      await untilShown([ada], show)
      await untilFocused(ada, 'One')
    }
    await both(three(['One', 'Two', 'Three']))
  })

  test('arrows go from card to card; keys open, edit, finish, add, delete and restore', async () => {
    await fill()
    await addCards(ada, 1, 'Four')
    await ada.evaluate(() =>
      document.activeElement instanceof HTMLElement ? document.activeElement.blur() : undefined,
    )
    for (const [key, name] of [
      ['ArrowDown', 'One'],
      ['ArrowDown', 'Two'],
      ['ArrowRight', 'Four'],
      ['ArrowLeft', 'One'],
      ['ArrowUp', 'One'],
    ] as const) {
      await ada.keyboard.press(key)
      await untilFocused(ada, name)
    }
    await ada.keyboard.press('Space')
    await expect.poll(() => cardNamed(bob, 'One').getByTestId('card-done').isChecked()).toBe(true)
    await ada.keyboard.press('e')
    await ada.keyboard.type(' more')
    await ada.keyboard.press('Enter')
    await untilFocused(ada, 'One more')
    await ada.keyboard.press('Enter')
    await ada.getByTestId('card-panel').waitFor()
    expect(ada.url()).toMatch(new RegExp(`#/${board}/.`))
    await ada.keyboard.press('Escape')
    await ada.getByTestId('card-panel').waitFor({ state: 'detached' })
    await untilFocused(ada, 'One more')
    await both(three(['One more', 'Two', 'Three'], ['Four']))
    await ada.keyboard.press('Delete')
    await untilFocused(ada, 'Two')
    await both(three(['Two', 'Three'], ['Four']))
    await ada.keyboard.press('Control+z')
    await untilHeard(ada, 'Restored')
    await both(three(['One more', 'Two', 'Three'], ['Four']))
    await cardNamed(ada, 'Four').focus()
    await ada.keyboard.press('n')
    await ada.keyboard.type('Five')
    await ada.keyboard.press('Enter')
    await untilHeard(ada, 'Five added')
    await both(three(['One more', 'Two', 'Three'], ['Four', 'Five']))
  })

  test('a column moves from its title, with the focus, and ? shows the keys', async () => {
    await ada.getByTestId('column-title').nth(0).focus()
    await ada.keyboard.press('Alt+ArrowRight')
    await untilHeard(ada, 'To do moved to 2 of 3')
    await both([
      ['Doing', []],
      ['To do', []],
      ['Done', []],
    ])
    expect(
      await ada.evaluate(() =>
        document.activeElement instanceof HTMLInputElement ? document.activeElement.value : '',
      ),
    ).toBe('To do')
    await ada.keyboard.press('Alt+ArrowLeft')
    await both(three([]))
    await ada.keyboard.press('Escape')
    await ada.keyboard.press('?')
    await ada.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor()
    await ada.keyboard.press('Escape')
    await ada.getByRole('dialog', { name: 'Keyboard shortcuts' }).waitFor({ state: 'hidden' })
  })
})

interface Point {
  readonly x: number
  readonly y: number
}
const boxOf = async (page: Page, selector: string, at = 0) => {
  const box = await page.locator(selector).nth(at).boundingBox()
  if (box === null) throw new Error(`${selector} is not shown`)
  return box
}
/** A place on a card that is none of its fields and buttons. */
const grip = async (page: Page, title: string): Promise<Point> => {
  const box = await boxOf(page, `[data-testid=card][aria-label="${title}"]`)
  return { x: box.x + box.width / 2, y: box.y + box.height - 6 }
}
const above = async (page: Page, title: string): Promise<Point> => {
  const box = await boxOf(page, `[data-testid=card][aria-label="${title}"]`)
  return { x: box.x + box.width / 2, y: box.y + 3 }
}
const lowerPart = async (page: Page, column: number): Promise<Point> => {
  const box = await boxOf(page, '[data-testid=column]', column)
  return { x: box.x + box.width / 2, y: box.y + box.height - 10 }
}
const dragging = (page: Page, kind: string | undefined): Promise<void> =>
  expect.poll(() => page.evaluate(() => document.documentElement.dataset['dragging'])).toBe(kind)

describe('by mouse', () => {
  const drag = async (from: Point, to: Point, end = (): Promise<void> => ada.mouse.up()): Promise<void> => {
    await ada.mouse.move(from.x, from.y)
    await ada.mouse.down()
    await ada.mouse.move(from.x + 8, from.y + 8)
    await ada.mouse.move(to.x, to.y, { steps: 4 })
    expect(await ada.evaluate(() => document.querySelectorAll('.likeness').length)).toBe(1)
    await end()
    await dragging(ada, undefined)
    expect(await ada.evaluate(() => document.querySelectorAll('.likeness').length)).toBe(0)
  }

  test('a card is put elsewhere in its column and into another one', async () => {
    await fill()
    await drag(await grip(ada, 'Three'), await above(ada, 'One'))
    await both(three(['Three', 'One', 'Two']))
    await drag(await grip(ada, 'One'), await lowerPart(ada, 1))
    await both(three(['Three', 'Two'], ['One']))
    await drag(await grip(ada, 'Two'), await above(ada, 'One'))
    await both(three(['Three'], ['Two', 'One']))
    // The release is no click.
    expect(await ada.getByTestId('card-panel').count()).toBe(0)
  })

  test('Escape gives the card back', async () => {
    await fill()
    await drag(await grip(ada, 'Three'), await above(ada, 'One'), () => ada.keyboard.press('Escape'))
    await ada.mouse.up()
    expect(await shown(ada)).toEqual(three(['One', 'Two', 'Three']))
  })

  test('a column is put elsewhere by its head', async () => {
    await fill()
    const [first, last] = [await boxOf(ada, '[data-testid=column]', 0), await boxOf(ada, '[data-testid=column]', 2)]
    await drag({ x: first.x + first.width / 2, y: first.y + 8 }, { x: last.x + last.width - 20, y: last.y + 10 })
    await both([
      ['Doing', []],
      ['Done', []],
      ['To do', ['One', 'Two', 'Three']],
    ])
  })

  test('both drag at once: both end with one order, and no card is lost or doubled', async () => {
    await fill()
    const [from, to] = [await grip(ada, 'Three'), await above(ada, 'One')]
    await cardNamed(bob, 'Two').focus()
    // Bob's card leaves while Ada holds hers: before that, the card would go from under the mouse.
    await drag(from, to, async () => {
      await Promise.all([bob.keyboard.press('Alt+ArrowRight'), ada.mouse.up()])
    })
    await both(three(['Three', 'One'], ['Two']))
  })
})

describe('by finger', () => {
  let carol: Page
  let touch: CDPSession
  const finger = async (type: 'touchStart' | 'touchMove' | 'touchEnd', at?: Point): Promise<void> => {
    await touch.send('Input.dispatchTouchEvent', { type, touchPoints: at === undefined ? [] : [at] })
  }
  beforeEach(async () => {
    carol ??= await person('Carol', { hasTouch: true, isMobile: true, viewport: { width: 1000, height: 800 } })
    touch ??= await carol.context().newCDPSession(carol)
    await openLink(carol, link)
    await fill()
    await untilShown([carol], three(['One', 'Two', 'Three']))
  })

  const drag = async (from: Point, to: Point): Promise<void> => {
    await finger('touchStart', from)
    await dragging(carol, 'card')
    await finger('touchMove', { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 })
    await finger('touchMove', to)
    await finger('touchEnd')
    await dragging(carol, undefined)
  }

  test('a card that is held is put elsewhere in its column and into another one', async () => {
    await drag(await grip(carol, 'Three'), await above(carol, 'One'))
    await untilShown([carol, ada, bob], three(['Three', 'One', 'Two']))
    await drag(await grip(carol, 'One'), await lowerPart(carol, 1))
    await untilShown([carol, ada, bob], three(['Three', 'Two'], ['One']))
    expect(await carol.getByTestId('card-panel').count()).toBe(0)
  })

  test('a finger that moves at once scrolls and drags nothing; a tap opens the card', async () => {
    const from = await grip(carol, 'Three')
    await finger('touchStart', from)
    await finger('touchMove', { x: from.x, y: from.y - 30 })
    await finger('touchMove', { x: from.x, y: from.y - 90 })
    await finger('touchEnd')
    expect(await carol.evaluate(() => document.documentElement.dataset['dragging'])).toBeUndefined()
    const at = await grip(carol, 'Two')
    await carol.touchscreen.tap(at.x, at.y)
    await carol.getByTestId('card-panel').waitFor()
    expect(await carol.getByTestId('panel-title').inputValue()).toBe('Two')
    await carol.getByTestId('close-panel').tap()
    await carol.getByTestId('card-panel').waitFor({ state: 'detached' })
    expect(await shown(carol)).toEqual(three(['One', 'Two', 'Three']))
  })
})

const undo = async (page: Page): Promise<void> => {
  await page.getByTestId('toast-action').last().click()
  await untilHeard(page, 'Restored')
}

describe('what is on a board', () => {
  test('columns are added, renamed, deleted with their cards and brought back with them', async () => {
    await fill()
    await ada.getByTestId('add-column').click()
    await ada.keyboard.type('Later')
    await ada.keyboard.press('Enter')
    await ada.keyboard.press('Escape')
    await both([...three(['One', 'Two', 'Three']), ['Later', []]])
    await bob.getByTestId('column-title').nth(3).fill('Some day')
    await both([...three(['One', 'Two', 'Three']), ['Some day', []]])
    await ada.getByTestId('column-menu').nth(0).click()
    await ada.getByRole('menuitem', { name: 'Delete column' }).click()
    const rest: Shown = [
      ['Doing', []],
      ['Done', []],
      ['Some day', []],
    ]
    await both(rest)
    expect(await ada.getByTestId('toast').last().textContent()).toContain('Deleted “To do” with its 3 cards')
    await undo(ada)
    await both([...three(['One', 'Two', 'Three']), ['Some day', []]])
    await ada.getByTestId('column-menu').nth(1).click()
    await ada.getByRole('menuitem', { name: 'Move right' }).click()
    await both([
      ['To do', ['One', 'Two', 'Three']],
      ['Done', []],
      ['Doing', []],
      ['Some day', []],
    ])
  })

  test('a deleted card comes back with its notes and tags', async () => {
    await fill()
    await openCard(ada, 'Two')
    await ada.getByTestId('tag-input').fill('urgent, two words')
    await ada.getByTestId('tag-input').press('Enter')
    await ada.getByTestId('notes-editor').click()
    await ada.keyboard.type('Remember me')
    await ada.getByTestId('delete-card').click()
    await both(three(['One', 'Three']))
    await undo(ada)
    await both(three(['One', 'Two', 'Three']))
    await expect.poll(() => cardNamed(bob, 'Two').getByTestId('tag').allInnerTexts()).toEqual(['two words', 'urgent'])
    await openCard(bob, 'Two')
    await expect.poll(() => bob.getByTestId('notes-editor').textContent()).toBe('Remember me')
    await bob.keyboard.press('Escape')
  })

  test('tags are added and taken away by either', async () => {
    await fill()
    const tags = (page: Page) => cardNamed(page, 'One').getByTestId('tag').allInnerTexts()
    await openCard(ada, 'One')
    for (const tag of ['red', 'green', 'blue']) {
      await ada.getByTestId('tag-input').fill(tag)
      await ada.getByTestId('tag-input').press('Enter')
    }
    await expect.poll(() => tags(bob)).toEqual(['blue', 'green', 'red'])
    await openCard(bob, 'One')
    await bob.getByRole('button', { name: 'Remove tag green' }).click()
    await bob.getByTestId('tag-input').focus()
    await bob.keyboard.press('Backspace')
    await expect.poll(() => tags(ada)).toEqual(['blue'])
    await Promise.all([ada.keyboard.press('Escape'), bob.keyboard.press('Escape')])
  })

  test('a card that closes while the page goes to another board does not lead back', async () => {
    await fill()
    await openCard(ada, 'One')
    await ada.evaluate(() => {
      document.querySelector<HTMLDialogElement>('[data-testid=card-panel]')?.close()
      location.hash = '#/elsewhere'
    })
    await ada.waitForFunction(() => document.title.startsWith('Elsewhere'), undefined, { timeout: 5_000 })
  })

  test('a title over 500 bytes says so and is not saved; the rest of the card is', async () => {
    await addCards(ada, 0, 'Short')
    await both(three(['Short']))
    const long = 'x'.repeat(501)
    await ada.getByTestId('card-title').fill(long)
    await ada.getByTestId('title-problem').waitFor()
    expect(await ada.getByTestId('title-problem').textContent()).toContain('too long')
    await expect.poll(() => ada.getByTestId('status-line').getAttribute('data-tone')).toBe('refused')
    await ada.getByTestId('card-done').check()
    await expect.poll(() => bob.getByTestId('card-done').isChecked()).toBe(true)
    await untilShown([bob], three(['Short']))
    await untilShown([ada], three([long]))
    // 500 bytes are taken, also where they are fewer characters.
    const longest = 'ä'.repeat(250)
    await ada.getByTestId('card-title').fill(longest)
    await both(three([longest]))
    await ada.getByTestId('title-problem').waitFor({ state: 'detached' })
    await expect.poll(() => ada.getByTestId('status-line').textContent()).toMatch(/Saved on the server/)
  })
})

describe('the page', () => {
  test('the theme goes from the system to light to dark, and a reload keeps it', async () => {
    const page = await person('Dora', { colorScheme: 'light' })
    const canvas = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
    const light = await canvas()
    const toggle = page.getByTestId('theme-toggle')
    expect(await toggle.getAttribute('data-choice')).toBe('system')
    await page.emulateMedia({ colorScheme: 'dark' })
    await expect.poll(canvas).not.toBe(light)
    const dark = await canvas()
    const is = async (choice: string, colour: string): Promise<void> => {
      await expect
        .poll(async () => [await toggle.getAttribute('data-choice'), await canvas()])
        .toEqual([choice, colour])
    }
    await toggle.click()
    await is('light', light)
    await page.emulateMedia({ colorScheme: 'light' })
    await toggle.click()
    await is('dark', dark)
    await page.reload()
    await is('dark', dark)
    await toggle.click()
    await is('system', light)
    await page.context().close()
  })

  test('boards are apart; the menu, the address and the way back lead to them', async () => {
    await fill()
    await ada.getByTestId('board-title').click()
    await ada.getByTestId('board-input').fill(`Zweites Brett ${board}`)
    await ada.keyboard.press('Enter')
    await expect.poll(() => ada.url()).toMatch(`#/zweites-brett-${board}`)
    await ada.getByTestId('empty').waitFor()
    await seedColumns(ada)
    await addCards(ada, 2, 'Elsewhere')
    await openLink(bob, await linkFrom(ada))
    await both(three([], [], ['Elsewhere']))
    await ada.goBack()
    await untilShown([ada], three(['One', 'Two', 'Three']))
    await bob.getByTestId('board-title').click()
    await bob.getByRole('link', { name: new RegExp(`^${board.replace('-', ' ')}$`, 'i') }).click()
    await both(three(['One', 'Two', 'Three']))
  })

  test('what names no board leads to the one that was open last; a card that is not there says so', async () => {
    const home = board.replace('board-', 'Board ')
    for (const [hash, title] of [
      ['#/..', home],
      ['#///', home],
      ['#/!!!/x', home],
      ['#board', 'Board'],
      ['#/%E0%A4%A', 'E0 a4 a'],
    ] as const) {
      await ada.goto('about:blank')
      await ada.goto(`${server.url}/${hash}`)
      await ada.locator('[data-testid=board]:is([data-stage=empty], [data-stage=filled])').waitFor()
      expect(await ada.getByTestId('board-failure').count(), hash).toBe(0)
      expect(await ada.title(), hash).toBe(`${title} · Weft board`)
    }
    await ada.goto(`${server.url}/#/${board}/no-such-card`)
    await ada.getByTestId('card-panel').getByText('This card is not on the board').waitFor()
    await ada.keyboard.press('Escape')
    await ada.getByTestId('card-panel').waitFor({ state: 'detached' })
  })
})
