/** Links that come by mail, through a mail server on loopback that is really spoken to. */
import type { AddressInfo } from 'node:net'
import {
  isRefusal,
  type Login,
  limits,
  mailAddressOf,
  mailCode,
  mailLink,
  type Person,
  type Refusal,
} from '@weft-db/engine'
import { SMTPServer } from 'smtp-server'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mostCodes, mostForAddress, mostForAsker, OutstandingCodes } from './codes.ts'
import { type MailLoginOptions, mailLogin } from './mail.ts'

interface Mail {
  readonly from: string
  readonly to: readonly string[]
  readonly text: string
}

const minute = 60_000
const key = 'ab'.repeat(32)
const eve = 'cd'.repeat(32)

let smtp: SMTPServer
let mails: Mail[]
let waiting: (() => void)[]
let port: number
let now: number
let errors: unknown[]
/** What the mail server says to a recipient. */
let refuses: (address: string) => Error | undefined

beforeEach(async () => {
  mails = []
  waiting = []
  errors = []
  now = 1_000
  refuses = () => undefined
  smtp = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    logger: false,
    onRcptTo: ({ address }, _session, done) => done(refuses(address) ?? null),
    onData(stream, { envelope }, done) {
      const parts: Buffer[] = []
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('end', () => {
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        mails.push({ from, to: envelope.rcptTo.map(({ address }) => address), text: Buffer.concat(parts).toString() })
        done()
        changed()
      })
    },
  })
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve))
  port = (smtp.server.address() as AddressInfo).port
})

afterEach(() => new Promise<void>((resolve) => smtp.close(resolve)))

const changed = (): void => {
  for (const look of waiting.splice(0)) look()
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await new Promise<void>((resolve) => waiting.push(resolve))
}

const login = (options: Partial<MailLoginOptions> = {}): Login =>
  mailLogin({
    smtp: `smtp://127.0.0.1:${port}`,
    from: 'Weft <login@example.org>',
    link: (code) => `https://example.org/login#${code}`,
    now: () => now,
    onError: (error) => {
      errors.push(error)
      changed()
    },
    ...options,
  })

const ask = (one: Login, address: string, asker = '192.0.2.1'): Promise<Person | Refusal> =>
  one.check(mailLink(address).credentials, key, asker)

const redeem = (one: Login, code: string, by = key): Promise<Person | Refusal> =>
  one.check(mailCode(code).credentials, by, '192.0.2.1')

/** The body as it was before it was made fit for a line of a mail. */
const bodyOf = ({ text }: Mail): string =>
  text
    .slice(text.indexOf('\r\n\r\n'))
    .replace(/=\r\n/g, '')
    .replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))

const codeIn = (mail: Mail | undefined): string => {
  const [, code] = /https:\/\/example\.org\/login#(\S+)/.exec(mail === undefined ? '' : bodyOf(mail)) ?? []
  if (code === undefined) throw new Error('no link in the mail')
  return code
}

/** Asks for a mail and gives its code. */
const codeFor = async (one: Login, address: string): Promise<string> => {
  const before = mails.length
  expect(await ask(one, address)).toMatchObject({ code: 'MailSent' })
  await until(() => mails.length > before)
  return codeIn(mails.at(-1))
}

const sentenceOf = (judged: Person | Refusal): string => {
  if (!isRefusal(judged)) throw new Error(`logged in as ${judged.owner}`)
  expect(judged.code).toBe('LoginRefused')
  expect(judged.about.length).toBeLessThanOrEqual(80)
  return judged.about
}

