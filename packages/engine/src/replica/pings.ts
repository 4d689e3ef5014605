/** How long a frame takes to the other end of a channel and back, asked for when somebody looks. */
import type { Connection } from './connection.ts'
import type { Runtime } from './ports.ts'

interface Ping {
  readonly number: number
  readonly sentAt: number
  /** Of this one, once it was answered; else of the one before. Ms. */
  readonly took: number | undefined
}

export class Pings {
  readonly #runtime: Runtime
  readonly #pings = new WeakMap<Connection, Ping>()
  #next = 0

  constructor(runtime: Runtime) {
    this.#runtime = runtime
  }

  send(connection: Connection): void {
    const number = this.#next++
    this.#pings.set(connection, { number, sentAt: this.#runtime.elapsed(), took: this.took(connection) })
    connection.tell({ kind: 'ping', number })
  }

  answered(connection: Connection, number: number): void {
    const ping = this.#pings.get(connection)
    if (ping?.number === number) this.#pings.set(connection, { ...ping, took: this.#runtime.elapsed() - ping.sentAt })
  }

  took(connection: Connection): number | undefined {
    return this.#pings.get(connection)?.took
  }
}
