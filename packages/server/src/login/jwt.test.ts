/** Tokens that are really signed, keys that are really fetched: a provider of OpenID Connect on loopback. */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { isRefusal, type Login, limits, type Person, type Refusal } from '@weft-db/engine'
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type JwtLoginOptions, jwtLogin } from './jwt.ts'

const audience = 'the-app'
const names = ['rsa', 'curve', 'new', 'stranger'] as const
const pairs = new Map<string, { readonly privateKey: CryptoKey; readonly publicKey: CryptoKey; readonly jwk: JWK }>()

let http: Server
let issuer: string
/** What the provider shows, and how often it was asked for it. */
let shown: JWK[]
let answer: (path: string) => string | undefined
let asked: string[]

beforeAll(async () => {
  for (const name of names) {
    const alg = name === 'rsa' ? 'RS256' : 'ES256'
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
    pairs.set(name, { privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid: name, alg, use: 'sig' } })
  }
})

const pair = (name: (typeof names)[number]) => {
  const found = pairs.get(name)
  if (found === undefined) throw new Error(`no key ${name}`)
  return found
}

beforeEach(async () => {
  asked = []
  shown = [pair('rsa').jwk, pair('curve').jwk]
  answer = (path) => {
    if (path === '/keys') return JSON.stringify({ keys: shown })
    if (path === '/.well-known/openid-configuration') return JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` })
    return undefined
  }
  http = createServer((request, response) => {
    asked.push(request.url ?? '')
    const body = answer(request.url ?? '')
    if (body === '') return
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'application/json' }).end(body)
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  issuer = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
})

afterEach(() => stop())

const stop = async (): Promise<void> => {
  const stopped = new Promise((resolve) => http.close(resolve))
  http.closeAllConnections()
  await stopped
}

interface Signing {
  readonly by?: (typeof names)[number]
  readonly kid?: string
  /** When it expires; undefined for never. */
  readonly ends?: string | undefined
}

const token = (claims: JWTPayload = {}, signing: Signing = {}): Promise<string> => {
  const { by = 'rsa', kid = by, ends } = { ends: '10m', ...signing }
  const alg = by === 'rsa' ? 'RS256' : 'ES256'
  const made = new SignJWT({ iss: issuer, aud: audience, sub: 'ada', ...claims }).setProtectedHeader({ alg, kid })
  if (ends !== undefined) made.setExpirationTime(ends)
  return made.sign(pair(by).privateKey)
}

const login = (options: Partial<JwtLoginOptions> = {}): Login =>
  jwtLogin({ issuer, audience, jwks: `${issuer}/keys`, ...options })

/** The owner, or the sentence of the refusal; which must not hold any of the token. */
const outcome = async (one: Login, credentials: string): Promise<string> => {
  const judged: Person | Refusal = await one.check(credentials, 'ab'.repeat(32), '127.0.0.1')
  if (!isRefusal(judged)) return judged.owner
  expect(judged.code).toBe('LoginRefused')
  expect(judged.about.length).toBeLessThanOrEqual(80)
  for (const part of credentials.split('.')) if (part.length > 8) expect(judged.about).not.toContain(part)
  return judged.about
}

describe('a token that its issuer signed for this app', () => {
  test.each(['rsa', 'curve'] as const)('logs in: %s', async (by) => {
    expect(await outcome(login(), await token({}, { by }))).toBe(`oidc:${issuer}#ada`)
  })

  test('says who it is: the owner by issuer and subject, the name as people know it', async () => {
    const one = login()
    const named = await one.check(await token({ name: ' Ada\u202e Lovelace\n' }), 'k', undefined)
    expect(named).toEqual({ owner: `oidc:${issuer}#ada`, name: 'Ada Lovelace' })
    const long = await one.check(await token({ name: '\u{1f9f5}'.repeat(200) }), 'k', undefined)
    expect(long).toEqual({ owner: `oidc:${issuer}#ada`, name: '\u{1f9f5}'.repeat(limits.displayName / 4) })
    const nickname = await one.check(await token({ name: '\u0000', nickname: 'Countess' }), 'k', undefined)
    expect(nickname).toMatchObject({ name: 'Countess' })
    expect(await one.check(await token(), 'k', undefined)).toMatchObject({ name: 'No name' })
  })

  test('has an account of its own, however long the subject', async () => {
    const one = login()
    const subjects = ['x'.repeat(300), 'x'.repeat(301), '#', 'ada#b', `${'y'.repeat(40)}\ud800`]
    const owners = await Promise.all(subjects.map(async (sub) => outcome(one, await token({ sub }))))
    expect(new Set(owners).size).toBe(subjects.length)
    for (const owner of owners) expect(Buffer.byteLength(owner)).toBeLessThanOrEqual(limits.nameBytes)
    expect(owners[0]).toMatch(/^oidc-hash:[0-9a-f]{64}$/)
    expect(owners[2]).toBe(`oidc:${issuer}##`)
    expect(owners[4]).toMatch(/^oidc-hash:[0-9a-f]{64}$/)
  })

  test('is whom the app says', async () => {
    const one = login({
      person: ({ groups }, person) =>
        Array.isArray(groups) && groups.includes('staff')
          ? { ...person, owner: `staff:${person.owner}` }
          : { code: 'LoginRefused', about: 'only staff' },
    })
    expect(await outcome(one, await token({ groups: ['staff'] }))).toBe(`staff:oidc:${issuer}#ada`)
    expect(await outcome(one, await token({ groups: ['guests'] }))).toBe('only staff')
  })

  test('within the tolerance of clocks', async () => {
    const now = Math.floor(Date.now() / 1_000)
    expect(await outcome(login(), await token({ exp: now - 20 }, { ends: undefined }))).toContain('#ada')
    expect(await outcome(login({ clockTolerance: 5 }), await token({ exp: now - 20 }, { ends: undefined }))).toContain(
      'has expired',
    )
  })
})