describe('a link that was asked for', () => {
  test('goes to that address, and its code logs in as the one whom it shows', async () => {
    const one = login()
    const code = await codeFor(one, ' Ada.Lovelace+Weft@Example.ORG ')
    const [mail] = mails
    expect(mail).toMatchObject({ from: 'login@example.org', to: ['ada.lovelace+weft@example.org'] })
    expect(mail?.text).toContain('Auto-Submitted: auto-generated')
    expect(mail === undefined ? '' : bodyOf(mail)).toContain('log in as ada.lovelace+weft@example.org')
    expect(mailAddressOf(code)).toBe('ada.lovelace+weft@example.org')
    expect(await redeem(one, code)).toEqual({
      owner: 'mail:ada.lovelace+weft@example.org',
      name: 'ada.lovelace+weft',
    })
    expect(errors).toEqual([])
  })

  test('serves on another device than the one that asked', async () => {
    const one = login()
    expect(await redeem(one, await codeFor(one, 'ada@example.org'), eve)).toMatchObject({
      owner: 'mail:ada@example.org',
    })
  })

  test('serves one key, which may repeat itself for a moment', async () => {
    const one = login()
    const code = await codeFor(one, 'ada@example.org')
    expect(await redeem(one, code)).toMatchObject({ owner: 'mail:ada@example.org' })
    expect(sentenceOf(await redeem(one, code, eve))).toContain('used or is too old')
    now += minute - 1
    expect(await redeem(one, code)).toMatchObject({ owner: 'mail:ada@example.org' })
    now += 1
    expect(sentenceOf(await redeem(one, code))).toContain('used or is too old')
  })

  test('serves for 15 minutes, or as long as the app says', async () => {
    const one = login()
    const [early, late] = [await codeFor(one, 'ada@example.org'), await codeFor(one, 'bob@example.org')]
    now += 15 * minute - 1
    expect(await redeem(one, early)).toMatchObject({ owner: 'mail:ada@example.org' })
    now += 1
    expect(sentenceOf(await redeem(one, late))).toContain('used or is too old')
    const brief = login({ lifetime: 1_000 })
    const code = await codeFor(brief, 'ada@example.org')
    now += 1_000
    expect(sentenceOf(await redeem(brief, code))).toContain('used or is too old')
  })

  test('names in its code whom it logs in, and with another name it serves nobody', async () => {
    const one = login()
    const code = await codeFor(one, 'eve@example.org')
    const [secret] = code.split('.')
    const posed = `${secret}.${Buffer.from('ada@example.org').toString('hex')}`
    expect(mailAddressOf(posed)).toBe('ada@example.org')
    sentenceOf(await redeem(one, posed))
    for (const bad of ['', 'x', `${code}00`, `${code} `, code.toUpperCase(), code.slice(0, -1), 'a'.repeat(100_000)])
      sentenceOf(await redeem(one, bad))
    for (const bad of ['x', `${secret}.ff`, `${secret}.0a`, `${secret}.e280ae`, `${secret}.4`])
      expect(mailAddressOf(bad)).toBeUndefined()
    expect(await redeem(one, code)).toMatchObject({ owner: 'mail:eve@example.org' })
  })

  test('has a code that nobody guesses, and no two have the same', async () => {
    const one = login()
    const codes = new Set<string>()
    for (let at = 0; at < mostForAsker; at++) await ask(one, `user${at}@example.org`)
    await until(() => mails.length === mostForAsker)
    for (const mail of mails) codes.add(codeIn(mail).split('.')[0] ?? '')
    expect(codes.size).toBe(mostForAsker)
    for (const code of codes) expect(Buffer.from(code, 'base64url').length).toBe(24)
  })

  test('is worded by the app', async () => {
    const one = login({
      subject: 'Hello',
      text: ({ link, address, minutes }) => `${address}: ${link} ${minutes}`,
      name: () => 'A\u0007da',
      lifetime: 5 * minute,
    })
    const code = await codeFor(one, 'ada@example.org')
    expect(mails[0]?.text).toContain('Subject: Hello\r\n')
    expect(mails[0] && bodyOf(mails[0])).toContain(`ada@example.org: https://example.org/login#${code} 5`)
    expect(await redeem(one, code)).toEqual({ owner: 'mail:ada@example.org', name: 'A da' })
  })
})

test('what is no address gets no mail, and nothing can be slipped into one', async () => {
  const one = login()
  const bad = [
    '',
    'ada',
    'ada@localhost',
    '@example.org',
    'ada@',
    'ada@example.org\r\nBcc: eve@example.org',
    'ada@example.org\nBcc: eve@example.org',
    'ada@example.org, eve@example.org',
    'ada@example.org;eve@example.org',
    'Ada <ada@example.org>',
    '"ada eve"@example.org',
    'ada@[127.0.0.1]',
    'ada@127.0.0.1',
    'ada@example..org',
    '.ada@example.org',
    'ada.@example.org',
    'ada..b@example.org',
    'ada@-example.org',
    'ada@example.o',
    'ada@ex\u0430mple.org',
    'ad\u0000a@example.org',
    'ada@eve@example.org',
    `${'a'.repeat(65)}@example.org`,
    `${'a'.repeat(50)}@${`${'b'.repeat(60)}.`.repeat(4)}org`,
  ]
  for (const address of bad) expect(sentenceOf(await ask(one, address)), address).toMatch(/address/)
  for (const bad of [
    null,
    'ada@example.org',
    [],
    ['link'],
    ['link', 7],
    ['link', 'a@b.org', 1],
    ['else', 'x'],
    new Map(),
  ])
    expect(sentenceOf(await one.check(bad, key, undefined))).toContain('address or a code')
  const local = 'a'.repeat(64)
  const host = `${'b'.repeat(60)}.`.repeat(2)
  const longest = `${local}@${host}${'c'.repeat(limits.mailAddress - 69 - host.length)}.org`
  expect(longest.length).toBe(limits.mailAddress)
  const judged = await redeem(one, await codeFor(one, longest))
  expect(isRefusal(judged) ? '' : Buffer.byteLength(judged.owner)).toBeLessThanOrEqual(limits.nameBytes)
  await codeFor(one, "o'hara!#$%&*/=?^_`{|}~-@example.org")
  expect(mails.map(({ to }) => to)).toEqual([[longest], ["o'hara!#$%&*/=?^_`{|}~-@example.org"]])
})

