/**
 * ECDSA P-256 with SHA-256 whose signatures are a function of key and message (RFC 6979), because a simulation must give the same bytes
 * every time: packs are deflated, so even the bytes of a signature move the sizes of messages and with them the clock. The points are
 * computed by node:crypto, the scalars here; not constant in time, which matters to nobody inside a simulation.
 */
import { verify as check, createECDH, createHmac, createPublicKey, hash, type KeyObject } from 'node:crypto'

const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
const half = order >> 1n

const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x${Buffer.from(bytes).toString('hex') || '0'}`)
const toBytes = (number: bigint): Buffer => Buffer.from(number.toString(16).padStart(64, '0'), 'hex')
const modulo = (number: bigint): bigint => ((number % order) + order) % order
const hmac = (key: Uint8Array, ...parts: Uint8Array[]): Buffer =>
  createHmac('sha256', key).update(Buffer.concat(parts)).digest()

/** Extended Euclid. */
const inverse = (number: bigint): bigint => {
  let [previous, current, factor, next] = [modulo(number), order, 1n, 0n]
  while (current !== 0n) {
    const quotient = previous / current
    ;[previous, current] = [current, previous - quotient * current]
    ;[factor, next] = [next, factor - quotient * next]
  }
  return modulo(factor)
}

/** Whether these 32 bytes are a private key. */
export const isScalar = (bytes: Uint8Array): boolean => {
  const number = toNumber(bytes)
  return bytes.length === 32 && number > 0n && number < order
}

/** The 65 bytes of the uncompressed point that belongs to a private key of 32 bytes. */
export const publicKeyOf = (secret: Uint8Array): Uint8Array => {
  const curve = createECDH('prime256v1')
  curve.setPrivateKey(secret)
  return Uint8Array.from(curve.getPublicKey())
}

/** The candidates for the nonce, RFC 6979 section 3.2, for a curve and a hash of 256 bits. */
function* nonces(secret: Uint8Array, digest: Buffer): Generator<bigint> {
  const seed = Buffer.concat([secret, toBytes(modulo(toNumber(digest)))])
  let value: Buffer = Buffer.alloc(32, 1)
  let key: Buffer = Buffer.alloc(32, 0)
  for (const mark of [0, 1]) {
    key = hmac(key, value, Uint8Array.of(mark), seed)
    value = hmac(key, value)
  }
  for (;;) {
    value = hmac(key, value)
    if (isScalar(value)) yield toNumber(value)
    key = hmac(key, value, Uint8Array.of(0))
    value = hmac(key, value)
  }
}

/** 64 bytes, r followed by s; s is made low. */
export const sign = (secret: Uint8Array, message: Uint8Array): Uint8Array => {
  const digest = hash('sha256', message, 'buffer')
  for (const nonce of nonces(secret, digest)) {
    const first = modulo(toNumber(publicKeyOf(toBytes(nonce)).subarray(1, 33)))
    const second = modulo(inverse(nonce) * (toNumber(digest) + first * toNumber(secret)))
    if (first === 0n || second === 0n) continue
    return Uint8Array.from(Buffer.concat([toBytes(first), toBytes(second > half ? order - second : second)]))
  }
  throw new Error('the nonces never end')
}

/** The point as node:crypto wants it; undefined if it is not one. */
export const importPublicKey = (publicKey: Uint8Array): KeyObject | undefined => {
  if (publicKey.length !== 65 || publicKey[0] !== 4) return undefined
  const coordinate = (start: number): string => Buffer.from(publicKey.subarray(start, start + 32)).toString('base64url')
  try {
    return createPublicKey({
      key: { kty: 'EC', crv: 'P-256', x: coordinate(1), y: coordinate(33) },
      format: 'jwk',
    })
  } catch {
    return undefined
  }
}

export const verify = (key: KeyObject, message: Uint8Array, signature: Uint8Array): boolean =>
  signature.length === 64 &&
  toNumber(signature.subarray(32)) <= half &&
  check('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature)
