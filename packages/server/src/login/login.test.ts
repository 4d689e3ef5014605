/** Logging in from an app to a server, over loopback: tokens of a provider, links that came by mail, and what goes on without either. */
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  anonymous,
  Database,
  type Files,
  type Incident,
  jwt,
  type KeyStore,
  mailCode,
  mailLink,
  saved,
  schema,
  string,
} from '@weft-db/engine'
import { memoryKeys, nodeRuntime } from '@weft-db/runtime/node'
import { socketIoTransport } from '@weft-db/socketio/client'
import { memoryFiles } from '@weft-db/storage/memory'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { SMTPServer } from 'smtp-server'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { type ServeOptions, type Server, serve } from '../serve.ts'
import { jwtLogin } from './jwt.ts'
import { mailLogin } from './mail.ts'

const Card = schema('card', 1, { title: string() })
const path = '/board/login'
const issuer = 'https://login.example.org'
const audience = 'the-app'
const runtime = nodeRuntime()

let folder: string
let server: Server
let clients: Database[]
let incidents: Incident[]
let lines: string[]
let signing: CryptoKey
let jwk: JWK

beforeAll(async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  signing = privateKey
  jwk = { ...(await exportJWK(publicKey)), alg: 'ES256', kid: 'one' }
})

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weft-login-'))
  clients = []
  incidents = []
  lines = []
})

