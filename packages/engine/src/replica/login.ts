/**
 * Ways to log in. One object serves both sides: on the client it carries the credentials, on the server it judges them. The server
 * certifies the session that proved its key on the channel the login came through, so credentials alone certify nobody else's key.
 */
import { isWellFormed, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'

export interface Person {
  /** The account: unique in the network, at most 256 bytes. */
  readonly owner: string
  /** What others see, at most 128 bytes. */
  readonly name: string
}

export interface Login {
  readonly method: string
  /** What the client sends; null on the server. */
  readonly credentials: Plain
  /** The server's judgement. `session` proved its key. */
  check(credentials: Plain, session: string): Promise<Person | Refusal>
}

/** A display name and nothing else: every session is an account of its own. `anonymous('Ada')` in the app, `anonymous()` in `serve()`. */
export const anonymous = (name?: string): Login => ({
  method: 'anonymous',
  credentials: name ?? null,
  async check(credentials, session) {
    const shown = typeof credentials === 'string' ? credentials.trim() : ''
    if (shown === '' || !isWellFormed(shown) || utf8Length(shown) > limits.displayName) {
      return refusal('LoginRefused', `a name of 1 to ${limits.displayName} bytes is needed`)
    }
    return { owner: `anonymous:${session}`, name: shown }
  },
})
