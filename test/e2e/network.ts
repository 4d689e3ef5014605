/**
 * A network of its own, with a router that every packet between two members passes: what the router drops simply does not come, as behind a
 * firewall. Made of network namespaces of Linux, which live as long as the process that asked for them; the machine's own network is not touched.
 */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { findChromium } from '../../.ci/chromium.mjs'
import type { Place } from './members.ts'
import { plainAddresses } from './stage.ts'

const run = promisify(execFile)
/** Where the server listens: an address of the router. */
export const serverAddress = '10.77.0.1'

/** Why there can be no such network here, in one line; undefined where there can. */
export const obstacle = ((): string | undefined => {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'network namespaces need Linux and root: run this as root to see it'
  try {
    const script = 'ip link add name one type veth peer name other && ip rule add ipproto udp blackhole'
    execFileSync('unshare', ['--net', 'sh', '-c', script], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return `network namespaces cannot be made here: ${String(error).replaceAll('\n', ' ')}`
  }
})()

/** A namespace, there until its holder ends. */
class Room {
  readonly address: string
  readonly #holder: ChildProcess

  private constructor(address: string, holder: ChildProcess) {
    this.address = address
    this.#holder = holder
  }

  static async open(address: string): Promise<Room> {
    // It ends with the pipe, however this process ends.
    const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo made; exec cat'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    await new Promise<void>((resolve, reject) => {
      holder.stdout?.once('data', () => resolve())
      holder.once('exit', (code) => reject(new Error(`a namespace could not be made: ${code}`)))
    })
    return new Room(address, holder)
  }

  get process(): string {
    return String(this.#holder.pid)
  }

  /** A command that runs the one that follows it in here. */
  get within(): readonly string[] {
    return ['nsenter', `--net=/proc/${this.process}/ns/net`, '--']
  }

  async run(script: string): Promise<void> {
    const [command = '', ...more] = this.within
    await run(command, [...more, 'sh', '-ec', script])
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#holder.once('exit', resolve))
    this.#holder.stdin?.end()
    await ended
  }
}

export class Network {
  readonly #folder: string
  readonly #router: Room
  readonly #rooms: Room[] = []
  readonly #rules: string[] = []

  private constructor(folder: string, router: Room) {
    this.#folder = folder
    this.#router = router
  }

  static async start(): Promise<Network> {
    const router = await Room.open(serverAddress)
    await router.run(
      `ip link set lo up; ip addr add ${serverAddress}/32 dev lo; echo 1 > /proc/sys/net/ipv4/ip_forward`,
    )
    return new Network(await mkdtemp(join(tmpdir(), 'weft-network-')), router)
  }

  /** A command that runs the one that follows it on the router. */
  get within(): readonly string[] {
    return this.#router.within
  }

  /** A place for one browser, one hop from the router. `url`: of the server, which is secure for that browser as if it were https. */
  async place(url: string): Promise<Place & { readonly address: string }> {
    const number = this.#rooms.length + 1
    const room = await Room.open(`10.77.${number}.2`)
    this.#rooms.push(room)
    const gateway = `10.77.${number}.1`
    await this.#router.run(
      `ip link add name out${number} type veth peer name in0 netns ${room.process}; ip addr add ${gateway}/24 dev out${number}; ip link set out${number} up`,
    )
    await room.run(
      `ip link set lo up; ip addr add ${room.address}/24 dev in0; ip link set in0 up; ip route add default via ${gateway}`,
    )
    const command = join(this.#folder, `browser-${number}`)
    await writeFile(command, `#!/bin/sh\nexec ${room.within.join(' ')} '${await findChromium()}' "$@"\n`)
    await chmod(command, 0o700)
    return {
      address: room.address,
      command,
      flags: [plainAddresses, `--unsafely-treat-insecure-origin-as-secure=${new URL(url).origin}`],
    }
  }

  /** Drops UDP between one address and another, or all others. */
  async block(one: string, other = '10.77.0.0/16'): Promise<void> {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ]) {
      const rule = `from ${from} to ${to} ipproto udp blackhole`
      await this.#router.run(`ip rule add ${rule}`)
      this.#rules.push(rule)
    }
  }

  /** Drops nothing any more. */
  async unblock(): Promise<void> {
    for (const rule of this.#rules.splice(0)) await this.#router.run(`ip rule del ${rule}`)
  }

  async end(): Promise<void> {
    for (const room of [...this.#rooms, this.#router]) await room.end()
    await rm(this.#folder, { recursive: true })
  }
}
