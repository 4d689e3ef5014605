/**
 * What the authority signs besides commits: certificates and the entries of its logs. The signed bytes begin with the kind, so that one
 * kind is never taken for another; ids are hashes of the body, and the signature stands outside.
 *
 *     signed = [body bytes, signature (64 bytes)]
 */
import { concatBytes, encodeUtf8, toHex } from '../bytes/bytes.ts'
import { decode, encode, type Plain } from '../bytes/cbor.ts'
import { isRefusal, type Refusal, refusal } from '../bytes/refusal.ts'
import type { Hash } from '../commit/commit.ts'

export type SignedKind = 'certificate' | 'entry' | 'proof' | 'signal' | 'presence'

export interface Signed {
  readonly id: string
  readonly body: Uint8Array
  readonly signature: Uint8Array
  /** `[body, signature]`, as stored and forwarded. */
  readonly bytes: Uint8Array
}

/** The message that is signed for a body of that kind. */
export const messageOf = (kind: SignedKind, body: Uint8Array, hash: Hash): Uint8Array =>
  concatBytes(encodeUtf8(`weft/${kind}/1\0`), hash(body))

export const sealBody = (body: Uint8Array, signature: Uint8Array, hash: Hash): Signed => ({
  id: toHex(hash(body)),
  body,
  signature,
  bytes: encode([body, signature]),
})

/** Splits a signed unit and decodes its body; the signature is not checked. */
export const readSigned = (bytes: Uint8Array, hash: Hash): { signed: Signed; body: readonly Plain[] } | Refusal => {
  const decoded = decode(bytes)
  if (isRefusal(decoded)) return decoded
  if (!Array.isArray(decoded) || decoded.length !== 2) return refusal('Malformed', 'signed')
  const [body, signature] = decoded as readonly Plain[]
  if (!(body instanceof Uint8Array) || !(signature instanceof Uint8Array) || signature.length !== 64)
    return refusal('Malformed', 'signed')
  const list = decode(body)
  if (isRefusal(list)) return list
  if (!Array.isArray(list)) return refusal('Malformed', 'signed body')
  return { signed: { id: toHex(hash(body)), body, signature, bytes }, body: list as readonly Plain[] }
}
