/** The channels of a replica: those its transports make, and those of the mesh. */
import { type Refusal, refusal } from '../bytes/refusal.ts'
import { Connection, type Switchboard } from './connection.ts'
import type { Channel, Transport } from './ports.ts'
import type { Quota } from './quota.ts'

export interface ChannelsParts {
  readonly transports: readonly Transport[]
  switchboard(): Switchboard
  quota(): Quota | undefined
  isClosing(): boolean
  incident(why: Refusal): void
}

export class Channels {
  readonly #parts: ChannelsParts
  readonly #open = new Set<Connection>()
  readonly #local = new Set<Connection>()
  #isStarted = false

  constructor(parts: ChannelsParts) {
    this.#parts = parts
  }

  /** Those to other devices: what leads to another tab of this browser is none of them. */
  get size(): number {
    return this.#open.size - this.#local.size
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#open.values()
  }

  start(): void {
    if (this.#isStarted) return
    this.#isStarted = true
    for (const transport of this.#parts.transports) {
      transport.start((channel) => {
        const tooFast = this.#parts.quota()?.connects(channel.address)
        if (tooFast !== undefined) this.#parts.incident(tooFast)
        if (this.#parts.isClosing() || tooFast !== undefined) channel.close(tooFast?.code ?? 'Closed')
        else this.take(channel)
      })
    }
  }

  take(channel: Channel): Connection {
    const connection = new Connection(channel, this.#parts.switchboard())
    // The greeting may be what shows that the channel is lost.
    if (connection.isClosed) return connection
    this.#open.add(connection)
    if (channel.isLocal === true) this.#local.add(connection)
    return connection
  }

  closed(connection: Connection): void {
    this.#open.delete(connection)
    this.#local.delete(connection)
  }

  /** Whether the authority is at the other end of one. */
  get isOnline(): boolean {
    for (const { peer } of this.#open) if (peer?.isAuthority === true) return true
    return false
  }

  /** Lets go of what the transports made; the mesh goes on. Whatever goes wrong with one, the others are stopped too. */
  async leave(): Promise<void> {
    this.#isStarted = false
    for (const transport of this.#parts.transports)
      await transport.stop().catch((error: unknown) => this.#parts.incident(refusal('Fault', String(error))))
  }

  async stop(): Promise<void> {
    await this.leave()
    this.hangUp(refusal('Closed', ''))
  }

  hangUp(why: Refusal): void {
    for (const connection of [...this.#open]) connection.close(why)
  }
}
