/**
 * Chromium with nobody but the test at its debugging pipe. A library that drives pages holds each of them visible and awake; here they are
 * hidden, frozen and put into the back-forward cache by the browser itself.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { Readable, Writable } from 'node:stream'
import { findChromium } from '../../.ci/chromium.mjs'
import { flags } from './stage.ts'

interface Told {
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
  readonly sessionId?: string
}

interface Answered {
  readonly id: number
  readonly result?: Readonly<Record<string, unknown>>
  readonly error?: { readonly message: string }
}

interface Waiting {
  readonly session: string | undefined
  resolve(result: Readonly<Record<string, unknown>>): void
  reject(error: Error): void
}

interface Expected {
  readonly method: string
  readonly session: string
  met(params: Readonly<Record<string, unknown>>): void
  reject(error: Error): void
}

export class PlainBrowser {
  readonly #child: ChildProcess
  readonly #pipe: Writable
  readonly #ended: Promise<void>
  readonly #waiting = new Map<number, Waiting>()
  #expected: Expected[] = []
  #calls = 0

  private constructor(child: ChildProcess, input: Readable, output: Writable) {
    this.#child = child
    this.#pipe = output
    this.#ended = new Promise((resolve) => void child.once('exit', () => resolve()))
    void this.#ended.then(() => this.#gone(undefined))
    let text = ''
    input.setEncoding('utf8')
    input.on('data', (piece: string) => {
      const messages = (text + piece).split('\0')
      text = messages.pop() ?? ''
      for (const message of messages) this.#hear(JSON.parse(message))
    })
    // A browser that was killed hears nothing more.
    output.on('error', () => undefined)
  }

  /** With a profile of its own in that directory, which it finds again when it is started anew. */
  static async start(directory: string): Promise<PlainBrowser> {
    const own = ['--headless', '--remote-debugging-pipe', `--user-data-dir=${directory}`, 'about:blank']
    const child = spawn(await findChromium(), [...flags, ...own], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    })
    const [, , , output, input] = child.stdio
    if (!(input instanceof Readable && output instanceof Writable)) throw new Error('the browser has no pipe')
    return new PlainBrowser(child, input, output)
  }

  async open(): Promise<PlainTab> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    const tab = new PlainTab(this, String(targetId), String(sessionId))
    for (const domain of ['Page', 'Inspector']) await tab.send(`${domain}.enable`)
    return tab
  }

  async close(): Promise<void> {
    this.send('Browser.close').catch(() => undefined)
    await this.#ended
  }

  /** All of it at once, as a crash or the end of the battery takes it. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  send(method: string, params: object = {}, session?: string): Promise<Readonly<Record<string, unknown>>> {
    return new Promise((resolve, reject) => {
      const id = ++this.#calls
      this.#waiting.set(id, { session, resolve, reject })
      this.#pipe.write(
        `${JSON.stringify({ id, method, params, ...(session !== undefined && { sessionId: session }) })}\0`,
      )
    })
  }

  /** The next event of that name. */
  event(method: string, session: string): Promise<Readonly<Record<string, unknown>>> {
    return new Promise((met, reject) => void this.#expected.push({ method, session, met, reject }))
  }

  #hear(message: Told | Answered): void {
    if ('id' in message) {
      const waiting = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if (message.error === undefined) waiting?.resolve(message.result ?? {})
      else waiting?.reject(new Error(message.error.message))
      return
    }
    const { method, params, sessionId } = message
    const met = this.#expected.filter((one) => one.method === method && one.session === sessionId)
    this.#expected = this.#expected.filter((one) => !met.includes(one))
    for (const one of met) one.met(params)
    if (method === 'Inspector.targetCrashed') this.#gone(sessionId)
    if (method === 'Target.detachedFromTarget') this.#gone(String(params['sessionId']))
  }

  /** Nobody answers there any more; without a session, nowhere. */
  #gone(session: string | undefined): void {
    const why = new Error('the page ended')
    for (const [id, waiting] of this.#waiting) {
      if (session !== undefined && waiting.session !== session) continue
      this.#waiting.delete(id)
      waiting.reject(why)
    }
    const lost = this.#expected.filter((one) => session === undefined || one.session === session)
    this.#expected = this.#expected.filter((one) => !lost.includes(one))
    for (const one of lost) one.reject(why)
  }
}

