/**
 * coturn on this machine, as docs/mesh.md says to run it. Found where Debian puts it or on the path, WEFT_TURNSERVER before that, and installed where
 * that is allowed: as root on a Debian-like system.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

const place = (): string | undefined => {
  const { WEFT_TURNSERVER, PATH = '' } = process.env
  if (WEFT_TURNSERVER !== undefined) return WEFT_TURNSERVER
  const folders = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin', ...PATH.split(delimiter)]
  return folders.map((folder) => join(folder, 'turnserver')).find(isExecutable)
}

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** The path of a `turnserver`; undefined where there is none and none can be installed. */
export const findTurnServer = (): string | undefined => {
  const found = place()
  if (found !== undefined) return found
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return undefined
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  for (const args of [['update'], ['install', '-y', 'coturn']]) spawnSync('apt-get', args, { env, timeout: 300_000 })
  return place()
}

export class TurnServer {
  /** As servers and browsers name it. */
  readonly url: string
  readonly #child: ChildProcess
  readonly #kill = (): void => void this.#child.kill('SIGKILL')

  private constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#child = child
  }

  static async start(path: string, secret: string): Promise<TurnServer> {
    const port = await freePort()
    const options = {
      'listening-ip': '127.0.0.1',
      'listening-port': port,
      'relay-ip': '127.0.0.1',
      'min-port': 49_200,
      'max-port': 49_400,
      'static-auth-secret': secret,
      realm: 'weft.test',
      pidfile: join(tmpdir(), `weft-turn-${port}.pid`),
      'log-file': 'stdout',
    }
    const flags = ['-n', '--no-cli', '--no-tls', '--no-dtls', '--fingerprint', '--use-auth-secret', '--simple-log']
    const named = Object.entries(options).map(([name, value]) => `--${name}=${value}`)
    const child = spawn(path, [...flags, '--allow-loopback-peers', ...named], { stdio: ['ignore', 'pipe', 'pipe'] })
    const server = new TurnServer(`turn:127.0.0.1:${port}?transport=udp`, child)
    process.once('exit', server.#kill)
    let said = ''
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => {
        said += chunk.toString()
      })
    const ended = new Promise<never>((_, reject) => {
      child.once('error', reject)
      child.once('exit', (code) => reject(new Error(`turnserver ended with ${code}: ${said}`)))
    })
    ended.catch(() => undefined)
    // It does not say when it listens.
    while (!(await Promise.race([ended, accepts(port)])));
    return server
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#kill()
    await ended
    process.off('exit', this.#kill)
  }
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(port))
    })
  })
