/** Stores of many items in Chromium: filled by one page, opened by another that has seen nothing of them, in a profile on disk. */
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import type { BrowserContext } from 'playwright-core'
import { buildApp } from '../e2e/app.ts'
import type { BrowserStore, OpenedInPage } from './storage-page.ts'

const types: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript' }

const serveFolder = async (folder: string): Promise<Server> => {
  const server = createServer(({ url = '/' }, response) => {
    const name = url === '/' ? 'index.html' : url.slice(1).replace(/[^\w.-]/g, '')
    const file = createReadStream(join(folder, name))
    file.once('open', () => {
      response.writeHead(200, { 'content-type': types[extname(name)] ?? 'text/plain' })
      file.pipe(response)
    })
    file.once('error', () => response.writeHead(404).end())
  })
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return server
}

export class BrowserStores {
  readonly #folder: string
  readonly #server: Server
  readonly #profile: BrowserContext

  private constructor(folder: string, server: Server, profile: BrowserContext) {
    this.#folder = folder
    this.#server = server
    this.#profile = profile
  }

  /** Undefined, with a line that says why, where there is no Chromium. */
  static async start(): Promise<BrowserStores | undefined> {
    const folder = await mkdtemp(join(tmpdir(), 'weft-bench-'))
    try {
      // It looks for Chromium as soon as it is loaded, and whoever loads it hears when there is none.
      const { openProfile } = await import('../e2e/stage.ts')
      const profile = await openProfile(join(folder, 'profile'))
      const server = await serveFolder(await buildApp(folder, '../../bench/storage-page.ts'))
      return new BrowserStores(folder, server, profile)
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      const [why] = (error instanceof Error ? error.message : String(error)).split('\n')
      console.error(`storage in Chromium is left out: ${why}`)
      return undefined
    }
  }

  fill(store: BrowserStore, items: number): Promise<void> {
    return this.#inPage(([of, count]) => globalThis.bench.fill(of, count), [store, items])
  }

  open(store: BrowserStore, items: number): Promise<OpenedInPage> {
    return this.#inPage(([of, count]) => globalThis.bench.open(of, count), [store, items])
  }

  async #inPage<Answer>(
    run: (given: [BrowserStore, number]) => Promise<Answer>,
    given: [BrowserStore, number],
  ): Promise<Answer> {
    const page = await this.#profile.newPage()
    try {
      const { port } = this.#server.address() as AddressInfo
      await page.goto(`http://localhost:${port}/`)
      await page.waitForFunction(() => globalThis.bench !== undefined)
      return await page.evaluate(run, given)
    } finally {
      await page.close()
    }
  }

  async end(): Promise<void> {
    await this.#profile.close()
    this.#server.close()
    this.#server.closeAllConnections()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