export class PlainTab {
  readonly #browser: PlainBrowser
  readonly #target: string
  readonly #session: string

  constructor(browser: PlainBrowser, target: string, session: string) {
    this.#browser = browser
    this.#target = target
    this.#session = session
  }

  send(method: string, params: object = {}): Promise<Readonly<Record<string, unknown>>> {
    return this.#browser.send(method, params, this.#session)
  }

  #event(method: string): Promise<Readonly<Record<string, unknown>>> {
    return this.#browser.event(method, this.#session)
  }

  /** Resolves when all scripts of the page have run once. */
  async goto(url: string): Promise<void> {
    const loaded = this.#event('Page.loadEventFired')
    loaded.catch(() => undefined)
    const { errorText } = await this.send('Page.navigate', { url })
    if (errorText !== undefined) throw new Error(`${url}: ${errorText}`)
    await loaded
  }

  /** Goes back to the page before this one. Whether that was kept, so that it goes on where it was. */
  async back(): Promise<boolean> {
    const history = await this.send('Page.getNavigationHistory')
    const entries = Array.isArray(history['entries']) ? history['entries'] : []
    const before: { id: number } | undefined = entries[Number(history['currentIndex']) - 1]
    if (before === undefined) throw new Error('there is no page before this one')
    const navigated = this.#event('Page.frameNavigated')
    const loaded = this.#event('Page.loadEventFired')
    await this.send('Page.navigateToHistoryEntry', { entryId: before.id })
    const isKept = (await navigated)['type'] === 'BackForwardCacheRestore'
    if (!isKept) await loaded
    else loaded.catch(() => undefined)
    return isKept
  }

  /** Runs it in the page. It sees nothing from here but what it is given. */
  async evaluate<Result, Given = undefined>(
    script: (given: Given) => Result,
    ...[given]: Given extends undefined ? [] : [Given]
  ): Promise<Awaited<Result>> {
    const expression = `(${script.toString()})(${JSON.stringify(given)})`
    const answer = await this.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true })
    const { result, exceptionDetails: thrown } = answer as {
      result: { value?: Awaited<Result> }
      exceptionDetails?: { text: string; exception?: { description?: string } }
    }
    if (thrown !== undefined) throw new Error(thrown.exception?.description ?? thrown.text)
    // JSON has no undefined, and a script that gives nothing gives that.
    return result.value as Awaited<Result>
  }

  /** As the browser freezes a page in the background: it is told first, and its timers and workers stop. */
  async freeze(): Promise<void> {
    await this.send('Page.setWebLifecycleState', { state: 'frozen' })
  }

  async resume(): Promise<void> {
    await this.send('Page.setWebLifecycleState', { state: 'active' })
  }

  /** Its scripts stop without a word, and what comes meanwhile waits. Its workers go on. */
  async stun(): Promise<void> {
    await this.send('Debugger.enable')
    const paused = this.#event('Debugger.paused')
    await this.send('Debugger.pause')
    // Something has to run for it to be held.
    this.send('Runtime.evaluate', { expression: '0' }).catch(() => undefined)
    await paused
  }

  async unstun(): Promise<void> {
    await this.send('Debugger.resume')
    await this.send('Debugger.disable')
  }

  /** Its process dies. */
  async kill(): Promise<void> {
    const crashed = this.#event('Inspector.targetCrashed')
    // It is never answered: who would answer is gone.
    this.send('Page.crash').catch(() => undefined)
    await crashed
    await this.close()
  }

  async close(): Promise<void> {
    await this.#browser.send('Target.closeTarget', { targetId: this.#target })
  }

  /** In front of all others, so that its timers run at full pace. */
  async show(): Promise<void> {
    await this.#browser.send('Target.activateTarget', { targetId: this.#target })
  }
}
