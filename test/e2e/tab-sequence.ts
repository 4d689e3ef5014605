/**
 * One random sequence of what happens to the tabs of a browser: they are opened, closed, frozen, left and returned to, woken, reloaded and
 * killed while a person writes in them. Nothing that was acknowledged may be missing afterwards. With the server there, in no tab and not at the
 * server. Without it, what the store has after all tabs or the browser died is all there is.
 */
import type { PlainBrowser, PlainTab } from './devtools.ts'
import type { Front } from './front.ts'
import type {} from './page/tabs.ts'

/** `stunned`: it had no warning, so that it may have the files. `away`: in the back-forward cache. */
type Sleep = 'frozen' | 'stunned' | 'away'

interface OpenTab {
  readonly page: PlainTab
  sleep: Sleep | undefined
}

const mostTabs = 4
const steps = 14

/** Numbers from 0 up to `below`, the same for one seed (mulberry32). */
export const randomOf = (seed: number): ((below: number) => number) => {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** A browser with a person logged in, and how it is started anew on the same profile after it was killed. */
export interface Stage {
  browser: PlainBrowser
  readonly front: Front
  start(): Promise<PlainBrowser>
}

export class Sequence {
  /** What was done, one word a step. */
  readonly script: string[] = []
  /** Texts whose writer was told that they are in this device's log. */
  readonly acknowledged: string[] = []
  /** What each tab shows in the end. */
  readonly shown: (readonly string[])[] = []
  readonly incidents: string[] = []
  readonly #stage: Stage
  readonly #path: string
  readonly #isOffline: boolean
  readonly #random: (below: number) => number
  #tabs: OpenTab[] = []
  readonly #dashes: Promise<void>[] = []
  #texts = 0

  constructor(stage: Stage, path: string, seed: number) {
    this.#stage = stage
    this.#path = path
    this.#isOffline = seed % 2 === 0
    this.#random = randomOf(seed)
  }

  async run(): Promise<void> {
    this.#stage.front.isAway = this.#isOffline
    await this.#open()
    await this.#write()
    for (let step = 0; step < steps; step++) {
      const dice = this.#random(24)
      if (dice < 5) await this.#write()
      else if (dice < 9) await this.#dash()
      else if (dice < 13) await this.#open()
      else if (dice < 15) await this.#freeze()
      else if (dice < 16) await this.#stun()
      else if (dice < 17) await this.#leave()
      else if (dice < 19) await this.#wake()
      else if (dice < 20) await this.#show()
      else if (dice < 21) await this.#reload()
      else if (dice < 22) await this.#close()
      else await this.#kill()
    }
    if (this.#isOffline) await this.#crash()
    for (const tab of this.#tabs) await this.#rouse(tab)
    await Promise.all(this.#dashes)
    if (this.#tabs.length === 0) await this.#open()
    for (const { page } of this.#tabs) this.shown.push(await this.#settled(page))
    const { page } = await this.#open(true)
    this.shown.push(await page.evaluate(() => globalThis.tabs.notes()))
    for (const tab of this.#tabs) await this.#part(tab)
    await Promise.all(this.#tabs.map((tab) => tab.page.close()))
  }

  /** Everything dies, and the server was never there: what is left is what this device stored. */
  async #crash(): Promise<void> {
    const wholly = this.#random(2) === 0
    this.script.push(wholly ? 'kill the browser' : 'kill all')
    if (wholly) {
      await this.#stage.browser.kill()
      this.#stage.browser = await this.#stage.start()
    } else await Promise.all(this.#tabs.map(({ page, sleep }) => (sleep === 'stunned' ? page.close() : page.kill())))
    this.#tabs = []
    const { page } = await this.#open()
    this.shown.push(await page.evaluate(() => globalThis.tabs.notes()))
    this.#stage.front.isAway = false
  }

  /** What a tab shows once all that was acknowledged is in it and at the server. */
  async #settled(page: PlainTab): Promise<string[]> {
    return page.evaluate((wanted) => globalThis.tabs.settled(wanted), [...this.acknowledged])
  }

  get #awake(): OpenTab | undefined {
    const awake = this.#tabs.filter(({ sleep }) => sleep === undefined)
    return awake[this.#random(Math.max(1, awake.length))]
  }

  get #any(): OpenTab | undefined {
    return this.#tabs[this.#random(Math.max(1, this.#tabs.length))]
  }

  #say(what: string, tab: OpenTab): void {
    this.script.push(`${what} ${this.#tabs.indexOf(tab)}`)
  }

  /** Its tab ends, and what it had to tell is heard before. */
  async #part({ page, sleep }: OpenTab): Promise<void> {
    if (sleep !== undefined) return
    this.incidents.push(...(await page.evaluate(() => globalThis.tabs.incidents())))
  }

  async #open(always = false): Promise<OpenTab> {
    const [first] = this.#tabs
    if (!always && first !== undefined && this.#tabs.length >= mostTabs) return first
    this.script.push('open')
    const tab: OpenTab = { page: await this.#stage.browser.open(), sleep: undefined }
    await this.#load(tab)
    this.#tabs.push(tab)
    return tab
  }

  async #load(tab: OpenTab): Promise<void> {
    await this.#unblock(tab)
    await tab.page.goto(this.#stage.front.url)
    await this.#begin(tab)
  }

  /** With nobody awake beside it, a tab waits for the files that a stunned one may have. */
  async #unblock(tab: OpenTab): Promise<void> {
    const others = this.#tabs.filter((other) => other !== tab)
    if (others.some(({ sleep }) => sleep === undefined)) return
    for (const other of others) if (other.sleep === 'stunned') await this.#rouse(other)
  }

  async #begin({ page }: OpenTab): Promise<void> {
    await page.evaluate(async (path) => {
      await globalThis.tabs.start(path)
      await globalThis.tabs.ready()
    }, this.#path)
  }

  /** Writes something, and waits until it is acknowledged. */
  async #write(): Promise<void> {
    const tab = this.#awake
    // While a stunned tab may have the files nothing is acknowledged.
    if (tab === undefined || this.#tabs.some(({ sleep }) => sleep === 'stunned')) return this.#dash()
    const text = `written ${this.#texts++}`
    this.#say('write', tab)
    await tab.page.evaluate((one) => globalThis.tabs.write(one, 'local'), text)
    this.acknowledged.push(text)
  }

  /** Writes something and does not wait: it counts if the page says so before it ends. */
  async #dash(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    const text = `dashed off ${this.#texts++}`
    this.#say('dash', tab)
    const written = tab.page.evaluate((one) => globalThis.tabs.write(one, 'local'), text)
    this.#dashes.push(
      written.then(
        () => void this.acknowledged.push(text),
        // The page ended first, or was left.
        () => undefined,
      ),
    )
    await tab.page.evaluate(() => globalThis.tabs.status())
  }

  async #freeze(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    this.#say('freeze', tab)
    tab.sleep = 'frozen'
    await tab.page.freeze()
  }

  async #stun(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    this.#say('stun', tab)
    tab.sleep = 'stunned'
    await tab.page.stun()
  }

  /** Follows a link in it, so that the browser may keep the page to return to. */
  async #leave(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    this.#say('leave', tab)
    await this.#part(tab)
    tab.sleep = 'away'
    await tab.page.goto(`${this.#stage.front.url}?elsewhere`)
  }

  async #wake(): Promise<void> {
    const tab = this.#tabs.find(({ sleep }) => sleep !== undefined)
    if (tab === undefined) return
    this.#say('wake', tab)
    await this.#rouse(tab)
  }

  async #rouse(tab: OpenTab): Promise<void> {
    const { page, sleep } = tab
    tab.sleep = undefined
    if (sleep === 'frozen') await page.resume()
    else if (sleep === 'stunned') await page.unstun()
    else if (sleep === 'away') {
      const isKept = await page.back()
      this.script.push(isKept ? 'return' : 'return too late')
      if (isKept) return
      await this.#unblock(tab)
      await this.#begin(tab)
    }
  }

  /** The others are behind it: their timers are held back. */
  async #show(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    this.#say('show', tab)
    await tab.page.show()
  }

  async #reload(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    this.#say('reload', tab)
    await this.#part(tab)
    await this.#load(tab)
  }

  async #close(): Promise<void> {
    const tab = this.#any
    if (tab === undefined) return
    this.#say('close', tab)
    await this.#part(tab)
    this.#tabs.splice(this.#tabs.indexOf(tab), 1)
    await tab.page.close()
  }

  async #kill(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    this.#say('kill', tab)
    await this.#part(tab)
    this.#tabs.splice(this.#tabs.indexOf(tab), 1)
    await tab.page.kill()
  }
}