afterEach(async () => {
  for (const client of clients) await client.close()
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

const start = async (login: ServeOptions['login'], port = 0): Promise<void> => {
  server = await serve({
    schemas: [Card],
    data: join(folder, 'store'),
    port,
    ...(login !== undefined && { login }),
    onIncident: (incident) => incidents.push(incident),
    log: (line) => lines.push(line),
  })
}

interface Device {
  readonly files: Files
  readonly keys: KeyStore
}

const device = (): Device => ({ files: memoryFiles(), keys: memoryKeys() })

const app = ({ files, keys }: Device = device()): Database => {
  const client = new Database({
    schemas: [Card],
    runtime,
    storage: async () => ({ files, keys, mode: 'memory', lasting: true }),
    transports: [socketIoTransport({ url: `http://127.0.0.1:${server.port}` })],
  })
  client.onIncident((incident) => incidents.push(incident))
  clients.push(client)
  return client
}

const token = (sub: string, claims: Record<string, unknown> = {}): Promise<string> =>
  new SignJWT({ name: 'Ada', ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'one' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(sub)
    .setExpirationTime('10m')
    .sign(signing)

const byToken = () => jwtLogin({ issuer, audience, keys: { keys: [jwk] } })

const ownerOf = (client: Database): string | undefined =>
  server.database.certificates.get(client.session?.id ?? '')?.owner

const online = (client: Database): Promise<void> =>
  new Promise((resolve) => {
    const look = (): void => {
      if (client.status.connection === 'online') resolve()
    }
    client.onStatus(look)
    look()
  })

test('a token logs in, and a device that has done so goes on without one, whatever restarts', async () => {
  await start([anonymous(), byToken()])
  const { port, network } = server
  const ours = device()
  const first = app(ours)
  expect(await first.login(jwt(await token('ada')))).toBe('certified')
  expect(first.session?.name).toBe('Ada')
  expect(ownerOf(first)).toBe(`oidc:${issuer}#ada`)
  const board = first.repository(path)
  await board.ready
  await saved(board.create(Card, { title: 'one' }), 'authority')

  await server.close()
  const session = first.session?.id
  const offline = board.create(Card, { title: 'two' })
  await saved(offline, 'local')
  await start([anonymous(), byToken()], port)
  expect(server.network).toBe(network)
  await saved(offline, 'authority')
  await first.close()

  const again = app(ours)
  await online(again)
  expect(again.session).toEqual({ id: session, name: 'Ada' })
  const there = again.repository(path)
  await there.ready
  await saved(there.create(Card, { title: 'three' }), 'authority')
  expect(ownerOf(again)).toBe(`oidc:${issuer}#ada`)
})

test('a refused token is said to be so, and stands nowhere', async () => {
  await start([byToken()])
  const client = app()
  const bad = await token('ada', { aud: 'another' })
  const wrong = bad.slice(0, -6) + bad.slice(-6).split('').reverse().join('')
  await expect(client.login(jwt(wrong))).rejects.toMatchObject({
    code: 'LoginRefused',
    about: 'the signature of the token is wrong',
  })
  expect(client.session).toBeUndefined()
  expect(client.status.problem?.code).toBe('LoginRefused')
  const said = JSON.stringify([incidents, lines, client.status, server.database.status])
  expect(said).toContain('LoginRefused')
  for (const part of wrong.split('.')) expect(said).not.toContain(part)
  expect(await client.login(jwt(await token('ada')))).toBe('certified')
})

test('while the server is away the name that is shown is nothing secret', async () => {
  await start([byToken()])
  const client = app()
  await client.opened
  await server.close()
  const secret = await token('ada')
  client.login(jwt(secret)).catch(() => undefined)
  await new Promise<void>((resolve) => client.onStatus(() => resolve()))
  expect(JSON.stringify([client.session ?? null, client.status])).not.toContain(secret.slice(0, 20))
})

test('an unknown way names those there are, and each is there once', async () => {
  await start([anonymous(), byToken(), mailLogin({ smtp: 'smtp://127.0.0.1:1', from: 'a@example.org', link: String })])
  const client = app()
  await expect(client.login({ method: 'password', credentials: 'x' })).rejects.toMatchObject({
    code: 'LoginRefused',
    about: 'ways to log in here: anonymous, jwt, mail',
  })
  const other = { schemas: [Card], data: join(folder, 'other'), port: 0 }
  await expect(serve({ ...other, login: [byToken(), byToken()] })).rejects.toThrow('jwt is given twice')
  const own = { ...byToken(), method: 'renew' }
  await expect(serve({ ...other, login: [own] })).rejects.toThrow('renew')
  await (await serve({ ...other, login: [byToken(), { ...byToken(), method: 'other' }] })).close()
})

test('[C4] a link in a mail logs in on every device that opens one, to one account', async () => {
  const links: string[] = []
  let come: (() => void) | undefined
  const smtp = new SMTPServer({
    disabledCommands: ['AUTH', 'STARTTLS'],
    onData(stream, _session, done) {
      const parts: Buffer[] = []
      stream.on('data', (part: Buffer) => parts.push(part))
      stream.on('end', () => {
        const text = Buffer.concat(parts).toString().replace(/=\r\n/g, '')
        links.push(/login#(\S+)/.exec(text)?.[1] ?? '')
        done()
        come?.()
      })
    },
  })
  await new Promise<void>((resolve) => smtp.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = smtp.server.address() as AddressInfo
    await start([
      anonymous(),
      mailLogin({
        smtp: { host: '127.0.0.1', port },
        from: 'login@example.org',
        link: (code) => `https://example.org/login#${code}`,
      }),
    ])
    const mailed = async (client: Database): Promise<string> => {
      const arrived = new Promise<void>((resolve) => (come = resolve))
      expect(await client.login(mailLink('Ada@Example.org'))).toBe('MailSent')
      await arrived
      return links.at(-1) ?? ''
    }
    const [laptop, phone, eve] = [app(), app(), app()]
    const code = await mailed(laptop)
    expect([laptop.session, laptop.status.problem]).toEqual([undefined, undefined])
    expect(incidents).toEqual([])
    // Read on the phone.
    expect(await phone.login(mailCode(code))).toBe('certified')
    await expect(eve.login(mailCode(code))).rejects.toMatchObject({ code: 'LoginRefused' })
    expect(eve.session).toBeUndefined()
    expect(await laptop.login(mailCode(await mailed(laptop)))).toBe('certified')
    expect([ownerOf(laptop), ownerOf(phone)]).toEqual(['mail:ada@example.org', 'mail:ada@example.org'])
    expect(phone.session?.name).toBe('ada')
    const card = phone.repository(path).create(Card, { title: 'from the phone' })
    await saved(card, 'authority')
    expect(JSON.stringify([incidents, lines])).not.toContain(code.slice(0, 32))
  } finally {
    await new Promise<void>((resolve) => smtp.close(resolve))
  }
})
