/**
 * Certificates: the authority's word that a session's key belongs to a person. Given for a proof of possession, travels with the
 * commits of its session.
 *
 *     body = [format, network, public key (65 bytes), owner, display name, issued, expires, number, authority key id]
 *
 * The certificates of an account are numbered from 1 on, and no number is given twice: two that bear one number are evidence against whoever
 * holds the authority's key (`evidence.ts`).
 */
import { fromHex, toHex, utf8Length } from '../bytes/bytes.ts'
import { encode, type Plain } from '../bytes/cbor.ts'
import { limits } from '../bytes/limits.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import { format, type Hash, sessionId } from '../commit/commit.ts'
import { readSigned, type Signed } from './signed.ts'

export interface CertificateBody {
  readonly network: string
  readonly publicKey: Uint8Array
  /** The account, as the login method names it, for example `anonymous:<key id>` or `mail:ada@example.org`. */
  readonly owner: string
  readonly name: string
  /** ms since 1970 */
  readonly issued: number
  readonly expires: number
  /** Counts the certificates of the account, from 1 on. */
  readonly number: number
  /** Hash of the authority key that signed, hex. */
  readonly signer: string
}

export interface Certificate extends CertificateBody, Signed {
  readonly session: string
}

export const encodeCertificate = (body: CertificateBody): Uint8Array =>
  encode([
    format,
    fromHex(body.network),
    body.publicKey,
    body.owner,
    body.name,
    body.issued,
    body.expires,
    body.number,
    fromHex(body.signer),
  ])

const isCount = (value: Plain | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

/** Reads a certificate; its signature is checked elsewhere. */
export const readCertificate = (bytes: Uint8Array, hash: Hash): Certificate | Refusal => {
  const read = readSigned(bytes, hash)
  if (isRefusal(read)) return read
  const malformed = refusal('Malformed', 'certificate')
  if (read.body.length !== 9) return malformed
  const [version, network, publicKey, owner, name, issued, expires, number, signer] = read.body
  if (version !== format) return isCount(version) ? refusal('UnknownFormat', 'certificate') : malformed
  if (!(network instanceof Uint8Array) || network.length !== 32) return malformed
  if (!(publicKey instanceof Uint8Array) || publicKey.length !== 65 || publicKey[0] !== 4) return malformed
  if (typeof owner !== 'string' || owner === '' || utf8Length(owner) > limits.nameBytes) return malformed
  if (typeof name !== 'string' || name === '' || utf8Length(name) > limits.displayName) return malformed
  if (!isCount(issued) || !isCount(expires) || expires <= issued || expires - issued > limits.certificateLife)
    return malformed
  if (!isCount(number) || number === 0) return malformed
  if (!(signer instanceof Uint8Array) || signer.length !== 32) return malformed
  return {
    ...read.signed,
    session: sessionId(publicKey, owner, hash),
    network: toHex(network),
    publicKey,
    owner,
    name,
    issued,
    expires,
    number,
    signer: toHex(signer),
  }
}
