/** Row F5: the demo in Chromium, on boards full of texts that would run if anything took them for markup. */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { anonymous, Database, limits, placeBetween, saved } from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import type { BrowserContext, Page } from 'playwright-core'
import { invitationHashOf } from '../../../demo/src/address.ts'
import { Card, Column, rules, schemas } from '../../../demo/src/shared.ts'
import { addCards, joinByLink } from '../../e2e/board-page.ts'
import { openBrowser, TestServer } from '../../e2e/stage.ts'
import { stream } from '../../sim/random.ts'
import { hostileTexts } from '../hostile-texts.ts'
import { mustHold, type Row } from '../row.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))

const newest = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((latest, entry) => Math.max(latest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0)

/** Builds page and server unless they stand there as new as their sources. */
const built = async (): Promise<void> => {
  const outcomes = ['demo/dist/index.html', 'signal-server/dist/main.js'].map((name) => join(root, name))
  const sources = [
    'demo/src',
    'signal-server/src',
    ...readdirSync(join(root, 'packages')).map((name) => `packages/${name}/src`),
  ]
  const changed = Math.max(
    ...sources.filter((name) => existsSync(join(root, name))).map((name) => newest(join(root, name))),
  )
  if (outcomes.every((path) => existsSync(path) && statSync(path).mtimeMs > changed)) return
  await new Promise<void>((resolve, reject) => {
    // A test runner calls itself NODE_ENV=test, and then the page would be built for development, without its service worker.
    const env = { ...process.env, NODE_ENV: 'production' }
    const child = spawn(process.execPath, ['.ci/build.mjs'], {
      cwd: root,
      env,
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    child.once('error', reject)
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`the build ended with ${code}`))))
  })
}

