/**
 * Ways to log in: what a client sends, and how a server judges it. The server certifies the key that was proved on the channel the login
 * came through, so credentials alone certify nobody else's key.
 */
import { decodeUtf8, encodeUtf8, fromHex, isWellFormed, toHex, utf8Length } from '../bytes/bytes.ts'
import { limits } from '../bytes/limits.ts'
import type { Plain } from '../bytes/plain.ts'
import { type Refusal, refusal } from '../bytes/refusal.ts'

export interface Person {
  /** The account: unique in the network, at most 256 bytes. */
  readonly owner: string
  /** What others see, at most 128 bytes. */
  readonly name: string
}

/** What `db.login()` takes. */
export interface Credentials {
  readonly method: string
  readonly credentials: Plain
  /** What this device shows as the name until the server has said it. Never anything secret. */
  readonly name?: string
}

/** What `serve({ login })` takes. */
export interface Login {
  readonly method: string
  /**
   * The server's judgement. `key` is the id of the key that the channel proved, `address` where it comes from, as limits count it. A
   * refusal's `about` is shown to people, 80 characters of it: it never quotes the credentials. `MailSent` is an answer too: more is to come.
   */
  check(credentials: Plain, key: string, address: string | undefined): Promise<Person | Refusal>
}

/** By this method a session that is certified already asks for its next certificate: no login may have it. */
export const renewalMethod = 'renew'

/** A display name and nothing else: every key is an account of its own. `anonymous('Ada')` in the app, `anonymous()` in `serve()`. */
export const anonymous = (name?: string): Login & Credentials => ({
  method: 'anonymous',
  credentials: name ?? null,
  ...(name !== undefined && { name }),
  async check(credentials, key) {
    const shown = typeof credentials === 'string' ? credentials.trim() : ''
    if (shown === '' || !isWellFormed(shown) || utf8Length(shown) > limits.displayName) {
      return refusal('LoginRefused', `a name of 1 to ${limits.displayName} bytes is needed`)
    }
    return { owner: `anonymous:${key}`, name: shown }
  },
})

/** A signed token of a provider that the server trusts, for its `jwtLogin`: the ID token of OpenID Connect, or one of your own. */
export const jwt = (token: string, method = 'jwt'): Credentials => ({ method, credentials: token })

/** Asks for a mail with a link, for the server's `mailLogin`. `login()` resolves with `MailSent`: the code in the link goes on. */
export const mailLink = (address: string): Credentials => ({ method: 'mail', credentials: ['link', address.trim()] })

/**
 * The code out of the link of a mail. A link logs in whoever opens it, as the one it was sent to: show `mailAddressOf(code)` and wait for
 * a click, or somebody could be logged in to an account of the one who sent them a link.
 */
export const mailCode = (code: string): Credentials => ({ method: 'mail', credentials: ['code', code] })

const longestMailCode = 33 + 2 * limits.mailAddress
/** Of the address only what is printable ASCII. */
const codePattern = /^[0-9A-Za-z_-]{32}\.((?:[2-6][0-9a-f]|7[0-9a-e])+)$/

/** A link's code: 32 random characters, and whom it is for, so that a page can show it. The server knows a code by its hash alone. */
export const composeMailCode = (random: string, address: string): string => `${random}.${toHex(encodeUtf8(address))}`

/** Whom a code logs in; undefined when it is none. The server refuses a code in which this was changed. */
export const mailAddressOf = (code: string): string | undefined => {
  if (code.length > longestMailCode) return undefined
  const [, address] = codePattern.exec(code) ?? []
  return address === undefined ? undefined : decodeUtf8(fromHex(address))
}
