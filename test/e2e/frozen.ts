/**
 * A tab that a browser froze: no script of it runs until it wakes, and what comes meanwhile waits. A headless browser freezes nothing, because all
 * of its pages are visible; so the page is told as a browser tells it, or not, and a debugger holds its scripts. Its workers go on.
 */
import type { CDPSession, Page } from 'playwright-core'

export class Frozen {
  readonly #page: Page
  readonly #session: CDPSession
  readonly #isTold: boolean

  private constructor(page: Page, session: CDPSession, isTold: boolean) {
    this.#page = page
    this.#session = session
    this.#isTold = isTold
  }

  /** `isTold`: whether the page hears of it first. */
  static async freeze(page: Page, isTold: boolean): Promise<Frozen> {
    const session = await page.context().newCDPSession(page)
    await session.send('Debugger.enable')
    if (isTold) await page.evaluate(() => void document.dispatchEvent(new Event('freeze')))
    const paused = new Promise<void>((resolve) => void session.once('Debugger.paused', () => resolve()))
    await session.send('Debugger.pause')
    // Something has to run for it to be held.
    page.evaluate(() => undefined).catch(() => undefined)
    await paused
    return new Frozen(page, session, isTold)
  }

  async wake(): Promise<void> {
    await this.#session.send('Debugger.resume')
    await this.#session.send('Debugger.disable')
    await this.#session.detach()
    if (this.#isTold) await this.#page.evaluate(() => void document.dispatchEvent(new Event('resume')))
  }
}
