/**
 * Logging in with a signed token (JWT, RFC 7519): whatever provider of OpenID Connect, or your own. What it promises: only tokens that the
 * issuer signed with a public-key algorithm, for this audience, with an end that is not over; accounts of two issuers never meet; and what
 * is said about a refused token never quotes it.
 */
import { createHash } from 'node:crypto'
import { isRefusal, type Login, limits, type Person, type Plain, type Refusal, refusal } from '@weft-db/engine'
import { errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from 'jose'
import { shownName } from './name.ts'
import { ProviderAway, providerKeys } from './provider.ts'

export type JwtAlgorithm = `${'RS' | 'PS'}${256 | 384 | 512}` | `ES${256 | 384 | 512}` | 'EdDSA' | 'Ed25519'

export interface JwtLoginOptions {
  /** The `iss` of the tokens, to the letter. Alone it is enough: where the keys are is asked of `<issuer>/.well-known/openid-configuration`. */
  readonly issuer: string
  /** The `aud` of the tokens: your app's client id. A token for another app is no login to this one. */
  readonly audience: string | readonly string[]
  /** Where the issuer's public keys are, as a JWKS. */
  readonly jwks?: string | URL
  /** The public keys themselves. */
  readonly keys?: JSONWebKeySet
  /** All that sign with a private key, unless told. Secrets shared with the issuer are not taken. */
  readonly algorithms?: readonly JwtAlgorithm[]
  /** How far clocks may differ, seconds; 30 unless told. */
  readonly clockTolerance?: number
  /** Until the issuer counts as away, ms; 5,000 unless told. */
  readonly timeout?: number
  /** Least time between two looks for a key that is not known, ms; 30,000 unless told. */
  readonly cooldown?: number
  /** `jwt` unless told: name each when there are several issuers, and give the same name to `jwt(token, method)`. */
  readonly method?: string
  /** Who it is, from what the token claims: `person` is what would be taken. May refuse, with a sentence for the person. */
  readonly person?: (claims: JWTPayload, person: Person) => Person | Refusal | Promise<Person | Refusal>
}

const publicKeyAlgorithms: readonly JwtAlgorithm[] = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
]

const refused = (sentence: string): Refusal => refusal('LoginRefused', sentence)

/** Judges the tokens of `jwt(token)`. Throws a `TypeError` for options that would not be safe. */
export const jwtLogin = (options: JwtLoginOptions): Login => {
  const { issuer, audience, algorithms = publicKeyAlgorithms, clockTolerance = 30, method = 'jwt' } = options
  if (issuer === '' || issuer.includes('#')) throw new TypeError('issuer is a name or address without #')
  if (audience.length === 0) throw new TypeError('an audience is needed: else tokens for any other app would do')
  for (const algorithm of algorithms) {
    if (!publicKeyAlgorithms.includes(algorithm)) throw new TypeError(`${algorithm} does not sign with a private key`)
  }
  if (algorithms.length === 0) throw new TypeError('an algorithm is needed')
  const { jwks, keys, timeout = 5_000, cooldown = 30_000 } = options
  const key = providerKeys({ issuer, timeout, cooldown, ...(jwks && { jwks }), ...(keys && { keys }) })
  const rules = {
    issuer,
    audience: typeof audience === 'string' ? audience : [...audience],
    algorithms: [...algorithms],
    clockTolerance,
    requiredClaims: ['exp', 'sub'],
  }

  const read = async (token: string): Promise<JWTPayload | Refusal> => {
    try {
      return (await jwtVerify(token, key, rules)).payload
    } catch (error) {
      return refused(reasonOf(error))
    }
  }

  return {
    method,
    async check(credentials: Plain) {
      if (typeof credentials !== 'string' || credentials === '') return refused('a token is needed')
      if (credentials.length > limits.loginToken) return refused('the token is too long')
      const claims = await read(credentials)
      if (isRefusal(claims)) return claims
      const { sub } = claims
      if (sub === undefined || sub === '') return refused('the token does not say who it is for')
      const person = { owner: ownerOf(issuer, sub), name: nameOf(claims) }
      return options.person === undefined ? person : options.person(claims, person)
    },
  }
}

/**
 * `oidc:<issuer>#<sub>`: an issuer has no `#`, so two never name one account. What does not fit into a name is hashed, under a prefix of its own.
 */
const ownerOf = (issuer: string, sub: string): string => {
  const owner = `oidc:${issuer}#${sub}`
  if (Buffer.from(sub).toString() === sub && Buffer.byteLength(owner) <= limits.nameBytes) return owner
  return `oidc-hash:${createHash('sha256')
    .update(JSON.stringify([issuer, sub]))
    .digest('hex')}`
}

const nameOf = ({ name, preferred_username: preferred, nickname, given_name: given }: JWTPayload): string =>
  shownName(name) ?? shownName(preferred) ?? shownName(nickname) ?? shownName(given) ?? 'No name'

/** A sentence for people. What the library says may quote the token's claims. */
const reasonOf = (error: unknown): string => {
  if (error instanceof ProviderAway) return 'the login provider cannot be reached: try again in a minute'
  if (error instanceof errors.JWTExpired) return 'the token has expired: log in there again'
  if (error instanceof errors.JWTClaimValidationFailed) return wrongClaim[error.claim] ?? 'the token lacks a claim'
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported)
    return 'the token is signed in a way that is not accepted here'
  if (error instanceof errors.JWKSNoMatchingKey) return 'the token is signed with a key its issuer does not name'
  if (error instanceof errors.JWKSMultipleMatchingKeys) return 'the token does not say which key signed it'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'the signature of the token is wrong'
  return 'this is not a token'
}

const wrongClaim: Readonly<Record<string, string>> = {
  iss: 'the token is from another issuer',
  aud: 'the token is for another app',
  exp: 'the token does not say when it expires',
  sub: 'the token does not say who it is for',
  nbf: 'the token is not valid yet: check the clocks',
}
