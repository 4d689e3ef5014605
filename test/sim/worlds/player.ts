/** One replica of a simulated world: what runs on a device, from boot to boot. */
import {
  Database,
  type Files,
  type Incident,
  type Item,
  type KeyStore,
  type Repository,
  type Runtime,
  type SigningKey,
  type Transport,
} from '@weft-db/engine'
import type { Device, Process } from '../device.ts'
import type { Network } from '../network.ts'
import type { PeerNetwork } from '../peer-network.ts'
import { account, boardPath, Card, guestRules, rules } from './card.ts'
import type { Script } from './script.ts'

export interface PlayerEvents {
  incident(player: Player, incident: Incident): void
  /** A process began; nothing has been read yet. */
  booted(player: Player): void
  ended(player: Player): void
  /** Opening failed; it is tried again. */
  failed(player: Player, error: unknown): void
  /** Sees every file call. */
  watch(files: Files): Files
}

const tryAgain = 1_000

const authorityKey = async (runtime: Runtime, keys: KeyStore): Promise<SigningKey> => {
  const kept = await keys.load('authority')
  if (kept !== undefined) return kept
  const key = await runtime.generateKey()
  await keys.save('authority', key)
  return key
}

export class Player {
  readonly device: Device
  readonly isAuthority: boolean
  readonly owner: string
  readonly #network: Network
  readonly #peers: PeerNetwork
  readonly #script: Script
  readonly #events: PlayerEvents
  #process: Process | undefined
  database: Database | undefined
  /** The objects an app would hold, by key: also of items that are deleted now. */
  readonly items = new Map<string, Item<typeof Card>>()
  /** Counts processes. */
  run = 0

  constructor(device: Device, network: Network, peers: PeerNetwork, script: Script, events: PlayerEvents) {
    this.#peers = peers
    this.device = device
    this.#network = network
    this.#script = script
    this.#events = events
    this.isAuthority = device.name === 'server'
    this.owner = script.guests.includes(device.name) ? 'guest' : 'member'
  }

  get name(): string {
    return this.device.name
  }

  get board(): Repository | undefined {
    return this.database?.repository(boardPath)
  }

  boot(): void {
    const process = this.device.boot()
    this.#process = process
    this.run++
    process.life.onEnd(() => {
      if (this.#process !== process) return
      this.#events.ended(this)
      this.#process = undefined
      this.database = undefined
      this.items.clear()
    })
    this.#events.booted(this)
    void this.#start(process)
  }

  async #start(process: Process): Promise<void> {
    const { runtime, keys } = process
    const files = this.#events.watch(process.files)
    const authority = this.isAuthority ? await authorityKey(runtime, keys) : undefined
    const database = new Database({
      schemas: [Card],
      rules: this.owner === 'guest' ? guestRules : rules,
      runtime,
      storage: async () => ({ files, keys, mode: 'simulated', lasting: true }),
      transports: this.#transports(process),
      captureRate: this.#script.captureRate,
      // Histories here are short.
      snapshotFrom: 512,
      ...(this.#script.mesh === true && { mesh: { transport: this.#peers.transport(process.life), mode: 'direct' } }),
      ...(authority === undefined ? {} : { authority, logins: [account()] }),
    })
    this.database = database
    database.onIncident((incident) => this.#events.incident(this, incident))
    const board = database.repository(boardPath)
    try {
      await database.opened
      if (!this.isAuthority && database.session === undefined) this.#logIn(process, database)
      await board.ready
    } catch (error) {
      this.#events.failed(this, error)
      process.life.at(tryAgain, `${this.name} starts again`, () => {
        process.life.end()
        this.boot()
      })
    }
  }

  /** Ends with the process, or with the certificate. A person whom a full server turns away tries again. */
  #logIn(process: Process, database: Database): void {
    database.login(account(this.owner)).catch((error: unknown) => {
      if (this.database !== database || !String(error).includes('the server cannot store it')) return
      process.life.at(tryAgain, `${this.name} logs in again`, () => this.#logIn(process, database))
    })
  }

  #transports({ life }: Process): Transport[] {
    if (this.isAuthority) return [this.#network.acceptor(life)]
    const transports = [this.#network.dialer(life, 'server')]
    const [accepts, dials] = this.#script.direct ?? []
    if (this.name === accepts) transports.push(this.#network.acceptor(life))
    if (this.name === dials && accepts !== undefined) transports.push(this.#network.dialer(life, accepts))
    return transports
  }
}