describe('whoever asks', () => {
  test('gets the same answer whether a mail goes or not', async () => {
    const one = login({ accepts: async (address) => address === 'ada@example.org' })
    const known = await codeFor(one, 'ada@example.org')
    const answers = await Promise.all([ask(one, 'ada@example.org'), ask(one, 'eve@example.org')])
    expect(answers[1]).toEqual(answers[0])
    await until(() => mails.length === 2)
    for (const asker of ['198.51.100.1', '198.51.100.2']) {
      const address = asker.endsWith('1') ? 'ada@example.org' : 'eve@example.org'
      const said: string[] = []
      for (let at = 0; at <= mostForAsker; at++) {
        const answer = await ask(one, address, asker)
        said.push(isRefusal(answer) ? answer.code : '')
      }
      expect(said).toEqual([...Array<string>(mostForAsker).fill('MailSent'), 'LoginRefused'])
    }
    expect(await redeem(one, known)).toMatchObject({ owner: 'mail:ada@example.org' })
  })

  test('too early loses nothing', async () => {
    let known = false
    const one = login({ accepts: () => known })
    for (let at = 0; at < mostForAddress; at++) await ask(one, 'ada@example.org')
    known = true
    await codeFor(one, 'ada@example.org')
  })

  test('does not wait for the mail server', async () => {
    let refuse: (error: Error) => void = () => undefined
    const sendMail = () => new Promise<never>((_resolve, reject) => (refuse = reject))
    const one = login({ transport: { sendMail } })
    expect(await ask(one, 'ada@example.org')).toMatchObject({ code: 'MailSent' })
    refuse(new Error('away'))
    await until(() => errors.length === 1)
  })

  test('has mails sent to one address three times at most, and what was sent serves', async () => {
    let made = 0
    const one = login({ link: (code) => `https://example.org/login#${++made && code}` })
    const codes: string[] = []
    for (let at = 0; at < mostForAddress; at++) codes.push(await codeFor(one, 'ada@example.org'))
    for (let at = 0; at < 5; at++) expect(await ask(one, 'ada@example.org', eve)).toMatchObject({ code: 'MailSent' })
    await codeFor(one, 'bob@example.org')
    expect(made).toBe(mostForAddress + 1)
    for (const code of codes) expect(await redeem(one, code)).toMatchObject({ owner: 'mail:ada@example.org' })
    now += 15 * minute
    await codeFor(one, 'ada@example.org')
    expect(made).toBe(mostForAddress + 2)
  })

  test('may ask for so many, whatever the addresses, and others may go on', async () => {
    const one = login()
    for (let at = 0; at < mostForAsker; at++) await ask(one, `user${at}@example.org`)
    await until(() => mails.length === mostForAsker)
    expect(sentenceOf(await ask(one, 'ada@example.org'))).toContain('too many mails were asked for here')
    expect(await ask(one, 'ada@example.org', '192.0.2.2')).toMatchObject({ code: 'MailSent' })
    await until(() => mails.length === mostForAsker + 1)
    now += 15 * minute
    expect(await ask(one, 'bob@example.org')).toMatchObject({ code: 'MailSent' })
    await until(() => mails.length === mostForAsker + 2)
  })
})

describe('a mail server', () => {
  test('that is away is reported once, and people are told for a while', async () => {
    const one = login()
    await new Promise<void>((resolve) => smtp.close(resolve))
    await ask(one, 'ada@example.org')
    await until(() => errors.length === 1)
    expect(sentenceOf(await ask(one, 'ada@example.org'))).toContain('cannot be sent at the moment')
    now += 30_000
    expect(await ask(one, 'ada@example.org')).toMatchObject({ code: 'MailSent' })
    await until(() => errors.length === 2)
    await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve))
  })

  test('that does not know an address says so to the operator alone', async () => {
    refuses = (address) =>
      address.startsWith('eve') ? Object.assign(new Error('who?'), { responseCode: 550 }) : undefined
    const one = login()
    expect(await ask(one, 'eve@example.org')).toMatchObject({ code: 'MailSent' })
    await until(() => errors.length === 1)
    expect(JSON.stringify(errors)).not.toContain('login#')
    await codeFor(one, 'ada@example.org')
  })
})

test('codes are bounded in all, expire in order, and leave nothing behind', () => {
  let time = 0
  const codes = new OutstandingCodes({ lifetime: 1_000, now: () => time })
  for (let at = 0; at < mostCodes; at++) {
    time = at / mostCodes
    expect(codes.isFull).toBe(false)
    codes.add(`code ${at}`, `address ${at}`, `asker ${at}`)
  }
  expect(codes.isFull).toBe(true)
  time = 1_000
  expect(codes.isFull).toBe(false)
  expect(codes.redeem('code 0', 'k')).toBeUndefined()
  expect(codes.redeem('code 1', 'k')).toBe('address 1')
  time = 2_001
  expect(codes.size).toBe(0)
  expect(codes.counted).toBe(0)
})
