/**
 * One random sequence of what happens to the tabs of a browser: they are opened, closed, frozen, woken, reloaded and killed while a person
 * writes in them. Nothing that was acknowledged may be missing afterwards, in any tab or at the server, and no log may be damaged.
 */
import type { BrowserContext, Page } from 'playwright-core'
import { Frozen } from './frozen.ts'
import type {} from './page/tabs.ts'

interface OpenTab {
  readonly page: Page
  frozen: Frozen | undefined
  /** It had no warning, so that it may have the files. */
  isStunned: boolean
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

export interface Outcome {
  /** What was done, one word a step. */
  readonly script: readonly string[]
  /** Texts whose writer was told that they are in this device's log. */
  readonly acknowledged: readonly string[]
  /** What each tab that was left shows in the end. */
  readonly shown: readonly (readonly string[])[]
  readonly incidents: readonly string[]
}

export class Sequence {
  readonly #profile: BrowserContext
  readonly #url: string
  readonly #path: string
  readonly #random: (below: number) => number
  readonly #tabs: OpenTab[] = []
  readonly #script: string[] = []
  readonly #acknowledged: string[] = []
  readonly #incidents: string[] = []
  readonly #dashes: Promise<void>[] = []
  #texts = 0

  constructor(profile: BrowserContext, url: string, seed: number) {
    this.#profile = profile
    this.#url = url
    this.#path = `/board/sequence-${seed}`
    this.#random = randomOf(seed)
  }

  async run(): Promise<Outcome> {
    await this.#open()
    await this.#write()
    for (let step = 0; step < steps; step++) {
      const dice = this.#random(20)
      if (dice < 5) await this.#write()
      else if (dice < 9) await this.#dash()
      else if (dice < 13) await this.#open()
      else if (dice < 15) await this.#freeze()
      else if (dice < 16) await this.#wake()
      else if (dice < 17) await this.#reload()
      else if (dice < 18) await this.#close()
      else await this.#kill()
    }
    for (const tab of this.#tabs) await this.#thaw(tab)
    await Promise.all(this.#dashes)
    if (this.#tabs.length === 0) await this.#open()
    const shown = await Promise.all(this.#tabs.map((tab) => this.#settled(tab)))
    const { page } = await this.#open(true)
    shown.push(await page.evaluate(() => globalThis.tabs.notes()))
    for (const tab of this.#tabs) this.#incidents.push(...(await tab.page.evaluate(() => globalThis.tabs.incidents())))
    await Promise.all(this.#tabs.map((tab) => tab.page.close()))
    return { script: this.#script, acknowledged: this.#acknowledged, shown, incidents: this.#incidents }
  }

  /** What a tab shows once all that was acknowledged is in it and at the server. */
  async #settled({ page }: OpenTab): Promise<string[]> {
    const wanted = [...this.#acknowledged]
    await page
      .waitForFunction(
        (texts) => {
          const shown = new Set(globalThis.tabs.notes())
          const { unsaved, unacknowledged } = globalThis.tabs.status()
          return unsaved + unacknowledged === 0 && texts.every((text) => shown.has(text))
        },
        wanted,
        { timeout: 15_000 },
      )
      .catch(() => undefined)
    return page.evaluate(() => globalThis.tabs.notes())
  }

  get #awake(): OpenTab | undefined {
    const awake = this.#tabs.filter(({ frozen }) => frozen === undefined)
    return awake[this.#random(Math.max(1, awake.length))]
  }

  get #any(): OpenTab | undefined {
    return this.#tabs[this.#random(Math.max(1, this.#tabs.length))]
  }

  #drop(tab: OpenTab): void {
    this.#tabs.splice(this.#tabs.indexOf(tab), 1)
  }

  async #open(always = false): Promise<OpenTab> {
    const [first] = this.#tabs
    if (!always && first !== undefined && this.#tabs.length >= mostTabs) return first
    this.#script.push('open')
    const page = await this.#profile.newPage()
    const tab: OpenTab = { page, frozen: undefined, isStunned: false }
    await this.#load(tab)
    this.#tabs.push(tab)
    return tab
  }

  async #load(tab: OpenTab): Promise<void> {
    const { page } = tab
    // With nobody awake beside it, a tab waits for the files that a stunned one may have.
    const others = this.#tabs.filter((other) => other !== tab)
    if (!others.some(({ frozen }) => frozen === undefined))
      for (const other of others) if (other.isStunned) await this.#thaw(other)
    await page.goto(this.#url)
    await page.waitForFunction(() => globalThis.tabs !== undefined)
    await page.evaluate(async (path) => {
      await globalThis.tabs.start(path)
      await globalThis.tabs.ready()
    }, this.#path)
  }

  /** Writes something, and waits until it is acknowledged. */
  async #write(): Promise<void> {
    const tab = this.#awake
    // While a stunned tab may have the files nothing is acknowledged.
    if (tab === undefined || this.#tabs.some(({ isStunned }) => isStunned)) return this.#dash()
    const text = `written ${this.#texts++}`
    this.#script.push(`write ${this.#tabs.indexOf(tab)}`)
    await tab.page.evaluate((one) => globalThis.tabs.write(one, 'local'), text)
    this.#acknowledged.push(text)
  }

  /** Writes something and does not wait: it counts if the page says so before it ends. */
  async #dash(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    const text = `dashed off ${this.#texts++}`
    this.#script.push(`dash ${this.#tabs.indexOf(tab)}`)
    const written = tab.page.evaluate((one) => globalThis.tabs.write(one, 'local'), text)
    this.#dashes.push(
      written.then(
        () => void this.#acknowledged.push(text),
        // The page ended first.
        () => undefined,
      ),
    )
    await tab.page.evaluate(() => globalThis.tabs.status())
  }

  async #freeze(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    const isTold = this.#random(4) > 0
    this.#script.push(`${isTold ? 'freeze' : 'stun'} ${this.#tabs.indexOf(tab)}`)
    tab.isStunned = !isTold
    tab.frozen = await Frozen.freeze(tab.page, isTold)
  }

  async #wake(): Promise<void> {
    const tab = this.#tabs.find(({ frozen }) => frozen !== undefined)
    if (tab === undefined) return
    this.#script.push(`wake ${this.#tabs.indexOf(tab)}`)
    await this.#thaw(tab)
  }

  async #thaw(tab: OpenTab): Promise<void> {
    await tab.frozen?.wake()
    tab.frozen = undefined
    tab.isStunned = false
  }

  async #reload(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    this.#script.push(`reload ${this.#tabs.indexOf(tab)}`)
    await this.#load(tab)
  }

  async #close(): Promise<void> {
    const tab = this.#any
    if (tab === undefined) return
    this.#script.push(`close ${this.#tabs.indexOf(tab)}`)
    this.#drop(tab)
    await tab.page.close()
  }

  async #kill(): Promise<void> {
    const tab = this.#awake
    if (tab === undefined) return
    this.#script.push(`kill ${this.#tabs.indexOf(tab)}`)
    this.#drop(tab)
    const session = await this.#profile.newCDPSession(tab.page)
    const crashed = new Promise<void>((resolve) => void tab.page.once('crash', () => resolve()))
    // It is never answered: who would answer is gone.
    session.send('Page.crash').catch(() => undefined)
    await crashed
    await tab.page.close()
  }
}
