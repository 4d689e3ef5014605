/** Makes docs/board.png: a board that two people share, as one of them sees it. Build the demo first (`npm run build`). */
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import { addCards, cardNamed, joinAt, joinByLink, linkFrom, openCard, seedColumns, untilLine } from './board-page.ts'
import { openBrowser, TestServer } from './stage.ts'

const picture = fileURLToPath(new URL('../../docs/board.png', import.meta.url))
const board = 'launch'

const tag = async (page: Page, card: string, tags: string, notes = ''): Promise<void> => {
  await openCard(page, card)
  if (tags !== '') {
    await page.getByTestId('tag-input').fill(tags)
    await page.getByTestId('tag-input').press('Enter')
  }
  if (notes !== '') {
    await page.getByTestId('notes-editor').click()
    await page.keyboard.insertText(notes)
  }
  await page.getByTestId('close-panel').click()
  await page.getByTestId('card-panel').waitFor({ state: 'detached' })
}

const [browser, server] = await Promise.all([openBrowser(), TestServer.start()])
try {
  const open = async (): Promise<Page> => {
    const look = { viewport: { width: 1280, height: 800 }, colorScheme: 'light', reducedMotion: 'reduce' } as const
    return (await browser.newContext(look)).newPage()
  }
  const [mira, jonas] = [await open(), await open()]
  await joinAt(mira, server.url, board, 'Mira Castell')
  await seedColumns(mira)
  await joinByLink(jonas, await linkFrom(mira), 'Jonas Ode')
  await jonas.getByTestId('column').nth(2).waitFor()
  // One after the other: cards that are put in one place at once may stand in either order.
  const cards: readonly (readonly [who: Page, column: number, title: string])[] = [
    [mira, 0, 'Invite the first twenty teams'],
    [mira, 0, 'Record a two-minute tour'],
    [mira, 0, 'Check the texts with a screen reader'],
    [jonas, 0, 'Load test with 500 people on one board'],
    [jonas, 0, 'Answer the questions on the forum'],
    [jonas, 1, 'Notes: show who is typing where'],
    [mira, 1, 'Write the announcement'],
    [jonas, 1, 'Import boards from a spreadsheet'],
    [mira, 1, 'Translate the help into Portuguese'],
    [jonas, 2, 'Keep working while the server is away'],
    [jonas, 2, 'Undo for deleted columns'],
    [mira, 2, 'Dark theme'],
    [mira, 2, 'Choose a name'],
  ]
  for (const [at, [who, column, title]] of cards.entries()) {
    await addCards(who, column, title)
    for (const page of [mira, jonas]) await page.getByTestId('card').nth(at).waitFor()
  }
  await tag(mira, 'Invite the first twenty teams', 'people')
  await tag(mira, 'Check the texts with a screen reader', 'accessibility')
  await tag(jonas, 'Load test with 500 people on one board', 'server')
  await tag(jonas, 'Notes: show who is typing where', 'editor, idea')
  await tag(jonas, 'Import boards from a spreadsheet', 'editor')
  await tag(mira, 'Dark theme', 'design')
  await tag(jonas, 'Keep working while the server is away', 'offline')
  await tag(mira, 'Translate the help into Portuguese', 'docs', 'Half of it is done.')
  for (const [who, title] of [
    [jonas, 'Keep working while the server is away'],
    [jonas, 'Undo for deleted columns'],
    [mira, 'Dark theme'],
    [mira, 'Choose a name'],
  ] as const) {
    await cardNamed(who, title).getByTestId('card-done').check()
  }
  const notes =
    'Boards that keep working.\n\n' +
    'For: teams that meet on trains, in basements, on ships.\n' +
    '- Everything is on your device; the server only keeps it safe\n' +
    '- Two people type in one text, and both keep what they typed\n'
  await tag(mira, 'Write the announcement', 'people, release', notes)
  await openCard(jonas, 'Write the announcement')
  await jonas.getByTestId('notes-editor').filter({ hasText: 'both keep what they typed' }).waitFor()
  await jonas.getByTestId('notes-editor').press('Control+End')
  await jonas.keyboard.insertText('- Leave whenever you want: the log is yours (Jonas: link to the format?)')
  await Promise.all([untilLine(mira, 'Saved on the server'), untilLine(jonas, 'Saved on the server')])
  await mira.getByTestId('card').first().focus()
  await mira.evaluate(() => (document.activeElement instanceof HTMLElement ? document.activeElement.blur() : undefined))
  await mira.mouse.move(1200, 780)
  await mira.waitForFunction(
    () => document.querySelectorAll('[data-testid=saved-dot]:not([data-state=authority])').length === 0,
  )
  await mira.screenshot({ path: picture, animations: 'disabled' })
} finally {
  await browser.close()
  await server.remove()
}
console.log(picture)
