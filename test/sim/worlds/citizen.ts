/** One replica of a world with roles, from boot to boot: the authority, an honest member, or a traitor's own, which is the same engine. */
import { Database, type Incident, type Login, type Repository, refusal, type SigningKey } from '@weft-db/engine'
import type { Credentials } from '../../../packages/engine/src/replica/login.ts'
import type { Rejection } from '../../../packages/engine/src/replica/rejections.ts'
import type { Device, Process } from '../device.ts'
import type { Network } from '../network.ts'
import type { PeerNetwork } from '../peer-network.ts'
import { boardPath, Card } from './card.ts'
import { charter } from './charter.ts'

export interface CitizenEvents {
  incident(citizen: Citizen, incident: Incident): void
  rejected(citizen: Citizen, rejection: Rejection): void
  failed(citizen: Citizen, error: unknown): void
}

const tryAgain = 1_000

/** Whoever comes is whom they say: who may do what is the roles' matter. */
export const byName = (owner?: string): Login & Credentials => ({
  method: 'name',
  credentials: owner ?? null,
  ...(owner !== undefined && { name: owner }),
  check: async (credentials) =>
    typeof credentials === 'string' ? { owner: credentials, name: credentials } : refusal('LoginRefused', 'a name'),
})

export class Citizen {
  readonly device: Device
  readonly owner: string
  readonly isTraitor: boolean
  readonly #network: Network
  readonly #peers: PeerNetwork | undefined
  readonly #neighbours: readonly { readonly name: string; readonly dials: boolean }[]
  readonly #events: CitizenEvents
  #process: Process | undefined
  database: Database | undefined
  /** Counts processes. */
  run = 0
  /** The authority's: the newest rules it serves with, and the number of its key. */
  rules = 0
  keyAt = 0

  constructor(
    device: Device,
    network: Network,
    peers: PeerNetwork | undefined,
    person: { readonly owner: string; readonly isTraitor: boolean },
    neighbours: readonly { readonly name: string; readonly dials: boolean }[],
    events: CitizenEvents,
  ) {
    this.device = device
    this.owner = person.owner
    this.isTraitor = person.isTraitor
    this.#network = network
    this.#peers = peers
    this.#neighbours = neighbours
    this.#events = events
  }

  get name(): string {
    return this.device.name
  }

  get isAuthority(): boolean {
    return this.name === 'server'
  }

  get board(): Repository | undefined {
    return this.database?.repository(boardPath)
  }

  /** The session's key, as somebody who breaks the rules uses it. */
  get key(): SigningKey | undefined {
    return this.device.keys.get('session')
  }

  /** The authority's: whether the log knows the key that it has now, and not the one before. */
  get isInForce(): boolean {
    const root = this.database?.root
    const { keys } = this.device
    const [key, previous] = [keys.get(`authority${this.keyAt}`), keys.get(`authority${this.keyAt - 1}`)]
    if (root === undefined || root.position === null || key === undefined) return false
    return root.isAuthority(key.publicKey) && (previous === undefined || !root.isAuthority(previous.publicKey))
  }

  boot(): void {
    const process = this.device.boot()
    this.#process = process
    this.run++
    process.life.onEnd(() => {
      if (this.#process !== process) return
      this.#process = undefined
      this.database = undefined
    })
    void this.#start(process)
  }

  /** The process ends as if the power failed, and another begins. */
  restart(): void {
    if (this.device.on) this.device.crash({ cache: 'lost', lock: 'released' })
    this.boot()
  }

  async #authorityKey(at: number, { runtime, keys }: Process): Promise<SigningKey> {
    const kept = await keys.load(`authority${at}`)
    if (kept !== undefined) return kept
    const key = await runtime.generateKey()
    await keys.save(`authority${at}`, key)
    return key
  }

  async #start(process: Process): Promise<void> {
    const { runtime, keys, files } = process
    const authority = this.isAuthority ? await this.#authorityKey(this.keyAt, process) : undefined
    const previousAuthority =
      this.isAuthority && this.keyAt > 0 ? await this.#authorityKey(this.keyAt - 1, process) : undefined
    const database = new Database({
      schemas: [Card],
      rules: charter(this.isAuthority ? this.rules : 1),
      // Histories here are short.
      snapshotFrom: 512,
      runtime,
      storage: async () => ({ files, keys, mode: 'simulated', lasting: true }),
      transports: [
        ...(this.isAuthority ? [] : [this.#network.dialer(process.life, 'server')]),
        ...(this.isAuthority || this.#neighbours.some(({ dials }) => !dials)
          ? [this.#network.acceptor(process.life)]
          : []),
        ...this.#neighbours.filter(({ dials }) => dials).map(({ name }) => this.#network.dialer(process.life, name)),
      ],
      captureRate: 20,
      ...(this.#peers !== undefined && { mesh: { transport: this.#peers.transport(process.life), mode: 'direct' } }),
      // What a simulated crowd does is no flood.
      rates: {},
      ...(authority === undefined ? {} : { authority, logins: [byName()] }),
      ...(previousAuthority === undefined ? {} : { previousAuthority }),
    })
    this.database = database
    database.onIncident((incident) => this.#events.incident(this, incident))
    database.onRejected((rejection) => this.#events.rejected(this, rejection))
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

  /** A person whom a server turns away that cannot store the certificate tries again; whose access was ended does not. */
  #logIn(process: Process, database: Database): void {
    database.login(byName(this.owner)).catch((error: unknown) => {
      if (this.database !== database || !String(error).includes('the server cannot store it')) return
      process.life.at(tryAgain, `${this.name} logs in again`, () => this.#logIn(process, database))
    })
  }
}