/** What a page must never do, as it happens. */
const watch = async (context: BrowserContext, seen: string[]): Promise<Page> => {
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      console.log(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`)
    })
  })
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  page.on('dialog', (dialog) => {
    seen.push(`dialog: ${dialog.message()}`)
    dialog.dismiss().catch(() => undefined)
  })
  page.on('console', (message) => {
    const text = message.text()
    if (text.startsWith('policy: ') || /Content Security Policy/i.test(text)) seen.push(text.slice(0, 200))
  })
  page.on('request', (request) => {
    if (request.url().includes('/through')) seen.push(`request: ${request.url()}`)
  })
  page.on('popup', (popup) => seen.push(`popup: ${popup.url()}`))
  return page
}

/** A client without a page, that writes whatever it likes. */
const author = async (url: string, name: string): Promise<Database> => {
  const [files, keys] = [memoryFiles(), memoryKeys()]
  const database = new Database({
    schemas,
    rules,
    runtime: nodeRuntime(),
    storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
    transports: [socketIoTransport({ url })],
    captureRate: 1_000,
  })
  await database.login(anonymous(name))
  return database
}

const { random } = nodeRuntime()
const namesAtOnce = 8
const isName = (text: string): boolean => text.trim() === text && Buffer.byteLength(text) <= limits.displayName

/** Writes texts into every field that a board shows, under names that are texts too; gives the way onto it. */
const fill = async (url: string, board: string, texts: readonly string[]): Promise<string> => {
  const people: Database[] = []
  for (const name of texts.filter(isName).slice(0, namesAtOnce)) people.push(await author(url, name))
  const [first] = people
  if (first === undefined) throw new Error('no texts')
  const repository = first.repository(`/board/${board}`)
  await repository.ready
  let place = ''
  const columns = texts.slice(0, 2).map((title, index) => {
    place = placeBetween(place || undefined, undefined, random)
    return repository.create(Column, { title, place }, { key: index === 0 ? 'first' : title.slice(0, 60) })
  })
  for (const column of columns) await saved(column, 'authority')
  // The first owns the board; the others come by an invitation, and the page after them.
  const code = await repository.invite('editor', { uses: people.length + 2 })
  for (const person of people.slice(1)) {
    await person.join(`/board/${board}`, code)
    await isIn(person, `/board/${board}`)
  }
  for (const [index, title] of texts.entries()) {
    const own = people[index % people.length] ?? first
    place = placeBetween(place || undefined, undefined, random)
    const mine = own.repository(`/board/${board}`)
    const card = mine.create(
      Card,
      { title, column: 'first', tags: [title.slice(0, 200)], notes: title, place },
      { key: `card-${index}` },
    )
    await saved(card, 'authority')
  }
  for (const person of people) await person.close()
  return `${url}/${invitationHashOf(board, code)}`
}

/** Resolves when the replica has what the server wrote of its person. */
const isIn = (person: Database, path: string): Promise<void> => {
  const repository = person.repository(path)
  return new Promise((resolve) => {
    const look = (): void => {
      if (!repository.members.some(({ owner }) => owner === person.person?.owner)) return
      stop()
      resolve()
    }
    const stop = repository.onChange(look)
    look()
  })
}

const paste = (page: Page, testId: string, html: string): Promise<void> =>
  page.getByTestId(testId).evaluate((node, text) => {
    const target = node.querySelector('[contenteditable]') ?? node
    const clipboardData = new DataTransfer()
    clipboardData.setData('text/html', text)
    clipboardData.setData('text/plain', text)
    target.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }))
  }, html)

/** Looks at a board and works on it as a person does; gives how many of the texts stand there as titles. */
const visit = async (page: Page, url: string, link: string, some: readonly string[]): Promise<number> => {
  const own = some.find(isName) ?? 'Ada'
  await joinByLink(page, link, own)
  await page
    .getByTestId('card')
    .nth(some.length - 1)
    .waitFor()
  const titles = await page
    .getByTestId('card-title')
    .evaluateAll((nodes) => nodes.map((node) => (node instanceof HTMLTextAreaElement ? node.value : '')))
  const shown = some.filter((text) => titles.includes(text.replaceAll('\n', ' ')) || titles.includes(text)).length
  for (let card = 0; card < some.length; card += 5) {
    await page.getByTestId('card').nth(card).focus()
    await page.keyboard.press('Enter')
    await page.getByTestId('card-panel').waitFor()
    await page.getByTestId('notes-editor').waitFor()
    await paste(page, 'notes-editor', some[card] ?? '')
    await page.keyboard.press('Escape')
    await page.getByTestId('card-panel').waitFor({ state: 'detached' })
  }
  await addCards(page, 0, ...some.slice(0, 4).map((text) => text.replaceAll('\n', ' ')))
  // The names of the people, in their list and in the history.
  await page.getByTestId('people').click()
  await page.getByTestId('member').nth(1).waitFor()
  await page.getByTestId('close-people').click()
  await page.getByTestId('me').click()
  await page.getByTestId('open-history').click()
  await page.getByTestId('history-row').first().waitFor()
  for (const text of some.slice(0, 3)) {
    await page.goto(`${url}/#/${encodeURIComponent(text)}`)
    await page.evaluate((hash) => {
      location.hash = `#/${hash}`
    }, text)
    await page.getByTestId('board').waitFor()
  }
  return shown
}

/** F5: `trials` texts, each as a title, tag, notes, name of a person, of a column and of a board, typed and pasted. */
export const hostileBoard: Row = async ({ trials: wanted, seed }) => {
  await built()
  const texts = stream(seed, 'texts').shuffle(hostileTexts).slice(0, wanted)
  const seen: string[] = []
  let [trials, shown] = [0, 0]
  const server = await TestServer.start()
  const browser = await openBrowser()
  try {
    for (let from = 0; from < texts.length; from += 16) {
      const some = texts.slice(from, from + 16)
      const board = `hostile-${from}`
      const link = await fill(server.url, board, some)
      const context = await browser.newContext()
      const page = await watch(context, seen)
      try {
        shown += await visit(page, server.url, link, some)
      } catch (error) {
        // A page that something ran in need not work any more.
        if (seen.length === 0) throw error
      }
      if (await page.evaluate(() => 'through' in globalThis)) seen.push(`ran on ${board}`)
      trials += some.length * 4 + 3
      await context.close()
    }
  } finally {
    await browser.close()
    await server.remove()
  }
  mustHold(shown >= texts.length * 0.9, `the page shows ${shown} of ${texts.length} texts`, seen.length)
  return { trials, violations: seen.length, texts: texts.length, shown, first: seen[0] ?? '' }
}
