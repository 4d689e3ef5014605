/**
 * What this replica asks of the authority for itself: a login, or the renewal of its certificate. One thing at a time, so that the next
 * answer is the answer to it. A login waits until the authority is there, and is asked for again when a channel closed before the answer.
 */
import { WeftError } from '../bytes/refusal.ts'
import type { Connection } from './connection.ts'
import { type Credentials, renewalMethod } from './login.ts'

/** Whether a login is through, or a mail was sent and the code in it is what goes on. */
export type LoginOutcome = 'certified' | 'MailSent'

interface PendingLogin {
  readonly login: Credentials
  resolve(outcome: LoginOutcome): void
  reject(error: WeftError): void
}

/** What the authority answers now. */
export type Answered = 'renewal' | 'given up' | PendingLogin

export class Asking {
  readonly #connections: Iterable<Connection>
  #pending: PendingLogin | undefined
  #asked: { readonly connection: Connection; readonly what: PendingLogin | 'renewal' } | undefined

  constructor(connections: Iterable<Connection>) {
    this.#connections = connections
  }

  /** The login that has no answer yet. */
  get login(): Credentials | undefined {
    return this.#pending?.login
  }

  /** Logs in, instead of any login before that has no answer yet. */
  begin(login: Credentials): Promise<LoginOutcome> {
    this.stop(new WeftError('LoginRefused', 'another login began'))
    const done = new Promise<LoginOutcome>((resolve, reject) => {
      this.#pending = { login, resolve, reject }
    })
    this.offer()
    return done
  }

  /** Asks for what waits: when the authority came, or answered something else. */
  offer(): void {
    const what = this.#pending
    const connection = this.#toAuthority()
    if (what === undefined || connection === undefined) return
    // The channel before may be dead and not known to be.
    if (this.#asked !== undefined && (this.#asked.what !== what || this.#asked.connection === connection)) return
    this.#asked = { connection, what }
    connection.login(what.login.method, what.login.credentials)
  }

  /** Nobody waits for it, so it is asked for when nothing else is. */
  renew(): void {
    const connection = this.#toAuthority()
    if (this.#asked !== undefined || this.#pending !== undefined || connection === undefined) return
    this.#asked = { connection, what: 'renewal' }
    connection.login(renewalMethod, null)
  }

  closed(connection: Connection): void {
    if (this.#asked?.connection !== connection) return
    this.#asked = undefined
    this.offer()
  }

  /** Undefined when nothing was asked. Whoever takes the answer calls `offer` when it is dealt with. */
  answered(): Answered | undefined {
    const what = this.#asked?.what
    this.#asked = undefined
    if (what === undefined || what === 'renewal') return what
    if (what !== this.#pending) return 'given up'
    this.#pending = undefined
    return what
  }

  /** What came was no answer to trust: it is asked again over the next channel, unless another login began. */
  again(answered: Answered | undefined): void {
    if (this.#pending === undefined && typeof answered === 'object') this.#pending = answered
  }

  /** Gives up the login that has no answer yet. */
  stop(error: WeftError): void {
    this.#pending?.reject(error)
    this.#pending = undefined
  }

  #toAuthority(): Connection | undefined {
    let newest: Connection | undefined
    for (const connection of this.#connections)
      if (connection.peer?.isAuthority === true && !connection.isClosed) newest = connection
    return newest
  }
}
