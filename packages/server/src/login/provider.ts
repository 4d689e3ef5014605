/**
 * The keys with which a login provider signs: given, fetched from its JWKS address, or from wherever its OpenID Connect discovery says.
 * What is fetched is kept for a while, asked for again when a token names a key that is not among it, and bounded in time and size. Without
 * https nobody could tell whose keys they are, so plain http is for this machine alone.
 */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type JSONWebKeySet,
  type JWTVerifyGetKey,
} from 'jose'

/** The provider did not say what it was asked, so nobody knows whether the token is good. */
export class ProviderAway extends Error {
  constructor(cause: unknown) {
    super('the login provider cannot be reached', { cause })
    this.name = 'ProviderAway'
  }
}

export interface ProviderOptions {
  readonly issuer: string
  readonly jwks?: string | URL
  readonly keys?: JSONWebKeySet
  /** ms */
  readonly timeout: number
  /** Between two fetches for keys that are not known, ms. */
  readonly cooldown: number
}

const largestAnswer = 262_144
/** Until discovery is asked again, ms. */
const discoveryLife = 3_600_000
const loopback = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Throws a `TypeError` for an address that would be asked without https, or is none. */
export const mustBeSafe = (address: string | URL, what: string): URL => {
  if (!URL.canParse(String(address))) throw new TypeError(`${what} is not an address: ${String(address)}`)
  const url = new URL(address)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback.has(url.hostname)))
    throw new TypeError(`${what} must begin with https: ${String(address)}`)
  return url
}

export const providerKeys = (options: ProviderOptions): JWTVerifyGetKey => {
  const { issuer, jwks, keys } = options
  if (keys !== undefined) {
    if (keys.keys.some((key) => key.kty === 'oct' || key.d !== undefined))
      throw new TypeError('keys holds a secret one')
    return createLocalJWKSet(keys)
  }
  const find = jwks === undefined ? discovered(issuer, options) : fixed(remote(mustBeSafe(jwks, 'jwks'), options))
  return async (header, token) => {
    try {
      const set = await find()
      return await set(header, token)
    } catch (error) {
      if (isAboutToken(error)) throw error
      throw new ProviderAway(error)
    }
  }
}

/** What the token lacks; everything else is the provider's fault, or the line's. */
const isAboutToken = (error: unknown): boolean =>
  error instanceof errors.JWKSNoMatchingKey ||
  error instanceof errors.JWKSMultipleMatchingKeys ||
  error instanceof errors.JOSENotSupported

const fixed = (set: JWTVerifyGetKey) => async (): Promise<JWTVerifyGetKey> => set

const remote = (url: URL, { timeout, cooldown }: ProviderOptions): JWTVerifyGetKey =>
  createRemoteJWKSet(url, { timeoutDuration: timeout, cooldownDuration: cooldown, [customFetch]: fetchBounded })

/** Finds the JWKS by discovery (OpenID Connect Discovery 1.0, section 4), one request at a time. */
const discovered = (issuer: string, options: ProviderOptions): (() => Promise<JWTVerifyGetKey>) => {
  const address = mustBeSafe(`${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`, 'issuer')
  let found: { readonly at: number; readonly url: string; readonly set: JWTVerifyGetKey } | undefined
  let asking: Promise<void> | undefined

  const ask = async (): Promise<void> => {
    const response = await fetchBounded(address.href, {
      signal: AbortSignal.timeout(options.timeout),
      redirect: 'manual',
    })
    if (response.status !== 200) throw new Error(`discovery answered ${response.status}`)
    const said: unknown = await response.json()
    const { issuer: named, jwks_uri: url } = Object(said) as { issuer?: unknown; jwks_uri?: unknown }
    if (named !== issuer) throw new Error('discovery is of another issuer')
    if (typeof url !== 'string') throw new Error('discovery names no jwks_uri')
    const set = found?.url === url ? found.set : remote(mustBeSafe(url, 'jwks_uri'), options)
    found = { at: performance.now(), url, set }
  }

  return async () => {
    if (found === undefined || performance.now() - found.at > discoveryLife) {
      asking ??= ask().finally(() => {
        asking = undefined
      })
      // What was found before serves as long as nothing newer is.
      if (found === undefined) await asking
      else await asking.catch(() => undefined)
    }
    if (found === undefined) throw new Error('discovery found nothing')
    return found.set
  }
}

const fetchBounded = async (
  url: string,
  init: { readonly signal: AbortSignal; readonly redirect: 'manual'; readonly headers?: Headers },
): Promise<Response> => {
  const response = await fetch(url, init)
  const parts: Uint8Array[] = []
  let size = 0
  for await (const part of response.body ?? []) {
    size += part.length
    if (size > largestAnswer) throw new Error(`an answer of more than ${largestAnswer} bytes`)
    parts.push(part)
  }
  // Whatever is not the answer is a failure, and may have no body.
  return new Response(Buffer.concat(parts), { status: response.status === 200 ? 200 : 502 })
}