describe('refused is', () => {
  const now = (): number => Math.floor(Date.now() / 1_000)
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

  test('what expired, or never does, or is not valid yet', async () => {
    const one = login()
    expect(await outcome(one, await token({ exp: now() - 60 }, { ends: undefined }))).toContain('has expired')
    expect(await outcome(one, await token({}, { ends: undefined }))).toContain('does not say when it expires')
    expect(await outcome(one, await token({ nbf: now() + 600 }))).toContain('not valid yet')
  })

  test('what is for another app, from another issuer, or for nobody', async () => {
    const one = login()
    expect(await outcome(one, await token({ aud: 'another' }))).toContain('for another app')
    expect(await outcome(one, await token({ iss: 'https://example.org' }))).toContain('from another issuer')
    expect(await outcome(one, await token({ iss: `${issuer}/` }))).toContain('from another issuer')
    expect(await outcome(one, await token({ sub: '' }))).toContain('who it is for')
  })

  test('what nobody signed', async () => {
    const claims = { iss: issuer, aud: audience, sub: 'ada', exp: now() + 600 }
    for (const alg of ['none', 'None', '']) {
      const unsigned = `${part({ alg, kid: 'rsa' })}.${part(claims)}.`
      expect(await outcome(login(), unsigned)).toMatch(/not accepted here|not a token/)
    }
    expect(asked).toEqual([])
  })

  test('what is signed with the public key as if it were a secret', async () => {
    const { publicKey, jwk } = pair('rsa')
    const claims = { iss: issuer, aud: audience, sub: 'ada', exp: now() + 600 }
    for (const secret of [await exportSPKI(publicKey), JSON.stringify(jwk), String(jwk.n)]) {
      const forged = await new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256', kid: 'rsa' })
        .sign(new TextEncoder().encode(secret))
      expect(await outcome(login(), forged)).toContain('signed in a way that is not accepted')
    }
    expect(() => login({ algorithms: ['HS256' as 'RS256'] })).toThrow('does not sign with a private key')
  })

  test('what was tampered with, and a signature by somebody else', async () => {
    const one = login()
    const [header = '', , signature = ''] = (await token()).split('.')
    const claims = part({ iss: issuer, aud: audience, sub: 'eve', exp: now() + 600 })
    expect(await outcome(one, `${header}.${claims}.${signature}`)).toContain('signature of the token is wrong')
    const foreign = await token({}, { by: 'stranger', kid: 'curve' })
    expect(await outcome(one, foreign)).toContain('signature of the token is wrong')
    const confused = await token({}, { by: 'stranger', kid: 'rsa' })
    expect(await outcome(one, confused)).toContain('a key its issuer does not name')
  })

  test('a key inside the token, or at an address that the token names', async () => {
    const claims = { iss: issuer, aud: audience, sub: 'ada', exp: now() + 600 }
    const { privateKey, jwk } = pair('stranger')
    for (const header of [{ jwk }, { jku: `${issuer}/evil` }, { x5u: `${issuer}/evil` }]) {
      const own = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', ...header }).sign(privateKey)
      expect(await outcome(login(), own)).toContain('signature of the token is wrong')
    }
    expect(asked).not.toContain('/evil')
  })

  test('what is no token, and what is too long to be looked at', async () => {
    const one = login()
    for (const bad of ['x', '..', 'a.b.c', 'é.é.é']) expect(await outcome(one, bad)).toBe('this is not a token')
    expect(await outcome(one, 'a'.repeat(limits.loginToken + 1))).toBe('the token is too long')
    const longest = await token({ pad: 'x'.repeat(11_000) })
    expect(longest.length).toBeGreaterThan(limits.loginToken * 0.9)
    expect(await outcome(one, longest)).toBe(`oidc:${issuer}#ada`)
    for (const bad of [null, '', 7, ['a'], new Map([['a', 1]])]) {
      expect(await one.check(bad, 'k', undefined)).toMatchObject({ code: 'LoginRefused', about: 'a token is needed' })
    }
  })
})

