/**
 * What a node owns apart from its replica: a clock, a disk, keys and draws, which outlive processes, and the process that runs now. The
 * replica is built from a `Process` and finds there every port but the transports, which the network makes from its life.
 */
import type { Files, KeyStore, Runtime, SigningKey } from '@weft-db/engine'
import { Clock, type ClockFaults } from './clock.ts'
import { type Crash, Disk, type DiskFaults } from './files.ts'
import { Life } from './life.ts'
import { Draws, SimulatedRuntime } from './runtime.ts'
import type { Signatures } from './signatures.ts'
import type { World } from './world.ts'

export interface DeviceOptions {
  readonly clock: ClockFaults
  readonly disk: DiskFaults
  /** See `RuntimeOptions`. */
  readonly lateness: number
  readonly cryptoDelay: number
}

export interface Process {
  readonly life: Life
  readonly runtime: Runtime
  readonly files: Files
  readonly keys: KeyStore
}

export class Device {
  readonly name: string
  readonly clock: Clock
  readonly disk: Disk
  /** The key store's contents, by name. */
  readonly keys = new Map<string, SigningKey>()
  readonly #world: World
  readonly #signatures: Signatures
  readonly #options: DeviceOptions
  readonly #draws: Draws
  readonly #lives = new Set<Life>()

  constructor(world: World, name: string, signatures: Signatures, options: DeviceOptions) {
    this.name = name
    this.#world = world
    this.#signatures = signatures
    this.#options = options
    this.#draws = new Draws(world.stream(name))
    this.clock = new Clock(world, options.clock)
    this.disk = new Disk(world.stream(`${name}/disk`), options.disk)
  }

  /** Whether any process runs. */
  get on(): boolean {
    return this.#lives.size > 0
  }

  /** Starts a process. Two at once are two tabs on one disk. */
  boot(): Process {
    const life = new Life(this.#world, this.name)
    this.#lives.add(life)
    life.onEnd(() => this.#lives.delete(life))
    const { lateness, cryptoDelay } = this.#options
    const runtime = new SimulatedRuntime({
      life,
      clock: this.clock,
      draws: this.#draws,
      signatures: this.#signatures,
      lateness,
      cryptoDelay,
    })
    return { life, runtime, files: this.disk.files(life), keys: runtime.keyStore(this.keys) }
  }

  crash(crash?: Crash): void {
    for (const life of [...this.#lives]) life.end()
    this.disk.crash(crash)
  }

  /** Ends everything and forgets disk and keys: the user cleared the browser, or the machine is a new one. */
  wipe(): void {
    for (const life of [...this.#lives]) life.end()
    this.disk.wipe()
    this.keys.clear()
  }

  freeze(): void {
    for (const life of this.#lives) life.freeze()
  }

  thaw(): void {
    for (const life of this.#lives) life.thaw()
  }
}
