/** A built server as a process of its own, and Chromium before it. Every wait is for a condition of the page or a line of the server. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { findChromium } from '../../.ci/chromium.mjs'

const main = new URL('../../signal-server/dist/main.js', import.meta.url).pathname

export const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

const executable = findChromium()

export interface Launch {
  /** Settings of the server beside its port and its data. */
  readonly environment?: Readonly<Record<string, string>>
  /** A command that runs the one that follows it. */
  readonly within?: readonly string[]
}

export class TestServer {
  readonly directory: string
  readonly #launch: Launch
  url = ''
  #child: ChildProcess | undefined

  private constructor(directory: string, launch: Launch) {
    this.directory = directory
    this.#launch = launch
  }

  static async start(launch: Launch = {}): Promise<TestServer> {
    const server = new TestServer(await mkdtemp(join(tmpdir(), 'weft-e2e-')), launch)
    await server.start(0)
    return server
  }

  /** Starts the server on its data; again on the same port after a stop. */
  async start(port = Number(new URL(this.url).port)): Promise<void> {
    const { environment, within = [] } = this.#launch
    const env = { ...process.env, PORT: String(port), WEFT_DATA: join(this.directory, 'data'), ...environment }
    const [command = process.execPath, ...more] = [...within, process.execPath, main]
    const child = spawn(command, more, { env, stdio: ['ignore', 'pipe', 'pipe'] })
    this.#child = child
    this.url = await new Promise<string>((resolve, reject) => {
      let output = ''
      const hear = (chunk: Buffer): void => {
        output += chunk.toString()
        const [found] = /http:\/\/[\w.:[\]]+/.exec(output) ?? []
        if (found !== undefined) resolve(found)
      }
      child.stdout?.on('data', hear)
      child.stderr?.on('data', hear)
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${output}`)))
    })
  }

  /** Ends the server and resolves with how it ended. */
  async end(signal: 'SIGKILL' | 'SIGTERM' | 'SIGINT'): Promise<{ code: number | null; signal: string | null }> {
    const child = this.#child
    if (child === undefined) return { code: null, signal: null }
    const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
      child.once('exit', (code, by) => resolve({ code, signal: by })),
    )
    child.kill(signal)
    this.#child = undefined
    return ended
  }

  async remove(): Promise<void> {
    await this.end('SIGKILL')
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** `command`: what is started instead of Chromium, and starts it with what it is given. */
export const openBrowser = async (more: readonly string[] = [], command?: string): Promise<Browser> =>
  chromium.launch({ executablePath: command ?? (await executable), args: [...flags, ...more] })

/** A profile on disk, as a person has it: several pages share its storage. */
export const openProfile = async (directory: string, more: readonly string[] = []): Promise<BrowserContext> =>
  chromium.launchPersistentContext(directory, { executablePath: await executable, args: [...flags, ...more] })

/** WebRTC names this machine's addresses, so that a test can stand between its ends. */
export const plainAddresses = '--disable-features=WebRtcHideLocalIpsWithMdns'

/** Errors of a page that a test demands to be none. */
export const watchErrors = (page: Page): string[] => {
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(String(error)))
  page.on('console', (message) => {
    // A dead server is part of these tests; what the page's own code reports is not.
    if (
      message.type() === 'error' &&
      !/ERR_CONNECTION|WebSocket connection|Failed to load resource/.test(message.text())
    ) {
      errors.push(message.text())
    }
  })
  return errors
}

export const joinBoard = async (page: Page, url: string, name: string): Promise<void> => {
  await page.goto(url)
  await page.getByTestId('name-input').fill(name)
  await page.getByTestId('join').click()
  await page.getByTestId('status-line').waitFor()
}

/** A browser that nothing looks into: with the debugger on, each frame of a WebSocket is told of, and a flood of them is slow. */
export const openPlain = async (directory: string, url: string): Promise<{ close: () => Promise<void> }> => {
  const child = spawn(await executable, [...flags, '--headless', `--user-data-dir=${directory}`, url], {
    stdio: 'ignore',
  })
  const ended = new Promise<void>((resolve) => void child.once('exit', () => resolve()))
  return {
    close: async () => {
      child.kill('SIGTERM')
      await ended
    },
  }
}