describe('the keys of the issuer', () => {
  test('are fetched once for many tokens', async () => {
    const one = login()
    const tokens = await Promise.all(Array.from({ length: 20 }, (_, at) => token({ sub: `user ${at}` })))
    await Promise.all(tokens.map((each) => outcome(one, each)))
    expect(asked).toEqual(['/keys'])
  })

  test('are looked for again when a token names a new one, and not for every such token', async () => {
    const one = login({ cooldown: 0 })
    expect(await outcome(one, await token())).toContain('#ada')
    shown = [pair('new').jwk]
    expect(await outcome(one, await token({}, { by: 'new' }))).toContain('#ada')
    expect(await outcome(one, await token())).toContain('a key its issuer does not name')
    const patient = login()
    expect(await outcome(patient, await token({}, { by: 'new' }))).toContain('#ada')
    const before = asked.length
    for (let guess = 0; guess < 10; guess++) {
      expect(await outcome(patient, await token({}, { by: 'stranger', kid: `guess ${guess}` }))).toContain(
        'a key its issuer does not name',
      )
    }
    expect(asked.length).toBe(before)
  })

  test('are found by discovery when only the issuer is known', async () => {
    const one = jwtLogin({ issuer, audience })
    const tokens = await Promise.all([token(), token({ sub: 'bob' })])
    await Promise.all(tokens.map((each) => outcome(one, each)))
    expect(asked).toEqual(['/.well-known/openid-configuration', '/keys'])
    expect(await outcome(one, await token())).toContain('#ada')
  })

  test('are not taken from a discovery of another issuer, or by plain http from elsewhere', async () => {
    for (const said of [
      { issuer: 'https://example.org', jwks_uri: `${issuer}/keys` },
      // This machine by a name that is not known to be it.
      { issuer, jwks_uri: `${issuer.replace('127.0.0.1', '[::ffff:7f00:1]')}/keys` },
      { issuer },
      null,
    ]) {
      answer = (path) => (path === '/keys' ? JSON.stringify({ keys: shown }) : JSON.stringify(said))
      expect(await outcome(jwtLogin({ issuer, audience }), await token())).toContain('cannot be reached')
    }
    expect(asked).not.toContain('/keys')
    for (const options of [{ jwks: 'http://example.org/keys' }, { jwks: 'nowhere' }, { jwks: 'file:///etc/passwd' }])
      expect(() => login(options)).toThrow(TypeError)
    expect(() => jwtLogin({ issuer: 'http://example.org', audience })).toThrow('https')
  })

  test('may be given, without a secret one', async () => {
    const one = login({ keys: { keys: [pair('rsa').jwk] } })
    expect(await outcome(one, await token())).toContain('#ada')
    expect(await outcome(one, await token({}, { by: 'curve' }))).toContain('a key its issuer does not name')
    expect(asked).toEqual([])
    const secret = await exportJWK(pair('rsa').privateKey)
    expect(() => login({ keys: { keys: [secret] } })).toThrow('secret')
  })

  test('that cannot be had refuse the login for now', async () => {
    const one = login({ timeout: 50 })
    const away = 'the login provider cannot be reached: try again in a minute'
    answer = () => undefined
    expect(await outcome(one, await token())).toBe(away)
    answer = () => 'not JSON'
    expect(await outcome(one, await token())).toBe(away)
    answer = () => JSON.stringify({ keys: [], pad: 'x'.repeat(300_000) })
    expect(await outcome(one, await token())).toBe(away)
    // Never answers.
    answer = () => ''
    expect(await outcome(one, await token())).toBe(away)
    answer = () => JSON.stringify({ keys: shown })
    expect(await outcome(one, await token())).toContain('#ada')
    const good = await token()
    const other = login()
    const [port, signed] = [(http.address() as AddressInfo).port, good]
    await stop()
    expect(await outcome(other, signed)).toBe(away)
    await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve))
    expect(await outcome(other, signed)).toContain('#ada')
  })
})

test('what would let in tokens for others is no option', () => {
  expect(() => login({ audience: '' })).toThrow('audience')
  expect(() => login({ audience: [] })).toThrow('audience')
  expect(() => login({ issuer: 'https://example.org#a' })).toThrow('without #')
  expect(() => login({ algorithms: [] })).toThrow('algorithm')
})
