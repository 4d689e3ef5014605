/** A server in a process of its own, spawned directly: killing it kills nothing else and leaves nothing behind. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { Stream } from '../sim/random.ts'

const script = fileURLToPath(new URL('server.ts', import.meta.url))
const top = fileURLToPath(new URL('../..', import.meta.url))

export class ServerProcess {
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  readonly #lines = new Map<string, () => void>()
  readonly #seen = new Set<string>()
  #errors = ''
  #killed = false

  /** `unlimited`: it charges nobody for what they bring. `page`: the folder of a page that it serves. */
  constructor(folder: string, port: number, rates: 'unlimited' | '' = '', page = '') {
    const options = ['--import', 'tsx', '--conditions=weft-source', script, folder, String(port), rates, page]
    this.#child = spawn(process.execPath, options, { cwd: top, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#exited = new Promise((resolve) => void this.#child.once('exit', () => resolve()))
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) {
        this.#seen.add(line)
        this.#lines.get(line)?.()
      }
    })
  }

  /** What it wrote to its standard error. */
  get errors(): string {
    return this.#errors
  }

  /** Resolves when the server printed that line; rejects when it ends by itself before. */
  async says(line: string): Promise<void> {
    const said = this.#seen.has(line) ? undefined : new Promise<void>((resolve) => this.#lines.set(line, resolve))
    const early = this.#exited.then(() => {
      if (!this.#killed && !this.#seen.has(line)) throw new Error(`the server ended by itself: ${this.#errors}`)
    })
    await (said === undefined ? undefined : Promise.race([said, early]))
  }

  /** `kill -9`. Resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#killed = true
    this.#child.kill('SIGKILL')
    await this.#exited
  }
}

/** A free port below those that systems give to outgoing connections, so that no client takes it while the server is down. */
export const freePort = async (random: Stream): Promise<number> => {
  for (;;) {
    const port = 20_000 + random.int(12_000)
    const taken = await new Promise<boolean>((resolve) => {
      const probe = createServer()
      probe.once('error', () => resolve(true))
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(false)))
    })
    if (!taken) return port
  }
}
