/**
 * Logging in by a link that comes by e-mail: who can read the mail of an address is its owner. What it promises: a code is drawn from 192
 * random bits, serves once and for a short time, and is kept as a hash; mails to one address, for one asker and in all are bounded; and
 * whatever address is asked for, the answer and its timing are the same.
 *
 * A code is bound to no browser, since people read mail elsewhere than they ask. So a link logs in whoever opens it, as the address it was
 * sent to, and somebody who sends you a link of their own would have you write into their account. Therefore the code names its address,
 * under the hash: let the page show `mailAddressOf(code)` and wait for a click before it calls `login(mailCode(code))`. The click also keeps
 * mail scanners, which open links, from using them up. Put the code behind a `#` in the link: it reaches no server's log then, and no
 * other site.
 *
 * Codes are in memory: those under way are lost when the server stops, and people ask for another mail.
 */
import { createHash, randomBytes } from 'node:crypto'
import {
  composeMailCode,
  isRefusal,
  type Login,
  limits,
  mailAddressOf,
  type Person,
  type Plain,
  type Refusal,
  refusal,
} from '@weft-db/engine'
import { createTransport, type SMTPTransportOptions, type Transporter } from 'nodemailer'
import { OutstandingCodes } from './codes.ts'
import { shownName } from './name.ts'

export interface MailText {
  readonly link: string
  readonly address: string
  /** How long the link serves. */
  readonly minutes: number
}

export interface MailLoginOptions {
  /** The mail server: an address like `smtps://user:password@mail.example.org`, or nodemailer's options. Give `requireTLS` with port 587. */
  readonly smtp?: string | SMTPTransportOptions
  /** Instead of `smtp`: a transport of nodemailer. */
  readonly transport?: Pick<Transporter, 'sendMail'>
  /** The sender, for example `Weft <login@example.org>`. */
  readonly from: string
  /** The address of the page that takes the code, for example `(code) => \`https://example.org/login#${code}\``. */
  readonly link: (code: string) => string
  readonly subject?: string
  readonly text?: (mail: MailText) => string
  /** How long a code serves, ms; 15 minutes unless told. */
  readonly lifetime?: number
  /** Who may log in; everybody unless told. The answer does not tell who: no mail goes to the others, that is all. */
  readonly accepts?: (address: string) => boolean | Promise<boolean>
  /** What others see; the part before the @ unless told. Everybody in a repository sees the address too: it is the account's name. */
  readonly name?: (address: string) => string | Promise<string>
  /** A mail could not be sent; `console.error` unless told. */
  readonly onError?: (error: unknown) => void
  /** A clock, ms; the computer's unless told. */
  readonly now?: () => number
}

/** Mails being handed over at once. */
const mostSending = 64
/** After the mail server failed, so long nobody is told that a mail is on its way, ms. */
const pause = 30_000

const refused = (sentence: string): Refusal => refusal('LoginRefused', sentence)

/** Sends mails to `mailLink(address)`, and judges the `mailCode(code)` of their links. The account is `mail:<address in lower case>`. */
export const mailLogin = (options: MailLoginOptions): Login => {
  const { from, link, subject = 'Your link to log in', text = plainText, lifetime = 900_000 } = options
  const { accepts = () => true, name = localPart, now = () => performance.now() } = options
  const { onError = (error: unknown) => console.error(error) } = options
  const transport = options.transport ?? transportOf(options.smtp)
  const codes = new OutstandingCodes({ lifetime, now })
  let sending = 0
  let brokenUntil = Number.NEGATIVE_INFINITY

  const send = async (code: string, address: string): Promise<void> => {
    sending++
    try {
      if (!(await accepts(address))) return codes.unsent(hashOf(code))
      const mail = { link: link(code), address, minutes: Math.round(lifetime / 60_000) }
      await transport.sendMail({
        from,
        to: { name: '', address },
        subject,
        text: text(mail),
        headers: { 'Auto-Submitted': 'auto-generated' },
        disableFileAccess: true,
        disableUrlAccess: true,
      })
    } catch (error) {
      codes.unsent(hashOf(code))
      if (!isAboutAddress(error)) brokenUntil = now() + pause
      onError(error)
    } finally {
      sending--
    }
  }

  const ask = (wanted: string, asker: string): Refusal => {
    const address = readAddress(wanted)
    if (isRefusal(address)) return address
    if (now() < brokenUntil) return refused('mails cannot be sent at the moment: try again in a minute')
    if (sending >= mostSending || codes.isFull) return refused('too many ask for mails: try again in a minute')
    if (!codes.mayAsk(asker)) return refused('too many mails were asked for here: try again later')
    const code = composeMailCode(randomBytes(24).toString('base64url'), address)
    // Not awaited: how long it takes would tell who is known. It rejects when `onError` throws, and that is nobody's login.
    if (codes.add(hashOf(code), address, asker)) send(code, address).catch(() => undefined)
    return refusal('MailSent')
  }

  const redeem = async (code: string, key: string): Promise<Person | Refusal> => {
    const named = mailAddressOf(code)
    const address = named === undefined ? undefined : codes.redeem(hashOf(code), key)
    if (address === undefined) return refused('the link has been used or is too old: ask for another mail')
    return { owner: `mail:${address}`, name: shownName(await name(address)) ?? localPart(address) }
  }

  return {
    method: 'mail',
    async check(credentials: Plain, key, address) {
      const [step, value, ...rest] = Array.isArray(credentials) ? (credentials as readonly Plain[]) : []
      if (typeof value !== 'string' || rest.length > 0) return refused('an address or a code is needed')
      if (step === 'link') return ask(value, address ?? key)
      if (step === 'code') return redeem(value, key)
      return refused('an address or a code is needed')
    },
  }
}

const hashOf = (code: string): string => createHash('sha256').update(code).digest('base64')

/** A dot-atom at a host name (RFC 5321 without quoted names and address literals): nothing in it means anything to a mail's header. */
const addressPattern =
  /^[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/

/** The address in lower case, which is how accounts are told apart. */
const readAddress = (wanted: string): string | Refusal => {
  if (wanted.length > limits.mailAddress) return refused('the address is too long')
  const address = wanted.toLowerCase()
  if (!addressPattern.test(address) || address.indexOf('@') > 64) return refused('this is not an e-mail address')
  return address
}

const localPart = (address: string): string => address.slice(0, address.indexOf('@'))

const plainText = ({ link, address, minutes }: MailText): string =>
  [
    `Open this link to log in as ${address}:`,
    '',
    link,
    '',
    `It works once, within ${minutes} minutes. If you did not ask for it, leave it alone: nobody can log in without it.`,
    '',
  ].join('\n')

const transportOf = (smtp: string | SMTPTransportOptions | undefined): Pick<Transporter, 'sendMail'> => {
  if (smtp === undefined) throw new TypeError('smtp or transport is needed')
  const patience = { connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 30_000 }
  return createTransport(typeof smtp === 'string' ? { url: smtp, ...patience } : { ...patience, ...smtp })
}

/** The mail server is there, and refuses this address. */
const isAboutAddress = (error: unknown): boolean => {
  const { code, responseCode } = Object(error) as { code?: unknown; responseCode?: unknown }
  return code === 'EENVELOPE' && typeof responseCode === 'number'
}
